"""Reports to a channel's moderators: of each thing the heaviest reporters, a queue by weight, an end by time.

A report weighs what its reporter's score was. It is no way to earn: an upheld one gives nobody anything, and takes from
whom it is about no more than a share of the budget of who upholds it; a dismissed one likewise from each reporter, the
heaviest first, as far as the budget goes. So whoever judges for its own ends does less harm than its own score could do
good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.chat.channels import due
from chain.chat.channels.due import Work
from chain.chat.channels.records import PLAIN, Channel, member_key
from chain.chat.channels.rights import RETRACT, require_channel, require_member, require_right
from chain.chat.messages.posts import require_message
from chain.chat.reputation import scores
from chain.chat.reputation.records import (
    BY_WEIGHT,
    REPORT,
    REPUTATION,
    Report,
    ReportedBy,
    about_member,
    about_message,
    by_weight,
    place_of,
)
from chain.kernel.branch import Branch, Readable, Scan, State
from chain.kernel.context import Context, Leg
from chain.kernel.event_text import Event, account, some
from chain.kernel.modules import BlockContext
from chain.tx.chat_errors import (
    ActedAlready,
    BudgetSpent,
    NothingToGive,
    OwnCase,
    OwnMessage,
    ReportedAlready,
    ReportResolved,
    ReportTooLight,
    UnknownReport,
    Unmoderated,
)
from chain.tx.errors import NotMember
from chain.tx.messages.chat.reputation import (
    REASON_NAMES,
    UPHELD,
    VERDICT_NAMES,
    ReportMember,
    ReportMessage,
    ResolveReport,
)
from chain.tx.messages.kinds.fields import CHANNEL_ID_BYTES

KEPT_NS: Final = 14 * scores.PERIOD_NS  # from the first report of a thing on, whatever becomes of it
REPORTERS_MAX: Final = 16  # of a thing, the heaviest: who weighs nothing keeps nobody out
MARK: Final = b"\x01"


# ------------------------------------------------------------------------------ reporting


def report_message(ctx: Context, message: ReportMessage) -> Leg:
    """Raises: as `_report`, and UnknownMessage, NotOriginal, MessageForgotten."""
    reporter, channel_id, index, reason = message
    channel = _moderated(ctx, channel_id, reporter)
    author = require_message(ctx.branch, channel, index)[0].author
    _report(ctx, about_message(channel_id, index), author, reporter, reason)
    return Leg("report_message", 0, author, index)


def report_member(ctx: Context, message: ReportMember) -> Leg:
    """Raises: as `_report`."""
    reporter, channel_id, member, reason = message
    channel = _moderated(ctx, channel_id, reporter)
    if ctx.branch.get(member_key(channel_id, member)) is None:
        raise NotMember(channel.name)
    _report(ctx, about_member(channel_id, member), member, reporter, reason)
    return Leg("report_member", 0, member)


def _moderated(ctx: Context, channel_id: bytes, reporter: bytes) -> Channel:
    """Raises: UnknownChannel, NotMember, MembershipEnded, Unmoderated."""
    channel = require_channel(ctx.branch, channel_id)
    require_member(ctx.branch, channel, reporter, ctx.time_ns)
    if (channel.settings or PLAIN).pair:
        raise Unmoderated("a conversation of two")
    return channel


def _report(ctx: Context, about: bytes, subject: bytes, reporter: bytes, reason: int) -> None:
    """Raises: OutOfGas, OwnMessage, ReportResolved, ReportedAlready, ReportTooLight."""
    branch = ctx.branch
    if subject == reporter:
        raise OwnMessage(account(reporter))
    before = branch.get(REPORT + about)
    if before is not None and before.verdict:
        raise ReportResolved(VERDICT_NAMES[before.verdict])
    has = scores.touch(ctx, reporter)
    entry = ReportedBy(reporter, has.score, reason)
    if before is None:
        after = Report(subject, ctx.time_ns + KEPT_NS, (entry,))
        due.wait(branch, after.end_ns, due.REPORT, about)
    else:
        after = before._replace(by=_with(before.by, entry))
        branch.set(by_weight(about, before.weight), None)
    branch.set(REPORT + about, after)
    branch.set(by_weight(about, after.weight), MARK)
    told = {"reporter": account(reporter), "reason": REASON_NAMES[reason], "weight": str(after.weight)}
    branch.emit(Event.of("report", **_place(about), **told))


def _with(by: tuple[ReportedBy, ...], entry: ReportedBy) -> tuple[ReportedBy, ...]:
    """The heaviest of them, and of equals the earlier. Raises: ReportedAlready, ReportTooLight."""
    if any(one.reporter == entry.reporter for one in by):
        raise ReportedAlready(account(entry.reporter))
    if len(by) < REPORTERS_MAX:
        return (*by, entry)
    lightest = min(range(len(by)), key=lambda at: (by[at].weight, -at))
    if entry.weight <= by[lightest].weight:
        raise ReportTooLight(f"{entry.weight}, the lightest of {REPORTERS_MAX}: {by[lightest].weight}")
    return (*by[:lightest], *by[lightest + 1 :], entry)


# ------------------------------------------------------------------------------ resolving


def resolve_report(ctx: Context, message: ResolveReport) -> Leg:
    """Raises: UnknownChannel, NotMember, MembershipEnded, NotPermitted, UnknownReport, ReportResolved, OwnCase,
    OutOfGas."""
    moderator, channel_id, index, member, verdict = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    require_right(branch, channel, moderator, RETRACT, ctx.time_ns)
    about = about_member(channel_id, member) if member else about_message(channel_id, index)
    found = branch.get(REPORT + about)
    if found is None:
        raise UnknownReport(account(member) if member else f"{index}")
    if found.verdict:
        raise ReportResolved(VERDICT_NAMES[found.verdict])
    if moderator == found.subject or any(one.reporter == moderator for one in found.by):
        raise OwnCase(account(moderator))
    losers = [found.subject] if verdict == UPHELD else _heaviest(ctx, found.by)
    lost = _lowered(ctx, moderator, losers)
    branch.set(REPORT + about, found._replace(verdict=verdict, resolved_by=moderator))
    branch.set(by_weight(about, found.weight), None)
    told = {"by": account(moderator), "verdict": VERDICT_NAMES[verdict], "lost": str(lost)}
    branch.emit(Event.of("resolve_report", **_place(about), **told))
    return Leg("resolve_report", 0, found.subject, index)


def _heaviest(ctx: Context, by: tuple[ReportedBy, ...]) -> list[bytes]:
    """The reporters by what they score now, of equals the earlier first: who has nothing shields nobody. Without those
    that have no record any more, and so nothing of then to lose: burners."""
    period = scores.period_of(ctx.time_ns)
    known = [one.reporter for one in by if ctx.branch.get(REPUTATION + one.reporter) is not None]
    return sorted(known, key=lambda who: -scores.score_at(ctx.branch, who, period).score)


def _lowered(ctx: Context, moderator: bytes, losers: list[bytes]) -> int:
    """What they lose together: a share of the moderator's budget each. Nobody loses two of one day, and nothing once it
    is spent: it is judged all the same. Raises: OutOfGas."""
    lost = 0
    for one in losers:
        try:
            share = scores.take_share(ctx, moderator, one)
        except ActedAlready:
            continue
        except (BudgetSpent, NothingToGive):
            break
        lost += scores.lower_score(ctx, one, share)
    return lost


def _place(about: bytes) -> dict[str, str]:
    index, member = place_of(about[CHANNEL_ID_BYTES:])
    where = {"member": account(member)} if member else {"message_index": str(index)}
    return {"channel_id": about[:CHANNEL_ID_BYTES].hex(), **where}


# ------------------------------------------------------------------------------ the end


def end_report(branch: Branch, about: bytes, ctx: BlockContext) -> None:
    """Its time has passed, whatever became of it."""
    found = branch.get(REPORT + about)
    if found is None or found.end_ns > ctx.time_ns:
        return
    _remove(branch, about, found)
    branch.emit(Event.of("report_ended", **_place(about), verdict=VERDICT_NAMES.get(found.verdict, "")))


def _remove(state: State, about: bytes, found: Report) -> None:
    state.set(REPORT + about, None)
    if not found.verdict:
        state.set(by_weight(about, found.weight), None)


WORKS: Final[dict[bytes, Work]] = {due.REPORT: end_report}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    waiting = due.waiting(scan)
    expected, wrong = set(), []
    for key, found in scan(REPORT):
        about = key[len(REPORT) :]
        if not found.verdict:
            expected.add(bytes(by_weight(about, found.weight)))
        who = {one.reporter for one in found.by}
        fits = 1 <= len(who) == len(found.by) <= REPORTERS_MAX and found.subject not in who
        if not fits or due.entry(found.end_ns, due.REPORT, about) not in waiting:
            wrong.append(about.hex())
    yield "reports: each is bounded and waits for its end", not wrong, f"do not: {some(wrong)}"
    queued = {bytes(key) for key, _ in scan(BY_WEIGHT)}
    differ = len(queued ^ expected)
    yield "reports: what is open is queued by its weight", not differ, f"{len(expected)} open, {differ} differ"
