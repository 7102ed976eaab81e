"""Staking: validators, delegations, unbondings, redelegations and the validator set. Pure and deterministic."""

__all__ = ["handlers", "invariants", "queues", "rotation", "signing", "slash", "slashing", "stake", "valset"]
