"""Scores: where they come from, how they go, and that no set of accounts makes any by acting on itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.app_state.document import BridgeGenesis
from chain.chat.channels.burners import first_sequences
from chain.chat.ledger.records import IDENTITY, PARAMS, Allowance, ChatParams, Identity
from chain.chat.reputation import scores
from chain.chat.reputation.records import REPUTATION, Reputation
from chain.chat.reputation.scores import ACTS_MAX, BUDGET, FACTORS, HALF_LIFE, PERIOD_NS, SCORE_MAX, decayed
from chain.currency.rewards.distribution import total_supply
from chain.kernel.branch import Branch
from chain.kernel.context import Context
from chain.tx import chat_errors as ce
from chain.tx import chat_errors as re
from chain.tx import errors as e
from chain.tx.errors import TxError
from chain.tx.identity_errors import BurnerMayNot
from chain.tx.messages import (
    CreateChannel,
    JoinChannel,
    Message,
    Payment,
    PostMessage,
    RegisterBurner,
    RegisterIdentity,
    Tip,
    channel_id,
    decode_message,
    encode_message,
)
from chain.tx.messages.chat import GUEST, React, RetractMessage, SetMemberRole
from chain.tx.messages.chat.reputation import EndorseAuthor, HonourAuthor, ReportMessage, ResolveReport
from chain.tx.policies import single_key_policy
from governance.actions import change_params
from tests.support.chain.harness import wallet
from tests.support.chain.rooms import DCHAT, ROOM, Rooms
from tests.support.counts import counted

PRICE = 250_000  # of a registration
SHARE = PRICE // (BUDGET * ACTS_MAX)
DAY = 86_400


def talking(**genesis: object) -> Rooms:
    """All four are members, and each posted: ann's is message 0, bob's 1, carl's 2, dora's 3."""
    rooms = Rooms(**genesis).opened()
    for name in ("bob", "carl", "dora"):
        rooms.ok(name, JoinChannel(rooms.address(name), ROOM))
    for name in ("ann", "bob", "carl", "dora"):
        rooms.ok(name, PostMessage(rooms.address(name), ROOM, b"hello", 0))
    return rooms


def has(rooms: Rooms, who: bytes) -> Reputation | None:
    return rooms.get(REPUTATION + who)


def score(rooms: Rooms, who: bytes) -> int:
    return scores.score_at(rooms.app.base, who, scores.period_of(rooms.now_ns)).score


# ------------------------------------------------------------------------------ decay


def test_half_is_left_after_thirty_periods() -> None:
    assert decayed(10**6, 0) == 10**6
    assert decayed(10**6, HALF_LIFE) == 500_000
    assert decayed(10**6, 2 * HALF_LIFE) == 250_000
    assert [decayed(10**6, periods) for periods in (1, 15, 29)] == [977_159, 707_106, 511_686]  # 10^6 * 2^(-n/30)
    assert decayed(SCORE_MAX, 57 * HALF_LIFE) == decayed(SCORE_MAX, 1 << 64) == 0
    assert FACTORS[0] == 1 << 32
    assert all(later < earlier for earlier, later in pairwise(FACTORS))


@given(st.integers(0, SCORE_MAX), st.lists(st.integers(0, 90), max_size=6))
def test_who_is_touched_often_keeps_no_more(score: int, steps: list[int]) -> None:
    left = score
    for periods in steps:
        left = decayed(left, periods)
    assert left**HALF_LIFE << sum(steps) <= score**HALF_LIFE  # left <= score * 2^(-n/30), in whole numbers
    assert decayed(score, sum(steps)) - left <= len(steps) + (score >> 28)  # and loses no more than is cut


def test_a_budget_is_less_than_half_of_what_decays() -> None:
    """(1 + 1/128) * 2^(-1/30) <= 2^(-1/60): what the proof in docs/reputation.md rests on, in whole numbers."""
    assert (BUDGET + 1) ** (2 * HALF_LIFE) <= 2 * BUDGET ** (2 * HALF_LIFE)


# ------------------------------------------------------------------------------ acts, on a chain


def test_an_endorsement_gives_a_share_once_a_day_to_each() -> None:
    rooms = talking()
    assert has(rooms, rooms.ann) is None
    result = rooms.ok("ann", EndorseAuthor(rooms.ann, ROOM, 1))
    (said,) = [event for event in result.events if event.type == "endorse_author"]
    assert {key: value for key, value, _ in said.attributes}["points"] == str(SHARE)
    assert score(rooms, rooms.ann) == PRICE  # it costs its giver the share of a budget, and nothing else
    assert score(rooms, rooms.bob) == PRICE + SHARE
    assert rooms.refused(re.ActedAlready, "ann", EndorseAuthor(rooms.ann, ROOM, 1))
    rooms.ok("ann", EndorseAuthor(rooms.ann, ROOM, 2))
    rooms.wait(DAY)
    before = score(rooms, rooms.bob)
    rooms.ok("ann", EndorseAuthor(rooms.ann, ROOM, 1))
    assert score(rooms, rooms.bob) == before + decayed(PRICE, 1) // (BUDGET * ACTS_MAX)


def test_a_budget_has_eight_shares_a_day() -> None:
    rooms = talking()
    for number in range(ACTS_MAX):
        name = f"new{number}"
        rooms.wallets[name] = wallet(name)
        who = rooms.address(name)
        rooms.ok("ann", Payment(rooms.ann, who, DCHAT))
        rooms.ok(name, RegisterIdentity(who, name, ""))
        rooms.ok(name, JoinChannel(who, ROOM), PostMessage(who, ROOM, b"me too", 0))
        rooms.ok("ann", EndorseAuthor(rooms.ann, ROOM, 4 + number))
    rooms.refused(re.BudgetSpent, "ann", EndorseAuthor(rooms.ann, ROOM, 1))
    rooms.wait(DAY)
    rooms.ok("ann", EndorseAuthor(rooms.ann, ROOM, 1))


def test_honouring_burns_what_it_gives() -> None:
    rooms = talking()
    supply, balance = total_supply(rooms.app.base), rooms.balance("ann")
    result = rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, 3 * DCHAT))
    assert total_supply(rooms.app.base) <= supply - 3 * DCHAT
    assert rooms.balance("ann") <= balance - 3 * DCHAT
    assert [event.type for event in result.events if event.type in ("burn", "honour_author")] == [
        "honour_author",
        "burn",
    ]
    assert score(rooms, rooms.bob) == PRICE + 3 * DCHAT
    assert has(rooms, rooms.ann) is None
    rooms.wait(HALF_LIFE * DAY)
    assert score(rooms, rooms.bob) == (PRICE + 3 * DCHAT) // 2


def test_an_identity_begins_with_the_least_that_a_registration_ever_cost() -> None:
    """Of a price that rose nobody has more than what the cheapest name cost; of one that was nothing, nothing."""
    free = BridgeGenesis(registration_price=0, starter_messages=0, starter_bytes=0)
    rooms = talking(bridge=free)
    assert score(rooms, rooms.ann) == 0
    assert rooms.refused(re.NothingToGive, "ann", EndorseAuthor(rooms.ann, ROOM, 1))
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, 1_024))
    rooms.wait(DAY)
    assert rooms.refused(re.NothingToGive, "bob", EndorseAuthor(rooms.bob, ROOM, 0))  # a day's decay below it
    rooms.ok("ann", HonourAuthor(rooms.ann, ROOM, 1, 10**6))
    assert rooms.refused(re.NothingToGive, "bob", EndorseAuthor(rooms.bob, ROOM, 0))  # from the next day on
    rooms.wait(DAY)
    rooms.ok("bob", EndorseAuthor(rooms.bob, ROOM, 0))


def test_refusals() -> None:
    rooms = talking()
    ann, none = rooms.ann, channel_id("none")
    rooms.refused(re.OwnMessage, "ann", EndorseAuthor(ann, ROOM, 0))
    rooms.refused(re.OwnMessage, "ann", HonourAuthor(ann, ROOM, 0, 1))
    rooms.refused(e.UnknownMessage, "ann", EndorseAuthor(ann, ROOM, 9))
    rooms.refused(e.UnknownMessage, "ann", HonourAuthor(ann, ROOM, 9, 1))
    rooms.refused(e.UnknownChannel, "ann", EndorseAuthor(ann, none, 0))
    rooms.refused(e.UnknownChannel, "ann", HonourAuthor(ann, none, 0, 1))
    rooms.refused(e.Overspend, "ann", HonourAuthor(ann, ROOM, 1, 10**6 * DCHAT))
    rooms.ok("bob", RetractMessage(rooms.bob, ROOM, 1))
    rooms.refused(ce.MessageForgotten, "ann", EndorseAuthor(ann, ROOM, 1))
    rooms.refused(ce.MessageForgotten, "ann", HonourAuthor(ann, ROOM, 1, 1))
    rooms.ok("ann", SetMemberRole(ann, ROOM, rooms.carl, GUEST))
    rooms.refused(ce.NotPermitted, "carl", EndorseAuthor(rooms.carl, ROOM, 0))
    rooms.ok("ann", CreateChannel(ann, "other", 0, ""), PostMessage(ann, channel_id("other"), b"x", 0))
    rooms.refused(e.NotMember, "bob", EndorseAuthor(rooms.bob, channel_id("other"), 0))


@pytest.mark.parametrize(
    "message",
    [
        EndorseAuthor(bytes(19), ROOM, 0), EndorseAuthor(bytes(20), bytes(3), 0),
        HonourAuthor(bytes(19), ROOM, 0, 1), HonourAuthor(bytes(20), bytes(3), 0, 1),
        HonourAuthor(bytes(20), ROOM, 0, 0),
    ],
)  # fmt: skip
def test_what_a_message_may_not_say(message: Message) -> None:
    with pytest.raises(TxError):
        decode_message(encode_message(message))


def test_what_was_never_acted_on_costs_no_record() -> None:
    """Posting, reacting, paying and tipping in circles is free of it, and earns nothing."""
    rooms = talking()
    ring = [("ann", "bob", 1), ("bob", "carl", 2), ("carl", "dora", 3), ("dora", "ann", 0)]
    for _ in range(5):
        for who, other, index in ring:
            address = rooms.address(who)
            rooms.ok(who, Tip(address, ROOM, index, 100 * DCHAT))
            rooms.ok(who, Payment(address, rooms.address(other), DCHAT))
        rooms.wait(60)
    for who, _, index in ring:
        rooms.ok(who, React(rooms.address(who), ROOM, index, 1))
    assert all(has(rooms, rooms.address(who)) is None for who, _, _ in ring)
    assert all(score(rooms, rooms.address(who)) == PRICE for who, _, _ in ring)


# ------------------------------------------------------------------------------ the bound


class Ledger:
    """Scores over a state of its own, and what came to the set of `ring` from outside, by period."""

    def __init__(self, ring: int, others: int, base: int) -> None:
        self.branch = Branch(lambda key: None)
        self.branch.set(PARAMS, ChatParams(1, 1, 1, score_base=base))
        self.ctx = Context(self.branch, height=1, time_ns=PERIOD_NS)
        self.ctx.gas_limit = 1 << 60
        self.all = [bytes([number + 1]) * 20 for number in range(ring + others)]
        self.ring = set(self.all[:ring])
        self.inflow: list[tuple[int, int]] = []
        for who in self.all:
            identity = Identity(who, "", "", b"", (), Allowance(0, 0), 1, created_day=self.period)
            self.branch.set(IDENTITY + who, identity)
            self.came(who, base)

    @property
    def period(self) -> int:
        return scores.period_of(self.ctx.time_ns)

    def came(self, who: bytes, points: int) -> None:
        if who in self.ring:
            self.inflow.append((self.period, points))

    def endorse(self, giver: bytes, other: bytes) -> None:
        if giver == other:
            return
        try:
            points = scores.take_share(self.ctx, giver, other)
        except re.ReputationError:
            return
        scores.raise_score(self.ctx, other, points)
        if giver not in self.ring:
            self.came(other, points)

    def honour(self, other: bytes, points: int) -> None:
        scores.raise_score(self.ctx, other, points)
        self.came(other, points)

    def judge(self, by: bytes, other: bytes) -> None:
        """Takes from somebody, as an upheld report does."""
        if by != other:
            try:
                scores.lower_score(self.ctx, other, scores.take_share(self.ctx, by, other))
            except re.ReputationError:
                return

    def total(self) -> int:
        return sum(scores.score_at(self.branch, who, self.period).score for who in self.ring)

    def bound(self) -> float:
        """What docs/reputation.md proves: (1 + 1/128) of all that came, half of it gone in 60 periods."""
        came = sum(points * 2.0 ** (-(self.period - at) / (2 * HALF_LIFE)) for at, points in self.inflow)
        return (1 + 1 / BUDGET) * came * (1 + 1e-12)


WHO = st.integers(0, 9)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("endorse"), WHO, WHO),
        st.tuples(st.just("endorse"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("judge"), WHO, WHO),
        st.tuples(st.just("honour"), WHO, st.integers(1, 10**9)),
        st.tuples(st.just("wait"), st.integers(0, 70), st.just(0)),
    ),
    max_size=120,
)


@settings(max_examples=counted(40, whole=150), deadline=None)
@given(ACTS, st.sampled_from((0, 1_024, PRICE, 10**9)))
def test_a_set_has_no_more_than_what_came_into_it_from_outside(acts: list[tuple[str, int, int]], base: int) -> None:
    """Six accounts that do to each other what they like, and four others, of whom some may help them."""
    ledger = Ledger(6, 4, base)
    for kind, one, other in acts:
        if kind == "wait":
            ledger.ctx.time_ns += one * PERIOD_NS
        elif kind == "honour":
            ledger.honour(ledger.all[one], other)
        else:
            (ledger.endorse if kind == "endorse" else ledger.judge)(ledger.all[one], ledger.all[other])
        assert ledger.total() <= ledger.bound()


@pytest.mark.parametrize("size", [2, 9, 40])
def test_the_best_that_a_ring_can_do_is_to_lose_half_in_sixty_days(size: int) -> None:
    """Sybils that spend every share on each other, each day: one more of them brings what its name cost, no more."""
    ledger = Ledger(size, 0, PRICE)
    whole = ledger.total()
    assert whole == size * PRICE
    totals = []
    for _ in range(2 * HALF_LIFE):
        for at, who in enumerate(ledger.all):
            for step in range(1, 1 + min(ACTS_MAX, size - 1)):
                ledger.endorse(who, ledger.all[(at + step) % size])
        totals.append(ledger.total())
        ledger.ctx.time_ns += PERIOD_NS
    assert totals[0] <= whole + whole // BUDGET
    assert all(later < earlier for earlier, later in pairwise(totals))
    assert whole // 4 <= ledger.total() <= whole // 2


def test_hoarded_names_decay_though_nobody_touches_them() -> None:
    """Audit 39. Twenty that never act, for twenty half lives; a chain's own records tell when they were registered."""
    rooms = Rooms().opened()
    names = [f"hoard{number}" for number in range(20)]
    for name in names:
        rooms.wallets[name] = wallet(name)
        rooms.ok("ann", Payment(rooms.ann, rooms.address(name), DCHAT))
        rooms.ok(name, RegisterIdentity(rooms.address(name), name, ""))
    since = scores.period_of(rooms.now_ns)
    for _ in range(6):
        rooms.wait(100 * DAY)
    passed = scores.period_of(rooms.now_ns) - since
    assert passed >= 20 * HALF_LIFE
    total = sum(score(rooms, rooms.address(name)) for name in names)
    assert total**60 << passed <= (20 * PRICE) ** 60  # total <= 20 * PRICE * 2^(-n/60), in whole numbers
    assert all(has(rooms, rooms.address(name)) is None for name in names)


