"""How far block sync has come, and how fast it goes: for `/status`, metrics, the log and whoever looks at a terminal.

Rates are of the last seconds, so that they tell of now; from them follows when it will be done, if it goes on so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from consensus.formats.units import NS_PER_S

WINDOW_NS: Final = 10 * NS_PER_S
SLOT_NS: Final = NS_PER_S // 4  # blocks of such a time are counted together: forty entries, however fast it goes
TELL_EVERY_NS: Final = 5 * NS_PER_S
SECONDS_LEFT_MAX: Final = 2**32 - 1  # what a status has room for


@dataclass(slots=True)
class BlockSyncMetrics:
    syncing: bool = False
    blocks_applied: int = 0
    txs_applied: int = 0
    blocks_received: int = 0
    bytes_received: int = 0
    blocks_served: int = 0
    timeouts: int = 0
    bad_blocks: int = 0
    highest_claim: int = 0  # that is believed
    target: int = 0  # where those that can serve us are, as far as they can be believed
    peers_used: int = 0
    blocks_per_second: float = 0.0  # of the last ten
    txs_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """first_height: of the first block that was fetched. peers: that are asked for blocks, or sent some lately.
    seconds_left: None where nothing moves. waits_for: empty: nothing."""

    first_height: int
    height: int
    target: int
    blocks_per_second: float
    txs_per_second: float
    peers: int
    seconds_left: int | None
    waits_for: str

    @property
    def percent(self) -> float:
        """Of the blocks from the first that was fetched to the target."""
        whole, done = self.target - self.first_height + 1, self.height - self.first_height + 1
        return round(100 * min(1.0, done / whole), 2) if whole > 0 else 100.0


class Pace:
    """Blocks and transactions that were applied, by time."""

    def __init__(self, now_ns: int) -> None:
        self._began_ns = now_ns
        self._slots: deque[tuple[int, int, int]] = deque()  # (begin, blocks, transactions)

    def applied(self, now_ns: int, txs: int) -> None:
        if self._slots and now_ns - self._slots[-1][0] < SLOT_NS:
            since, blocks, before = self._slots.pop()
            self._slots.append((since, blocks + 1, before + txs))
        else:
            self._slots.append((now_ns, 1, txs))
        self._forget(now_ns)

    def _forget(self, now_ns: int) -> None:
        while self._slots and now_ns - self._slots[0][0] > WINDOW_NS:
            self._slots.popleft()

    def rates(self, now_ns: int) -> tuple[float, float]:
        """Blocks and transactions a second, in the last ten seconds or since the beginning."""
        self._forget(now_ns)
        seconds = max(SLOT_NS, min(WINDOW_NS, now_ns - self._began_ns)) / NS_PER_S
        blocks = sum(slot[1] for slot in self._slots) / seconds
        return round(blocks, 2), round(sum(slot[2] for slot in self._slots) / seconds, 1)


def seconds_left(height: int, target: int, blocks_per_second: float) -> int | None:
    """None: it does not move. target: what peers say, so that there is no end to it but ours."""
    if height >= target:
        return 0
    return min(SECONDS_LEFT_MAX, round((target - height) / blocks_per_second)) if blocks_per_second else None
