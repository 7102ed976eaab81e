"""Governance across both machines: proposals, deposits, votes, and what passed carried out."""

__all__ = ["actions", "module", "pinned_stake", "records", "tally"]
