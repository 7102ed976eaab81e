"""How messages of the schemas are shown to people: the same everywhere, as the schemas themselves say."""

__all__ = ["messages"]
