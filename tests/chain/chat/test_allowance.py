"""Allowance that periods bring, that is lent for locked udchat, that a channel's owner sets aside; who drains whose."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import lending
from bridge.lending import LOCK, LOCKS_ADDRESS, UNLOCKS_MAX, Lock
from chain.app_state.document import YEAR_S, BridgeGenesis, ChatGenesis, InvalidAppState, check_refill, parse_app_state
from chain.chat.channels.pots import ASIDE, POT, Aside
from chain.chat.channels.records import member_key
from chain.chat.ledger.records import IDENTITY, PARAMS, UNUSED, Allowance, ChatParams, require_identity
from chain.tx import allowance_errors as ae
from chain.tx import errors as e
from chain.tx.envelope.tx import decode
from chain.tx.identity_errors import BurnerMayNot
from chain.tx.messages import (
    LANE_BRIDGE,
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from chain.tx.messages.allowance import (
    EndChannelAllowance,
    GrantChannelAllowance,
    LockForAllowance,
    UnlockAllowance,
)
from chain.tx.messages.bridge import RegisterBurner
from chain.tx.messages.chat import (
    GUEST,
    INVITED,
    AcceptChannel,
    BanMember,
    EditChannel,
    EditMessage,
    InviteMember,
    LeaveChannel,
    MarkRead,
    OfferChannel,
    React,
    RetractMessage,
    SetMemberRole,
    UnbanMember,
)
from genesis.app_state import build_app_state
from proto.dchat.v1 import state_pb2
from tests.support.chain.allowances import (
    DAY,
    DCHAT,
    ROOM,
    Rooms,
    allowance,
    by_channel,
    next_day,
    paid,
    people,
    posts,
    pot,
    recheck,
    unpaid,
)
from tests.support.chain.harness import Chain

# ------------------------------------------------------------------------------ what a period brings


def test_a_period_brings_what_the_params_say_and_never_more_than_once() -> None:
    rooms = people(free_messages=2, free_bytes=10**6)
    before = allowance(rooms, rooms.bob)
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("bob", *posts(rooms.bob))
    after = allowance(rooms, rooms.bob)
    assert (after.messages, after.size) == (before.messages, before.size), "free ones go first"
    assert after.use.messages == 2
    rooms.ok("bob", *posts(rooms.bob))
    after = allowance(rooms, rooms.bob)
    assert (after.messages, after.use.messages) == (before.messages - 1, 2)
    for _ in range(5):
        next_day(rooms)  # what was not used is not kept
    assert allowance(rooms, rooms.bob).use == after.use, "nothing is written until it is used"
    rooms.ok("bob", *posts(rooms.bob, 3))
    assert allowance(rooms, rooms.bob).messages == before.messages - 2
    assert allowance(rooms, rooms.bob).use.messages == 2


def test_messages_and_bytes_are_counted_apart() -> None:
    """A transaction takes both; each comes from the period first, and both must suffice."""
    rooms = people(free_messages=1_000, free_bytes=0)
    before = allowance(rooms, rooms.ann)
    rooms.ok("ann", *posts(rooms.ann))
    after = allowance(rooms, rooms.ann)
    assert after.messages == before.messages
    assert after.size < before.size


def test_nothing_is_free_unless_it_was_decided() -> None:
    """And then no record has a byte more than before."""
    rooms = people()
    rooms.ok("ann", *posts(rooms.ann))
    has = allowance(rooms, rooms.ann)
    assert (has.use, has.locked) == (UNUSED, 0)
    assert has.encode() == state_pb2.Allowance(messages=has.messages, bytes=has.size).SerializeToString()


NUMBERS = st.integers(0, 40)
STEPS = st.lists(st.tuples(st.sampled_from(["take", "take", "wait", "lock"]), NUMBERS, NUMBERS), max_size=40)


@given(STEPS, NUMBERS, NUMBERS, st.integers(0, 3), st.integers(0, 3))
def test_in_no_period_more_than_bought_and_one_period_brings(
    steps: list[tuple[str, int, int]], messages: int, size: int, free: int, lent: int
) -> None:
    """Whatever is locked, taken and waited for: of what a period brings, no more than the most it ever brought."""
    params = ChatParams(1, 1, 0, 10, free, 2 * free, lent * 100, lent * 100)
    has, time_ns = Allowance(messages, size), 5
    most, bought, taken = params.brings(0), [messages, size], [0, 0]
    for step, one, two in steps:
        period = params.period_of(time_ns)
        if step == "wait":
            time_ns += one * 10**9
            if params.period_of(time_ns) != period:
                taken, most = [0, 0], params.brings(has.locked)
        elif step == "lock":
            has = Allowance(has.messages, has.size, one * DCHAT, has.use)
            more = params.brings(has.locked)
            most = max(most[0], more[0]), max(most[1], more[1])
        else:
            try:
                after = has.after(one, two, period, params.brings(has.locked)).spend(0, 0)
            except e.AllowanceExhausted:
                continue
            for at, (before, now, wanted) in enumerate(
                ((has.messages, after.messages, one), (has.size, after.size, two))
            ):
                bought[at] -= before - now
                taken[at] += wanted - (before - now)
                assert 0 <= now == bought[at]
                assert taken[at] <= most[at]
            has = after
        stored = state_pb2.Allowance.FromString(has.encode())
        assert Allowance.read(stored).encode() == has.encode()


@given(st.integers(10, 30 * DAY), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_farm_of_identities_waits_a_year_for_what_it_paid(period: int, free: int, size: int, price: int) -> None:
    """Whatever the params may be, an identity's free part of a year is no more than its registration's price buys."""
    chat, bridge = ChatGenesis(refill_period_s=period, free_messages=free, free_bytes=size), BridgeGenesis(
        starter_messages=0, starter_bytes=0, registration_price=price
    )  # fmt: skip
    try:
        check_refill("chat", chat, bridge)
    except InvalidAppState:
        return
    assert free * (YEAR_S // period) <= price * bridge.messages_per_dchat // DCHAT
    assert size * (YEAR_S // period) <= price * bridge.bytes_per_dchat // DCHAT


def test_params_that_give_too_much_are_refused_at_genesis() -> None:
    for chat, bridge, said in (
        (ChatGenesis(free_messages=10), None, "what in a year is no more than registration_price"),
        (ChatGenesis(free_bytes=10**6), None, "what in a year is no more than registration_price"),
        (ChatGenesis(unlock_delay_s=10), None, "refill_period_s and more"),
    ):
        with pytest.raises(InvalidAppState, match=said):
            build_app_state({bytes(20): 1}, chat=chat, bridge=bridge)
    app_state = build_app_state({b"a" * 20: 1}, chat=ChatGenesis(free_messages=4))
    for name in ("refill_period_s", "free_messages", "lent_bytes"):  # as documents of before
        del app_state["chat"]["params"][name]
    assert parse_app_state(json.dumps(app_state).encode()).chat == ChatGenesis()


# ------------------------------------------------------------------------------ lent for what is locked


def test_what_is_locked_lends_in_every_period_and_comes_back_after_the_delay() -> None:
    rooms = people(lent_messages=2_000, lent_bytes=2_000_000)
    before, balance = allowance(rooms, rooms.ann), rooms.balance("ann")
    rooms.ok("ann", LockForAllowance(rooms.ann, 10 * DCHAT))
    assert rooms.balance("ann") < balance - 10 * DCHAT
    rooms.ok("ann", *posts(rooms.ann, 12))
    has = allowance(rooms, rooms.ann)
    assert (has.messages, has.size, has.use.messages) == (before.messages, before.size, 12)
    rooms.ok("ann", *posts(rooms.ann, 12))
    assert allowance(rooms, rooms.ann).messages == before.messages - 4
    next_day(rooms)
    rooms.ok("ann", *posts(rooms.ann, 12))
    assert allowance(rooms, rooms.ann).messages == before.messages - 4
    rooms.ok("ann", UnlockAllowance(rooms.ann, 10 * DCHAT))
    rooms.ok("ann", *posts(rooms.ann))
    assert allowance(rooms, rooms.ann).messages == before.messages - 5, "what was lent has ended"
    balance = rooms.balance("ann")
    rooms.wait(DAY - 5)
    assert rooms.balance("ann") == balance
    rooms.wait(10)
    assert "unlocked_allowance" in rooms.told
    assert rooms.balance("ann") == balance + 10 * DCHAT
    assert rooms.state.get(LOCK + rooms.ann) is None
    assert rooms.app.base.get(b"ua" + LOCKS_ADDRESS).balance == 0


def test_locked_udchat_is_neither_spent_nor_paid_to() -> None:
    rooms = people()
    rooms.ok("ann", LockForAllowance(rooms.ann, 300 * DCHAT))
    rooms.refused(e.Overspend, "ann", Payment(rooms.ann, rooms.bob, 700 * DCHAT))
    rooms.refused(e.RecipientRefused, "ann", Payment(rooms.ann, LOCKS_ADDRESS, 1))
    rooms.refused(e.Overspend, "ann", LockForAllowance(rooms.ann, 700 * DCHAT))
    rooms.refused(ae.NotLocked, "ann", UnlockAllowance(rooms.ann, 300 * DCHAT + 1))
    rooms.refused(ae.NotLocked, "bob", UnlockAllowance(rooms.bob, 1))


def test_the_same_udchat_lends_to_one_identity_in_a_period() -> None:
    """Locked, used, unlocked, paid on, locked by the next: the delay is no shorter than a period."""
    rooms = people(lent_messages=2_000, lent_bytes=2_000_000)
    rooms.ok("ann", LockForAllowance(rooms.ann, 800 * DCHAT))
    rooms.ok("ann", *posts(rooms.ann))
    used = allowance(rooms, rooms.ann).use
    rooms.ok("ann", UnlockAllowance(rooms.ann, 800 * DCHAT))
    while rooms.state.get(LOCK + rooms.ann) is not None:
        assert rooms.balance("ann") < 100 * DCHAT, "not to be locked again"
        rooms.wait(DAY // 4)
    assert rooms.state.get(PARAMS).period_of(rooms.time_ns) > used.period
    rooms.ok("ann", Payment(rooms.ann, rooms.bob, 800 * DCHAT))
    rooms.ok("bob", LockForAllowance(rooms.bob, 800 * DCHAT))


def test_locking_again_brings_no_second_share_of_the_period() -> None:
    rooms = people(lent_messages=1_000, lent_bytes=10**7)
    before = allowance(rooms, rooms.ann).messages
    rooms.ok("ann", LockForAllowance(rooms.ann, 5 * DCHAT))
    rooms.ok("ann", *posts(rooms.ann, 5))
    rooms.ok("ann", UnlockAllowance(rooms.ann, 5 * DCHAT))
    rooms.ok("ann", *posts(rooms.ann))  # of what was bought: it does not forget what the period brought
    rooms.ok("ann", LockForAllowance(rooms.ann, 5 * DCHAT))
    rooms.ok("ann", *posts(rooms.ann))
    assert allowance(rooms, rooms.ann).messages == before - 2


def test_a_period_brings_an_identity_that_ends_nothing() -> None:
    """audit 38: a burner's registration costs less than what a period brings, which it would have in each life."""
    rooms = people(free_messages=4, free_bytes=10_000, lent_messages=1_000, lent_bytes=10**7)
    v1 = rooms.address("v1")
    rooms.do("v1", RegisterBurner(v1, "phoenix", "", 600))
    rooms.refused(BurnerMayNot, "v1", LockForAllowance(v1, DCHAT))
    before = allowance(rooms, v1)
    rooms.sequences["v1", "chat"] = rooms.state.get(IDENTITY + v1).sequences[0][1]
    rooms.do("v1", JoinChannel(v1, ROOM))
    after = allowance(rooms, v1)
    assert (after.messages, after.locked, after.use) == (before.messages - 1, 0, UNUSED)


