"""The currency machine: accounts, payments, fees, stake, supply. Pure and deterministic."""

__all__ = ["economy", "machine"]
