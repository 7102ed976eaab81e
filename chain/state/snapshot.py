"""A version of the stores as a list of chunks that others can restore it from, and the restoring; and a first version
that is written in pieces.

A snapshot holds the pairs of each store and the side records beside them, in the order of their keys; trees are made
anew from the pairs, so that a restored state has the roots that the app hash says, or is refused. Nothing in it tells
who made it, or when: the bytes of a version are the same on each node (failure 6: chunks may come from anybody).

    chunk     entries one after another: kind (1 byte: "s" or "v"), store (1), lengths of key and content (2, 4), both
    metadata  the three roots, in the stores' order, then SHA-256 of each chunk
    hash      SHA-256 of "dchat/snapshot/" format (4 bytes) height (8 bytes) metadata

Restoring writes into the stores' own database under a mark; while the mark is there the database holds nothing that
counts, and whoever opens it next begins with an empty one. The mark goes last, synced, after everything was checked.
Source: docs/state-sync.md; docs/decisions/0003.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chain.state import layout as rec
from chain.state import smt
from chain.state.errors import CorruptState, InvalidSnapshot, UnknownStore
from chain.state.roots import STORE_NAMES, app_hash_of
from chain.state.store import (
    KEY_BYTES_MAX,
    SENTINEL_KEY,
    SENTINEL_VALUE,
    SIDE_BYTES_MAX,
    VALUE_BYTES_MAX,
    Stores,
    check_pair,
)
from chain.state.view import View
from consensus.formats.units import MIB
from crypto import native
from crypto.hash import sha256
from storage.kv import KeyValueStore, Write

FORMAT: Final = 1
CHUNK_BYTES: Final = MIB  # a chunk ends with the entry that reaches it: some 10,000 accounts, 0.2 s of a 5 MB/s line
_ENTRY: Final = struct.Struct(">cBHI")
CHUNK_BYTES_MAX: Final = CHUNK_BYTES + SIDE_BYTES_MAX + KEY_BYTES_MAX + _ENTRY.size
CHUNKS_MAX: Final = 100_000  # 100 GB; their hashes are 3.2 MB of the 4 that a peer's message may have
ROOTS_BYTES: Final = smt.HASH_BYTES * len(STORE_NAMES)
ENTRIES_PER_SLICE: Final = 200  # below 1 ms of reading and packing
BYTES_PER_SLICE: Final = 65_536
WRITES_PER_BATCH: Final = 2_000  # some 300 KB
PAGES_PER_SLICE: Final = 128  # below 1 ms of the native part's work, or of reading
LEAVES_PER_UPDATE: Final = 10_000  # of a tree that is built: some 20 MB at once
_DOMAIN: Final = b"dchat/snapshot/"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot consists of."""

    height: int
    roots: tuple[bytes, ...]
    chunk_hashes: tuple[bytes, ...]

    @property
    def metadata(self) -> bytes:
        return b"".join(self.roots) + b"".join(self.chunk_hashes)

    @property
    def hash(self) -> bytes:
        return sha256(_DOMAIN + FORMAT.to_bytes(4, "big") + self.height.to_bytes(8, "big") + self.metadata)

    @property
    def app_hash(self) -> bytes:
        """What the header of the next height holds."""
        return app_hash_of(dict(zip(STORE_NAMES, self.roots, strict=True)))

    @staticmethod
    def decode(height: int, *, chunks: int, metadata: bytes) -> Manifest:
        """Raises InvalidSnapshot."""
        if not 0 < chunks <= CHUNKS_MAX or len(metadata) != ROOTS_BYTES + smt.HASH_BYTES * chunks:
            raise InvalidSnapshot(f"{chunks} chunks are described in {len(metadata)} bytes")
        pieces = tuple(metadata[at : at + smt.HASH_BYTES] for at in range(0, len(metadata), smt.HASH_BYTES))
        return Manifest(height, pieces[: len(STORE_NAMES)], pieces[len(STORE_NAMES) :])


def chunks_of(view: View, chunk_bytes: int = 0) -> Iterator[bytes | None]:
    """The chunks of a version, in order, and None after each millisecond of work: to be driven in slices.

    chunk_bytes: 0: CHUNK_BYTES, as every node of a chain has it.
    """
    full = chunk_bytes or CHUNK_BYTES
    parts: list[bytes] = []
    size = entries = since = 0
    for kind in (rec.SIDE, rec.VALUE):
        for store, name in enumerate(STORE_NAMES):
            for key, content in view.scan_side(name) if kind == rec.SIDE else view.scan(name):
                parts += (_ENTRY.pack(kind, store, len(key), len(content)), key, content)
                grown = _ENTRY.size + len(key) + len(content)
                size, since, entries = size + grown, since + grown, entries + 1
                if size >= full:
                    yield b"".join(parts)
                    parts, size = [], 0
                if entries >= ENTRIES_PER_SLICE or since >= BYTES_PER_SLICE:
                    entries = since = 0
                    yield None
    if parts:
        yield b"".join(parts)


