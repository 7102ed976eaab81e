"""`dchat genesis`: the ceremony of a new chain, and what a genesis document says."""

__all__ = ["group"]
