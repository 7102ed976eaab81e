"""An application that wants no more blocks: every engine leaves between two heights, and another build goes on."""

from __future__ import annotations

import pytest

from consensus.abci.interface import BlockRequest, HaltReason, HaltRequested, ProcessProposalResponse, Slices
from consensus.documents.genesis import GenesisDoc
from tests.support.engine.bench import FAST, Home, Node, assert_equal_chains, genesis_of, make_node, until
from tests.support.engine.kvapp import KeyValueApp
from tests.support.engine.memnet import MemoryNetwork

LAST = 5
COUNT = 4


class HaltsAhead(KeyValueApp):
    """Says beforehand that it will not execute LAST + 1, as an upgrade's height is known."""

    def halt_before(self, height: int) -> HaltRequested | None:
        if height <= LAST:
            return None
        return HaltRequested("another build is wanted", height=height, reason=HaltReason.UPGRADE_NEEDED)


class HaltsAtTheBlock(KeyValueApp):
    """Finds out by the block, as of a time."""

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        if request.height > LAST:
            raise HaltRequested("it is time", height=request.height, reason=HaltReason.CONFIGURED)
        return (yield from super().process_proposal(request))


async def network_of(genesis: GenesisDoc, homes: list[Home], kind: type[KeyValueApp]) -> MemoryNetwork:
    nodes: list[Node] = [
        await make_node(genesis, index, home, config=FAST, app=kind(home.app)) for index, home in enumerate(homes)
    ]
    return MemoryNetwork(nodes)


@pytest.mark.parametrize("kind", [HaltsAhead, HaltsAtTheBlock])
async def test_all_leave_before_the_block_and_go_on_with_another_build(kind: type[KeyValueApp]) -> None:
    """Known failure 16: nobody overshoots, nothing is lost, and what was signed does not stand in the way."""
    genesis, homes = genesis_of(COUNT), [Home() for _ in range(COUNT)]
    network = await network_of(genesis, homes, kind)
    await network.start()
    await until(lambda: all(node.driver.halted is not None for node in network.nodes))
    assert [node.height for node in network.nodes] == [LAST] * COUNT
    for node in network.nodes:
        assert node.driver.halted is not None
        assert node.driver.halted.height == LAST + 1
        assert (node.driver.failure, node.fatal, node.driver.is_running) == (None, [], False)
        assert node.executor.blocks.height == LAST  # not even stored
    await network.stop()
    again = await network_of(genesis, homes, KeyValueApp)
    await again.start()
    await again.reach(LAST + 3)
    await again.stop()
    assert_equal_chains(again.nodes)


async def test_a_block_that_is_synced_is_not_stored_either() -> None:
    genesis, homes = genesis_of(COUNT), [Home() for _ in range(COUNT)]
    network = await network_of(genesis, homes, KeyValueApp)
    await network.start()
    await network.reach(LAST + 2)
    await network.stop()
    late = await make_node(genesis, None, Home(), app=HaltsAhead(Home().app))
    blocks = network.nodes[0].executor.blocks
    for height in range(1, LAST + 2):
        block, meta, parts = blocks.load_block(height), blocks.load_meta(height), blocks.load_parts(height)
        commit = blocks.load_commit(height)
        assert block is not None
        assert meta is not None
        assert parts is not None
        assert commit is not None
        if height <= LAST:
            await late.driver.apply_synced_block(block, meta.block_id, parts, commit)
        else:
            with pytest.raises(HaltRequested):
                await late.driver.apply_synced_block(block, meta.block_id, parts, commit)
    assert (late.height, late.executor.blocks.height) == (LAST, LAST)
