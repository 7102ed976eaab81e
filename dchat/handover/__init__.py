"""A home goes from the process that runs on it to another one, right after a block (docs/takeover.md)."""

__all__ = ["giving", "takeover"]
