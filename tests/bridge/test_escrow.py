"""Escrows: who is paid by whose word, when money goes back by itself, and what nobody can make of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge import escrow as machine
from bridge.escrow import UDCHAT_MIN
from bridge.escrow_records import AHEAD_NS_MAX, BY_PARTY, DEADLINES, Escrow
from bridge.records import ESCROW_ADDRESS
from chain.chat.ledger.records import IDENTITY
from chain.chat.messages.records import message_key
from chain.tx import errors as e
from chain.tx import gas
from chain.tx.envelope.build import Seat, build_body, sign_body
from chain.tx.envelope.tx import decode
from chain.tx.messages import (
    KINDS,
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    channel_id,
)
from chain.tx.messages import escrow as escrow_messages
from chain.tx.messages.chat import RetractMessage
from chain.tx.messages.escrow import (
    Attest,
    Attested,
    BalanceAtLeast,
    Condition,
    EscrowReference,
    MemberOf,
    MessagePlace,
    Posted,
    ReleaseEscrow,
    Require,
    TimeBefore,
    TimeFrom,
    escrow_id,
)
from chain.tx.messages.grants import INNER
from crypto.hash import sha256
from proto.dchat.v1 import tx_pb2
from tests.support.chain.deal import DCHAT, ROOM, Deal, parties
from tests.support.chain.harness import CHAIN_ID, SECOND_NS

STATEMENT = sha256(b"the goods have arrived")


# ------------------------------------------------------------------------------ who is paid


def test_the_buyers_word_pays_the_seller() -> None:
    deal = Deal()
    at = deal.open()
    assert (deal.held, deal.balance("bob") // DCHAT) == (DCHAT, 99)
    before = deal.balance("bob")
    receipt = deal.good("ann", ReleaseEscrow(deal.ann, at))
    assert (receipt.legs[0].kind, receipt.legs[0].amount, receipt.legs[0].subject) == ("release_escrow", DCHAT, at.id)
    assert (deal.balance("bob"), deal.held, deal.escrow(at)) == (before + DCHAT, 0, None)
    assert not list(deal.app.base.scan(BY_PARTY))
    assert not list(deal.app.base.scan(DEADLINES.prefix))
    totals = machine.totals_of(deal.app.base)
    assert (totals.opened, totals.open, totals.released, totals.refunded) == (1, 0, DCHAT, 0)


def test_its_id_is_known_before_it_exists() -> None:
    deal = Deal()
    receipt = deal.good("ann", Payment(deal.ann, deal.bob, 5), deal.opening())
    assert receipt.legs[1].subject == escrow_id(decode(deal.last).replay_id, 1)


def test_parts_are_released_until_nothing_is_left() -> None:
    deal = Deal()
    at, before = deal.open(), deal.balance("bob")
    deal.good("ann", ReleaseEscrow(deal.ann, at, 300_000))
    found = deal.escrow(at)
    assert found is not None
    assert (found.left, deal.balance("bob")) == (700_000, before + 300_000)
    deal.refused("ann", ReleaseEscrow(deal.ann, at, 700_001), by=e.EscrowHoldsLess)
    deal.refused("ann", ReleaseEscrow(deal.ann, at, 700_000 - UDCHAT_MIN + 1), by=e.EscrowTooSmall)
    deal.refused("ann", ReleaseEscrow(deal.ann, at, UDCHAT_MIN - 1), by=e.EscrowTooSmall)
    deal.good("ann", ReleaseEscrow(deal.ann, at, 700_000))
    assert (deal.balance("bob"), deal.held) == (before + DCHAT, 0)


def test_two_of_three_say_the_same_and_it_is_paid_once() -> None:
    deal = Deal()
    at, before = deal.open(parties=parties(deal.ann, deal.carl, deal.dora), threshold=2), deal.balance("bob")
    deal.good("ann", ReleaseEscrow(deal.ann, at))
    deal.good("ann", ReleaseEscrow(deal.ann, at), memo="again")  # one word, however often
    deal.good("carl", ReleaseEscrow(deal.carl, at, 400_000))  # another one
    assert (deal.balance("bob"), deal.held) == (before, DCHAT)
    deal.good("dora", ReleaseEscrow(deal.dora, at, 400_000))
    found = deal.escrow(at)
    assert found is not None
    assert (deal.balance("bob"), found.left, found.words) == (before + 400_000, 600_000, ())  # ann's was of the whole
    deal.good("carl", ReleaseEscrow(deal.carl, at, 400_000), memo="once more")
    assert deal.balance("bob") == before + 400_000
    deal.refused("bob", ReleaseEscrow(deal.bob, at), by=e.NotEscrowParty)


def test_the_arbiter_decides_either_way() -> None:
    deal = Deal()
    at, before = deal.open(parties=(deal.ann,), threshold=1, arbiter=deal.carl), deal.balances()
    deal.good("carl", ReleaseEscrow(deal.carl, at, 600_000))
    deal.good("carl", ReleaseEscrow(deal.carl, at, recipient=deal.ann))
    assert deal.balance("bob") - before["bob"] == 600_000
    assert deal.balance("ann") - before["ann"] == 400_000
    assert machine.totals_of(deal.app.base).given_back == 400_000


def test_the_recipient_gives_back_and_the_sender_does_not_take_back() -> None:
    deal = Deal()
    at, before = deal.open(), deal.balances()
    deal.refused("ann", ReleaseEscrow(deal.ann, at, recipient=deal.ann), by=e.EscrowRecipientRefused)
    deal.refused("ann", ReleaseEscrow(deal.ann, at, recipient=deal.carl), by=e.EscrowRecipientRefused)
    deal.refused("bob", ReleaseEscrow(deal.bob, at), by=e.NotEscrowParty)
    before["ann"] = deal.balance("ann")
    deal.good("bob", ReleaseEscrow(deal.bob, at, 400_000, deal.ann))
    deal.good("bob", ReleaseEscrow(deal.bob, at, recipient=deal.ann))
    assert deal.balance("ann") == before["ann"] + DCHAT


def test_a_bounty_goes_to_whom_its_owner_names() -> None:
    deal = Deal()
    at, before = deal.open(recipient=b""), deal.balance("dora")
    deal.refused("ann", ReleaseEscrow(deal.ann, at), by=e.EscrowRecipientRefused)
    deal.refused("ann", ReleaseEscrow(deal.ann, at, recipient=deal.ann), by=e.EscrowRecipientRefused)
    deal.refused("dora", ReleaseEscrow(deal.dora, at, recipient=deal.dora), by=e.NotEscrowParty)
    deal.refused("ann", ReleaseEscrow(deal.ann, at, recipient=ESCROW_ADDRESS), by=e.RecipientRefused)
    before = deal.balance("dora")
    deal.good("ann", ReleaseEscrow(deal.ann, at, recipient=deal.dora))
    assert deal.balance("dora") == before + DCHAT


# ------------------------------------------------------------------------------ conditions


def conditions_of(deal: Deal) -> dict[str, tuple[Condition, Callable[[], object]]]:
    """A condition that does not hold, and what makes it hold."""
    poor = deal.balance("dora") + 5
    return {
        "a balance": (BalanceAtLeast(deal.dora, poor), lambda: deal.good("carl", Payment(deal.carl, deal.dora, 5))),
        "a membership": (MemberOf(ROOM, deal.bob), lambda: deal.good("bob", JoinChannel(deal.bob, ROOM))),
        "an attestation": (
            Attested(deal.bob, STATEMENT),
            lambda: deal.good("bob", Attest(deal.bob, STATEMENT, (deal.height + 50) * SECOND_NS)),
        ),
        "a time": (TimeFrom((deal.height + 5) * SECOND_NS), lambda: deal.until(deal.height + 5)),
    }


@pytest.mark.parametrize("what", ["a balance", "a membership", "an attestation", "a time"])
def test_anybody_releases_when_the_conditions_hold(what: str) -> None:
    deal = Deal()
    condition, make_true = conditions_of(deal)[what]
    at = deal.open(20, conditions=(condition,))
    release = ReleaseEscrow(deal.bob, at)
    deal.refused("bob", release, by=e.ConditionFails)
    deal.refused("bob", Require(deal.bob, condition), Payment(deal.bob, deal.ann, 5), by=e.ConditionFails, memo="x")
    make_true()
    deal.refused("bob", release._replace(amount=DCHAT // 2), by=e.ConditionFails, memo="half")
    deal.good("bob", Require(deal.bob, condition), release, memo="now")
    assert deal.held == 0


def test_a_membership_that_has_ended_is_none() -> None:
    deal = Deal()
    club, period_s = channel_id("club"), 60
    deal.good("ann", CreateChannel(deal.ann, "club", 5, "", period_s=period_s))
    condition = MemberOf(club, deal.bob)
    deal.good("bob", PayToJoin(deal.bob, club, 5, period_s), Require(deal.bob, condition))
    end = deal.height + period_s
    deal.until(end - 1)
    deal.good("carl", Require(deal.carl, condition))
    deal.refused("carl", Require(deal.carl, condition), by=e.ConditionFails)
    assert deal.height == end


def test_every_condition_must_hold() -> None:
    deal = Deal()
    at = deal.open(20, conditions=(MemberOf(ROOM, deal.ann), MemberOf(ROOM, deal.bob)))
    deal.refused("bob", ReleaseEscrow(deal.bob, at), by=e.ConditionFails)
    deal.good("bob", JoinChannel(deal.bob, ROOM), ReleaseEscrow(deal.bob, at))


def test_a_time_before_holds_until_then() -> None:
    deal = Deal()
    condition = TimeBefore((deal.height + 3) * SECOND_NS)
    deal.good("ann", Require(deal.ann, condition))
    deal.good("ann", Require(deal.ann, condition), memo="the last moment")
    deal.refused("ann", Require(deal.ann, condition), by=e.ConditionFails)


def test_pay_on_delivery_of_a_message() -> None:
    """The one who delivers posts and is paid in one bundle; which message it was is handed from leg to leg."""
    deal = Deal()
    deal.good("ann", PostMessage(deal.ann, ROOM, b"who will write it?", 0))
    at = deal.open(20, conditions=(Posted(ROOM, deal.bob, sha256(b"the poem")),))
    for places, by in (
        ((), e.ConditionFails),
        ((MessagePlace(0),), e.ConditionFails),
        ((MessagePlace(2**64 - 1),), e.ConditionFails),
        ((MessagePlace(leg=1),), e.NoSuchLeg),
    ):
        deal.refused("bob", ReleaseEscrow(deal.bob, at, messages=places), by=by)
    deliver = (JoinChannel(deal.bob, ROOM), PostMessage(deal.bob, ROOM, b"the poem", 0))
    wrong = ReleaseEscrow(deal.bob, at, messages=(MessagePlace(leg=1),))
    deal.refused("bob", *deliver, wrong, by=e.NoSuchLeg)
    deal.refused("bob", *deliver, wrong._replace(messages=(MessagePlace(leg=4),)), by=e.NoSuchLeg)
    two = wrong._replace(messages=(MessagePlace(leg=2), MessagePlace(0)))
    deal.refused("bob", *deliver, two, by=e.ConditionFails)
    before = deal.balance("bob")
    deal.good("bob", *deliver, wrong._replace(messages=(MessagePlace(leg=2),)))
    assert deal.balance("bob") == before + DCHAT - decode(deal.last).fee


def test_somebody_elses_message_pays_nobody() -> None:
    deal = Deal()
    at = deal.open(20, conditions=(Posted(ROOM, deal.bob, sha256(b"the poem")),))
    deal.good("ann", PostMessage(deal.ann, ROOM, b"the poem", 0))
    deal.refused("bob", ReleaseEscrow(deal.bob, at, messages=(MessagePlace(0),)), by=e.ConditionFails)
    anybody = Posted(ROOM, b"", sha256(b"the poem"))
    deal.good("carl", Require(deal.carl, anybody, MessagePlace(0)))


def test_a_hash_delivers_nothing_and_neither_does_what_was_forgotten() -> None:
    """The hash stands in the escrow for everybody to see: posting it is not posting what it is of."""
    deal = Deal()
    poem = sha256(b"the poem")
    deal.good(
        "ann", PostMessage(deal.ann, ROOM, b"", 0, content_hash=poem), PostMessage(deal.ann, ROOM, b"the poem", 0)
    )
    for index, content_hash in ((0, poem), (0, sha256(b""))):
        condition = Posted(ROOM, deal.ann, content_hash)
        deal.refused("bob", Require(deal.bob, condition, MessagePlace(index)), by=e.ConditionFails)
    condition = Posted(ROOM, deal.ann, poem)
    deal.good("bob", Require(deal.bob, condition, MessagePlace(1)))
    deal.good("ann", RetractMessage(deal.ann, ROOM, 1))
    while deal.app.base.get(message_key(ROOM, 1)) and b"the poem" in deal.app.base.get(message_key(ROOM, 1)):
        deal.block()
    for content_hash in (poem, sha256(b"")):
        condition = Posted(ROOM, deal.ann, content_hash)
        deal.refused("bob", Require(deal.bob, condition, MessagePlace(1)), by=e.ConditionFails)


def test_an_attestation_ends_and_is_withdrawn() -> None:
    deal = Deal()
    condition, until = Attested(deal.bob, STATEMENT), (deal.height + 4) * SECOND_NS
    attests = Attest(deal.bob, STATEMENT, until)
    deal.refused("carl", attests._replace(attester=deal.carl), by=e.UnknownIdentity)
    deal.good("bob", attests._replace(until_time_ns=(deal.height + 4) * SECOND_NS), Require(deal.bob, condition))
    deal.until(deal.height + 4)
    deal.refused("bob", Require(deal.bob, condition), by=e.ConditionFails)
    deal.refused("bob", attests._replace(until_time_ns=0), by=e.NotAttested)
    for end in (1, (deal.height + 1) * SECOND_NS, (deal.height + 4) * SECOND_NS + AHEAD_NS_MAX):
        deal.refused("bob", attests._replace(until_time_ns=end), by=e.AttestationEndRefused)
    deal.good("bob", attests._replace(until_time_ns=(deal.height + 50) * SECOND_NS))
    deal.good("bob", attests._replace(until_time_ns=(deal.height + 60) * SECOND_NS), Require(deal.bob, condition))
    deal.good("bob", attests._replace(until_time_ns=0))
    deal.refused("bob", Require(deal.bob, condition), by=e.ConditionFails)


# ------------------------------------------------------------------------------ the deadline


def test_what_is_left_goes_back_at_the_deadline_by_itself() -> None:
    """Once, however long nobody looks (IBC 2024-007): what was paid out is gone in the same block."""
    deal = Deal()
    at = deal.open(3)
    deadline = deal.height + 3
    deal.good("ann", ReleaseEscrow(deal.ann, at, 400_000))
    deal.until(deadline)
    before = deal.balance("ann")
    assert deal.escrow(at) is not None
    response = deal.block()
    deal.assert_invariants()
    assert (deal.balance("ann"), deal.held, deal.escrow(at)) == (before + 600_000, 0, None)
    assert [event.type for event in response.events] == ["transfer", "refund_escrow"]
    assert machine.totals_of(deal.app.base).refunded == 600_000
    for _ in range(3):
        assert not deal.block().events
    assert (deal.balance("ann"), machine.totals_of(deal.app.base).refunded) == (before + 600_000, 600_000)


def test_a_release_in_the_block_of_the_deadline_is_too_late() -> None:
    """One order: the last block whose time is before it releases, and in the next the money goes back. No race."""
    deal = Deal()
    at, deadline = deal.open(3), deal.height + 3
    deal.until(deadline)
    before = deal.balance("ann")
    result = deal.run("ann", ReleaseEscrow(deal.ann, at))
    assert (result.code, deal.height) == (e.EscrowOver.code, deadline)
    assert deal.balance("ann") == before - decode(deal.last).fee + DCHAT
    deal.refused("ann", ReleaseEscrow(deal.ann, at), by=e.UnknownEscrow)
    at, deadline = deal.open(3), deal.height + 3
    deal.until(deadline - 1)
    deal.good("ann", ReleaseEscrow(deal.ann, at))
    assert machine.totals_of(deal.app.base).refunded == DCHAT


def test_more_than_a_block_can_refund_waits_and_is_not_released_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    deal = Deal()
    openings = [deal.opening(2) for _ in range(5)]
    receipt = deal.good("ann", *openings)
    monkeypatch.setattr(gas, "most_of", lambda each, limit: 2 if each == KINDS["open_escrow"].gas else 10)
    deal.until(deal.height + 3)
    assert machine.totals_of(deal.app.base).open == 3
    waits = EscrowReference(max(leg.subject for leg in receipt.legs))
    result = deal.run("ann", ReleaseEscrow(deal.ann, waits))
    assert result.code == e.EscrowOver.code
    assert machine.totals_of(deal.app.base).open == 1
    deal.block()
    deal.assert_invariants()
    assert machine.totals_of(deal.app.base)[:3] == (5, 0, 0)


def test_a_refund_that_breaks_lies_by_itself_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    deal = Deal()
    receipt = deal.good("ann", *[deal.opening(2) for _ in range(3)])
    bad, really = receipt.legs[1].subject, machine._refund

    def breaks(key: bytes, branch: Any) -> None:
        if key == bad:
            raise LookupError("ours")
        really(key, branch)

    monkeypatch.setattr(machine, "_refund", breaks)
    while machine.totals_of(deal.app.base).open == 3:
        deal.block()
    rows = {name: holds for name, holds, _ in deal.app.invariants()}
    assert [name for name, holds in rows.items() if not holds] == ["escrows: no item of a queue failed"]
    assert machine.totals_of(deal.app.base)[:3] == (3, 1, DCHAT)


def test_deadlines_are_ahead_and_bounded() -> None:
    deal = Deal()
    for end in (1, (deal.height + 1) * SECOND_NS, (deal.height + 6) * SECOND_NS + AHEAD_NS_MAX):
        deal.refused("ann", deal.opening()._replace(deadline_time_ns=end), by=e.EscrowDeadlineRefused)
    deal.good("ann", deal.opening()._replace(deadline_time_ns=(deal.height + 1) * SECOND_NS + AHEAD_NS_MAX))
    deal.refused("ann", deal.opening(amount=UDCHAT_MIN - 1), by=e.EscrowTooSmall)
    deal.refused("ann", deal.opening(amount=10**9 * DCHAT), by=e.Overspend)
    deal.refused("ann", deal.opening(recipient=ESCROW_ADDRESS), by=e.RecipientRefused)


# ------------------------------------------------------------------------------ references and attacks


def test_a_later_leg_names_what_an_earlier_one_opened() -> None:
    deal = Deal()
    first = ReleaseEscrow(deal.ann, EscrowReference(leg=1), 250_000)
    before = deal.balance("bob")
    receipt = deal.good("ann", deal.opening(), first)
    assert receipt.legs[0].subject == receipt.legs[1].subject
    assert (deal.balance("bob"), deal.held) == (before + 250_000, 750_000)
    deal.refused("ann", first, deal.opening(), by=e.NoSuchLeg)
    deal.refused("ann", Payment(deal.ann, deal.bob, 1), first, by=e.NoSuchLeg)


def test_nothing_opens_two_in_one_leg() -> None:
    """An escrow's id is of its leg: two in one leg would be one."""
    assert not INNER.keys() & {kind.name for kind in escrow_messages.KINDS}


