"""Staking: validators, delegations, unbondings, redelegations and the validator set. Pure and deterministic."""
