"""Acts on others' scores: endorsing and honouring authors; and what the files of this room have, together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.channels.rights import POST, require_channel, require_right
from chain.chat.ledger.records import require_lasting
from chain.chat.messages.posts import require_message
from chain.chat.reputation import reports, scores
from chain.chat.reputation.records import REPORT, REPUTATION
from chain.kernel.branch import Decoders, Readable, Scan, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account
from chain.tx.chat_errors import OwnMessage
from chain.tx.messages.chat.reputation import EndorseAuthor, ReportMember, ReportMessage, ResolveReport

DECODERS: Final[Decoders] = decoders_of(REPUTATION, REPORT)
WORKS: Final = reports.WORKS


def endorse_author(ctx: Context, message: EndorseAuthor) -> Leg:
    """Raises: UnknownChannel, NotMember, MembershipEnded, NotPermitted, UnknownMessage, NotOriginal, MessageForgotten,
    OwnMessage, UnknownIdentity, BurnerMayNot, ActedAlready, BudgetSpent, NothingToGive, OutOfGas."""
    giver, channel_id, index = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    require_right(branch, channel, giver, POST, ctx.time_ns)
    author = _author(ctx, channel_id, index, giver)
    points = scores.take_share(ctx, giver, author)
    score = scores.raise_score(ctx, author, points)
    told = {"giver": account(giver), "author": account(author), "points": str(points), "score": str(score)}
    branch.emit(Event.of("endorse_author", channel_id=channel_id.hex(), message_index=str(index), **told))
    return Leg("endorse_author", 0, author, index)


def honour(ctx: Context, channel_id: bytes, index: int, *, sender: bytes, amount: int) -> bytes:
    """For the bridge, which burns the amount. Returns the author.

    Raises: UnknownChannel, UnknownMessage, NotOriginal, MessageForgotten, OwnMessage, UnknownIdentity, BurnerMayNot,
    OutOfGas.
    """
    author = _author(ctx, channel_id, index, sender)
    score = scores.raise_score(ctx, author, amount)
    told = {"sender": account(sender), "author": account(author), "points": str(amount), "score": str(score)}
    ctx.branch.emit(Event.of("honour_author", channel_id=channel_id.hex(), message_index=str(index), **told))
    return author


def _author(ctx: Context, channel_id: bytes, index: int, actor: bytes) -> bytes:
    author = require_message(ctx.branch, require_channel(ctx.branch, channel_id), index)[0].author
    if author == actor:
        raise OwnMessage(account(actor))
    require_lasting(ctx.branch, author)
    return author


def handlers() -> dict[type[Any], Handler]:
    return {
        EndorseAuthor: endorse_author,
        ReportMessage: reports.report_message,
        ReportMember: reports.report_member,
        ResolveReport: reports.resolve_report,
    }


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    yield from scores.invariants(state, scan)
    yield from reports.invariants(state, scan)
