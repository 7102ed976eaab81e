"""The walk of a search through the index, one epoch after the other, in slices, and no further than it may go.

In each epoch the index is asked for all terms at once, an entry of each in turn, until one has no more: that one is the
rarest, and only its blocks are looked at; so that a rare condition beside a common one costs what the rare one has. An
equality is answered by the places that the index has; what is left is asked of the events in the block's results.
Everything that is looked at counts: `work_max` bounds a search. It is held against that between two blocks, so that
each search gets on by one at least, and where it stops it can be gone on from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from consensus.abci.interface import Slices
from consensus.search.errors import SearchTooWide
from consensus.search.plan import Plan
from consensus.stores.event_index import EPOCH_BITS, EPOCH_HEIGHTS, entry_key, epoch_of, places_of, postings

if TYPE_CHECKING:
    from consensus.stores.interfaces import BlockStore
    from consensus.stores.state_store import StateStore
    from proto.tendermint.abci import types_pb2 as pb

WORK_PER_SLICE: Final = 500  # about 1 ms
EPOCH_WORK: Final = 5  # to ask LevelDB for a range
BLOCK_WORK: Final = 4  # to ask it for one block's entry or header
CONDITIONS: Final = 4  # asked of an event, or of a height, for one unit of work
RESULTS_BYTES: Final = 256  # of results, read for one unit of work
INDEX_BITS: Final = 32


class Place(NamedTuple):
    """Of what was found. tx_index: 0 where blocks are searched."""

    height: int
    tx_index: int


@dataclass
class Walk:
    """One search. low, high: the heights that are saved and indexed. `found` once."""

    plan: Plan
    blocks: BlockStore
    states: StateStore
    low: int
    high: int
    work_max: int
    work: int = 0
    _has_moved: bool = field(default=False, repr=False)
    _sliced: int = field(default=0, repr=False)

    def found(self, *, is_descending: bool = False, start: Place | None = None) -> Iterator[Place | None]:
        """The places in their order, from `start` on (it included), and None between two slices of work.

        Raises SearchTooWide.
        """
        plan = self.plan
        low, high = max(self.low, plan.low, 1), min(self.high, plan.high)
        if start is not None:
            low, high = (low, min(high, start.height)) if is_descending else (max(low, start.height), high)
        if plan.tx_hash is not None:
            yield from self._by_hash(plan.tx_hash, start, is_descending=is_descending)
            return
        at = high if is_descending else low
        self._low, self._high = low, high
        while low <= at <= high:
            self._check(at)
            epoch = epoch_of(at)
            first, last = max(low, epoch << EPOCH_BITS), min(high, (epoch << EPOCH_BITS) + EPOCH_HEIGHTS - 1)
            heights = yield from self._epoch(epoch, first, last)
            of_height = len(plan.height_digits) // CONDITIONS
            for height in reversed(heights) if is_descending else heights:
                self._check(height)
                self._did(of_height)
                txs = (yield from self._block(height)) if plan.meets_height(height) else []
                self._did(1 + len(txs) // 16)
                self._has_moved = True
                for tx_index in reversed(txs) if is_descending else txs:
                    place = Place(height, tx_index)
                    if start is None or (place <= start if is_descending else place >= start):
                        yield place
                if self._is_due():
                    yield None
            at = first - 1 if is_descending else last + 1
            self._has_moved = True
            if self._is_due():
                yield None

    def _by_hash(self, tx_hash: bytes, start: Place | None, *, is_descending: bool) -> Iterator[Place | None]:
        found = self.states.find_tx(tx_hash)
        if found is None or not self.low <= found[0] <= self.high:
            return
        place = Place(*found)
        if start is None or (place <= start if is_descending else place >= start):
            yield place

    def _did(self, work: int) -> None:
        self.work += work
        self._sliced += work

    def _check(self, height: int) -> None:
        """Raises SearchTooWide."""
        if self._has_moved and self.work > self.work_max:
            raise SearchTooWide(
                work_max=self.work_max, height=height, height_tag=self.plan.subject.height_tag,
                low=self._low, high=self._high,
            )  # fmt: skip

    def _is_due(self) -> bool:
        """Whether a slice is over."""
        if self._sliced < WORK_PER_SLICE:
            return False
        self._sliced = 0
        return True

    # ------------------------------------------------------------------------------------------------ an epoch

    def _epoch(self, epoch: int, first: int, last: int) -> Slices[Sequence[int]]:
        """The heights that are to be looked at, ascending: those of the rarest term."""
        plan = self.plan
        if not plan.asks_for_events:
            return range(first, last + 1)
        walks = [
            postings(self.states.events, plan.subject.prefix, term, epoch, first, last)
            for term in (*plan.equal, *plan.marked)
        ]
        seen: list[list[int]] = [[] for _ in walks]
        ask = EPOCH_WORK  # of each for the first time
        while True:
            for walk, heights in zip(walks, seen, strict=True):
                self._did(ask)
                entry = next(walk, None)
                if entry is None:
                    return heights
                heights.append(entry[0])
                self._did(1 + len(entry[1]) // RESULTS_BYTES)
                if self._is_due():
                    yield
            ask = 0

    # ------------------------------------------------------------------------------------------------- a block

    def _block(self, height: int) -> Slices[list[int]]:
        """The transactions of a block that are found, ascending; [0] for the block itself."""
        plan = self.plan
        if not plan.asks_for_events:
            return self._whole_block(height)
        places: set[int] | None = None
        for term in plan.equal:
            self._did(BLOCK_WORK)
            data = self.states.events.get(entry_key(plan.subject.prefix, term, height))
            if data is None:
                return []
            self._did(len(data) // 64)
            those = places_of(data)
            places = set(those) if places is None else places.intersection(those)
            if not places:
                return []
            if self._is_due():
                yield
        if plan.rest:
            places = yield from self._met(height, places)
        return sorted({place >> INDEX_BITS for place in places or ()})

    def _whole_block(self, height: int) -> list[int]:
        self._did(BLOCK_WORK)
        meta = self.blocks.load_meta(height)
        if meta is None:
            return []  # pruned meanwhile
        return list(range(meta.num_txs)) if self.plan.subject.is_txs else [0]

    def _met(self, height: int, places: set[int] | None) -> Slices[set[int]]:
        """Those of `places` (None: of all) whose events meet the rest of the query."""
        encoded = self.states.load_encoded(height)
        if encoded is None:
            return set()
        self._did(BLOCK_WORK + len(encoded) // RESULTS_BYTES)
        stored = yield from self.states.stored_in_slices(height)
        if stored is None:
            return set()
        met: set[int] = set()
        work = 1 + self.plan.rest_size // CONDITIONS
        for place, event in self._events(stored, places):
            self._did(work)
            if self.plan.meets(event):
                met.add(place)
            if self._is_due():
                yield
        return met

    def _events(self, stored: pb.ResponseFinalizeBlock, places: set[int] | None) -> Iterator[tuple[int, pb.Event]]:
        results = stored.tx_results
        if not self.plan.subject.is_txs:
            for place in range(len(stored.events)) if places is None else sorted(places):
                yield place, stored.events[place]
        elif places is None:
            for tx_index, result in enumerate(results):
                for index, event in enumerate(result.events):
                    yield tx_index << INDEX_BITS | index, event
        else:
            for place in sorted(places):
                yield place, results[place >> INDEX_BITS].events[place & ((1 << INDEX_BITS) - 1)]
