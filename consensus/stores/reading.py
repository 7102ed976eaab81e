"""Reading what this node wrote itself: what cannot be read, or says something else, is the disk's fault alone.

The databases check their own blocks by checksums. Here an older record in a newer one's place is found, or one of
another kind; and no error of the formats, which would blame a peer, comes out of our own bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError

from storage.errors import StoreCorrupted
from storage.kv import KeyValueStore

T = TypeVar("T")

OnCorrupted = Callable[[StoreCorrupted], None]


class Records:
    """The records of one database. on_corrupted: told of each that is wrong, in the thread that read it."""

    def __init__(self, db: KeyValueStore, on_corrupted: OnCorrupted | None = None) -> None:
        self._db, self._on_corrupted = db, on_corrupted

    def read(self, key: bytes, what: str, decode: Callable[[bytes], T], is_right: Callable[[T], bool]) -> T | None:
        """The decoded record of `key`, None if there is none. Raises StoreCorrupted."""
        data = self._db.get(key)
        return None if data is None else self.decoded(key, data, what, decode, is_right)

    def decoded(
        self, key: bytes, data: bytes, what: str, decode: Callable[[bytes], T], is_right: Callable[[T], bool]
    ) -> T:
        try:
            value = decode(data)
        except (ValueError, DecodeError) as error:  # InvalidData and InvalidKey are ValueErrors
            raise self.wrong(key, what, f"it cannot be read: {error}") from None
        if not is_right(value):
            raise self.wrong(key, what, "it is another one's")
        return value

    def wrong(self, key: bytes, what: str, why: str) -> StoreCorrupted:
        """The error to raise about the record."""
        error = StoreCorrupted(str(getattr(self._db, "path", "a database")), f"key {key.hex()}", f"{what}: {why}")
        if self._on_corrupted is not None:
            self._on_corrupted(error)
        return error
