"""`dchat abci`: our application in a process of its own, for another engine."""

__all__ = ["process"]
