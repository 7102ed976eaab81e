"""The atomic module: the only machine that knows both."""

__all__ = ["machine", "records"]
