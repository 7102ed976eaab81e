"""The dchat command."""

__all__ = ["main"]
