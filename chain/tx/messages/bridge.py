"""What touches both machines: names and allowance that are paid for, tips, paid joins."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import BRIDGE, Kind
from chain.tx.messages.kinds.fields import check_address, check_amount, check_channel, check_text
from proto.dchat.v1 import tx_pb2 as pb

IDENTITY_NAME_BYTES_MIN: Final = 3
IDENTITY_NAME_BYTES_MAX: Final = 32
DISPLAY_BYTES_MAX: Final = 64
LIFETIME_S_MIN: Final = 60
LIFETIME_S_MAX: Final = 366 * 86_400

_NAME_BYTES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")


class RegisterIdentity(NamedTuple):
    address: bytes
    name: str
    display: str


class RegisterBurner(NamedTuple):
    """lifetime_s: of block time, from its block on."""

    address: bytes
    name: str
    display: str
    lifetime_s: int


class Tip(NamedTuple):
    sender: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    amount: int  # udchat


class PayToJoin(NamedTuple):
    member: bytes
    channel_id: bytes
    max_price: int  # udchat
    min_period_s: int = 0  # 0: only a membership without end


class BuyAllowance(NamedTuple):
    address: bytes
    amount: int  # udchat


BridgeMessage: TypeAlias = RegisterIdentity | RegisterBurner | Tip | PayToJoin | BuyAllowance


def register_identity(m: pb.RegisterIdentity) -> RegisterIdentity:
    return RegisterIdentity(*_named("register_identity", m.address, m.name, m.display))


def _named(where: str, address: bytes, name: str, display: str) -> tuple[bytes, str, str]:
    check_address(f"{where}.address", address)
    fits = IDENTITY_NAME_BYTES_MIN <= len(name) <= IDENTITY_NAME_BYTES_MAX
    if not fits or not name.isascii() or not _NAME_BYTES.issuperset(name.encode()):
        raise InvalidField(f"{where}.name: {IDENTITY_NAME_BYTES_MIN} to {IDENTITY_NAME_BYTES_MAX} of a-z 0-9 _ -")
    check_text(f"{where}.display", display, DISPLAY_BYTES_MAX)
    return address, name, display


def register_burner(m: pb.RegisterBurner) -> RegisterBurner:
    where = "register_burner"
    named = _named(where, m.address, m.name, m.display)
    if not LIFETIME_S_MIN <= m.lifetime_s <= LIFETIME_S_MAX:
        raise InvalidField(f"{where}.lifetime_s: {m.lifetime_s}, allowed: {LIFETIME_S_MIN} to {LIFETIME_S_MAX}")
    return RegisterBurner(*named, m.lifetime_s)


def tip(m: pb.Tip) -> Tip:
    check_address("tip.sender", m.sender)
    check_channel("tip", m.channel_id)
    check_amount("tip", m.amount)
    return Tip(m.sender, m.channel_id, m.index, m.amount)


def pay_to_join(m: pb.PayToJoin) -> PayToJoin:
    check_address("pay_to_join.member", m.member)
    check_channel("pay_to_join", m.channel_id)
    return PayToJoin(m.member, m.channel_id, m.max_price, m.min_period_s)


def buy_allowance(m: pb.BuyAllowance) -> BuyAllowance:
    check_address("buy_allowance.address", m.address)
    check_amount("buy_allowance", m.amount)
    return BuyAllowance(m.address, m.amount)


def _ends(message: PayToJoin) -> int:
    """A membership with an end is taken away in a later block."""
    return int(message.min_period_s > 0)


KINDS: Final = (
    Kind("register_identity", register_identity, RegisterIdentity, BRIDGE, 3 * gas.GAS_STAYS),
    Kind(
        "register_burner", register_burner, RegisterBurner, BRIDGE, 3 * gas.GAS_STAYS + 2 * gas.GAS_LATER,
    ),
    Kind("tip", tip, Tip, BRIDGE, 2 * gas.GAS_MESSAGE),
    Kind(
        "pay_to_join", pay_to_join, PayToJoin, BRIDGE, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS, parts=_ends,
        gas_each=gas.GAS_LATER,
    ),
    Kind("buy_allowance", buy_allowance, BuyAllowance, BRIDGE, 2 * gas.GAS_MESSAGE),
)  # fmt: skip
