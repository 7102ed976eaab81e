"""Upgrades at a block height: plans, readiness, module versions and migrations."""

__all__ = ["chain_record", "migrations", "module", "plan"]