class Restore:
    """One snapshot on its way into `stores`, which are emptied by it. Chunks in order, then `finish` and `keep`.

    Raises InvalidSnapshot in each: the content is not that of the snapshot's roots. Whatever ends it early leaves
    stores that open as empty ones.
    """

    def __init__(self, stores: Stores, manifest: Manifest) -> None:
        self._stores, self._manifest = stores, manifest
        self._db: KeyValueStore = stores.begin_restore()
        self._version = rec.pack_version(manifest.height)
        self._last = b""  # kind, store and key of the last entry
        self.next_chunk = 0
        self.entries = 0

    def add(self, chunk: bytes) -> None:
        """The next chunk, which was found to have its hash."""
        assert sha256(chunk) == self._manifest.chunk_hashes[self.next_chunk], self.next_chunk
        batch: list[Write] = []
        for kind, store, key, content in self._entries(chunk):
            batch.append((kind + store + key, self._version + content))
            if kind == rec.VALUE:
                batch.append(_staged(store, key, content))
        self._db.write(batch)
        self.next_chunk += 1

    def _entries(self, chunk: bytes) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
        at = 0
        while at < len(chunk):
            if at + _ENTRY.size > len(chunk):
                raise InvalidSnapshot(f"chunk {self.next_chunk} is cut off")
            kind, store, key_length, length = _ENTRY.unpack_from(chunk, at)
            at += _ENTRY.size
            key, content = chunk[at : at + key_length], chunk[at + key_length : at + key_length + length]
            at += key_length + length
            bytes_max = {rec.SIDE: SIDE_BYTES_MAX, rec.VALUE: VALUE_BYTES_MAX}.get(kind, -1)
            if at > len(chunk) or store >= len(STORE_NAMES) or not 0 < length <= bytes_max:
                raise InvalidSnapshot(f"chunk {self.next_chunk} has an entry that no store holds")
            if not 0 < key_length <= KEY_BYTES_MAX or (kind == rec.VALUE and key == SENTINEL_KEY):
                raise InvalidSnapshot(f"chunk {self.next_chunk} has a key that no store holds")
            place = kind + bytes([store]) + key
            if place <= self._last:
                raise InvalidSnapshot(f"chunk {self.next_chunk} is not in the order of its keys")
            self._last = place
            self.entries += 1
            yield kind, bytes([store]), key, content

    def finish(self) -> Iterator[None]:
        """Build the trees and hold their roots against the snapshot's, in slices. The stores can be read after it, and
        still count as empty ones where the process ends before `keep`."""
        assert self.next_chunk == len(self._manifest.chunk_hashes), self.next_chunk
        for number, name in enumerate(STORE_NAMES):
            store = bytes([number])
            sentinel = rec.VALUE + store + SENTINEL_KEY
            self._db.write([(sentinel, self._version + SENTINEL_VALUE), _staged(store, SENTINEL_KEY, SENTINEL_VALUE)])
            root = yield from _build_tree(self._db, store, self._version)
            if root != self._manifest.roots[number]:
                raise InvalidSnapshot(
                    f"store {name} has the root {root.hex()}, not {self._manifest.roots[number].hex()}"
                )
        _write_version(self._db, self._version, self._manifest.roots)
        self._stores.reload()

    def keep(self) -> None:
        """From now on the restored state is the stores'."""
        self._stores.end_restore()


