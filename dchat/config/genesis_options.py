"""Options that are the chain's: they give the values of a new genesis; on a running chain its own count."""

from __future__ import annotations

from typing import Final

from chain.tx.units import UDCHAT_PER_DCHAT

# Section, key; where the chain has it; how many of the chain's units one of ours is.
GENESIS_OPTIONS: Final = (
    ("staking", "min_self_delegation", "staking", "min_self_delegation", UDCHAT_PER_DCHAT),
    ("staking", "unbonding_time", "staking", "unbonding_s", 1),
    ("slashing", "downtime_jail_duration", "slashing", "downtime_jail_s", 1),
    ("slashing", "double_sign_jail_duration", "slashing", "double_sign_jail_s", 1),
    ("slashing", "missed_blocks_window", "slashing", "missed_blocks_window", 1),
    ("slashing", "min_signed_per_window", "slashing", "min_signed_per_window", 1),
)
