"""The query language of events, CometBFT's: reading a query, and asking it of the events at hand. Pure."""

__all__ = ["errors", "matching", "syntax"]
