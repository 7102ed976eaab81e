"""The pool's bounds as a table, its order and indexes as laws, its batches and rechecks counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.abci.interface import CheckTxRequest, CheckTxResponse, CheckTxType, SignatureCheck
from consensus.mempool.admission.entry import Origin, PoolConfig, data_bytes
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.pool import Pool
from consensus.state.results import ExecTxResult
from consensus.system.clock import InlineWorkers, LoopClock
from crypto import native
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from dchat.client.refusals import MEMPOOL
from tests.support.mempool.pool import IdentifyingApp, PayingApp, SequenceApp, SlowClock, ok, running, txs


def test_table_of_refusals_is_complete() -> None:
    """docs/errors.md names every one by its number, with what a person is told."""
    page = (Path(__file__).parents[3] / "docs" / "errors.md").read_text().partition("## Rules of the chain")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [
        f"| {int(refusal)} | mempool | {refusal.name} | {MEMPOOL[refusal].wrong} | {MEMPOOL[refusal].todo} |"
        for refusal in Refusal
    ]


@pytest.mark.parametrize("app", [SequenceApp, IdentifyingApp])
@pytest.mark.parametrize(
    ("config", "first", "refused", "reason", "says"),
    [
        pytest.param(PoolConfig(txs_max=3), txs("a", 3), b"b:0", Refusal.FULL, "3 of 3 transactions; try later"),
        pytest.param(PoolConfig(bytes_max=10), txs("a", 3), b"b:0", Refusal.FULL, "9 of 10 bytes; try later"),
        pytest.param(PoolConfig(tx_bytes_max=3), [], b"b:10", Refusal.TOO_LARGE, "has 4 bytes; allowed: 1 to 3"),
        pytest.param(PoolConfig(), [], b"", Refusal.TOO_LARGE, "has 0 bytes"),
        pytest.param(PoolConfig(sender_txs_max=2), txs("a", 2), b"a:2", Refusal.SENDER_FULL, "2 of 2 waiting"),
        pytest.param(PoolConfig(), [b"a:0"], b"a:0", Refusal.ALREADY_HERE, "in the mempool already"),
        pytest.param(PoolConfig(), [b"a:0:replay=x"], b"a:1:replay=x", Refusal.REPLAY, "same replay id"),
        pytest.param(PoolConfig(), [], b"a:0:expiry=7", Refusal.EXPIRED, "expired at height 7; the last block is 7"),
        pytest.param(
            PoolConfig(txs_max=4, lanes=("chat", "currency")),
            txs("a", 3, options=":lane=chat"),
            b"a:3:lane=chat",
            Refusal.LANE_FULL,
            "no room for lane 'chat': 3 transactions wait; try later",
        ),
    ],
)
async def test_refusals_name_the_rule(
    app: type[SequenceApp], config: PoolConfig, first: list[bytes], refused: bytes, reason: Refusal, says: str
) -> None:
    async with running(app(), config) as pool:
        pool.update(7, [], [], frozenset())
        assert [answer.code for answer in await pool.submit_many(first)] == [0] * len(first)
        answer = await pool.submit(refused)
        assert (answer.codespace, answer.code) == ("mempool", reason)
        assert says in answer.log
        assert pool.size == len(first)


async def test_a_lane_keeps_its_reserve_when_another_floods() -> None:
    config = PoolConfig(txs_max=8, lanes=("chat", "currency"))
    async with running(IdentifyingApp(), config) as pool:
        flood = await pool.submit_many(txs("spam", 8, options=":lane=chat"))
        assert [answer.code == 0 for answer in flood] == [True] * 6 + [False] * 2
        assert [answer.code for answer in await pool.submit_many(txs("payer", 2))] == [0, 0]


async def test_a_gas_wish_above_the_blocks_is_refused() -> None:
    async with running(SequenceApp()) as pool:
        pool.set_block_limits(data_bytes_max=20, gas_max=10)
        assert (await pool.submit(b"a:0:gas=11")).code == Refusal.TOO_MUCH_GAS
        assert (await pool.submit(b"b:0:gas=10")).code == 0
        assert (await pool.submit(b"c:0:gas=1:filler=xxx")).code == Refusal.TOO_LARGE


async def test_the_size_is_judged_before_anything_is_decoded() -> None:
    """Failure 32: decode blow-up."""
    app = IdentifyingApp()
    async with running(app, PoolConfig(tx_bytes_max=10)) as pool:
        await pool.submit(b"a:" + b"0" * 100)
        assert app.calls == []


async def test_the_sender_bound_holds_within_one_batch_and_leaves_the_check_state_alone() -> None:
    """Failure 32: per-sender cap. A refused transaction must not have advanced the sender's check state."""
    app = IdentifyingApp()
    async with running(app, PoolConfig(sender_txs_max=3)) as pool:
        answers = await pool.submit_many(txs("a", 5))
        assert [answer.code for answer in answers] == [0, 0, 0, Refusal.SENDER_FULL, Refusal.SENDER_FULL]
        assert app.checking[b"a"] == 3


