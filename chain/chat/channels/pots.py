"""What a channel's owner sets aside of bought allowance for its members' posts there: a pot for each channel.

A transaction says that the channel pays (`fee_granter` of the chat lane) and has nothing but posts to it; then its
whole charge is the pot's, in the ante part, and nothing of it the member's own. One that does not say so rests on no
pot and costs what it cost. The pot is its owner's until it is used: it goes back when the owner ends it or hands the
channel on. Each member has a share of a period, from the first period that began after it joined: whoever leaves and
comes back, or brings a crowd, has none in this one. Shares lie in the memberships, and end with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from chain.chat.channels.records import CHANNEL, PLAIN, Membership, member_key
from chain.chat.channels.rights import POST, RIGHTS, require_channel, require_member
from chain.chat.ledger.records import IDENTITY, PARAMS, UNUSED, ChatParams, Use, require_identity, use_field
from chain.kernel.branch import Decoders, Key, Readable, RecordKind, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some, time_text
from chain.tx.allowance_errors import (
    ChannelAllowanceEmpty,
    ChannelShareUsed,
    JoinedThisPeriod,
    MemberShareUsed,
    NoChannelAllowance,
)
from chain.tx.codec import UINT64_MAX, bytes_field, uint_field
from chain.tx.envelope.tx import SignerEntry, Tx
from chain.tx.errors import AmountOverflow, ChannelArchived, NotPermitted
from chain.tx.messages.allowance import EndChannelAllowance, GrantChannelAllowance
from proto.dchat.v1 import allowance_pb2 as pb


class Pot(NamedTuple):
    """messages, size: left. member_*: of each member in a period; period_*: of all of them, 0: as much as is left. use:
    by all of them."""

    messages: int
    size: int
    member_messages: int
    member_size: int
    period_messages: int = 0
    period_size: int = 0
    use: Use = UNUSED

    @property
    def terms(self) -> tuple[int, ...]:
        return self[2:6]

    def left_in(self, period: int) -> tuple[int, int]:
        """(messages, bytes) that all members together may take in that period, as it stands; below 0: none."""
        use = self.use.at(period)
        messages = self.period_messages - use.messages if self.period_messages else self.messages
        size = self.period_size - use.size if self.period_size else self.size
        return min(self.messages, messages), min(self.size, size)

    def after(self, messages: int, size: int, period: int) -> Pot:
        use = self.use.at(period).plus(messages, size)
        return self._replace(messages=self.messages - messages, size=self.size - size, use=use)

    def encode(self) -> bytes:
        tags = (b"\x08", b"\x10", b"\x18", b"\x20", b"\x28", b"\x30")
        numbers = [uint_field(tag, value) for tag, value in zip(tags, self[:6], strict=True)]
        return b"".join(numbers) + use_field(b"\x3a", self.use)

    @staticmethod
    def decode(stored: bytes) -> Pot:
        r = pb.ChannelAllowance.FromString(stored)
        return Pot(
            r.messages, r.bytes, r.member_messages, r.member_bytes, r.period_messages, r.period_bytes, Use.read(r.use)
        )


class Aside(NamedTuple):
    """What all channels have together, counted as it comes and goes. Nothing bounds it: kept as long as it is."""

    messages: int = 0
    size: int = 0

    def plus(self, messages: int, size: int) -> Aside:
        return Aside(self.messages + messages, self.size + size)

    def encode(self) -> bytes:
        return bytes_field(b"\x0a", _shortest(self.messages)) + bytes_field(b"\x12", _shortest(self.size))

    @staticmethod
    def decode(stored: bytes) -> Aside:
        r = pb.AllowanceAside.FromString(stored)
        return Aside(int.from_bytes(r.messages, "big"), int.from_bytes(r.bytes, "big"))


def _shortest(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


POT: Final = Key.of(b"ca", Pot)  # ‖ channel id
POTS: Final = RecordKind(POT, pb.ChannelAllowance, "the channel's allowance")
ASIDE: Final = Key.of(b"cA", Aside)  # absent: nothing is
DECODERS: Final[Decoders] = decoders_of(POT, ASIDE)


def require_pot(state: Readable, channel_id: bytes) -> Pot:
    """Raises: NoChannelAllowance."""
    found = state.get(POT + channel_id)
    if found is None:
        raise NoChannelAllowance(channel_id.hex())
    return found


def _count(state: State, messages: int, size: int) -> None:
    """Above 0: what came; below: what went."""
    after = (state.get(ASIDE) or Aside()).plus(messages, size)
    state.set(ASIDE, after if any(after) else None)


def share_of(state: Readable, channel_id: bytes, member: bytes, time_ns: int) -> tuple[Pot, Membership]:
    """The pot that pays for a member's posts, and its membership. Raises: NoChannelAllowance, NotMember,
    MembershipEnded, NotPermitted, ChannelArchived, JoinedThisPeriod."""
    pot = require_pot(state, channel_id)
    channel = require_channel(state, channel_id)
    membership = require_member(state, channel, member, time_ns)
    if not RIGHTS[membership.role] & POST:
        raise NotPermitted(account(member))
    if (channel.settings or PLAIN).archived:
        raise ChannelArchived(channel.name)
    params = state.get(PARAMS)
    joined_ns, period = membership.joined_ns, params.period_of(time_ns)
    if joined_ns and params.period_of(joined_ns) >= period:
        raise JoinedThisPeriod(f"from {time_text(period * params.period_ns)} on")
    return pot, membership


def spend(ctx: Context, tx: Tx, params: ChatParams) -> None:
    """Take what a transaction costs out of the pot that it names, whatever becomes of it.

    Raises: as `share_of`; MemberShareUsed, ChannelShareUsed, ChannelAllowanceEmpty.
    """
    branch, channel_id, member = ctx.branch, tx.fee_granter, tx.payer
    pot, membership = share_of(branch, channel_id, member, ctx.time_ns)
    messages, size = params.charge_of(tx)
    period = params.period_of(ctx.time_ns)
    use = membership.use.at(period).plus(messages, size)
    if use.messages > pot.member_messages or use.size > pot.member_size:
        raise MemberShareUsed(
            f"{use.messages} messages, allowed: {pot.member_messages}; {use.size} bytes, allowed: {pot.member_size}"
        )
    if messages > pot.messages or size > pot.size:
        raise ChannelAllowanceEmpty(f"{pot.messages} messages and {pot.size} bytes are left")
    left = pot.left_in(period)
    if messages > left[0] or size > left[1]:
        raise ChannelShareUsed(f"{max(0, left[0])} messages and {max(0, left[1])} bytes are left in this period")
    branch.set(POT + channel_id, pot.after(messages, size, period))
    branch.set(member_key(channel_id, member), membership._replace(use=use))
    _count(branch, -messages, -size)
    branch.emit(partial(_used, channel_id, member, messages, size))


def _used(channel_id: bytes, member: bytes, messages: int, size: int) -> Event:
    told = {"member": account(member), "messages": str(messages), "bytes": str(size)}
    return Event.of("use_channel_allowance", channel_id=channel_id.hex(), **told)


# ------------------------------------------------------------------------------ messages


def _require_owned(ctx: Context, channel_id: bytes, owner: bytes) -> None:
    """Raises: UnknownChannel, NotPermitted."""
    if require_channel(ctx.branch, channel_id).owner != owner:
        raise NotPermitted(account(owner))


def grant(ctx: Context, message: GrantChannelAllowance) -> Leg:
    branch = ctx.branch
    owner, channel_id, messages, size, *terms = message
    _require_owned(ctx, channel_id, owner)
    identity = require_identity(branch, owner)
    branch.set(IDENTITY + owner, identity.with_use(identity.sequences, identity.allowance.spend(messages, size)))
    before = branch.get(POT + channel_id) or Pot(0, 0, 0, 0)
    if max(before.messages + messages, before.size + size) > UINT64_MAX:
        raise AmountOverflow("the channel's allowance")
    member, member_size, period, period_size = terms
    branch.set(
        POT + channel_id,
        Pot(before.messages + messages, before.size + size, member, member_size, period, period_size, before.use),
    )
    _count(branch, messages, size)
    told = {"messages": str(messages), "bytes": str(size)}
    branch.emit(Event.of("grant_channel_allowance", channel_id=channel_id.hex(), owner=account(owner), **told))
    return Leg("grant_channel_allowance", 0, channel_id, messages)


def end(ctx: Context, message: EndChannelAllowance) -> Leg:
    owner, channel_id = message
    _require_owned(ctx, channel_id, owner)
    left = require_pot(ctx.branch, channel_id)
    give_back(ctx.branch, channel_id, owner)
    return Leg("end_channel_allowance", 0, channel_id, left.messages)


def give_back(state: State, channel_id: bytes, owner: bytes) -> None:
    """End a channel's pot, if there is one. owner: of the channel, who filled it. Raises: AmountOverflow."""
    pot = state.get(POT + channel_id)
    if pot is None:
        return
    identity = state.get(IDENTITY + owner)
    if identity is not None:  # else it goes as its owner's did
        allowance = identity.allowance.with_bought(pot.messages, pot.size)
        if not allowance.fits():
            raise AmountOverflow("the identity's allowance")
        state.set(IDENTITY + owner, identity.with_use(identity.sequences, allowance))
    state.set(POT + channel_id, None)
    _count(state, -pot.messages, -pot.size)
    told = {"messages": str(pot.messages), "bytes": str(pot.size)}
    state.emit(Event.of("end_channel_allowance", channel_id=channel_id.hex(), owner=account(owner), **told))


