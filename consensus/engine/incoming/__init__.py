"""What comes in: a queue for each peer, the inputs as the log has them, what is checked, and what is excused."""

__all__ = ["checks", "excuses", "inbox", "inputs"]
