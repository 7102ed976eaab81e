"""Within a lane what pays more goes first, and nobody's transactions overtake each other."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.mempool.admission.entry import Entry, PoolConfig
from consensus.mempool.ranking import ranked
from tests.support.counts import counted
from tests.support.mempool.pool import SequenceApp, ok, running


@pytest.mark.parametrize(
    ("sent", "want"),
    [
        pytest.param(["a:0", "b:0", "c:0"], "a0 b0 c0", id="one price: in order of admission"),
        pytest.param(["a:0:pays=1", "b:0:pays=3", "c:0:pays=2"], "b0 c0 a0", id="the dearest first"),
        pytest.param(["a:0:pays=1", "b:0:pays=1", "c:0:pays=2"], "c0 a0 b0", id="of equal ones the oldest"),
        pytest.param(["a:0:pays=1", "a:1:pays=9", "b:0:pays=5"], "b0 a0 a1", id="a dear one waits for its earlier"),
        pytest.param(["a:0:pays=5", "a:1:pays=1", "b:0:pays=3"], "a0 b0 a1", id="a cheap one behind a dear one"),
        pytest.param(
            ["a:0:pays=2", "a:1:pays=9", "b:0:pays=2", "c:0:pays=1"], "a0 a1 b0 c0", id="freed: at once by its price"
        ),
        pytest.param(
            ["a:0:pays=1", "b:0:pays=9:with=a", "b:1:pays=9", "c:0:pays=5"], "c0 a0 b0 b1", id="behind another's too"
        ),
        pytest.param(["a:0:pays=1:lane=bridge", "a:1:pays=9", "b:0:pays=5"], "a1 b0", id="each lane by itself"),
    ],
)
async def test_the_order_of_a_lane(sent: list[str], want: str) -> None:
    async with running(SequenceApp()) as pool:
        assert {answer.code for answer in await pool.submit_many([tx.encode() for tx in sent])} == {0}
        assert _names(list(ranked(pool._index, "currency"))) == want


async def test_a_block_takes_what_pays_most_and_the_cheap_one_gets_its_turn_at_last() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        await pool.submit(b"cheap:0:pays=1")
        for height in range(1, 12):
            await pool.submit_many([b"d%d:%d:pays=2" % (one, height - 1) for one in range(3)])
            block = pool.reap(bytes_max=1 << 20, gas_max=3)
            if b"cheap:0:pays=1" in block:
                break
            pool.update(height, block, ok(len(block)), app.commit(block))
        assert height == 9  # older than STARVED_BLOCKS


_sent = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4)), max_size=24)


@settings(max_examples=counted(40, whole=150), deadline=None)
@given(_sent, st.sets(st.integers(0, 23)))
def test_the_order_is_the_naive_one(sent: list[tuple[int, int, int]], gone: set[int]) -> None:
    """Model: of all that nothing is before, the dearest, then the oldest; whatever has left the pool, and whatever
    names a key twice (audit 29)."""

    async def scenario() -> None:
        app, txs = SequenceApp(), []
        async with running(app, PoolConfig(wait_ms_max=0)) as pool:
            for sender, other, pays in sent:
                sequence = sum(tx.startswith(b"%d:" % sender) for tx in txs)
                txs.append(f"{sender}:{sequence}:pays={pays}:with={other}".encode())
            assert {answer.code for answer in await pool.submit_many(txs)} <= {0}
            entries = list(pool.entries())
            for number in gone & set(range(len(entries))):
                pool._index.remove(entries[number].key)
            left = list(pool.entries())
            assert list(ranked(pool._index, "currency") if left else ()) == _naive(left)
            pool.update(1, txs, ok(len(txs)), app.commit(txs))
            assert (pool.size, pool._index.touching) == (0, {})

    asyncio.run(scenario())


def _naive(entries: list[Entry]) -> list[Entry]:
    out: list[Entry] = []
    left = list(entries)
    while left:
        may_go = [
            entry
            for place, entry in enumerate(left)
            if all(set(entry.facts.touches).isdisjoint(before.facts.touches) for before in left[:place])
        ]
        best = max(may_go, key=lambda entry: entry.facts.priority)  # the first of several
        left.remove(best)
        out.append(best)
    return out


@pytest.mark.parametrize("chains", [1, 40, 2_000])
async def test_ranking_looks_at_each_entry_a_bounded_number_of_times(chains: int) -> None:
    """However deep the dear ones stand behind cheap ones."""
    app = SequenceApp()
    async with running(app, PoolConfig(sender_txs_max=5_000, wait_ms_max=0)) as pool:
        each = 2_000 // chains
        sent = [
            b"s%d:%d:pays=%d" % (chain, sequence, 1 + (sequence > 0) * (chain + sequence))
            for sequence in range(each)
            for chain in range(chains)
        ]
        await pool.submit_many(sent)
        looks = 0

        class Counted(dict[bytes, Entry]):
            def values(self):  # type: ignore[no-untyped-def]
                nonlocal looks
                for entry in super().values():
                    looks += 1
                    yield entry

        index = pool._index
        for touched, entries in index.touching.items():
            index.touching[touched] = Counted(entries)
        for lane in index.lanes.values():
            for priority, level in lane.levels.items():
                lane.levels[priority] = Counted(level)
        assert len(list(ranked(index, "currency"))) == len(sent)
        assert looks <= 2 * len(sent)


def _names(entries: list[Entry]) -> str:
    return " ".join("".join(entry.tx.decode().split(":")[:2]) for entry in entries)
