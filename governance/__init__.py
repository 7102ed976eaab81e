"""Governance across both machines: proposals, deposits, votes, and what passed carried out."""
