"""Messages of the chat machine: posting, and the ranges that prove them."""

__all__ = ["machine", "ordinary", "posts", "records"]
