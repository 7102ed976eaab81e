"""Reports to moderators: each rule, the queue by weight, their end, and that nobody earns by them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from chain.chat.channels.burners import first_sequences
from chain.chat.reputation import scores
from chain.chat.reputation.records import BY_WEIGHT, REPORT, REPUTATION, Report, about_member, about_message
from chain.chat.reputation.reports import KEPT_NS, REPORTERS_MAX
from chain.chat.reputation.scores import ACTS_MAX, BUDGET, PERIOD_NS, TAKEN_AT_ONCE
from chain.tx import chat_errors as ce
from chain.tx import chat_errors as re
from chain.tx import errors as e
from chain.tx.errors import TxError
from chain.tx.messages import (
    JoinChannel,
    Message,
    Payment,
    PostMessage,
    RegisterBurner,
    RegisterIdentity,
    channel_id,
    decode_message,
    direct_id,
    encode_message,
)
from chain.tx.messages.chat import MODERATOR, LeaveChannel, OpenDirect, RetractMessage, SetMemberRole
from chain.tx.messages.chat.reputation import (
    DISMISSED,
    UPHELD,
    EndorseAuthor,
    HonourAuthor,
    ReportMember,
    ReportMessage,
    ResolveReport,
)
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from dchat.app.chat_queries import ReputationQueries
from tests.support.chain.harness import wallet
from tests.support.chain.rooms import ROOM, Rooms

PRICE = 250_000
SHARE = PRICE // (BUDGET * ACTS_MAX)
DAY = 86_400
SPAM = 1


def talking() -> Rooms:
    """ann owns the room, bob moderates, carl and dora are members; carl's message is 0, dora's 1."""
    rooms = Rooms().opened()
    for name in ("bob", "carl", "dora"):
        rooms.ok(name, JoinChannel(rooms.address(name), ROOM))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, MODERATOR))
    for name in ("carl", "dora"):
        rooms.ok(name, PostMessage(rooms.address(name), ROOM, b"hello", 0))
    return rooms


def joined(rooms: Rooms, names: Iterable[str], payer: str = "ann") -> None:
    """More members."""
    for name in names:
        rooms.wallets[name] = wallet(name)
        who = rooms.address(name)
        rooms.ok(payer, Payment(rooms.address(payer), who, DCHAT))
        rooms.ok(name, RegisterIdentity(who, name, ""))
        rooms.ok(name, JoinChannel(who, ROOM))


def report_of(rooms: Rooms, about: bytes) -> Report | None:
    return rooms.get(REPORT + about)


def score(rooms: Rooms, who: bytes) -> int:
    return scores.score_at(rooms.app.base, who, scores.period_of(rooms.now_ns)).score


def told(result: object, kind: str) -> list[dict[str, str]]:
    events = getattr(result, "events")  # noqa: B009  # of a block or of a transaction
    return [{key: value for key, value, _ in event.attributes} for event in events if event.type == kind]


def listed(rooms: Rooms) -> list[tuple[int, int]]:
    """(index, weight), as a moderator sees them."""
    queries = ReputationQueries(rooms.app.queries)
    return [(row.index, row.report.score) for row in queries.reports(ROOM).reports]


# ------------------------------------------------------------------------------ reporting


def test_a_report_weighs_what_its_reporter_scores() -> None:
    rooms = talking()
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, DCHAT))  # dora's
    result = rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    assert told(result, "report")[0]["weight"] == str(PRICE + DCHAT)
    rooms.ok("ann", ReportMessage(rooms.ann, ROOM, 0, 6))
    rooms.ok("carl", ReportMessage(rooms.carl, ROOM, 1, 2))
    rooms.ok("bob", ReportMember(rooms.bob, ROOM, rooms.carl, 4))
    found = report_of(rooms, about_message(ROOM, 0))
    assert found is not None
    assert (found.subject, found.weight, len(found.by)) == (rooms.carl, 2 * PRICE + DCHAT, 2)
    assert found.end_ns - KEPT_NS in range(rooms.now_ns - 10**11, rooms.now_ns)
    assert listed(rooms) == [(0, 2 * PRICE + DCHAT), (1, PRICE), (0, PRICE)]
    answer = ReputationQueries(rooms.app.queries).reports(ROOM, limit=1)
    assert answer.next
    following = ReputationQueries(rooms.app.queries).reports(ROOM, after=answer.next)
    assert [(row.index, row.member) for row in following.reports] == [(1, b""), (0, rooms.carl)]


def test_refused_reports() -> None:
    rooms = talking()
    carl, dora, other = rooms.carl, rooms.dora, channel_id("other")
    rooms.refused(e.UnknownChannel, "dora", ReportMessage(dora, other, 0, SPAM))
    rooms.refused(e.UnknownMessage, "dora", ReportMessage(dora, ROOM, 9, SPAM))
    rooms.refused(re.OwnMessage, "carl", ReportMessage(carl, ROOM, 0, SPAM))
    rooms.refused(re.OwnMessage, "carl", ReportMember(carl, ROOM, carl, SPAM))
    rooms.ok("dora", ReportMessage(dora, ROOM, 0, SPAM))
    rooms.refused(re.ReportedAlready, "dora", ReportMessage(dora, ROOM, 0, 2))
    rooms.ok("dora", LeaveChannel(dora, ROOM))
    rooms.refused(e.NotMember, "dora", ReportMessage(dora, ROOM, 0, SPAM))
    rooms.refused(e.NotMember, "carl", ReportMember(carl, ROOM, dora, SPAM))
    rooms.ok("carl", RetractMessage(carl, ROOM, 0))
    rooms.refused(ce.MessageForgotten, "ann", ReportMessage(rooms.ann, ROOM, 0, SPAM))
    rooms.ok("carl", OpenDirect(carl, rooms.ann))
    rooms.refused(re.Unmoderated, "carl", ReportMember(carl, direct_id(carl, rooms.ann), rooms.ann, SPAM))


def test_who_weighs_nothing_keeps_nobody_out() -> None:
    """Sixteen are kept, the heaviest: of equals who came first."""
    rooms = talking()
    joined(rooms, [f"n{number:02}" for number in range(REPORTERS_MAX)])
    for number in range(REPORTERS_MAX):
        rooms.ok(f"n{number:02}", ReportMessage(rooms.address(f"n{number:02}"), ROOM, 0, SPAM))
    assert listed(rooms) == [(0, REPORTERS_MAX * PRICE)]
    rooms.refused(re.ReportTooLight, "dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, 5))
    rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    found = report_of(rooms, about_message(ROOM, 0))
    assert found is not None
    assert rooms.dora in {one.reporter for one in found.by}
    assert rooms.address("n15") not in {one.reporter for one in found.by}
    assert listed(rooms) == [(0, REPORTERS_MAX * PRICE + 5)]


@pytest.mark.parametrize(
    "message",
    [
        ReportMessage(bytes(19), ROOM, 0, SPAM), ReportMessage(bytes(20), b"", 0, SPAM),
        ReportMessage(bytes(20), ROOM, 0, 0), ReportMessage(bytes(20), ROOM, 0, 7),
        ReportMember(bytes(19), ROOM, bytes(20), SPAM), ReportMember(bytes(20), b"", bytes(20), SPAM),
        ReportMember(bytes(20), ROOM, bytes(19), SPAM), ReportMember(bytes(20), ROOM, bytes(20), 9),
        ResolveReport(bytes(19), ROOM, 0, b"", UPHELD), ResolveReport(bytes(20), b"", 0, b"", UPHELD),
        ResolveReport(bytes(20), ROOM, 0, bytes(3), UPHELD), ResolveReport(bytes(20), ROOM, 1, bytes(20), UPHELD),
        ResolveReport(bytes(20), ROOM, 0, b"", 0), ResolveReport(bytes(20), ROOM, 0, b"", 3),
    ],
)  # fmt: skip
def test_what_a_message_may_not_say(message: Message) -> None:
    with pytest.raises(TxError):
        decode_message(encode_message(message))


# ------------------------------------------------------------------------------ resolving


def test_an_upheld_report_takes_a_share_from_its_subject_and_gives_nobody_anything() -> None:
    rooms = talking()
    rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    result = rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, b"", UPHELD))
    assert told(result, "resolve_report")[0]["lost"] == str(SHARE)
    assert [score(rooms, who) for who in (rooms.bob, rooms.carl, rooms.dora)] == [PRICE, PRICE - SHARE, PRICE]
    assert listed(rooms) == []
    found = report_of(rooms, about_message(ROOM, 0))
    assert found is not None
    assert (found.verdict, found.resolved_by) == (UPHELD, rooms.bob)
    rooms.refused(re.ReportResolved, "ann", ReportMessage(rooms.ann, ROOM, 0, SPAM))
    rooms.refused(re.ReportResolved, "ann", ResolveReport(rooms.ann, ROOM, 0, b"", DISMISSED))


def test_a_dismissed_report_takes_a_share_from_each_of_its_reporters() -> None:
    rooms = talking()
    rooms.ok("dora", ReportMember(rooms.dora, ROOM, rooms.carl, SPAM))
    rooms.ok("ann", ReportMember(rooms.ann, ROOM, rooms.carl, SPAM))
    rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, rooms.carl, DISMISSED))
    assert [score(rooms, who) for who in (rooms.ann, rooms.dora, rooms.carl)] == [
        PRICE - SHARE, PRICE - SHARE, PRICE,
    ]  # fmt: skip


def test_who_has_no_share_left_judges_all_the_same() -> None:
    rooms = talking()
    rooms.ok("bob", EndorseAuthor(rooms.bob, ROOM, 0))
    rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    result = rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, b"", UPHELD))  # whom it endorsed today
    assert told(result, "resolve_report")[0]["lost"] == "0"
    assert score(rooms, rooms.carl) == PRICE + SHARE


def test_nobody_loses_more_than_a_sixteenth_at_once() -> None:
    rooms = talking()
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, 800 * DCHAT))  # dora's: her share is above what carl has
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.dora, MODERATOR))
    rooms.wait(DAY)
    rooms.ok("ann", ReportMessage(rooms.ann, ROOM, 0, SPAM))
    before = score(rooms, rooms.carl)
    rooms.ok("dora", ResolveReport(rooms.dora, ROOM, 0, b"", UPHELD))
    assert score(rooms, rooms.carl) == before - before // TAKEN_AT_ONCE


def test_refused_verdicts() -> None:
    rooms = talking()
    bob, carl, dora = rooms.bob, rooms.carl, rooms.dora
    rooms.refused(re.UnknownReport, "bob", ResolveReport(bob, ROOM, 0, b"", UPHELD))
    rooms.refused(re.UnknownReport, "bob", ResolveReport(bob, ROOM, 0, carl, UPHELD))
    rooms.ok("dora", ReportMessage(dora, ROOM, 0, SPAM))
    rooms.refused(ce.NotPermitted, "carl", ResolveReport(carl, ROOM, 0, b"", DISMISSED))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, carl, MODERATOR))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, dora, MODERATOR))
    rooms.refused(re.OwnCase, "carl", ResolveReport(carl, ROOM, 0, b"", DISMISSED))  # about it
    rooms.refused(re.OwnCase, "dora", ResolveReport(dora, ROOM, 0, b"", UPHELD))  # it reported
    rooms.refused(e.UnknownChannel, "bob", ResolveReport(bob, channel_id("other"), 0, b"", UPHELD))
    rooms.ok("bob", LeaveChannel(bob, ROOM))
    rooms.refused(e.NotMember, "bob", ResolveReport(bob, ROOM, 0, b"", UPHELD))


# ------------------------------------------------------------------------------ the end


def test_reports_end_by_time() -> None:
    rooms = talking()
    rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    rooms.ok("dora", ReportMember(rooms.dora, ROOM, rooms.carl, SPAM))
    rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, rooms.carl, UPHELD))
    rooms.wait(KEPT_NS // 10**9 - 60)
    assert report_of(rooms, about_message(ROOM, 0)) is not None
    rooms.wait(60)
    assert rooms.told.count("report_ended") == 2
    assert report_of(rooms, about_message(ROOM, 0)) is report_of(rooms, about_member(ROOM, rooms.carl)) is None
    assert not list(rooms.app.base.scan(BY_WEIGHT))
    rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))  # anew


# ------------------------------------------------------------------------------ attacks


def test_a_moderator_takes_one_share_a_day_of_one_reporter_whoever_reported_before_it() -> None:
    """carl reports what a new account each reported before it; bob dismisses all of them. Audit 40."""
    rooms = talking()
    names = [f"new{number}" for number in range(5)]
    joined(rooms, names)
    rooms.ok("dora", *[PostMessage(rooms.dora, ROOM, b"x", 0) for _ in names])
    for index, name in enumerate(names, start=2):
        rooms.ok(name, ReportMessage(rooms.address(name), ROOM, index, SPAM))
        rooms.ok("carl", ReportMessage(rooms.carl, ROOM, index, SPAM))
    for index in range(2, 2 + len(names)):
        rooms.ok("bob", ResolveReport(rooms.bob, ROOM, index, b"", DISMISSED))
    assert score(rooms, rooms.carl) == PRICE - SHARE
    assert [score(rooms, rooms.address(name)) for name in names] == [PRICE - SHARE] * 5


def test_light_reporters_shield_no_heavy_one() -> None:
    """Sixteen, the heaviest last, the first judged today already: the budget goes to the heaviest first, and ends."""
    rooms = talking()
    names = [f"n{number:02}" for number in range(REPORTERS_MAX - 1)]
    joined(rooms, names)
    first = rooms.address(names[0])
    rooms.ok(names[0], ReportMember(first, ROOM, rooms.carl, SPAM))
    rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, rooms.carl, DISMISSED))
    for name in (*names, "dora"):
        rooms.ok(name, ReportMessage(rooms.address(name), ROOM, 0, SPAM))
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, DCHAT))  # dora's, after she reported
    result = rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, b"", DISMISSED))
    assert told(result, "resolve_report")[0]["lost"] == str((ACTS_MAX - 1) * SHARE)
    assert score(rooms, rooms.dora) == PRICE + DCHAT - SHARE
    assert score(rooms, first) == PRICE - SHARE
    lost = [PRICE - score(rooms, rooms.address(name)) for name in names]
    assert sorted(lost) == [0] * 8 + [SHARE] * (ACTS_MAX - 1)


def test_reporters_that_were_burners_lose_nothing_and_cost_no_record() -> None:
    """Their names ended, and their addresses have lasting ones since: who judges pays for no record of theirs."""
    rooms = talking()
    names = [f"brief{number}" for number in range(4)]
    for name in names:
        rooms.wallets[name] = wallet(name)
        who = rooms.address(name)
        rooms.ok("ann", Payment(rooms.ann, who, 3 * DCHAT))
        rooms.ok(name, RegisterBurner(who, name, "", DAY))
        rooms.sequences[name, "chat"] = first_sequences(rooms.height)[0][1]
        rooms.ok(name, JoinChannel(who, ROOM), ReportMessage(who, ROOM, 0, SPAM))
    rooms.wait(DAY)
    for name in names:
        rooms.ok(name, RegisterIdentity(rooms.address(name), f"{name}-again", ""))
    result = rooms.ok("bob", ResolveReport(rooms.bob, ROOM, 0, b"", DISMISSED))
    assert result.gas_used <= result.gas_wanted
    assert told(result, "resolve_report")[0]["lost"] == "0"
    assert all(rooms.get(REPUTATION + rooms.address(name)) is None for name in names)


def test_an_owner_farms_nothing_by_upholding_reports_against_its_enemies() -> None:
    """ann's channel, her sybils report all that bob, carl and dora say, and she upholds it, day after day: her side has
    no more than if nobody had reported anything, and each enemy loses at most what her budget was."""
    rooms = Rooms().opened()
    enemies = (rooms.bob, rooms.carl, rooms.dora)
    for name in ("bob", "carl", "dora"):
        rooms.ok(name, JoinChannel(rooms.address(name), ROOM))
    sybils = [f"new{number}" for number in range(3)]
    joined(rooms, sybils)
    mine = [rooms.ann, *[rooms.address(name) for name in sybils]]
    spent, index = 0, 0
    for _ in range(3):
        spent += scores.score_at(rooms.app.base, rooms.ann, scores.period_of(rooms.now_ns)).share * ACTS_MAX
        for name in ("bob", "carl", "dora"):
            rooms.ok(name, PostMessage(rooms.address(name), ROOM, b"hello", 0))
            for sybil in sybils:
                rooms.ok(sybil, ReportMessage(rooms.address(sybil), ROOM, index, SPAM))
            rooms.ok("ann", ResolveReport(rooms.ann, ROOM, index, b"", UPHELD))
            index += 1
        rooms.wait(DAY)
    assert all(score(rooms, who) <= PRICE for who in mine)
    periods = scores.period_of(rooms.now_ns)
    lost = 0
    for who in enemies:
        first = rooms.get(REPUTATION + who)
        assert first is not None
        lost += PRICE - first.score
        assert score(rooms, who) >= scores.decayed(PRICE, 3) - spent
    assert periods * PERIOD_NS > rooms.now_ns
    assert lost > 0


def test_new_accounts_cannot_outweigh_one_that_others_made_heavy() -> None:
    """The queue: ten sybils push their enemy's message no higher than what their names cost."""
    rooms = talking()
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, 10 * DCHAT))  # dora's
    joined(rooms, [f"new{number}" for number in range(10)])
    for number in range(10):
        rooms.ok(f"new{number}", ReportMessage(rooms.address(f"new{number}"), ROOM, 1, SPAM))
    rooms.ok("dora", ReportMessage(rooms.dora, ROOM, 0, SPAM))
    assert listed(rooms) == [(0, PRICE + 10 * DCHAT), (1, 10 * PRICE)]
