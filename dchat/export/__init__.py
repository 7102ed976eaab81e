"""The state of a chain as the genesis of a new one, and a home that begins with such a document."""

__all__ = ["bringing", "document", "taking"]