def test_an_identity_from_before_the_day_was_kept_begins_to_decay_when_it_is_touched() -> None:
    ledger = Ledger(1, 0, PRICE)
    (who,) = ledger.all
    old = Identity(who, "", "", b"", (), Allowance(0, 0), 1)
    assert Identity.decode(old.with_policy(single_key_policy(bytes(32)), ()).encode()).created_day == 0
    ledger.branch.set(IDENTITY + who, old)
    ledger.ctx.time_ns += 90 * PERIOD_NS
    assert ledger.total() == PRICE
    scores.touch(ledger.ctx, who)
    ledger.ctx.time_ns += HALF_LIFE * PERIOD_NS
    assert ledger.total() == PRICE // 2


def test_a_new_ring_has_nothing_that_its_names_did_not_cost() -> None:
    ledger = Ledger(30, 0, 0)
    for _ in range(100):
        for at, who in enumerate(ledger.all):
            ledger.endorse(who, ledger.all[(at + 1) % 30])
        ledger.ctx.time_ns += PERIOD_NS
    assert ledger.total() == 0


def test_a_price_that_rises_gives_old_names_nothing() -> None:
    """What a score begins with follows the least that a registration ever cost."""
    branch = Branch(Rooms().app.base.get)
    for price, base in ((10**6, PRICE), (10**9, PRICE), (262_144, PRICE), (10**6, PRICE)):
        change_params(branch, {"bridge": {"registration_price": str(price)}})
        assert branch.get(PARAMS).score_base == base
    less = {"registration_price": "100", "starter_messages": "0", "starter_bytes": "0"}
    change_params(branch, {"bridge": less})
    assert branch.get(PARAMS).score_base == 100
    change_params(branch, {"bridge": {"registration_price": "500000"}})
    assert branch.get(PARAMS).score_base == 100
    assert ChatParams.decode(ChatParams(1, 2, 3).encode()).score_base == 0  # as an older chain's has it


