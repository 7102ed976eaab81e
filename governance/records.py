"""Where governance's records lie in the bridge store, and the small ones themselves."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.kernel.branch import Key, Readable, decoders_of
from chain.kernel.items import FailedItems
from chain.tx.codec import height_bytes, uint_field
from governance.pinned_stake import KEPT
from governance.tally import Tally
from proto.dchat.v1 import governance_pb2 as pb


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


DEPOSITS: Final = Key.of(b"bg", Deposit)  # ‖ number ‖ depositor
HELD: Final = Key.of(b"bs", bytes)  # ‖ number -> 8 bytes: the deposits together
TALLY: Final = Key.of(b"by", Tally)  # ‖ number
DEDUCTED: Final = Key.of(b"bY", bytes)  # ‖ number ‖ ballot ‖ operator -> a Dec: shares whose owners voted
TALLIES: Final = Key.of(b"bz", Tallies)  # absent: no count goes on
QUEUE: Final = Key.of(b"Bi", bytes)  # side: ‖ pin ‖ number: the counts, in order
JOBS: Final = Key.of(b"Bj", bytes)  # side: ‖ what ‖ number ‖ ballot -> how
JOB_COUNT: Final = Key.of(b"BJ", bytes)  # -> 8 bytes; absent: none
FAILED_ITEMS: Final = FailedItems(b"bf")  # ‖ queue ‖ item
DECODERS: Final = decoders_of(DEPOSITS, TALLY, TALLIES, FAILED_ITEMS.prefix, KEPT)


def held_for(state: Readable, number: int) -> int:
    """The deposits of a proposal together, udchat."""
    stored = state.get(HELD + height_bytes(number))
    return int.from_bytes(stored, "big") if stored else 0
