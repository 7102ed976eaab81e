"""The indexes, made anew: by hash, from the blocks, where a transaction is and which height a block's hash is of; and
the index of events, from the results.

What blocks and results say is written where the index lacks it or says something else, then what leads nowhere is
deleted, and at last all is walked once more. Every write brings the index nearer to them, and none takes away what is
right: a stop anywhere is mended by doing it again, and a node may be started meanwhile. Of which heights the index of
events is whole is written at the end.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from consensus.stores import event_index
from consensus.stores.block_store import HASH, META, BlockStore, prefix_end
from consensus.stores.event_index import EPOCH_BITS, EPOCH_BYTES, EPOCH_HEIGHTS, OF_BLOCKS, OF_TXS, Whole
from consensus.stores.state_store import TX, StateStore
from consensus.types.block import BlockMeta
from dchat.upkeep.verify import Step
from storage.errors import StorageError
from storage.kv import KeyValueStore, Write

BATCH: Final = 5_000  # entries written at once: some 300 kB
STEP_EVERY: Final = 1_000  # entries looked at between two steps
PLACE_BYTES: Final = 12  # height, index in the block
BLOCKS_KEPT: Final = 64  # whose hashes are remembered while entries are looked up, which lie in no order
HEIGHTS_AT_ONCE: Final = 64  # whose entries are held against all of an epoch: the memory of so many blocks' events


@dataclass(slots=True)
class Counts:
    """Of one index. entries: that it should have."""

    entries: int = 0
    missing: int = 0
    wrong: int = 0  # led elsewhere
    stray: int = 0  # led to what is not there


@dataclass
class Reindexing:
    """`run` once, at rest: nothing else has the databases open."""

    blocks_db: KeyValueStore
    state_db: KeyValueStore
    transactions: Counts = field(default_factory=Counts)
    hashes: Counts = field(default_factory=Counts)
    events: Counts = field(default_factory=Counts)
    unread: set[int] = field(default_factory=set)  # heights whose blocks cannot be read

    def run(self) -> Iterator[Step]:
        """Raises StorageError where writing fails or the range of blocks cannot be read; what else is damaged is told
        as `wrong`, and what leads to it stays."""
        self._blocks, self._states = BlockStore(self.blocks_db), StateStore(self.state_db)
        self._hashes_at: OrderedDict[int, tuple[bytes, ...]] = OrderedDict()
        yield from self._put_transactions(self.transactions)
        yield from self._drop_stray_transactions()
        yield from self._put_hashes(self.hashes)
        yield from self._drop_stray_hashes()
        yield from self._put_events(self.events)
        yield from self._drop_stray_events()
        yield from self._put_range()
        again = Counts(), Counts(), Counts()
        yield from self._put_transactions(again[0], is_check=True)
        yield from self._put_hashes(again[1], is_check=True)
        yield from self._put_events(again[2], is_check=True)
        for what, found in zip(("transactions", "hashes", "events"), again, strict=True):
            if found.missing or found.wrong:
                yield Step("check", 0, 0, f"index of {what}: {found.missing + found.wrong} entries did not stay")

    # -------------------------------------------------------------------------------------------- transactions

    def _put_transactions(self, counts: Counts, *, is_check: bool = False) -> Iterator[Step]:
        batch: list[Write] = []
        what = "check" if is_check else "transactions"
        for height in self._heights():
            wrong = ""
            try:
                found = self._tx_hashes(height)
            except StorageError as error:
                found, wrong = (), str(error)
            for index, tx_hash in enumerate(found):
                batch += self._put(self.state_db, TX + tx_hash, _place(height, index), counts)
            if not is_check and len(batch) >= BATCH:
                self.state_db.write(batch)
                batch = []
            yield Step(what, height, self._blocks.height, "" if is_check else wrong)
        if not is_check:
            self.state_db.write(batch, sync=True)

    def _heights(self) -> Iterator[int]:
        """Of all blocks that were executed: the index comes with the results."""
        state = self._states.load()
        last = 0 if state is None else state.last_block_height
        if not self._blocks.height:
            return
        for height in range(self._blocks.base, self._blocks.height + 1):
            if height <= last or self._states.load_encoded(height) is not None:
                yield height

    def _tx_hashes(self, height: int) -> tuple[bytes, ...]:
        """Raises StorageError: the block cannot be read, or is not what was voted for."""
        try:
            self._blocks.load_parts(height)
            block, meta = self._blocks.load_block(height), self._blocks.load_meta(height)
            if block is None or meta is None or block.hash != meta.block_id.hash:
                raise StorageError(f"database blocks, block {height}: it is missing, or is not what its header says")
        except StorageError:
            self.unread.add(height)
            raise
        return tuple(block.data.tx_hashes)

    def _put(self, db: KeyValueStore, key: bytes, value: bytes, counts: Counts) -> list[Write]:
        counts.entries += 1
        known = db.get(key)
        if known == value:
            return []
        if known is None:
            counts.missing += 1
        else:
            counts.wrong += 1
        return [(key, value)]

    def _drop_stray_transactions(self) -> Iterator[Step]:
        """Where there are as many entries as transactions, all of them were looked at."""
        counts = self.transactions
        heights = range(self._blocks.base, self._blocks.height + 1)
        has_strays = sum(1 for _ in self.state_db.scan(TX, prefix_end(TX))) != counts.entries
        batch: list[Write] = []
        entries = self.state_db.scan(TX, prefix_end(TX)) if has_strays else ()
        for number, (key, value) in enumerate(entries, 1):
            height, index = int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")
            if len(value) != PLACE_BYTES or height not in heights or self._is_stray(key[1:], height, index):
                batch.append((key, None))
            if len(batch) >= BATCH:
                counts.stray += len(batch)
                self.state_db.write(batch)
                batch = []
            if number % STEP_EVERY == 0:
                yield Step("entries", number, counts.entries)
        counts.stray += len(batch)
        self.state_db.write(batch, sync=True)

    def _is_stray(self, tx_hash: bytes, height: int, index: int) -> bool:
        """Of an entry that leads to a block that is kept. One that leads to what cannot be read may be right."""
        if height in self.unread:
            return False
        known = self._hashes_at.get(height)
        if known is None:
            try:
                known = self._hashes_at[height] = self._tx_hashes(height)
            except StorageError:  # of a block that was not executed: told when it is
                return False
            if len(self._hashes_at) > BLOCKS_KEPT:
                self._hashes_at.popitem(last=False)
        return index >= len(known) or known[index] != tx_hash

    # ------------------------------------------------------------------------------------------ hashes of blocks

    def _put_hashes(self, counts: Counts, *, is_check: bool = False) -> Iterator[Step]:
        """Of every header that is kept: below the blocks too, as a state sync leaves them."""
        batch: list[Write] = []
        what = "check" if is_check else "hashes"
        for key, data in self.blocks_db.scan(META, prefix_end(META)):
            height, wrong = int.from_bytes(key[1:], "big"), ""
            block_hash = _hash_in(height, data)
            if block_hash is None:
                self.unread.add(height)
                wrong = f"database blocks, the header of block {height}: it cannot be read"
            else:
                batch += self._put(self.blocks_db, HASH + block_hash, height.to_bytes(8, "big"), counts)
            if not is_check and len(batch) >= BATCH:
                self.blocks_db.write(batch)
                batch = []
            yield Step(what, height, self._blocks.height, "" if is_check else wrong)
        if not is_check:
            self.blocks_db.write(batch, sync=True)

    def _drop_stray_hashes(self) -> Iterator[Step]:
        batch: list[Write] = []
        for number, (key, value) in enumerate(self.blocks_db.scan(HASH, prefix_end(HASH)), 1):
            height = int.from_bytes(value, "big")
            meta = self.blocks_db.get(META + value) if len(value) == 8 else None
            if height not in self.unread and (meta is None or _hash_in(height, meta) != key[1:]):
                self.hashes.stray += 1
                batch.append((key, None))
            if number % STEP_EVERY == 0:
                yield Step("hashes", number, self.hashes.entries)
        self.blocks_db.write(batch, sync=True)

    # -------------------------------------------------------------------------------------------------- events

    def _put_events(self, counts: Counts, *, is_check: bool = False) -> Iterator[Step]:
        batch: list[Write] = []
        what = "check" if is_check else "events"
        if not is_check:
            self._entries_of_epoch: Counter[int] = Counter()
            self._indexed: list[int] = []  # heights whose results could be read
        for height in self._heights():
            wrong = ""
            try:
                entries = self._events_of(height)
            except StorageError as error:
                entries, wrong = [], str(error)
            else:
                if not is_check and entries is not None:
                    self._indexed.append(height)
                    self._entries_of_epoch[event_index.epoch_of(height)] += len(entries)
            for key, value in entries or ():
                assert value is not None, key
                batch += self._put(self.state_db, key, value, counts)
            if not is_check and len(batch) >= BATCH:
                self.state_db.write(batch)
                batch = []
            yield Step(what, height, self._blocks.height, "" if is_check else wrong)
        if not is_check:
            self.state_db.write(batch, sync=True)

    def _events_of(self, height: int) -> list[Write] | None:
        """None: what the block did is not kept. Raises StorageError: it cannot be read."""
        response = self._states.load_response(height)
        return None if response is None else event_index.entries_of(height, response)

    def _drop_stray_events(self) -> Iterator[Step]:
        """Where an epoch has as many entries as its blocks say, all of them were looked at. Below the base some may be
        left: they go with their epoch (consensus.pruning)."""
        base, has = self._blocks.base, Counter[int]()
        batch: list[Write] = []
        for prefix in (OF_TXS, OF_BLOCKS):
            for number, (key, _) in enumerate(self.state_db.scan(prefix, prefix_end(prefix)), 1):
                height = _height_in(key)
                if height is None:
                    batch.append((key, None))
                else:
                    has[event_index.epoch_of(height)] += height >= base
                if number % STEP_EVERY == 0:
                    yield Step("entries", number, self.events.entries)
        for epoch in sorted(epoch for epoch in has if has[epoch] != self._entries_of_epoch[epoch]):
            first = epoch << EPOCH_BITS
            for start in range(max(first, base), first + EPOCH_HEIGHTS, HEIGHTS_AT_ONCE):
                batch += self._stray_events(epoch, start, min(start + HEIGHTS_AT_ONCE, first + EPOCH_HEIGHTS))
                yield Step("entries", start, self._blocks.height)
        self.events.stray += len(batch)
        self.state_db.write(batch, sync=True)

    def _stray_events(self, epoch: int, first: int, stop: int) -> list[Write]:
        """Of the heights from `first` up to, not with, `stop`, of one epoch."""
        known: set[bytes] = set()
        unread: set[int] = set()
        for height in range(first, stop):
            try:
                known.update(key for key, _ in self._events_of(height) or ())
            except StorageError:  # its entries may be right
                unread.add(height)
        found: list[Write] = []
        for prefix in (OF_TXS, OF_BLOCKS):
            for key, _ in self.state_db.scan(
                event_index.epoch_head(prefix, epoch), event_index.epoch_head(prefix, epoch + 1)
            ):
                at = _height_in(key)
                if at is not None and first <= at < stop and key not in known and at not in unread:
                    found.append((key, None))
        return found

    def _put_range(self) -> Iterator[Step]:
        """The last heights that follow one another without a gap."""
        first = last = self._indexed[-1] if self._indexed else 0
        for height in reversed(self._indexed[:-1]):
            if height != first - 1:
                break
            first = height
        whole = Whole(first, last).encode() if first else None
        if self.state_db.get(event_index.RANGE) != whole:
            self.state_db.write([(event_index.RANGE, whole)], sync=True)
        yield Step("events", last, self._blocks.height)


def _height_in(key: bytes) -> int | None:
    """Of a key of the index of events. None: it has another form."""
    if len(key) != 1 + EPOCH_BYTES + event_index.TERM_BYTES + 2 or key[-2] >= EPOCH_HEIGHTS >> 8:
        return None
    return (int.from_bytes(key[1 : 1 + EPOCH_BYTES], "big") << EPOCH_BITS) + int.from_bytes(key[-2:], "big")


def _place(height: int, index: int) -> bytes:
    return height.to_bytes(8, "big") + index.to_bytes(4, "big")


def _hash_in(height: int, data: bytes) -> bytes | None:
    """The hash of the header that is stored under `height`; None: the disk has something else there."""
    try:
        meta = BlockMeta.decode(data)
    except (ValueError, DecodeError):
        return None
    is_right = meta.header.height == height and meta.header.hash == meta.block_id.hash
    return meta.block_id.hash if is_right else None