def test_a_burner_has_no_score_and_gets_none() -> None:
    """It would go with it, and its like would begin anew."""
    rooms = talking()
    rooms.wallets["fay"] = wallet("fay")
    fay = rooms.address("fay")
    rooms.ok("ann", Payment(rooms.ann, fay, DCHAT))
    rooms.ok("fay", RegisterBurner(fay, "fay", "", 86_400))
    rooms.sequences["fay", "chat"] = first_sequences(rooms.height)[0][1]
    rooms.ok("fay", JoinChannel(fay, ROOM), PostMessage(fay, ROOM, b"soon gone", 0))
    rooms.refused(BurnerMayNot, "ann", EndorseAuthor(rooms.ann, ROOM, 4))
    rooms.refused(BurnerMayNot, "ann", HonourAuthor(rooms.ann, ROOM, 4, 1))
    rooms.refused(re.NothingToGive, "fay", EndorseAuthor(fay, ROOM, 0))
    rooms.ok("fay", ReportMessage(fay, ROOM, 1, 1))
    rooms.ok("bob", ReportMessage(rooms.bob, ROOM, 4, 1))
    rooms.ok("ann", ResolveReport(rooms.ann, ROOM, 1, b"", 2))
    rooms.ok("ann", ResolveReport(rooms.ann, ROOM, 4, b"", 1))
    assert score(rooms, fay) == 0
    assert has(rooms, fay) is None
    rooms.wait(2 * DAY)
    assert rooms.get(IDENTITY + fay) is None