async def test_what_was_committed_is_refused_and_what_failed_may_come_again() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        await pool.submit_many([b"a:0", b"b:0"])
        touched = app.commit([b"a:0"])
        pool.update(1, [b"a:0", b"b:0"], [ExecTxResult(), ExecTxResult(code=9)], touched)
        assert pool.size == 0
        assert (await pool.submit(b"a:0")).code == Refusal.SEEN_BEFORE
        app.checking.pop(b"b")
        assert (await pool.submit(b"b:0")).code == 0


async def test_a_blocks_transactions_leave_in_slices_while_admission_goes_on() -> None:
    app, block = SequenceApp(), [*txs("a", 200), *txs("b", 200)]
    async with running(app, PoolConfig(sender_txs_max=1_000), SlowClock()) as pool:
        await pool.submit_many([*block, *txs("c", 2)])
        count = 0
        for count, _ in enumerate(pool.leave(block, ok(len(block)), [sha256(tx) for tx in block]), start=1):
            assert pool.size == len(block) + 2 - 64 * count
            assert (await pool.submit(block[0])).code == Refusal.SEEN_BEFORE
        assert count == len(block) // 64
        assert (await pool.submit(b"a:200")).code == 0  # on a check state that has had those that left
        pool.update(1, block, ok(len(block)), app.commit(block))
        assert [entry.tx for entry in pool.entries()] == [*txs("c", 2), b"a:200"]
        assert (pool.metrics.committed, pool.room) == (len(block), pool.config.txs_max - 3)


async def test_a_block_that_left_in_part_only_leaves_whole_with_its_commit() -> None:
    app, block = SequenceApp(), txs("a", 100)
    async with running(app, PoolConfig(sender_txs_max=1_000), SlowClock()) as pool:
        await pool.submit_many(block)
        next(pool.leave(block, ok(100), [sha256(tx) for tx in block]))
        assert pool.size == 36
        pool.update(1, block, ok(100), app.commit(block))
        assert (pool.size, pool.room, pool.metrics.committed) == (0, pool.config.txs_max, 100)


async def test_what_is_committed_on_its_way_through_admission_does_not_come_in() -> None:
    """An application without replay protection would run it twice: nothing but the pool remembers it."""
    app = SequenceApp()
    pool = Pool(app, LoopClock(), InlineWorkers(), PoolConfig())
    answer = asyncio.ensure_future(pool.submit(b"a:0"))
    await asyncio.sleep(0)
    assert pool.queued == 1
    pool.update(1, [b"a:0"], ok(1), frozenset())  # of another proposer; the application would still take it
    task = asyncio.create_task(pool.run())
    assert (await answer).code == Refusal.SEEN_BEFORE
    assert (pool.size, app.calls) == (0, [])
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_remembered_hashes_are_bounded() -> None:
    app = SequenceApp()
    async with running(app, PoolConfig(seen_max=2)) as pool:
        done = txs("a", 3)
        app.commit(done)
        pool.update(1, done, ok(3), frozenset())
        assert [pool.knows(sha256(tx)) for tx in done] == [False, True, True]


