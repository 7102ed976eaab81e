"""What an account lets others do with it: have their fees paid, act in its name. Pure and deterministic."""

__all__ = ["authorisations", "fee_grants"]
