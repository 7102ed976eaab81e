"""Payments beyond one account to another: to many at once. Pure and deterministic."""

__all__ = ["many"]
