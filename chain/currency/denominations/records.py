"""Records of denominations: each denomination, and what each account holds of each, a record of its own.

An account that holds a thousand of them is no larger for it, and costs nobody more who reads it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.kernel.branch import Key, RecordKind
from chain.kernel.event_text import account
from chain.tx.codec import UINT64_MAX, bytes_field, uint_field
from chain.tx.messages.payments import Denom
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb


class Denomination(NamedTuple):
    """Amounts are units. owner: empty, nobody. supply_max: 0, as many as fit."""

    owner: bytes
    supply: int = 0
    supply_max: int = 0
    freezable: bool = False

    @property
    def most(self) -> int:
        return self.supply_max or UINT64_MAX

    def encode(self) -> bytes:
        fields = (
            bytes_field(b"\x0a", self.owner),
            uint_field(b"\x10", self.supply),
            uint_field(b"\x18", self.supply_max),
            uint_field(b"\x20", self.freezable),
        )
        return b"".join(fields) or b"\x10\x00"  # no stored value is empty

    @staticmethod
    def decode(stored: bytes) -> Denomination:
        r = pb.Denomination.FromString(stored)
        return Denomination(r.owner, r.supply, r.supply_max, r.freezable)


class Holding(NamedTuple):
    """amount: units, above 0."""

    amount: int
    frozen: bool = False

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.amount) + uint_field(b"\x10", self.frozen)

    @staticmethod
    def decode(stored: bytes) -> Holding:
        r = pb.Holding.FromString(stored)
        return Holding(r.amount, r.frozen)


DENOMINATION: Final = Key.of(b"ut", Denomination)  # ‖ creator ‖ sub
HOLDING: Final = Key.of(b"un", Holding)  # ‖ account ‖ creator ‖ sub
DENOMINATIONS: Final = RecordKind(DENOMINATION, pb.Denomination, "the denomination")
HOLDINGS: Final = RecordKind(HOLDING, pb.Holding, "the holding")


def denom_of(key: bytes) -> Denom:
    """Of creator ‖ sub."""
    return Denom(key[:ADDRESS_BYTES], key[ADDRESS_BYTES:].decode("ascii"))


def name_of(denom: Denom) -> str:
    return f"factory/{account(denom.creator)}/{denom.sub}"


def units(amount: int, denom: Denom) -> str:
    """As the Cosmos SDK writes coins."""
    return f"{amount}{name_of(denom)}"
