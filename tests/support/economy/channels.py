"""What people of a life do with channels and messages, mostly with their own; and what they may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chain.chat.channels.records import BAN, CHANNEL, MEMBER, Channel
from chain.chat.ledger.records import IDENTITY
from chain.chat.messages.records import message_key
from chain.tx.messages import JoinChannel, Message, PayToJoin, PostMessage
from chain.tx.messages.chat import (
    AcceptChannel,
    BanMember,
    BeginEpoch,
    EditChannel,
    EditMessage,
    InviteMember,
    LeaveChannel,
    MarkRead,
    OfferChannel,
    OpenDirect,
    PinMessage,
    PublishEpochKeys,
    React,
    RetractMessage,
    SealedCopy,
    SetMemberRole,
    UnbanMember,
)
from crypto.hash import ADDRESS_BYTES as SIZE
from proto.dchat.v1 import state_pb2
from tests.support.economy.world import DCHAT

if TYPE_CHECKING:
    from tests.support.economy.life import Life

LOOKS: Final = 5  # for a message that is still there


def some_message(life: Life, channel: Channel) -> int:
    """The index of one, mostly of one that has its body and is a message by itself."""
    index = 0
    for _ in range(LOOKS):
        index = life.rng.randrange(channel.range.count)
        found = _message_at(life, channel.id, index)
        if not found.forgotten and not found.edits:
            break
    return index


def _message_at(life: Life, channel: bytes, index: int) -> state_pb2.ChatMessage:
    return state_pb2.ChatMessage.FromString(life.state.get(message_key(channel, index)))


def about_channel(life: Life, who: bytes, names: tuple[str, ...]) -> Message | None:
    """What people do with channels, mostly with their own; and what they may not."""
    rng = life.rng
    channels: list[Channel] = [channel for _, channel in life.state.scan(CHANNEL) if channel.name]
    if rng.random() < 0.1:
        channels = [channel for _, channel in life.state.scan(CHANNEL)]
    if not channels or life.state.get(IDENTITY + who) is None:
        return None
    mine = [found for found in channels if life.state.get(MEMBER + found.id + who) is not None]
    own = [found for found in mine if found.owner == who or (found.settings and found.settings.heir == who)]
    chosen = rng.choice(own if own and rng.random() < 0.8 else mine if mine and rng.random() < 0.7 else channels)
    if chosen not in mine and rng.random() < 0.8:
        paid = PayToJoin(who, chosen.id, DCHAT, 60 if chosen.settings and chosen.settings.period_s else 0)
        return paid if chosen.join_price else JoinChannel(who, chosen.id)
    channel, heir = chosen.id, chosen.settings.heir if chosen.settings else b""
    if heir == who and rng.random() < 0.7:
        return AcceptChannel(who, channel)
    if rng.random() < 0.04:
        return OpenDirect(who, life.address(rng.choice([name for name in names if life.address(name) != who])))
    if chosen.settings and chosen.settings.epoch and rng.random() < 0.4:
        copies = (SealedCopy(who, bytes(30) + rng.randbytes(2), b"x"),)
        if rng.random() < 0.3:
            return BeginEpoch(who, channel)
        return PublishEpochKeys(who, channel, chosen.settings.epoch, bytes(32), copies)
    banned = [key[-SIZE:] for key, _ in life.state.scan(BAN + channel)]
    if banned and rng.random() < 0.7:
        return UnbanMember(who, channel, rng.choice(banned))
    if chosen.range.count and rng.random() < 0.4:
        return _about_message(life, who, channel, some_message(life, chosen), chosen.range.count)
    if rng.random() < 0.3:
        return PinMessage(who, channel, 0) if chosen.range.count else PostMessage(who, channel, b"first", 0)
    members = [key[-SIZE:] for key, _ in life.state.scan(MEMBER + channel) if key[-SIZE:] != who]
    other = rng.choice(members) if members and rng.random() < 0.7 else life.address(rng.choice(names))
    if other == who:
        return LeaveChannel(who, channel)
    terms = {"topic": "news", "join_price": DCHAT, "period_s": 90, "slow_mode_s": 3, "access": 1, "join_role": 0}
    changed = rng.choice(sorted(terms))
    return rng.choice(
        (
            EditChannel(who, channel, **{changed: rng.choice((terms[changed], "" if changed == "topic" else 0))}),
            EditChannel(who, channel, archived=rng.random() < 0.2), PinMessage(who, channel, 0, True),
            InviteMember(who, channel, other, rng.choice((60, 900)), rng.random() < 0.5),
            LeaveChannel(who, channel), SetMemberRole(who, channel, other, rng.randrange(3)),
            BanMember(who, channel, other, rng.choice((0, 1, 30, 900))), UnbanMember(who, channel, other),
            OfferChannel(who, channel, other), OfferChannel(who, channel, rng.choice((b"", other))),
            AcceptChannel(who, channel),
        )
    )  # fmt: skip


def _about_message(life: Life, who: bytes, channel: bytes, index: int, count: int) -> Message:
    rng = life.rng
    mine = _message_at(life, channel, index).author == who
    return rng.choice(
        (
            EditMessage(who, channel, index, b"edited") if mine else React(who, channel, index, rng.randrange(17)),
            EditMessage(who, channel, index, b"edited"), RetractMessage(who, channel, index),
            React(who, channel, index, rng.randrange(4)), MarkRead(who, channel, rng.randrange(1, count + 2)),
            PostMessage(who, channel, b"soon gone", 0, rng.choice((1, 20, 400))),
            PostMessage(who, channel, b"sealed", 0, epoch=rng.randrange(9)),
        )
    )  # fmt: skip
