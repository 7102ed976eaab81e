"""Upgrades at a block height: plans, readiness, module versions and migrations."""
