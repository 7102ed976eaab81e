"""What the mempool holds: its bounds, a transaction that waits for a block, one that waits for admission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consensus.abci.interface import CheckTxResponse
from consensus.formats.units import MIB
from consensus.mempool.admission.errors import Refusal, refuse

OTHERS_MAX: Final = 8  # sources remembered of what waits for admission
ANSWERS_MAX: Final = 16  # who may wait for the verdict on one transaction; more are told to try later


@dataclass(frozen=True, slots=True)
class PoolConfig:
    txs_max: int = 5_000  # some seconds of what four validators on two cores commit: more would only wait longer
    wait_ms_max: int = 1_000  # that a door's transaction may have to wait at the recent pace; 0: only counts bound
    bytes_max: int = 32 * MIB
    tx_bytes_max: int = MIB
    sender_txs_max: int = 256  # bounds what one account's change makes us recheck
    seen_max: int = 20_000  # remembered hashes of what was committed: four times the pool
    lanes: tuple[str, ...] = ()  # each keeps a reserved share of the pool: half of it, split evenly


class Origin:
    """Where a transaction came in; each has a part of the pool and its turns in admission.

    Plain numbers: an Enum's hash is computed in Python, and this is looked up several times per transaction.
    """

    OWN: Final = 0  # this node's
    DOOR: Final = 1  # a client's
    PEER: Final = 2
    ALL: Final = (OWN, DOOR, PEER)


@dataclass(slots=True, eq=False)
class Entry:
    """A transaction in the pool. peers: bits, as of PeerBits, of those known to have it (kept by the gossip)."""

    key: bytes  # SHA-256 of the transaction
    tx: bytes
    source: str  # the peer that sent it; "": admitted through a door of this node
    height: int  # the last block's when it was admitted
    facts: CheckTxResponse  # what the application said of it
    origin: int
    payer: str  # whose share it takes
    proto_bytes: int  # its size in a block's data
    peers: int
    number: int = 0  # its place in the order of admission; a replacement has that of the one before it
    again_ns: int = 0  # when the gossip offers it again to who should have it already
    offered_again: int = 0  # how often it has


class PeerBits:
    """A bit of its own for each peer that is here: which of them have a transaction is a number then, where a set of
    ids took 216 bytes of each that waits, and a look of the collector."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._taken = 0

    def of(self, peer_id: str) -> int:
        """0: it is not here."""
        return self._bits.get(peer_id, 0)

    def take(self, peer_id: str) -> int:
        """The lowest that is free; its own, if it has one."""
        bit = self._bits.get(peer_id, 0)
        if not bit:
            bit = ~self._taken & (self._taken + 1)
            self._bits[peer_id] = bit
            self._taken |= bit
        return bit

    def give_back(self, peer_id: str) -> None:
        """It left, and stands at no transaction."""
        self._taken &= ~self._bits.pop(peer_id, 0)


def data_bytes(tx_bytes: int) -> int:
    """What a transaction of `tx_bytes` takes in proto Data."""
    length_bytes = 1 if tx_bytes < 128 else (tx_bytes.bit_length() + 6) // 7
    return 1 + length_bytes + tx_bytes


def tx_bytes_max(data_bytes_max: int) -> int:
    """The largest transaction that fits; 0: none does."""
    size = max(0, data_bytes_max)
    while size and data_bytes(size) > data_bytes_max:
        size -= 1
    return size


@dataclass(slots=True)
class PoolMetrics:
    admitted: int = 0
    refused: int = 0  # by us or by the application
    refused_full: int = 0  # of them for want of room
    refused_known: int = 0  # of them because they were found bad a while ago
    committed: int = 0
    expired: int = 0
    rechecked: int = 0
    recheck_failed: int = 0
    signatures_verified: int = 0
    signatures_bad: int = 0
    held: int = 0  # kept for a while, because something before them was missing
    held_admitted: int = 0  # of them admitted afterwards
    replaced: int = 0  # by one of the same place that paid more
    displaced: int = 0  # for want of room, by others that paid more
    underpriced: int = 0  # refused: had they paid more, they would have come in
    passed_over: int = 0  # in proposals: what did not fit, while others went on
    failed: int = 0  # that this node could not judge: a fault of ours


@dataclass(slots=True, eq=False)
class Claim:
    """Of one that comes in by paying more than others: whose place, or whose room, it is to have."""

    replaces: Entry | None = None
    displaces: tuple[Entry, ...] = ()
    full: str = ""  # it was let in to be read although there was no room, and this is why
    is_counted: bool = False  # among those that were found to pay more, before their signatures were verified

    def gone(self, by: bytes) -> list[tuple[Entry, CheckTxResponse]]:
        """Who leaves once it is granted, and what they are told. by: whose claim it is."""
        if self.replaces is not None:
            return [(self.replaces, refuse(Refusal.REPLACED, f"replaced by {by.hex()}, which pays more"))]
        why = refuse(Refusal.DISPLACED, "others that pay more for their gas have its room")
        return [(one, why) for one in self.displaces]


@dataclass(slots=True, eq=False)
class Waiting:
    """On its way through admission, or held."""

    key: bytes
    tx: bytes
    source: str
    origin: int
    payer: str
    answers: list[Callable[[CheckTxResponse], None]]
    facts: CheckTxResponse | None = None  # what the application could tell without running it
    held_height: int = -1  # the last block's when it was held first; -1: never was
    is_queued: bool = True  # not taken into a batch yet
    others: tuple[tuple[int, str], ...] = ()  # who else sent it meanwhile
    claim: Claim | None = None  # None: there is room for it, and its place is free

    @property
    def senders(self) -> tuple[tuple[int, str], ...]:
        """Whose share it takes, then who else sent it."""
        return ((self.origin, self.payer), *self.others)