def test_nothing_is_released_twice() -> None:
    deal = Deal()
    at, before = deal.open(), deal.balance("bob")
    release = ReleaseEscrow(deal.ann, at)
    deal.refused("ann", release, release, by=e.UnknownEscrow)  # in one bundle
    both = [deal.tx("ann", release, memo="a"), deal.tx("ann", release, memo="b")]  # in one block
    assert [result.code for result in deal.block(*both).tx_results] == [0, e.UnknownEscrow.code]
    deal.assert_invariants()
    assert deal.balance("bob") == before + DCHAT
    deal.refused("ann", release, by=e.UnknownEscrow)
    deal.refused("ann", ReleaseEscrow(deal.ann, EscrowReference(bytes(32))), by=e.UnknownEscrow)


def test_a_bundle_runs_once_and_another_has_other_escrows() -> None:
    deal = Deal()
    opening = deal.opening()
    deal.good("ann", opening)
    assert "a transaction runs once" in deal.propose(deal.last)
    deal.good("ann", opening, memo="another bundle")
    assert machine.totals_of(deal.app.base)[:3] == (2, 2, 2 * DCHAT)


def test_legs_are_not_taken_into_another_bundle_nor_reordered() -> None:
    """Every signer signs the whole body: neither a leg with its signature nor another order of legs is theirs."""
    deal = Deal()
    legs = (Payment(deal.ann, deal.bob, 5 * DCHAT), Payment(deal.bob, deal.ann, 7 * DCHAT))
    swap = deal.tx(("ann", "bob"), *legs, lane=3)
    envelope = tx_pb2.Tx.FromString(swap)

    def with_body(change: Callable[[tx_pb2.TxBody], object]) -> bytes:
        body = tx_pb2.TxBody.FromString(envelope.body)
        change(body)
        out = tx_pb2.Tx(body=body.SerializeToString(deterministic=True), signatures=envelope.signatures)
        return out.SerializeToString(deterministic=True)

    def reorder(body: tx_pb2.TxBody) -> None:
        first, second = list(body.messages)
        del body.messages[:]
        body.messages.extend([second, first])

    def more(body: tx_pb2.TxBody) -> None:
        body.messages.extend([body.messages[1]])

    before = deal.balances()
    for change in (reorder, more):
        assert deal.check(with_body(change)).code == e.BadSignature.code
        assert e.BadSignature.rule in deal.propose(with_body(change))
    alone = build_body(
        chain_id=CHAIN_ID, messages=legs[1:], seats=[Seat(deal.wallets["bob"], None, with_policy=True)],
        gas_limit=100_000, lane=3, fee=DCHAT, expiry_height=deal.height + 5,
    )  # fmt: skip
    assert deal.check(sign_body(alone, [deal.wallets["ann"]])).code == e.Unauthorised.code
    assert deal.balances() == before
    deal.block(swap)
    assert deal.balance("bob") == before["bob"] - 2 * DCHAT


