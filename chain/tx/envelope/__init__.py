"""The signed envelope of a transaction: decoded once and checked as far as no state is needed; built and signed."""

__all__ = ["build", "short", "tx"]
