"""What is done with messages after they were posted, and how they are forgotten.

An edit is another message of the channel, which says whose body it is; the body before it is dropped. A message that
was retracted or whose time has passed loses its body and those of its edits from the state; its leaf's hash stays, and
with it the proof of every other message. Whoever kept a copy, or a block that is not pruned yet, still has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.channels import due
from chain.chat.channels.due import Work
from chain.chat.channels.keys import check_epoch
from chain.chat.channels.records import CHANNEL, PLAIN, Channel, member_key
from chain.chat.channels.rights import POST, RETRACT, peer_of, require_channel, require_member, require_right
from chain.chat.identities.profiles import require_open
from chain.chat.ledger.records import PARAMS
from chain.chat.messages.machine import append, take_turn
from chain.chat.messages.records import (
    EDITED,
    EXPIRED,
    FORGOTTEN_NAMES,
    MESSAGE,
    REACTION,
    REMOVED,
    RETRACTED,
    STATE,
    MessageState,
    encode_more,
    message_key,
    reaction_key,
    state_key,
    without_body,
)
from chain.kernel.branch import Branch, Readable, Scan, State
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, time_text
from chain.kernel.modules import BlockContext
from chain.tx.codec import height_bytes
from chain.tx.errors import (
    ChannelArchived,
    EditTooLate,
    MessageForgotten,
    MessageTooLong,
    NotAuthor,
    NotNewlyRead,
    NotOriginal,
    SameReaction,
    TooManyEdits,
    UnknownMessage,
)
from chain.tx.messages import CHANNEL_ID_BYTES
from chain.tx.messages.chat import REACTIONS, EditMessage, MarkRead, React, RetractMessage
from consensus.formats.units import NS_PER_S
from proto.dchat.v1 import state_pb2 as pb

EDIT_WINDOW_NS: Final = 86_400 * NS_PER_S
EDITS_MAX: Final = 16
REACTIONS_PER_TURN: Final = 8  # of a forgotten message, in one turn of the queue: what GAS_LATER pays the time of
NOTHING: Final = MessageState()


def _original(state: Readable, channel: Channel, index: int) -> pb.ChatMessage:
    """A message that is not another's body, as it is kept. Raises: UnknownMessage, NotOriginal."""
    if index >= channel.range.count:
        raise UnknownMessage(f"{index}")
    stored = state.get(message_key(channel.id, index))
    assert stored is not None, (channel.id, index)
    message = pb.ChatMessage.FromString(stored)
    if message.edits:
        raise NotOriginal(f"it edits message {message.edits - 1}")
    return message


def require_message(state: Readable, channel: Channel, index: int) -> tuple[pb.ChatMessage, MessageState]:
    """Raises: UnknownMessage, NotOriginal, MessageForgotten."""
    message = _original(state, channel, index)
    if message.forgotten and message.forgotten != EDITED:
        raise MessageForgotten(FORGOTTEN_NAMES[message.forgotten])
    return message, state.get(state_key(channel.id, index)) or NOTHING


def _check_open(channel: Channel) -> None:
    if (channel.settings or PLAIN).archived:
        raise ChannelArchived(channel.name)


def _check_unblocked(state: Readable, channel: Channel, who: bytes) -> None:
    """In a conversation of two: an edit or a reaction reaches the other as a message does. Raises: Blocked."""
    pair = (channel.settings or PLAIN).pair
    if pair:
        require_open(state, peer_of(pair, who), to=who)


# ------------------------------------------------------------------------------ messages


