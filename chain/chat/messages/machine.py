"""Messages: a channel's leaf has the peaks of a mountain range over them; they and its inner nodes lie beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from chain.chat.channels import due
from chain.chat.channels.keys import check_epoch
from chain.chat.channels.records import CHANNEL, PLAIN, Channel, Membership, member_key
from chain.chat.channels.rights import POST, RETRACT, RIGHTS, peer_of, require_channel, role_in
from chain.chat.identities.profiles import require_open
from chain.chat.ledger.records import PARAMS
from chain.chat.messages.records import EDITED, MESSAGE, NODE, encode_message, encode_more, leaf_of, message_key
from chain.kernel.branch import Readable, Scan
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some, time_text
from chain.state.mmr import Range, ReadNode
from chain.tx import gas
from chain.tx.codec import height_bytes
from chain.tx.errors import (
    ChannelArchived,
    MembershipEnded,
    MessageTooLong,
    NotMember,
    NotPermitted,
    SlowMode,
    UnknownMessage,
)
from chain.tx.messages import CHANNEL_ID_BYTES, PostMessage
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb

EMPTY: Final = Range()


def author_of(state: Readable, channel: bytes, index: int) -> bytes:
    """Who wrote a message. Raises: UnknownChannel, UnknownMessage."""
    if index >= require_channel(state, channel).range.count:
        raise UnknownMessage(f"{index}")
    stored = state.get(message_key(channel, index))
    assert stored is not None, (channel, index)
    return pb.ChatMessage.FromString(stored).author


def post_message(ctx: Context, message: PostMessage) -> Leg:
    author, channel_key, content, reply_to, ttl_s, epoch, content_hash, attachments = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    membership = branch.get(member_key(channel_key, author))
    if membership is None:
        raise NotMember(channel.name)
    if membership.end_ns or membership.role or channel.settings is not None:
        _check_terms(ctx, channel, author, membership)
        check_epoch(branch, channel, epoch)
    params = branch.get(PARAMS)
    if len(content) > params.message_bytes_max:
        raise MessageTooLong(f"{len(content)}, allowed: {params.message_bytes_max}")
    index = channel.range.count
    if reply_to > index:
        raise UnknownMessage(f"reply to {reply_to - 1}, there are {index}")
    more = b""
    if ttl_s or epoch or content_hash or attachments:
        check_epoch(branch, channel, epoch)
        expires_ns = ctx.time_ns + ttl_s * NS_PER_S if ttl_s else 0
        if expires_ns:
            due.wait(branch, expires_ns, due.BODY, channel_key + height_bytes(index))
        more = encode_more(
            expires_ns=expires_ns, epoch=epoch, content_hash=content_hash, attachments=attachments
        )  # fmt: skip
    append(ctx, channel, author, content, reply_to, more)
    branch.emit(partial(posted, channel_key, author, index))
    return Leg("post_message", 0, channel_key, index)


def append(ctx: Context, channel: Channel, author: bytes, content: bytes, reply_to: int, more: bytes) -> int:
    """Put a message at the end of a channel's range. Returns its index."""
    writes = appended(channel, author, content, reply_to, more, height=ctx.height, time_ns=ctx.time_ns)
    for key, record in writes.items():
        ctx.branch.set(key, record)
    return channel.range.count


def appended(
    channel: Channel, author: bytes, content: bytes, reply_to: int, more: bytes, *, height: int, time_ns: int
) -> dict[bytes, Any]:
    """What a message at the end of a channel's range writes."""
    key, index = channel.id, channel.range.count
    item = encode_message(
        channel_id=key, index=index, author=author, content=content, reply_to=reply_to, height=height,
        time_ns=time_ns, more=more,
    )  # fmt: skip
    grown, nodes = channel.range.append((item,))
    writes: dict[bytes, Any] = {message_key(key, index): item}
    for name, node in nodes.items():
        if name[0]:  # a leaf's hash is its message's, made anew when a path needs it: `node_reader`
            writes[NODE + key + name] = node
    writes[CHANNEL + key] = channel.changed(member_count=channel.member_count, range=grown)
    return writes


