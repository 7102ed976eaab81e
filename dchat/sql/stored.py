"""A node's stored blocks with what they did, as bytes: what goes into SQL, and whether it fits what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from consensus.stores.interfaces import BlockStore
from dchat.sql.errors import SqlRefused
from dchat.sql.writer import Frame


class Results(Protocol):
    """consensus.stores.state_store.StateStore, as far as it counts here."""

    def load_encoded(self, height: int) -> bytes | None: ...


class Stored:
    """height: of the last saved block; 0: none."""

    def __init__(self, blocks: BlockStore, results: Results, height: Callable[[], int]) -> None:
        self._blocks, self._results, self._height = blocks, results, height

    @property
    def base(self) -> int:
        return self._blocks.base

    @property
    def height(self) -> int:
        return self._height()

    def first(self) -> int:
        """The lowest block that is here with its results; 0: none yet."""
        for height in range(max(self.base, 1), self.height + 1):
            if self._results.load_encoded(height) is not None:
                return height
        return 0

    def read(self, height: int) -> Frame:
        """From any thread. Raises SqlRefused."""
        block, results = self._blocks.load_block_bytes(height), self._results.load_encoded(height)
        if block is None or results is None:
            raise SqlRefused(f"block {height} or its results are not kept any more: SQL would have a gap there")
        return Frame(height, block, results)

    def check(self, at: int, block_hash: str) -> None:
        """That SQL, which has blocks up to `at`, fits. Raises SqlRefused: another history, or a gap."""
        meta = self._blocks.load_meta(at) if at and self.base <= at <= self.height else None
        if meta is not None and meta.block_id.hash.hex() != block_hash:
            raise SqlRefused(
                f"block {at} is {block_hash} in SQL, and {meta.block_id.hash.hex()} on this node's chain: they "
                "have not the same history. Name another schema or database"
            )
        if at and self.base > at + 1:
            raise SqlRefused(
                f"SQL has blocks up to {at}, and this node has none below {self.base}: blocks {at + 1} to "
                f"{self.base - 1} would be missing. Fill them in from a node that has them (`dchat database sql`), or "
                "name another schema"
            )
