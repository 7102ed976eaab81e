"""The chat machine: identities with an allowance, channels, members, messages.

Deterministic, without I/O. Reads and writes its own store alone: it never needs the currency machine to execute. What
is paid for (registration, allowance, priced channels) crosses through the bridge, which calls what is here.
A channel is one leaf, with the peaks of a mountain range over its messages; messages and inner nodes lie beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from chain.chat.records import (
    CHANNEL,
    IDENTITY,
    IDENTITY_NAME,
    MEMBER,
    MESSAGE,
    NODE,
    PARAMS,
    Allowance,
    Channel,
    ChatParams,
    Identity,
    encode_message,
    member_key,
    message_key,
)
from chain.kernel.auth import advance, authorise
from chain.kernel.branch import SIDE_CHAT, TAG_CHAT, Decoders, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some
from chain.kernel.marks import ReplayMarks
from chain.state.mmr import Range, ReadNode, leaf_hash
from chain.tx import gas
from chain.tx.codec import uint_field
from chain.tx.envelope.tx import Tx
from chain.tx.errors import (
    AlreadyMember,
    AmountOverflow,
    ChannelExists,
    IdentityExists,
    MessageTooLong,
    NameTaken,
    NotMember,
    PriceDue,
    UnknownChannel,
    UnknownIdentity,
    UnknownMessage,
)
from chain.tx.messages import CHANNEL_ID_BYTES, CreateChannel, JoinChannel, PostMessage, channel_id
from proto.dchat.v1 import state_pb2 as pb

MARKS: Final = ReplayMarks(TAG_CHAT, SIDE_CHAT)
DECODERS: Final[Decoders] = {**decoders_of(IDENTITY, CHANNEL, PARAMS), **MARKS.decoders}
EMPTY: Final = Range()


def identity_of(state: Readable, address: bytes) -> Identity | None:
    return state.get(IDENTITY + address)


def require_identity(state: Readable, address: bytes) -> Identity:
    """Raises: UnknownIdentity."""
    found = state.get(IDENTITY + address)
    if found is None:
        raise UnknownIdentity(account(address))
    return found


def require_channel(state: Readable, channel: bytes) -> Channel:
    """Raises: UnknownChannel."""
    found = state.get(CHANNEL + channel)
    if found is None:
        raise UnknownChannel(channel.hex())
    return found


def author_of(state: Readable, channel: bytes, index: int) -> bytes:
    """Who wrote a message. Raises: UnknownChannel, UnknownMessage."""
    if index >= require_channel(state, channel).range.count:
        raise UnknownMessage(f"{index}")
    stored = state.get(message_key(channel, index))
    assert stored is not None, (channel, index)
    return pb.ChatMessage.FromString(stored).author


# ------------------------------------------------------------------------------ ante: allowance instead of a fee


def ante(ctx: Context, tx: Tx) -> None:
    """Authorise every signer, mark the replay, take the allowance.

    Raises: UnknownIdentity, policy and sequence errors, Replayed, ExpiryTooFar, AllowanceExhausted.
    """
    branch = ctx.branch
    params = branch.get(PARAMS)
    if tx.unordered:
        MARKS.check(branch, tx, height=ctx.height, blocks_max=params.unordered_expiry_blocks_max)
    for index, entry in enumerate(tx.signers):
        identity = require_identity(branch, entry.address)
        policy = authorise(tx, index, identity.policy)
        sequences = identity.sequences if tx.unordered else advance(entry, identity.sequences, policy)
        allowance = identity.allowance
        if index == tx.fee_payer:
            allowance = allowance.spend(*params.charge_of(tx))
        branch.set(IDENTITY + entry.address, identity.with_use(sequences, allowance))
    if tx.unordered:
        MARKS.add(branch, tx)


# ------------------------------------------------------------------------------ messages


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


def post_message(ctx: Context, message: PostMessage) -> Leg:
    author, channel_key, content, reply_to = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    if branch.get(member_key(channel_key, author)) is None:
        raise NotMember(channel.name)
    params = branch.get(PARAMS)
    if len(content) > params.message_bytes_max:
        raise MessageTooLong(f"{len(content)}, allowed: {params.message_bytes_max}")
    index = channel.range.count
    if reply_to > index:
        raise UnknownMessage(f"reply to {reply_to - 1}, there are {index}")
    item = encode_message(
        channel_id=channel_key, index=index, author=author, content=content, reply_to=reply_to, height=ctx.height,
        time_ns=ctx.time_ns,
    )  # fmt: skip
    grown, nodes = channel.range.append((item,))
    branch.set(message_key(channel_key, index), item)
    for name, node in nodes.items():
        if name[0]:  # a leaf's hash is its message's, made anew when a path needs it: `node_reader`
            branch.set(NODE + channel_key + name, node)
    branch.set(CHANNEL + channel_key, channel.changed(member_count=channel.member_count, range=grown))
    branch.emit(partial(_posted, channel_key, author, index))
    return Leg("post_message", 0, channel_key, index)


def _posted(channel: bytes, author: bytes, index: int) -> Event:
    return Event.of("post_message", channel_id=channel.hex(), author=account(author), message_index=str(index))


def node_reader(side: Callable[[bytes], bytes | None], channel: bytes) -> ReadNode:
    """How to read the nodes of a channel's range. side: reads the chat store's side records."""

    def read(name: bytes) -> bytes | None:
        if name[0]:
            return side(NODE[1:] + channel + name)
        item = side(MESSAGE[1:] + channel + name[1:])
        return None if item is None else leaf_hash(item)

    return read


# ------------------------------------------------------------------------------ what the bridge calls


def register(ctx: Context, *, address: bytes, name: str, display: str, policy: bytes, allowance: Allowance) -> None:
    """Create an identity. Raises: IdentityExists, NameTaken."""
    branch = ctx.branch
    if branch.get(IDENTITY + address) is not None:
        raise IdentityExists(account(address))
    if branch.get(IDENTITY_NAME + name.encode()) is not None:
        raise NameTaken(name)
    branch.set(IDENTITY_NAME + name.encode(), address)
    branch.set(IDENTITY + address, Identity(address, name, display, policy, (), allowance, ctx.height))
    branch.emit(Event.of("register_identity", address=account(address), name=name))


def add_bought(ctx: Context, address: bytes, *, messages: int, size: int) -> None:
    """Raises: UnknownIdentity, AmountOverflow."""
    identity = require_identity(ctx.branch, address)
    allowance = identity.allowance.with_bought(messages, size)
    if not allowance.fits():
        raise AmountOverflow("the identity's allowance")
    ctx.branch.set(IDENTITY + address, identity.with_use(identity.sequences, allowance))


# ------------------------------------------------------------------------------ blocks


def end_block(state: State, scan: Scan, height: int, block_gas_max: int) -> Iterator[None]:
    """Remove expired replay marks: as many as a block can add."""
    return MARKS.prune(state, scan, height=height, budget=gas.most_of(gas.GAS_LEAST_TX, block_gas_max))


def genesis(state: State, params: ChatParams) -> None:
    state.set(PARAMS, params)


def handlers() -> dict[type[Any], Handler]:
    return {CreateChannel: create_channel, JoinChannel: join_channel, PostMessage: post_message}


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
    ranges = _ranges(scan)
    wrong = [c.name for c in channels.values() if ranges.get(c.id, EMPTY) != c.range]
    yield (
        "chat: each channel's range is its messages'",
        not wrong and ranges.keys() <= channels.keys(),
        f"wrong: {some(wrong)}",
    )
    identities: dict[bytes, str] = {identity.address: identity.name for _, identity in scan(IDENTITY)}
    names = {address: key[len(IDENTITY_NAME) :].decode() for key, address in scan(IDENTITY_NAME)}
    yield "chat: names and identities agree", names == identities, f"{len(names)} names, {len(identities)} identities"
    unread = MARKS.disagreeing(state, scan)
    yield "chat: replay marks agree with their leaves", not unread, f"{len(unread)} do not"


def _ranges(scan: Scan) -> dict[bytes, Range]:
    """The range of each channel's messages, made anew from the messages."""
    items: dict[bytes, list[bytes]] = {}
    for key, item in scan(MESSAGE):
        items.setdefault(key[len(MESSAGE) : len(MESSAGE) + CHANNEL_ID_BYTES], []).append(item)
    return {channel: EMPTY.append(found)[0] for channel, found in items.items()}
