"""How fast blocks take transactions, and how many may therefore wait: admission promises a time, not only room.

Measured is the pace while something waited: a calm chain commits few transactions because few come, and that says
nothing about how many it could. Until the pace is known, and on a slow chain, FLOOR_TXS may wait. Where blocks are
further apart than the time that is promised, what two of them take waits: less would make each smaller than the last.
Source: docs/performance.md, Overload (what can be committed is admitted, the rest is told to try later).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from consensus.formats.units import NS_PER_S

FLOOR_TXS: Final = 1_000  # a burst of so many is taken in whatever the pace: about a second on the slowest machine
BLOCKS_MIN: Final = 2  # as large as the largest of late: what the next takes is here, and what comes meanwhile
WINDOW_NS: Final = 5 * NS_PER_S  # of time with waiting transactions: about ten full blocks


class CommitPace:
    """Told when transactions begin to wait and of each block; answers how many may wait for `wait_ms` at most."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, int]] = deque()  # (transactions, nanoseconds in which they were worked off)
        self._txs = self._busy_ns = 0
        self._since_ns: int | None = None  # when the waiting that the next block ends began; None: nothing waits

    @property
    def txs_per_second(self) -> int:
        """0: not known."""
        return self._txs * NS_PER_S // self._busy_ns if self._busy_ns else 0

    def began_waiting(self, now_ns: int) -> None:
        """The first transaction waits."""
        if self._since_ns is None:
            self._since_ns = now_ns

    def block(self, txs: int, now_ns: int, *, still_waiting: bool) -> None:
        """A block with `txs` transactions was committed. still_waiting: some are left."""
        if self._since_ns is not None:
            busy_ns = min(max(1, now_ns - self._since_ns), WINDOW_NS)
            self._blocks.append((txs, busy_ns))
            self._txs += txs
            self._busy_ns += busy_ns
            while self._busy_ns - self._blocks[0][1] >= WINDOW_NS:
                gone_txs, gone_ns = self._blocks.popleft()
                self._txs -= gone_txs
                self._busy_ns -= gone_ns
        self._since_ns = now_ns if still_waiting else None

    def waiting_max(self, wait_ms: int) -> int:
        """How many transactions blocks take within `wait_ms`; FLOOR_TXS and what BLOCKS_MIN blocks take at least."""
        largest = max((txs for txs, _ in self._blocks), default=0)
        return max(FLOOR_TXS, BLOCKS_MIN * largest, self.txs_per_second * wait_ms // 1_000)
