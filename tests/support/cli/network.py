"""The pace and the amounts of the tests that run whole networks."""

from __future__ import annotations

from dchat.devnet.network import Pace

DCHAT = 1_000_000


PACE = Pace(block_time=300, timeout_propose=800, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)
