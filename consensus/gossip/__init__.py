"""Sending each peer what it lacks of the running height, and hearing what peers send."""

__all__ = ["reactor"]
