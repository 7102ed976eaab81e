"""Allowance that is lent for locked udchat, and that a channel's owner sets aside for its members."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import BRIDGE, CHAT, TOUCHED_IDENTITY, Kind
from chain.tx.messages.kinds.fields import check_address, check_amount, check_channel
from proto.dchat.v1 import allowance_pb2 as pb


class LockForAllowance(NamedTuple):
    address: bytes
    amount: int  # udchat


class UnlockAllowance(NamedTuple):
    address: bytes
    amount: int  # udchat


class GrantChannelAllowance(NamedTuple):
    """member_*: of each member in a period; period_*: of all of them, 0: as much as there is."""

    owner: bytes
    channel_id: bytes
    more_messages: int
    more_bytes: int
    member_messages: int
    member_bytes: int
    period_messages: int = 0
    period_bytes: int = 0


class EndChannelAllowance(NamedTuple):
    owner: bytes
    channel_id: bytes


AllowanceMessage: TypeAlias = LockForAllowance | UnlockAllowance | GrantChannelAllowance | EndChannelAllowance


def lock_for_allowance(m: pb.LockForAllowance) -> LockForAllowance:
    check_address("lock_for_allowance.address", m.address)
    check_amount("lock_for_allowance", m.amount)
    return LockForAllowance(m.address, m.amount)


def unlock_allowance(m: pb.UnlockAllowance) -> UnlockAllowance:
    check_address("unlock_allowance.address", m.address)
    check_amount("unlock_allowance", m.amount)
    return UnlockAllowance(m.address, m.amount)


def grant_channel_allowance(m: pb.GrantChannelAllowance) -> GrantChannelAllowance:
    where = "grant_channel_allowance"
    check_address(f"{where}.owner", m.owner)
    check_channel(where, m.channel_id)
    if not m.member_messages or not m.member_bytes:
        raise InvalidField(f"{where}: member_messages and member_bytes are 1 and more")
    if 0 < m.period_messages < m.member_messages or 0 < m.period_bytes < m.member_bytes:
        raise InvalidField(f"{where}: what all members have in a period is no less than what one of them has, or 0")
    return GrantChannelAllowance(
        m.owner, m.channel_id, m.more_messages, m.more_bytes, m.member_messages, m.member_bytes, m.period_messages,
        m.period_bytes,
    )  # fmt: skip


def end_channel_allowance(m: pb.EndChannelAllowance) -> EndChannelAllowance:
    check_address("end_channel_allowance.owner", m.owner)
    check_channel("end_channel_allowance", m.channel_id)
    return EndChannelAllowance(m.owner, m.channel_id)


def _none(message: Any) -> int:
    """They list nothing: `touches` is asked of what has parts."""
    return 0


KINDS: Final = (
    Kind(
        "lock_for_allowance", lock_for_allowance, LockForAllowance, BRIDGE, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS,
    ),
    Kind(
        "unlock_allowance", unlock_allowance, UnlockAllowance, BRIDGE, 2 * gas.GAS_MESSAGE + gas.GAS_LATER,
        parts=_none, touches=TOUCHED_IDENTITY,
    ),
    Kind(
        "grant_channel_allowance", grant_channel_allowance, GrantChannelAllowance, CHAT,
        2 * gas.GAS_MESSAGE + gas.GAS_STAYS, parts=_none, touches=TOUCHED_IDENTITY,
    ),
    Kind(
        "end_channel_allowance", end_channel_allowance, EndChannelAllowance, CHAT, 2 * gas.GAS_MESSAGE,
        parts=_none, touches=TOUCHED_IDENTITY,
    ),
)  # fmt: skip
