"""What can be the case on both machines: what a bundle requires, and what an escrow waits for.

One reading of one state, the block's: a condition holds or does not, and says nothing about later.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from bridge.escrow_records import ATTESTATION
from chain.chat.channels.records import member_key
from chain.chat.messages.records import message_key
from chain.currency import machine as currency
from chain.currency.denominations import machine as denominations
from chain.currency.denominations.records import units
from chain.currency.ledger.records import EPOCHS
from chain.kernel.context import Context, Leg
from chain.kernel.event_text import account, coins, time_text
from chain.tx.errors import ConditionFails, NoSuchLeg
from chain.tx.messages.escrow import (
    Attested,
    BalanceAtLeast,
    Condition,
    MemberOf,
    MessagePlace,
    Posted,
    Require,
    TimeBefore,
    TimeFrom,
)
from crypto.hash import sha256
from proto.dchat.v1 import state_pb2 as pb


def require(ctx: Context, message: Require) -> Leg:
    """Raises: ConditionFails, NoSuchLeg."""
    check(ctx, message.condition, message.message)
    return Leg("require")


def check_all(ctx: Context, conditions: Sequence[Condition], places: Sequence[MessagePlace]) -> None:
    """places: where the posted messages stand, in the order of the conditions that name them. Raises: as `check`."""
    posted = [condition for condition in conditions if isinstance(condition, Posted)]
    for condition in conditions:
        if not isinstance(condition, Posted):
            check(ctx, condition)
    for condition, place in zip_longest(posted, places):
        if condition is None:
            raise ConditionFails("more messages are given than conditions name")
        check(ctx, condition, place)


def check(ctx: Context, condition: Condition, place: MessagePlace | None = None) -> None:
    """Raises: ConditionFails, which says what is not the case; NoSuchLeg."""
    if not holds(ctx, condition, place):
        raise ConditionFails(_said(condition))


def holds(ctx: Context, condition: Condition, place: MessagePlace | None = None) -> bool:
    """place: of a posted message; without one nothing is posted. Raises: NoSuchLeg."""
    state = ctx.branch
    match condition:
        case BalanceAtLeast(address, amount, denom):
            if denom is None:
                return currency.balance_of(state, address) >= amount
            return denominations.holding_of(state, address, denom).amount >= amount
        case MemberOf(channel, member):
            membership = state.get(member_key(channel, member))
            return membership is not None and not 0 < membership.end_ns <= ctx.time_ns
        case Attested(attester, statement):
            found = state.get(ATTESTATION + attester + statement)
            if found is None or ctx.time_ns >= found.until_ns:
                return False
            return found.epoch == EPOCHS.of(state, attester)  # else it was said with keys that are not its any more
        case TimeFrom(time_ns):
            return ctx.time_ns >= time_ns
        case TimeBefore(time_ns):
            return ctx.time_ns < time_ns
        case Posted():
            return place is not None and _is_posted(ctx, condition, place)


def _is_posted(ctx: Context, condition: Posted, place: MessagePlace) -> bool:
    index = place.index
    if place.leg:
        leg = earlier_leg(ctx, place.leg, "post_message")
        if leg.subject != condition.channel_id:
            return False
        index = leg.index
    stored = ctx.branch.get(message_key(condition.channel_id, index))
    if stored is None:
        return False
    message = pb.ChatMessage.FromString(stored)
    if not message.content:  # what says a hash alone, which anybody reads off the condition, or was forgotten
        return False
    return condition.author in (b"", message.author) and sha256(message.content) == condition.content_hash


def earlier_leg(ctx: Context, number: int, *kinds: str) -> Leg:
    """What an earlier leg of this bundle did. number: its index + 1. kinds: allowed. Raises: NoSuchLeg."""
    if number > len(ctx.legs):
        raise NoSuchLeg(f"leg {number} is not before leg {len(ctx.legs) + 1}")
    leg = ctx.legs[number - 1]
    if leg.kind not in kinds:
        raise NoSuchLeg(f"leg {number} is {leg.kind}, expected {' or '.join(kinds)}")
    return leg


def _said(condition: Condition) -> str:
    match condition:
        case BalanceAtLeast(address, amount, denom):
            return f"{account(address)} has {coins(amount) if denom is None else units(amount, denom)} or more"
        case MemberOf(channel, member):
            return f"{account(member)} is a member of {channel.hex()}"
        case Attested(attester, statement):
            return f"{account(attester)} attests {statement.hex()}"
        case TimeFrom(time_ns):
            return f"the block's time is {_time(time_ns)} or later"
        case TimeBefore(time_ns):
            return f"the block's time is before {_time(time_ns)}"
        case Posted():
            return (
                f"a message with the hash {condition.content_hash.hex()} stands there in {condition.channel_id.hex()}"
            )


def _time(time_ns: int) -> str:
    return time_text(time_ns) if time_ns < 1 << 63 else f"{time_ns} ns"
