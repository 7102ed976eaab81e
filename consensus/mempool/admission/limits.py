"""What the pool's bounds say to a transaction whose sender, lane and expiry are known."""

from __future__ import annotations

from typing import NamedTuple

from consensus.abci.interface import CheckTxResponse
from consensus.mempool.admission.entry import Origin, PoolConfig, Waiting
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.admission.index import Index


class _Lanes(NamedTuple):
    """What of some number of transactions each lane has for itself, and what all share."""

    reserve: int
    shared_max: int

    @staticmethod
    def of(txs_max: int, lanes: int) -> _Lanes:
        reserve = txs_max // (2 * lanes) if lanes else 0
        return _Lanes(reserve, txs_max - reserve * lanes)


class Limits:
    """gas_max: a block's; -1: no limit. height: the last block's."""

    def __init__(self, config: PoolConfig, index: Index, *, height: int) -> None:
        self._index = index
        self._names, self._sender_txs_max = config.lanes, config.sender_txs_max
        self._tx_bytes_max, self._wait_ms_max = config.tx_bytes_max, config.wait_ms_max
        self._all = _Lanes.of(config.txs_max, len(config.lanes))
        self.gas_max = -1
        self.height = height
        self.set_doors(config.txs_max)

    def set_doors(self, txs_max: int) -> None:
        """How many transactions may wait for what comes through doors, while fewer do."""
        self._door_txs_max = txs_max
        self._doors = _Lanes.of(txs_max, len(self._names))

    def size_text(self, size: int, data_bytes_max: int) -> str:
        if 0 < size <= self._tx_bytes_max:
            return f"transaction has {size} bytes; a block takes {data_bytes_max}"
        return f"transaction has {size} bytes; allowed: 1 to {self._tx_bytes_max}"

    def busy_text(self, waiting: int, txs_per_second: int) -> str:
        return (
            f"mempool is busy: {waiting} transactions wait, and blocks take about {txs_per_second} a second; "
            f"admitted is what they take in {self._wait_ms_max} ms ({self._door_txs_max} now); try later"
        )

    def refusal(self, waiting: Waiting, facts: CheckTxResponse) -> tuple[Refusal, str] | None:
        """None: welcome."""
        index = self._index
        sender, replay_id = facts.sender, facts.replay_id
        if replay_id and index.replays.get(replay_id, waiting.key) != waiting.key:
            return Refusal.REPLAY, "a transaction with the same replay id is in the mempool already"
        if sender and (count := index.senders.get(sender, 0)) >= self._sender_txs_max:
            text = f"sender {sender.hex()} has {count} of {self._sender_txs_max} waiting; try later"
            return Refusal.SENDER_FULL, text
        if facts.expiry_height and facts.expiry_height <= self.height:
            text = f"transaction expired at height {facts.expiry_height}; the last block is {self.height}"
            return Refusal.EXPIRED, text
        if 0 <= self.gas_max < facts.gas_wanted:
            return Refusal.TOO_MUCH_GAS, f"transaction wants {facts.gas_wanted} gas; a block has {self.gas_max}"
        bounds = self._bounds_of(waiting.origin)
        return None if len(index.entries) < bounds.shared_max else self._lane(facts.lane, bounds)

    def full_lanes(self, origin: int) -> dict[str, tuple[Refusal, str]]:
        """Those that have no room for one more of that origin, and what is said."""
        bounds = self._bounds_of(origin)
        if len(self._index.entries) < bounds.shared_max:
            return {}
        found = ((lane, self._lane(lane, bounds)) for lane in self._index.lanes)
        return {lane: refused for lane, refused in found if refused is not None}

    def _bounds_of(self, origin: int) -> _Lanes:
        count = len(self._index.entries)
        return self._all if origin == Origin.PEER or count >= self._door_txs_max else self._doors

    def _lane(self, lane: str, bounds: _Lanes) -> tuple[Refusal, str] | None:
        """A lane may fill its reserve, then what is left of the shared half."""
        names, lanes = self._names, self._index.lanes
        held = lanes.get(lane)
        count = len(held) if held is not None else 0
        if count < bounds.reserve and lane in names:
            return None
        shared = 0
        for name, entries in lanes.items():
            shared += max(0, len(entries) - (bounds.reserve if name in names else 0))
        if shared >= bounds.shared_max:
            return Refusal.LANE_FULL, f"mempool has no room for lane {lane!r}: {count} transactions wait; try later"
        return None
