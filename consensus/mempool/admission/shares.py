"""Who may take how much of the pool, so that nobody keeps the others out.

Peers, doors and the node itself have a part each that the others cannot take; within a part every source is bounded by
a multiple of what is still free ("dynamic thresholds"): one alone may take most of it, and the more there are and the
more they take, the less any of them may add. Some room is therefore always left for a source that has little.
Source: Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches (1998).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from consensus.mempool.admission.entry import Entry, Origin, PoolConfig

PEER_FACTOR: Final = 4  # one peer alone may take 4/5 of the peers' part, each of n of them 4/(4n + 1)
CLIENT_FACTOR: Final = 8  # one client alone may fill what the doors admit; an eighth more is there for others
PART_DIVISOR: Final = 4  # peers, and likewise doors, leave a quarter of the pool to the rest
OWN_DIVISOR: Final = 16  # peers and doors together leave so much to the node itself
DOORS_DIVISOR_MAX: Final = 8  # the doors' part of what may wait, however many peers send
LANE_FREE_TXS: Final = 16  # of one source in a full lane: those who filled it shall not close it to the others
NOTHING: Final = (0, 0)


class Shares:
    """Counts what each source holds; `refusal` says what stands against one more."""

    def __init__(self, config: PoolConfig) -> None:
        self.clear()
        self._txs_max, self._bytes_max = config.txs_max, config.bytes_max
        own_txs, own_bytes = config.txs_max // OWN_DIVISOR, config.bytes_max // OWN_DIVISOR
        self._all_max = (config.txs_max - own_txs, config.bytes_max - own_bytes)  # of doors and peers
        rest_txs, rest_bytes = config.txs_max // PART_DIVISOR, config.bytes_max // PART_DIVISOR
        self._part_max = (config.txs_max - rest_txs, config.bytes_max - rest_bytes)

    def clear(self) -> None:
        self.count = self.bytes = 0
        self._parts = [[0, 0] for _ in Origin.ALL]
        self._held: list[dict[str, list[int]]] = [{} for _ in Origin.ALL]  # (transactions, bytes) of each source

    def add(self, origin: int, payer: str, tx_bytes: int, *, txs: int = 1) -> None:
        """tx_bytes: of all of them."""
        held, part = self._held[origin].get(payer), self._parts[origin]
        if held is None:
            held = self._held[origin][payer] = [0, 0]
        held[0] += txs
        held[1] += tx_bytes
        part[0] += txs
        part[1] += tx_bytes
        self.count += txs
        self.bytes += tx_bytes

    def remove_all(self, entries: Iterable[Entry]) -> None:
        """Of a block: counted up by who sent them first."""
        freed: dict[tuple[int, str], list[int]] = {}
        for entry in entries:
            who = entry.origin, entry.payer
            sizes = freed.get(who)
            if sizes is None:
                sizes = freed[who] = []
            sizes.append(len(entry.tx))
        for (origin, payer), sizes in freed.items():
            self.remove(origin, payer, sum(sizes), txs=len(sizes))

    def remove(self, origin: int, payer: str, tx_bytes: int, *, txs: int = 1) -> None:
        """tx_bytes: of all of them."""
        held, part = self._held[origin][payer], self._parts[origin]
        held[0] -= txs
        held[1] -= tx_bytes
        part[0] -= txs
        part[1] -= tx_bytes
        self.count -= txs
        self.bytes -= tx_bytes
        assert held[0] >= 0, (origin, payer)
        if not held[0]:
            del self._held[origin][payer]

    def held(self, origin: int, payer: str) -> int:
        """Transactions of one source."""
        return self._held[origin].get(payer, NOTHING)[0]

    def has_few(self, origin: int, payer: str) -> bool:
        """Whether a full lane is not closed to it: to the node itself it is."""
        return origin != Origin.OWN and self.held(origin, payer) <= LANE_FREE_TXS

    def takes_all(self, origin: int, payer: str, txs: int, tx_bytes: int, *, wait_txs_max: int) -> bool:
        """Whether `payer` may add all of so many, one after the other. Not always said when it may.

        Each bound that `refusal` knows is the nearer the more is held, so the last one is asked for, behind the bytes
        of all.
        """
        return txs > 0 and self.refusal(origin, payer, 0, wait_txs_max=wait_txs_max, behind=(txs - 1, tx_bytes)) is None

    def refusal(
        self, origin: int, payer: str, tx_bytes: int, *, wait_txs_max: int, behind: tuple[int, int] = NOTHING
    ) -> str | None:
        """Why `payer` may not add a transaction of `tx_bytes` now; "": because blocks take less; None: it may.

        wait_txs_max: how many transactions blocks take soon, which bounds what doors admit. behind: transactions and
        bytes that `payer` adds before it.
        """
        count, size = self._held[origin].get(payer, NOTHING)
        count, size = count + behind[0], size + behind[1]
        all_count, all_bytes = self.count + behind[0], self.bytes + behind[1]
        if origin == Origin.OWN:
            if all_count >= self._txs_max or all_bytes + tx_bytes > self._bytes_max:
                return self._full(for_bytes=all_count < self._txs_max)
            return "" if all_count >= wait_txs_max and count >= wait_txs_max // DOORS_DIVISOR_MAX else None
        part = self._parts[origin]
        free_txs = min(self._all_max[0] - all_count, self._part_max[0] - part[0] - behind[0])
        free_bytes = min(self._all_max[1] - all_bytes, self._part_max[1] - part[1] - behind[1]) - tx_bytes
        if free_txs <= 0 or free_bytes < 0:
            return self._full(for_bytes=free_txs > 0)
        factor = PEER_FACTOR
        if origin == Origin.DOOR:
            factor = CLIENT_FACTOR
            free_txs = min(free_txs, self._free_wait(wait_txs_max, behind[0]))
            if count >= min(wait_txs_max, factor * free_txs):
                return ""
        if count >= factor * free_txs:
            return f"mempool is full for this source: {count} transactions of it wait; try later"
        if size > factor * free_bytes:
            return f"mempool is full for this source: {size} bytes of it wait; try later"
        return None

    def _full(self, *, for_bytes: bool) -> str:
        if for_bytes:
            return f"mempool is full: {self.bytes} of {self._bytes_max} bytes; try later"
        return f"mempool is full: {self.count} of {self._txs_max} transactions; try later"

    def _free_wait(self, wait_txs_max: int, behind: int) -> int:
        """What the doors may still admit so that it is committed soon. What peers send takes from it, but for a part
        of the doors' own, or a peer with much to send would close them."""
        own = wait_txs_max // min(1 + len(self._held[Origin.PEER]), DOORS_DIVISOR_MAX)
        room = wait_txs_max + wait_txs_max // CLIENT_FACTOR - self.count
        return max(0, room - behind, own - self._parts[Origin.DOOR][0] - behind)

    def peer_room(self, payer: str) -> int:
        """How many more transactions a peer may add if nobody else does."""
        free = min(self._all_max[0] - self.count, self._part_max[0] - self._parts[Origin.PEER][0])
        return max(0, -(-(PEER_FACTOR * free - self.held(Origin.PEER, payer)) // (PEER_FACTOR + 1)))
