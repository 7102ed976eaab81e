"""What goes into proposals when not everything fits: nobody stands in the others' way, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.fill import STARVED_BLOCKS, TURN_BLOCKS
from consensus.mempool.pool import Pool
from tests.support.mempool.pool import SequenceApp, ok, running

GAS_MAX = 100


class Blocks:
    """Proposes and commits, block by block; remembers the height of each transaction."""

    def __init__(self, app: SequenceApp, pool: Pool) -> None:
        self.app, self.pool, self.height = app, pool, 0
        self.at: dict[bytes, int] = {}
        pool.set_block_limits(data_bytes_max=-1, gas_max=GAS_MAX)

    async def next(self, *arriving: bytes, bytes_max: int = -1) -> list[bytes]:
        for answer in await self.pool.submit_many(arriving):
            assert answer.code == 0, answer.log
        block = self.pool.reap(bytes_max=bytes_max, gas_max=GAS_MAX)
        assert sum(int(self.app.read(tx)[2].get("gas", "1")) for tx in block) <= GAS_MAX
        self.height += 1
        self.at.update(dict.fromkeys(block, self.height))
        self.pool.update(self.height, block, ok(len(block)), self.app.commit(block))
        await asyncio.sleep(0)
        return block


async def test_a_payment_with_the_whole_blocks_gas_stops_nobody_and_gets_its_turn() -> None:
    """sei-chain#3892: before, with one free post in each block, nobody's payments entered for 30 blocks."""
    app = SequenceApp()
    async with running(app, PoolConfig(lanes=("chat", "currency"))) as pool:
        blocks = Blocks(app, pool)
        whole = b"whole:0:gas=100"
        await pool.submit(whole)
        for height in range(1, 31):
            post = b"poster:%d:lane=chat" % (height - 1)
            payment = b"payer%d:0" % height
            await blocks.next(post, payment)
        late = {tx: at - int(app.read(tx)[0][5:]) for tx, at in blocks.at.items() if tx.startswith(b"payer")}
        assert len(late) == 30 - (blocks.at[whole] == 30)
        assert max(late.values()) <= 1  # the block that the whole one takes
        assert blocks.at[whole] <= STARVED_BLOCKS + TURN_BLOCKS


async def test_many_who_reserve_whole_blocks_leave_most_blocks_to_others() -> None:
    """sei-chain#3892: a starved one's turn must not become the way to starve the rest."""
    app = SequenceApp()
    async with running(app, PoolConfig(lanes=("chat", "currency"))) as pool:
        blocks = Blocks(app, pool)
        taken = 0
        for height in range(1, 61):
            block = await blocks.next(
                b"whole%d:0:gas=100" % height, b"payer%d:0" % height, b"poster:%d:lane=chat" % (height - 1)
            )
            taken += block[0].startswith(b"whole")
        payments = {tx: at - int(app.read(tx)[0][5:]) for tx, at in blocks.at.items() if tx.startswith(b"payer")}
        assert len(payments) >= 59
        assert max(payments.values()) <= 1
        assert 60 // (STARVED_BLOCKS + TURN_BLOCKS) <= taken <= 60 // TURN_BLOCKS


async def test_what_does_not_fit_keeps_its_senders_later_ones_behind_it() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        blocks = Blocks(app, pool)
        await pool.submit_many([b"a:0:gas=30", b"b:0:gas=80", b"b:1", b"c:0:gas=70", b"b:2", b"d:0"])
        assert await blocks.next() == [b"a:0:gas=30", b"c:0:gas=70"]  # d: the block is full
        assert await blocks.next() == [b"b:0:gas=80", b"b:1", b"b:2", b"d:0"]


async def test_one_too_large_for_this_block_waits_for_a_larger_one() -> None:
    """Evidence takes of a block's bytes: what fits no more is passed over, and may come with the next."""
    app = SequenceApp()
    async with running(app) as pool:
        blocks = Blocks(app, pool)
        large = b"large:0:fill=" + b"x" * 500
        assert await blocks.next(large, b"a:0", b"b:0", bytes_max=300) == [b"a:0", b"b:0"]
        assert await blocks.next(bytes_max=3_000) == [large]


async def test_what_fits_no_block_any_more_leaves_when_the_limits_fall() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        pool.set_block_limits(data_bytes_max=10_000, gas_max=100)
        await pool.submit_many([b"a:0:gas=90", b"b:0:fill=" + b"x" * 5_000, b"c:0"])
        pool.set_block_limits(data_bytes_max=2_000, gas_max=50)
        assert [entry.tx for entry in pool.entries()] == [b"c:0"]


_arrivals = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 5, 40, 60, 100])), max_size=6), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(_arrivals)
def test_everything_comes_in_order_and_at_last(arrivals: list[list[tuple[int, int]]]) -> None:
    """Whatever reserves whatever: a sender's order holds, and all are in blocks a bounded time after the last came."""

    async def scenario() -> None:
        app = SequenceApp()
        async with running(app, PoolConfig(lanes=("chat", "currency"))) as pool:
            blocks = Blocks(app, pool)
            sent: list[bytes] = []
            for batch in arrivals:
                new = []
                for sender, gas in batch:
                    sequence = sum(tx.startswith(b"s%d:" % sender) for tx in [*sent, *new])
                    lane = "chat" if sender > 2 else "currency"  # a sender has an order on each machine
                    new.append(f"s{sender}:{sequence}:gas={gas}:lane={lane}".encode())
                sent += new
                await blocks.next(*new)
            large = sum(b"gas=100" in tx or b"gas=60" in tx for tx in sent)
            for _ in range(STARVED_BLOCKS + TURN_BLOCKS * (large + 1) + len(sent)):
                await blocks.next()
            assert set(blocks.at) == set(sent)
            order = list(blocks.at)
            for sender in range(5):
                mine = [tx for tx in order if tx.startswith(b"s%d:" % sender)]
                assert mine == sorted(mine, key=lambda tx: app.read(tx)[1])

    asyncio.run(scenario())


@pytest.mark.parametrize("make", [lambda n: b"a%d:0:gas=100" % n, lambda n: b"a:%d:gas=1" % n], ids=["whole", "one"])
async def test_filling_a_block_looks_at_each_transaction_once(make: Callable[[int], bytes]) -> None:
    app = SequenceApp()
    async with running(app, PoolConfig(sender_txs_max=5_000, wait_ms_max=0)) as pool:
        await pool.submit_many([make(index) for index in range(3_000)])
        assert pool.size == 3_000
        pool.reap(bytes_max=1 << 20, gas_max=GAS_MAX)
        assert pool.metrics.passed_over <= 3_000
