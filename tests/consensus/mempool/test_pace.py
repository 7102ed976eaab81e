"""How many may wait: the pace as a table, and the doors' bound on a running pool."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.admission.pace import FLOOR_TXS, WINDOW_NS, CommitPace
from consensus.mempool.pool import Pool
from consensus.system.clock import InlineWorkers, LoopClock
from tests.support.mempool.pool import SequenceApp, ok, txs

SECOND = 1_000_000_000


def pace_of(*blocks: tuple[int, int]) -> CommitPace:
    """blocks: (transactions, nanoseconds); something always waits."""
    pace = CommitPace()
    now = 0
    pace.began_waiting(now)
    for count, took_ns in blocks:
        now += took_ns
        pace.block(count, now, still_waiting=True)
    return pace


@pytest.mark.parametrize(
    ("blocks", "a_second", "in_two_seconds"),
    [
        pytest.param([], 0, FLOOR_TXS, id="nothing known"),
        pytest.param([(1_000, SECOND // 2)], 2_000, 4_000, id="one block"),
        pytest.param([(1_000, SECOND // 2), (1_000, SECOND)], 1_333, 2_666, id="two blocks"),
        pytest.param([(10, SECOND)], 10, FLOOR_TXS, id="a slow chain"),
        pytest.param([(9_000, SECOND)] + [(1_000, SECOND)] * 5, 1_000, 2_000, id="older than the window"),
        pytest.param([(0, 3_600 * SECOND), (1_500, WINDOW_NS)], 300, 3_000, id="far apart: two blocks"),
        pytest.param([(0, 3_600 * SECOND), (500, WINDOW_NS)], 100, FLOOR_TXS, id="an hour without a block is past"),
    ],
)
def test_what_may_wait_follows_the_pace_of_recent_blocks(
    blocks: list[tuple[int, int]], a_second: int, in_two_seconds: int
) -> None:
    pace = pace_of(*blocks)
    assert (pace.txs_per_second, pace.waiting_max(2_000)) == (a_second, in_two_seconds)


def test_calm_says_nothing_about_the_pace() -> None:
    pace = pace_of((1_000, SECOND))
    pace.block(0, 2 * SECOND, still_waiting=False)
    assert pace.txs_per_second == 500
    pace.block(0, 100 * SECOND, still_waiting=False)
    pace.began_waiting(200 * SECOND)
    pace.began_waiting(201 * SECOND)
    pace.block(1_000, 202 * SECOND, still_waiting=False)
    assert pace.txs_per_second == 500, "2,000 transactions in 4 s of waiting"


class SetClock(LoopClock):
    """Durations as the test says."""

    now = 0

    def monotonic_ns(self) -> int:
        return self.now


@contextlib.asynccontextmanager
async def running(config: PoolConfig):  # type: ignore[no-untyped-def]
    clock, app = SetClock(), SequenceApp()
    pool = Pool(app, clock, InlineWorkers(), config)
    task = asyncio.create_task(pool.run())
    try:
        yield pool, app, clock
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_doors_admit_what_blocks_took_lately_and_say_try_later_to_the_rest() -> None:
    config = PoolConfig(txs_max=4_000, sender_txs_max=4_000, wait_ms_max=2_000)
    async with running(config) as (pool, app, clock):
        first = txs("a", FLOOR_TXS)
        assert {answer.code for answer in await pool.submit_many(first)} == {0}
        refused = await pool.submit(b"b:0")
        assert refused.code == Refusal.FULL
        assert "1000 transactions wait" in refused.log
        assert refused.log.endswith("try later")
        assert (await pool.submit(b"c:0", "peer")).code == 0, "a peer has admitted it already"

        clock.now += SECOND
        pool.update(1, first, ok(len(first)), app.commit(first))
        assert (pool.txs_per_second, pool.door_txs_max) == (1_000, 2_000)
        answers = await pool.submit_many(txs("a", 2_500, start=FLOOR_TXS))
        assert [answer.code for answer in answers] == [0] * 1_999 + [Refusal.FULL] * 501, "one is the peer's"


async def test_the_count_limit_is_above_every_pace() -> None:
    async with running(PoolConfig(txs_max=10, sender_txs_max=100)) as (pool, app, clock):
        first = txs("a", 10)
        await pool.submit_many(first)
        clock.now += 1_000
        pool.update(1, first, ok(10), app.commit(first))
        assert pool.door_txs_max == 10
        answers = await pool.submit_many(txs("a", 11, start=10))
        assert [answer.code for answer in answers] == [0] * 10 + [Refusal.FULL]


async def test_without_a_longest_wait_only_counts_bound() -> None:
    async with running(PoolConfig(txs_max=1_500, sender_txs_max=4_000, wait_ms_max=0)) as (pool, _, _):
        answers = await pool.submit_many(txs("a", 1_501))
        assert [answer.code for answer in answers] == [0] * 1_500 + [Refusal.FULL]


async def test_a_flood_at_the_doors_leaves_other_lanes_their_reserve_of_the_doors_bound() -> None:
    config = PoolConfig(txs_max=5_000, sender_txs_max=5_000, lanes=("chat", "currency"))
    async with running(config) as (pool, _, _):
        answers = await pool.submit_many(txs("a", 900))
        assert [answer.code for answer in answers] == [0] * 750 + [Refusal.LANE_FULL] * 150
        assert (await pool.submit(b"b:0:lane=chat")).code == 0
