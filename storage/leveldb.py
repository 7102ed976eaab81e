"""LevelDB behind the interface of `storage.kv`.

Reads and writes release the GIL while LevelDB works, and may be called from any thread. One process at a time can
hold a database. Source: plyvel's user guide; LevelDB, doc/index.md.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import plyvel
import structlog

from storage.errors import StorageError, StoreClosed, StoreCorrupted, StoreFailed, StoreUnavailable
from storage.kv import Write
from storage.level_files import damages, is_held, look_through
from storage.level_log import LogKeeper, make_new, sync_file
from storage.options import StoreOptions

_plyvel: Any = plyvel  # has no stubs
FAILURES: tuple[type[Exception], ...] = (_plyvel.Error, RuntimeError, OSError)  # RuntimeError: the database is closed
CORRUPTION: type[Exception] = _plyvel.CorruptionError
REFUSALS: Final = (  # LevelDB tells them by their texts alone: `IO error: FILE: TEXT`
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE,
    errno.EIO,
)  # fmt: skip
BLOOM_FILTER_BITS = 10  # a read of an absent key touches the disk once in a hundred times

OnBroken = Callable[[StoreCorrupted | StoreFailed], None]

log = structlog.get_logger(__name__)


class LevelStore:
    """A LevelDB database at `path`, made when it is missing. Every block that is read has its checksum checked.

    A write that failed may have left a part of itself in the log, behind which LevelDB would write on and read nothing
    again: from then on nothing is written until the database is opened anew.
    on_broken: told, in whichever thread, of a read that found damage and of a write that failed, whoever handles the
    error then. Raises: StoreUnavailable, when the folder is locked by another process or unreadable; StoreCorrupted.
    """

    def __init__(
        self,
        path: str,
        options: StoreOptions | None = None,
        *,
        on_broken: OnBroken | None = None,
    ) -> None:
        options = options or StoreOptions()
        self.path, self._on_broken = path, on_broken
        self._failed: StoreFailed | None = None  # the first write that did
        try:
            make_new(Path(path), lambda folder: _plyvel.DB(folder, create_if_missing=True).close())
            _prepare(path)
            self._db: Any = _plyvel.DB(
                path,
                create_if_missing=False,
                lru_cache_size=options.cache_bytes,
                write_buffer_size=options.write_buffer_bytes,
                max_open_files=options.max_open_files,
                block_size=options.block_bytes,
                compression="snappy" if options.compress else None,
                bloom_filter_bits=BLOOM_FILTER_BITS,
                paranoid_checks=True,
            )
            self._log = LogKeeper(Path(path), options.write_buffer_bytes)
            self._writing = threading.Lock()
        except CORRUPTION as error:
            raise _damage(path, "", error) from error
        except FAILURES as error:
            number, filename = _refused(error)
            raise StoreUnavailable(path, _text(error), errno=number, filename=filename) from error

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except FAILURES as error:
            raise self._failure(f"get of key {key.hex()}", error) from error
        return value

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._scan(self._db, start, stop, reverse)

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        """Apply all of `batch` or none; with `sync`, return when it is on disk."""
        if (failed := self._failed) is not None:
            reason = f"one before it did ({failed})"
            raise StoreFailed(self.path, "write", reason, errno=failed.errno, filename=failed.filename)
        try:
            writes = self._db.write_batch(sync=sync)
            put, delete, deletions = writes.put, writes.delete, 0
            for key, value in batch:
                if value is None:
                    delete(key)
                    deletions += 1
                else:
                    put(key, value)
            size = writes.approximate_size()
            with self._writing:
                self._log.before_write(sets=deletions < len(batch))
                writes.write()
                self._log.after_write(len(batch), size, sync=sync)
        except FAILURES as error:
            found = self._failure("write", error)
            if isinstance(found, StoreFailed):
                self._failed = found
                if self._on_broken is not None:
                    self._on_broken(found)
            raise found from error

    def snapshot(self) -> LevelSnapshot:
        try:
            return LevelSnapshot(self, self._db.snapshot())
        except FAILURES as error:
            raise self._failure("snapshot", error) from error

    def compact(self, start: bytes, stop: bytes) -> None:
        """Rewrite the range start <= key < stop without what was deleted in it. Takes time with its size."""
        try:
            with self._writing:
                self._log.before_compaction()
            try:
                self._db.compact_range(start=start, stop=stop)
            finally:
                with self._writing:
                    self._log.after_compaction()
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
            pairs = source.iterator(start=b"" if reverse else start, stop=stop, reverse=reverse, verify_checksums=True)
        except FAILURES as error:
            raise self._failure("scan", error) from error
        return self._pairs(pairs, source, start, stop, reverse)

    def _pairs(
        self, pairs: Any, source: Any, start: bytes, stop: bytes | None, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """`pairs` until a key is below `start`."""
        floor = start if reverse else b""
        pair = None
        try:
            for pair in pairs:
                if pair[0] < floor:
                    return
                yield pair
            _look_behind(source, None if pair is None else pair[0], start, stop, reverse)
        except FAILURES as error:
            raise self._failure("scan", error) from error
        finally:
            pairs.close()

    def _failure(self, action: str, error: Exception) -> StorageError:
        if self._db.closed:
            return StoreClosed(self.path)
        if not isinstance(error, CORRUPTION):
            number, filename = _refused(error)
            return StoreFailed(self.path, action, _text(error), errno=number, filename=filename)
        found = _damage(self.path, action, error)
        if self._on_broken is not None:
            self._on_broken(found)
        return found


def _look_behind(source: Any, last: bytes | None, start: bytes, stop: bytes | None, reverse: bool) -> None:
    """Whether a scan ended behind `last` (None: it had nothing) by damage: raises what LevelDB says then. plyvel 1.5.1
    ends there as where nothing follows, and a range of which the table cannot be read was an empty one; its raw
    iterator says it."""
    raw = source.raw_iterator(verify_checksums=True)
    try:
        if last is None and reverse and stop is None:
            raw.seek_to_last()
            return
        raw.seek(last if last is not None else stop if reverse else start)
        if raw.valid() and reverse:
            raw.prev()
        elif raw.valid() and last is not None:
            raw.next()
        elif reverse:
            raw.seek_to_last()
    finally:
        raw.close()


def _text(error: Exception) -> str:
    """plyvel hands on LevelDB's bytes."""
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(error)


