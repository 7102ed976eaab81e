"""What the machine refuses a node: room on a disk, leave to write, a file handle. Nothing is damaged by that.

The node stops and says in one sentence what was refused, where, and what to do; started again when the cause is gone,
it goes on where it was. An error tells of it by its `errno` and `filename`, or one among its causes does: errors of
other rooms carry both for that.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EXIT_DISK: Final = 74  # EX_IOERR: this node's files are not what was written, or not of one time; the disk fails
EXIT_MACHINE: Final = 75  # EX_TEMPFAIL: the machine lacks what a node needs; nothing is damaged
CAUSES_MAX: Final = 16  # links of a chain of errors that are looked at

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_BY_PATH: Final = (errno.EACCES, errno.EPERM)  # else they are the network's
AGAIN: Final = "then start the node again: nothing is damaged, and nothing that it acknowledged is lost"
_ELSEWHERE: Final = "and bring the home to another disk, with the newest sign state, if that fails again"
_SAID: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's share of the disk (quota) is used up",
    errno.EFBIG: "a file may not grow further (ulimit -f, LimitFSIZE)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user may not open or write it",
    errno.EPERM: "this user may not open or write it",
    errno.EMFILE: "this process has too few file handles",
    errno.ENFILE: "this machine has too few file handles",
    errno.EIO: "the disk reports an error",
}
_TO_DO: Final = {
    errno.ENOSPC: "free some",
    errno.EDQUOT: "free some, or raise the quota",
    errno.EFBIG: "raise that limit",
    errno.EROFS: "look at `dmesg` for an error of the disk, mount it writable",
    errno.EACCES: "look at its owner and mode",
    errno.EPERM: "look at its owner, mode and attributes (`lsattr`)",
    errno.EMFILE: "raise the limit (ulimit -n, LimitNOFILE)",
    errno.ENFILE: "raise the limit (sysctl fs.file-max), or stop other programs",
    errno.EIO: "look at `dmesg` and at the disk before anything else",
}
REFUSALS: Final = frozenset(_SAID)


@dataclass(frozen=True, slots=True)
class MachineRefusal:
    """errno: one of REFUSALS. path: of what; empty: not known."""

    errno: int
    path: str = ""

    @staticmethod
    def of(error: BaseException) -> MachineRefusal | None:
        """What the machine refused that ended in `error`; None: it is about something else."""
        one: BaseException | None = error
        for _ in range(CAUSES_MAX):
            if one is None:
                return None
            number = getattr(one, "errno", None)
            path = str(getattr(one, "filename", None) or "")
            if number in REFUSALS and (path or number not in _BY_PATH):
                return MachineRefusal(number, path)
            one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        return None

    @property
    def exit_code(self) -> int:
        return EXIT_DISK if self.errno == errno.EIO else EXIT_MACHINE

    def __str__(self) -> str:
        told = [self.path] if self.path else []
        if self.errno in _FULL and self.path:
            told.append(room_at(Path(self.path)))
        if self.errno == errno.EMFILE:
            told.append(f"it may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}")
        where = f" ({'; '.join(told)})" if told else ""
        return f"{_SAID[self.errno]}{where}: {_TO_DO[self.errno]}"


def last_words(error: BaseException) -> str:
    """What a node says of the error that ends it: a sentence. Python's own errors have none: their kind comes first."""
    refusal = MachineRefusal.of(error)
    if refusal is None:
        kind, said = type(error), str(error)
        is_pythons = kind.__module__.partition(".")[0] in sys.stdlib_module_names
        return f"{kind.__name__}: {said}" if is_pythons or not said else said
    return f"{refusal}, {_ELSEWHERE if refusal.exit_code == EXIT_DISK else AGAIN}"


def plain_words(error: BaseException) -> str:
    """What a node says of an error with which it goes on."""
    refusal = MachineRefusal.of(error)
    return repr(error) if refusal is None else str(refusal)


def standing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def free_bytes(path: Path) -> int:
    """Of the file system that it is or will be on, for this user. Raises OSError."""
    return shutil.disk_usage(standing(path)).free


def is_read_only(path: Path) -> bool:
    """Whether the file system that it is or will be on is mounted so. Raises OSError."""
    return bool(os.statvfs(standing(path)).f_flag & os.ST_RDONLY)


def room_at(path: Path) -> str:
    try:
        found = shutil.disk_usage(standing(path))
    except OSError as error:
        return f"its room cannot be told: {error.strerror}"
    return f"{in_units(found.free)} of {in_units(found.total)} are free"


def in_units(size: int) -> str:
    """Bytes for people: `812 KB`, `3.2 GB`."""
    for unit, of in (("GB", 1 << 30), ("MB", 1 << 20)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size >> 10} KB"
