"""Proposals whose bytes would become a thousand times their worth: the node goes on, and makes nothing of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from consensus.core.core import BlockState
from consensus.core.events import Elapsed, Step
from consensus.engine.incoming.inputs import TimedOut
from consensus.engine.round_state import INLINE_BYTES_MAX
from consensus.formats.errors import InvalidPart
from consensus.formats.wire import message_field
from consensus.system.clock import InlineWorkers, ThreadWorkers
from consensus.types.block import Block
from consensus.types.commit import CommitSig
from consensus.types.evidence import DuplicateVoteEvidence
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, Part, PartSet
from consensus.types.vote import PREVOTE
from crypto import merkle
from tests.support.engine.bench import until
from tests.support.engine.driver import PATIENT, Bench, make_bench, own_votes, power_off

EMPTY_VOTES = b"\x0a\x06\x0a\x04\x0a\x00\x12\x00"
FAT: dict[str, bytes] = {
    "evidence": b"\x1a" + EMPTY_VOTES * 50_000,
    "transactions": b"\x12" + b"\x0a\x00" * 200_000,
    "signatures": b"\x22" + b"\x22\x00" * 200_000,
}


class Made:
    """Counts what decoding makes of a block."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blocks = self.items = 0
        whole, evidence, slot = Block.from_proto, DuplicateVoteEvidence.from_proto, CommitSig.from_proto

        def from_proto(message: Any) -> Block:
            self.blocks += 1
            return whole(message)

        def counted(inner: Any) -> Any:
            def make(message: Any) -> Any:
                self.items += 1
                return inner(message)

            return staticmethod(make)

        monkeypatch.setattr(Block, "from_proto", staticmethod(from_proto))
        monkeypatch.setattr(DuplicateVoteEvidence, "from_proto", counted(evidence))
        monkeypatch.setattr(CommitSig, "from_proto", counted(slot))


async def propose(bench: Bench, parts: PartSet, block_hash: bytes) -> BlockID:
    """By whose turn it is; its parts from a peer, to the prevote."""
    block_id = BlockID(block_hash, parts.header)
    bench.driver.add_proposal(bench.proposal(block_id), "peer")
    for index in range(parts.total):
        part = parts.get(index)
        assert part is not None
        bench.driver.add_part(1, 0, part, "peer")
        if index % 20 == 19:
            await bench.settle()
    await until(lambda: bench.driver.core.step is not Step.PROPOSE)
    return block_id


@pytest.mark.parametrize("name", FAT)
async def test_a_fat_block_is_voted_nil_before_anything_is_made_of_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 21: 8 MB of evidence of one proposer, not even valid, held every node's loop for 14 s and took 743 MB."""
    bench = await make_bench()
    made = Made(monkeypatch)
    key, content = FAT[name][:1], FAT[name][1:]
    block = bench.block(())
    raw = message_field(b"\x0a", block.header.encode()) + message_field(key, content)
    block_id = await propose(bench, PartSet.from_bytes(raw), block.hash)
    assert bench.driver.core.block_state(block_id) is BlockState.INVALID
    assert (made.blocks, made.items) == (0, 0)
    assert own_votes(bench) == [(PREVOTE, BlockID())]
    assert bench.node.fatal == []
    await bench.driver.stop()


@pytest.mark.parametrize("size", [500, 1_000_000])
@pytest.mark.parametrize("where", ["block", "data", "evidence", "last commit"])
async def test_what_nobody_pays_for_does_not_fill_a_block(where: str, size: int) -> None:
    """audit 21: a valid block with 21 MB in a field that nobody knows was voted for, and every node stored it."""
    bench = await make_bench()
    block = bench.block((b"k=v",))
    assert block.last_commit is not None
    pieces = {"header": block.header, "data": block.data, "last commit": block.last_commit}
    encoded = {name: piece.encode() for name, piece in pieces.items()} | {"evidence": b"", "block": b""}
    encoded[where] += message_field(b"\x7a", bytes(size))
    keys = {"header": b"\x0a", "data": b"\x12", "evidence": b"\x1a", "last commit": b"\x22"}
    raw = b"".join(message_field(key, encoded[name]) for name, key in keys.items()) + encoded["block"]
    block_id = await propose(bench, PartSet.from_bytes(raw), block.hash)
    assert own_votes(bench) == [(PREVOTE, block_id if size == 500 else BlockID())]
    assert bench.node.fatal == []
    await power_off(bench.node)