class Founding:
    """The first version of `stores`, which are emptied by it, written in pieces: a genesis of any size in little
    memory. What it makes is what one `prepare` and `commit` of all its pairs make, but for the record of what was
    there before, which was nothing. Whatever ends it early leaves stores that open as empty ones.

    Raises UnknownStore, InvalidPair.
    """

    def __init__(self, stores: Stores, version: int) -> None:
        self._stores = stores
        self._db: KeyValueStore = stores.begin_restore()
        self._version = rec.pack_version(version)

    def get(self, store: str, key: bytes, *, side: bool) -> bytes | None:
        """What was put last."""
        record = self._db.get((rec.SIDE if side else rec.VALUE) + _store_id(store) + key)
        return None if record is None else record[rec.VERSION_BYTES :]

    def put(self, store: str, changes: Mapping[bytes, bytes | None], *, side: bool) -> None:
        """Set, or delete (None), once more perhaps."""
        number, space = _store_id(store), rec.SIDE if side else rec.VALUE
        batch: list[Write] = []
        for key, value in changes.items():
            check_pair(store, key, value, SIDE_BYTES_MAX if side else VALUE_BYTES_MAX, sentinel=side)
            batch.append((space + number + key, None if value is None else self._version + value))
            if not side:
                place, leaf = _staged(number, key, value or b"")
                batch.append((place, None if value is None else leaf))
            if len(batch) >= WRITES_PER_BATCH:
                self._db.write(batch)
                batch = []
        self._db.write(batch)

    def finish(self) -> None:
        """Build the trees; from now on it is the stores' version, durably."""
        roots = []
        for name in STORE_NAMES:
            self._put_sentinel(name)
            steps = _build_tree(self._db, _store_id(name), self._version)
            while True:
                try:
                    next(steps)
                except StopIteration as stop:
                    roots.append(stop.value)
                    break
        # half of what was written is gone by now, and would stay mapped into memory, too
        self._db.compact(rec.STAGED, rec.prefix_end(rec.STAGED) or b"\xff")
        _write_version(self._db, self._version, roots)
        self._stores.end_restore()
        self._stores.reload()

    def _put_sentinel(self, name: str) -> None:
        number = _store_id(name)
        key = rec.VALUE + number + SENTINEL_KEY
        self._db.write([(key, self._version + SENTINEL_VALUE), _staged(number, SENTINEL_KEY, SENTINEL_VALUE)])


def _store_id(name: str) -> bytes:
    """Raises UnknownStore."""
    if name not in STORE_NAMES:
        raise UnknownStore(name, allowed=STORE_NAMES)
    return bytes([STORE_NAMES.index(name)])


def _build_tree(db: KeyValueStore, store: bytes, version: bytes) -> Generator[None, None, bytes]:
    """Make a tree of its staged leaves, in the order of their paths: each update touches its right flank alone."""
    space = rec.STAGED + store
    root = smt.EMPTY_HASH
    leaves: list[smt.LeafChange] = []
    staged: list[bytes] = []
    pairs = db.scan(space, rec.prefix_end(space))
    while True:
        pair = next(pairs, None)
        if pair is not None:
            path, content = pair[0][len(space) :], pair[1]
            leaves.append((path.hex(), content[smt.HASH_BYTES :], content[: smt.HASH_BYTES]))
            staged.append(pair[0])
        if leaves and (pair is None or len(leaves) >= LEAVES_PER_UPDATE):
            root, batch = yield from _update(db, store, version, leaves)
            db.write(batch + [(key, None) for key in staged])
            leaves, staged = [], []
            yield
        if pair is None:
            return root


def _update(
    db: KeyValueStore, store: bytes, version: bytes, leaves: list[smt.LeafChange]
) -> Generator[None, None, tuple[bytes, list[Write]]]:
    """The new root, and what is written."""
    if native.is_used():
        return (yield from _update_natively(db, store, version, leaves))

    def load(name: str) -> bytes | None:
        record = db.get(rec.page_key(store, name))
        return None if record is None else record[rec.VERSION_BYTES :]

    change = yield from smt.update_steps(load, leaves)
    pages = change.pages.items()
    return change.root, [(rec.page_key(store, name), None if page is None else version + page) for name, page in pages]


def _update_natively(
    db: KeyValueStore, store: bytes, version: bytes, leaves: list[smt.LeafChange]
) -> Generator[None, None, tuple[bytes, list[Write]]]:
    tree = native.tree_update(rec.PAGE + store, version, is_whole=False)
    try:
        tree.add_hashed([(key, hash_) for _, key, hash_ in leaves])
        while (keys := tree.wanted(PAGES_PER_SLICE)) is not None:
            tree.give([db.get(key) for key in keys])
            yield
        while not tree.hash(PAGES_PER_SLICE):
            yield
    except ValueError as error:
        raise CorruptState(str(error)) from None
    batch: list[Write] = []
    while changed := tree.take(PAGES_PER_SLICE, b"")[0]:
        batch += changed
        yield
    return tree.root(), batch


def _write_version(db: KeyValueStore, version: bytes, roots: Sequence[bytes]) -> None:
    """As the only one."""
    db.write(
        [
            (rec.ROOTS + version, b"".join(roots)),
            (rec.LATEST_KEY, version),
            (rec.EARLIEST_KEY, version),
            (rec.FORMAT_KEY, rec.FORMAT),
        ],
        sync=True,
    )


def _staged(store: bytes, key: bytes, value: bytes) -> Write:
    path = sha256(key)
    return rec.STAGED + store + path, sha256(b"\x00" + path + sha256(value)) + key


def manifest_of(view: View, hashes: Sequence[bytes]) -> Manifest:
    """hashes: SHA-256 of each chunk."""
    return Manifest(view.version, tuple(view.roots[name] for name in STORE_NAMES), tuple(hashes))
