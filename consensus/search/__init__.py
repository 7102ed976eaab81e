"""Searching what is stored: which transactions and which blocks have an event that a query asks for."""

__all__ = ["errors", "pages", "plan", "walk"]
