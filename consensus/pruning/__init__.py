"""Forgetting in the background what nobody needs any more: which heights must stay, who holds them, and the work."""

__all__ = ["background", "blocks", "needs"]
