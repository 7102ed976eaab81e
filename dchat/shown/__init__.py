"""How messages of the schemas, and text from outside, are shown to people: the same everywhere."""

__all__ = ["messages", "text"]
