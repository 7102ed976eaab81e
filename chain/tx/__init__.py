"""Transactions: envelope, messages of each machine, gas, record codec, errors, and how one is built."""