def handlers() -> dict[type[Any], Handler]:
    return {GrantChannelAllowance: grant, EndChannelAllowance: end}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    wrong, found = [], Aside()
    count = 0
    for key, pot in scan(POT):
        channel = state.get(CHANNEL + key[len(POT) :])
        count += 1
        found = found.plus(pot.messages, pot.size)
        if channel is None or not channel.owner or not (pot.member_messages and pot.member_size):
            wrong.append(key[len(POT) :].hex())
    yield "chat: what is set aside is a channel's with an owner", not wrong, f"{count}, {some(wrong)} wrong"
    counted = state.get(ASIDE) or Aside()
    detail = f"{found.messages} messages and {found.size} bytes, counted {counted.messages} and {counted.size}"
    yield "chat: allowance that is set aside is conserved", found == counted, detail


# ------------------------------------------------------------------------------ admission


class PendingPot:
    """What admitted posts will take from a pot. period: the last in which one was admitted."""

    __slots__ = ("messages", "period", "size", "terms")

    def __init__(self) -> None:
        self.messages = self.size = self.period = 0
        self.terms: tuple[int, ...] = ()

    def add(self, before: Pot, after: Pot, tx: Tx) -> tuple[int, int]:
        self.terms, self.period = after.terms, after.use.period
        cost = before.messages - after.messages, before.size - after.size
        self.messages, self.size = self.messages + cost[0], self.size + cost[1]
        return cost

    def release(self, cost: tuple[int, int]) -> None:
        self.messages, self.size = self.messages - cost[0], self.size - cost[1]

    def rewind(self, entry: SignerEntry) -> None:
        """It has no sequences."""

    def reach(self, other: PendingPot) -> None:
        """It has no sequences."""

    def agrees(self, committed: Pot, ordered: int, height: int, base: Readable) -> bool:
        left = committed.left_in(max(self.period, committed.use.period))
        return committed.terms == self.terms and self.messages <= left[0] and self.size <= left[1]

    def apply(self, committed: Pot, height: int, base: Readable) -> Pot:
        messages, size = min(self.messages, committed.messages), min(self.size, committed.size)
        return committed.after(messages, size, max(self.period, committed.use.period))


