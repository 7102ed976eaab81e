"""Who comes to a channel and who goes: joining, invitations, leaving, roles, bans, and memberships that end.

Of an encrypted channel, each change of who is a member begins an epoch: whoever went has no key of what follows, who
comes has none of what was before, unless the invitation says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.chat.channels import due
from chain.chat.channels.records import (
    BAN,
    BY_MEMBER,
    CHANNEL,
    INVITATION,
    MEMBER,
    PLAIN,
    Ban,
    Channel,
    Invitation,
    Membership,
    Settings,
    member_key,
)
from chain.chat.channels.rights import BAN as MAY_BAN
from chain.chat.channels.rights import INVITE, OWNER, RANKS, ROLES, has_right, require_channel, require_right, role_in
from chain.chat.identities.profiles import require_open
from chain.chat.ledger.records import Identity, require_identity, require_living
from chain.kernel.branch import Branch, Readable, Scan, State
from chain.kernel.context import Context, Leg
from chain.kernel.event_text import Event, account, some, time_text
from chain.kernel.modules import BlockContext
from chain.tx.errors import (
    AlreadyMember,
    Banned,
    ChannelArchived,
    InvitationNeeded,
    NotBanned,
    NotMember,
    NotPermitted,
    OutOfRank,
    OwnerStays,
    PaidTooFar,
    PeriodTooShort,
    PriceDue,
)
from chain.tx.messages import CHANNEL_ID_BYTES, JoinChannel
from chain.tx.messages.chat import (
    INVITED,
    PERIOD_S_MAX,
    ROLE_NAMES,
    BanMember,
    InviteMember,
    LeaveChannel,
    SetMemberRole,
    UnbanMember,
)
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES

PAID_AHEAD_NS = 2 * PERIOD_S_MAX * NS_PER_S  # a membership ends at most so far ahead
MEMBERS_PER_SLICE: Final = 100  # as in other migrations: about a millisecond


def join_channel(ctx: Context, message: JoinChannel) -> Leg:
    channel = require_channel(ctx.branch, message.channel_id)
    if channel.join_price and channel.owner != message.member:
        raise PriceDue(f"{channel.join_price} udchat")
    join(ctx, channel, message.member)
    return Leg("join_channel", subject=message.channel_id)


def paid_join(ctx: Context, channel: Channel, member: bytes, min_period_s: int) -> None:
    """Join for the channel's price, which is the bridge's to take; or go on, where it buys a time.

    min_period_s: the least that is accepted, 0: only a membership without end. So neither the price nor what it buys
    can be changed under the one who pays.
    Raises: PeriodTooShort, PaidTooFar, and as `join`.
    """
    settings = channel.settings
    period_s = settings.period_s if settings is not None and channel.join_price else 0
    if not period_s:
        join(ctx, channel, member)
        return
    if not min_period_s or period_s < min_period_s:
        raise PeriodTooShort(f"{period_s} s, min_period_s {min_period_s}")
    branch, now = ctx.branch, ctx.time_ns
    identity = _living(ctx, member)
    has = branch.get(member_key(channel.id, member))
    if has is None or not has.end_ns or is_over(has, identity, now):
        join(ctx, channel, member, end_ns=now + period_s * NS_PER_S)
        return
    _check_open(channel, settings or PLAIN)
    end_ns = _within_life(ctx, identity, has.end_ns + period_s * NS_PER_S)
    if end_ns - now > PAID_AHEAD_NS:
        raise PaidTooFar(f"until {time_text(end_ns)}")
    branch.set(member_key(channel.id, member), has._replace(end_ns=end_ns))
    due.wait(branch, end_ns, due.MEMBERSHIP, channel.id + member)
    branch.emit(Event.of("renew_membership", **_who(channel.id, member), until=time_text(end_ns)))


def _check_open(channel: Channel, settings: Settings) -> None:
    if settings.archived:
        raise ChannelArchived(channel.name)


def join(ctx: Context, channel: Channel, member: bytes, *, end_ns: int = 0) -> None:
    """A membership that is over and waits to be taken away goes first, with what it had: this is another.

    Raises: UnknownIdentity, IdentityExpired, AlreadyMember, Banned, ChannelArchived, InvitationNeeded, PaidTooFar.
    """
    branch, now = ctx.branch, ctx.time_ns
    identity = _living(ctx, member)
    end_ns = _within_life(ctx, identity, end_ns)
    has = branch.get(member_key(channel.id, member))
    if has is not None:
        if not is_over(has, identity, now):
            raise AlreadyMember(channel.name)
        _end(branch, channel, member)
        channel = require_channel(branch, channel.id)
    settings = channel.settings or PLAIN
    _check_open(channel, settings)
    ban = branch.get(BAN + channel.id + member)
    if ban is not None and (not ban.until_ns or now < ban.until_ns):
        raise Banned(f"until {time_text(ban.until_ns)}" if ban.until_ns else channel.name)
    invited = _take_invitation(branch, channel, identity, now)
    if settings.access == INVITED and invited is None:
        raise InvitationNeeded(channel.name)
    after = _with_members(channel, channel.member_count + 1)
    epoch = after.settings.epoch if after.settings is not None else 0
    joined = Membership(
        ctx.height,
        role=settings.join_role,
        end_ns=end_ns,
        last_post_ns=now if settings.slow_mode_s else 0,  # who leaves and comes back waits as well
        first_epoch=1 if epoch and invited is not None and invited.reads_back else epoch,
        joined_ns=now,
    )
    admit(branch, channel.id, member, joined)
    branch.set(CHANNEL + channel.id, after)
    if end_ns:
        due.wait(branch, end_ns, due.MEMBERSHIP, channel.id + member)
    branch.emit(Event.of("join_channel", **_who(channel.id, member)))


def _living(ctx: Context, member: bytes) -> Identity:
    """Who comes need not have signed: another may on its behalf. Raises: UnknownIdentity, IdentityExpired."""
    identity = require_identity(ctx.branch, member)
    require_living(identity, ctx.time_ns)
    return identity


def is_over(has: Membership, identity: Identity | None, now: int) -> bool:
    """Its time has passed, or it was another's that had the address; the queue will take it away."""
    return 0 < has.end_ns <= now or identity is None or has.joined_height < identity.created_height


