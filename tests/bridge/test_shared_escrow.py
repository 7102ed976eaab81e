"""Escrows of units, and of several who pay: who may pay what and when, what goes back to whom, whose units they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import escrow as machine
from bridge.escrow import UDCHAT_MIN
from bridge.escrow_records import BY_PARTY, DEADLINES, Escrow, Share
from bridge.records import ESCROW_ADDRESS
from chain.currency.denominations.machine import holding_of
from chain.currency.denominations.records import HOLDING
from chain.tx import errors as e
from chain.tx import gas
from chain.tx import payment_errors as pe
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField
from chain.tx.messages import KINDS, decode_message, encode_message
from chain.tx.messages.escrow import (
    SHARES_MAX,
    BalanceAtLeast,
    EscrowReference,
    EscrowShare,
    OpenEscrow,
    OpenSharedEscrow,
    PayShare,
    ReleaseEscrow,
    Require,
    TimeFrom,
)
from chain.tx.messages.payments import (
    BurnDenomination,
    CreateDenomination,
    Denom,
    FreezeHolding,
    MintDenomination,
    PayDenomination,
)
from crypto.bech32 import encode_address
from tests.support.chain.deal import DCHAT, Deal
from tests.support.chain.harness import SECOND_NS

ANN, BOB, CARL = (bytes([n]) * 20 for n in (1, 2, 3))


def gold_of(deal: Deal, amount: int = 100, to: str = "ann") -> Denom:
    """dora makes it, and may freeze it."""
    gold = Denom(deal.dora, "gold")
    deal.good("dora", CreateDenomination(deal.dora, "gold", freezable=True))
    deal.good("dora", MintDenomination(deal.dora, gold, deal.address(to), amount))
    return gold


def units(deal: Deal, gold: Denom) -> dict[str, int]:
    names = {"ann": deal.ann, "bob": deal.bob, "carl": deal.carl, "dora": deal.dora, "held": ESCROW_ADDRESS}
    found = {name: holding_of(deal.app.base, address, gold).amount for name, address in names.items()}
    return {name: amount for name, amount in found.items() if amount}


def sharing(
    deal: Deal, *shares: tuple[bytes, int], blocks: int = 40, until: int = 20, **fields: Any
) -> OpenSharedEscrow:
    terms = deal.opening(blocks, **fields)
    listed = tuple(sorted(EscrowShare(*share) for share in shares))
    return OpenSharedEscrow(deal.ann, terms, listed, (deal.height + 1 + until) * SECOND_NS)


def share(deal: Deal, *shares: tuple[bytes, int], **fields: Any) -> EscrowReference:
    return EscrowReference(deal.good("ann", sharing(deal, *shares, **fields)).legs[0].subject)


def nothing_left(deal: Deal) -> bool:
    return not [*deal.app.base.scan(BY_PARTY), *deal.app.base.scan(DEADLINES.prefix)] and deal.held == 0


# ------------------------------------------------------------------------------ units


def test_units_wait_and_are_paid_in_parts() -> None:
    deal = Deal()
    gold = gold_of(deal)
    at = deal.open(denom=gold, amount=7)
    assert (units(deal, gold), deal.held) == ({"ann": 93, "held": 7}, 0)
    totals = machine.totals_of(deal.app.base)
    assert (totals.opened, totals.open, totals.held) == (1, 1, 0)
    deal.good("ann", ReleaseEscrow(deal.ann, at, 3, denom=gold))
    assert units(deal, gold) == {"ann": 93, "bob": 3, "held": 4}
    deal.refused("ann", ReleaseEscrow(deal.ann, at, 5, denom=gold), by=e.EscrowHoldsLess)
    deal.good("bob", ReleaseEscrow(deal.bob, at, 1, deal.ann, denom=gold))
    deal.good("ann", ReleaseEscrow(deal.ann, at))
    assert units(deal, gold) == {"ann": 94, "bob": 6}
    assert machine.totals_of(deal.app.base).open == 0
    assert nothing_left(deal)
    assert not list(deal.app.base.scan(HOLDING + ESCROW_ADDRESS))


def test_units_go_back_at_the_deadline_also_where_nothing_of_them_was_left() -> None:
    deal = Deal()
    gold = gold_of(deal, 5)
    deal.open(blocks=4, denom=gold, amount=5)
    assert units(deal, gold) == {"held": 5}
    deal.until(deal.height + 4)
    block = deal.block()
    (said,) = [{k: v for k, v, _ in event.attributes} for event in block.events if event.type == "refund_escrow"]
    assert said["amount"].startswith("5factory/dchat1")
    assert (units(deal, gold), nothing_left(deal)) == ({"ann": 5}, True)
    deal.assert_invariants()


def test_what_the_bridge_holds_is_not_frozen_burned_or_minted_to() -> None:
    deal = Deal()
    gold = gold_of(deal)
    at = deal.open(denom=gold, amount=7)
    deal.refused("dora", FreezeHolding(deal.dora, gold, ESCROW_ADDRESS, True), by=e.RecipientRefused)
    deal.refused("dora", MintDenomination(deal.dora, gold, ESCROW_ADDRESS, 1), by=e.RecipientRefused)
    deal.refused("ann", PayDenomination(deal.ann, gold, ESCROW_ADDRESS, 1), by=e.RecipientRefused)
    burning = BurnDenomination(ESCROW_ADDRESS, gold, 1)
    assert deal.check(deal.tx("ann", burning)).code == e.SignersMismatch.code
    deal.good("dora", FreezeHolding(deal.dora, gold, deal.ann, True))
    deal.refused("ann", deal.opening(denom=gold, amount=1), by=pe.HoldingFrozen)
    deal.good("ann", ReleaseEscrow(deal.ann, at, 3, denom=gold))  # what waits is free
    deal.good("bob", ReleaseEscrow(deal.bob, at, 0, deal.ann))  # and goes back to where it is not
    assert units(deal, gold) == {"ann": 97, "bob": 3}
    deal.refused("ann", PayDenomination(deal.ann, gold, deal.bob, 1), by=pe.HoldingFrozen)


def test_each_refusal_of_units() -> None:
    deal = Deal()
    gold = gold_of(deal, 5)
    deal.refused("ann", deal.opening(denom=gold, amount=6), by=pe.HoldingTooSmall)
    deal.refused("ann", deal.opening(denom=Denom(deal.ann, "lead"), amount=1), by=pe.UnknownDenomination)
    deal.refused("bob", deal.opening(denom=gold, amount=1, sender=deal.bob, recipient=deal.ann), by=pe.HoldingTooSmall)


def test_an_amount_is_of_what_the_escrow_holds() -> None:
    """Nothing is meant silently: an amount of udchat is none of units, nor the other way round."""
    deal = Deal()
    gold = gold_of(deal, 5)
    of_units = deal.open(denom=gold, amount=5)
    result = deal.run("ann", ReleaseEscrow(deal.ann, of_units, 3))
    assert result.code == e.EscrowHoldsOther.code
    assert f"it has 5factory/{encode_address(deal.dora)}/gold, you say 3udchat" in result.log
    of_udchat = deal.open(amount=50_000)
    deal.refused("ann", ReleaseEscrow(deal.ann, of_udchat, 20_000, denom=gold), by=e.EscrowHoldsOther)
    deal.good("ann", ReleaseEscrow(deal.ann, of_udchat, 20_000))
    deal.good("ann", ReleaseEscrow(deal.ann, of_units))
    assert units(deal, gold) == {"bob": 5}
    nothing = ReleaseEscrow(deal.ann, of_udchat, 0, denom=gold)
    assert deal.check(deal.tx("ann", nothing)).code == e.InvalidField.code


def test_what_is_opened_for_units_is_paid_by_who_opens_it() -> None:
    deal = Deal()
    gold = gold_of(deal)
    deal.open()
    plain = deal.run("ann", deal.opening(), memo="a").gas_used
    made = deal.run("ann", deal.opening(denom=gold, amount=2), memo="b").gas_used
    assert made > plain + gas.GAS_STAYS
    assert decode(deal.last).gas_limit >= made
    at = EscrowReference(deal.good("ann", deal.opening(denom=gold, amount=2), memo="c").legs[0].subject)
    paid = deal.run("ann", ReleaseEscrow(deal.ann, at, 1, denom=gold))
    assert decode(deal.last).gas_limit >= paid.gas_used
    assert paid.gas_used > gas.GAS_STAYS, "bob's first"


def test_a_condition_on_units() -> None:
    deal = Deal()
    gold = gold_of(deal, 5)
    deal.good("bob", Require(deal.bob, BalanceAtLeast(deal.ann, 5, gold)))
    deal.refused("bob", Require(deal.bob, BalanceAtLeast(deal.ann, 6, gold)), by=e.ConditionFails)
    deal.refused("bob", Require(deal.bob, BalanceAtLeast(deal.bob, 1, gold)), by=e.ConditionFails)
    deal.refused("bob", Require(deal.bob, BalanceAtLeast(deal.ann, 1, Denom(deal.ann, "gold"))), by=e.ConditionFails)
    at = deal.open(conditions=(BalanceAtLeast(deal.carl, 2, gold),))
    deal.refused("dora", ReleaseEscrow(deal.dora, at), by=e.ConditionFails)
    deal.good("ann", PayDenomination(deal.ann, gold, deal.carl, 2))
    deal.good("dora", ReleaseEscrow(deal.dora, at))


# ------------------------------------------------------------------------------ several


def test_all_pay_and_it_is_an_escrow_of_the_sum() -> None:
    deal = Deal()
    at = share(deal, (deal.carl, 2 * DCHAT), (deal.dora, 3 * DCHAT))
    assert deal.held == DCHAT
    deal.refused("ann", ReleaseEscrow(deal.ann, at), by=e.EscrowNotFull)
    deal.refused("bob", ReleaseEscrow(deal.bob, at, 0, deal.ann), by=e.EscrowNotFull)
    deal.good("dora", PayShare(deal.dora, at, None, 3 * DCHAT))
    deal.refused("ann", ReleaseEscrow(deal.ann, at), by=e.EscrowNotFull)
    deal.good("carl", PayShare(deal.carl, at, None, 2 * DCHAT))
    assert deal.held == 6 * DCHAT
    kept = deal.escrow(at)
    assert kept is not None
    assert (kept.pay_until_ns, kept.left, kept.amount) == (0, 6 * DCHAT, 6 * DCHAT)
    assert Escrow.decode(kept.encode()) == kept
    deal.until(deal.height + 16)  # the time for shares is over, which ends nothing now
    before = deal.balance("bob")
    deal.good("ann", ReleaseEscrow(deal.ann, at))
    assert (deal.balance("bob") - before, nothing_left(deal)) == (6 * DCHAT, True)


def test_one_bundle_opens_and_fills_it() -> None:
    deal = Deal()
    opening = sharing(deal, (deal.carl, 2 * DCHAT))
    legs = (opening, PayShare(deal.carl, EscrowReference(leg=1), None, 2 * DCHAT))
    receipt = deal.good(("ann", "carl"), *legs, ReleaseEscrow(deal.ann, EscrowReference(leg=1)))
    assert [(leg.kind, leg.amount) for leg in receipt.legs] == [
        ("open_shared_escrow", DCHAT), ("pay_share", 2 * DCHAT), ("release_escrow", 3 * DCHAT),
    ]  # fmt: skip
    assert nothing_left(deal)
    assert deal.check(deal.tx("ann", *legs, lane=3)).code == e.SignersMismatch.code, "carl signs his own"


def test_one_who_does_not_pay_sets_all_free() -> None:
    deal = Deal()
    before = deal.balances()
    at = share(deal, (deal.carl, 2 * DCHAT), (deal.dora, 3 * DCHAT), until=4)
    end = deal.height + 4
    deal.good("carl", PayShare(deal.carl, at, None, 2 * DCHAT))
    deal.until(end)
    late = deal.tx("dora", PayShare(deal.dora, at, None, 3 * DCHAT), lane=3)
    block = deal.block(late)
    assert (deal.height, block.tx_results[0].code) == (end, e.EscrowOver.code)
    told = [{k: v for k, v, _ in event.attributes} for event in block.events if event.type == "refund_escrow"]
    assert [row["amount"] for row in told] == ["1000000udchat", "2000000udchat"]
    assert {name: before[name] - amount < DCHAT for name, amount in deal.balances().items()} == dict.fromkeys(
        before, True
    )
    assert (deal.escrow(at), nothing_left(deal)) == (None, True)
    deal.refused("dora", PayShare(deal.dora, at, None, 3 * DCHAT), by=e.UnknownEscrow)


def test_a_share_is_paid_once_whole_and_by_its_payer() -> None:
    deal = Deal()
    gold = gold_of(deal, 50, "carl")
    at = share(deal, (deal.carl, 2 * DCHAT), (deal.dora, 500 * DCHAT))
    for who, wrong in (
        ("bob", PayShare(deal.bob, at, None, 2 * DCHAT)),
        ("ann", PayShare(deal.ann, at, None, DCHAT)),
        ("carl", PayShare(deal.carl, at, None, 2 * DCHAT - 1)),
        ("carl", PayShare(deal.carl, at, None, 2 * DCHAT + 1)),
    ):
        deal.refused(who, wrong, by=e.NotEscrowShare)
    deal.refused("carl", PayShare(deal.carl, at, gold, 2 * DCHAT), by=e.EscrowHoldsOther)
    deal.refused("dora", PayShare(deal.dora, at, None, 500 * DCHAT), by=e.Overspend)
    deal.good("carl", PayShare(deal.carl, at, None, 2 * DCHAT))
    deal.refused("carl", PayShare(deal.carl, at, None, 2 * DCHAT), by=e.NotEscrowShare)


def test_shares_of_units() -> None:
    deal = Deal()
    gold = gold_of(deal, 10)
    deal.good("ann", PayDenomination(deal.ann, gold, deal.carl, 4))
    at = share(deal, (deal.carl, 4), denom=gold, amount=5)
    deal.refused("carl", PayShare(deal.carl, at, None, 4), by=e.EscrowHoldsOther)
    deal.good("carl", PayShare(deal.carl, at, gold, 4))
    deal.good("ann", ReleaseEscrow(deal.ann, at, 2, denom=gold))
    assert units(deal, gold) == {"ann": 1, "bob": 2, "held": 7}
    deal.good("bob", ReleaseEscrow(deal.bob, at, 0, deal.ann))
    assert units(deal, gold) == {"ann": 1 + 4, "bob": 2, "carl": 3}, "seven of nine: 3 of four, and 4 of five"
    assert nothing_left(deal)


def test_rounding_takes_nothing_from_anybody() -> None:
    """Who opened it and the recipient together: one unit back at a time would all be the opener's."""
    deal = Deal()
    gold = gold_of(deal, 10)
    deal.good("ann", PayDenomination(deal.ann, gold, deal.carl, 5))
    at = share(deal, (deal.carl, 5), denom=gold, amount=5, arbiter=deal.dora)
    deal.good("carl", PayShare(deal.carl, at, gold, 5))
    for who, address in (("bob", deal.bob), ("dora", deal.dora)):
        deal.refused(who, ReleaseEscrow(address, at, 1, deal.ann, denom=gold), by=e.EscrowBackInParts)
    deal.good("dora", ReleaseEscrow(deal.dora, at, 10, deal.ann, denom=gold))
    assert units(deal, gold) == {"ann": 5, "carl": 5}


