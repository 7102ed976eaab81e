"""Copies of a node's databases, taken while it runs or after it stopped. Its own files are only read.

A copy is what a stop of the machine at that moment would have left, and is taken up as after one: the databases are
copied in the order in which the later may be ahead (`consensus/execution/handshake.py`). The node is not asked, and
does nothing for it: tables never change, and are linked where that is possible.
Source: LevelDB, doc/impl.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus.system.machine import MachineRefusal
from dchat.config import Config
from dchat.home.files import is_replacing
from dchat.home.home import REHEARSAL_PREFIX, Home
from dchat.upkeep.errors import CopyFailed, UpkeepError
from storage.errors import StorageError, StoreCorrupted
from storage.kv import KeyValueStore
from storage.open import open_store
from storage.options import StoreOptions

COPY_TRIES: Final = 5  # the running node may delete a table between two of our steps
DATABASES: Final = ("app", "state", "blocks")  # in this order: what the application has, the later copies have too


def copy_database(source: Path, target: Path) -> None:
    """Copy a LevelDB that another process may be writing to. Raises CopyFailed, StoreCorrupted.

    Tables never change: they are linked (or copied) first, and again after the small files that name them. The log's
    torn tail, if any, is cut when the copy is opened.
    """
    damage: StoreCorrupted | None = None
    for _ in range(COPY_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        try:
            _take_tables(source, target)
            for path in sorted(source.iterdir()):
                if path.suffix not in (".ldb", ".sst") and path.name != "LOCK":
                    shutil.copyfile(path, target / path.name)
            _take_tables(source, target)
            open_store("leveldb", target, StoreOptions()).close()
        except StoreCorrupted as error:
            damage = error
            continue
        except (OSError, StorageError) as error:
            if MachineRefusal.of(error) is not None:
                raise  # another try meets the same disk
            damage = None
            continue
        return
    if damage is not None:  # of itself: what another process does meanwhile would have passed
        raise StoreCorrupted(damage.file.replace(str(target), str(source)), damage.where, damage.why)
    raise CopyFailed(f"{source} changed under each of {COPY_TRIES} copies; try again, or stop the node first")


def _take_tables(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.suffix in (".ldb", ".sst") and not (target / path.name).exists():
            try:
                os.link(path, target / path.name)
            except OSError:
                shutil.copyfile(path, target / path.name)


@dataclass
class Copy:
    """Opened copies of a node's three databases in a folder of their own."""

    folder: Path
    app: KeyValueStore
    state: KeyValueStore
    blocks: KeyValueStore

    @staticmethod
    def of(home: Home, config: Config, folder: Path) -> Copy:
        """Raises CopyFailed, StorageError."""
        if config.database.backend != "leveldb":
            raise CopyFailed("only databases on disk can be copied")
        before = _which(home.databases)
        for name in DATABASES:
            if not (home.databases / name).is_dir():
                raise CopyFailed(f"{home.databases / name} is missing: this home has no state yet")
            copy_database(home.databases / name, folder / name)
        if _which(home.databases) != before:
            raise CopyFailed(f"{home.databases}: the databases were replaced by others meanwhile; try again")
        return Copy(folder, *(open_store("leveldb", folder / name, StoreOptions()) for name in DATABASES))

    def close(self) -> None:
        for store in (self.app, self.state, self.blocks):
            store.close()


def _which(databases: Path) -> list[int]:
    """Told apart from those that take their place. Raises CopyFailed: some of them have, and some have not."""
    if is_replacing(databases):
        raise CopyFailed(
            f"{databases}: the databases are being replaced by others, or that was cut off: the next start of the node "
            "finishes it, or another restore"
        )
    return [path.stat().st_ino for name in DATABASES if (path := databases / name).is_dir()]


@contextlib.contextmanager
def hold_databases(databases: Path) -> Iterator[None]:
    """Nobody else has one of them open, or opens it, meanwhile: by LevelDB's own locks, which hold whatever name the
    folder goes by and whatever home the other process has. Raises UpkeepError, OSError."""
    with contextlib.ExitStack() as until:
        for folder in (databases / name for name in DATABASES):
            if not folder.is_dir():
                continue
            file = until.enter_context((folder / "LOCK").open("a+b"))
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise UpkeepError(f"{folder}: another process has it open: stop it first") from None
        yield


def remove_remains(beside: Path) -> None:
    """Copies of processes that were killed."""
    for folder in beside.glob(f"{REHEARSAL_PREFIX}*-*"):
        pid = folder.name.removeprefix(REHEARSAL_PREFIX).partition("-")[0]
        if pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
