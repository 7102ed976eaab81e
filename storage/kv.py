"""One small interface over ordered key-value stores; keys and values are bytes, order is bytewise.

A batch is atomic. `sync=True` returns only when it is on disk; batches written without it may vanish whole, from
the tail, when the machine stops (never when only the process is killed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

Write: TypeAlias = tuple[bytes, bytes | None]  # (key, value); None deletes


class Reader(Protocol):
    def get(self, key: bytes) -> bytes | None: ...

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop (None: to the end), ascending unless `reverse`."""
        ...


class KeyValueStore(Reader, Protocol):
    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        """Apply all of `batch` or none. Later entries win over earlier ones for one key."""
        ...

    def snapshot(self) -> Reader:
        """A view that no later write changes."""
        ...

    def compact(self, start: bytes, stop: bytes) -> None:
        """Free the disk that deleted keys of the range still hold."""
        ...

    def size_bytes(self, start: bytes, stop: bytes) -> int:
        """About the bytes that the range takes; what a disk has not been given yet is not counted."""
        ...

    def close(self) -> None: ...
