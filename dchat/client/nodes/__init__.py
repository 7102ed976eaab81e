"""The way to a chain's doors: one node or several of which one is asked at a time, with TLS or without."""

__all__ = ["route", "tls"]
