"""One connection: addresses, keys, the secret connection, packets, and the budget of who is at the other end."""
