"""Transactions: envelope, decoding, checks."""