def _check_terms(ctx: Context, channel: Channel, author: bytes, membership: Membership) -> None:
    """Where a channel or a membership has terms of its own. Slow mode is not for those who moderate.

    Raises: MembershipEnded, NotPermitted, ChannelArchived, Blocked, SlowMode.
    """
    now, settings = ctx.time_ns, channel.settings or PLAIN
    if membership.end_ns and now >= membership.end_ns:
        raise MembershipEnded(time_text(membership.end_ns))
    role = role_in(channel, author, membership)
    if not RIGHTS[role] & POST:
        raise NotPermitted(account(author))
    if settings.archived:
        raise ChannelArchived(channel.name)
    if settings.pair:
        require_open(ctx.branch, peer_of(settings.pair, author), to=author)
    if settings.slow_mode_s:
        take_turn(ctx, channel, author, role, settings.slow_mode_s)


def take_turn(ctx: Context, channel: Channel, author: bytes, role: int, slow_mode_s: int) -> None:
    """A message or an edit, where there is slow mode. Raises: SlowMode."""
    if RIGHTS[role] & RETRACT:
        return
    key = member_key(channel.id, author)
    membership = ctx.branch.get(key)
    assert membership is not None, key  # who has a role is a member
    free_ns = membership.last_post_ns + slow_mode_s * NS_PER_S
    if membership.last_post_ns and ctx.time_ns < free_ns:
        raise SlowMode(f"until {time_text(free_ns)}")
    ctx.use_gas(gas.GAS_MESSAGE)
    ctx.branch.set(key, membership._replace(last_post_ns=ctx.time_ns))


def posted(channel: bytes, author: bytes, index: int) -> Event:
    """That a message is in a channel."""
    return Event.of("post_message", channel_id=channel.hex(), author=account(author), message_index=str(index))


def node_reader(side: Callable[[bytes], bytes | None], channel: bytes) -> ReadNode:
    """How to read the nodes of a channel's range. side: reads the chat store's side records."""

    def read(name: bytes) -> bytes | None:
        if name[0]:
            return side(NODE[1:] + channel + name)
        item = side(MESSAGE[1:] + channel + name[1:])
        return None if item is None else leaf_of(item)

    return read


def handlers() -> dict[type[Any], Handler]:
    return {PostMessage: post_message}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    channels: dict[bytes, Channel] = {channel.id: channel for _, channel in scan(CHANNEL)}
    found = _ranges(scan)
    ranges = {channel: summary for channel, (summary, _) in found.items()}
    wrong = [c.name for c in channels.values() if ranges.get(c.id, EMPTY) != c.range]
    yield (
        "chat: each channel's range is its messages'",
        not wrong and ranges.keys() <= channels.keys(),
        f"wrong: {some(wrong)}",
    )
    nodes: dict[bytes, bytes] = {
        NODE + channel + name: node for channel, (_, made) in found.items() for name, node in made.items()
    }
    false = [key.hex() for key, node in scan(NODE) if nodes.pop(key, b"") != node]
    yield "chat: each range's nodes are its messages'", not false and not nodes, f"wrong: {some(false)}"
    strange = _strange(scan)
    yield "chat: each message stands in its place, after those before it", not strange, f"strange: {some(strange)}"


def _strange(scan: Scan) -> list[str]:
    """Messages that are not what their key says, are older than the one before, or were forgotten by half: of what
    was forgotten its range has but the hash."""
    strange, channel, last = [], b"", (0, 0)
    for key, stored in scan(MESSAGE):
        message, place = pb.ChatMessage.FromString(stored), key[len(MESSAGE) :]
        if place[:CHANNEL_ID_BYTES] != channel:
            channel, last = place[:CHANNEL_ID_BYTES], (0, 0)
        at = (message.height, message.time_ns)
        right = message.channel_id + height_bytes(message.index) == place and len(message.author) == ADDRESS_BYTES
        right = right and bool(message.forgotten) == bool(message.leaf_hash) and last <= at and last[1] <= at[1]
        right = right and 0 <= message.forgotten <= EDITED
        if not right:
            strange.append(place.hex())
        last = at
    return strange


def _ranges(scan: Scan) -> dict[bytes, tuple[Range, dict[bytes, bytes]]]:
    """The range of each channel's messages, made anew from the messages, and its inner nodes by name."""
    leaves: dict[bytes, list[bytes]] = {}
    for key, item in scan(MESSAGE):
        leaves.setdefault(key[len(MESSAGE) : len(MESSAGE) + CHANNEL_ID_BYTES], []).append(leaf_of(item))
    made = {channel: EMPTY.append_leaves(found) for channel, found in leaves.items()}
    return {
        channel: (summary, {n: node for n, node in nodes.items() if n[0]}) for channel, (summary, nodes) in made.items()
    }
