"""LevelDB behind the interface of `storage.kv`.

Reads and writes release the GIL while LevelDB works, and may be called from any thread. One process at a time can
hold a database. Source: plyvel's user guide; LevelDB, doc/index.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import plyvel

from storage.errors import StoreClosed, StoreFailed, StoreUnavailable
from storage.kv import Write
from storage.options import StoreOptions

_plyvel: Any = plyvel  # has no stubs
FAILURES: tuple[type[Exception], ...] = (_plyvel.Error, RuntimeError, OSError)  # RuntimeError: the database is closed
BLOOM_FILTER_BITS = 10  # a read of an absent key touches the disk once in a hundred times


class LevelStore:
    """A LevelDB database at `path`, made when it is missing.

    Raises: StoreUnavailable, when the folder is locked by another process, unreadable or corrupted.
    """

    def __init__(self, path: str, options: StoreOptions | None = None) -> None:
        options = options or StoreOptions()
        self.path = path
        try:
            self._db: Any = _plyvel.DB(
                path,
                create_if_missing=True,
                lru_cache_size=options.cache_bytes,
                write_buffer_size=options.write_buffer_bytes,
                max_open_files=options.max_open_files,
                block_size=options.block_bytes,
                compression="snappy" if options.compress else None,
                bloom_filter_bits=BLOOM_FILTER_BITS,
            )
        except FAILURES as error:
            raise StoreUnavailable(path, str(error)) from error

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except FAILURES as error:
            raise self._failure("get", error) from error
        return value

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._scan(self._db, start, stop, reverse)

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        """Apply all of `batch` or none; with `sync`, return when it is on disk."""
        try:
            writes = self._db.write_batch(sync=sync)
            put, delete = writes.put, writes.delete
            for key, value in batch:
                if value is None:
                    delete(key)
                else:
                    put(key, value)
            writes.write()
        except FAILURES as error:
            raise self._failure("write", error) from error

    def snapshot(self) -> LevelSnapshot:
        try:
            return LevelSnapshot(self, self._db.snapshot())
        except FAILURES as error:
            raise self._failure("snapshot", error) from error

    def compact(self, start: bytes, stop: bytes) -> None:
        """Rewrite the range start <= key < stop without what was deleted in it. Takes time with its size."""
        try:
            self._db.compact_range(start=start, stop=stop)
        except FAILURES as error:
            raise self._failure("compact", error) from error

    def size_bytes(self, start: bytes, stop: bytes) -> int:
        """About the bytes that the range takes on disk; what is still in memory is not counted."""
        try:
            return int(self._db.approximate_size(start, stop))
        except FAILURES as error:
            raise self._failure("size", error) from error

    def close(self) -> None:
        """Release the database. Idempotent; everything else raises StoreClosed from here on."""
        self._db.close()

    def _scan(self, source: Any, start: bytes, stop: bytes | None, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        if stop is not None and stop <= start:
            return iter(())  # plyvel takes an empty stop for none at all
        try:
            # made here, not at the first `next`: the pairs are those of the moment of the call
            # plyvel 1.5.1 scanning back loses a key that equals `start` and is alone in the range: we stop there
            pairs = source.iterator(start=b"" if reverse else start, stop=stop, reverse=reverse)
        except FAILURES as error:
            raise self._failure("scan", error) from error
        return self._pairs(pairs, start if reverse else b"")

    def _pairs(self, pairs: Any, floor: bytes) -> Iterator[tuple[bytes, bytes]]:
        """`pairs` until a key is below `floor`."""
        try:
            for pair in pairs:
                if pair[0] < floor:
                    return
                yield pair
        except FAILURES as error:
            raise self._failure("scan", error) from error
        finally:
            pairs.close()

    def _failure(self, action: str, error: Exception) -> StoreClosed | StoreFailed:
        return StoreClosed(self.path) if self._db.closed else StoreFailed(self.path, action, str(error))


class LevelSnapshot:
    """The database at one moment. Disk that later deletions free stays taken while a snapshot lives."""

    def __init__(self, store: LevelStore, source: Any) -> None:
        self._store, self._source = store, source

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._source.get(key)
        except FAILURES as error:
            raise self._store._failure("get", error) from error
        return value

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._store._scan(self._source, start, stop, reverse)