def test_an_identity_that_ends_and_begins_anew_has_no_second_share_of_the_period(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an older build a burner may have locked something: it is lent nothing, and a lasting one nothing at once."""
    rooms = people(lent_messages=1_000, lent_bytes=10**7)
    v1 = rooms.address("v1")
    with monkeypatch.context() as older:
        older.setattr(lending, "require_lasting", require_identity)
        rooms.do("v1", RegisterBurner(v1, "phoenix", "", 600), LockForAllowance(v1, DCHAT))
    rooms.sequences["v1", "chat"] = rooms.state.get(IDENTITY + v1).sequences[0][1]
    rooms.do("v1", JoinChannel(v1, ROOM))
    assert (allowance(rooms, v1).use, allowance(rooms, v1).locked) == (UNUSED, 0)
    rooms.wait(600)
    assert rooms.state.get(IDENTITY + v1) is None
    rooms.do("v1", RegisterIdentity(v1, "phoenix", ""))
    has = allowance(rooms, v1)
    assert (has.locked, has.use.messages, has.use.size) == (DCHAT, 1, 10_000)
    assert rooms.state.get(PARAMS).brings(DCHAT) == (1, 10_000)


def test_what_an_ended_identity_locked_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = people()
    v1 = rooms.address("v1")
    with monkeypatch.context() as older:
        older.setattr(lending, "require_lasting", require_identity)
        rooms.do("v1", RegisterBurner(v1, "brief", "", 600), LockForAllowance(v1, DCHAT))
    rooms.wait(600)
    balance = rooms.balance("v1")
    rooms.do("v1", UnlockAllowance(v1, DCHAT))
    next_day(rooms)
    assert rooms.balance("v1") > balance
    assert rooms.state.get(LOCK + v1) is None


def test_refusals_of_locking() -> None:
    rooms = people(lent_messages=1_000, lent_bytes=0)
    rooms.refused(ae.LendsNothing, "ann", LockForAllowance(rooms.ann, DCHAT - 1))
    chain = Chain({"ann": 10 * DCHAT})
    result = chain.block(chain.tx("ann", LockForAllowance(chain.address("ann"), DCHAT))).tx_results[0]
    assert result.code == e.UnknownIdentity.code
    rooms.ok("ann", LockForAllowance(rooms.ann, 20 * DCHAT))
    for _ in range(UNLOCKS_MAX):
        rooms.ok("ann", UnlockAllowance(rooms.ann, DCHAT), UnlockAllowance(rooms.ann, DCHAT))
    found = rooms.state.get(LOCK + rooms.ann)
    assert found is not None
    assert [amount for amount, _ in found.unlocking] == [2 * DCHAT] * UNLOCKS_MAX
    rooms.refused(ae.TooManyUnlocks, "ann", UnlockAllowance(rooms.ann, DCHAT))
    next_day(rooms)
    assert rooms.state.get(LOCK + rooms.ann) == Lock(6 * DCHAT)


def test_a_chain_that_lends_nothing_says_so_and_gives_back() -> None:
    rooms = people(lent_messages=0, lent_bytes=0)
    rooms.refused(ae.LendsNothing, "ann", LockForAllowance(rooms.ann, 300 * DCHAT))


def test_what_waits_counts_on_no_more_than_what_is_lent() -> None:
    """At the door: the posts that the period still has; none of them when it is unlocked in the block before."""
    rooms = people(lent_messages=1_000, lent_bytes=10**8)
    rooms.ok("ann", LockForAllowance(rooms.ann, 3 * DCHAT))
    rooms.ok("ann", GrantChannelAllowance(rooms.ann, ROOM, allowance(rooms, rooms.ann).messages, 0, 1, 1))
    assert allowance(rooms, rooms.ann).messages == 0
    waiting = [rooms.tx("ann", *posts(rooms.ann)) for _ in range(3)]
    answers = [rooms.check(raw).code for raw in waiting]
    assert answers == [0, 0, e.AllowanceExhausted.code], "the grant was one of the three"
    unlock = rooms.tx("ann", UnlockAllowance(rooms.ann, 3 * DCHAT))
    assert rooms.block(unlock).tx_results[0].code == 0
    assert b"ci" + rooms.ann in (rooms.recheck or ())
    assert recheck(rooms, waiting[0]) == e.AllowanceExhausted.code


# ------------------------------------------------------------------------------ set aside by a channel's owner


def aside(rooms: Rooms, messages: int = 20, size: int = 100_000, member: int = 3, **more: int) -> None:
    member_size = more.pop("member_size", 50_000)
    terms = (member, member_size, more.pop("period", 0), more.pop("period_size", 0))
    rooms.ok("ann", GrantChannelAllowance(rooms.ann, ROOM, messages, size, *terms))


def granted(**more: int) -> Rooms:
    """bob is a member since the day before."""
    rooms = people()
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    next_day(rooms)
    aside(rooms, **more)
    return rooms


def test_a_channel_pays_for_its_members_posts() -> None:
    rooms = granted()
    owners, members, before = allowance(rooms, rooms.ann), allowance(rooms, rooms.bob), pot(rooms)
    paid(rooms, "bob", 2)
    after = pot(rooms)
    assert (before.messages - after.messages, after.use.messages) == (2, 2)
    assert before.size - after.size == after.use.size > 0
    assert rooms.state.get(ASIDE) == Aside(after.messages, after.size)
    for who, had in ((rooms.ann, owners), (rooms.bob, members)):
        assert (allowance(rooms, who).messages, allowance(rooms, who).size) == (had.messages, had.size)
    unpaid(rooms, ae.MemberShareUsed, "bob", 2)
    paid(rooms, "bob")
    unpaid(rooms, ae.MemberShareUsed, "bob")
    rooms.ok("bob", *posts(rooms.bob))  # its own is there beside it
    assert allowance(rooms, rooms.bob).messages == members.messages - 1
    next_day(rooms)
    paid(rooms, "bob", 3)


def test_a_plain_post_rests_on_no_pot() -> None:
    rooms = granted()
    raw = rooms.tx("bob", *posts(rooms.bob))
    assert decode(raw).touches == (b"ci" + rooms.bob,)
    before = pot(rooms)
    assert rooms.block(raw).tx_results[0].code == 0
    assert pot(rooms) == before


def test_bytes_bound_a_share_as_messages_do() -> None:
    """Reserved gas is bytes: whoever names a huge limit drains its own share, and no more."""
    rooms = granted(member_size=3_000)
    huge = by_channel(rooms, "bob", *posts(rooms.bob), gas_limit=9_000_000)
    assert rooms.check(huge).code == ae.MemberShareUsed.code
    rooms.sequences.clear()
    rooms.sequences["bob", "chat"] = 0
    assert pot(rooms).size == 100_000


def test_it_stops_when_the_pot_is_empty() -> None:
    rooms = granted(messages=2)
    paid(rooms, "bob", 2)
    unpaid(rooms, ae.ChannelAllowanceEmpty, "bob")
    aside(rooms, messages=1, size=0)
    paid(rooms, "bob")
    assert pot(rooms).messages == 0


def test_all_members_together_have_a_bound_in_a_period() -> None:
    rooms = granted(period=4)
    rooms.ok("carl", JoinChannel(rooms.carl, ROOM))
    next_day(rooms)
    paid(rooms, "bob", 3)
    unpaid(rooms, ae.ChannelShareUsed, "carl", 2)
    paid(rooms, "carl")
    next_day(rooms)
    paid(rooms, "carl", 3)


def test_only_an_owner_sets_aside_and_only_what_was_bought() -> None:
    rooms = people(lent_messages=10**6, lent_bytes=10**9)
    grant = GrantChannelAllowance(rooms.bob, ROOM, 1, 1, 1, 1)
    rooms.refused(e.NotPermitted, "bob", grant)
    rooms.refused(e.UnknownChannel, "ann", grant._replace(owner=rooms.ann, channel_id=channel_id("none")))
    rooms.ok("ann", LockForAllowance(rooms.ann, 300 * DCHAT))
    bought = allowance(rooms, rooms.ann)
    rooms.refused(e.AllowanceExhausted, "ann", grant._replace(owner=rooms.ann, more_messages=bought.messages + 1))
    rooms.ok("ann", grant._replace(owner=rooms.ann))
    rooms.refused(e.NotPermitted, "bob", EndChannelAllowance(rooms.bob, ROOM))
    rooms.ok("ann", EndChannelAllowance(rooms.ann, ROOM))
    rooms.refused(ae.NoChannelAllowance, "ann", EndChannelAllowance(rooms.ann, ROOM))
    with pytest.raises(e.InvalidField):
        decode(rooms.tx("ann", grant._replace(owner=rooms.ann, member_bytes=0)))
    with pytest.raises(e.InvalidField):
        decode(rooms.tx("ann", grant._replace(owner=rooms.ann, member_messages=5, period_messages=4)))


def test_what_is_left_comes_back() -> None:
    rooms = granted()
    paid(rooms, "bob", 2)
    left, before = pot(rooms), allowance(rooms, rooms.ann)
    raw = rooms.tx("ann", EndChannelAllowance(rooms.ann, ROOM), lane=LANE_BRIDGE)
    assert rooms.block(raw).tx_results[0].code == 0
    after = allowance(rooms, rooms.ann)
    assert (after.messages - before.messages, after.size - before.size) == (left.messages, left.size)
    assert rooms.state.get(ASIDE) is None
    unpaid(rooms, ae.NoChannelAllowance, "bob")
    aside(rooms)  # in the same period: what bob took of the first is not forgotten
    unpaid(rooms, ae.MemberShareUsed, "bob", 2)
    paid(rooms, "bob")


# ------------------------------------------------------------------------------ who drains it


def test_a_channel_pays_for_posts_to_it_and_for_nothing_else() -> None:
    """Edits, reactions, retractions, marks, another channel's posts, another's: refused before any state is read."""
    rooms = granted()
    rooms.ok("bob", CreateChannel(rooms.bob, "other", 0, ""))
    bob, other = rooms.bob, channel_id("other")
    for message in (
        EditMessage(bob, ROOM, 0, b"y"), RetractMessage(bob, ROOM, 0), React(bob, ROOM, 0, 1), MarkRead(bob, ROOM, 1),
        LeaveChannel(bob, ROOM), PostMessage(bob, other, b"x", 0), CreateChannel(bob, "third", 0, ""),
    ):  # fmt: skip
        for messages in ((message,), (*posts(bob), message)):
            raw = by_channel(rooms, "bob", *messages)
            answer = rooms.check(raw)
            assert answer.code == e.InvalidField.code, answer.log
            assert "for nothing else" in answer.log
    two = rooms.tx(("bob", "carl"), *posts(bob), *posts(rooms.carl), fee_granter=ROOM)
    assert "one member at a time" in rooms.check(two).log
    assert "is a signer" not in rooms.check(by_channel(rooms, "bob", *posts(bob), channel=b"x" * 20)).log


def test_a_crowd_that_joins_to_drain_has_nothing_in_this_period() -> None:
    """Members that are sybils: each pays for its identity and its place, waits for the next period, and has one share;
    all together have no more than the bound of a period."""
    rooms = granted(period=4)
    for name in ("carl", "dora"):
        rooms.ok(name, JoinChannel(rooms.address(name), ROOM))
        unpaid(rooms, ae.JoinedThisPeriod, name)
    next_day(rooms)
    paid(rooms, "carl", 3)
    unpaid(rooms, ae.ChannelShareUsed, "dora", 3)
    assert pot(rooms).use.messages == 3


def test_leaving_and_coming_back_brings_no_second_share() -> None:
    rooms = granted()
    paid(rooms, "bob", 3)
    rooms.ok("bob", LeaveChannel(rooms.bob, ROOM))
    unpaid(rooms, e.NotMember, "bob")
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    unpaid(rooms, ae.JoinedThisPeriod, "bob")
    assert pot(rooms).messages == 17


def test_who_is_banned_takes_nothing_more() -> None:
    """Also of what was admitted before: it is dropped with the ban."""
    rooms = granted()
    waiting = by_channel(rooms, "bob", *posts(rooms.bob))
    assert rooms.check(waiting).code == 0
    rooms.ok("ann", BanMember(rooms.ann, ROOM, rooms.bob, 0))
    assert b"cm" + ROOM + rooms.bob in (rooms.recheck or ())
    assert recheck(rooms, waiting) == e.NotMember.code
    assert rooms.prepare(waiting) == ()
    rooms.sequences["bob", "chat"] -= 1
    rooms.ok("ann", UnbanMember(rooms.ann, ROOM, rooms.bob))
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    unpaid(rooms, ae.JoinedThisPeriod, "bob")


def test_guests_and_archived_channels_take_nothing() -> None:
    rooms = granted()
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, GUEST))
    unpaid(rooms, e.NotPermitted, "bob")
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, 0))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, archived=True))
    unpaid(rooms, e.ChannelArchived, "bob")


def test_it_ends_with_a_paid_membership() -> None:
    rooms = people()
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, join_price=DCHAT, period_s=2 * DAY))
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, DCHAT, 2 * DAY))
    next_day(rooms)
    aside(rooms)
    paid(rooms, "bob")
    rooms.time_ns += DAY * 10**9
    raw = by_channel(rooms, "bob", *posts(rooms.bob))
    assert e.MembershipEnded.rule in rooms.propose(raw)  # before it is taken away
    rooms.wait(1)
    assert rooms.state.get(member_key(ROOM, rooms.bob)) is None


def test_a_post_of_the_epoch_before_costs_a_share_and_no_more() -> None:
    """Encrypted: a post of another epoch is charged, as any that fails; a ban takes the share with it."""
    rooms = people()
    rooms.ok("ann", CreateChannel(rooms.ann, "vault", 0, "", access=INVITED, encrypted=True))
    vault = channel_id("vault")
    rooms.ok("ann", InviteMember(rooms.ann, vault, rooms.bob, DAY, False))
    rooms.ok("bob", JoinChannel(rooms.bob, vault))
    next_day(rooms)
    rooms.ok("ann", GrantChannelAllowance(rooms.ann, vault, 10, 100_000, 2, 50_000))
    for _ in range(2):
        raw = by_channel(rooms, "bob", PostMessage(rooms.bob, vault, b"x", 0, epoch=1), channel=vault)
        assert rooms.block(raw).tx_results[0].code == e.WrongEpoch.code
    again = by_channel(rooms, "bob", PostMessage(rooms.bob, vault, b"x", 0, epoch=1), channel=vault)
    assert rooms.check(again).code == ae.MemberShareUsed.code
    rooms.ok("ann", BanMember(rooms.ann, vault, rooms.bob, 0))
    assert rooms.check(again).code == e.NotMember.code
    found = rooms.app.base.get(POT + vault)
    assert found is not None
    assert found.messages == 8


def test_a_channel_that_is_handed_on_takes_no_pot_along() -> None:
    """The heir gets the channel, and its owner what was set aside: also what others wait to take of it is refused."""
    rooms = granted()
    rooms.ok("ann", OfferChannel(rooms.ann, ROOM, rooms.bob))
    waiting = by_channel(rooms, "bob", *posts(rooms.bob))
    assert rooms.check(waiting).code == 0
    before, left = allowance(rooms, rooms.ann), pot(rooms)
    rooms.sequences["bob", "chat"] -= 1
    rooms.ok("bob", AcceptChannel(rooms.bob, ROOM))
    after = allowance(rooms, rooms.ann)
    assert (after.messages, after.size) == (before.messages + left.messages, before.size + left.size)
    assert rooms.state.get(POT + ROOM) is None
    assert b"ca" + ROOM in (rooms.recheck or ())
    rooms.refused(ae.NoChannelAllowance, "bob", EndChannelAllowance(rooms.bob, ROOM))
    rooms.refused(e.NotPermitted, "ann", EndChannelAllowance(rooms.ann, ROOM))


def test_admission_counts_what_waits_against_the_pot_and_each_share() -> None:
    """However many wait at once: no more are admitted than will be paid for, and what is paid for stays counted."""
    rooms = granted(messages=4)
    rooms.ok("carl", JoinChannel(rooms.carl, ROOM))
    next_day(rooms)
    mine = [by_channel(rooms, "bob", *posts(rooms.bob)) for _ in range(4)]
    theirs = [by_channel(rooms, "carl", *posts(rooms.carl)) for _ in range(2)]
    assert [rooms.check(raw).code for raw in mine] == [0, 0, 0, ae.MemberShareUsed.code]
    assert [rooms.check(raw).code for raw in theirs] == [0, ae.ChannelAllowanceEmpty.code]
    results = rooms.block(*mine[:2]).tx_results
    assert [result.code for result in results] == [0, 0]
    assert rooms.recheck == frozenset()
    assert [recheck(rooms, raw) for raw in (mine[2], theirs[0])] == [0, 0]
    assert rooms.check(theirs[1]).code == ae.ChannelAllowanceEmpty.code
    rooms.ok("ann", MarkRead(rooms.ann, ROOM, 1))
    aside(rooms, messages=1, size=0, member=1)  # the terms changed
    assert b"ca" + ROOM in (rooms.recheck or ())
    assert recheck(rooms, mine[2]) == ae.MemberShareUsed.code


def test_a_grant_is_counted_once_where_its_owner_signs() -> None:
    """In the chat lane the owner's identity is the signer's: nothing of it stays counted when it is in a block."""
    rooms = people()
    grant = GrantChannelAllowance(rooms.ann, ROOM, 1, 1, 1, 1)
    raw = rooms.tx("ann", grant, grant)
    assert decode(raw).touches == (b"ci" + rooms.ann,)
    assert rooms.check(raw).code == 0
    assert rooms.block(raw).tx_results[0].code == 0
    assert len(rooms.app._check) == 0


def test_its_events_and_receipts() -> None:
    rooms = granted()
    raw = by_channel(rooms, "bob", *posts(rooms.bob))
    (result,) = rooms.block(raw).tx_results
    assert [event.type for event in result.events] == ["use_channel_allowance", "post_message"]
    result = rooms.ok("ann", EndChannelAllowance(rooms.ann, ROOM))
    assert [event.type for event in result.events] == ["end_channel_allowance"]
