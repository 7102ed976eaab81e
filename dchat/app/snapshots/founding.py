"""A chain's first state, written to the stores piece by piece where it is large.

The machines write their genesis into a branch as into that of a block. One of a million accounts would hold all their
records at once, encoded and not, with a batch of the database around them: what goes beyond RECORDS_MAX is handed to
the stores, and read back from there where the genesis asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from chain.kernel.branch import SPACES, Branch, Record, encode_changes
from chain.state.snapshot import Founding
from chain.state.store import NO_VERSION, Stores

RECORDS_MAX: Final = 20_000  # some 10 MB
RECORDS_PER_LINE: Final = 100_000

log = structlog.get_logger(__name__)


class FoundingBranch(Branch):
    """Takes a genesis into `stores`, which hold none; `finish` makes it their first version."""

    __slots__ = ("_decoders", "_founding", "_stores", "_version", "_written")

    def __init__(self, stores: Stores, version: int, decoders: Mapping[bytes, Callable[[bytes], Any]]) -> None:
        super().__init__(self._stored)
        self._stores, self._version, self._decoders = stores, version, decoders
        self._founding: Founding | None = None
        self._written = 0

    def set(self, key: bytes, value: Record | bytes | None) -> None:
        self.writes[key] = value
        if len(self.writes) >= RECORDS_MAX:
            self._hand_over()

    def finish(self) -> None:
        """Raises InvalidPair."""
        if self._founding is not None:
            self._hand_over()
            log.info("building the trees", records=self._written)
            self._founding.finish()
            return
        assert self._stores.latest_version == NO_VERSION, self._stores.latest_version
        self._stores.commit(self._stores.prepare(self._version, *self._encoded()))

    def _stored(self, key: bytes) -> Any:
        if self._founding is None:
            return None
        store, side = SPACES[key[0]]
        stored = self._founding.get(store, key[1:], side=side)
        decode = self._decoders.get(key[:2])
        return decode(stored) if stored is not None and decode is not None else stored

    def _hand_over(self) -> None:
        if self._founding is None:
            self._founding = Founding(self._stores, self._version)
        before, self._written = self._written, self._written + len(self.writes)
        for changes, side in zip(self._encoded(), (False, True), strict=True):
            for store, pairs in changes.items():
                self._founding.put(store, pairs, side=side)
        if before // RECORDS_PER_LINE != self._written // RECORDS_PER_LINE:
            log.info("writing the first state", records=self._written)

    def _encoded(self) -> tuple[Mapping[str, Mapping[bytes, bytes | None]], Mapping[str, Mapping[bytes, bytes | None]]]:
        """What waits, under the trees and beside them; nothing waits after it."""
        writes, self.writes = self.writes, {}
        steps = encode_changes(writes)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                proven, beside = stop.value
                return proven, beside


__all__ = ["FoundingBranch"]