amounts = st.integers(1, 2**60)


@given(
    own=amounts, others=st.lists(amounts, min_size=1, max_size=SHARES_MAX), left=st.integers(1, 2**64), data=st.data()
)
def test_all_that_is_left_goes_back_and_nobody_loses_a_unit_by_it(
    own: int, others: list[int], left: int, data: st.DataObject
) -> None:
    shares = tuple([Share(bytes([n]) * 20, amount, data.draw(st.booleans())) for n, amount in enumerate(others, 2)])
    whole = own + sum(others)
    record = Escrow(ANN, BOB, whole, 0, 9, (), 0, b"", (), (), 1, None, shares)
    record = record._replace(left=min(left, record.paid_in))
    (first, rest), *parts = record.back()
    assert first == ANN
    assert rest + sum(part for _, part in parts) == record.left
    paid = {share.payer: share.amount for share in shares if share.paid}
    assert [payer for payer, _ in parts] == list(paid)
    for payer, part in parts:
        exact = record.left * paid[payer]
        assert part * record.paid_in <= exact < (part + 1) * record.paid_in
    assert 0 <= rest * record.paid_in - record.left * own < len(parts) * record.paid_in or not parts
    if record.left == record.paid_in:
        assert dict(parts) == paid


# ------------------------------------------------------------------------------ refused unexecuted, dust, times


