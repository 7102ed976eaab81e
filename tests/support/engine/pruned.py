"""A recorded chain, saved again block by block into stores that are struck at a write, and pruned meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.abci.interface import Slices
from consensus.pruning.blocks import BlockPruning
from consensus.simulation.disk import Stopped
from consensus.simulation.home import SimStore
from consensus.state.state import State
from consensus.stores.block_store import META, BlockStore
from consensus.stores.state_store import RESULTS, TX, StateStore
from consensus.types.block import Block, Commit
from tests.support.engine.bench import Home, genesis_of, make_node

KEPT = 5
NEVER = 1 << 62


@dataclass(frozen=True)
class Recorded:
    """Of each height from 1 on: the block, its commit, the application's answer, the state after it."""

    genesis: State
    blocks: Sequence[Block]
    commits: Sequence[Commit]
    responses: Sequence[bytes]
    states: Sequence[State]


async def record(heights: int, *, txs: int = 3) -> Recorded:
    home = Home()
    node = await make_node(genesis_of(1), 0, home)
    genesis = node.driver.state
    node.pool.txs = [b"k%d=%d" % (number, number) for number in range(heights * txs)]
    node.pool.per_block = txs
    saved: list[tuple[Block, Commit, State]] = []
    node.driver.add_saved_listener(Recorder(saved))
    await node.driver.start()
    await node.reach(heights)
    await node.driver.stop()
    states = node.executor.states
    found = saved[:heights]
    responses = [states.load_encoded(block.height) or b"" for block, _, _ in found]
    return Recorded(
        genesis,
        [block for block, _, _ in found],
        [commit for _, commit, _ in found],
        responses,
        [state for _, _, state in found],
    )


class Recorder:
    def __init__(self, into: list[tuple[Block, Commit, State]]) -> None:
        self._into = into

    def block_saved(self, saved: object) -> None:
        self._into.append((saved.block, saved.commit, saved.state))  # type: ignore[attr-defined]


class Struck:
    """Stops at the n-th touch of a store. 0: never, and counts."""

    def __init__(self, at: int) -> None:
        self.at, self.touches = at, 0

    def __call__(self, what: str) -> None:
        self.touches += 1
        if self.touches == self.at:
            raise Stopped(what)


class PrunedNode:
    """Block store, state store and their pruning, over stores that remember what was not synced."""

    def __init__(self, recorded: Recorded, blocks: SimStore, states: SimStore, strike: Callable[[str], None]) -> None:
        self.recorded, self.dbs = recorded, (blocks, states)
        for db in self.dbs:
            db.touch = strike
        self.blocks, self.states = BlockStore(blocks), StateStore(states)
        if self.states.load() is None:
            self.states.save(recorded.genesis, all_sets=True)
        self.retain = 0
        self.pruning = BlockPruning(
            self.blocks,
            self.states,
            retain_height=lambda: self.retain,
            evidence_floor=lambda: NEVER,
            kept_min=1,
            slack_bytes=2_000,
        )

    @property
    def height(self) -> int:
        state = self.states.load()
        assert state is not None
        return state.last_block_height

    def save_next(self) -> None:
        """The next block in the durable order, each step synced."""
        height = self.height + 1
        block, recorded = self.recorded.blocks[height - 1], self.recorded
        if self.blocks.height < height:
            self.blocks.save(block, block.part_set(), recorded.commits[height - 1])
        self.states.save_response(height, recorded.responses[height - 1], block.data.tx_hashes)
        self.states.save(recorded.states[height - 1])

    def begin(self) -> Slices[bool]:
        state = self.states.load()
        assert state is not None
        self.retain = max(0, state.last_block_height - KEPT + 1)
        return self.pruning.begin(state)

    def crashed_by(self, rng: random.Random, strike: Callable[[str], None]) -> PrunedNode:
        """What a machine that stops leaves: of each store a prefix of what was not synced."""
        blocks, states = (db.crashed_by(rng) for db in self.dbs)
        return PrunedNode(self.recorded, blocks, states, strike)

    # -------------------------------------------------------------------------------------------------- judging

    def check(self) -> None:
        """Each height from the base on is whole, and no more is said to be there."""
        blocks, states = self.blocks, self.states
        for height in range(max(1, blocks.base), self.height + 1):
            block, want = blocks.load_block(height), self.recorded.blocks[height - 1]
            assert block == want, height
            meta, commit = blocks.load_meta(height), blocks.load_seen_commit(height)
            assert meta is not None
            assert commit == self.recorded.commits[height - 1]
            assert blocks.height_of_hash(block.hash) == height
            assert states.load_encoded(height) == self.recorded.responses[height - 1], height
            validators, params = states.load_validators(height), states.load_params(height)
            assert validators is not None
            assert validators.hash == block.header.validators_hash
            assert params is not None
            assert params.hash == block.header.consensus_hash
            for index, tx_hash in enumerate(block.data.tx_hashes):
                assert states.find_tx(tx_hash) == (height, index)

    def leftovers(self) -> list[bytes]:
        """Keys of heights below the base on disk, in both stores."""
        blocks, states = self.dbs
        base = self.blocks.saved_base
        found = [key for key, _ in blocks.scan(META, META + base.to_bytes(8, "big"))]
        found += [key for key, _ in states.scan(RESULTS, RESULTS + base.to_bytes(8, "big"))]
        found += [key for key, place in states.scan(TX, TX + b"\xff") if int.from_bytes(place[:8], "big") < base]
        return found

    def close(self) -> None:
        for db in self.dbs:
            db.close()
