"""What a block did, step by step, and hashes over it: kept for the last heights, so that a difference has a name."""

__all__ = ["kept", "steps"]
