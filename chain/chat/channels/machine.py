"""Channels: making one, joining it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.channels.records import CHANNEL, MEMBER, Channel, member_key
from chain.chat.ledger.records import require_identity
from chain.kernel.branch import Decoders, Readable, Scan, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account
from chain.state.mmr import Range
from chain.tx.codec import uint_field
from chain.tx.errors import AlreadyMember, ChannelExists, PriceDue, UnknownChannel
from chain.tx.messages import CHANNEL_ID_BYTES, CreateChannel, JoinChannel, channel_id

DECODERS: Final[Decoders] = decoders_of(CHANNEL)
EMPTY: Final = Range()


def require_channel(state: Readable, channel: bytes) -> Channel:
    """Raises: UnknownChannel."""
    found = state.get(CHANNEL + channel)
    if found is None:
        raise UnknownChannel(channel.hex())
    return found


def create_channel(ctx: Context, message: CreateChannel) -> Leg:
    creator, name, join_price, topic = message
    branch = ctx.branch
    require_identity(branch, creator)
    channel = channel_id(name)
    if branch.get(CHANNEL + channel) is not None:
        raise ChannelExists(name)
    opened = Channel(
        id=channel, name=name, topic=topic, owner=creator, join_price=join_price, member_count=1, range=EMPTY,
        created_height=ctx.height,
    )  # fmt: skip
    branch.set(CHANNEL + channel, opened)
    branch.set(member_key(channel, creator), uint_field(b"\x08", ctx.height))
    branch.emit(Event.of("create_channel", channel_id=channel.hex(), name=name, owner=account(creator)))
    return Leg("create_channel", subject=channel)


def join_channel(ctx: Context, message: JoinChannel) -> Leg:
    channel = require_channel(ctx.branch, message.channel_id)
    if channel.join_price and channel.owner != message.member:
        raise PriceDue(f"{channel.join_price} udchat")
    join(ctx, channel, message.member)
    return Leg("join_channel", subject=message.channel_id)


def join(ctx: Context, channel: Channel, member: bytes) -> None:
    """Raises: UnknownIdentity, AlreadyMember."""
    branch = ctx.branch
    require_identity(branch, member)
    key = member_key(channel.id, member)
    if branch.get(key) is not None:
        raise AlreadyMember(channel.name)
    branch.set(key, uint_field(b"\x08", ctx.height))
    branch.set(CHANNEL + channel.id, channel.changed(member_count=channel.member_count + 1, range=channel.range))
    branch.emit(Event.of("join_channel", channel_id=channel.id.hex(), member=account(member)))


def handlers() -> dict[type[Any], Handler]:
    return {CreateChannel: create_channel, JoinChannel: join_channel}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    members: dict[bytes, int] = {}
    for key, _ in scan(MEMBER):
        channel = key[len(MEMBER) : len(MEMBER) + CHANNEL_ID_BYTES]
        members[channel] = members.get(channel, 0) + 1
    channels: dict[bytes, Channel] = {channel.id: channel for _, channel in scan(CHANNEL)}
    wrong = [c.name for c in channels.values() if members.get(c.id, 0) != c.member_count]
    yield "chat: member counts are true", not wrong and members.keys() <= channels.keys(), f"{len(wrong)} are not"
    strange = [c.name for c in channels.values() if channel_id(c.name) != c.id]
    yield "chat: channels lie under their name's id", not strange, f"{len(strange)} do not"
