"""Channels: making one, its terms, pins, handing it on; who comes and goes is `members`'.

A channel without terms of its own (open or paid once, no slow mode) pays for none of them: its leaf is no longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.channels import due, keys, members, pots
from chain.chat.channels.due import Work
from chain.chat.channels.records import (
    BAN,
    CHANNEL,
    INVITATION,
    MEMBER,
    PLAIN,
    Channel,
    Membership,
    Settings,
    member_key,
)
from chain.chat.channels.rights import PIN, SETTINGS, TOPIC, require_channel, require_member, require_right
from chain.chat.identities.profiles import require_open
from chain.chat.ledger.records import EPOCHS, require_lasting
from chain.kernel.branch import Decoders, Readable, Scan, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some
from chain.state.mmr import Range
from chain.tx.errors import (
    ChannelExists,
    NotOffered,
    NotPermitted,
    OpenToAll,
    TooManyPins,
    UnknownMessage,
)
from chain.tx.messages import CHANNEL_ID_BYTES, CreateChannel, JoinChannel, channel_id, direct_id
from chain.tx.messages.chat import (
    INVITED,
    MODERATOR,
    AcceptChannel,
    BanMember,
    EditChannel,
    InviteMember,
    LeaveChannel,
    OfferChannel,
    OpenDirect,
    PinMessage,
    SetMemberRole,
    UnbanMember,
)
from chain.tx.messages.chat import MEMBER as ROLE_MEMBER
from crypto.hash import ADDRESS_BYTES

DECODERS: Final[Decoders] = {
    **decoders_of(CHANNEL, MEMBER, BAN, INVITATION, keys.EPOCH, keys.SEALED, due.FAILED.prefix),
    **pots.DECODERS,
}
PINS_MAX: Final = 8
EMPTY: Final = Range()


def create_channel(ctx: Context, message: CreateChannel) -> Leg:
    creator, name, join_price, topic, access, period_s, slow_mode_s, join_role, encrypted = message
    branch = ctx.branch
    require_lasting(branch, creator)
    channel = channel_id(name)
    if branch.get(CHANNEL + channel) is not None:
        raise ChannelExists(name)
    settings = Settings(access, period_s, slow_mode_s, join_role, epoch=int(encrypted))
    opened = Channel(
        id=channel, name=name, topic=topic, owner=creator, join_price=join_price, member_count=1, range=EMPTY,
        created_height=ctx.height, settings=None if settings == PLAIN else settings,
    )  # fmt: skip
    _check_closed(opened)
    branch.set(CHANNEL + channel, opened)
    members.admit(branch, channel, creator, Membership(ctx.height, first_epoch=settings.epoch))
    branch.emit(Event.of("create_channel", channel_id=channel.hex(), name=name, owner=account(creator)))
    return Leg("create_channel", subject=channel)


def open_direct(ctx: Context, message: OpenDirect) -> Leg:
    """Both are members from the start, and stay: whoever wants to hear no more of the other blocks."""
    sender, peer, encrypted = message
    branch = ctx.branch
    require_lasting(branch, sender)
    require_lasting(branch, peer)
    require_open(branch, peer, to=sender)
    channel = direct_id(sender, peer)
    if branch.get(CHANNEL + channel) is not None:
        raise ChannelExists(ChannelExists.of_two + channel.hex())
    pair = min(sender, peer) + max(sender, peer)
    settings = Settings(INVITED, epoch=int(encrypted), pair=pair)
    opened = Channel(
        id=channel, name="", topic="", owner=b"", join_price=0, member_count=2, range=EMPTY,
        created_height=ctx.height, settings=settings,
    )  # fmt: skip
    branch.set(CHANNEL + channel, opened)
    for member in (sender, peer):
        members.admit(branch, channel, member, Membership(ctx.height, first_epoch=settings.epoch))
    told = {"sender": account(sender), "peer": account(peer)}
    branch.emit(Event.of("open_direct", channel_id=channel.hex(), **told))
    return Leg("open_direct", subject=channel)


def _check_closed(channel: Channel) -> None:
    """An encrypted channel that anybody may walk into would begin an epoch at anybody's wish, and hide nothing."""
    settings = channel.settings
    if settings is not None and settings.epoch and settings.access != INVITED and not channel.join_price:
        raise OpenToAll(channel.name)


def edit_channel(ctx: Context, message: EditChannel) -> Leg:
    branch = ctx.branch
    channel = require_channel(branch, message.channel_id)
    said = {name: value for name, value in message._asdict().items() if value is not None}
    del said["actor"], said["channel_id"]
    require_right(branch, channel, message.actor, TOPIC if said.keys() == {"topic"} else SETTINGS, ctx.time_ns)
    edited = channel.edited(**said)
    _check_closed(edited)
    branch.set(CHANNEL + channel.id, edited)
    if (edited.settings or PLAIN).archived:
        ctx.doubted.add(pots.POT + channel.id)  # what waits for it to be paid from there is refused now
    told = {name: str(int(value) if name == "archived" else value) for name, value in said.items()}
    branch.emit(Event.of("edit_channel", channel_id=channel.id.hex(), by=account(message.actor), **told))
    return Leg("edit_channel", subject=channel.id)


