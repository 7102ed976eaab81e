"""Channels: each of their rules, and what happens at its edges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.chat.channels import due
from chain.chat.channels.machine import PINS_MAX
from chain.chat.channels.records import BAN, INVITATION
from chain.chat.channels.rights import OWNER, RIGHTS
from chain.kernel.branch import Branch
from chain.kernel.modules import BlockContext
from chain.tx import errors as e
from chain.tx import gas
from chain.tx.errors import TxError, declared_errors
from chain.tx.messages import CreateChannel, JoinChannel, PayToJoin, PostMessage, decode_message, encode_message
from chain.tx.messages.chat import (
    GUEST,
    INVITED,
    MEMBER,
    MODERATOR,
    PERIOD_S_MAX,
    AcceptChannel,
    BanMember,
    EditChannel,
    InviteMember,
    LeaveChannel,
    OfferChannel,
    PinMessage,
    SetMemberRole,
    UnbanMember,
)
from consensus.abci.interface import CommitInfo
from tests.support.chain.harness import SECOND_NS
from tests.support.chain.rooms import DCHAT, ROOM, Rooms

HOUR = 3_600


def post(who: bytes) -> PostMessage:
    return PostMessage(who, ROOM, b"hello", 0)


def with_members(price: int = 0, **terms: object) -> Rooms:
    """bob moderates, carl is a member."""
    rooms = Rooms().opened(price, **terms)
    for name, who in (("bob", rooms.bob), ("carl", rooms.carl)):
        rooms.ok("ann", InviteMember(rooms.ann, ROOM, who, HOUR))
        rooms.ok(name, PayToJoin(who, ROOM, price, 60) if price else JoinChannel(who, ROOM))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, MODERATOR))
    return rooms


def test_a_channel_without_terms_is_stored_as_it_always_was() -> None:
    rooms = Rooms().opened()
    assert rooms.room.settings is None
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, slow_mode_s=5))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, slow_mode_s=0))
    assert rooms.room.settings is None


def test_invitations() -> None:
    rooms = Rooms().opened(access=INVITED)
    rooms.refused(e.InvitationNeeded, "bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.bob, 60))
    assert rooms.get(INVITATION + ROOM + rooms.bob) is not None
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    assert rooms.get(INVITATION + ROOM + rooms.bob) is None  # it serves once
    rooms.ok("bob", LeaveChannel(rooms.bob, ROOM))
    rooms.refused(e.InvitationNeeded, "bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.bob, 60))
    rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.bob, 120))  # the later one counts
    rooms.wait(60)
    assert rooms.get(INVITATION + ROOM + rooms.bob) is not None
    rooms.wait(61)
    assert rooms.get(INVITATION + ROOM + rooms.bob) is None
    assert rooms.told == ["invitation_ended"]
    rooms.refused(e.InvitationNeeded, "bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.bob, 60))
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    rooms.refused(e.AlreadyMember, "ann", InviteMember(rooms.ann, ROOM, rooms.bob, 60))


@pytest.mark.parametrize("how", ["banned", "another role", "left", "period over"])
def test_an_invitation_counts_as_long_as_who_made_it_may_invite(how: str) -> None:
    rooms = with_members(1 if how == "period over" else 0, access=INVITED, period_s=HOUR if how == "period over" else 0)

    def join() -> Any:
        return PayToJoin(rooms.dora, ROOM, 1, 60) if how == "period over" else JoinChannel(rooms.dora, ROOM)

    rooms.ok("bob", InviteMember(rooms.bob, ROOM, rooms.dora, 30 * 24 * HOUR))
    if how == "banned":
        rooms.ok("ann", BanMember(rooms.ann, ROOM, rooms.bob, 0))
    elif how == "another role":
        rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, MEMBER))
    elif how == "left":
        rooms.ok("bob", LeaveChannel(rooms.bob, ROOM))
    else:
        rooms.skipped_ns += HOUR * SECOND_NS
    assert rooms.block(rooms.tx("dora", join())).tx_results[0].code == e.InvitationNeeded.code
    if how == "another role":
        rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, MODERATOR))  # it is looked at when it is used
    else:
        rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.dora, HOUR))
    rooms.ok("dora", join())


def test_a_price_is_paid_once_or_by_period() -> None:
    rooms = Rooms().opened(5 * DCHAT, period_s=HOUR)
    rooms.refused(e.PriceDue, "bob", JoinChannel(rooms.bob, ROOM))
    rooms.refused(e.PriceAboveMaximum, "bob", PayToJoin(rooms.bob, ROOM, 4 * DCHAT, 60))
    before = rooms.balance("ann")
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, 5 * DCHAT, HOUR))
    assert rooms.balance("ann") == before + 5 * DCHAT
    first = rooms.member(rooms.bob)
    assert first is not None
    assert first.end_ns == rooms.now_ns + HOUR * SECOND_NS
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, 5 * DCHAT, HOUR))  # goes on from the end, not from now
    renewed = rooms.member(rooms.bob)
    assert renewed is not None
    assert renewed.end_ns == first.end_ns + HOUR * SECOND_NS
    rooms.wait(HOUR + 1)  # the first end has come, and was renewed
    assert rooms.told == []
    rooms.ok("bob", post(rooms.bob))
    rooms.wait(HOUR)
    assert rooms.told == ["membership_ended"]
    assert (rooms.member(rooms.bob), rooms.room.member_count) == (None, 1)
    rooms.refused(e.NotMember, "bob", post(rooms.bob))
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, 5 * DCHAT, HOUR))


def test_a_membership_counts_until_its_end_and_not_in_that_block() -> None:
    rooms = Rooms().opened(DCHAT, period_s=60)
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, DCHAT, 60))
    rooms.skipped_ns += 58 * SECOND_NS
    rooms.ok("bob", post(rooms.bob))  # a second before
    late = rooms.block(rooms.tx("bob", post(rooms.bob)))
    assert late.tx_results[0].code == e.MembershipEnded.code
    assert rooms.member(rooms.bob) is None  # taken away at the end of that block


def test_an_owner_who_changes_the_terms_in_the_same_block_takes_nothing_from_who_pays() -> None:
    for change, min_period_s, error in (
        (EditChannel(b"", ROOM, join_price=900 * DCHAT), HOUR, e.PriceAboveMaximum),
        (EditChannel(b"", ROOM, period_s=60), HOUR, e.PeriodTooShort),
        (EditChannel(b"", ROOM, archived=True), HOUR, e.ChannelArchived),
    ):
        rooms = Rooms().opened(DCHAT, period_s=HOUR)
        edit = rooms.tx("ann", change._replace(actor=rooms.ann))
        joining = rooms.tx("bob", PayToJoin(rooms.bob, ROOM, DCHAT, min_period_s))
        ann = rooms.balance("ann")
        edited, joined = rooms.block(edit, joining).tx_results
        assert (edited.code, joined.code) == (0, error.code)
        assert (rooms.balance("ann"), rooms.member(rooms.bob)) == (ann, None)


def test_who_pays_once_gets_no_membership_with_an_end() -> None:
    rooms = Rooms().opened(DCHAT)
    edit = rooms.tx("ann", EditChannel(rooms.ann, ROOM, period_s=60))
    joined = rooms.block(edit, rooms.tx("bob", PayToJoin(rooms.bob, ROOM, DCHAT))).tx_results[1]
    assert joined.code == e.PeriodTooShort.code
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, period_s=0))
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, DCHAT))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, period_s=60))
    rooms.refused(e.AlreadyMember, "bob", PayToJoin(rooms.bob, ROOM, DCHAT, 60))  # and none that is made into one


def test_nobody_pays_for_ever() -> None:
    rooms = Rooms().opened(DCHAT, period_s=PERIOD_S_MAX)
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, DCHAT, 60))
    rooms.refused(e.PaidTooFar, "bob", *[PayToJoin(rooms.bob, ROOM, DCHAT, 60)] * 2)


def test_roles() -> None:
    rooms = with_members()
    rooms.refused(e.NotPermitted, "bob", SetMemberRole(rooms.bob, ROOM, rooms.carl, GUEST))
    rooms.refused(e.NotMember, "ann", SetMemberRole(rooms.ann, ROOM, rooms.dora, GUEST))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.carl, GUEST))
    rooms.refused(e.NotPermitted, "carl", post(rooms.carl))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.carl, MEMBER))
    rooms.ok("carl", post(rooms.carl))
    for message in (
        EditChannel(rooms.carl, ROOM, topic="mine"), InviteMember(rooms.carl, ROOM, rooms.dora, 60),
        BanMember(rooms.carl, ROOM, rooms.dora, 0), PinMessage(rooms.carl, ROOM, 0),
        OfferChannel(rooms.carl, ROOM, rooms.bob),
    ):  # fmt: skip
        rooms.refused(e.NotPermitted, "carl", message)
    rooms.ok("bob", EditChannel(rooms.bob, ROOM, topic="moderated"))
    assert rooms.room.topic == "moderated"
    rooms.refused(e.NotPermitted, "bob", EditChannel(rooms.bob, ROOM, topic="x", join_price=1))
    assert all(RIGHTS[role] & ~RIGHTS[OWNER] == 0 for role in RIGHTS)


def test_guests_join_where_the_channel_says_so() -> None:
    rooms = Rooms().opened(join_role=GUEST)
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    rooms.refused(e.NotPermitted, "bob", post(rooms.bob))
    rooms.ok("ann", post(rooms.ann))


def test_bans() -> None:
    rooms = with_members()
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.carl, MODERATOR))
    rooms.refused(e.OutOfRank, "bob", BanMember(rooms.bob, ROOM, rooms.carl, 0))
    rooms.refused(e.OutOfRank, "bob", BanMember(rooms.bob, ROOM, rooms.ann, 0))
    rooms.ok("ann", BanMember(rooms.ann, ROOM, rooms.carl, 60))
    assert (rooms.member(rooms.carl), rooms.room.member_count) == (None, 2)
    rooms.refused(e.NotMember, "carl", post(rooms.carl))
    rooms.refused(e.Banned, "carl", JoinChannel(rooms.carl, ROOM))
    rooms.wait(60)
    assert rooms.told == ["ban_ended"]
    rooms.ok("carl", JoinChannel(rooms.carl, ROOM))
    rooms.ok("bob", BanMember(rooms.bob, ROOM, rooms.carl, 0))
    rooms.wait(10 * 365 * 24 * HOUR)
    rooms.refused(e.Banned, "carl", JoinChannel(rooms.carl, ROOM))
    rooms.ok("bob", UnbanMember(rooms.bob, ROOM, rooms.carl))
    rooms.refused(e.NotBanned, "bob", UnbanMember(rooms.bob, ROOM, rooms.carl))
    rooms.ok("carl", JoinChannel(rooms.carl, ROOM))
    rooms.ok("bob", BanMember(rooms.bob, ROOM, rooms.dora, 60))  # who never was a member
    rooms.ok("bob", BanMember(rooms.bob, ROOM, rooms.dora, 0))  # for longer: the first end does not lift it
    rooms.wait(60)
    assert rooms.get(BAN + ROOM + rooms.dora) is not None


def test_slow_mode_is_not_passed_by_leaving() -> None:
    rooms = with_members(slow_mode_s=10)
    rooms.wait(10)
    rooms.ok("carl", post(rooms.carl))
    rooms.refused(e.SlowMode, "carl", post(rooms.carl))
    rooms.ok("carl", LeaveChannel(rooms.carl, ROOM))
    rooms.ok("carl", JoinChannel(rooms.carl, ROOM))
    rooms.refused(e.SlowMode, "carl", post(rooms.carl))
    rooms.ok("bob", post(rooms.bob), post(rooms.bob))  # who moderates does not wait
    rooms.ok("ann", post(rooms.ann), post(rooms.ann))
    rooms.wait(9)
    rooms.ok("carl", post(rooms.carl))


def test_pins_are_bounded() -> None:
    rooms = with_members()
    rooms.ok("ann", *[post(rooms.ann)] * (PINS_MAX + 1))
    rooms.refused(e.UnknownMessage, "bob", PinMessage(rooms.bob, ROOM, PINS_MAX + 1))
    rooms.ok("bob", *[PinMessage(rooms.bob, ROOM, index) for index in range(PINS_MAX)])
    rooms.refused(e.TooManyPins, "bob", PinMessage(rooms.bob, ROOM, PINS_MAX))
    rooms.ok("bob", PinMessage(rooms.bob, ROOM, 3), PinMessage(rooms.bob, ROOM, 0, unpin=True))
    assert rooms.room.settings is not None
    assert rooms.room.settings.pinned == (1, 2, 4, 5, 6, 7, 3)
    rooms.refused(e.UnknownMessage, "bob", PinMessage(rooms.bob, ROOM, 0, unpin=True))


def test_a_channel_is_handed_on_with_consent_alone() -> None:
    rooms = with_members(DCHAT, period_s=HOUR)
    rooms.refused(e.OwnerStays, "ann", LeaveChannel(rooms.ann, ROOM))
    rooms.refused(e.NotMember, "ann", OfferChannel(rooms.ann, ROOM, rooms.dora))
    rooms.refused(e.NotOffered, "carl", AcceptChannel(rooms.carl, ROOM))
    rooms.ok("ann", OfferChannel(rooms.ann, ROOM, rooms.bob))
    rooms.ok("bob", LeaveChannel(rooms.bob, ROOM))
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, DCHAT, 60))
    rooms.refused(e.NotOffered, "bob", AcceptChannel(rooms.bob, ROOM))  # it was offered to the member that left
    rooms.ok("ann", OfferChannel(rooms.ann, ROOM, rooms.bob))
    rooms.ok("ann", OfferChannel(rooms.ann, ROOM, b""))
    rooms.refused(e.NotOffered, "bob", AcceptChannel(rooms.bob, ROOM))
    rooms.ok("ann", OfferChannel(rooms.ann, ROOM, rooms.carl))
    rooms.ok("carl", AcceptChannel(rooms.carl, ROOM))
    assert rooms.room.owner == rooms.carl
    rooms.refused(e.NotOffered, "carl", AcceptChannel(rooms.carl, ROOM))
    rooms.refused(e.NotPermitted, "ann", EditChannel(rooms.ann, ROOM, join_price=0))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, topic="still a moderator"))
    rooms.wait(2 * HOUR)  # an owner's membership has no end; bob's had
    assert (rooms.member(rooms.carl) is None, rooms.member(rooms.bob)) == (False, None)
    rooms.ok("ann", LeaveChannel(rooms.ann, ROOM))
    rooms.refused(e.NotMember, "ann", LeaveChannel(rooms.ann, ROOM))


def test_an_archived_channel_takes_nothing() -> None:
    rooms = with_members()
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, archived=True))
    rooms.refused(e.ChannelArchived, "ann", post(rooms.ann))
    rooms.refused(e.ChannelArchived, "dora", JoinChannel(rooms.dora, ROOM))
    rooms.ok("carl", LeaveChannel(rooms.carl, ROOM))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, archived=False))
    rooms.ok("ann", post(rooms.ann))


def test_an_encrypted_channel_is_not_open_to_all() -> None:
    rooms = Rooms()
    rooms.refused(e.OpenToAll, "ann", CreateChannel(rooms.ann, "room", 0, "", encrypted=True))
    rooms.opened(DCHAT, encrypted=True)
    rooms.refused(e.OpenToAll, "ann", EditChannel(rooms.ann, ROOM, join_price=0))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, join_price=0, access=INVITED))


def test_nothing_waits_where_the_queue_was_worked_off() -> None:
    """audit 38: what was queued for a time that had passed stood behind the head, and never went."""
    kept: dict[bytes, Any] = {bytes(due.BACKLOG): due.entry(50, b"m", b"last")[len(due.QUEUE) :]}
    branch = Branch(kept.get)
    due.wait(branch, 49, b"m", b"late")
    due.wait(branch, 50, b"m", b"a")
    due.wait(branch, 50, b"m", b"z")
    assert branch.writes.keys() == {
        due.entry(51, b"m", b"late"), due.entry(51, b"m", b"a"), due.entry(50, b"m", b"z")
    }  # fmt: skip
    stands = [(due.entry(50, b"m", b"a"), due.MARK)]
    ((_, holds, _), _) = due.invariants(branch, lambda prefix, start=b"": iter(stands if prefix == due.QUEUE else ()))
    assert not holds


def test_a_block_ends_as_many_as_it_can_add_and_the_rest_waits() -> None:
    kept = {due.entry(number + 1, b"m", b"%d" % number): b"\x01" for number in range(10)}
    kept |= {due.entry(99, b"m", b"later"): b"\x01", due.entry(5, b"x", b"breaks"): b"\x01"}
    done: list[bytes] = []

    def work(branch: Branch, item: bytes, ctx: BlockContext) -> None:
        if item == b"breaks":
            raise LookupError(item)
        done.append(item)

    def scan(prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        yield from sorted(
            (key, value) for key, value in kept.items() if key >= max(prefix, start) and key[:2] == prefix
        )

    def block(time_ns: int, upgraded: str = "") -> None:
        branch = Branch(kept.get)
        ctx = BlockContext(
            branch, scan, 1, time_ns, CommitInfo(0, ()), (), block_gas_max=4 * gas.GAS_LATER, upgraded=upgraded
        )
        for _ in due.work_off(ctx, {b"m": work, b"x": work}):
            pass
        for key, value in branch.writes.items():
            kept.pop(key, None)
            if value is not None:
                kept[key] = value

    block(50)
    assert done == [b"0", b"1", b"2", b"3", b"4"]
    block(50)
    assert done[5:] == [b"5", b"6", b"7", b"8"]  # and the one that broke
    assert [key for key in kept if key.startswith(due.FAILED.prefix)] == [b"cFCd" + due.entry(5, b"x", b"breaks")[2:]]
    block(50)
    assert done[9:] == [b"9"]
    block(50, "other code")  # puts it back, behind all that was taken
    assert due.entry(51, b"x", b"breaks") in kept
    block(98)
    assert due.entry(99, b"m", b"later") in kept
    block(99)
    assert done[10:] == [b"later"]


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (EditChannel(b"a" * 20, ROOM), "nothing to change"),
        (EditChannel(b"a" * 20, ROOM, period_s=59), "period_s"),
        (EditChannel(b"a" * 20, ROOM, period_s=PERIOD_S_MAX + 1), "period_s"),
        (EditChannel(b"a" * 20, ROOM, slow_mode_s=86_401), "slow_mode_s"),
        (EditChannel(b"a" * 20, ROOM, access=2), "access"),
        (EditChannel(b"a" * 20, ROOM, join_role=MODERATOR), "join_role"),
        (EditChannel(b"a" * 20, ROOM, topic="x" * 257), "topic"),
        (CreateChannel(b"a" * 20, "room", 0, "", access=3), "access"),
        (InviteMember(b"a" * 20, ROOM, b"b" * 20, 59), "valid_s"),
        (InviteMember(b"a" * 20, ROOM, b"a" * 20, 60), "is the actor"),
        (BanMember(b"a" * 20, ROOM, b"b" * 20, PERIOD_S_MAX + 1), "duration_s"),
        (BanMember(b"a" * 20, ROOM, b"b" * 19, 1), "expected 20"),
        (SetMemberRole(b"a" * 20, ROOM, b"b" * 20, 3), "role"),
        (OfferChannel(b"a" * 20, ROOM, b"a" * 20), "is the owner"),
        (PinMessage(b"a" * 20, ROOM, 2**64 - 1), "index"),
        (LeaveChannel(b"a" * 20, ROOM[1:]), "channel_id"),
    ],
)
def test_what_a_message_may_not_say(message: object, wrong: str) -> None:
    with pytest.raises(e.InvalidField, match=wrong):
        decode_message(encode_message(message))  # type: ignore[arg-type]


def test_each_refusal_is_met_here() -> None:
    own: set[type[TxError]] = {error for error in declared_errors() if error.codespace == "channels"}
    text = Path(__file__).read_text()
    assert {error.__name__ for error in own if f"e.{error.__name__}" not in text} == set()
