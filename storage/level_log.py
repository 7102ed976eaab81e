"""What has to be on disk, and when, that LevelDB does not see to: a new database, and a log that it leaves for another.

A write that finds LevelDB's buffer full begins a new log. What the old one holds unsynced may then be lost by a stop of
the machine although later writes, synced, are there; and the new log's name is durable only once its folder is synced,
which LevelDB does when it next writes its MANIFEST. So the old log is synced before a write that may begin another, and
the folder after one that did. How full the buffer is LevelDB does not tell: it is bounded from above.

Within a log, too, a later write may get to the disk without an earlier one, until both are synced.
Source: LevelDB 1.22, db/db_impl.cc (MakeRoomForWrite), db/memtable.cc, db/skiplist.h, util/arena.cc, util/env_posix.cc.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from storage.level_files import TABLE_SUFFIXES, is_held

ENTRY_BYTES: Final = 48  # that an entry takes more in the buffer than in its batch, sequence and node: 27 on average
FILLED_SHARE: Final = (4, 3)  # of a block of the arena, up to a quarter is left empty by what does not fit
BLOCK_BYTES: Final = 8_192  # the arena's first block, and one that was just begun
SETTLED_NS: Final = 50_000_000  # a folder's time is that of the kernel's last tick: two changes within one look alike


MARK: Final = "NEW"  # LevelDB leaves alone what it does not know


class LogKeeper:
    """Of one open database; whoever uses it holds the database's lock for writing. Raises OSError."""

    def __init__(self, folder: Path, buffer_bytes: int) -> None:
        self._folder, self._buffer_bytes = folder, buffer_bytes
        self._seen_ns, self._is_settled = 0, False  # the folder's time when it was last listed
        self._newest = self._newest_log()
        self._filled = BLOCK_BYTES  # of the buffer, at most
        self._unsynced = False
        self._forced = 0  # compactions under way: each begins a log at a moment that nobody knows

    @property
    def may_switch(self) -> bool:
        """Whether the next write may begin a new log."""
        return self._forced > 0 or self._filled > self._buffer_bytes

    def before_write(self, *, sets: bool) -> None:
        """sets: more than deletions. Whole behind a lost one such a batch reads as a disk that lied, so that all before
        it has to be durable (`level_files.batch_follows`)."""
        if self._unsynced and (sets or self.may_switch):
            self._sync_log()

    def after_write(self, entries: int, size_bytes: int, *, sync: bool) -> None:
        """size_bytes: of the batch, as LevelDB has it."""
        added = (size_bytes + entries * ENTRY_BYTES) * FILLED_SHARE[0] // FILLED_SHARE[1]
        if self.may_switch and self._has_switched():
            self._filled = BLOCK_BYTES
        self._filled += added
        self._unsynced = not sync

    def before_compaction(self) -> None:
        """It begins a log whatever the buffer holds. Writes go on meanwhile."""
        self._forced += 1
        if self._unsynced:
            self._sync_log()

    def after_compaction(self) -> None:
        self._forced -= 1
        self._has_switched()

    def _sync_log(self) -> None:
        """All that is unsynced is in the newest: the one before was synced when it was begun."""
        with contextlib.suppress(FileNotFoundError):  # it is in a table by now
            sync_file(self._folder / f"{self._newest:06d}.log")
        self._unsynced = False

    def _has_switched(self) -> bool:
        """Whether there is a new log; then its name is durable."""
        time_ns = self._folder.stat().st_mtime_ns
        if self._is_settled and time_ns == self._seen_ns:
            return False
        self._seen_ns, self._is_settled = time_ns, time.time_ns() - time_ns > SETTLED_NS
        newest = self._newest_log()
        if newest == self._newest:
            return False
        self._newest = newest
        sync_folder(self._folder)
        return True

    def _newest_log(self) -> int:
        return max((int(name[:-4]) for name in os.listdir(self._folder) if name.endswith(".log")), default=0)


def make_new(path: Path, make: Callable[[str], None]) -> None:
    """Where there is no database at `path`, have one made, and return when all of it is durable.

    LevelDB syncs none of the files of a new one: a stop of the machine would leave what is no database, and no sign
    that there never was one. So a mark stands beside them until they are on disk, and what is found with a mark was
    never used. make: makes one in a folder, and closes it. Raises OSError, also where another process makes one.
    """
    mark = path / MARK
    parts = [name for name in os.listdir(path) if is_part(name)] if path.is_dir() else []
    if parts and not mark.exists():
        return
    if is_held(str(path)):
        raise BlockingIOError(f"another process makes {path}")
    path.mkdir(exist_ok=True)
    mark.touch()
    sync_folder(path)
    sync_folder(path.parent)
    for name in parts:
        (path / name).unlink()
    make(str(path))
    for name in os.listdir(path):
        sync_file(path / name)
    sync_folder(path)
    mark.unlink()
    sync_folder(path)


def unmake(path: Path) -> None:
    """Remove the database at `path`, if there is one; nobody has it open. It takes no room on the disk, as deletions in
    it would. A stop in between leaves what `make_new` makes anew. Raises OSError.
    """
    if not path.is_dir():
        return
    (path / MARK).touch()
    sync_folder(path)
    for name in os.listdir(path):
        if is_part(name):
            (path / name).unlink()
    sync_folder(path)
    shutil.rmtree(path)


def is_part(name: str) -> bool:
    """Whether it is a file without which a database is another."""
    return name == "CURRENT" or name.startswith("MANIFEST-") or name.endswith((".log", *TABLE_SUFFIXES))


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
