"""Channels: what makes, changes and hands on one, who is in it, and in which role."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import CHAT, ROLE_MODERATE, ROLE_POST, Kind
from chain.tx.messages.kinds.fields import check_address, check_channel, check_text
from proto.dchat.v1 import channels_pb2
from proto.dchat.v1 import tx_pb2 as pb

CHANNEL_NAME_BYTES_MAX: Final = 64
OPEN: Final = 0
INVITED: Final = 1

MEMBER: Final = 0
GUEST: Final = 1
MODERATOR: Final = 2
ROLE_NAMES: Final = {MEMBER: "member", GUEST: "guest", MODERATOR: "moderator"}
ACCESS_NAMES: Final = {OPEN: "open", INVITED: "invited"}

TOPIC_BYTES_MAX: Final = 256
SLOW_MODE_S_MAX: Final = 86_400
PERIOD_S_MIN: Final = 60
PERIOD_S_MAX: Final = 315_360_000  # ten years
INVITATION_S_MIN: Final = 60
INVITATION_S_MAX: Final = 30 * 86_400
BAN_S_MAX: Final = PERIOD_S_MAX


class CreateChannel(NamedTuple):
    creator: bytes
    name: str
    join_price: int  # udchat
    topic: str
    access: int = OPEN
    period_s: int = 0  # what the price buys; 0: a membership without end
    slow_mode_s: int = 0
    join_role: int = MEMBER
    encrypted: bool = False


class JoinChannel(NamedTuple):
    member: bytes
    channel_id: bytes


class EditChannel(NamedTuple):
    """None: as it is."""

    actor: bytes
    channel_id: bytes
    topic: str | None = None
    join_price: int | None = None  # udchat
    period_s: int | None = None
    slow_mode_s: int | None = None
    access: int | None = None
    join_role: int | None = None
    archived: bool | None = None


class InviteMember(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes
    valid_s: int
    reads_back: bool = False


class LeaveChannel(NamedTuple):
    member: bytes
    channel_id: bytes


class SetMemberRole(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes
    role: int


class BanMember(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes
    duration_s: int  # 0: until it is lifted


class UnbanMember(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes


class PinMessage(NamedTuple):
    actor: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    unpin: bool = False


class OfferChannel(NamedTuple):
    owner: bytes
    channel_id: bytes
    heir: bytes  # empty: nobody


class AcceptChannel(NamedTuple):
    heir: bytes
    channel_id: bytes


class OpenDirect(NamedTuple):
    sender: bytes
    peer: bytes
    encrypted: bool = False


ChannelMessage: TypeAlias = (
    CreateChannel | JoinChannel | EditChannel | InviteMember | LeaveChannel | SetMemberRole | BanMember | UnbanMember
    | PinMessage | OfferChannel | AcceptChannel | OpenDirect
)  # fmt: skip


def create_channel(m: pb.CreateChannel) -> CreateChannel:
    check_address("create_channel.creator", m.creator)
    name = m.name
    if not 1 <= len(name) <= CHANNEL_NAME_BYTES_MAX or any(not " " <= char <= "~" for char in name):
        raise InvalidField(f"create_channel.name: 1 to {CHANNEL_NAME_BYTES_MAX} characters of printable ASCII")
    if name[0] == " " or name[-1] == " ":
        raise InvalidField("create_channel.name: starts or ends with a space")
    check_text("create_channel.topic", m.topic, TOPIC_BYTES_MAX)
    check_terms(
        "create_channel", period_s=m.period_s, slow_mode_s=m.slow_mode_s, access=m.access, join_role=m.join_role
    )
    return CreateChannel(
        m.creator, name, m.join_price, m.topic, m.access, m.period_s, m.slow_mode_s, m.join_role, m.encrypted
    )


def join_channel(m: pb.JoinChannel) -> JoinChannel:
    check_address("join_channel.member", m.member)
    check_channel("join_channel", m.channel_id)
    return JoinChannel(m.member, m.channel_id)


def check_terms(where: str, *, period_s: int, slow_mode_s: int, access: int, join_role: int) -> None:
    """What a channel's terms must be by themselves. Raises: InvalidField."""
    if period_s and not PERIOD_S_MIN <= period_s <= PERIOD_S_MAX:
        raise InvalidField(f"{where}.period_s: {period_s}, allowed: 0, {PERIOD_S_MIN} to {PERIOD_S_MAX}")
    if slow_mode_s > SLOW_MODE_S_MAX:
        raise InvalidField(f"{where}.slow_mode_s: {slow_mode_s}, allowed: 0 to {SLOW_MODE_S_MAX}")
    if access not in ACCESS_NAMES:
        raise InvalidField(f"{where}.access: {access}, allowed: {OPEN} and {INVITED}")
    if join_role not in (MEMBER, GUEST):
        raise InvalidField(f"{where}.join_role: {join_role}, allowed: {MEMBER} and {GUEST}")


def edit_channel(m: channels_pb2.EditChannel) -> EditChannel:
    check_address("edit_channel.actor", m.actor)
    check_channel("edit_channel", m.channel_id)
    values = [getattr(m, name) if m.HasField(name) else None for name in EditChannel._fields[2:]]
    if all(value is None for value in values):
        raise InvalidField("edit_channel: nothing to change")
    edited = EditChannel(m.actor, m.channel_id, *values)
    if edited.topic is not None:
        check_text("edit_channel.topic", edited.topic, TOPIC_BYTES_MAX)
    check_terms(
        "edit_channel", period_s=edited.period_s or 0, slow_mode_s=edited.slow_mode_s or 0,
        access=edited.access or 0, join_role=edited.join_role or 0,
    )  # fmt: skip
    return edited