def test_dust_and_times() -> None:
    deal = Deal()
    small = sharing(deal, (deal.carl, UDCHAT_MIN - 1))
    deal.refused("ann", small, by=e.EscrowTooSmall)
    deal.refused("ann", sharing(deal, (deal.carl, DCHAT), amount=UDCHAT_MIN - 1), by=e.EscrowTooSmall)
    deal.refused("ann", sharing(deal, (deal.carl, DCHAT), until=0), by=e.EscrowDeadlineRefused)
    deal.refused("ann", sharing(deal, (deal.carl, DCHAT), blocks=0, until=-1), by=e.EscrowDeadlineRefused)
    deal.refused("ann", sharing(deal, (deal.carl, DCHAT), recipient=ESCROW_ADDRESS), by=e.RecipientRefused)
    kind = KINDS["open_shared_escrow"]
    assert kind.cost_of(sharing(deal, (deal.carl, 1), (deal.dora, 1))) - kind.cost_of(small) > gas.GAS_STAYS


TERMS = OpenEscrow(ANN, BOB, DCHAT, 10, (ANN,), 1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"shares": ()}, "shares: 0, allowed: 1 to 7", id="nobody"),
        pytest.param(
            {"shares": tuple(EscrowShare(bytes([n]) * 20, 1) for n in range(10, 18))}, "shares: 8", id="too many"
        ),
        pytest.param({"shares": (EscrowShare(CARL, 1),) * 2}, "ascending, no repeats", id="twice"),
        pytest.param({"shares": (EscrowShare(b"c", 1),)}, "payers of 20 bytes", id="no address"),
        pytest.param({"shares": (EscrowShare(ANN, 1),)}, "the sender, the recipient", id="the sender"),
        pytest.param({"shares": (EscrowShare(BOB, 1),)}, "the sender, the recipient", id="the recipient"),
        pytest.param(
            {"shares": (EscrowShare(CARL, 1),), "terms": TERMS._replace(arbiter=CARL)}, "the arbiter", id="the arbiter"
        ),
        pytest.param({"shares": (EscrowShare(CARL, 0),)}, "amount is 0", id="nothing"),
        pytest.param({"shares": (EscrowShare(CARL, 2**64 - 1),)}, "above", id="more than there can be"),
        pytest.param({"sender": CARL}, "another than the sender", id="of somebody else"),
        pytest.param({"pay_until_time_ns": 10}, "not before the deadline", id="at the deadline"),
        pytest.param({"terms": TERMS._replace(parties=(), threshold=0)}, "terms: nobody's word", id="nobody's word"),
        pytest.param(
            {"terms": TERMS._replace(denom=Denom(ANN, "G"))}, "terms.denom.sub: 1 to 44", id="no denomination"
        ),
    ],
)
def test_what_makes_no_sense_is_refused_unexecuted(changed: dict[str, Any], said: str) -> None:
    message = OpenSharedEscrow(ANN, TERMS, (EscrowShare(CARL, DCHAT),), 9)._replace(**changed)
    with pytest.raises(InvalidField, match=said):
        decode_message(encode_message(message))


