"""When a node in consensus leaves it to fetch blocks: far behind, and not becoming less so."""

from __future__ import annotations

import pytest

from consensus.formats.units import NS_PER_S
from consensus.sync.lag import BEHIND_HEIGHTS, PATIENCE_NS, REST_FIRST_NS, REST_MAX_NS, Lag

STEP_NS = 2 * NS_PER_S


def looks(lag: Lag, missing: list[int], *, from_ns: int = 0) -> list[bool]:
    return [
        lag.is_block_syncs(from_ns + at * STEP_NS, height=1_000, target=1_000 + heights)
        for at, heights in enumerate(missing)
    ]


@pytest.mark.parametrize(
    ("missing", "want"),
    [
        pytest.param([500] * 4, [False, False, False, True], id="far behind for six seconds"),
        pytest.param([500, 510, 520, 530], [False, False, False, True], id="and further"),
        pytest.param([BEHIND_HEIGHTS - 1] * 10, [False] * 10, id="a little: gossip mends it"),
        pytest.param([400, 200, 100, 50, 25, 12], [False] * 6, id="consensus catches up by itself"),
        pytest.param([500, 500, 500, 3, 500, 500, 500, 500], [False] * 7 + [True], id="it had caught up in between"),
        pytest.param([-900] * 5, [False] * 5, id="the others are behind"),
    ],
)
def test_when_block_sync_takes_over(missing: list[int], want: list[bool]) -> None:
    assert looks(Lag(), missing) == want


def test_claims_that_bring_no_block_keep_a_node_out_of_consensus_ever_more_seldom() -> None:
    lag, now_ns, rested = Lag(), 0, []
    for _ in range(8):
        lag.synced(now_ns, applied=0)
        since_ns = now_ns
        while not lag.is_block_syncs(now_ns, height=10, target=2**60):
            now_ns += STEP_NS
        rested.append(now_ns - since_ns - PATIENCE_NS)
    assert rested == [min(REST_FIRST_NS * 2**times, REST_MAX_NS) for times in range(8)]
    lag.synced(now_ns, applied=2**59)
    assert looks(lag, [500] * 4, from_ns=now_ns) == [False, False, False, True]


@pytest.mark.parametrize(
    ("applied", "is_rested"),
    [
        pytest.param(1, False, id="one block that was made meanwhile"),
        pytest.param(249, False, id="the smaller part"),
        pytest.param(250, True, id="half: it was behind"),
        pytest.param(510, True, id="all, and what was made meanwhile"),
    ],
)
def test_blocks_made_meanwhile_are_not_what_was_claimed(applied: int, is_rested: bool) -> None:
    lag, now_ns = Lag(), 0
    for times in range(4):
        assert looks(lag, [500] * 4, from_ns=now_ns)[-1]
        now_ns += PATIENCE_NS
        lag.synced(now_ns, applied=applied)
        rest_ns = 0 if is_rested else REST_FIRST_NS * 2**times
        waits = [500] * (rest_ns // STEP_NS)
        assert not any(looks(lag, waits, from_ns=now_ns))
        now_ns += rest_ns


def test_after_a_sync_that_brought_blocks_it_looks_at_once() -> None:
    lag = Lag()
    looks(lag, [500] * 4)
    lag.synced(4 * STEP_NS, applied=480)
    assert looks(lag, [20] * 4, from_ns=5 * STEP_NS) == [False, False, False, True]
