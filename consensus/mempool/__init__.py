"""Admission of transactions, their queue and their gossip."""