@pytest.mark.parametrize(
    "message",
    [
        PayShare(CARL, EscrowReference(), None, 1),
        PayShare(CARL, EscrowReference(bytes(32), 1), None, 1),
        PayShare(CARL, EscrowReference(leg=33), None, 1),
        PayShare(CARL, EscrowReference(bytes(31)), None, 1),
        PayShare(CARL, EscrowReference(bytes(32)), None, 0),
        PayShare(b"c", EscrowReference(bytes(32)), None, 1),
        PayShare(CARL, EscrowReference(bytes(32)), Denom(ANN, ""), 1),
        Require(CARL, BalanceAtLeast(ANN, 1, Denom(b"a", "gold"))),
        OpenEscrow(ANN, BOB, 1, 9, (ANN,), 1, denom=Denom(b"", "gold")),
    ],
)
def test_what_other_legs_may_not_say(message: Any) -> None:
    with pytest.raises(InvalidField):
        decode_message(encode_message(message))


def test_a_record_of_before_reads_as_it_did() -> None:
    old = Escrow(ANN, BOB, 5, 4, 9, (ANN,), 1, CARL, (TimeFrom(1),), (), 1)
    assert Escrow.decode(old.encode()) == old
    assert (old.due_ns, old.back(), old.said(4)) == (9, [(ANN, 4)], "4udchat")
