"""A slice of `scripts/campaign join`: a node joins a running network both ways, and has what the others have."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat.devnet.network import Pace
from tests.campaigns.join import BLOCK_SYNC, STATE_SYNC, run

pytestmark = pytest.mark.network

QUICK = Pace(block_time=100, timeout_propose=500, timeout_prevote=100, timeout_precommit=100, timeout_commit=0)


async def test_a_fresh_node_joins_both_ways_under_load(tmp_path: Path) -> None:
    told = await run(tmp_path, heights=30, accounts=200, seed=5, validators=1, calm=20, rate=40, pace=QUICK)
    whole, restored = told[BLOCK_SYNC], told[STATE_SYNC]
    assert whole["blocks"] == whole["height"] >= 30
    assert whole["transactions"] > 0
    assert restored["snapshot_height"] >= 8
    assert restored["blocks"] == restored["height"] - restored["snapshot_height"]
    assert restored["snapshot_bytes"] > 200 * 40  # of accounts alone
    assert told["floor_under_load_per_s"] > 0
