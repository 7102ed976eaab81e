"""Who may take how much of the pool, so that nobody keeps the others out.

Peers, doors and the node itself have a part each that the others cannot take; within a part every source is bounded by
a multiple of what is still free ("dynamic thresholds"): one alone may take most of it, and the more there are and the
more they take, the less any of them may add. Some room is therefore always left for a source that has little.
Source: Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches (1998).
"""

from __future__ import annotations

from typing import Final

from mempool.entry import Origin, PoolConfig

PEER_FACTOR: Final = 4  # one peer alone may take 4/5 of the peers' part, each of n of them 4/(4n + 1)
CLIENT_FACTOR: Final = 8  # one client alone may fill what the doors admit; an eighth more is there for others
PART_DIVISOR: Final = 4  # peers, and likewise doors, leave a quarter of the pool to the rest
OWN_DIVISOR: Final = 16  # peers and doors together leave so much to the node itself
DOORS_DIVISOR_MAX: Final = 8  # the doors' part of what may wait, however many peers send


class Shares:
    """Counts what each source holds; `refusal` says what stands against one more."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self.count = self.bytes = 0
        self._parts = {origin: [0, 0] for origin in Origin}
        self._held: dict[tuple[Origin, str], list[int]] = {}  # (transactions, bytes)
        self._peers = 0  # that hold something

    def add(self, origin: Origin, payer: str, tx_bytes: int) -> None:
        held = self._held.get((origin, payer))
        if held is None:
            held = self._held[origin, payer] = [0, 0]
            self._peers += origin is Origin.PEER
        part = self._parts[origin]
        held[0] += 1
        held[1] += tx_bytes
        part[0] += 1
        part[1] += tx_bytes
        self.count += 1
        self.bytes += tx_bytes

    def remove(self, origin: Origin, payer: str, tx_bytes: int) -> None:
        held, part = self._held[origin, payer], self._parts[origin]
        held[0] -= 1
        held[1] -= tx_bytes
        part[0] -= 1
        part[1] -= tx_bytes
        self.count -= 1
        self.bytes -= tx_bytes
        assert held[0] >= 0, (origin, payer)
        if not held[0]:
            del self._held[origin, payer]
            self._peers -= origin is Origin.PEER

    def held(self, origin: Origin, payer: str) -> int:
        """Transactions of one source."""
        return self._held.get((origin, payer), (0, 0))[0]

    def _free_txs(self, origin: Origin) -> int:
        most = self._config.txs_max
        if origin is Origin.OWN:
            return most - self.count
        in_all = most - most // OWN_DIVISOR - self.count
        return min(in_all, most - most // PART_DIVISOR - self._parts[origin][0])

    def _free_bytes(self, origin: Origin) -> int:
        most = self._config.bytes_max
        if origin is Origin.OWN:
            return most - self.bytes
        in_all = most - most // OWN_DIVISOR - self.bytes
        return min(in_all, most - most // PART_DIVISOR - self._parts[origin][1])

    def refusal(self, origin: Origin, payer: str, tx_bytes: int, *, wait_txs_max: int) -> str | None:
        """Why `payer` may not add a transaction of `tx_bytes` now; "": because blocks take less; None: it may.

        wait_txs_max: how many transactions blocks take soon, which bounds what doors admit.
        """
        config = self._config
        free_txs, free_bytes = self._free_txs(origin), self._free_bytes(origin) - tx_bytes
        if free_txs <= 0:
            return f"mempool is full: {self.count} of {config.txs_max} transactions; try later"
        if free_bytes < 0:
            return f"mempool is full: {self.bytes} of {config.bytes_max} bytes; try later"
        count, size = self._held.get((origin, payer), (0, 0))
        if origin is Origin.OWN:
            return "" if self.count >= wait_txs_max and count >= wait_txs_max // DOORS_DIVISOR_MAX else None
        factor = PEER_FACTOR
        if origin is Origin.DOOR:
            factor = CLIENT_FACTOR
            free_txs = min(free_txs, self._free_wait(wait_txs_max))
            if count >= min(wait_txs_max, factor * free_txs):
                return ""
        elif count >= factor * free_txs:
            return f"mempool is full for this source: {count} transactions of it wait; try later"
        if size > factor * free_bytes:
            return f"mempool is full for this source: {size} bytes of it wait; try later"
        return None

    def _free_wait(self, wait_txs_max: int) -> int:
        """What the doors may still admit so that it is committed soon. What peers send takes from it, but for a part
        of the doors' own, or a peer with much to send would close them."""
        own = wait_txs_max // min(1 + self._peers, DOORS_DIVISOR_MAX)
        room = wait_txs_max + wait_txs_max // CLIENT_FACTOR - self.count
        return max(0, room, own - self._parts[Origin.DOOR][0])

    def peer_room(self, payer: str) -> int:
        """How many more transactions a peer may add if nobody else does."""
        factor, free = PEER_FACTOR, self._free_txs(Origin.PEER)
        return max(0, -(-(factor * free - self.held(Origin.PEER, payer)) // (factor + 1)))