async def test_only_what_a_block_touched_is_rechecked_and_in_order() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        await pool.submit_many([tx for pair in zip(txs("a", 4), txs("b", 4), strict=True) for tx in pair])
        app.calls.clear()
        touched = app.commit([b"a:0", b"a:1"])
        pool.update(1, [b"a:0", b"a:1"], ok(2), touched)
        assert (await pool.submit(b"c:0")).code == 0  # admissions wait for the rechecks
        assert app.calls == [
            (CheckTxType.RECHECK, b"a:2"),
            (CheckTxType.RECHECK, b"a:3"),
            (CheckTxType.NEW, b"c:0"),
        ]
        assert pool.size == 7


async def test_a_failed_recheck_removes() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        await pool.submit_many(txs("a", 3))
        app.committed[b"a"] = app.checking[b"a"] = 7
        pool.update(1, [], [], None)
        await pool.submit(b"b:0")
        assert [entry.tx for entry in pool.entries()] == [b"b:0"]
        assert pool.metrics.recheck_failed == 3


async def test_expired_transactions_leave_and_their_senders_others_are_rechecked() -> None:
    app = SequenceApp()
    async with running(app) as pool:
        await pool.submit_many([b"a:0:expiry=2", b"a:1", b"b:0:expiry=3"])
        pool.update(1, [], [], frozenset())
        assert pool.size == 3
        app.checking[b"a"] = 0
        pool.update(2, [], [], frozenset())
        await pool.submit(b"c:0")
        assert [entry.tx for entry in pool.entries()] == [b"b:0:expiry=3", b"c:0"]


async def test_of_a_far_expiry_nothing_is_left_once_it_is_in_a_block() -> None:
    """audit 17: each expiry height stayed in the index for as long as it lay ahead, and was looked at in each block.
    An ordered transaction may name any."""
    app = SequenceApp()
    async with running(app) as pool:
        sent = [f"a:{n}:expiry={2**62 + n}".encode() for n in range(50)] + txs("b", 2, options=":expiry=9")
        assert {answer.code for answer in await pool.submit_many(sent)} == {0}
        pool.update(1, sent[:51], ok(51), app.commit(sent[:51]))
        assert list(pool._index._expiring) == [9]
        pool.update(9, [], [], frozenset())
        assert (pool.size, pool._index._expiring) == (0, {})


async def test_available_is_told_when_the_first_comes_and_after_a_block_that_leaves_some() -> None:
    app = SequenceApp()
    told: list[int] = []
    async with running(app) as pool:
        pool.on_available(lambda: told.append(pool.size))
        await pool.submit(b"a:0")
        await pool.submit(b"a:1")
        assert told == [1]
        pool.update(1, [b"a:0"], ok(1), frozenset())
        assert told == [1, 1]
        pool.update(2, [b"a:1"], ok(1), frozenset())
        assert told == [1, 1]


# ------------------------------------------------------------------------------------------------- signatures


