"""One version of the stores, to read and to prove from; later commits and prunes do not change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chain.state import layout as rec
from chain.state import smt
from chain.state.errors import CorruptState, TooFarBack, UnknownStore, VersionUnavailable
from chain.state.roots import STORE_NAMES, app_hash_of
from storage.kv import Reader

SENTINEL = b"\x00"
SCANNED_BACK_MAX = 10_000  # versions: half a second, where all are kept
CHANGED_BYTES_MAX = 33_554_432  # of what changed since, in memory at once: where it is more it is read several times


class View:
    """A version in a snapshot of the database (None: the latest in it).

    Raises: VersionUnavailable.
    """

    def __init__(self, snapshot: Reader, version: int | None) -> None:
        latest = snapshot.get(rec.LATEST_KEY)
        earliest = snapshot.get(rec.EARLIEST_KEY)
        newest = rec.version_of(latest) if latest is not None else -1
        oldest = rec.version_of(earliest) if earliest is not None else 0
        self.version = newest if version is None else version
        if not 0 <= oldest <= self.version <= newest:
            raise VersionUnavailable(self.version, earliest=oldest, latest=newest)
        self._reader = snapshot
        self._history = None if self.version == newest else rec.History(snapshot, latest=newest)
        self._latest = newest
        self.roots: Mapping[str, bytes] = self._read_roots()

    @property
    def app_hash(self) -> bytes:
        """What the header of the height after this version holds."""
        return app_hash_of(self.roots)

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value at this version, or None. Raises: UnknownStore."""
        if not key:
            return None
        full_key = rec.VALUE + self._id(store) + key
        record = self._reader.get(full_key)
        if self._history is not None and (record is None or rec.version_of(record) > self.version):
            # The tree tells what existed then: a walk through the versions for a key that never did has no end.
            node = self.node_of(store, key)
            known = smt.is_leaf(node) and node[smt.HASH_BYTES :] == key
            record = self._history.record(full_key, self.version) if known else None
        return None if record is None else record[rec.VERSION_BYTES :]

    def side(self, store: str, key: bytes) -> bytes | None:
        """The side record at this version, or None. Raises: UnknownStore."""
        record = self._record(rec.SIDE + self._id(store) + key)
        return None if record is None else record[rec.VERSION_BYTES :]

    def scan(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The pairs whose key starts with `prefix`, ascending, without the sentinel; from the key `start` on, if given.

        At an older version it first reads what changed since, so it costs with the distance to the latest; in memory
        no more than `CHANGED_BYTES_MAX`.
        Raises: TooFarBack.
        """
        for key, content in self._scan(rec.VALUE + self._id(store), prefix, start):
            if key != SENTINEL:
                yield key, content

    def scan_side(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The side records whose key starts with `prefix`, ascending; `start` as in `scan`."""
        return self._scan(rec.SIDE + self._id(store), prefix, start)

    def changed(self) -> Iterator[tuple[str, bytes, bool]]:
        """(store, key, whether it is a side record) of what this version itself set or deleted; none of the oldest."""
        undone = rec.UNDO + rec.pack_version(self.version)
        for _, run in self._reader.scan(undone, rec.prefix_end(undone)):
            for key, _ in rec.unpack_run(run):
                if key[:1] in (rec.VALUE, rec.SIDE):
                    yield STORE_NAMES[key[1]], key[2:], key[:1] == rec.SIDE

    def page(self, store: str, name: str) -> smt.Page | None:
        """The page of that name in the store's tree."""
        record = self._record(rec.page_key(self._id(store), name))
        return None if record is None else smt.decode_page(record[rec.VERSION_BYTES :])

    def tree(self, store: str) -> tuple[int, bytes]:
        """(the version that changed the store last, its root by its own pages): what `roots` must agree with."""
        record = self._record(rec.page_key(self._id(store), ""))
        if record is None:
            raise CorruptState(f"store {store} at {self.version}: the root page is missing")
        page = smt.decode_page(record[rec.VERSION_BYTES :])
        return rec.version_of(record), smt.hash_of(smt.page_root(page))

    def node_of(self, store: str, key: bytes) -> smt.Node:
        """What is in the slot where `key` would be: nothing, its leaf, or another's."""
        path = smt.path_of(key)
        for depth, digit in enumerate(path):
            page = self.page(store, path[:depth])
            if page is None:
                if depth:
                    raise CorruptState(f"store {store} at {self.version}: page {path[:depth]} is missing")
                return b""
            node = page[smt.SLOT_OF[digit]]
            assert node is not None
            if len(node) != smt.HASH_BYTES:
                return node
        raise CorruptState(f"store {store} at {self.version}: the tree is deeper than a path")

    def _id(self, store: str) -> bytes:
        if store not in STORE_NAMES:
            raise UnknownStore(store, allowed=STORE_NAMES)
        return bytes([STORE_NAMES.index(store)])

    def _record(self, key: bytes) -> rec.Record | None:
        return self._reader.get(key) if self._history is None else self._history.record(key, self.version)

    def _scan(self, space: bytes, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        whole, first = space + prefix, space + (start or prefix)
        pairs = self._reader.scan(first, rec.prefix_end(whole)) if self._history is None else self._then(whole, first)
        for key, record in pairs:
            yield key[len(space) :], record[rec.VERSION_BYTES :]

    def _then(self, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, rec.Record]]:
        """The records under `prefix` from the key `start` on, as they were at this older version."""
        assert self._history is not None
        if self._latest - self.version > SCANNED_BACK_MAX:
            raise TooFarBack(self.version, latest=self._latest, most=SCANNED_BACK_MAX)
        first: bytes | None = start
        while first is not None:
            then, end = self._history.overlay(prefix, self.version, start=first, bytes_max=CHANGED_BYTES_MAX)
            yield from _merge(self._reader.scan(first, end or rec.prefix_end(prefix)), then)
            first = end

    def _read_roots(self) -> dict[str, bytes]:
        packed = self._reader.get(rec.ROOTS + rec.pack_version(self.version))
        if packed is None or len(packed) != smt.HASH_BYTES * len(STORE_NAMES):
            raise CorruptState(f"the state database lacks the roots of version {self.version}")
        size = smt.HASH_BYTES
        return {name: packed[size * number : size * (number + 1)] for number, name in enumerate(STORE_NAMES)}


def _merge(
    pairs: Iterator[tuple[bytes, rec.Record]], before: dict[bytes, rec.Record | None]
) -> Iterator[tuple[bytes, rec.Record]]:
    """`pairs` with the keys of `before` as they were."""
    gone = iter(sorted(before))
    next_gone = next(gone, None)
    for key, record in pairs:
        while next_gone is not None and next_gone < key:
            old = before[next_gone]
            if old is not None:
                yield next_gone, old
            next_gone = next(gone, None)
        if next_gone == key:
            old = before[key]
            next_gone = next(gone, None)
            if old is not None:
                yield key, old
        else:
            yield key, record
    while next_gone is not None:
        old = before[next_gone]
        if old is not None:
            yield next_gone, old
        next_gone = next(gone, None)
