"""Signing without ever contradicting oneself, and the looks that come before the first signature."""

__all__ = ["guards", "own_key", "record", "signer"]
