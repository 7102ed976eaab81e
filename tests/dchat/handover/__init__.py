"""Hand-over: what two processes say to each other."""
