"""What comes before the pool: whose a transaction is, whose turn, what it may take, whether it is signed."""
