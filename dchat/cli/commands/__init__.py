"""Commands that speak with a running chain: transactions, queries, governance, upgrades, status."""

__all__ = [
    "denomination_commands",
    "gov_commands",
    "query_commands",
    "status_commands",
    "tx_commands",
]
