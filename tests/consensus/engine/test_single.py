"""One validator: blocks, transactions, stops between any two durable steps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.abci.interface import CommitResponse
from consensus.engine.incoming.inputs import PartIn, ProposalIn, VoteIn, decode_logged
from consensus.simulation.disk import SimulatedDisk
from consensus.stores.wal import Wal
from consensus.system.failpoints import FAIL_POINTS
from consensus.types.block import Block
from tests.support.engine.bench import Home, Node, StopAt, genesis_of, make_node, power_off, until
from tests.support.engine.kvapp import KeyValueApp


def signatures_of(node: Node) -> dict[tuple[int, int, int], set[bytes]]:
    """By height, round and step: the signatures that the log holds of our own."""
    found: dict[tuple[int, int, int], set[bytes]] = {}
    for record in node.wal.all_messages():
        logged = decode_logged(record)
        if isinstance(logged, VoteIn) and not logged.peer_id:
            key = (logged.vote.height, logged.vote.round, logged.vote.type)
            found.setdefault(key, set()).add(logged.vote.signature)
        elif isinstance(logged, ProposalIn) and not logged.peer_id:
            key = (logged.proposal.height, logged.proposal.round, 0)
            found.setdefault(key, set()).add(logged.proposal.signature)
    return found


async def test_blocks_follow_each_other_and_carry_transactions() -> None:
    genesis, home = genesis_of(1), Home()
    node = await make_node(genesis, 0, home)
    node.pool.add(b"a=1")
    await node.driver.start()
    await node.reach(3)
    node.pool.add(b"b=2")
    await until(lambda: node.app.pairs == {"a": "1", "b": "2"})
    await node.driver.stop()
    blocks, state = node.executor.blocks, genesis.state()
    for height in range(1, node.height + 1):
        block = blocks.load_block(height)
        assert isinstance(block, Block)
        meta = blocks.load_meta(height)
        assert meta is not None
        assert meta.block_id.hash == block.hash
        assert blocks.height_of_hash(block.hash) == height
        part = blocks.load_part(height, 0)
        assert part is not None
        assert part.bytes == blocks.load_block_bytes(height)
        assert (blocks.load_commit(height) is None) == (height == node.height)
    found = node.executor.states.find_tx(node_tx_hash(b"b=2"))
    assert found is not None
    block = blocks.load_block(found[0])
    assert block is not None
    assert block.txs[found[1]] == b"b=2"
    assert state.chain_id == node.driver.state.chain_id


def node_tx_hash(tx: bytes) -> bytes:
    from crypto.hash import sha256

    return sha256(tx)


def assert_logged(home: Home, point: str, before: dict[tuple[int, int, int], set[bytes]]) -> None:
    """What was about to leave is on the disk of a machine that lost all that was not synced."""
    assert isinstance(home.disk, SimulatedDisk)
    records = Wal(home.disk.crashed(), home.data / "cs.wal", now_ns=lambda: 0).all_messages()
    logged = [decode_logged(record) for record in records]
    if point == "vote logged":
        last = [one.vote for one in logged if isinstance(one, VoteIn)][-1]
        assert max(key for key in before if key[2]) == (last.height, last.round, last.type)
        return
    proposal = [one.proposal for one in logged if isinstance(one, ProposalIn)][-1]
    assert max(key[0] for key in before if not key[2]) == proposal.height
    parts = [one for one in logged if isinstance(one, PartIn) and one.height == proposal.height]
    assert len(parts) == proposal.block_id.part_set_header.total


@pytest.mark.parametrize(
    "kept_tail_bytes", [0, 7, 10**6], ids=["nothing more", "a torn record", "all that was written"]
)
@pytest.mark.parametrize("point", [point for point in FAIL_POINTS if point != "pruned"])
async def test_stop_at_each_durable_step_and_go_on(point: str, kept_tail_bytes: int) -> None:
    """Failures 3 and 21, design section 6: the same application hash, nothing lost (the index too) or signed twice."""
    genesis, home = genesis_of(1), Home()
    passage = {"vote signed": 5, "vote logged": 6}.get(point, 3)
    stop = StopAt(point, passage)
    node = await make_node(genesis, 0, home, fail_point=stop)
    for number in range(30):
        node.pool.txs.append(b"k%d=%d" % (number, number))
    await node.driver.start()
    async with asyncio.timeout(10):
        await stop.stopped.wait()
    await power_off(node)
    before, decided = signatures_of(node), node.executor.blocks.height
    signer = node.driver._signer
    last = None if signer is None else signer.last_vote(genesis.chain_id)
    assert last is not None or point == "proposal logged"
    crashed = home.crash(kept_tail_bytes)
    if point in ("vote logged", "proposal logged"):
        assert_logged(crashed, point, before)
    again = await make_node(genesis, 0, crashed)
    assert again.height == again.executor.blocks.height >= decided
    assert again.app.height == again.height
    assert again.driver.state.app_hash == again.app.app_hash
    await again.driver.start()
    again.pool.add(b"after=1")
    await until(lambda: "after" in again.app.pairs or bool(again.fatal))
    assert not again.fatal
    await again.driver.stop()
    for height in range(1, again.driver.state.last_block_height + 1):
        block = again.executor.blocks.load_block(height)
        assert block is not None
        found = [again.executor.states.find_tx(tx_hash) for tx_hash in block.data.tx_hashes]
        assert found == [(height, index) for index in range(len(found))], point
    after = signatures_of(again)
    for key in before.keys() & after.keys():
        assert len(before[key] | after[key]) == 1, key
    assert all(len(signatures) == 1 for signatures in after.values())
    if last is not None and last.height > decided:
        assert after[last.height, last.round, last.type] == {last.signature}  # signed, perhaps not logged; taken up


class Foreseeing(KeyValueApp):
    """Everything was touched, and only `k` calls for a recheck."""

    recheck: frozenset[bytes] | None = frozenset({b"k"})

    def commit(self) -> CommitResponse:
        return CommitResponse(super().commit().retain_height, self.recheck)


@pytest.mark.parametrize("recheck", [None, frozenset({b"k"})])
async def test_the_pool_rechecks_what_the_commit_leaves_of_what_was_touched(recheck: frozenset[bytes] | None) -> None:
    home = Home()
    app = Foreseeing(home.app)
    app.recheck = recheck
    node = await make_node(genesis_of(1), 0, home, app=app)
    told: list[frozenset[bytes] | None] = []
    update = node.pool.update

    def spy(height: int, txs: Any, results: Any, touched: frozenset[bytes] | None) -> None:
        told.append(touched)
        update(height, txs, results, touched)

    node.pool.update = spy  # type: ignore[method-assign]
    await node.driver.start()
    await node.reach(2)
    await node.driver.stop()
    assert set(told) == {recheck}


@pytest.mark.parametrize("part", ["reap", "update", "begin_anew"])
async def test_a_pool_that_fails_ends_no_consensus(part: str) -> None:
    """Audit 29: nor does one that can't begin anew; it lets go what it had, or it would fail for ever."""
    node = await make_node(genesis_of(1), 0, Home())
    lost: list[tuple[int, str]] = []

    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("what the application said")

    def begin_anew(height: int, error: Exception) -> None:
        lost.append((height, repr(error)))
        node.pool.txs.clear()
        if part == "begin_anew":
            fail()

    node.pool.begin_anew = begin_anew  # type: ignore[method-assign]
    setattr(node.pool, "update" if part == "begin_anew" else part, fail)
    node.pool.add(b"a=1")
    await node.driver.start()
    await node.reach(3)
    await node.driver.stop()
    assert lost[:2] == [
        (height, "KeyError('what the application said')") for height in range(part != "reap", 2 + (part != "reap"))
    ]
    assert node.app.pairs == ({} if part == "reap" else {"a": "1"})