class SigningApp(SequenceApp):
    """Each transaction carries a real signature; check_tx answers only from what was verified ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.key = Ed25519PrivKey.from_seed(bytes(32))
        self.verified: set[SignatureCheck] = set()
        self.batches: list[int] = []

    def make(self, index: int, *, good: bool = True) -> bytes:
        body = b"s%d:0" % index
        return body + b"|" + (self.key.sign(body) if good else bytes(64)).hex().encode()

    def _check_of(self, tx: bytes) -> SignatureCheck:
        body, signature = tx.split(b"|")
        return (self.key.pub_key.bytes, body, bytes.fromhex(signature.decode()))

    def signature_checks(self, txs: Sequence[bytes]) -> list[SignatureCheck]:
        self.batches.append(len(txs))
        return [check for check in map(self._check_of, txs) if check not in self.verified]

    def remember_verified(self, checks: Sequence[SignatureCheck]) -> None:
        self.verified.update(checks)

    def bad_signature(self, tx: bytes) -> CheckTxResponse:
        return CheckTxResponse(code=4, log="signature")

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        if self._check_of(request.tx) not in self.verified:
            return CheckTxResponse(code=4, log="signature")
        return super().check_tx(CheckTxRequest(request.tx.split(b"|")[0], request.type))


class CountingWorkers(InlineWorkers):
    def __init__(self) -> None:
        self.runs = 0

    def run(self, work):  # type: ignore[no-untyped-def]
        self.runs += 1
        return super().run(work)


class StuckWorkers(InlineWorkers):
    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def run(self, work):  # type: ignore[no-untyped-def]
        self.asked.set()
        return asyncio.get_running_loop().create_future()


async def test_whoever_waits_when_the_pool_stops_gets_an_answer() -> None:
    app, workers = SigningApp(), StuckWorkers()
    pool = Pool(app, LoopClock(), workers)
    task = asyncio.create_task(pool.run())
    waiting = asyncio.create_task(pool.submit_many([app.make(index) for index in range(40)]))
    async with asyncio.timeout(5):
        await workers.asked.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        answers = await waiting
    assert {answer.code for answer in answers} == {Refusal.STOPPED}
    assert (await pool.submit(b"a:0")).code == Refusal.STOPPED


@pytest.fixture(params=[pytest.param(64, id="python"), pytest.param(128, id="native")])
def most_together(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of a batch, by who verifies it; that is as before at the end."""
    before, is_native = native.is_used(), request.param == 128
    native.switch(is_native)
    if native.is_used() != is_native:
        pytest.skip(f"the native part is not used here: {native.state()}")
    yield request.param
    native.switch(before)


@pytest.mark.parametrize(("count", "runs"), [(1, (0, 0)), (31, (0, 0)), (32, (1, 1)), (100, (2, 1)), (300, (5, 3))])
async def test_signatures_are_verified_once_in_batches_and_large_ones_in_threads(
    count: int, runs: tuple[int, int], most_together: int
) -> None:
    """runs: in threads, without the native part and with it."""
    app, workers = SigningApp(), CountingWorkers()
    pool = Pool(app, LoopClock(), workers)
    task = asyncio.create_task(pool.run())
    batch = [app.make(index, good=index != 0) for index in range(count)]
    answers = await pool.submit_many(batch)
    assert [answer.code for answer in answers] == [4] + [0] * (count - 1)
    assert (pool.metrics.signatures_verified, pool.metrics.signatures_bad) == (count, 1)
    assert workers.runs == runs[most_together == 128]
    assert max(app.batches) == min(count, most_together)
    pool.update(1, [], [], None)
    await pool.submit(app.make(count))
    assert pool.metrics.signatures_verified == count + 1  # the recheck verified nothing
    task.cancel()


# ------------------------------------------------------------------------------------------------------- laws


def reap_size(reaped: list[bytes]) -> int:
    return sum(data_bytes(len(tx)) for tx in reaped)


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 1_048_576])
def test_data_bytes_is_what_protobuf_writes(size: int) -> None:
    from proto.tendermint.types import types_pb2

    assert data_bytes(size) == types_pb2.Data(txs=[bytes(size)]).ByteSize()


async def test_lanes_share_a_block_and_what_one_leaves_the_others_use() -> None:
    async with running(SequenceApp()) as pool:
        big = ":fill=" + "x" * 8_000
        await pool.submit_many(txs("spam", 40, options=big + ":lane=chat"))
        await pool.submit_many(txs("payer", 4, options=big))
        reaped = pool.reap(bytes_max=10 * 8_040, gas_max=-1)
        assert sum(tx.startswith(b"payer") for tx in reaped) == 4
        assert sum(tx.startswith(b"spam") for tx in reaped) == 6
        assert pool.reap(bytes_max=-1, gas_max=3) == pool.reap(bytes_max=-1, gas_max=-1)[:3]


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 3), st.sampled_from(["", ":lane=chat", ":fill=" + "y" * 20_000])),
        st.tuples(st.just("commit"), st.integers(0, 5), st.just("")),
        st.tuples(st.just("fail"), st.integers(0, 3), st.just("")),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(_steps, st.integers(0, 60_000))
