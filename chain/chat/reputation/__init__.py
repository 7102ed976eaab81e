"""Reputation: scores that come from what cannot be had back, and reports to moderators that they weigh."""

__all__ = ["machine", "records", "reports", "scores"]
