"""Commands that speak with a running chain: transactions, queries, governance, upgrades, status."""

__all__ = ["gov_commands"]