def test_order_and_indexes_hold(steps: list[tuple[str, int, str]], bytes_max: int) -> None:
    """SDK 2024-002: whatever was removed, a sender's transactions are reaped in order and without a gap."""
    asyncio.run(_drive(steps, bytes_max))


async def _drive(steps: list[tuple[str, int, str]], bytes_max: int) -> None:
    app = SequenceApp()
    height = 0
    async with running(app, PoolConfig(txs_max=12, sender_txs_max=5)) as pool:
        for action, number, options in steps:
            if action == "submit":
                sender = b"%d" % number
                # one lane per sender: what shares a sequence shares a lane
                lane = ":lane=chat" if number == 0 else options if "fill" in options else ""
                await pool.submit(f"{number}:{app.checking.get(sender, 0)}{lane}".encode())
            else:
                height += 1
                block = pool.reap(bytes_max=-1, gas_max=number) if action == "commit" else []
                touched = app.commit(block)
                if action == "fail":
                    app.checking[b"%d" % number] = app.committed.get(b"%d" % number, 0)
                    touched |= {b"account/%d" % number}
                pool.update(height, block, ok(len(block)), touched)
                await pool.submit(b"malformed")  # its answer comes after the rechecks
            _check_laws(pool, app, bytes_max)


def _check_laws(pool: Pool, app: SequenceApp, bytes_max: int) -> None:
    entries = list(pool.entries())
    assert pool.size == len(entries) <= 12
    assert pool.byte_size == sum(len(entry.tx) for entry in entries)
    assert sum(pool.lane_sizes().values()) == len(entries)
    assert sum(pool._index.senders.values()) == len(entries)
    assert sum(map(len, pool._index.touching.values())) == len(entries)
    everything = pool.reap(bytes_max=-1, gas_max=-1)
    assert sorted(everything) == sorted(entry.tx for entry in entries)
    for reaped in (everything, pool.reap(bytes_max=bytes_max, gas_max=-1)):
        sequences: dict[bytes, list[int]] = {}
        for tx in reaped:
            sender, sequence, _ = app.read(tx)
            sequences.setdefault(sender, []).append(sequence)
        for sender, got in sequences.items():
            first = app.committed.get(sender, 0)
            assert got == list(range(first, first + len(got)))
    assert reap_size(pool.reap(bytes_max=bytes_max, gas_max=-1)) <= bytes_max


@pytest.mark.parametrize("part", ["lanes", "senders", "shares"])
async def test_a_pool_that_failed_begins_anew(part: str) -> None:
    """Audit 29: whatever state it is in. Who waits is told, and may come again."""
    told: list[tuple[bytes, int]] = []
    failed: list[Exception] = []
    app = PayingApp()
    async with running(app, PoolConfig(txs_max=8, wait_ms_max=0)) as pool:
        pool.on_dropped(lambda key, why: told.append((key, why.code)))
        pool.on_failure(failed.append)
        sent = [*txs("a", 4), *txs("b", 3)]
        assert {answer.code for answer in await pool.submit_many(sent)} == {0}
        assert pool.offer([b"c:0"]) == [None]
        broken = {"lanes": pool._index.lanes, "senders": pool._index.senders, "shares": pool._shares._held[Origin.OWN]}
        broken[part].clear()  # type: ignore[attr-defined]
        with pytest.raises(KeyError) as error:
            pool.update(1, sent[:1], ok(1), app.commit(sent[:1]))
        pool.begin_anew(1, error.value)
        assert (pool.size, pool.byte_size, pool.queued, pool.room) == (0, 0, 1, 7)
        assert (failed, told) == ([error.value], [(sha256(tx), Refusal.FAILED) for tx in sent[1:]])
        assert {answer.code for answer in await pool.submit_many(sent[1:])} == {0}
        assert len(pool.reap(bytes_max=1 << 20, gas_max=-1)) == 7
        pool.update(2, sent[1:], ok(6), app.commit(sent[1:]))
        assert [entry.tx for entry in pool.entries()] == [b"c:0"]
