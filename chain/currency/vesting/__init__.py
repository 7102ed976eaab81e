"""What is promised to an account and becomes its own with time. Pure and deterministic."""

__all__ = ["vesting"]