def _refused(error: Exception) -> tuple[int | None, str]:
    """What the machine refused, and the file; None: it is another failure."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno, str(error.filename or "")
    text = _text(error)
    for number in REFUSALS:
        if text.endswith(f": {os.strerror(number)}"):
            file = text.removesuffix(f": {os.strerror(number)}").removeprefix("IO error: ")
            return number, file.removeprefix("lock ")
    return None, ""


def _prepare(path: str) -> None:
    """Look through the database's files, cut what a stop left of a write, and make durable what the last process left
    unsynced: LevelDB begins another log, beside which a torn end would read as damage. Raises StoreCorrupted, OSError.
    """
    try:
        torn = look_through(path)
    except (StoreCorrupted, FileNotFoundError):
        if is_held(path):
            return  # its files change under our eyes; LevelDB will say who has it
        raise
    if torn is not None and not is_held(path):
        file, offset, why = torn
        log.warning(
            f"cut what a stop left at the end of {file}", offset=offset, bytes=file.stat().st_size - offset, why=why
        )
        os.truncate(file, offset)
    if not is_held(path):
        for file in Path(path).glob("*.log"):
            sync_file(file)


def _damage(path: str, action: str, error: Exception) -> StoreCorrupted:
    """What LevelDB's error is about: the first damage in the files, with their names."""
    found = next(damages(path), None)
    if found is None:
        return StoreCorrupted(path, action, _text(error))
    return StoreCorrupted(found.file, f"{found.where} ({action})" if action else found.where, found.why)


class LevelSnapshot:
    """The database at one moment. Disk that later deletions free stays taken while a snapshot lives."""

    def __init__(self, store: LevelStore, source: Any) -> None:
        self._store, self._source = store, source

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._source.get(key, verify_checksums=True)
        except FAILURES as error:
            raise self._store._failure(f"get of key {key.hex()}", error) from error
        return value

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._store._scan(self._source, start, stop, reverse)
