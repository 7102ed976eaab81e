"""Payments beyond one account to another: to many at once, on request, again and again. Pure and deterministic."""

__all__ = ["many", "requests", "standing"]
