"""Blocks and their commits in the database `blocks`.

A block is kept once, as the bytes that its parts are cut from; parts and their proofs are made again when somebody
asks, and the last few part sets are remembered. A block and the commit that was seen for it are one synced batch.
The commit that counts for a height is the one in the next block, saved with that block. What is read must be of
the height it lies under, and a block still have the parts that were voted for, before any of them is served or
executed: else the disk lied (StoreCorrupted).
Source: CometBFT v0.38, store/store.go; docs/decisions/0006.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from consensus.formats.units import MIB
from consensus.stores.reading import OnCorrupted, Records
from consensus.types.block import Block, BlockMeta, Commit, ExtendedCommit
from consensus.types.light import LightBlock
from consensus.types.parts import Part, PartSet
from proto.tendermint.store import types_pb2 as pb
from storage.kv import KeyValueStore, Write

STATE_KEY: Final = b"s"
META, BLOCK, COMMIT, SEEN, EXTENDED, HASH = b"m", b"b", b"c", b"n", b"e", b"h"  # each followed by 8 bytes of height
BY_HEIGHT: Final = (META, BLOCK, COMMIT, SEEN, EXTENDED)
PART_SETS_MAX: Final = 8  # a peer that catches up asks for all parts of one height, then of the next
PART_SETS_BYTES_MAX: Final = 32 * MIB  # of blocks remembered in parts, which take three times that; one always is
HASH_PAIR_BYTES: Final = 41


def key_of(prefix: bytes, height: int) -> bytes:
    return prefix + height.to_bytes(8, "big")


def _is_range(state: pb.BlockStoreState) -> bool:
    return min(1, state.height) <= state.base <= state.height


def prefix_end(prefix: bytes) -> bytes:
    """Behind all keys of a prefix of one letter."""
    return bytes([prefix[0] + 1])


class BlockStore:
    """Satisfies interfaces.BlockStore. Writes block: call them from a worker."""

    def __init__(self, db: KeyValueStore, on_corrupted: OnCorrupted | None = None) -> None:
        self._db, self._records = db, Records(db, on_corrupted)
        state = self._records.read(STATE_KEY, "the range of blocks", pb.BlockStoreState.FromString, _is_range)
        self._base, self._height = (0, 0) if state is None else (state.base, state.height)
        self._saved_base = self._base
        self._part_sets: OrderedDict[int, PartSet] = OrderedDict()  # who was asked for last stands last
        self._part_sets_bytes = 0
        self._part_sets_lock = threading.Lock()

    @property
    def base(self) -> int:
        return self._base

    @property
    def saved_base(self) -> int:
        """The base that a stop would leave; what is below it may be deleted."""
        return self._saved_base

    @property
    def height(self) -> int:
        return self._height

    # ------------------------------------------------------------------------------------------------ reading

    def load_meta(self, height: int) -> BlockMeta | None:
        return self._records.read(
            key_of(META, height), f"the header of block {height}", BlockMeta.decode,
            lambda meta: meta.header.height == height and meta.header.hash == meta.block_id.hash,
        )  # fmt: skip

    def load_block_bytes(self, height: int) -> bytes | None:
        return self._db.get(key_of(BLOCK, height))

    def load_block(self, height: int) -> Block | None:
        return self._records.read(
            key_of(BLOCK, height), f"block {height}", Block.decode, lambda block: block.height == height
        )

    def load_parts(self, height: int) -> PartSet | None:
        """All parts with their proofs."""
        parts = self._at_hand(height)
        if parts is None:
            data = self.load_block_bytes(height)
            if data is None:
                return None
            parts, meta = PartSet.from_bytes(data), self.load_meta(height)
            if meta is not None and parts.header != meta.block_id.part_set_header:
                raise self._records.wrong(key_of(BLOCK, height), f"block {height}", "it is not what was voted for")
            self._remember(height, parts)
        return parts

    def has_parts(self, height: int) -> bool:
        return self._at_hand(height) is not None

    def _at_hand(self, height: int) -> PartSet | None:
        with self._part_sets_lock:
            parts = self._part_sets.get(height)
            if parts is not None:
                self._part_sets.move_to_end(height)
            return parts

    def load_part(self, height: int, index: int) -> Part | None:
        parts = self.load_parts(height)
        return None if parts is None else parts.get(index)

    def load_commit(self, height: int) -> Commit | None:
        """The canonical commit of `height`: the one in block height+1."""
        return self._load_commit(COMMIT, height)

    def load_seen_commit(self, height: int) -> Commit | None:
        """The commit that this node saw; it may have other signatures than the canonical one."""
        return self._load_commit(SEEN, height)

    def _load_commit(self, prefix: bytes, height: int) -> Commit | None:
        return self._records.read(
            key_of(prefix, height), f"a commit of block {height}", Commit.decode, lambda commit: commit.height == height
        )

    def load_extended_commit(self, height: int) -> ExtendedCommit | None:
        """The seen commit with vote extensions; only of heights where they are enabled."""
        return self._records.read(
            key_of(EXTENDED, height), f"the extended commit of block {height}", ExtendedCommit.decode,
            lambda extended: extended.height == height,
        )  # fmt: skip

    def height_of_hash(self, block_hash: bytes) -> int | None:
        data = self._db.get(HASH + block_hash)
        return None if data is None else int.from_bytes(data, "big")

    # ------------------------------------------------------------------------------------------------ writing

    def save(
        self, block: Block, parts: PartSet, seen_commit: Commit, *, extended: ExtendedCommit | None = None
    ) -> None:
        """Save a block and its seen commit, synced. Heights must follow each other without a gap."""
        height = block.height
        assert not self._height or height == self._height + 1, (height, self._height)
        assert parts.is_complete, parts.header
        assert seen_commit.height == height, seen_commit.height
        assert extended is None or extended.height == height, extended.height
        base = self._base or height
        batch: list[Write] = [
            (key_of(META, height), BlockMeta.of(block, parts).encode()),
            (key_of(BLOCK, height), parts.to_bytes()),
            (key_of(SEEN, height), seen_commit.encode()),
            (HASH + block.hash, height.to_bytes(8, "big")),
            (STATE_KEY, pb.BlockStoreState(base=base, height=height).SerializeToString()),
        ]
        if block.last_commit is not None and block.last_commit.signatures:
            batch.append((key_of(COMMIT, height - 1), block.last_commit.encode()))
        if extended is not None:
            batch.append((key_of(EXTENDED, height), extended.encode()))
        self._db.write(batch, sync=True)
        if not self._base:  # else it is a worker's to raise, meanwhile too
            self._base = base
        self._saved_base, self._height = base, height
        self._remember(height, parts)

    def save_header(self, light: LightBlock, *, is_last: bool = False) -> None:
        """Keep a header that was verified, with its commit, of a height whose block this node never had: evidence needs
        it. Not synced. is_last: of the last block of the state, from which consensus goes on; synced.

        The size of the block and its number of transactions are not known: 0.
        """
        assert not self._base or light.height < self._base, (light.height, self._base)
        meta = BlockMeta(light.commit.block_id, 0, light.header, 0)
        self._db.write(
            [
                (key_of(META, light.height), meta.encode()),
                (key_of(SEEN if is_last else COMMIT, light.height), light.commit.encode()),
                (HASH + light.hash, light.height.to_bytes(8, "big")),
            ],
            sync=is_last,
        )

    # ------------------------------------------------------------------------------------------------ pruning

    def raise_base(self, base: int, *, is_at_rest: bool = False) -> None:
        """Serve nothing below `base` from here on; it is on disk with the next block.

        is_at_rest: nothing saves blocks meanwhile; it is on disk when this returns.
        """
        assert base <= self._height, (base, self._height)
        self._base = max(base, self._base)
        if is_at_rest and self._saved_base < self._base:
            state = pb.BlockStoreState(base=self._base, height=self._height)
            self._db.write([(STATE_KEY, state.SerializeToString())], sync=True)
            self._saved_base = self._base

    def lowest_stored(self) -> int:
        """The lowest height of which there is anything: below the base after a stop while it was pruned, and after a
        state sync, which keeps headers alone. 0: none."""
        for key, _ in self._db.scan(META, prefix_end(META)):
            return int.from_bytes(key[1:], "big")
        return 0

    def lowest_block(self) -> int:
        """As `lowest_stored`, of whole blocks: below them a state sync has kept headers that evidence needs."""
        for key, _ in self._db.scan(key_of(BLOCK, 0), key_of(BLOCK, self._height + 1)):
            return int.from_bytes(key[1:], "big")
        return 0

    def delete(self, height: int) -> int:
        """Delete what is kept of one height below the base on disk, in one batch; return about its bytes.

        The commit of the height before the lowest kept goes too: the lowest block itself holds it.
        """
        assert height < self._saved_base, (height, self._saved_base)
        meta = self.load_meta(height)
        batch: list[Write] = [(key_of(prefix, height), None) for prefix in BY_HEIGHT]
        if meta is not None:
            batch.append((HASH + meta.block_id.hash, None))
        self._forget(height)
        self._db.write(batch)  # unsynced: if it is lost, it is done again
        return 0 if meta is None else meta.block_size

    def compact(self, first: int, stop: int) -> Iterator[None]:
        """Free the disk of the deleted heights from `first` up to, not with, `stop`; yields between the pieces."""
        for prefix in BY_HEIGHT:
            self._db.compact(key_of(prefix, first), key_of(prefix, stop))
            yield

    def compact_hashes(self) -> None:
        """The same of the index by hash, whose keys lie anywhere."""
        self._db.compact(HASH, prefix_end(HASH))

    def _remember(self, height: int, parts: PartSet) -> None:
        self._forget(height)
        with self._part_sets_lock:
            self._part_sets[height] = parts
            self._part_sets_bytes += parts.byte_size
            while len(self._part_sets) > 1 and (
                len(self._part_sets) > PART_SETS_MAX or self._part_sets_bytes > PART_SETS_BYTES_MAX
            ):
                self._part_sets_bytes -= self._part_sets.popitem(last=False)[1].byte_size

    def _forget(self, height: int) -> None:
        with self._part_sets_lock:
            parts = self._part_sets.pop(height, None)
            if parts is not None:
                self._part_sets_bytes -= parts.byte_size
