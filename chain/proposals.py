"""Which transactions a proposer puts into a block, and in which order. Policy: a block made otherwise is as valid.

Each lane has a reserved share of bytes and gas, so that a flood in one starves no other; what a lane leaves, the
others may use, in the mempool's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chain.messages import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY
from chain.tx import Tx

SHARES_PERCENT: Final = {LANE_CHAT: 40, LANE_CURRENCY: 40, LANE_BRIDGE: 20}


def size_in_block(tx: Tx) -> int:
    """Bytes in the block's Data: a tag, the length, the transaction."""
    length = len(tx.raw)
    return length + (2 if length < 0x80 else 3 if length < 0x4000 else 4)


def select(txs: Sequence[Tx], *, bytes_max: int, gas_max: int) -> list[Tx]:
    """Those that fit, in the given order. gas_max: -1 is no limit.

    Within a lane the order is kept and the first that does not fit ends it: a later one may rest on it.
    """
    gas_room = sum(tx.gas_limit for tx in txs) if gas_max < 0 else gas_max
    txs = [tx for tx in txs if tx.gas_limit <= gas_room and size_in_block(tx) <= bytes_max]
    chosen: set[int] = set()
    closed: set[int] = set()
    bytes_left, gas_left = bytes_max, gas_room
    reserved = {lane: [bytes_max * share // 100, gas_room * share // 100] for lane, share in SHARES_PERCENT.items()}
    for limited in (True, False):
        closed.clear()
        for position, tx in enumerate(txs):
            if position in chosen or tx.lane in closed:
                continue
            size, gas = size_in_block(tx), tx.gas_limit
            share = reserved[tx.lane]
            if size > bytes_left or gas > gas_left or (limited and (size > share[0] or gas > share[1])):
                closed.add(tx.lane)
                continue
            share[0] -= size
            share[1] -= gas
            bytes_left -= size
            gas_left -= gas
            chosen.add(position)
    return [tx for position, tx in enumerate(txs) if position in chosen]
