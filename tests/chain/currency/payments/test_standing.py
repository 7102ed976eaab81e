"""Standing orders: what is paid and when, who pays for the work, what is skipped, and how each ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.records import ESCROW_ADDRESS
from chain.currency.denominations.machine import holding_of
from chain.currency.ledger.records import ACCOUNT
from chain.currency.machine import params_of
from chain.currency.payments import standing
from chain.currency.payments.standing import BY_RECIPIENT, DUE, FAILED, ORDER, StandingOrder, order_name
from chain.kernel.branch import Branch
from chain.kernel.event_text import account
from chain.tx import errors as e
from chain.tx import gas
from chain.tx import payment_errors as pe
from chain.tx.envelope.build import Shared, gas_for
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField, TxError
from chain.tx.messages import LANE_BRIDGE, LANE_CURRENCY, Message, Payment, decode_message, encode_message
from chain.tx.messages.grants import INNER
from chain.tx.messages.payments import (
    EVERY_BLOCKS_MAX,
    ORDER_BLOCKS_MAX,
    ORDER_MISSES_MAX,
    ORDER_TIMES_MAX,
    ORDER_UDCHAT_MIN,
    CancelStandingOrder,
    CreateDenomination,
    CreateStandingOrder,
    CreateVesting,
    Denom,
    FreezeHolding,
    MintDenomination,
)
from dchat.app.payment_queries import PaymentQueries
from tests.support.chain.harness import wallet
from tests.support.chain.keys import rotation, signed
from tests.support.economy.world import DCHAT, UNIT, World

ANN, BOB = bytes([1]) * 20, bytes([2]) * 20
PRICE = 100_000
FEE = gas.GAS_ORDER * PRICE // 10**6


@pytest.fixture
def world() -> World:
    """ann orders."""
    made = World({"v1": 1000 * UNIT}, dict.fromkeys(("ann", "bob", "carl"), 100 * DCHAT), gas_price=PRICE)
    made.blocks(2)
    return made


def terms(world: World, to: str = "bob", reference: str = "rent", **terms: Any) -> CreateStandingOrder:
    plain = CreateStandingOrder(world.address("ann"), reference, world.address(to), None, DCHAT, 10, times=3)
    return plain._replace(**terms)


def order(world: World, to: str = "bob", reference: str = "rent", **changed: Any) -> Any:
    return world.do("ann", terms(world, to, reference, **changed))


def fails(world: World, who: str, message: Message, error: type[TxError], **options: Any) -> None:
    result = world.run(who, message, **options)
    assert (result.code, result.codespace) == (error.code, error.codespace), result.log


def told(result: Any, kind: str) -> list[dict[str, str]]:
    return [{k: v for k, v, _ in event.attributes} for event in result.events if event.type == kind]


def kept(world: World, reference: str = "rent") -> StandingOrder | None:
    found: StandingOrder | None = world.state.get(ORDER + order_name(world.address("ann"), reference))
    return found


def leavings(world: World) -> int:
    return sum(1 for prefix in (ORDER, BY_RECIPIENT, DUE, FAILED.prefix) for _ in world.state.scan(prefix))


def leave(world: World, amount: int) -> None:
    """ann pays all but so much to carl."""
    rest = world.balance("ann") - amount - 10_000
    world.block(world.tx("ann", Payment(world.address("ann"), world.address("carl"), rest), fee=10_000))
    assert world.balance("ann") == amount


# ------------------------------------------------------------------------------ paid


def test_it_is_paid_so_often_and_over(world: World) -> None:
    made = order(world)
    height = world.height
    who = {"owner": account(world.address("ann")), "reference": "rent"}
    (said,) = told(made, "create_standing_order")
    assert said == {
        **who, "recipient": account(world.address("bob")), "amount": "1000000udchat", "every_blocks": "10",
        "due_height": str(height + 10), "times": "3", "until_height": "0", "max_fee": "0udchat",
    }  # fmt: skip
    ann, bob = world.balance("ann"), world.balance("bob")
    paid = []
    for _ in range(40):
        block = world.block()
        paid += [(world.height - height, said["paid"]) for said in told(block, "pay_standing_order")]
        if told(block, "end_standing_order"):
            assert told(block, "end_standing_order") == [{**who, "reason": "done", "paid": "3"}]
            assert told(block, "transfer")[0]["amount"] == "1000000udchat"
    assert paid == [(10, "1"), (20, "2"), (30, "3")]
    assert (ann - world.balance("ann"), world.balance("bob") - bob) == (3 * (DCHAT + FEE), 3 * DCHAT)
    assert leavings(world) == 0


def test_the_first_block_and_the_last_are_as_it_says(world: World) -> None:
    first = world.height + 4
    order(world, first_height=first, times=0, until_height=first + 20)
    paid = [world.height for _ in range(40) if told(world.block(), "pay_standing_order")]
    assert paid == [first, first + 10, first + 20]
    assert leavings(world) == 0


def test_in_a_denomination_with_its_fee_in_udchat(world: World) -> None:
    ann, gold = world.address("ann"), Denom(world.address("ann"), "gold")
    world.do("ann", CreateDenomination(ann, "gold", freezable=True))
    world.do("ann", MintDenomination(ann, gold, ann, 7))
    raw = world.tx("ann", terms(world, denom=gold, amount=3))
    made = world.block(raw).tx_results[0]
    assert made.gas_used >= 2 * gas.GAS_STAYS + ORDER_MISSES_MAX * gas.GAS_ORDER, "its record, and bob's first holding"
    assert decode(raw).gas_limit == gas_for(decode(raw).messages) >= made.gas_used
    before = world.balance("ann")
    world.blocks(10)
    assert (holding_of(world.state, world.address("bob"), gold).amount, before - world.balance("ann")) == (3, FEE)
    world.do("ann", FreezeHolding(ann, gold, ann, True))
    world.blocks(8)
    (missed,) = told(world.block(), "miss_standing_order")
    assert (missed["codespace"], missed["code"]) == ("denominations", str(pe.HoldingFrozen.code))
    world.do("ann", FreezeHolding(ann, gold, ann, False))
    world.blocks(10)
    assert holding_of(world.state, world.address("bob"), gold).amount == 6
    world.blocks(10)  # one unit is left of seven
    assert (holding_of(world.state, ann, gold).amount, kept(world).misses) == (1, 1)  # type: ignore[union-attr]


def test_an_account_that_was_not_there_is_opened_and_was_paid_for(world: World) -> None:
    nobody = bytes([9]) * 20
    known = world.do("ann", terms(world, reference="know")).gas_used
    made = world.do("ann", terms(world, recipient=nobody)).gas_used
    assert made - known in range(gas.GAS_NEW_LEAF, gas.GAS_NEW_LEAF + 3 * gas.GAS_BYTE)
    assert world.state.get(ACCOUNT + nobody) is None
    world.blocks(10)
    assert world.state.get(ACCOUNT + nobody).balance == DCHAT


def test_two_payments_are_never_nearer_than_it_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order(world)
    height = world.height
    monkeypatch.setattr("chain.currency.payments.standing.gas.most_of", lambda each, limit: 0)
    world.blocks(25)  # as if others were before it all the time
    monkeypatch.undo()
    paid = [world.height - height for _ in range(40) if told(world.block(), "pay_standing_order")]
    assert paid == [26, 36, 46]


def test_one_that_waits_beyond_its_last_block_is_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order(world, times=0, until_height=world.height + 13)
    monkeypatch.setattr("chain.currency.payments.standing.gas.most_of", lambda each, limit: 0)
    world.blocks(12)
    assert kept(world) is not None
    monkeypatch.undo()
    before = world.balance("ann")
    (said,) = told(world.block(), "end_standing_order")
    assert (said["reason"], said["paid"], world.balance("ann"), leavings(world)) == ("over", "0", before, 0)


def test_all_at_once_wait_their_turn_the_longest_due_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that fall due in one block cost it a quarter of its gas; none is forgotten."""
    due = world.height + 12
    for number in range(5):
        order(world, reference=f"n{number}", first_height=due - number % 2, times=1)
    asked = []

    def most_of(each: int, limit: int) -> int:
        asked.append((each, limit))
        return 2

    monkeypatch.setattr("chain.currency.payments.standing.gas.most_of", most_of)
    found = []
    while world.height < due + 3:
        found.append([said["reference"] for said in told(world.block(), "pay_standing_order")])
    assert found[-5:] == [["n1", "n3"], ["n0", "n2"], ["n4"], [], []]
    assert (gas.GAS_ORDER, gas.BLOCK_GAS_MAX // 4) in asked
    assert leavings(world) == 0


# ------------------------------------------------------------------------------ missed


def test_misses_are_counted_paid_by_the_next_payment_and_end_it(world: World) -> None:
    order(world, times=9)
    leave(world, DCHAT + FEE - 1)
    world.blocks(kept(world).due_height - world.height - 1)  # type: ignore[union-attr]
    (missed,) = told(world.block(), "miss_standing_order")
    assert (missed["codespace"], missed["code"], missed["misses"]) == (
        e.Overspend.codespace, str(e.Overspend.code), "1",
    )  # fmt: skip
    assert world.balance("ann") == DCHAT + FEE - 1, "nothing of it is paid"
    world.do("carl", Payment(world.address("carl"), world.address("ann"), FEE))  # enough for a payment, not for both
    world.blocks(9)
    assert kept(world).misses == 2  # type: ignore[union-attr]
    world.do("carl", Payment(world.address("carl"), world.address("ann"), 2 * DCHAT))
    before = world.balance("ann")
    world.blocks(9)
    assert before - world.balance("ann") == DCHAT + 3 * FEE, "all that was tried is paid for"
    found = kept(world)
    assert found is not None
    assert (found.paid, found.misses) == (1, 0)
    leave(world, 0)
    ends = [told(world.block(), "end_standing_order") for _ in range(31)]
    assert [row["reason"] for block in ends for row in block] == ["missed"]
    assert leavings(world) == 0


def test_a_turn_that_is_dearer_than_its_owner_said_is_missed(world: World) -> None:
    """The bound is of a turn's own work: a payment after a miss may cost that of both."""
    order(world, max_fee=FEE, times=2)
    order(world, to="carl", reference="dear", max_fee=FEE - 1, times=2)
    leave(world, DCHAT // 2)
    while not (missed := told(world.block(), "miss_standing_order")):
        pass
    assert [(row["reference"], int(row["code"])) for row in missed] == [("rent", e.Overspend.code)]
    world.do("carl", Payment(world.address("carl"), world.address("ann"), 5 * DCHAT))
    seen = [world.block() for _ in range(30)]
    paid = [(row["reference"], row["fee"]) for block in seen for row in told(block, "pay_standing_order")]
    assert paid == [("rent", f"{2 * FEE}udchat"), ("rent", f"{FEE}udchat")]
    codes = [int(row["code"]) for block in seen for row in told(block, "miss_standing_order")]
    assert codes == [pe.StandingOrderTooDear.code] * len(codes) != []
    assert kept(world, "dear") is None, "the third miss ends it"
    assert leavings(world) == 0


def test_what_the_last_misses_cost_was_paid_when_it_was_made(world: World) -> None:
    assert gas_for([terms(world)]) >= ORDER_MISSES_MAX * gas.GAS_ORDER + gas.GAS_STAYS
    assert FEE == params_of(world.state).min_fee(gas.GAS_ORDER) > 0


def test_a_recipient_that_became_the_chains_own_is_not_paid(world: World) -> None:
    order(world)
    name = order_name(world.address("ann"), "rent")
    branch = Branch(world.state.get)
    standing._run(name, branch, world.height + 10, frozenset((world.address("bob"),)))
    assert [event.type for event in branch.pop_events()] == ["miss_standing_order"]
    assert branch.writes.keys() & {ACCOUNT + world.address("ann"), ACCOUNT + world.address("bob")} == set()


def test_what_is_locked_is_not_touched(world: World) -> None:
    """SDK 2024-003: what vests is no account's until it does."""
    carl, ann = world.address("carl"), world.address("ann")
    world.do("carl", CreateVesting(carl, ann, 0, 50 * DCHAT, 0, True, False, ((10**8, 50 * DCHAT),)))
    order(world)
    leave(world, DCHAT)
    world.blocks(kept(world).due_height - world.height)  # type: ignore[union-attr]
    assert (world.balance("ann"), kept(world).misses) == (DCHAT, 1)  # type: ignore[union-attr]


def test_it_outlives_the_keys_that_signed_it(world: World) -> None:
    ann, new, before = world.address("ann"), wallet("ann:new"), world.balance("bob")
    order(world)
    moved = rotation(ann, new.policy, ["ann:new"])
    assert world.block(world.tx("ann", moved, lane=LANE_BRIDGE)).tx_results[0].code == 0
    world.blocks(9)
    assert world.balance("bob") == before + DCHAT
    seat = Shared(new.policy, new.public_key, ann)
    cancelling = signed(
        world, seat, "ann:new", CancelStandingOrder(ann, "rent"), with_policy=False, lane=LANE_CURRENCY
    )  # fmt: skip
    assert world.block(cancelling).tx_results[0].code == 0
    assert leavings(world) == 0


def test_what_breaks_lies_apart_until_it_is_cured_or_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISA-2025-002: an error at the end of a block stops nothing, and half of it is not kept."""
    world.check_laws = False
    order(world)
    order(world, reference="tea")
    run = standing._run

    def breaks(name: bytes, state: Any, height: int, refused: frozenset[bytes]) -> None:
        run(name, state, height, refused)
        assert not name.endswith(b"rent"), "a fault of the code"

    monkeypatch.setattr(standing, "_run", breaks)
    before = world.balance("bob")
    world.blocks(12)
    assert world.balance("bob") == before + DCHAT, "the one behind it was paid"
    assert [key[-4:] for key, _ in world.state.scan(FAILED.prefix)] == [b"rent"]
    assert list(world.laws()) == ["standing orders: no item of a queue failed"]
    world.do("ann", CancelStandingOrder(world.address("ann"), "rent"))
    world.do("ann", CancelStandingOrder(world.address("ann"), "tea"))
    assert (leavings(world), world.laws()) == (0, {})


# ------------------------------------------------------------------------------ refused, cancelled


def test_the_owner_has_the_last_word(world: World) -> None:
    order(world)
    cancelling = CancelStandingOrder(world.address("ann"), "rent")
    fails(world, "bob", cancelling._replace(owner=world.address("bob")), pe.UnknownStandingOrder)
    world.blocks(8)
    before = world.balance("bob")
    block = world.block(world.tx("ann", cancelling))
    assert (world.height, told(block, "pay_standing_order")) == (13, [])
    assert told(block.tx_results[0], "end_standing_order")[0]["reason"] == "cancelled"
    assert (world.balance("bob"), leavings(world)) == (before, 0)
    fails(world, "ann", cancelling, pe.UnknownStandingOrder)
    order(world)  # the reference is free again, and nothing is left that would pay it too early
    world.blocks(9)
    assert world.balance("bob") == before


def test_made_and_cancelled_in_one_block(world: World) -> None:
    first = world.height + 2
    both = [terms(world, first_height=first), CancelStandingOrder(world.address("ann"), "rent")]
    world.do("ann", *both)
    assert leavings(world) == 0
    world.blocks(3)


def test_each_refusal(world: World) -> None:
    def refused(error: type[TxError], **changed: Any) -> None:
        fails(world, "ann", terms(world, **changed), error)

    refused(e.RecipientRefused, recipient=ESCROW_ADDRESS)
    refused(pe.UnknownDenomination, denom=Denom(world.address("ann"), "lead"))
    refused(pe.StandingOrderHeights, first_height=world.height + 1)  # the block that makes it
    refused(pe.StandingOrderHeights, until_height=world.height + 10)
    refused(pe.StandingOrderHeights, first_height=world.height + 9, until_height=world.height + 8)
    refused(pe.StandingOrderHeights, first_height=world.height + 2 + ORDER_BLOCKS_MAX)
    refused(pe.StandingOrderHeights, times=0, until_height=2**64 - 1)
    order(world)
    refused(pe.StandingOrderExists, amount=2 * DCHAT)
    order(world, reference="other", until_height=world.height + 11, every_blocks=10)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param({"reference": ""}, "reference: 1 to 32", id="no reference"),
        pytest.param({"recipient": ANN}, "the same account", id="oneself"),
        pytest.param({"recipient": b"b"}, "recipient: 1 bytes", id="no address"),
        pytest.param({"amount": 0}, "amount is 0", id="nothing"),
        pytest.param({"amount": ORDER_UDCHAT_MIN - 1}, "9999 udchat, allowed: 10000", id="dust"),
        pytest.param({"denom": Denom(ANN, "G")}, "denom.sub", id="no denomination"),
        pytest.param({"every_blocks": 0}, "every_blocks: 0", id="never"),
        pytest.param({"every_blocks": 9}, "every_blocks: 9, allowed: 10 to", id="all the time"),
        pytest.param({"every_blocks": EVERY_BLOCKS_MAX + 1}, "every_blocks: ", id="too seldom"),
        pytest.param({"every_blocks": 2**64 - 1}, "every_blocks: ", id="seldom enough to overflow"),
        pytest.param({"times": ORDER_TIMES_MAX + 1}, "times: 10001, allowed: 10000", id="too often"),
        pytest.param({"times": 11, "every_blocks": EVERY_BLOCKS_MAX}, "times: 11, allowed: 10", id="for too long"),
        pytest.param({"times": 0}, "neither is given", id="for ever"),
    ],
)
def test_what_makes_no_sense_is_refused_unexecuted(made: dict[str, Any], said: str) -> None:
    message = CreateStandingOrder(ANN, "rent", BOB, None, DCHAT, 10, times=3)._replace(**made)
    with pytest.raises(InvalidField, match=said):
        decode_message(encode_message(message))


def test_nobody_orders_in_anothers_name() -> None:
    assert not {"create_standing_order", "cancel_standing_order"} & INNER.keys()


def test_what_waits_of_the_owner_is_checked_again(world: World) -> None:
    """A block's end takes from an account that signed nothing in it: admission is told."""
    order(world, amount=60 * DCHAT, times=1)
    world.blocks(9)
    ann, rest = world.address("ann"), world.balance("ann")
    spending = world.tx("ann", Payment(ann, world.address("carl"), rest - DCHAT))
    small = world.tx("bob", Payment(world.address("bob"), ann, 1))
    assert world.check(spending).code == world.check(small).code == 0
    response = world.block()
    assert told(response, "pay_standing_order")
    assert response.touched is not None
    assert ACCOUNT + ann in response.touched
    assert ACCOUNT + world.address("bob") not in response.touched, "who gets more is not looked at again"
    assert world.check(spending).code == e.Overspend.code


# ------------------------------------------------------------------------------ lists, laws


def test_lists_go_on_where_they_ended(world: World) -> None:
    for number in range(5):
        order(world, "bob" if number % 2 else "carl", f"n{number}")
    queries = PaymentQueries(world.app.queries)
    for limit in (1, 2, 5, 100):
        for asked, references in (
            ({"owner": world.address("ann")}, [f"n{number}" for number in range(5)]),
            ({"recipient": world.address("bob")}, ["n1", "n3"]),
            ({"recipient": world.address("carl")}, ["n0", "n2", "n4"]),
            ({"owner": world.address("bob")}, []),
        ):
            found, after = [], b""
            while True:
                answer = queries.orders(**asked, after=after, limit=limit)
                found += [row.reference for row in answer.orders]
                assert len(answer.orders) <= limit
                if not answer.next:
                    break
                after = answer.next
            assert found == references


def test_what_is_out_of_place_is_seen(world: World) -> None:
    order(world)
    rows = {prefix: list(world.state.scan(prefix)) for prefix in (ORDER, BY_RECIPIENT, DUE, FAILED.prefix)}

    def broken(without: bytes) -> int:
        def scan(prefix: bytes, start: bytes = b"") -> Any:
            return iter([] if prefix == without else rows[prefix])

        return sum(not holds for _, holds, _ in standing.invariants(world.state, scan))

    assert [broken(without) for without in (b"", ORDER, BY_RECIPIENT, DUE)] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    "record",
    [
        StandingOrder(BOB, None, 1, 10, 1, 1, 0),
        StandingOrder(BOB, Denom(ANN, "gold"), 2**64 - 1, EVERY_BLOCKS_MAX, 2**63 - 1, 0, 2**63 - 1, 10_000, 2),
    ],
)
def test_records_read_as_they_were_written(record: StandingOrder) -> None:
    assert StandingOrder.decode(record.encode()) == record


# ------------------------------------------------------------------------------ by chance

PEOPLE = ("ann", "bob", "carl")
REFERENCES = ("a", "b")


class Ordering(RuleBasedStateMachine):
    """Random orders, payments and blocks against a model: what is due when, and what everybody has."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World({"v1": 1000 * UNIT}, dict.fromkeys(PEOPLE, 100_000), check=False)
        self.has = dict.fromkeys(PEOPLE, 100_000)
        self.open: dict[tuple[str, str], list[Any]] = {}  # to, amount, every, due, times left, until, misses

    def block(self, who: str = "", message: Message | None = None, *, passes: bool = True) -> bool:
        world = self.world
        block = world.block(*([world.tx(who, message)] if message is not None else []))
        if message is not None:
            assert (block.tx_results[0].code == 0) == passes, (message, block.tx_results[0].log)
        return passes

    def pay(self) -> None:
        """What the end of the block pays: by height, owner and reference."""
        height = self.world.height
        rows = sorted(self.open, key=lambda key: (self.open[key][3], self.world.address(key[0]), key[1]))
        for key in rows:
            to, amount, every, due, left, until, misses = self.open[key]
            if due > height:
                continue
            if self.has[key[0]] >= amount:
                self.has[key[0]] -= amount
                self.has[to] += amount
                left, misses = left - 1, 0
            else:
                misses += 1
            following = height + every
            if left == 0 or misses == ORDER_MISSES_MAX or (until and following > until):
                del self.open[key]
            else:
                self.open[key][3:] = following, left, until, misses

    @rule(
        who=st.sampled_from(PEOPLE), to=st.sampled_from(PEOPLE), reference=st.sampled_from(REFERENCES),
        amount=st.integers(10_000, 90_000), every=st.integers(10, 13), first=st.integers(0, 12),
        times=st.integers(0, 3), until=st.integers(0, 30),
    )  # fmt: skip
    def order(
        self, who: str, to: str, reference: str, amount: int, every: int, first: int, times: int, until: int
    ) -> None:
        world = self.world
        if who == to or not (times or until):
            return
        height = world.height + 1
        first, until = first and height + first - 1, until and height + until
        due = first or height + every
        passes = (who, reference) not in self.open and height < due and (not until or due <= until)
        terms = (None, amount, every, first, times, until)
        message = CreateStandingOrder(world.address(who), reference, world.address(to), *terms)
        if self.block(who, message, passes=passes):
            self.open[who, reference] = [to, amount, every, due, times or -1, until, 0]
        self.pay()

    @rule(who=st.sampled_from(PEOPLE), reference=st.sampled_from(REFERENCES))
    def cancel(self, who: str, reference: str) -> None:
        passes = (who, reference) in self.open
        if self.block(who, CancelStandingOrder(self.world.address(who), reference), passes=passes):
            del self.open[who, reference]
        self.pay()

    @rule(who=st.sampled_from(PEOPLE), to=st.sampled_from(PEOPLE), part=st.integers(1, 100))
    def spend(self, who: str, to: str, part: int) -> None:
        amount = self.has[who] * part // 100
        if who != to and amount:
            self.block(who, Payment(self.world.address(who), self.world.address(to), amount))
            self.has[who] -= amount
            self.has[to] += amount
            self.pay()

    @rule(blocks=st.integers(1, 15))
    def wait(self, blocks: int) -> None:
        for _ in range(blocks):
            self.block()
            self.pay()

    @invariant()
    def state_is_the_models(self) -> None:
        names = {order_name(self.world.address(who), reference) for who, reference in self.open}
        assert {key[len(ORDER) :] for key, _ in self.world.state.scan(ORDER)} == names
        assert {name: self.world.balance(name) for name in PEOPLE} == self.has
        assert not self.world.laws()


TestOrdering = Ordering.TestCase
TestOrdering.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
