"""The transactions of a block that is decided leave the pool in slices, before the application commits the block.

Admission goes on between two slices: on a check state that has had them, and with those that left among what was seen,
so that none of them comes back. What follows from the commit itself (rechecks, expiry) is the pool's, in one turn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from consensus.abci.interface import Slices
from consensus.formats.units import NS_PER_MS
from consensus.mempool.admission.entry import Entry
from consensus.mempool.admission.index import Index
from consensus.mempool.admission.shares import Shares
from consensus.mempool.held import Held
from consensus.state.results import ExecTxResult
from consensus.system.clock import Clock

SLICE_NS: Final = 2 * NS_PER_MS  # of the 3 ms that the loop may be held at most
LOOK_TXS: Final = 64  # between two looks at the clock: some 0.3 ms


class Leaving:
    """Of one block at a time: `begin`, its slices to the end, then `take`."""

    def __init__(self, index: Index, shares: Shares, held: Held, seen: OrderedDict[bytes, None], clock: Clock) -> None:
        self._index, self._shares, self._held, self._seen, self._clock = index, shares, held, seen, clock
        self._gone: list[Entry] = []
        self._txs: Sequence[bytes] | None = None  # the block's, when all of them have left

    def begin(
        self, txs: Sequence[bytes], results: Sequence[ExecTxResult], keys: Sequence[bytes], recheck: dict[bytes, None],
        seen_max: int,
    ) -> Slices[None]:  # fmt: skip
        """recheck: which of the pool's are due; none of those that leave stays among them."""
        assert len(txs) == len(results) == len(keys), (len(txs), len(results), len(keys))
        seen, held, remove, now_ns = self._seen, self._held, self._index.remove, self._clock.monotonic_ns
        began, gone = now_ns(), self._gone
        for number, (key, result) in enumerate(zip(keys, results, strict=True), start=1):
            entry = remove(key)
            if entry is not None:
                gone.append(entry)
                recheck.pop(key, None)
            if key in held.by_key:
                held.take(key)
            if key in seen:
                del seen[key]
            if not result.code:
                seen[key] = None
            if not number % LOOK_TXS and now_ns() - began >= SLICE_NS:
                yield
                began = now_ns()
        while len(seen) > seen_max:
            seen.popitem(last=False)
        self._shares.remove_all(gone)
        self._txs = txs

    def take(self, txs: Sequence[bytes]) -> list[Entry] | None:
        """What left with the block of these `txs`; None: they have not left yet."""
        if self._txs is not txs:
            return None
        gone, self._gone, self._txs = self._gone, [], None
        return gone

    def forget(self) -> None:
        self._gone, self._txs = [], None