def _within_life(ctx: Context, identity: Identity, end_ns: int) -> int:
    """When a membership ends that would end then: a burner's ends with it. Raises: PaidTooFar."""
    expiry_ns = identity.expiry_ns
    if not expiry_ns:
        return end_ns
    if end_ns > expiry_ns:
        raise PaidTooFar(f"the identity itself ends {time_text(expiry_ns)}")
    if end_ns:
        return end_ns
    ctx.new_leaf()  # its place in the queue
    return expiry_ns


def _take_invitation(branch: Branch, channel: Channel, identity: Identity, now: int) -> Invitation | None:
    key = INVITATION + channel.id + identity.address
    found = branch.get(key)
    if found is None or not _is_for(found, identity, now):
        return None
    branch.set(key, None)
    return found if has_right(branch, channel, found.by, INVITE, now) else None


def _is_for(invitation: Invitation, identity: Identity | None, now: int) -> bool:
    """Not for another identity of the address than was invited."""
    return now < invitation.until_ns and identity is not None and invitation.created_height == identity.created_height


def invitation_counts(
    state: Readable, channel: Channel, invitation: Invitation, identity: Identity | None, now: int
) -> bool:
    """As long as whoever made it may invite: what one made who lost the right, or was banned, is void."""
    return _is_for(invitation, identity, now) and has_right(state, channel, invitation.by, INVITE, now)


def _with_members(channel: Channel, count: int) -> Channel:
    """With another number of them: of an encrypted channel, an epoch begins."""
    settings = channel.settings
    if settings is None or not settings.epoch:
        return channel.changed(member_count=count, range=channel.range)
    return channel.edited(member_count=count, epoch=settings.epoch + 1)


def admit(state: State, channel_id: bytes, member: bytes, membership: Membership) -> None:
    """A membership that was not there, and under whom it is found."""
    state.set(member_key(channel_id, member), membership)
    state.set(BY_MEMBER + member + channel_id, due.MARK)


def remove(state: State, channel: Channel, member: bytes) -> None:
    state.set(member_key(channel.id, member), None)
    state.set(BY_MEMBER + member + channel.id, None)
    left = _with_members(channel, channel.member_count - 1)
    if left.settings is not None and left.settings.heir == member:
        left = left.edited(heir=b"", heir_epoch=0)  # an offer is to a member: who comes back was offered nothing
    state.set(CHANNEL + channel.id, left)


def _who(channel: bytes, member: bytes) -> dict[str, str]:
    return {"channel_id": channel.hex(), "member": account(member)}


# ------------------------------------------------------------------------------ messages


def invite_member(ctx: Context, message: InviteMember) -> Leg:
    actor, channel_id, member, valid_s, reads_back = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    require_right(branch, channel, actor, INVITE, ctx.time_ns)
    identity = require_identity(branch, member)
    require_open(branch, member, to=actor)
    has = branch.get(member_key(channel_id, member))
    if has is not None and not is_over(has, identity, ctx.time_ns):
        raise AlreadyMember(account(member))
    until_ns = ctx.time_ns + valid_s * NS_PER_S
    branch.set(INVITATION + channel_id + member, Invitation(actor, until_ns, reads_back, identity.created_height))
    due.wait(branch, until_ns, due.INVITATION, channel_id + member)
    branch.emit(Event.of("invite_member", **_who(channel_id, member), by=account(actor), until=time_text(until_ns)))
    return Leg("invite_member", subject=channel_id)