@pytest.mark.parametrize(
    "change",
    [
        {"parties": (b"\1" * 20,) * 2, "threshold": 1},
        {"parties": (b"\2" * 20, b"\1" * 20), "threshold": 1},
        {"parties": tuple(bytes([n]) * 20 for n in range(1, 10)), "threshold": 1},
        {"parties": (b"\1" * 19,), "threshold": 1},
        {"parties": (b"\1" * 20,), "threshold": 2},
        {"parties": (b"\1" * 20,), "threshold": 0},
        {"parties": (), "threshold": 1},
        {"parties": (), "threshold": 0},
        {"arbiter": b"\1"},
        {"recipient": b"\1"},
        {"amount": 0},
        {"recipient": b"", "conditions": (TimeFrom(1),)},
        {"conditions": (TimeFrom(1),) * 5},
        {"conditions": (TimeFrom(0),)},
        {"conditions": (Attested(b"\1" * 20, b"short"),)},
        {"conditions": (Posted(b"\1" * 20, b"\1", bytes(32)),)},
        {"conditions": (BalanceAtLeast(b"\1" * 20, 0),)},
        {"conditions": (MemberOf(b"\1" * 2, b"\1" * 20),)},
    ],
)
def test_what_an_opening_may_not_say(change: dict[str, Any]) -> None:
    deal = Deal()
    assert deal.check(deal.tx("ann", deal.opening()._replace(**change))).code == e.InvalidField.code