async def test_of_another_block_than_the_named_one_only_the_header_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: the id was compared after all was decoded."""
    bench = await make_bench()
    made = Made(monkeypatch)
    block = bench.block((b"k=v",) * 100)
    block_id = await propose(bench, block.part_set(), b"\x01" * 32)
    assert bench.driver.core.block_state(block_id) is BlockState.INVALID
    assert made.blocks == 0
    await bench.driver.stop()


async def test_the_log_of_a_fat_block_is_replayed_as_cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: a restart decoded it once more."""
    bench = await make_bench()
    block = bench.block(())
    raw = message_field(b"\x0a", block.header.encode()) + message_field(b"\x1a", FAT["evidence"][1:])
    block_id = await propose(bench, PartSet.from_bytes(raw), block.hash)
    await bench.driver.stop()
    made = Made(monkeypatch)
    again = await make_bench(home=bench.node.home)
    await until(lambda: again.driver.core.step is not Step.PROPOSE)
    assert again.driver.core.block_state(block_id) is BlockState.INVALID
    assert made.items == 0
    await again.driver.stop()


async def test_a_large_block_is_decoded_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 20 and 21: a full block of the least transactions, or an attack that names 10,000 validators, held the
    loop for 50 to 100 ms, once a proposer's turn."""
    workers = ThreadWorkers()
    bench = await make_bench(workers=workers)
    places: list[bool] = []
    decode = Block.from_proto

    def noted(message: Any) -> Block:
        places.append(threading.current_thread() is threading.main_thread())
        return decode(message)

    block = bench.block((b"k=" + bytes(INLINE_BYTES_MAX),))
    monkeypatch.setattr(Block, "from_proto", staticmethod(noted))
    await propose(bench, block.part_set(), block.hash)
    await until(lambda: bench.driver.core.block_state(block.block_id) is not BlockState.MISSING)
    assert places == [False]
    await bench.driver.stop()
    workers.close()


class HeldWorkers(InlineWorkers):
    """Work for threads is done when the test says so."""

    def __init__(self) -> None:
        self._held: list[tuple[asyncio.Future[Any], Callable[[], Any]]] = []

    def run(self, work: Callable[[], Any]) -> Any:
        done = asyncio.get_running_loop().create_future()
        self._held.append((done, work))
        return done

    def run_disk(self, work: Callable[[], Any]) -> Any:
        return InlineWorkers.run(self, work)

    def release(self) -> None:
        held, self._held = self._held, []
        for done, work in held:
            if not done.done():
                done.set_result(work())


async def test_a_block_that_is_read_while_its_round_ends_is_judged_in_the_next() -> None:
    """The next round proposes it again, and nobody sends its parts a second time."""
    workers = HeldWorkers()
    bench = await make_bench(workers=workers, config=replace(PATIENT, timeout_propose_ms=60_000))
    block = bench.block((b"k=" + b"v" * INLINE_BYTES_MAX,))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    again = bench.proposal(block.block_id, by=bench.validators.proposer(1), round=1)
    bench.driver.add_proposal(again, "another")
    await bench.settle()
    workers.release()
    bench.driver._push(TimedOut(Elapsed(Step.PRECOMMIT, 1, 0), 0))  # taken before what the decoding has to tell
    for _ in range(3):
        await bench.settle()

    def voted() -> bool:
        workers.release()
        return bool(own_votes(bench))

    await until(voted)
    assert own_votes(bench) == [(PREVOTE, block.block_id)]
    assert bench.driver.core.round == 1
    await power_off(bench.node)


def propose_elapsed(bench: Bench) -> None:
    bench.driver._push(TimedOut(Elapsed(Step.PROPOSE, 1, 0), 0))


async def released(bench: Bench, workers: HeldWorkers, votes: int) -> list[tuple[int, BlockID]]:
    """Our votes, once there are so many."""

    def voted() -> bool:
        workers.release()
        return len(own_votes(bench)) >= votes

    await until(voted)
    return own_votes(bench)


@pytest.mark.parametrize("when", ["while it is read", "before what was read is told"])
async def test_a_block_whose_last_part_came_in_time_is_waited_for_while_it_is_read(when: str) -> None:
    """audit 27: on machines that read a full block for longer than was left of the time-out, every round ended nil."""
    workers = HeldWorkers()
    bench = await make_bench(workers=workers)
    block = bench.block((b"k=" + b"v" * INLINE_BYTES_MAX,))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await bench.settle()
    if when == "while it is read":
        propose_elapsed(bench)
        await bench.settle()
        assert own_votes(bench) == []
        assert bench.logged(TimedOut) == [], "a replay reads the block before it takes the time-out"
    else:
        workers.release()
        propose_elapsed(bench)
    assert await released(bench, workers, 1) == [(PREVOTE, block.block_id)]
    await power_off(bench.node)