def leave_channel(ctx: Context, message: LeaveChannel) -> Leg:
    member, channel_id = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    if branch.get(member_key(channel_id, member)) is None:
        raise NotMember(channel.name)
    if member == channel.owner:
        raise OwnerStays(channel.name)
    if channel.settings is not None and channel.settings.pair:
        raise NotPermitted("a conversation of two has both")
    remove(branch, channel, member)
    branch.emit(Event.of("leave_channel", **_who(channel_id, member)))
    return Leg("leave_channel", subject=channel_id)


def set_member_role(ctx: Context, message: SetMemberRole) -> Leg:
    actor, channel_id, member, role = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    require_right(branch, channel, actor, ROLES, ctx.time_ns)
    key = member_key(channel_id, member)
    has = branch.get(key)
    if has is None or is_over(has, require_identity(branch, member), ctx.time_ns):
        raise NotMember(account(member))
    branch.set(key, has._replace(role=role))
    branch.emit(Event.of("set_member_role", **_who(channel_id, member), role=ROLE_NAMES[role]))
    return Leg("set_member_role", subject=channel_id)


def ban_member(ctx: Context, message: BanMember) -> Leg:
    actor, channel_id, member, duration_s = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    rank = RANKS[require_right(branch, channel, actor, MAY_BAN, ctx.time_ns)]
    identity = require_identity(branch, member)
    has = branch.get(member_key(channel_id, member))
    counts = has is not None and not is_over(has, identity, ctx.time_ns)  # one that is over has no rank
    theirs = role_in(channel, member, has) if has is not None and counts else None
    if theirs == OWNER or (theirs is not None and RANKS[theirs] >= rank):
        raise OutOfRank(account(member))
    until_ns = ctx.time_ns + duration_s * NS_PER_S if duration_s else 0
    branch.set(BAN + channel_id + member, Ban(actor, until_ns, ctx.height))
    branch.set(INVITATION + channel_id + member, None)
    if until_ns:
        due.wait(branch, until_ns, due.BAN, channel_id + member)
    if has is not None:
        remove(branch, channel, member)
    branch.emit(
        Event.of(
            "ban_member", **_who(channel_id, member), by=account(actor), until=time_text(until_ns) if until_ns else ""
        )
    )
    return Leg("ban_member", subject=channel_id)


def unban_member(ctx: Context, message: UnbanMember) -> Leg:
    actor, channel_id, member = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    require_right(branch, channel, actor, MAY_BAN, ctx.time_ns)
    if branch.get(BAN + channel_id + member) is None:
        raise NotBanned(account(member))
    branch.set(BAN + channel_id + member, None)
    branch.emit(Event.of("unban_member", **_who(channel_id, member), by=account(actor)))
    return Leg("unban_member", subject=channel_id)


# ------------------------------------------------------------------------------ what waited for its time


def _two(item: bytes) -> tuple[bytes, bytes]:
    return item[:CHANNEL_ID_BYTES], item[CHANNEL_ID_BYTES:]


def end_membership(branch: Branch, item: bytes, ctx: BlockContext) -> None:
    """Unless it was renewed, or is another one by now."""
    channel_id, member = _two(item)
    has = branch.get(member_key(channel_id, member))
    if has is None or not has.end_ns or has.end_ns > ctx.time_ns:
        return
    _end(branch, require_channel(branch, channel_id), member)


def _end(branch: Branch, channel: Channel, member: bytes) -> None:
    remove(branch, channel, member)
    branch.emit(Event.of("membership_ended", **_who(channel.id, member)))


def end_ban(branch: Branch, item: bytes, ctx: BlockContext) -> None:
    ban = branch.get(BAN + item)
    if ban is not None and ban.until_ns and ban.until_ns <= ctx.time_ns:
        branch.set(BAN + item, None)
        branch.emit(Event.of("ban_ended", **_who(*_two(item))))


def end_invitation(branch: Branch, item: bytes, ctx: BlockContext) -> None:
    invitation = branch.get(INVITATION + item)
    if invitation is not None and invitation.until_ns <= ctx.time_ns:
        branch.set(INVITATION + item, None)
        branch.emit(Event.of("invitation_ended", **_who(*_two(item))))


def index_members(state: State, scan: Scan) -> Iterator[None]:
    """For a migration: under whom each membership is found that a chain had before it kept that."""
    for number, (key, _) in enumerate(scan(MEMBER), start=1):
        channel_id, member = _two(key[len(MEMBER) :])
        state.set(BY_MEMBER + member + channel_id, due.MARK)
        if number % MEMBERS_PER_SLICE == 0:
            yield


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    wrong, count = [], 0
    for key, _ in scan(BY_MEMBER):
        count += 1
        member, channel_id = key[len(BY_MEMBER) :][:ADDRESS_BYTES], key[len(BY_MEMBER) :][ADDRESS_BYTES:]
        if state.get(member_key(channel_id, member)) is None:
            wrong.append(account(member))
    yield "chat: who is found as a member is one", not wrong, f"{count} memberships, wrong: {some(wrong)}"


WORKS = {due.MEMBERSHIP: end_membership, due.BAN: end_ban, due.INVITATION: end_invitation}
