"""Why the mempool refuses a transaction: codes of the codespace `mempool`, with what a client can do about it.

These are answers, not exceptions: a refusal costs nobody but the sender.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

from consensus.abci.interface import CheckTxResponse

CODESPACE: Final = "mempool"
STOPPED_TEXT: Final = "the node is stopping; send it to another"
SEEN_TEXT: Final = "transaction was seen before: see what became of it by its hash"


class Refusal(IntEnum):
    TOO_LARGE = 1
    FULL = 2  # try later
    SENDER_FULL = 3  # try later
    LANE_FULL = 4  # try later
    ALREADY_HERE = 5  # nothing to do: it is on its way
    SEEN_BEFORE = 6  # committed or refused a moment ago
    REPLAY = 7  # another transaction with the same replay id is on its way
    EXPIRED = 8
    TOO_MUCH_GAS = 9
    STOPPED = 10  # the node is shutting down
    FAILED = 11  # a fault of this node, told in its log
    UNDERPRICED = 12  # another has its place and pays as much, or nearly
    REPLACED = 13  # it was admitted, and one that pays more has its place now
    DISPLACED = 14  # try later, or pay more: it was admitted, and others that pay more have its room


NO_ROOM: Final = frozenset({Refusal.FULL, Refusal.SENDER_FULL, Refusal.LANE_FULL})
TRY_LATER: Final = NO_ROOM | {Refusal.STOPPED, Refusal.DISPLACED}


@lru_cache(maxsize=64)  # a batch that finds no room hears the same answer once for each of its transactions
def refuse(reason: Refusal, log: str) -> CheckTxResponse:
    return CheckTxResponse(code=int(reason), codespace=CODESPACE, log=log)