def _what_counts(membership: Membership) -> tuple[int, int, int]:
    """Of a membership, for `share_of`. Who leaves and comes back in one transaction has another one."""
    return membership.role, membership.end_ns, membership.joined_ns


class PendingShare:
    """What admitted posts will take of a member's share."""

    __slots__ = ("channel_id", "membership", "messages", "period", "size")

    def __init__(self) -> None:
        self.messages = self.size = self.period = 0
        self.channel_id, self.membership = b"", (0, 0, 0)

    def add(self, before: Membership, after: Membership, tx: Tx) -> tuple[int, int]:
        self.channel_id, self.membership, self.period = tx.fee_granter, _what_counts(after), after.use.period
        cost = after.use.since(before.use)
        self.messages, self.size = self.messages + cost[0], self.size + cost[1]
        return cost

    def release(self, cost: tuple[int, int]) -> None:
        self.messages, self.size = self.messages - cost[0], self.size - cost[1]

    def rewind(self, entry: SignerEntry) -> None:
        """It has no sequences."""

    def reach(self, other: PendingShare) -> None:
        """It has no sequences."""

    def agrees(self, committed: Membership, ordered: int, height: int, base: Readable) -> bool:
        pot = base.get(POT + self.channel_id)
        if pot is None or _what_counts(committed) != self.membership:
            return False
        use = self._use(committed)
        return use.messages <= pot.member_messages and use.size <= pot.member_size

    def apply(self, committed: Membership, height: int, base: Readable) -> Membership:
        return committed._replace(use=self._use(committed))

    def _use(self, committed: Membership) -> Use:
        return committed.use.at(max(self.period, committed.use.period)).plus(self.messages, self.size)
