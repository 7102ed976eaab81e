"""The chat machine: identities, channels, messages, allowance. Pure and deterministic."""
