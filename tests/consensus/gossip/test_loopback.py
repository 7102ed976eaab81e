"""Four real engines with real switches over loopback sockets: they agree, share transactions, catch up, and accuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consensus.core.events import VoteKind
from consensus.documents.genesis import GenesisDoc
from consensus.formats.units import NS_PER_MS
from consensus.system.clock import LoopClock
from consensus.types.vote import Vote
from tests.support.engine.bench import Home, assert_equal_chains, genesis_of, key_of, until
from tests.support.gossip.loopback import FullNode

COUNT = 4


class Net:
    def __init__(self, genesis: GenesisDoc, nodes: list[FullNode]) -> None:
        self.genesis, self.nodes = genesis, nodes

    async def start(self) -> None:
        for index, node in enumerate(self.nodes):
            await node.join(self.nodes[:index])
        await asyncio.gather(*(node.begin() for node in self.nodes))

    async def reach(self, height: int) -> None:
        await asyncio.gather(*(node.engine.reach(height) for node in self.nodes))


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    genesis = genesis_of(COUNT)
    net = Net(genesis, [await FullNode.make(genesis, index, Home()) for index in range(COUNT)])
    await net.start()
    yield net
    for node in net.nodes:
        await node.stop()


async def test_four_engines_agree_and_nothing_travels_twice(net: Net) -> None:
    """Failures 1 and 2; design section 5: at most 1.2 copies received, per part and per transaction."""
    for number in range(100):
        answer = await net.nodes[number % COUNT].pool.submit(b"k%d=%d" % (number, number))
        assert answer.code == 0
    await until(lambda: all(len(node.engine.app.pairs) == 100 for node in net.nodes))
    height = max(node.engine.height for node in net.nodes) + 20
    await net.reach(height)
    assert_equal_chains([node.engine for node in net.nodes])
    blocks = net.nodes[0].blocks()
    assert sorted(tx for block in blocks for tx in block.txs) == sorted(b"k%d=%d" % (n, n) for n in range(100))
    parts = sum(node.consensus.metrics.parts_received for node in net.nodes)
    wanted = sum(block.part_set().total for block in blocks[: height - 1]) * (COUNT - 1)
    assert parts <= 1.2 * wanted + COUNT * 5
    assert sum(node.mempool.metrics.received for node in net.nodes) <= 1.2 * 100 * (COUNT - 1)
    assert all(len(node.switch.peers) == COUNT - 1 for node in net.nodes)  # nobody was dropped


async def test_a_node_that_was_away_syncs_blocks_and_takes_part_again(net: Net) -> None:
    await net.reach(3)
    gone = net.nodes[COUNT - 1]
    await gone.stop()
    others = net.nodes[: COUNT - 1]
    ahead = max(node.engine.height for node in others) + 12
    for node in others:
        await node.engine.reach(ahead)
    back = await FullNode.make(net.genesis, COUNT - 1, gone.engine.home)
    net.nodes[COUNT - 1] = back
    await back.join(others)
    applied = await back.begin()
    assert applied >= 8
    await net.reach(ahead + 10)
    assert_equal_chains([node.engine for node in net.nodes])
    address = key_of(COUNT - 1).pub_key.address
    await until(lambda: any(block.header.proposer_address == address for block in back.blocks()[ahead:]))


async def test_equivocation_is_detected_gossiped_and_committed(net: Net) -> None:
    """Node 1 alone sees validator 0's second vote; every node's next blocks carry the evidence once."""
    await net.reach(2)
    net.nodes[0].engine.driver._own.watch.address = b""  # a liar does not stop when it sees itself
    witness, liar = net.nodes[1], key_of(0)
    index = witness.engine.driver.state.validators.index_of(liar.pub_key.address)
    assert index is not None

    def lie() -> bool:
        """Of the next height, so that it is there before the true vote."""
        height = witness.engine.driver.round_state.height + 1
        now = LoopClock().now_ns() + NS_PER_MS
        vote = Vote(
            VoteKind.PREVOTE, height, 0, timestamp_ns=now, validator_address=liar.pub_key.address, validator_index=index
        )
        signed = vote.signed(liar.sign(vote.sign_bytes(net.genesis.chain_id)))
        witness.engine.driver.add_vote(signed, "f" * 40)
        return any(block.evidence for block in net.nodes[2].blocks())

    await until(lie)
    height = max(node.engine.height for node in net.nodes) + 3
    await net.reach(height)
    assert_equal_chains([node.engine for node in net.nodes])
    accused = [item for node in net.nodes for block in node.blocks() for item in block.evidence]
    assert {item.vote_a.validator_address for item in accused} == {liar.pub_key.address}  # type: ignore[union-attr]
    of_one = [item.hash for block in net.nodes[3].blocks() for item in block.evidence]
    assert len(set(of_one)) == len(of_one)
    assert all(len(node.switch.peers) == COUNT - 1 for node in net.nodes)
