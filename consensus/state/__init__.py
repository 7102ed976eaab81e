"""Where a chain stands after a block, what a block did, and whether another may follow. Pure."""

__all__ = ["cursors", "results", "state", "validation"]