async def test_what_was_read_and_is_no_block_gets_nil_and_so_does_what_lacks_a_part() -> None:
    """audit 27: a proposer that lies gains no more than the time to read what it sent."""
    workers = HeldWorkers()
    bench = await make_bench(workers=workers)
    header = message_field(b"\x0a", bench.block(()).header.encode())
    raw = header + message_field(b"\x12", message_field(b"\x0a", b"v" * INLINE_BYTES_MAX) + b"\x0f")
    parts = PartSet.from_bytes(raw)
    bench.driver.add_proposal(bench.proposal(BlockID(bench.block(()).hash, parts.header)), "peer")
    for index in range(parts.total):
        part = parts.get(index)
        assert part is not None
        bench.driver.add_part(1, 0, part, "peer")
    await bench.settle()
    propose_elapsed(bench)
    await bench.settle()
    assert own_votes(bench) == []
    assert await released(bench, workers, 1) == [(PREVOTE, BlockID())]
    await power_off(bench.node)

    lacking = await make_bench(workers=workers)
    block = lacking.block((b"k=" + b"v" * INLINE_BYTES_MAX,))
    parts = block.part_set()
    lacking.driver.add_proposal(lacking.proposal(block.block_id), "peer")
    for index in range(parts.total - 1):
        part = parts.get(index)
        assert part is not None
        lacking.driver.add_part(1, 0, part, "peer")
    await lacking.settle()
    propose_elapsed(lacking)
    assert await released(lacking, workers, 1) == [(PREVOTE, BlockID())]
    await power_off(lacking.node)


async def test_a_block_with_an_empty_last_part_is_not_voted_for() -> None:
    """audit 26: it was decided, and no store could serve it: whoever synced blamed the honest who tried."""
    bench = await make_bench()
    size = PART_BYTES
    while len(data := bench.block((b"k=" + b"v" * size,)).encode()) != PART_BYTES:
        size -= len(data) - PART_BYTES
    root, proofs = merkle.proofs([data, b""])
    block_id = BlockID(bench.block((b"k=" + b"v" * size,)).hash, PartSetHeader(2, root))
    bench.driver.add_proposal(bench.proposal(block_id), "peer")
    bench.driver.add_part(1, 0, Part(0, data, proofs[0]), "peer")
    with pytest.raises(InvalidPart, match="empty"):  # as it comes from a peer
        Part.decode(Part(1, b"", proofs[1]).encode())
    bench.driver.add_part(1, 0, Part(1, b"", proofs[1]), "peer")  # and were it to come in all the same
    await bench.settle()
    assert block_id not in bench.driver.round_state.blocks
    assert own_votes(bench) == []
    await power_off(bench.node)


async def test_a_full_block_is_built_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: of our own block of 21 MB the parts alone took the loop 65 ms, its transactions' hashes twice that."""
    workers = ThreadWorkers()
    bench = await make_bench(workers=workers)
    hashed: list[bool] = []
    proofs = merkle.proofs

    def noted(items: Any) -> Any:
        hashed.append(threading.current_thread() is threading.main_thread())
        return proofs(items)

    monkeypatch.setattr(merkle, "proofs", noted)
    state, executor = bench.driver.state, bench.node.executor
    for txs in ([b"k%d=v" % index for index in range(1_000)], [b"k=" + bytes(INLINE_BYTES_MAX)]):
        monkeypatch.setattr(executor.pool, "reap", lambda txs=txs, **_: list(txs))
        await executor.build(state, None, state.validators[0].address)
    assert hashed == [False, False]
    await bench.driver.stop()
    workers.close()


async def test_a_full_block_is_hashed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: 80,000 transactions within the bounds were hashed on the loop, 0.2 s of it."""
    workers = ThreadWorkers()
    bench = await make_bench(workers=workers)
    hashed: list[bool] = []
    root = merkle.root

    def noted(items: Any) -> bytes:
        if len(items) >= 1_000:
            hashed.append(threading.current_thread() is threading.main_thread())
        return root(items)

    block = bench.block(tuple(b"k%d=v" % index for index in range(1_000)))
    block_id = block.block_id
    monkeypatch.setattr(merkle, "root", noted)
    await propose(bench, block.part_set(), block.hash)
    await until(lambda: bench.driver.core.block_state(block_id) is BlockState.VALID)
    assert hashed == [False]
    await bench.driver.stop()
    workers.close()