@pytest.mark.parametrize(
    "message",
    [
        ReleaseEscrow(b"", EscrowReference()),
        ReleaseEscrow(b"", EscrowReference(bytes(31))),
        ReleaseEscrow(b"", EscrowReference(bytes(32), 1)),
        ReleaseEscrow(b"", EscrowReference(leg=33)),
        ReleaseEscrow(b"", EscrowReference(bytes(32)), messages=(MessagePlace(),) * 5),
        ReleaseEscrow(b"", EscrowReference(bytes(32)), messages=(MessagePlace(1, 1),)),
        ReleaseEscrow(b"", EscrowReference(bytes(32)), recipient=b"\1"),
        Require(b"", TimeFrom(1), MessagePlace()),
        Require(b"", Posted(ROOM, b"", bytes(32))),
        Attest(b"", b"short", 1),
    ],
)
def test_what_other_legs_may_not_say(message: Any) -> None:
    deal = Deal()
    first = message._fields[0]
    assert deal.check(deal.tx("ann", message._replace(**{first: deal.ann}))).code == e.InvalidField.code


def test_dust_is_neither_kept_nor_paid() -> None:
    """Spam that costs its sender less than it costs the chain: each record has a least worth, and pays for its end."""
    deal = Deal()
    deal.refused("ann", *[deal.opening(amount=1) for _ in range(8)], by=e.EscrowTooSmall)
    at = deal.open(amount=2 * UDCHAT_MIN - 1)
    for amount in (1, UDCHAT_MIN - 1, UDCHAT_MIN):  # the last would leave dust
        deal.refused("ann", ReleaseEscrow(deal.ann, at, amount), by=e.EscrowTooSmall)
    assert KINDS["open_escrow"].gas > gas.GAS_LATER
    assert KINDS["open_escrow"].gas > 2 * gas.GAS_STAYS


def test_records_survive_the_way_out_and_back() -> None:
    deal = Deal()
    some = (MemberOf(ROOM, deal.ann), Posted(ROOM, deal.bob, STATEMENT), Attested(deal.bob, STATEMENT), TimeBefore(7))
    at = deal.open(parties=parties(deal.ann, deal.carl), threshold=2, arbiter=deal.dora, conditions=some)
    deal.good("ann", ReleaseEscrow(deal.ann, at))
    kept = deal.escrow(at)
    assert kept is not None
    assert len(kept.words) == 1
    assert Escrow.decode(kept.encode()) == kept
    totals = machine.totals_of(deal.app.base)
    assert type(totals).decode(totals._replace(released=2**70).encode()).released == 2**70
    deal.restart()
    assert deal.escrow(at) == kept
    assert deal.app.base.get(IDENTITY + deal.ann) is not None
