"""A node's own word of its blocks: from its databases, and from what it remembers or has saved of their execution."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from chain.state.errors import StateError
from chain.state.store import Stores
from chain.state.view import View
from chain.trail.kept import KeptBlock, KeptTrails
from chain.trail.steps import BlockTrail, steps_of, trail_writes
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.types.block import Block, BlockMeta
from consensus.types.validators import EMPTY_SET, ValidatorSet
from dchat.autopsy.again import execute_again, told
from dchat.autopsy.errors import NoTrail
from dchat.autopsy.files import SAVED_AT_ONCE, TrailFiles

NO_ROOTS: Final[Mapping[str, bytes]] = {}


class OwnTrails:
    """From any thread. kept: of the running process. files: of one that ended."""

    def __init__(
        self,
        blocks: BlockStore,
        states: StateStore,
        stores: Stores,
        *,
        kept: KeptTrails | None = None,
        files: TrailFiles | None = None,
    ) -> None:
        self._blocks, self._states, self._stores = blocks, states, stores
        self._kept, self._files = kept or KeptTrails(0), files
        self._last: BlockTrail | None = None  # that was made: an answer is asked for in pages
        self._making = threading.Lock()

    @property
    def kept_blocks(self) -> int:
        return len(self._kept.heights())

    @property
    def kept_writes(self) -> int:
        return self._kept.writes

    @property
    def highest(self) -> int:
        return min(self._stores.latest_version, self._blocks.height)

    @property
    def lowest(self) -> int:
        return max(1, self._blocks.base)

    def head(self, height: int) -> BlockTrail:
        """Without steps. Raises NoTrail, StorageError."""
        meta = self._meta(height)
        version = self._version(height)
        if version is not None:
            return BlockTrail(height, meta.block_id.hash, version.app_hash, version.roots, ())
        after = self._blocks.load_meta(height + 1) if height < self._blocks.height else None
        if after is None:
            raise NoTrail(f"what the state was after block {height} is not known here")
        return BlockTrail(height, meta.block_id.hash, after.header.app_hash, NO_ROOTS, ())

    def header_app_hash(self, height: int) -> bytes:
        """What the chain says the state was after block `height`: of the header above it; empty: that is not here."""
        after = self._blocks.load_meta(height + 1) if height < self._blocks.height else None
        return b"" if after is None else after.header.app_hash

    def trail(self, height: int, is_wanted: Callable[[], bool] = lambda: True) -> BlockTrail:
        """As it was executed where that is remembered, else executed again. Raises NoTrail, BadTrail, Abandoned,
        StateError, StorageError."""
        with self._making:  # one at a time: a large block takes a second
            made = self.made(height)
            if made is None:
                self._last = made = self.remembered(height) or self.again(height, is_wanted)
            return made

    def made(self, height: int) -> BlockTrail | None:
        """What `trail` answered last, if it was of that height: an answer is asked for in pages. Raises NoTrail."""
        last = self._last
        if last is None or last.height != height or last.block_hash != self._meta(height).block_id.hash:
            return None
        return last

    def remembered(self, height: int) -> BlockTrail | None:
        """As it was executed. Raises BadTrail."""
        block_hash = self._meta(height).block_id.hash
        kept = self._kept.get(height)
        if kept is not None and kept.block_hash == block_hash:
            made = self._made(kept)
            if made is not None:
                return made
        found = self._files.read(height) if self._files is not None else None
        return found if found is not None and found.block_hash == block_hash else None

    def again(self, height: int, is_wanted: Callable[[], bool] = lambda: True) -> BlockTrail:
        """Raises NoTrail, Abandoned, StateError, StorageError."""
        head, before = self.head(height), self.before(height)
        block, last_validators = self.block(height)
        steps, _ = execute_again(block, last_validators, before, is_wanted=is_wanted)
        return BlockTrail(height, head.block_hash, head.app_hash, head.roots, steps, again=True)

    def newest(self) -> list[BlockTrail]:
        """Of the last blocks, as they were executed, the newest first: to be saved."""
        found = [self._kept.get(height) for height in reversed(self._kept.heights()[-SAVED_AT_ONCE:])]
        made = [self._made(kept) for kept in found if kept is not None]
        return [trail for trail in made if trail is not None]

    def before(self, height: int) -> View:
        """Raises NoTrail."""
        version = self._version(height - 1)
        if version is None:
            raise NoTrail(
                f"block {height} cannot be executed again: the state before it is not kept "
                f"(those after {max(0, self._stores.earliest_version)} to {self._stores.latest_version} are)"
            )
        return version

    def block(self, height: int) -> tuple[Block, ValidatorSet]:
        """With the set that signed the one before it. Raises NoTrail."""
        block = self._blocks.load_block(height)
        if block is None:
            raise NoTrail(f"block {height} is not here: this node has {self.lowest} to {self._blocks.height}")
        if not block.last_commit or not block.last_commit.signatures:
            return block, EMPTY_SET
        validators = self._states.load_validators(height - 1)
        if validators is None:
            raise NoTrail(f"block {height} cannot be executed again: the validators of {height - 1} are not kept")
        return block, validators

    def _made(self, kept: KeptBlock) -> BlockTrail | None:
        """None: its block or its results are not there (it was pruned meanwhile)."""
        block, response = self._blocks.load_block(kept.height), self._states.load_response(kept.height)
        if block is None or response is None or len(response.tx_results) != len(block.txs):
            return None
        writes = trail_writes(kept.trail, kept.writes, len(block.txs))
        end = told(response.validator_updates, response.consensus_param_updates)
        steps = list(steps_of(writes, block.data.tx_hashes, response.tx_results, end))
        return BlockTrail(kept.height, kept.block_hash, kept.app_hash, kept.roots, steps)

    def _version(self, height: int) -> View | None:
        if not self._stores.earliest_version <= height <= self._stores.latest_version:
            return None
        try:
            return self._stores.at(height)
        except StateError:  # pruned meanwhile
            return None

    def _meta(self, height: int) -> BlockMeta:
        meta = self._blocks.load_meta(height) if height > 0 else None
        if meta is None or height > self.highest:
            raise NoTrail(f"no block {height} was executed here: this node has {self.lowest} to {self.highest}")
        return meta
