"""Denominations that accounts make themselves, beside udchat. Pure and deterministic."""

__all__ = ["machine", "records"]
