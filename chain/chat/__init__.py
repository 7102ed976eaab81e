"""The chat machine: identities, channels, messages, allowance. Pure and deterministic."""

__all__ = ["ballots", "machine"]
