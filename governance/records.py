"""Where governance's records lie in the bridge store, and the small ones themselves."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.kernel.branch import Decoders, Readable
from chain.kernel.items import Failed, FailedItems
from chain.tx.codec import height_bytes, uint_field
from governance.stake import KEPT, Kept
from governance.tally import Tally
from proto.dchat.v1 import governance_pb2 as pb

DEPOSITS: Final = b"bg"  # ‖ number ‖ depositor -> Deposit
HELD: Final = b"bs"  # ‖ number -> 8 bytes: the deposits together
TALLY: Final = b"by"  # ‖ number -> Tally
DEDUCTED: Final = b"bY"  # ‖ number ‖ ballot ‖ operator -> a Dec: shares whose owners voted
TALLIES: Final = b"bz"  # -> Tallies; absent: no count goes on
QUEUE: Final = b"Bi"  # side: ‖ pin ‖ number: the counts, in order
JOBS: Final = b"Bj"  # side: ‖ what ‖ number ‖ ballot -> how
JOB_COUNT: Final = b"BJ"  # -> 8 bytes; absent: none
FAILED_ITEMS: Final = FailedItems(b"bf")  # ‖ queue ‖ item


class Deposit(NamedTuple):
    amount: int

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.amount)

    @staticmethod
    def decode(stored: bytes) -> Deposit:
        return Deposit(pb.Deposit.FromString(stored).amount)


class Tallies(NamedTuple):
    waiting: int
    oldest_pin: int
    newest_pin: int

    def encode(self) -> bytes:
        return pb.Tallies(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Tallies:
        r = pb.Tallies.FromString(stored)
        return Tallies(r.waiting, r.oldest_pin, r.newest_pin)


DECODERS: Final[Decoders] = {
    DEPOSITS: Deposit.decode,
    TALLY: Tally.decode,
    TALLIES: Tallies.decode,
    FAILED_ITEMS.prefix: Failed.decode,
    KEPT: Kept.decode,
}


def held_for(state: Readable, number: int) -> int:
    """The deposits of a proposal together, udchat."""
    stored: bytes | None = state.get(HELD + height_bytes(number))
    return int.from_bytes(stored, "big") if stored else 0
