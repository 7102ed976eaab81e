"""Which transactions a proposer puts into a block, and in which order. Policy: a block made otherwise is as valid.

Each lane has a reserved share of bytes and gas, so that a flood in one starves no other; what a lane leaves, the
others may use, in the mempool's order. That is by priority: fee per gas, each sender's in its order. Posts pay by
allowance at one price for all, and go in order of admission.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chain.tx.envelope.tx import Tx
from chain.tx.messages import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY
from chain.tx.units import GAS_PER_MGAS

FIRST_TURN_BLOCKS: Final = 7  # so often the first in order takes its turn: prime, to meet each of several proposers
PRIORITY_LEAST: Final = 1_000  # of a fee that is the least
REPLACE_PERCENT: Final = 110
SHARES_PERCENT: Final = {LANE_CHAT: 40, LANE_CURRENCY: 40, LANE_BRIDGE: 20}


def priority_of(tx: Tx, least_fee: int) -> int:
    """Fee per gas, in thousandths of what the chain asks: whoever pays the least fee has one priority, whatever
    rounding up made of it. least_fee: for its gas limit, in udchat; 0: gas costs nothing, and udchat per gas count.
    """
    fee = tx.fee
    if fee == least_fee:
        return PRIORITY_LEAST
    if not least_fee:
        return PRIORITY_LEAST + fee * GAS_PER_MGAS // tx.gas_limit
    return fee * PRIORITY_LEAST // least_fee


def fee_to_replace(old: Tx, new: Tx) -> int:
    """The least that `new` must pay to have the place of `old`: a tenth more, in all and for each gas, rounded up."""
    per_gas = -(-old.fee * new.gas_limit * REPLACE_PERCENT // (old.gas_limit * 100))
    return max(old.fee + 1, -(-old.fee * REPLACE_PERCENT // 100), per_gas)


def size_in_block(tx: Tx) -> int:
    """Bytes in the block's Data: a tag, the length, the transaction."""
    length = len(tx.raw)
    return length + (2 if length < 0x80 else 3 if length < 0x4000 else 4)


def select(txs: Sequence[Tx], *, bytes_max: int, gas_max: int, first_turn: bool = False) -> list[Tx]:
    """Those that fit, in the given order. gas_max: -1 is no limit.

    What does not fit is passed over and others go on, but for later ones of its signers, which may rest on it.
    first_turn: the first that fits a block goes in before the lanes' shares, so that nothing is passed over for ever.
    """
    gas_room = sum(tx.gas_limit for tx in txs) if gas_max < 0 else gas_max
    if sum(map(size_in_block, txs)) <= bytes_max and sum(tx.gas_limit for tx in txs) <= gas_room:
        return list(txs)  # a mempool that filled the block itself has thought of the rest
    chosen: set[int] = set()
    bytes_left, gas_left = bytes_max, gas_room
    if first_turn:
        for position, tx in enumerate(txs):
            if size_in_block(tx) <= bytes_left and tx.gas_limit <= gas_left:
                chosen.add(position)
                bytes_left -= size_in_block(tx)
                gas_left -= tx.gas_limit
                break
    reserved = {lane: [bytes_max * share // 100, gas_room * share // 100] for lane, share in SHARES_PERCENT.items()}
    for limited in (True, False):
        passed: set[bytes] = set()  # signers of what does not fit
        for position, tx in enumerate(txs):
            if position in chosen:
                continue
            size, gas, signers = size_in_block(tx), tx.gas_limit, tx.orders
            share = reserved[tx.lane]
            fits = size <= bytes_left and gas <= gas_left and not (limited and (size > share[0] or gas > share[1]))
            if not fits or not passed.isdisjoint(signers):
                passed.update(signers)
                continue
            share[0] -= size
            share[1] -= gas
            bytes_left -= size
            gas_left -= gas
            chosen.add(position)
    return [tx for position, tx in enumerate(txs) if position in chosen]