def edit_message(ctx: Context, message: EditMessage) -> Leg:
    author, channel_key, index, content, epoch = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    role = require_right(branch, channel, author, POST, ctx.time_ns)
    _check_open(channel)
    _check_unblocked(branch, channel, author)
    check_epoch(branch, channel, epoch)
    slow_mode_s = (channel.settings or PLAIN).slow_mode_s
    if slow_mode_s:
        take_turn(ctx, channel, author, role, slow_mode_s)
    edited, kept = require_message(branch, channel, index)
    if edited.author != author:
        raise NotAuthor(account(edited.author))
    if ctx.time_ns - edited.time_ns > EDIT_WINDOW_NS:
        raise EditTooLate(f"since {time_text(edited.time_ns + EDIT_WINDOW_NS)}")
    if len(kept.edits) == EDITS_MAX:
        raise TooManyEdits(f"{EDITS_MAX}")
    most = branch.get(PARAMS).message_bytes_max
    if len(content) > most:
        raise MessageTooLong(f"{len(content)}, allowed: {most}")
    more = encode_more(expires_ns=edited.expires_ns, epoch=epoch, edits=index + 1)
    new = append(ctx, channel, author, content, edited.reply_to, more)
    _drop_body(branch, channel_key, kept.edits[-1] if kept.edits else index, EDITED)
    branch.set(state_key(channel_key, index), kept._replace(edits=(*kept.edits, new)))
    told = {"message_index": str(index), "edit_index": str(new)}
    branch.emit(Event.of("edit_message", channel_id=channel_key.hex(), author=account(author), **told))
    return Leg("edit_message", 0, channel_key, new)


def retract_message(ctx: Context, message: RetractMessage) -> Leg:
    """The author may always, also after leaving; others where their role gives the right."""
    actor, channel_key, index = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    retracted, kept = require_message(branch, channel, index)
    own = retracted.author == actor
    if not own:
        require_right(branch, channel, actor, RETRACT, ctx.time_ns)
    why = RETRACTED if own else REMOVED
    _forget(branch, channel, index, kept, why, ctx.time_ns)
    branch.set(state_key(channel_key, index), MessageState(forgotten=why, by=actor, height=ctx.height))
    told = {"message_index": str(index), "by": account(actor), "why": FORGOTTEN_NAMES[why]}
    branch.emit(Event.of("retract_message", channel_id=channel_key.hex(), **told))
    return Leg("retract_message", 0, channel_key, index)


def react(ctx: Context, message: React) -> Leg:
    member, channel_key, index, reaction = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    require_right(branch, channel, member, POST, ctx.time_ns)
    _check_open(channel)
    _check_unblocked(branch, channel, member)
    _, kept = require_message(branch, channel, index)
    key = reaction_key(channel_key, index, member)
    before = (branch.get(key) or b"\x00")[0]
    if before == reaction:
        raise SameReaction(REACTIONS[reaction - 1] if reaction else "none")
    counts = [*kept.reactions, *[0] * (max(before, reaction) - len(kept.reactions))]
    if before:
        counts[before - 1] -= 1
    if reaction:
        counts[reaction - 1] += 1
    while counts and not counts[-1]:
        counts.pop()
    state = kept._replace(reactions=tuple(counts))
    if kept == NOTHING:
        ctx.new_leaf()
    branch.set(state_key(channel_key, index), None if state == NOTHING else state)
    branch.set(key, bytes((reaction,)) if reaction else None)
    told = {"message_index": str(index), "reaction": REACTIONS[reaction - 1] if reaction else ""}
    branch.emit(Event.of("react", channel_id=channel_key.hex(), member=account(member), **told))
    return Leg("react", 0, channel_key, index)


def mark_read(ctx: Context, message: MarkRead) -> Leg:
    member, channel_key, count = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    has = require_member(branch, channel, member, ctx.time_ns)
    if count > channel.range.count:
        raise UnknownMessage(f"{count}, there are {channel.range.count}")
    if count <= has.read_count:
        raise NotNewlyRead(f"{has.read_count} were")
    branch.set(member_key(channel_key, member), has._replace(read_count=count))
    branch.emit(Event.of("mark_read", channel_id=channel_key.hex(), member=account(member), count=str(count)))
    return Leg("mark_read", 0, channel_key, count)


# ------------------------------------------------------------------------------ forgetting