def _check_two(where: str, actor: bytes, channel_id: bytes, member: bytes) -> None:
    check_address(f"{where}.actor", actor)
    check_channel(where, channel_id)
    check_address(f"{where}.member", member)
    if actor == member:
        raise InvalidField(f"{where}.member: is the actor")


def invite_member(m: channels_pb2.InviteMember) -> InviteMember:
    _check_two("invite_member", m.actor, m.channel_id, m.member)
    if not INVITATION_S_MIN <= m.valid_s <= INVITATION_S_MAX:
        raise InvalidField(
            f"invite_member.valid_s: {m.valid_s}, allowed: {INVITATION_S_MIN} to {INVITATION_S_MAX}"
        )  # fmt: skip
    return InviteMember(m.actor, m.channel_id, m.member, m.valid_s, m.reads_back)


def leave_channel(m: channels_pb2.LeaveChannel) -> LeaveChannel:
    check_address("leave_channel.member", m.member)
    check_channel("leave_channel", m.channel_id)
    return LeaveChannel(m.member, m.channel_id)


def set_member_role(m: channels_pb2.SetMemberRole) -> SetMemberRole:
    _check_two("set_member_role", m.actor, m.channel_id, m.member)
    if m.role not in ROLE_NAMES:
        raise InvalidField(f"set_member_role.role: {m.role}, allowed: 0 to {MODERATOR}")
    return SetMemberRole(m.actor, m.channel_id, m.member, m.role)


def ban_member(m: channels_pb2.BanMember) -> BanMember:
    _check_two("ban_member", m.actor, m.channel_id, m.member)
    if m.duration_s > BAN_S_MAX:
        raise InvalidField(f"ban_member.duration_s: {m.duration_s}, allowed: 0 to {BAN_S_MAX}")
    return BanMember(m.actor, m.channel_id, m.member, m.duration_s)


def unban_member(m: channels_pb2.UnbanMember) -> UnbanMember:
    _check_two("unban_member", m.actor, m.channel_id, m.member)
    return UnbanMember(m.actor, m.channel_id, m.member)


def pin_message(m: channels_pb2.PinMessage) -> PinMessage:
    check_address("pin_message.actor", m.actor)
    check_channel("pin_message", m.channel_id)
    if m.index >= UINT64_MAX:
        raise InvalidField(f"pin_message.index: {m.index}, allowed: 0 to {UINT64_MAX - 1}")
    return PinMessage(m.actor, m.channel_id, m.index, m.unpin)


def offer_channel(m: channels_pb2.OfferChannel) -> OfferChannel:
    check_address("offer_channel.owner", m.owner)
    check_channel("offer_channel", m.channel_id)
    if m.heir:
        check_address("offer_channel.heir", m.heir)
    if m.heir == m.owner:
        raise InvalidField("offer_channel.heir: is the owner")
    return OfferChannel(m.owner, m.channel_id, m.heir)


def accept_channel(m: channels_pb2.AcceptChannel) -> AcceptChannel:
    check_address("accept_channel.heir", m.heir)
    check_channel("accept_channel", m.channel_id)
    return AcceptChannel(m.heir, m.channel_id)


def open_direct(m: channels_pb2.OpenDirect) -> OpenDirect:
    check_address("open_direct.sender", m.sender)
    check_address("open_direct.peer", m.peer)
    if m.sender == m.peer:
        raise InvalidField("open_direct.peer: is the sender")
    return OpenDirect(m.sender, m.peer, m.encrypted)


GAS_TWO: Final = 2 * gas.GAS_MESSAGE  # the channel, and one of its members


KINDS: Final = (
    Kind("create_channel", create_channel, CreateChannel, CHAT, gas.GAS_MESSAGE + 2 * gas.GAS_STAYS),
    Kind("join_channel", join_channel, JoinChannel, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS, role=ROLE_POST),
    Kind("edit_channel", edit_channel, EditChannel, CHAT, GAS_TWO),
    Kind(
        "invite_member", invite_member, InviteMember, CHAT, GAS_TWO + gas.GAS_NEW_LEAF + gas.GAS_LATER,
        role=ROLE_MODERATE,
    ),
    Kind("leave_channel", leave_channel, LeaveChannel, CHAT, GAS_TWO, role=ROLE_POST),
    Kind("set_member_role", set_member_role, SetMemberRole, CHAT, GAS_TWO),
    Kind("ban_member", ban_member, BanMember, CHAT, GAS_TWO + gas.GAS_STAYS + gas.GAS_LATER, role=ROLE_MODERATE),
    Kind("unban_member", unban_member, UnbanMember, CHAT, GAS_TWO, role=ROLE_MODERATE),
    Kind("pin_message", pin_message, PinMessage, CHAT, GAS_TWO, role=ROLE_MODERATE),
    Kind("offer_channel", offer_channel, OfferChannel, CHAT, GAS_TWO),
    Kind("accept_channel", accept_channel, AcceptChannel, CHAT, 2 * GAS_TWO),
    Kind("open_direct", open_direct, OpenDirect, CHAT, GAS_TWO + 3 * gas.GAS_STAYS, role=ROLE_POST),
)  # fmt: skip
