"""Pruning blocks, commits, results, the indexes, and the validator sets and parameters of old heights.

How far is the least of what the application's commit says (ABCI's retain_height), what evidence can still accuse of,
what is younger than `keep_ns`, the last BLOCKS_KEPT_MIN heights, and what somebody holds. A round has three stages,
each of which works on what an earlier round has left, so that nothing here waits for the disk, nor consensus for this:

1. the block store's base is raised: nothing below it is served; the next block saves it, synced;
2. below the base on disk the index and the results go; a later state saves that, synced;
3. below what went for good in 2, the blocks go, which tell of what stands in the index; then disk is freed in pieces.

A stop anywhere leaves blocks below the base, from which the next start finds what is left to do.
Source: known failures 4 and 20; docs/pruning.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consensus.abci.interface import Slices
from consensus.formats.bounds import DATA, split
from consensus.formats.units import MIB
from consensus.formats.wire import parse_ours
from consensus.pruning import needs
from consensus.pruning.needs import Holds, Need, first_since
from consensus.state.state import State
from consensus.stores.block_store import HASH_PAIR_BYTES, BlockStore
from consensus.stores.state_store import StateStore
from crypto.hash import sha256
from proto.tendermint.types import types_pb2 as pb

HEIGHTS_PER_ROUND: Final = 1_000  # of each stage; the rest with the next block
BEHIND_HEIGHTS: Final = 100  # left to be done: a round with each block, and shorter pauses
RESULTS_PER_STEP: Final = 20
SETS_PER_STEP: Final = 20
TXS_PER_STEP: Final = 100  # about 1 ms: each is looked up
SLACK_BYTES: Final = 16 * MIB  # deleted, and not freed yet
INDEX_SHARE: Final = 8  # an index whose keys lie anywhere is rewritten when one in so many of its entries went


@dataclass(slots=True)
class PruningMetrics:
    blocks: int = 0
    transactions: int = 0
    versions: int = 0  # of the application's state
    bytes: int = 0  # deleted, of blocks and results
    compactions: int = 0
    failures: int = 0


class BlockPruning:
    """A job of background.Pruner. `begin` on the loop, its steps in a thread, one round at a time.

    retain_height: what the application's last commit said; 0: nothing may go. evidence_floor: evidence of that height
    or below counts never again. keep_ns: blocks younger than this, counted from the last one, stay.
    """

    def __init__(
        self,
        blocks: BlockStore,
        states: StateStore,
        *,
        retain_height: Callable[[], int],
        evidence_floor: Callable[[], int],
        keep_ns: Callable[[], int] = lambda: 0,
        holds: Holds | None = None,
        kept_min: int | None = None,
        slack_bytes: int | None = None,
        metrics: PruningMetrics | None = None,
    ) -> None:
        self._blocks, self._states = blocks, states
        self._retain_height, self._evidence_floor, self._keep_ns = retain_height, evidence_floor, keep_ns
        self._kept_min, self._slack_bytes = kept_min or needs.BLOCKS_KEPT_MIN, slack_bytes or SLACK_BYTES
        self.holds = holds or Holds()
        self.metrics = metrics or PruningMetrics()
        self.limit: Need | None = None  # what the last round found to be the lowest that must stay
        self._deleted = 0  # below it there are no blocks; 0: not known yet
        self._has_headers = True  # below these, of a state sync: they go when the first of its blocks do
        self._forgotten = 0  # below it there is no index
        self._stop_at = 0  # headers below a state sync lie below the base, and stay as long as evidence needs them
        self._forgotten_at = 0  # height of the state when that was written
        self._freeing = self._slack_bytes  # bytes deleted since disk was freed: unknown from before the start
        self._freed_below = 0
        self._index_bytes = self._hash_bytes = 0

    def begin(self, state: State) -> Slices[bool]:
        """One round after the block of `state` was saved; its answer: so much is left that more is done at once."""
        return self._round(self.limit_at(state))

    def limit_at(self, state: State) -> Slices[Need]:
        """The lowest height that must stay, and why."""
        last = state.last_block_height
        found = [
            Need(self._retain_height() or self._blocks.base, "the options"),
            Need(self._evidence_floor() + 1, "evidence"),
            Need(max(1, last - self._kept_min + 1), "restarts, and peers that are behind"),
            *self.holds.needs(),
        ]
        return self._young_too(min(found), state.last_block_time_ns - self._keep_ns())

    def _young_too(self, limit: Need, since_ns: int) -> Slices[Need]:
        base = self._blocks.base
        if limit.height > base:
            young = yield from first_since(self._blocks, base, limit.height, since_ns)
            if young < limit.height:
                return Need(young, "unbonding")
        return limit

    def _round(self, limiting: Slices[Need]) -> Slices[bool]:
        if not self._blocks.base:
            return False
        self.limit = yield from limiting
        self._stop_at = self.limit.height
        self._blocks.raise_base(self.limit.height)
        if not self._deleted:
            yield
            self._find_leftovers()
        saved = self._states.load()
        # Two states later, one of them was begun after what was forgotten was written: both are on disk.
        if saved is not None and saved.last_block_height >= self._forgotten_at + 2:
            yield from self._delete(self._forgotten)
            yield from self._forget()
            yield from self._free()
        return min(self._blocks.base, self._stop_at) - self._deleted >= BEHIND_HEIGHTS

    def at_rest(self, base: int) -> Slices[None]:
        """Prune below `base` (`limit_at` says how far that may be), all of it at once, in a node that does not run."""
        self._blocks.raise_base(base, is_at_rest=True)
        self._find_leftovers()
        self._stop_at = base
        first = self._deleted
        while self._deleted < base:
            yield from self._forget()
            self._states.sync()
            yield from self._delete(self._forgotten)
            yield from self._free()
        if self._deleted > first:
            self._freeing = self._index_bytes = self._hash_bytes = 1 << 62
            yield from self._free()

    def _find_leftovers(self) -> None:
        self._deleted = self._forgotten = min(self._blocks.lowest_block() or self._blocks.base, self._blocks.base)

    # ---------------------------------------------------------------------------------------------- the stages

    def _forget(self) -> Slices[None]:
        first = self._forgotten
        stop = min(self._blocks.saved_base, first + HEIGHTS_PER_ROUND, self._stop_at)
        if first >= stop:
            return
        for height in range(first, stop):
            data = self._blocks.load_block_bytes(height)
            if data is None:
                continue
            yield
            start, end = split(data).get(DATA, (0, 0))
            txs = (yield from parse_ours(pb.Data(), data, start, end)).txs
            for at in range(0, len(txs), TXS_PER_STEP):
                found = [sha256(tx) for tx in txs[at : at + TXS_PER_STEP]]
                self._index_bytes += self._states.forget_txs(height, found)
                self.metrics.transactions += len(found)
                yield
        for at in range(first, stop, RESULTS_PER_STEP):
            self._count(self._states.forget_results(at, min(stop, at + RESULTS_PER_STEP)))
            yield
        while self._states.forget_sets(stop, SETS_PER_STEP):
            yield
        is_more = True
        while is_more:
            is_more, size = self._states.forget_events(stop)
            self._count(size)
            yield
        self._forgotten = stop
        state = self._states.load()
        self._forgotten_at = 0 if state is None else state.last_block_height
        yield

    def _delete(self, stop: int) -> Slices[None]:
        if self._has_headers and self._deleted < stop:
            self._has_headers = False
            self._deleted = min(self._deleted, self._blocks.lowest_stored() or self._deleted)
        for height in range(self._deleted, stop):
            self._count(self._blocks.delete(height))
            self._hash_bytes += HASH_PAIR_BYTES
            self.metrics.blocks += 1
            yield
        self._deleted = max(self._deleted, stop)

    def _count(self, size: int) -> None:
        self._freeing += size
        self.metrics.bytes += size

    def _free(self) -> Slices[None]:
        """Deleted pairs hold their disk until their tables are rewritten."""
        if self._freeing >= self._slack_bytes and self._deleted > self._freed_below:
            yield from self._blocks.compact(self._freed_below, self._deleted)
            yield from self._states.compact(self._freed_below, self._deleted)
            yield from self._states.compact_events(self._deleted)
            self._freeing, self._freed_below = 0, self._deleted
            self.metrics.compactions += 1
        if self._index_bytes >= max(self._slack_bytes // INDEX_SHARE, self._states.txs_bytes() // INDEX_SHARE):
            yield from self._states.compact_txs()
            self._index_bytes = 0
            self.metrics.compactions += 1
        if self._hash_bytes >= self._slack_bytes // INDEX_SHARE:
            self._blocks.compact_hashes()
            self._hash_bytes = 0
            yield
