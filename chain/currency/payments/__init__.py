"""Payments beyond one account to another: to many at once, and on request. Pure and deterministic."""

__all__ = ["many", "requests"]
