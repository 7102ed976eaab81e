"""Open a store by the name of its backend, as the configuration gives it."""

from __future__ import annotations

from pathlib import Path

from storage.errors import UnknownBackend
from storage.kv import KeyValueStore
from storage.level_log import unmake
from storage.leveldb import LevelStore, OnBroken
from storage.memory import MemoryStore
from storage.options import StoreOptions

BACKENDS = ("leveldb", "memory")


def open_store(
    backend: str,
    path: str | Path,
    options: StoreOptions | None = None,
    *,
    on_broken: OnBroken | None = None,
) -> KeyValueStore:
    """Open the database at `path`, with the folders above it made where they are missing.

    `memory` ignores the path and the options, and forgets everything when the process ends.
    on_broken: told of every read that found damage, and of a write that failed. Raises: UnknownBackend (lists the
    allowed ones), StoreUnavailable, StoreCorrupted.
    """
    match backend:
        case "leveldb":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            return LevelStore(str(path), options, on_broken=on_broken)
        case "memory":
            return MemoryStore()
        case _:
            raise UnknownBackend(backend, allowed=BACKENDS)


def remove_store(path: str | Path) -> None:
    """Remove the database at `path`, if there is one; nobody has it open. Needs no room on the disk. Raises OSError."""
    unmake(Path(path))
