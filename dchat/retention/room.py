"""Is there room where this node writes, and may it write there? Asked at the start, and every second while it runs.

Below `floor_bytes` of free room a node stops in good order, while there is still enough to close its databases and to
open them again: a disk that fills to the last byte leaves whatever a write was in the middle of. From twice as much on
it says so. The floor is this node's alone; nothing that the chain sees depends on it.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from consensus.system.clock import Workers
from consensus.system.errors import EngineError
from consensus.system.machine import AGAIN, EXIT_MACHINE, MachineRefusal, free_bytes, in_units, is_read_only, standing
from consensus.system.tasks import Faults

EVERY_S: Final = 1.0
LOW_IS: Final = 2  # floors: from here on it is said
PART: Final = "room on the disk"  # the name under which /ready tells of it

log = structlog.get_logger(__name__)


class NoRoom(EngineError):
    """The machine has not the room, or not the leave to write, that a node needs. Nothing is damaged."""

    errno = errno.ENOSPC


class LittleRoom(EngineError):
    """Not yet too little."""


class ReadOnly(NoRoom):
    errno = errno.EROFS


class Level(Enum):
    PLENTY, LOW, OUT = range(3)


class Room(NamedTuple):
    """Of the folder with least of it."""

    folder: Path
    free_bytes: int


class RoomOnDisk:
    """folders: where this node writes; those of one file system are asked for once. floor_bytes 0: any room will do."""

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        floor_bytes: int,
        free: Callable[[Path], int] = free_bytes,
        read_only: Callable[[Path], bool] = is_read_only,
    ) -> None:
        by_device = {standing(folder).stat().st_dev: folder for folder in reversed(list(folders))}
        self._folders, self.floor_bytes = list(by_device.values()), floor_bytes
        self._free, self._read_only = free, read_only
        self.level = Level.PLENTY

    def least(self) -> Room:
        """Blocks. Raises ReadOnly, OSError."""
        for folder in self._folders:
            if self._read_only(folder):
                raise ReadOnly(f"{MachineRefusal(errno.EROFS, str(folder))}, {AGAIN}")
        return min((Room(folder, self._free(folder)) for folder in self._folders), key=lambda room: room.free_bytes)

    def check(self) -> None:
        """Raises NoRoom, ReadOnly, OSError."""
        self._judge(self.least())

    def check_spare(self) -> None:
        """That there is room for what can be left out: more than what is said to be little. It would else bring the
        node to its floor. Raises LittleRoom, ReadOnly, OSError."""
        room = self.least()
        if room.free_bytes < LOW_IS * self.floor_bytes:
            raise LittleRoom(
                f"{in_units(room.free_bytes)} are free in {room.folder}; left out below "
                f"{in_units(LOW_IS * self.floor_bytes)} (twice [database] min_free)"
            )

    def _judge(self, room: Room) -> Level:
        if room.free_bytes < self.floor_bytes:
            raise NoRoom(
                f"too little room on the disk: {in_units(room.free_bytes)} are free in {room.folder}, and this node "
                f"stops below {in_units(self.floor_bytes)} ([database] min_free), before a write fails in its middle. "
                f"Free some (old backups, replaced-... folders, `dchat database prune`), {AGAIN}"
            )
        return Level.LOW if room.free_bytes < LOW_IS * self.floor_bytes else Level.PLENTY

    async def watch(self, workers: Workers, faults: Faults, fatal: Callable[[int, str], None]) -> None:
        """Until the room is out. fatal: ends the process (exit code, last line)."""
        while self.level is not Level.OUT:
            try:
                room = await workers.run(self.least)
                self._told(self._judge(room), room, faults)
            except NoRoom as error:
                self.level = Level.OUT
                log.critical("this node stops: the machine has no room for it", why=str(error))
                faults.failed(PART, error)
                fatal(EXIT_MACHINE, str(error))
            except OSError as error:  # what cannot be told now is asked again; a write that fails ends the node
                log.error("could not look for room on the disk", error=str(error))
            await asyncio.sleep(EVERY_S)

    def _told(self, level: Level, room: Room, faults: Faults) -> None:
        if level is self.level:
            return
        self.level = level
        if level is Level.PLENTY:
            faults.recovered(PART)
            log.info("there is room on the disk again", folder=str(room.folder), free_bytes=room.free_bytes)
            return
        error = LittleRoom(
            f"{in_units(room.free_bytes)} are free in {room.folder}; below {in_units(self.floor_bytes)} "
            "([database] min_free) this node stops"
        )
        faults.failed(PART, error)
        log.error("there is little room left on the disk", why=str(error), free_bytes=room.free_bytes)
