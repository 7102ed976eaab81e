"""What the pool's bounds say to a transaction whose sender, lane and expiry are known."""

from __future__ import annotations

from consensus.abci import CheckTxResponse
from mempool.entry import PoolConfig
from mempool.errors import Refusal
from mempool.index import Index


class Limits:
    """gas_max: a block's; -1: no limit."""

    def __init__(self, config: PoolConfig, index: Index) -> None:
        self._config, self._index = config, index
        self.gas_max = -1

    def refusal(
        self, key: bytes, facts: CheckTxResponse, *, height: int, lane_txs_max: int
    ) -> tuple[Refusal, str] | None:
        """None: welcome. height: the last block's; lane_txs_max: what the lanes share."""
        if facts.sender:
            count, limit = self._index.senders.get(facts.sender, 0), self._config.sender_txs_max
            if count >= limit:
                return Refusal.SENDER_FULL, f"sender {facts.sender.hex()} has {count} of {limit} waiting; try later"
        if facts.replay_id and self._index.replays.get(facts.replay_id, key) != key:
            return Refusal.REPLAY, "a transaction with the same replay id is in the mempool already"
        if facts.expiry_height and facts.expiry_height <= height:
            return Refusal.EXPIRED, f"transaction expired at height {facts.expiry_height}; the last block is {height}"
        if 0 <= self.gas_max < facts.gas_wanted:
            return Refusal.TOO_MUCH_GAS, f"transaction wants {facts.gas_wanted} gas; a block has {self.gas_max}"
        return self._lane(facts.lane, lane_txs_max)

    def _lane(self, lane: str, txs_max: int) -> tuple[Refusal, str] | None:
        """A lane may fill its reserve of `txs_max`, then what is left of the shared half."""
        names, lanes = self._config.lanes, self._index.lanes
        reserve = txs_max // (2 * len(names)) if names else 0
        shared_max = txs_max - reserve * len(names)
        if len(self._index.entries) < shared_max:
            return None
        held = lanes.get(lane)
        count = len(held) if held is not None else 0
        if count < reserve and lane in names:
            return None
        shared = 0
        for name, entries in lanes.items():
            shared += max(0, len(entries) - (reserve if name in names else 0))
        if shared >= shared_max:
            return Refusal.LANE_FULL, f"mempool has no room for lane {lane!r}: {count} transactions wait; try later"
        return None
