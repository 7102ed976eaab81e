"""`dchat validator --validate`: everything that can be known before a start, all of it at once."""

__all__ = ["everything"]
