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
class TreeUpdate:
    """One update of a store's tree, in steps: `add`; `wanted` and `give` until nothing is wanted; `hash` until True;
    then `root`, and `take` until there is no more."""

    def __new__(cls, prefix: bytes, version: bytes, is_whole: bool) -> TreeUpdate:
        """prefix: 2 bytes, of the keys of the store's pages; version: 8 bytes, of new records; is_whole: what is
        replaced is kept whole."""

    def add(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Keys that change, each once, with their values, None to delete; before anything is wanted."""

    def wanted(self, most: int) -> list[bytes]:
        """The keys of the pages to read next, as many at most; none: all are there. Raises ValueError."""

    def give(self, records: Sequence[bytes | None]) -> None:
        """Their records, None where there is none. Raises ValueError."""

    def hash(self, most: int) -> bool:
        """Hash as many pages; whether all are done."""

    def root(self) -> bytes:
        """The new root, once all is hashed."""

    def take(
        self, most: int, undo_prefix: bytes
    ) -> tuple[list[tuple[bytes, bytes | None]], list[tuple[bytes, bytes | None]]]:
        """(records, undo runs): as many that changed, ascending by key, and runs of what they were; none: no more."""
