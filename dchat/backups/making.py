"""Making one backup: written, put in its place, noted, and then the old ones removed.

Nothing goes before the new one is in its place and was looked at again. One process at a time makes backups of a home.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from consensus.formats.units import MIB
from consensus.p2p.conn.node_key import NodeKey
from dchat.backups.errors import TargetFailed
from dchat.backups.folder import DRAFT_ENDING
from dchat.backups.kept import Kept, kept_of, name_of, series_of, which_go
from dchat.backups.record import Record, read_record, write_record
from dchat.backups.target import Target
from dchat.config import Config
from dchat.home.home import REHEARSAL_PREFIX, Home, load_genesis
from dchat.upkeep.archive import Facts, Told, quiet
from dchat.upkeep.backup import backup
from dchat.upkeep.copies import DATABASES, remove_remains
from dchat.upkeep.errors import NoRoomForBackup, UpkeepError
from dchat.upkeep.locks import Lock

ROOM_KEPT: Final = 256 << 20  # of a disk that a node writes to: a backup must not be what fills it
FLOORS: Final = 2  # and twice what the node itself needs to go on, [database] min_free
NICEST: Final = 19


@dataclass(frozen=True)
class Made:
    facts: Facts
    name: str
    path: str  # as a restore takes it
    bytes: int
    removed: tuple[str, ...] = ()


def be_nice() -> None:
    """Of processors and disks, take what nobody else wants."""
    os.setpriority(os.PRIO_PROCESS, 0, NICEST)


def series_of_home(home: Home) -> str:
    """Raises HomeError, InvalidFile."""
    return series_of(load_genesis(home).chain_id, NodeKey.load(home.node_key).id)


def make_backup(
    home: Home, config: Config, target: Target, name: str = "", *, compress: bool, lock: Lock | None, told: Told = quiet
) -> Made:
    """One, at `target`; "": a name is made of chain, node, height and time. told: bytes that are written, and of how
    many. Raises UpkeepError, StorageError, HomeError, OSError."""
    with _alone(home):
        if name:
            target.check_free(name)
        return _make(home, config, target, name, int(time.time()), compress=compress, lock=lock, told=told)


def keep_backup(
    home: Home, config: Config, target: Target, *, compress: bool, lock: Lock | None, told: Told = quiet
) -> Made:
    """As the schedule does: noted in the home, and those that [backup] keeps no longer are removed.

    Raises what `make_backup` does; TargetFailed also when the new one is there and the old ones could not be removed.
    """
    with _alone(home):
        series, began_s = series_of_home(home), int(time.time())
        before = read_record(home, target.where) or Record(target.where, began_s)
        began_s += began_s == before.began_s  # two in one second have two names
        with contextlib.suppress(TargetFailed):  # some stores, and some rights, cannot
            target.clean(series)
        made = _make(home, config, target, "", began_s, compress=compress, lock=lock, told=told)
        write_record(home, replace(
            before, made=before.made + 1, began_s=began_s, ended_s=max(began_s, int(time.time())), name=made.name,
            height=made.facts.height, bytes=made.bytes,
        ))  # fmt: skip
        try:
            return replace(made, removed=tuple(_remove_old(config, target, series, made.name)))
        except TargetFailed as error:
            raise TargetFailed(f"made {made.path}, but older ones could not be removed: {error}") from None


def kept_at(target: Target) -> list[Kept]:
    """The newest first. Raises TargetFailed."""
    found = [kept_of(name, size) for name, size in target.list()]
    return sorted((one for one in found if one is not None), reverse=True)


def _remove_old(config: Config, target: Target, series: str, newest: str) -> Iterator[str]:
    options = config.backup
    for one in which_go(
        kept_at(target), series, now_s=int(time.time()), days=options.retention_days, at_least=options.keep_at_least
    ):
        if one.name != newest:
            target.remove(one.name)
            yield one.name


def _make(
    home: Home, config: Config, target: Target, name: str, began_s: int, *, compress: bool, lock: Lock | None,
    told: Told,
) -> Made:  # fmt: skip
    series = series_of_home(home)
    remove_remains(home.databases)
    with tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=home.databases) as work:
        folder = target.drafts or Path(work)
        _check_room(home, config, folder, is_locked=lock is not None)
        draft = folder / f".{series}.{os.getpid()}{DRAFT_ENDING}"
        try:
            facts = backup(home, config, draft, compress=compress, lock=lock, told=told)
            size = draft.stat().st_size
            name = name or name_of(series, height=facts.height, time_s=began_s)
            target.put(name, draft)
        finally:
            draft.unlink(missing_ok=True)
    return Made(facts, name, target.path_of(name), size)


def _check_room(home: Home, config: Config, folder: Path, *, is_locked: bool) -> None:
    """Raises UpkeepError: what is written would fill a disk, perhaps the node's own."""
    size = sum(path.stat().st_size for name in DATABASES for path in _files_of(home.databases / name))
    own = home.databases.stat().st_dev == folder.stat().st_dev
    needs = {folder: size * (2 if is_locked and own else 1)}
    if is_locked and not own:
        needs[home.databases] = size
    kept = max(ROOM_KEPT, FLOORS * config.database.min_free * MIB)
    for place, need in needs.items():
        free = shutil.disk_usage(place).free
        if free < need + kept:
            raise NoRoomForBackup(
                f"{place}: {free / MIB:,.1f} MB are free; a backup may take {need / MIB:,.1f} MB, and "
                f"{kept / MIB:,.1f} MB stay free: free some, or name a place on another disk"
            )


def _files_of(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):  # of the running node, which removes tables
        yield from (path for path in folder.iterdir() if path.is_file())


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    home.databases.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home.databases / "backup.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpkeepError(f"another process makes a backup of {home.databases} now: wait for it") from None
        yield
