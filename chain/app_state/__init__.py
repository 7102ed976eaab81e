"""The application's part of a genesis document: its form, its params, and what each of them may be."""

__all__ = ["document", "economy", "exported", "governance_params", "vesting"]
