"""The optional native part (native/, docs/native.md). Only `crypto.native` imports it."""

from collections.abc import Sequence
from typing import final

FORM: int  # grows when a function is added, or does something else

def verify_batch(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """For each (public key, message, signature) whether the Ed25519 signature holds by ZIP-215, in order."""

def check_page(content: bytes) -> tuple[bytes, bool]:
    """(root, whether the record is the one that is written for this page) of a page's content. Raises ValueError."""

def undo_runs(prefix: bytes, replaced: Sequence[tuple[bytes, bytes | None]]) -> list[tuple[bytes, bytes | None]]:
    """The undo runs of one kind of record: `UndoRuns.add`. Raises ValueError."""

@final
class RecordCache:
    """Records of the stores as the last commit left them, within a bound of bytes: what was not used of late goes
    first."""

    def __new__(cls, bytes_max: int) -> RecordCache: ...
    def get(self, key: bytes, missing: bytes) -> bytes | None:
        """The record under that key, None: there is none; `missing` itself: that is not held."""

    def put(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """What records are from now on, None: they are gone."""

    def node(self, prefix: bytes, key: bytes) -> tuple[bytes | None, bytes | None]:
        """(what is in the slot where `key` would be, None), or (None, the key of a page above it that is not held).
        prefix: as of TreeUpdate."""

    def add(self, pages: Sequence[tuple[bytes, bytes]]) -> int:
        """How many of the pages that were read are taken: those before the first that does not fit the one above it,
        which is held."""

    def counts(self) -> tuple[int, int, int]:
        """Hits, misses, and the bytes held."""

@final
class TreeUpdate:
    """One update of a store's tree, in steps: `add`; `wanted` and `give` until None is wanted; `hash` until True;
    then `root`, and `take` until there is no more."""

    def __new__(cls, prefix: bytes, version: bytes, is_whole: bool) -> TreeUpdate:
        """prefix: 2 bytes, of the keys of the store's pages; version: 8 bytes, of new records; is_whole: what is
        replaced is kept whole."""

    def add(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Keys that change, each once, with their values, None to delete; before anything is wanted."""

    def add_hashed(self, leaves: Sequence[tuple[bytes, bytes]]) -> None:
        """As `add`, of keys with the hashes of their leaves. Raises ValueError."""

    def wanted(self, most: int, cache: RecordCache | None = None) -> list[bytes] | None:
        """The keys of the pages to read next, as many at most, that the cache lacks; None: all are there; empty: it
        held what came, ask again. Raises ValueError."""

    def give(self, records: Sequence[bytes | None], cache: RecordCache | None = None) -> None:
        """Their records, None where there is none; for the cache, which takes those that fit the pages above them.
        Raises ValueError."""

    def hash(self, most: int) -> bool:
        """Hash as many pages; whether all are done."""

    def root(self) -> bytes:
        """The new root, once all is hashed."""

    def take(
        self, most: int, undo_prefix: bytes
    ) -> tuple[list[tuple[bytes, bytes | None]], list[tuple[bytes, bytes | None]], int]:
        """(records, undo runs, bytes of the records): as many that changed, ascending by key, and what they were; none:
        no more."""
