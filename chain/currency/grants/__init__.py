"""What an account lets others do with it: have their fees paid. Pure and deterministic."""

__all__ = ["fee_grants"]
