"""Admission of transactions, their queue and their gossip."""

__all__ = ["journal", "pool", "reactor"]
