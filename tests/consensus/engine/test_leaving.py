"""A node leaves consensus for blocks that are synced, and takes it up again: where they end, or at the same height."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from consensus.core.events import NilReason, SignVote, Step, VoteKind
from consensus.formats.units import NS_PER_S
from consensus.types.vote import PRECOMMIT, PREVOTE
from tests.support.engine.bench import FAST, Home, Node, assert_equal_chains, genesis_of, make_node, until
from tests.support.engine.crashes import SignKey, collect_signatures
from tests.support.engine.driver import make_bench, own_votes
from tests.support.engine.memnet import MemoryNetwork

SYNCED = 8


async def sync_from(source: Node, node: Node, last: int) -> None:
    blocks = source.executor.blocks
    for height in range(node.height + 1, last + 1):
        block, parts, meta = blocks.load_block(height), blocks.load_parts(height), blocks.load_meta(height)
        commit = blocks.load_commit(height)
        assert block is not None
        assert parts is not None
        assert meta is not None
        assert commit is not None
        await node.driver.verify_ahead(block, meta.block_id, commit)
        await node.driver.apply_synced_block(block, meta.block_id, parts, commit)


@pytest.mark.parametrize("times", [1, 3])
async def test_who_left_takes_part_again_after_the_blocks_that_were_synced(times: int) -> None:
    genesis = genesis_of(4)
    nodes = [await make_node(genesis, index, Home(), config=FAST) for index in range(4)]
    network = MemoryNetwork(nodes)
    gossip = asyncio.create_task(network.resend_for_ever())
    await network.start()
    away = nodes[3]
    for _ in range(times):
        await network.reach(max(node.height for node in nodes) + 2)
        await away.driver.leave()
        assert not away.driver.is_running
        left = away.height
        for node in nodes[:3]:
            await node.reach(left + SYNCED + 3)
        assert away.height == left
        await sync_from(nodes[0], away, left + SYNCED)
        assert away.height == left + SYNCED
        await away.driver.start()
        await network.reach(max(node.height for node in nodes) + 3)
    state = away.driver.state
    ours = state.validators.index_of(away.driver._own.address)
    assert ours is not None

    def votes_again() -> bool:
        commit = nodes[0].executor.blocks.load_seen_commit(nodes[0].height)
        return commit is not None and commit.height > state.last_block_height and commit.signatures[ours].is_commit

    await until(votes_again)
    gossip.cancel()
    await network.stop()
    assert_equal_chains(nodes)
    signatures: dict[SignKey, set[bytes]] = defaultdict(set)
    collect_signatures(away.wal, signatures)
    assert {len(found) for found in signatures.values()} == {1}


async def test_the_same_height_is_taken_up_from_its_log_and_nothing_is_signed_twice() -> None:
    bench = await make_bench()
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    await bench.settle()
    assert own_votes(bench) == [(PREVOTE, block.block_id)]
    await bench.driver.leave()
    bench.driver.add_vote(bench.vote(bench.others[0], PREVOTE, block.block_id), "peer")  # is not heard
    await bench.driver.start()
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    for other in bench.others[:2]:
        bench.driver.add_vote(bench.vote(other, PREVOTE, block.block_id), "peer")
    await until(lambda: len(own_votes(bench)) == 2)
    assert own_votes(bench) == [(PREVOTE, block.block_id), (PRECOMMIT, block.block_id)]
    for other in bench.others[:2]:
        bench.driver.add_vote(bench.vote(other, PRECOMMIT, block.block_id), "peer")
    await bench.node.reach(1)
    await bench.driver.stop()
    assert bench.faults == []


async def test_leaving_waits_for_the_block_that_is_being_applied() -> None:
    genesis = genesis_of(1)
    node = await make_node(genesis, 0, Home(), config=FAST)
    await node.driver.start()
    for _ in range(20):
        await node.reach(node.height + 1)
        await node.driver.leave()
        stores = node.executor.blocks.height, node.executor.states.load(), node.app.height
        assert stores == (node.height, node.driver.state, node.height)
        await node.driver.start()
    await node.driver.stop()
    await node.driver.leave()  # at rest: nothing
    assert node.fatal == []


async def test_who_comes_back_signs_at_once_since_the_blocks_that_were_synced_showed_its_key_too() -> None:
    """A listening of its own each time kept a validator silent for so many heights more, for as long as it fell behind
    again; one whose vote was needed, for ever."""
    genesis = genesis_of(4)
    watched = dict.fromkeys(range(3), 0) | {3: 3}
    nodes = [await make_node(genesis, at, Home(), config=FAST, watch_heights=watched[at]) for at in range(4)]
    network, back = MemoryNetwork(nodes), nodes[3]
    gossip = asyncio.create_task(network.resend_for_ever())
    await network.start()
    signer = back.driver._signer
    assert signer is not None
    await until(lambda: signer.last_position[0] > 3)
    await back.driver.leave()
    await back.driver.start()
    vote = SignVote(VoteKind.PREVOTE, back.driver.state.next_height, 0, None, NilReason.NO_PROPOSAL)
    assert not back.driver._own.watch.puts_off(vote, back.driver._clock.monotonic_ns())
    gossip.cancel()
    await network.stop()


async def test_who_listens_for_its_key_and_leaves_listens_for_the_rest_of_the_time() -> None:
    node = await make_node(genesis_of(1), 0, Home(), config=FAST, watch_before_signing_ns=NS_PER_S // 2)
    await node.driver.start()
    watch, now_ns = node.driver._own.watch, node.driver._clock.monotonic_ns
    ends_ns = now_ns() + watch.left_ns(now_ns())
    await node.driver.leave()
    await node.driver.start()
    assert now_ns() + watch.left_ns(now_ns()) <= ends_ns + NS_PER_S // 10
    await until(lambda: node.height >= 1)
    await node.driver.stop()
    assert node.fatal == []
