"""What a node is made of, before its parts meet."""

__all__ = ["options"]
