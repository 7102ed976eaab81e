"""What is asked once for a batch is what would be answered one by one; and how often it is asked."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.channels.peer_messages import MEMPOOL_CHANNEL, encode_txs
from consensus.mempool.admission.entry import Origin, PoolConfig, data_bytes, tx_bytes_max
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.admission.limits import Limits
from consensus.mempool.admission.shares import Shares
from consensus.mempool.pool import Pool
from consensus.system.clock import InlineWorkers
from tests.support.counts import counted
from tests.support.gossip.network import ManualClock
from tests.support.mempool.attacks import connect, node_of
from tests.support.mempool.pool import IdentifyingApp, SequenceApp
from tests.support.mempool.reactor import TxMesh, some_txs

SOURCES = {"": Origin.OWN, "door x": Origin.DOOR, "door y": Origin.DOOR, "a": Origin.PEER, "b": Origin.PEER}
sources = st.sampled_from(sorted(SOURCES))


@settings(max_examples=counted(75, whole=300), deadline=None)
@given(
    st.integers(8, 200),
    st.integers(200, 4_000),
    st.lists(st.tuples(sources, st.integers(1, 60), st.integers(1, 40)), max_size=6),
    sources,
    st.lists(st.integers(1, 60), min_size=1, max_size=80),
    st.integers(1, 300),
)
def test_what_is_taken_at_once_is_taken_one_by_one(
    txs_max: int,
    bytes_max: int,
    before: list[tuple[str, int, int]],
    source: str,
    batch: list[int],
    wait_txs_max: int,
) -> None:
    shares = Shares(PoolConfig(txs_max=txs_max, bytes_max=bytes_max))
    for name, size, count in before:
        for _ in range(count):
            if shares.refusal(SOURCES[name], name, size, wait_txs_max=wait_txs_max) is None:
                shares.add(SOURCES[name], name, size)
    origin = SOURCES[source]
    if shares.takes_all(origin, source, len(batch), sum(batch), wait_txs_max=wait_txs_max):
        for size in batch:
            assert shares.refusal(origin, source, size, wait_txs_max=wait_txs_max) is None
            shares.add(origin, source, size)


@settings(max_examples=counted(40, whole=100), deadline=None)
@given(
    st.integers(4, 40),
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["", "x", "y"]), st.lists(st.integers(0, 30))),
        max_size=8,
    ),
)
def test_a_batch_is_answered_as_its_transactions_one_by_one(
    txs_max: int, calls: list[tuple[str, str, list[int]]]
) -> None:
    """Whatever is here, on its way or repeated within the batch."""
    config = PoolConfig(txs_max=txs_max, bytes_max=400, tx_bytes_max=28)
    pools = [Pool(SequenceApp(), ManualClock(), InlineWorkers(), config) for _ in range(2)]
    for source, client, numbers in calls:
        txs = [b"s:%d" % number + b":" * number for number in numbers]
        at_once = pools[0].offer(txs, source=source, client=client)
        one_by_one = [answer for tx in txs for answer in pools[1].offer([tx], source=source, client=client)]
        assert at_once == one_by_one
        assert (pools[0].queued, pools[0].room) == (pools[1].queued, pools[1].room)
    assert pools[0].metrics == pools[1].metrics


@pytest.mark.parametrize("data_bytes_max", [0, 1, 2, 3, 128, 129, 130, 131, 132, 16_386, 16_387, 16_388])
def test_the_largest_that_fits_a_block_is_the_largest(data_bytes_max: int) -> None:
    size = tx_bytes_max(data_bytes_max)
    assert size == 0 or data_bytes(size) <= data_bytes_max
    assert data_bytes(size + 1) > data_bytes_max


async def test_bounds_are_asked_per_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of a peer's message beside hashing: its share is asked for once, and what its transactions say of
    themselves is compared with the bounds twice each (when they are read, and before they change the check state)."""
    asked: Counter[str] = Counter()
    for kind, name in ((Shares, "refusal"), (Shares, "add"), (Limits, "refusal")):
        plain = getattr(kind, name)

        def counted(*args: object, plain=plain, what=f"{kind.__name__}.{name}", **named: object) -> object:  # type: ignore[no-untyped-def]
            asked[what] += 1
            return plain(*args, **named)

        monkeypatch.setattr(kind, name, counted)
    mesh = TxMesh()
    async with node_of(IdentifyingApp(), mesh) as node:
        node.reactor.receive(MEMPOOL_CHANNEL, connect(node, "a"), encode_txs(some_txs(200)))
        await mesh.advance(1)
        assert node.pool.size == 200
    mesh.close()
    assert asked == {"Shares.refusal": 1, "Shares.add": 1, "Limits.refusal": 400}


def test_who_finds_a_full_pool_hears_so_for_each() -> None:
    """Also once the answer is known: metrics count every one."""
    pool = Pool(SequenceApp(), ManualClock(), InlineWorkers(), PoolConfig(txs_max=2_000, wait_ms_max=1))
    answers = pool.offer(some_txs(1_200), client="x")
    refused = [answer for answer in answers if answer is not None]
    assert {answer.code for answer in refused} == {Refusal.FULL}
    assert {answer.log.partition(":")[0] for answer in refused} == {"mempool is busy"}
    assert answers.count(None) == pool.queued == len(answers) - len(refused)
    assert pool.metrics.refused == pool.metrics.refused_full == len(refused) > 100
