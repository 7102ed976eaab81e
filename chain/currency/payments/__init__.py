"""Payments: to many at once, on request, again and again, and the short way through an ordinary one. Pure and
deterministic."""

__all__ = ["many", "ordinary", "requests", "standing"]
