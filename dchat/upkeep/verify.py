"""Is everything in a node's databases as the chain has it? Walks every block, commit, result, index entry and tree.

A block follows its predecessor and has the parts that were voted for; its commit is signed by +2/3 of the set that its
header names; the results give what the next header says, and so does each kept version of the state; the indexes lead
to what they are of; the state's trees hold every value and nothing beside (`chain.state.audit`).
What was pruned is no fault: results may be missing until the first are there, and the index with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chain.state import audit
from chain.state.errors import StateError
from chain.state.store import Stores
from consensus.abci.interface import FinalizeBlockResponse
from consensus.formats.errors import InvalidData
from consensus.state.results import results_hash
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.event_index import entries_of
from consensus.stores.state_store import StateStore
from consensus.types.block import Block, BlockMeta
from consensus.types.commits import verify_commit
from consensus.types.header import Header
from dchat.upkeep.copies import Copy
from storage.errors import StorageError

TREE_EVERY: Final = 1_000  # records between two steps


@dataclass(frozen=True, slots=True)
class Step:
    """What was looked at: where in it, out of how much (0: not known); what is wrong, if anything."""

    what: str
    at: int
    of: int
    wrong: str = ""


def verify(copy: Copy) -> Iterator[Step]:
    """Raises nothing for what is damaged: it is told, and the walk goes on where it can."""
    try:
        blocks, states, stores = BlockStore(copy.blocks), StateStore(copy.state), Stores(copy.app)
        state = states.load()
    except StorageError as error:
        yield Step("databases", 0, 0, str(error))
        return
    if state is None:
        yield Step("databases", 0, 0, "" if not blocks.height else "there are blocks, and no state")
        return
    walk = _Walk(blocks, states, stores, state)
    for height in range(blocks.base, blocks.height + 1) if blocks.height else ():
        for wrong in walk.block(height):
            yield Step("blocks", height, blocks.height, wrong)
        yield Step("blocks", height, blocks.height)
    for wrong in walk.ends():
        yield Step("state", state.last_block_height, 0, wrong)
    yield from _trees(copy)


def _trees(copy: Copy) -> Iterator[Step]:
    number = 0
    try:
        for number, fault in enumerate(audit.audit(copy.app.snapshot()), 1):
            if fault is not None:
                yield Step("trees", number, 0, f"database app, {fault}")
            elif number % TREE_EVERY == 0:
                yield Step("trees", number, 0)
    except StorageError as error:
        yield Step("trees", number, 0, str(error))
    yield Step("trees", number, 0)


class _Walk:
    def __init__(self, blocks: BlockStore, states: StateStore, stores: Stores, state: State) -> None:
        self._blocks, self._states, self._stores, self._state = blocks, states, stores, state
        self._before: BlockMeta | None = None
        self._has_results = False

    def block(self, height: int) -> Iterator[str]:
        """What is wrong with the block, and with what is kept of it."""
        try:
            meta, block = self._blocks.load_meta(height), self._blocks.load_block(height)
            if meta is None or block is None:
                yield f"database blocks, block {height}: it is missing"
                self._before = None
                return
            self._blocks.load_parts(height)
            yield from self._links(meta, block)
            yield from self._commit(meta)
            yield from self._results(meta, block)
            self._before = meta
        except StorageError as error:
            self._before = None
            yield str(error)

    def _links(self, meta: BlockMeta, block: Block) -> Iterator[str]:
        height, header, before = meta.header.height, meta.header, self._before
        where = f"database blocks, block {height}"
        if block.hash != meta.block_id.hash:
            yield f"{where}: it hashes to {block.hash.hex()}, and its header to {meta.block_id.hash.hex()}"
        if (found := self._blocks.height_of_hash(meta.block_id.hash)) != height:
            yield f"{where}: the index of hashes leads to {found}"
        if before is not None and header.last_block_id != before.block_id:
            told = header.last_block_id.hash.hex()
            yield f"{where}: it follows {told}, and before it is {before.block_id.hash.hex()}"
        if before is not None and block.last_commit != self._blocks.load_commit(height - 1):
            yield f"database blocks, commit of block {height - 1}: it is not the one that block {height} has"

    def _commit(self, meta: BlockMeta) -> Iterator[str]:
        height, header = meta.header.height, meta.header
        where = f"database blocks, commit of block {height}"
        is_last = height == self._blocks.height
        commit = self._blocks.load_seen_commit(height) if is_last else self._blocks.load_commit(height)
        if commit is None:
            yield f"{where}: it is missing"
            return
        validators = self._states.load_validators(height)
        if validators is None:
            return  # pruned
        if validators.hash != header.validators_hash:
            yield f"database state, validators of {height}: the header says {header.validators_hash.hex()}"
            return
        try:
            verify_commit(self._state.chain_id, validators, commit, block_id=meta.block_id, height=height)
        except InvalidData as error:
            yield f"{where}: {error}"

    def _results(self, meta: BlockMeta, block: Block) -> Iterator[str]:
        height = meta.header.height
        if height > self._state.last_block_height:
            return  # not executed yet
        after = self._header_after(height)
        response = self._states.load_response(height)
        if response is None:
            if self._has_results:
                yield f"database state, results of block {height}: they are missing"
            return
        self._has_results = True
        results, app_hash = (
            (self._state.last_results_hash, self._state.app_hash)
            if after is None
            else (after.last_results_hash, after.app_hash)
        )
        if results_hash(response.tx_results) != results or response.app_hash != app_hash:
            yield f"database state, results of block {height}: they are not those that the chain has"
        for index, tx_hash in enumerate(block.data.tx_hashes):
            found = self._states.find_tx(tx_hash)
            if found != (height, index):  # it was written with the results, in one batch, and goes before them
                yield f"database state, index of transaction {tx_hash.hex()}: it leads to {found}, not {height}/{index}"
        if wrong := self._events(height, response):
            yield f"database state, index of events of block {height}: {wrong} entries are missing, or lead elsewhere"
        if self._stores.earliest_version <= height <= self._stores.latest_version:
            try:
                got = self._stores.at(height).app_hash
            except (StateError, StorageError) as error:
                yield f"database app, version {height}: {error}"
            else:
                if got != app_hash:
                    yield f"database app, version {height}: its app hash is {got.hex()}, the chain's {app_hash.hex()}"

    def _events(self, height: int, response: FinalizeBlockResponse) -> int:
        """How many entries are not there, of a block that the index should have."""
        whole, db = self._states.indexed, self._states.events
        if whole is None or not whole.first <= height <= whole.last:
            return 0
        return sum(db.get(key) != value for key, value in entries_of(height, response))

    def _header_after(self, height: int) -> Header | None:
        if height >= self._state.last_block_height:
            return None
        meta = self._blocks.load_meta(height + 1)
        return None if meta is None else meta.header

    def ends(self) -> Iterator[str]:
        """Whether the three databases fit together, as a start would find."""
        state, height = self._state, self._state.last_block_height
        meta = self._blocks.load_meta(height) if self._blocks.base <= height <= self._blocks.height else None
        if meta is not None and meta.block_id != state.last_block_id:
            ours, theirs = state.last_block_id.hash.hex(), meta.block_id.hash.hex()
            yield f"database state: its last block is {ours}, the blocks' {theirs}"
        if self._blocks.height < height:
            yield f"database blocks: they end at {self._blocks.height}, and the state is at {height}"
        if self._stores.latest_version > max(self._blocks.height, height):
            yield f"database app: it is at {self._stores.latest_version}, above the blocks' {self._blocks.height}"
        if self._stores.latest_version == height and self._stores.app_hash != state.app_hash:
            yield f"database app: its app hash is {self._stores.app_hash.hex()}, the state's {state.app_hash.hex()}"
