"""Transactions that cannot pass yet, because something before them is missing, and are tried again.

On its way through the network one transaction may overtake another of its sender: a large one is fetched, the small
ones behind it are pushed. They are kept here for a while, instead of being refused and never offered again: until the
one before them is admitted (then the next in order is tried, one at a time), and after each block, HELD_BLOCKS long.
Bounded in number and bytes, in all and per source; what finds no room is refused like in a full pool.
"""

from __future__ import annotations

import heapq
from typing import Final

from consensus.mempool.admission.entry import Entry, Waiting
from consensus.mempool.admission.index import Index
from consensus.mempool.admission.intake import Intake
from consensus.mempool.admission.shares import Shares

HELD_DIVISOR: Final = 8  # of the pool's bounds
SOURCE_DIVISOR: Final = 2  # of that, for one source
HELD_BLOCKS: Final = 20


class Held:
    """txs_max, bytes_max: the pool's."""

    def __init__(self, *, txs_max: int, bytes_max: int) -> None:
        self._txs_max = max(16, txs_max // HELD_DIVISOR)
        self._bytes_max = bytes_max // HELD_DIVISOR
        self._bytes = 0
        self.by_key: dict[bytes, Waiting] = {}  # in order of arrival
        self._sources: dict[str, list[int]] = {}  # (transactions, bytes)
        self._queues: dict[bytes, list[tuple[int, bytes]]] = {}  # order key -> heap of (place, key)

    def __len__(self) -> int:
        return len(self.by_key)

    def put(self, waiting: Waiting) -> bool:
        """Keep it. False: there is no room."""
        size, source = len(waiting.tx), self._sources.get(waiting.payer, [0, 0])
        if len(self.by_key) >= self._txs_max or self._bytes + size > self._bytes_max:
            return False
        if source[0] >= self._txs_max // SOURCE_DIVISOR or source[1] + size > self._bytes_max // SOURCE_DIVISOR:
            return False
        assert waiting.key not in self.by_key, waiting.key.hex()
        assert waiting.facts is not None, waiting.key.hex()
        self.by_key[waiting.key] = waiting
        self._sources[waiting.payer] = [source[0] + 1, source[1] + size]
        self._bytes += size
        if waiting.facts.order_key:
            heap = self._queues.setdefault(waiting.facts.order_key, [])
            heapq.heappush(heap, (waiting.facts.order, waiting.key))
        return True

    def take(self, key: bytes) -> Waiting | None:
        waiting = self.by_key.pop(key, None)
        if waiting is None:
            return None
        source = self._sources[waiting.payer]
        source[0] -= 1
        source[1] -= len(waiting.tx)
        self._bytes -= len(waiting.tx)
        if not source[0]:
            del self._sources[waiting.payer]
        assert waiting.facts is not None
        queue = self._queues.get(waiting.facts.order_key)
        if queue is not None:  # its place in the heap stays, and is passed over
            while queue and queue[0][1] not in self.by_key:
                heapq.heappop(queue)
            if len(queue) > 2 * self._txs_max:
                queue[:] = sorted(place for place in queue if place[1] in self.by_key)
            if not queue:
                del self._queues[waiting.facts.order_key]
        return waiting

    def touching(self, touched: bytes) -> list[Waiting]:
        return [one for one in self.by_key.values() if one.facts is not None and touched in one.facts.touches]

    def next_of(self, order_key: bytes) -> Waiting | None:
        """Take out the lowest place of one order."""
        queue = self._queues.get(order_key)
        return self.take(queue[0][1]) if queue else None

    def take_all(self) -> list[Waiting]:
        """Each order's from its lowest place on; else as they came."""
        kept = sorted(
            enumerate(self.by_key.values()),
            key=lambda pair: (
                pair[1].facts.order if pair[1].facts is not None and pair[1].facts.order_key else 0,
                pair[0],
            ),
        )
        self.by_key.clear()
        self._sources.clear()
        self._queues.clear()
        self._bytes = 0
        return [waiting for _, waiting in kept]


def let_go(index: Index, shares: Shares, intake: Intake, held: Held) -> list[Entry]:
    """All that a pool has, in whatever state that is, but for what is on its way. Returns what was admitted."""
    held.take_all()
    shares.clear()
    for waiting in intake:
        shares.add(waiting.origin, waiting.payer, len(waiting.tx))
    return index.clear()
