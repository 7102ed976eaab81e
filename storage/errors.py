"""Errors of the storage room: what went wrong, where, and what to do."""

from __future__ import annotations

from typing import Final

LOOK_FURTHER: Final = "ask `dchat database verify` what else is wrong, "  # which that command itself leaves out
REMEDY: Final = (
    f"check the disk, {LOOK_FURTHER}and restore a backup (`dchat database restore`), "
    "or move the databases away and let the node sync anew. Leave the sign state where it is"
)


class StorageError(Exception):
    """Root of this room's errors. None of them is a peer's fault."""


class UnknownBackend(StorageError):
    """The configuration names a backend that does not exist here."""

    def __init__(self, backend: str, *, allowed: tuple[str, ...]) -> None:
        hint = "; write leveldb instead" if backend == "rocksdb" else ""
        super().__init__(f"unknown database backend {backend!r}{hint}; allowed: {', '.join(allowed)}")
        self.backend, self.allowed = backend, allowed


class InvalidOption(StorageError):
    def __init__(self, name: str, value: int, *, lowest: int) -> None:
        super().__init__(f"database option {name} is {value}; allowed: {lowest} or more")
        self.name, self.value = name, value


class StoreUnavailable(StorageError):
    """The database cannot be opened: another process holds it, it is corrupted, or the disk refuses.

    errno, filename: where the machine refused something; else None and empty.
    """

    def __init__(self, path: str, reason: str, *, errno: int | None = None, filename: str = "") -> None:
        super().__init__(f"cannot open database {path}: {reason}")
        self.path, self.errno, self.filename = path, errno, filename


class StoreFailed(StorageError):
    """An operation on an open database failed; what it was to do is not done.

    errno, filename: where the machine refused something; else None and empty.
    """

    def __init__(self, path: str, action: str, reason: str, *, errno: int | None = None, filename: str = "") -> None:
        super().__init__(f"database {path}: {action} failed: {reason}")
        self.path, self.action, self.errno, self.filename = path, action, errno, filename


class StoreCorrupted(StorageError):
    """The disk gave back something else than was written. This node's alone to mend, and nobody else's fault.

    file: what lies; where: the offset or the key in it.
    """

    disk_lied = True  # with which code the process ends, goes by this

    def __init__(self, file: str, where: str, why: str) -> None:
        at = f"{file}: {where}" if where else file
        super().__init__(f"{at}: {why}. The disk gave back something else than was written; {REMEDY}")
        self.file, self.where, self.why = file, where, why


class StoreClosed(StorageError):
    def __init__(self, path: str) -> None:
        super().__init__(f"database {path} is closed")
        self.path = path
