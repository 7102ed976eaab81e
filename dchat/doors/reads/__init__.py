"""What all doors share: answers, events, limits, and the share of the loop and the threads that reading has."""
