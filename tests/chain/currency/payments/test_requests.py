"""Requests for payment: who may fulfil one and when, what it costs, and that it never binds whom it names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chain.currency.denominations.machine import holding_of
from chain.currency.payments import requests
from chain.currency.payments.requests import (
    BY_PAYER,
    EXPIRING,
    REQUEST,
    WAIT_NS_MAX,
    PaymentRequest,
    request_name,
)
from chain.kernel.event_text import account, time_text
from chain.tx import errors as e
from chain.tx import gas
from chain.tx import payment_errors as pe
from chain.tx.envelope.build import gas_for
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField, TxError
from chain.tx.messages import LANE_BRIDGE, Message, decode_message, encode_message
from chain.tx.messages.payments import (
    CancelRequest,
    CreateDenomination,
    Denom,
    FreezeHolding,
    FulfilRequest,
    MintDenomination,
    RequestPayment,
)
from dchat.app.payment_queries import PaymentQueries
from tests.support.chain.harness import SECOND_NS
from tests.support.economy.world import DCHAT, UNIT, World

ANN, BOB = bytes([1]) * 20, bytes([2]) * 20
GOLD = Denom(ANN, "gold")
PRICE = 100_000


@pytest.fixture
def world() -> World:
    """ann asks, bob and carl pay."""
    made = World({"v1": 1000 * UNIT}, dict.fromkeys(("ann", "bob", "carl"), 100 * DCHAT), gas_price=PRICE)
    made.blocks(2)
    return made


def ask(world: World, amount: int = 5 * DCHAT, payer: str = "bob", *, seconds: int = 100, **terms: Any) -> Any:
    terms.setdefault("reference", "INV-1")
    denom, memo = terms.pop("denom", None), terms.pop("memo", "tea")
    to = world.address(payer) if payer else b""
    expiry_ns = world.time_ns + seconds * SECOND_NS
    return world.do("ann", RequestPayment(world.address("ann"), terms["reference"], to, denom, amount, memo, expiry_ns))


def fulfilment(
    world: World, payer: str = "bob", amount: int = 5 * DCHAT, reference: str = "INV-1", denom: Denom | None = None
) -> FulfilRequest:
    return FulfilRequest(world.address(payer), world.address("ann"), reference, denom, amount)


def fails(world: World, who: str, message: Message, error: type[TxError], **options: Any) -> None:
    result = world.run(who, message, **options)
    assert (result.code, result.codespace) == (error.code, error.codespace), result.log


def open_requests(world: World) -> list[str]:
    return [key[len(REQUEST) + 20 :].decode() for key, _ in world.state.scan(REQUEST)]


def leavings(world: World) -> int:
    return sum(1 for prefix in (REQUEST, BY_PAYER, EXPIRING) for _ in world.state.scan(prefix))


def told(result: Any, kind: str) -> list[dict[str, str]]:
    return [{k: v for k, v, _ in event.attributes} for event in result.events if event.type == kind]


# ------------------------------------------------------------------------------ fulfilled


def test_a_request_is_paid_whole_and_gone(world: World) -> None:
    made = ask(world)
    who = {"payee": account(world.address("ann")), "reference": "INV-1"}
    request = world.state.get(REQUEST + request_name(world.address("ann"), "INV-1"))
    assert request == PaymentRequest(
        world.address("bob"), None, 5 * DCHAT, "tea", world.time_ns - SECOND_NS + 100 * SECOND_NS
    )
    (said,) = told(made, "request_payment")
    assert said == {
        **who, "payer": account(world.address("bob")), "amount": "5000000udchat",
        "expiry_time": time_text(request.expiry_ns),
    }  # fmt: skip
    ann = world.balance("ann")
    paid = world.do("bob", fulfilment(world))
    assert world.balance("ann") == ann + 5 * DCHAT
    assert told(paid, "transfer")[0]["amount"] == "5000000udchat"
    assert told(paid, "end_payment_request") == [{**who, "reason": "fulfilled"}]
    assert leavings(world) == 0
    fails(world, "bob", fulfilment(world), pe.UnknownRequest)


def test_anybody_may_pay_one_that_names_nobody(world: World) -> None:
    ask(world, payer="")
    fails(world, "ann", fulfilment(world, "ann"), pe.NotRequestsPayer)
    world.do("carl", fulfilment(world, "carl"))
    fails(world, "bob", fulfilment(world), pe.UnknownRequest)
    assert leavings(world) == 0


def test_in_a_denomination(world: World) -> None:
    gold = Denom(world.address("ann"), "gold")
    world.do("ann", CreateDenomination(gold.creator, "gold", freezable=True))
    world.do("ann", MintDenomination(gold.creator, gold, world.address("bob"), 7))
    ask(world, 7, denom=gold)
    before = world.balance("ann")
    fails(world, "bob", fulfilment(world, amount=7), pe.RequestDiffers)
    world.do("ann", FreezeHolding(gold.creator, gold, world.address("bob"), True))
    fails(world, "bob", fulfilment(world, amount=7, denom=gold), pe.HoldingFrozen)
    assert open_requests(world) == ["INV-1"]
    world.do("ann", FreezeHolding(gold.creator, gold, world.address("bob"), False))
    assert world.balance("ann") < before
    raw = world.tx("bob", fulfilment(world, amount=7, denom=gold))
    done = world.block(raw).tx_results[0]
    assert (done.code, holding_of(world.state, gold.creator, gold).amount) == (0, 7), done.log
    assert decode(raw).gas_limit == gas_for(decode(raw).messages) >= done.gas_used


def test_one_bundle_asks_and_pays(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    asked = RequestPayment(ann, "now", b"", None, 3, "", world.time_ns + 9 * SECOND_NS)
    paid = FulfilRequest(bob, ann, "now", None, 3)
    assert world.block(world.tx(("ann", "bob"), asked, paid, lane=LANE_BRIDGE)).tx_results[0].code == 0
    assert leavings(world) == 0


# ------------------------------------------------------------------------------ refused


def test_who_may_not_and_what_is_not_asked_for(world: World) -> None:
    ask(world)
    fails(world, "carl", fulfilment(world, "carl"), pe.NotRequestsPayer)
    fails(world, "bob", fulfilment(world, amount=5 * DCHAT - 1), pe.RequestDiffers)
    fails(world, "bob", fulfilment(world, reference="INV-2"), pe.UnknownRequest)
    ask(world, 1_000 * DCHAT, reference="dear")
    fails(world, "bob", fulfilment(world, amount=1_000 * DCHAT, reference="dear"), e.Overspend)
    assert open_requests(world) == ["INV-1", "dear"]
    fails(world, "bob", CancelRequest(world.address("bob"), "INV-1"), pe.UnknownRequest)  # of his own there is none
    ann = world.address("ann")
    later = world.time_ns + 50 * SECOND_NS
    fails(world, "ann", RequestPayment(ann, "INV-1", b"", None, 1, "", later), pe.RequestExists)
    fails(world, "ann", RequestPayment(ann, "x", b"", Denom(ann, "lead"), 1, "", later), pe.UnknownDenomination)
    fails(world, "ann", RequestPayment(ann, "x", b"", None, 1, "", world.time_ns), e.ExpiryPassed)
    far = world.time_ns + SECOND_NS + WAIT_NS_MAX
    fails(world, "ann", RequestPayment(ann, "x", b"", None, 1, "", far + 1), pe.RequestTooLong)
    world.do("ann", RequestPayment(ann, "x", b"", None, 1, "", far + SECOND_NS))


def test_a_request_that_was_changed_is_not_paid(world: World) -> None:
    """Who signs pays what he saw, or nothing."""
    ask(world)
    waiting = world.tx("bob", fulfilment(world))
    world.do("ann", CancelRequest(world.address("ann"), "INV-1"))
    ask(world, 50 * DCHAT)
    before = world.balance("bob")
    assert world.block(waiting).tx_results[0].code == pe.RequestDiffers.code
    assert before - world.balance("bob") < DCHAT


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(RequestPayment(ANN, "", BOB, None, 1, "", 1), "reference: 1 to 32", id="no reference"),
        pytest.param(RequestPayment(ANN, "x" * 33, BOB, None, 1, "", 1), "reference: 1 to 32", id="a long one"),
        pytest.param(RequestPayment(ANN, "Ünvoice", BOB, None, 1, "", 1), "reference: 1 to 32", id="not ASCII"),
        pytest.param(RequestPayment(ANN, "x", ANN, None, 1, "", 1), "the same account", id="of oneself"),
        pytest.param(RequestPayment(ANN, "x", b"b", None, 1, "", 1), "payer: 1 bytes", id="of no address"),
        pytest.param(RequestPayment(b"", "x", BOB, None, 1, "", 1), "payee: 0 bytes", id="for nobody"),
        pytest.param(RequestPayment(ANN, "x", BOB, None, 0, "", 1), "amount is 0", id="for nothing"),
        pytest.param(RequestPayment(ANN, "x", BOB, None, 1, "é" * 129, 1), "memo: above 256", id="a memo bomb"),
        pytest.param(RequestPayment(ANN, "x", BOB, None, 1, "", 0), "expiry_ns: 0", id="no expiry"),
        pytest.param(RequestPayment(ANN, "x", BOB, None, 1, "", 2**63), "expiry_ns", id="no time"),
        pytest.param(RequestPayment(ANN, "x", BOB, Denom(ANN, "G"), 1, "", 1), "denom.sub", id="no denomination"),
        pytest.param(FulfilRequest(BOB, ANN, "x", None, 0), "amount is 0", id="nothing paid"),
        pytest.param(FulfilRequest(BOB, b"a", "x", None, 1), "payee: 1 bytes", id="paid to no address"),
        pytest.param(FulfilRequest(BOB, ANN, "x y", None, 1), "reference: 1 to 32", id="no such reference"),
        pytest.param(CancelRequest(ANN, "~"), "reference: 1 to 32", id="cancelled what"),
    ],
)
def test_what_makes_no_sense_is_refused_unexecuted(made: Message, said: str) -> None:
    with pytest.raises(InvalidField, match=said):
        decode_message(encode_message(made))


# ------------------------------------------------------------------------------ its end


def test_a_payee_takes_it_back(world: World) -> None:
    ask(world)
    done = world.do("ann", CancelRequest(world.address("ann"), "INV-1"))
    assert told(done, "end_payment_request")[0]["reason"] == "cancelled"
    assert leavings(world) == 0
    fails(world, "ann", CancelRequest(world.address("ann"), "INV-1"), pe.UnknownRequest)
    ask(world, 1)
    world.block(seconds=200)
    assert leavings(world) == 0, "no place is left that would end the next one too early"


def test_the_last_block_before_its_expiry_pays_and_the_first_at_it_does_not(world: World) -> None:
    ask(world, 1, seconds=10, reference="a")
    ask(world, 1, seconds=9, reference="b")  # a second later: the same time
    expiry_ns = world.state.get(REQUEST + request_name(world.address("ann"), "a")).expiry_ns
    before = (expiry_ns - world.time_ns) // SECOND_NS - 1
    world.do("bob", fulfilment(world, amount=1, reference="a"), seconds=before)
    assert world.time_ns == expiry_ns - SECOND_NS
    response = world.block(world.tx("bob", fulfilment(world, amount=1, reference="b")))
    assert (world.time_ns, response.tx_results[0].code) == (expiry_ns, pe.RequestExpired.code)
    (said,) = told(response, "end_payment_request")
    assert (said["reference"], said["reason"]) == ("b", "expired")
    assert leavings(world) == 0


def test_a_long_queue_goes_on_and_pays_nobody_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        ask(world, 1, seconds=50 - number, reference=f"n{number}")
    monkeypatch.setattr("chain.currency.payments.requests.gas.most_of", lambda each, limit: 2)
    gone = world.block(seconds=60)
    assert [said["reference"] for said in told(gone, "end_payment_request")] == ["n0", "n1"]
    fails(world, "bob", fulfilment(world, amount=1, reference="n4"), pe.RequestExpired)
    assert open_requests(world) == ["n4"]
    ann = world.address("ann")
    again = RequestPayment(ann, "n4", b"", None, 2, "", world.time_ns + 40 * SECOND_NS)
    monkeypatch.setattr("chain.currency.payments.requests.gas.most_of", lambda each, limit: 0)
    world.do("ann", again)
    monkeypatch.undo()
    world.blocks(3)
    assert open_requests(world) == ["n4"], "the new one waits for its own time"
    world.block(seconds=60)
    assert leavings(world) == 0


# ------------------------------------------------------------------------------ price, lists


def test_asking_is_dear_and_being_asked_is_free(world: World) -> None:
    bob = world.balance("bob")
    message = RequestPayment(world.address("ann"), "i", world.address("bob"), None, 1, "", world.time_ns + 2**40)
    raw = world.tx("ann", message)
    done = world.block(raw).tx_results[0]
    assert done.gas_used >= gas.GAS_STAYS + gas.GAS_LATER
    assert decode(raw).gas_limit == gas_for([message]) >= done.gas_used
    assert world.balance("bob") == bob
    assert world.check(world.tx("bob", fulfilment(world, amount=1, reference="i"))).code == 0


def test_lists_go_on_where_they_ended(world: World) -> None:
    for number in range(5):
        ask(world, number + 1, "bob" if number % 2 else "carl", reference=f"n{number}")
    ask(world, 9, "", reference="open")
    queries = PaymentQueries(world.app.queries)
    for limit in (1, 2, 5, 100):
        for asked, references in (
            ({"payee": world.address("ann")}, [*(f"n{number}" for number in range(5)), "open"]),
            ({"payer": world.address("bob")}, ["n1", "n3"]),
            ({"payer": world.address("carl")}, ["n0", "n2", "n4"]),
            ({"payee": world.address("bob")}, []),
        ):
            found, after = [], b""
            while True:
                answer = queries.requests(**asked, after=after, limit=limit)
                found += [row.reference for row in answer.requests]
                assert len(answer.requests) <= limit
                if not answer.next:
                    break
                after = answer.next
            assert found == references


def test_what_is_out_of_place_is_seen(world: World) -> None:
    ask(world)
    rows = {prefix: list(world.state.scan(prefix)) for prefix in (REQUEST, BY_PAYER, EXPIRING)}

    def broken(without: bytes) -> int:
        def scan(prefix: bytes, start: bytes = b"") -> Any:
            return iter([] if prefix == without else rows[prefix])

        return sum(not holds for _, holds, _ in requests.invariants(world.state, scan))

    assert [broken(without) for without in (b"", REQUEST, BY_PAYER, EXPIRING)] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    "record",
    [
        PaymentRequest(b"", None, 1, "", 1),
        PaymentRequest(BOB, GOLD, 2**64 - 1, "täglich", 2**63 - 1),
    ],
)
def test_records_read_as_they_were_written(record: PaymentRequest) -> None:
    assert PaymentRequest.decode(record.encode()) == record


# ------------------------------------------------------------------------------ by chance

PEOPLE = ("ann", "bob", "carl")
REFERENCES = ("a", "b")


class Asking(RuleBasedStateMachine):
    """Random requests, payments and time against a model: what is open, and what everybody has."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World({"v1": 1000 * UNIT}, dict.fromkeys(PEOPLE, 1_000), check=False)
        self.has = dict.fromkeys(PEOPLE, 1_000)
        self.open: dict[tuple[str, str], tuple[str, int, int]] = {}

    def attempt(self, who: str, message: Message, *, passes: bool) -> bool:
        result = self.world.run(who, message)
        assert (result.code == 0) == passes, (message, result.log)
        return passes

    def expire(self) -> None:
        self.open = {key: found for key, found in self.open.items() if found[2] > self.world.time_ns}

    @rule(
        who=st.sampled_from(PEOPLE), to=st.sampled_from(("", *PEOPLE)), reference=st.sampled_from(REFERENCES),
        amount=st.integers(1, 900), seconds=st.integers(0, 12),
    )  # fmt: skip
    def request(self, who: str, to: str, reference: str, amount: int, seconds: int) -> None:
        world = self.world
        if who == to:
            return
        expiry_ns = world.time_ns + seconds * SECOND_NS
        now = world.time_ns + SECOND_NS
        before = self.open.get((who, reference))
        passes = expiry_ns > now and not (before and before[2] > now)
        message = RequestPayment(
            world.address(who), reference, world.address(to) if to else b"", None, amount, "", expiry_ns
        )
        if self.attempt(who, message, passes=passes):
            self.open[who, reference] = to, amount, expiry_ns
        self.expire()

    @rule(
        who=st.sampled_from(PEOPLE), to=st.sampled_from(PEOPLE), reference=st.sampled_from(REFERENCES),
        more=st.sampled_from((0, 0, 0, 1)),
    )  # fmt: skip
    def fulfil(self, who: str, to: str, reference: str, more: int) -> None:
        world = self.world
        payer, amount, expiry_ns = self.open.get((to, reference), ("", 1, 0))
        passes = (
            (to, reference) in self.open and payer in ("", who) and who != to and not more
            and expiry_ns > world.time_ns + SECOND_NS and self.has[who] >= amount
        )  # fmt: skip
        message = FulfilRequest(world.address(who), world.address(to), reference, None, amount + more)
        if self.attempt(who, message, passes=passes):
            del self.open[to, reference]
            self.has[who] -= amount
            self.has[to] += amount
        self.expire()

    @rule(who=st.sampled_from(PEOPLE), reference=st.sampled_from(REFERENCES))
    def cancel(self, who: str, reference: str) -> None:
        if self.attempt(who, CancelRequest(self.world.address(who), reference), passes=(who, reference) in self.open):
            del self.open[who, reference]
        self.expire()

    @rule(seconds=st.integers(0, 9))
    def wait(self, seconds: int) -> None:
        self.world.block(seconds=seconds)
        self.expire()

    @invariant()
    def state_is_the_models(self) -> None:
        names = {request_name(self.world.address(who), reference) for who, reference in self.open}
        assert {key[len(REQUEST) :] for key, _ in self.world.state.scan(REQUEST)} == names
        assert {name: self.world.balance(name) for name in PEOPLE} == self.has
        assert not self.world.laws()


TestAsking = Asking.TestCase
TestAsking.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
