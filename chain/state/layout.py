"""How the stores lie in the database, and how older versions are found there.

Each thing that a version can change is a *record*: a value, a page of a tree, or a side record. Its latest form lies
flat under its own key, with the version that wrote it in front. What a version replaced goes into that version's undo
records, in runs of neighbouring keys; so the state at an older version is read by walking back, a prune is the removal
of one range of keys, and a rollback is the undo records applied.

A replaced page is kept as its version and the touched slots alone, except in each version that WHOLE_PAGES_EVERY
divides: from there a reader need not go on to the latest.

    "p" store length(name) name   page of a tree         "m" name       latest version, earliest version, format
    "s" store key                 side record            "r" version    the roots of a version, in the stores' order
    "v" store key                 value                  "u" version key-of-the-first   undo run
    "x" key                       the application's own, unversioned
    "t" store path                while a snapshot is restored: the leaf's hash and its key

`store` is one byte, the store's place in the order of names; `version` 8 bytes, big-endian.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TypeAlias

from chain.state import smt
from chain.state.errors import CorruptState
from crypto import native
from storage.kv import Reader, Write

PAGE, SIDE, VALUE = b"p", b"s", b"v"
META, ROOTS, UNDO, EXTRA, STAGED = b"m", b"r", b"u", b"x", b"t"
LATEST_KEY, EARLIEST_KEY, FORMAT_KEY = META + b"latest", META + b"earliest", META + b"format"
UNFINISHED_KEY = META + b"unfinished"  # a clearing or a restore has begun and not ended: nothing here counts
FORMAT = b"1"
VERSION_BYTES = 8
UNDO_RUN_BYTES = 8_192  # a reader unpacks a whole run; a writer pays for each
WHOLE_PAGES_EVERY = 64  # keeps a walk over the history short, for a sixty-fourth of the volume that it would take
PUTS_PER_SLICE = 500  # below 1 ms
LAID_PER_CALL = 1_000  # below 1 ms, in which no other thread runs
PUTS_PER_FREED = 64  # freeing a few hundred records takes as long as putting them
CACHED_RECORD_OVERHEAD_BYTES = 150  # of a key, a value and their place in a dict, measured

Record: TypeAlias = bytes  # version ‖ content
_ENTRY = struct.Struct(">HI")  # lengths of key and record; 0: the record did not exist


def pack_version(version: int) -> bytes:
    return version.to_bytes(VERSION_BYTES, "big")


def version_of(record: Record) -> int:
    return int.from_bytes(record[:VERSION_BYTES], "big")


def before(key: bytes, record: Record | None, replaced: Record | None) -> Record | None:
    """What the record of `key` was before it became `record`; `replaced` is what an undo run holds for it."""
    if not _is_delta(key, replaced):
        return replaced
    if record is None or replaced is None:
        raise CorruptState(f"the history of page {key.hex()} does not fit its later record")
    return replaced[:VERSION_BYTES] + smt.apply_delta(record[VERSION_BYTES:], replaced[VERSION_BYTES:])


def _is_delta(key: bytes, replaced: Record | None) -> bool:
    return replaced is not None and key.startswith(PAGE) and smt.is_delta(replaced[VERSION_BYTES:])


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key after all that start with `prefix`; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def page_key(store: bytes, name: str) -> bytes:
    return b"%b%b%c%b" % (PAGE, store, len(name), name.encode())


class UndoRuns:
    """Collects what a version replaces, and packs it into runs."""

    def __init__(self, version: int) -> None:
        self.prefix = UNDO + pack_version(version)
        self.writes: list[Write] = []

    def add(self, replaced: Iterable[tuple[bytes, Record | None]]) -> None:
        """replaced: ascending by key, all of one kind and store, and above what was added of these before."""
        if native.is_used():
            self.writes += native.undo_runs(self.prefix, list(replaced))
            return
        first = b""
        parts: list[bytes] = []
        size = 0
        pack = _ENTRY.pack
        for key, record in replaced:
            if not parts:
                first = key
            old = record or b""
            parts += (pack(len(key), len(old)), key, old)
            size += len(key) + len(old)
            if size >= UNDO_RUN_BYTES:
                self.writes.append((self.prefix + first, b"".join(parts)))
                parts, size = [], 0
        if parts:
            self.writes.append((self.prefix + first, b"".join(parts)))


def unpack_run(run: bytes) -> Iterator[tuple[bytes, Record | None]]:
    at = 0
    while at < len(run):
        key_length, record_length = _ENTRY.unpack_from(run, at)
        at += _ENTRY.size
        key = run[at : at + key_length]
        at += key_length
        yield key, run[at : at + record_length] or None
        at += record_length


class History:
    """Records as they were at older versions, read from one snapshot."""

    def __init__(self, reader: Reader, *, latest: int) -> None:
        self._reader, self._latest = reader, latest

    def record(self, key: bytes, version: int) -> Record | None:
        """The record of `key` at `version`.

        Walks back from the latest record and forward from `version` in turn, so that neither a record that changes
        with each version nor one that never does costs more than twice the shorter way.
        """
        record = self._reader.get(key)
        upper = self._latest + 1  # `record` is what held just before `upper`
        lower = version
        deltas: list[Record | None] = []  # what versions in (version, lower] replaced, the earliest first
        while True:
            if record is not None:
                written = version_of(record)
                if written <= version:
                    return record
                found, replaced = self._replaced(key, written)
                assert found, (key, written)
                record, upper = before(key, record, replaced), written
            lower += 1
            if lower >= upper:
                break
            found, replaced = self._replaced(key, lower)
            if found:
                deltas.append(replaced)
                if not _is_delta(key, replaced):
                    break
        for replaced in reversed(deltas):
            record = before(key, record, replaced)
        return record

    def overlay(
        self, prefix: bytes, version: int, *, start: bytes, bytes_max: int
    ) -> tuple[dict[bytes, Record | None], bytes | None]:
        """The values or side records under `prefix` that changed after `version`, as they were then: from the key
        `start` up to, not with, the key that is told beside them, where they take more than `bytes_max`; None: all."""
        then: dict[bytes, Record | None] = {}
        size, end = 0, None
        for later in range(version + 1, self._latest + 1):
            for key, record in self._runs(prefix, start, later):
                if end is not None and key >= end:
                    break
                if key in then or key < start or not key.startswith(prefix):
                    continue
                then[key] = record
                size += _held_bytes(key, record)
                if size > bytes_max and len(then) > 1:
                    keys = sorted(then)
                    end = keys[len(keys) // 2]
                    then = {key: then[key] for key in keys[: len(keys) // 2]}
                    size = sum(_held_bytes(key, record) for key, record in then.items())
        return then, end

    def _replaced(self, key: bytes, version: int) -> tuple[bool, Record | None]:
        """Whether `version` changed the key, and what it replaced."""
        start = UNDO + pack_version(version)
        for _, run in self._reader.scan(start, start + key + b"\x00", reverse=True):
            for candidate, record in unpack_run(run):
                if candidate == key:
                    return True, record
            break
        return False, None

    def _runs(self, prefix: bytes, first: bytes, version: int) -> Iterator[tuple[bytes, Record | None]]:
        """What `version` replaced under `prefix` from the key `first` on, ascending, and some more before and after."""
        start = UNDO + pack_version(version)
        for _, run in self._reader.scan(start, start + first, reverse=True):
            yield from unpack_run(run)  # the run before it may reach into it
            break
        for _, run in self._reader.scan(start + first, prefix_end(start + prefix)):
            yield from unpack_run(run)


def _held_bytes(key: bytes, record: Record | None) -> int:
    return len(key) + len(record or b"") + CACHED_RECORD_OVERHEAD_BYTES


class RecordCache:
    """The records used of late, within a bound of bytes: a young generation, an old one, and one that is being freed.

    What a commit changed is laid on top at once, and settles into the younger generation in slices, later.
    Each generation is many small dicts, since a large one takes milliseconds to grow, or to be freed.
    Any thread may call any of it: what changes it holds the lock, and a reader that found an old record keeps it for
    longer only if nothing newer came meanwhile.
    """

    MISS = b"(not cached)"  # no record: it is compared by identity

    def __init__(self, bytes_max: int) -> None:
        self._young: list[dict[bytes, Record | None]] = []
        self._old: list[dict[bytes, Record | None]] = []
        self._dying: list[dict[bytes, Record | None]] = []  # freed one by one
        self._puts = 0
        self._top: Mapping[bytes, Record | None] = {}
        self._young_bytes = 0
        self._generation_bytes = bytes_max // 3
        self._lock = threading.Lock()
        self.clear()

    def get(self, key: bytes) -> Record | None:
        """The record, None when it is known to be absent, or MISS."""
        record = self._top.get(key, self.MISS)
        if record is not self.MISS:
            return record
        shard = key[-1] ^ key[len(key) >> 1]
        record = self._young[shard].get(key, self.MISS)
        if record is self.MISS:
            record = self._old[shard].get(key, self.MISS)
            if record is not self.MISS:
                self._promote(key, shard, record)
        return record

    def _promote(self, key: bytes, shard: int, record: Record | None) -> None:
        with self._lock:
            is_latest = key not in self._top and key not in self._young[shard]
            if is_latest and self._old[shard].get(key, self.MISS) is record:
                self._put(key, record)

    def put(self, key: bytes, record: Record | None) -> None:
        with self._lock:
            self._put(key, record)

    def _put(self, key: bytes, record: Record | None) -> None:
        self._young[key[-1] ^ key[len(key) >> 1]][key] = record
        self._young_bytes += len(key) + len(record or b"") + CACHED_RECORD_OVERHEAD_BYTES
        if self._young_bytes > self._generation_bytes:
            self._dying = self._old
            self._old, self._young, self._young_bytes = self._young, _shards(), 0
        self._puts += 1
        if self._dying and self._puts % PUTS_PER_FREED == 0:
            self._dying.pop()

    def lay(self, records: Mapping[bytes, Record | None]) -> None:
        """Let `records` hold from now on, instead of what is here for their keys."""
        for _ in self.settle():
            pass
        self._top = records

    def settle(self) -> Generator[None, None, None]:
        """Put what was laid on top where it counts against the bound; may be abandoned and begun again."""
        top = self._top
        for number, (key, record) in enumerate(top.items()):
            self.put(key, record)
            if number % PUTS_PER_SLICE == 0:
                yield
                if self._top is not top:
                    return  # a commit came between, and settled the whole of it
        self._top = {}

    def clear(self) -> None:
        with self._lock:
            self._young, self._old, self._top, self._young_bytes = _shards(), _shards(), {}, 0

    @property
    def bytes_held_max(self) -> int:
        """A bound of the bytes held now: what was put twice counts twice."""
        return self._young_bytes + self._generation_bytes * (any(self._old) + any(self._dying))


class NativeRecordCache:
    """As `RecordCache`, in the native part, which reads the pages of its trees from it."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.clear()

    def get(self, key: bytes) -> Record | None:
        return self.records.get(key, RecordCache.MISS)

    def put(self, key: bytes, record: Record | None) -> None:
        self.records.put([(key, record)])

    def lay(self, records: Mapping[bytes, Record | None]) -> None:
        pairs = list(records.items())
        for at in range(0, len(pairs), LAID_PER_CALL):
            self.records.put(pairs[at : at + LAID_PER_CALL])

    def settle(self) -> Iterator[None]:
        return iter(())

    def clear(self) -> None:
        self.records = native.record_cache(self._bytes_max)

    @property
    def bytes_held_max(self) -> int:
        return self.records.counts()[2]


def _shards() -> list[dict[bytes, Record | None]]:
    return [{} for _ in range(256)]