def pin_message(ctx: Context, message: PinMessage) -> Leg:
    actor, channel_key, index, unpin = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    require_right(branch, channel, actor, PIN, ctx.time_ns)
    pinned = [found for found in (channel.settings or PLAIN).pinned if found != index]
    if unpin:
        if len(pinned) == len((channel.settings or PLAIN).pinned):
            raise UnknownMessage(f"{index} is not pinned")
    else:
        if index >= channel.range.count:
            raise UnknownMessage(f"{index}")
        if len(pinned) == PINS_MAX:
            raise TooManyPins(f"{PINS_MAX}")
        pinned.append(index)
    branch.set(CHANNEL + channel_key, channel.edited(pinned=tuple(pinned)))
    told = {"message_index": str(index), "pinned": str(int(not unpin))}
    branch.emit(Event.of("pin_message", channel_id=channel_key.hex(), by=account(actor), **told))
    return Leg("pin_message", 0, channel_key, index)


def offer_channel(ctx: Context, message: OfferChannel) -> Leg:
    owner, channel_key, heir = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    if owner != channel.owner:
        raise NotPermitted(account(owner))
    if heir:
        require_member(branch, channel, heir, ctx.time_ns)
    branch.set(CHANNEL + channel_key, channel.edited(heir=heir, heir_epoch=EPOCHS.of(branch, owner) if heir else 0))
    told = account(heir) if heir else ""
    branch.emit(Event.of("offer_channel", channel_id=channel_key.hex(), owner=account(owner), heir=told))
    return Leg("offer_channel", subject=channel_key)


def accept_channel(ctx: Context, message: AcceptChannel) -> Leg:
    """The owner becomes a moderator, and takes what was set aside along; the heir's membership has no end any more."""
    heir, channel_key = message
    branch = ctx.branch
    channel = require_channel(branch, channel_key)
    if channel.settings is None or channel.settings.heir != heir:
        raise NotOffered(account(heir))
    if channel.settings.heir_epoch != EPOCHS.of(branch, channel.owner):
        raise NotOffered(f"{account(heir)}, since the owner was recovered")
    theirs = require_member(branch, channel, heir, ctx.time_ns)
    require_lasting(branch, heir)
    pots.give_back(branch, channel_key, channel.owner)
    owners = branch.get(member_key(channel_key, channel.owner))
    assert owners is not None, channel_key  # an owner leaves by this alone
    branch.set(member_key(channel_key, heir), theirs._replace(role=ROLE_MEMBER, end_ns=0))
    branch.set(member_key(channel_key, channel.owner), owners._replace(role=MODERATOR))
    branch.set(CHANNEL + channel_key, channel.edited(owner=heir, heir=b"", heir_epoch=0))
    told = {"owner": account(heir), "before": account(channel.owner)}
    branch.emit(Event.of("accept_channel", channel_id=channel_key.hex(), **told))
    return Leg("accept_channel", subject=channel_key)


def handlers() -> dict[type[Any], Handler]:
    return {
        CreateChannel: create_channel,
        JoinChannel: members.join_channel,
        EditChannel: edit_channel,
        InviteMember: members.invite_member,
        LeaveChannel: members.leave_channel,
        SetMemberRole: members.set_member_role,
        BanMember: members.ban_member,
        UnbanMember: members.unban_member,
        PinMessage: pin_message,
        OfferChannel: offer_channel,
        AcceptChannel: accept_channel,
        OpenDirect: open_direct,
        **keys.handlers(),
        **pots.handlers(),
    }


WORKS: Final[dict[bytes, Work]] = {**members.WORKS}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    found: dict[bytes, dict[bytes, Membership]] = {}
    for key, membership in scan(MEMBER):
        at = key[len(MEMBER) :]
        found.setdefault(at[:CHANNEL_ID_BYTES], {})[at[CHANNEL_ID_BYTES:]] = membership
    channels: dict[bytes, Channel] = {channel.id: channel for _, channel in scan(CHANNEL)}
    wrong = [c.name for c in channels.values() if len(found.get(c.id, ())) != c.member_count]
    yield "chat: member counts are true", not wrong and found.keys() <= channels.keys(), f"{len(wrong)} are not"
    strange = [c.name for c in channels.values() if _id_of(c) != c.id]
    yield "chat: channels lie under their name's id", not strange, f"{len(strange)} do not"
    alone = [c.name for c in channels.values() if not _owners(c) <= found.get(c.id, {}).keys()]
    yield "chat: owners are members", not alone, f"wrong: {some(alone)}"
    yield _all_wait(scan, found)
    yield from members.invariants(state, scan)
    yield from pots.invariants(state, scan)
    yield from due.invariants(state, scan)


def _owners(channel: Channel) -> set[bytes]:
    """Who has to be a member: its owner, or both whose conversation it is."""
    pair = (channel.settings or PLAIN).pair
    return {pair[:ADDRESS_BYTES], pair[ADDRESS_BYTES:]} if pair else {channel.owner}


def _id_of(channel: Channel) -> bytes:
    return direct_id(*_owners(channel)) if (channel.settings or PLAIN).pair else channel_id(channel.name)


def _all_wait(scan: Scan, found: dict[bytes, dict[bytes, Membership]]) -> tuple[str, bool, str]:
    """Whatever has an end stands in the queue for it."""
    ends = [
        due.entry(membership.end_ns, due.MEMBERSHIP, channel + member)
        for channel, memberships in found.items()
        for member, membership in memberships.items()
        if membership.end_ns
    ]
    ends += [due.entry(ban.until_ns, due.BAN, key[len(BAN) :]) for key, ban in scan(BAN) if ban.until_ns]
    ends += [
        due.entry(invitation.until_ns, due.INVITATION, key[len(INVITATION) :]) for key, invitation in scan(INVITATION)
    ]
    missing = set(ends) - due.waiting(scan)
    return "chat: what has an end waits for it", not missing, f"{len(ends)} have one, {len(missing)} do not wait"
