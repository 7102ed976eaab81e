"""Known failure 17: going back a height makes exactly the state before, and the block is executed again."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from consensus.documents.genesis import GenesisDoc
from consensus.engine.interfaces import SavedBlock
from consensus.execution.rollback import RollbackError, rollback, state_before
from consensus.node.commit_watch import OnSaved
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from tests.support.engine.bench import Home, genesis_of, key_of, make_node, until

LAST = 8


async def chain_of_one(home: Home) -> tuple[GenesisDoc, list[State], dict[int, bytes]]:
    """The states after each height, with a validator that comes, changes and goes; the application's records."""
    genesis = genesis_of(1)
    node = await make_node(genesis, 0, home)
    seen: list[State] = []
    records: dict[int, bytes] = {}

    def saved(block: SavedBlock) -> None:
        seen.append(block.state)
        records[block.height] = home.app.get(b"app") or b""

    node.driver.add_saved_listener(OnSaved(saved))
    await node.driver.start()
    newcomer = key_of(7).pub_key.bytes.hex()
    for height, power in ((2, 1), (4, 2), (6, 0)):
        await node.reach(height - 1)
        node.pool.add(b"val:%s=%d" % (newcomer.encode(), power))
        await until(lambda: not node.pool.txs)  # committed: two changes of one key fit in no block
    await node.reach(max(LAST, node.height + 1))
    await node.driver.stop()
    return genesis, seen, records


async def test_the_state_before_is_exactly_what_it_was() -> None:
    home = Home()
    _, states, _ = await chain_of_one(home)
    blocks, store = BlockStore(home.blocks), StateStore(home.state)
    for before, after in itertools.pairwise(states):
        made = state_before(after, blocks, store)
        # when the sets changed last is known as a bound alone, as in CometBFT; nothing is computed from it
        assert before.last_height_validators_changed <= made.last_height_validators_changed <= before.next_height + 1
        made = replace(made, last_height_validators_changed=before.last_height_validators_changed)
        assert made.encode() == before.encode(), after.last_block_height
    with pytest.raises(RollbackError, match="nothing to go back to"):
        state_before(states[0], blocks, store)


async def test_the_last_block_is_executed_again_to_the_same_state() -> None:
    home = Home()
    genesis, states, records = await chain_of_one(home)
    latest = states[-1]
    height = latest.last_block_height
    blocks = BlockStore(home.blocks)
    home.app.write([(b"app", records[height - 1])])  # the application goes back by itself
    made = rollback(home.state, blocks, StateStore(home.state))
    assert made.last_block_height == height - 1
    assert rollback(home.state, blocks, StateStore(home.state)).encode() == made.encode()  # one height, however often
    node = await make_node(genesis, 0, home)
    again = node.driver.state
    assert (node.app.executions, again.last_block_height) == (1, height)
    assert (again.app_hash, again.validators, again.next_validators) == (
        latest.app_hash, latest.validators, latest.next_validators
    )  # fmt: skip
    await node.driver.start()
    await node.reach(height + 2)
    await node.driver.stop()