def _drop_body(state: State, channel_id: bytes, index: int, why: int) -> None:
    key = message_key(channel_id, index)
    stored = state.get(key)
    assert stored is not None, (channel_id, index)
    left = without_body(stored, why)
    if left is not None:
        state.set(key, left)


def _forget(state: State, channel: Channel, index: int, kept: MessageState, why: int, now_ns: int) -> None:
    """The bodies of a message and its edits, its pin; its reactions in the blocks that come."""
    for one in (index, *kept.edits):
        key = message_key(channel.id, one)
        stored = state.get(key)
        assert stored is not None, (channel.id, one)
        left = without_body(stored, why)
        if left is None:  # edited: what is left says from now on that the whole is gone
            message = pb.ChatMessage.FromString(stored)
            message.forgotten = why
            left = message.SerializeToString(deterministic=True)
        state.set(key, left)
    pinned = (channel.settings or PLAIN).pinned
    if index in pinned:
        state.set(CHANNEL + channel.id, channel.edited(pinned=tuple([one for one in pinned if one != index])))
    if kept.reactions:
        due.wait(state, now_ns + 1, due.REACTIONS, channel.id + height_bytes(index))


def _named(item: bytes) -> tuple[bytes, int]:
    return item[:CHANNEL_ID_BYTES], int.from_bytes(item[CHANNEL_ID_BYTES:], "big")


def expire(branch: Branch, item: bytes, ctx: BlockContext) -> None:
    """A message's time has passed."""
    channel_id, index = _named(item)
    channel = require_channel(branch, channel_id)
    if _original(branch, channel, index).forgotten not in (0, EDITED):
        return
    kept = branch.get(state_key(channel_id, index)) or NOTHING
    _forget(branch, channel, index, kept, EXPIRED, ctx.time_ns)
    branch.set(state_key(channel_id, index), None)
    branch.emit(Event.of("message_expired", channel_id=channel_id.hex(), message_index=str(index)))


def drop_reactions(branch: Branch, item: bytes, ctx: BlockContext) -> None:
    """Of a message that was forgotten; a bounded number, the rest when it is the turn again."""
    for number, (key, _) in enumerate(ctx.scan(REACTION + item)):
        if number == REACTIONS_PER_TURN:
            due.wait(branch, ctx.time_ns + 1, due.REACTIONS, item)
            return
        branch.set(key, None)


WORKS: Final[dict[bytes, Work]] = {due.BODY: expire, due.REACTIONS: drop_reactions}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    waiting, missing, living = due.waiting(scan), 0, 0
    for key, stored in scan(MESSAGE):
        message = pb.ChatMessage.FromString(stored)
        if message.expires_ns and not message.edits and message.forgotten in (0, EDITED):
            living += 1
            item = key[len(MESSAGE) :]
            missing += due.entry(message.expires_ns, due.BODY, item) not in waiting
    yield "chat: what has a time to live waits for its end", not missing, f"{living} have one, {missing} do not wait"
    counted: dict[bytes, list[int]] = {}
    for key, reaction in scan(REACTION):
        counts = counted.setdefault(key[len(REACTION) : len(REACTION) + CHANNEL_ID_BYTES + 8], [0] * len(REACTIONS))
        counts[reaction[0] - 1] += 1
    wrong = 0
    for key, kept in scan(STATE):
        if not kept.forgotten:
            counts = counted.pop(key[len(STATE) :], [0] * len(REACTIONS))
            wrong += counts != [*kept.reactions, *[0] * (len(REACTIONS) - len(kept.reactions))]
    left = sum(not any(due.REACTIONS + item in key for key in waiting) for item in counted)
    yield "chat: reactions are counted, or go", not wrong and not left, f"{wrong} counts differ, {left} stay"


def handlers() -> dict[type[Any], Handler]:
    return {EditMessage: edit_message, RetractMessage: retract_message, React: react, MarkRead: mark_read}
