"""Denominations: whose they are, what their owners can do and cannot, and that no unit comes from nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.records import ESCROW_ADDRESS
from chain.currency.denominations import machine
from chain.currency.denominations.machine import holding_of
from chain.currency.denominations.records import DENOMINATION, HOLDING, Denomination, Holding, denom_of, name_of
from chain.kernel.event_text import account
from chain.tx import errors as e
from chain.tx import gas
from chain.tx import payment_errors as pe
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.build import gas_for
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField, TxError
from chain.tx.messages import LANE_BRIDGE, Message, Payment, decode_message, encode_message
from chain.tx.messages.payments import (
    BurnDenomination,
    CreateDenomination,
    Denom,
    FreezeHolding,
    MintDenomination,
    PayDenomination,
    TransferDenomination,
)
from dchat.app.payment_queries import PaymentQueries
from tests.support.economy.world import DCHAT, UNIT, World

ANN = bytes([1]) * 20


@pytest.fixture
def world() -> World:
    """ann makes `gold`, which can be frozen, and `silver`, of which there are 100 at most."""
    made = World({"v1": 1000 * UNIT}, dict.fromkeys(("ann", "bob", "carl"), 100 * DCHAT), gas_price=100_000)
    ann = made.address("ann")
    made.do("ann", CreateDenomination(ann, "gold", freezable=True))
    made.do("ann", CreateDenomination(ann, "silver", 100))
    return made


def denom(world: World, sub: str = "gold", creator: str = "ann") -> Denom:
    return Denom(world.address(creator), sub)


def held(world: World, who: str, sub: str = "gold") -> int:
    return holding_of(world.state, world.address(who), denom(world, sub)).amount


def supply(world: World, sub: str = "gold") -> int:
    found: Denomination = world.state.get(DENOMINATION + denom(world, sub).key)
    return found.supply


def fails(world: World, who: str, message: Message, error: type[TxError]) -> None:
    result = world.run(who, message)
    assert (result.code, result.codespace) == (error.code, error.codespace), result.log


def mint(world: World, to: str, amount: int, sub: str = "gold") -> None:
    world.do("ann", MintDenomination(world.address("ann"), denom(world, sub), world.address(to), amount))


# ------------------------------------------------------------------------------ names


def test_a_name_is_its_creators_own(world: World) -> None:
    fails(world, "ann", CreateDenomination(world.address("ann"), "gold"), pe.DenominationExists)
    told = world.do("bob", CreateDenomination(world.address("bob"), "gold", 7))
    assert {denom(world).key, denom(world, creator="bob").key} <= {
        key[len(DENOMINATION) :] for key, _ in world.state.scan(DENOMINATION)
    }
    (said,) = [{k: v for k, v, _ in ev.attributes} for ev in told.events if ev.type == "create_denomination"]
    bob = account(world.address("bob"))
    assert said == {"denom": f"factory/{bob}/gold", "creator": bob, "supply_max": "7", "freezable": "false"}
    assert name_of(denom_of(denom(world, creator="bob").key)) == said["denom"]


def test_a_name_is_used_for_ever(world: World) -> None:
    ann = world.address("ann")
    mint(world, "ann", 3)
    world.do("ann", BurnDenomination(ann, denom(world), 3))
    world.do("ann", TransferDenomination(ann, denom(world), b""))
    fails(world, "ann", CreateDenomination(ann, "gold"), pe.DenominationExists)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(CreateDenomination(ANN, ""), "sub: 1 to 44", id="no name"),
        pytest.param(CreateDenomination(ANN, "x" * 45), "sub: 1 to 44", id="too long"),
        pytest.param(CreateDenomination(ANN, "Gold"), "sub: 1 to 44", id="capitals look alike"),
        pytest.param(CreateDenomination(b"", "gold"), "creator: 0 bytes", id="no creator"),
        pytest.param(MintDenomination(ANN, Denom(b"x", "gold"), ANN, 1), "denom.creator: 1 bytes", id="of nobody"),
        pytest.param(MintDenomination(ANN, Denom(ANN, "a/b"), ANN, 1), "denom.sub: 1 to 44", id="a path"),
        pytest.param(MintDenomination(ANN, Denom(ANN, "gold"), b"", 1), "recipient: 0 bytes", id="minted to nobody"),
        pytest.param(MintDenomination(ANN, Denom(ANN, "gold"), ANN, 0), "amount is 0", id="nothing minted"),
        pytest.param(BurnDenomination(ANN, Denom(ANN, "gold"), 0), "amount is 0", id="nothing burned"),
        pytest.param(PayDenomination(ANN, Denom(ANN, "gold"), ANN, 1), "the same account", id="to oneself"),
        pytest.param(PayDenomination(ANN, Denom(ANN, "gold"), bytes(20), 0), "amount is 0", id="nothing paid"),
        pytest.param(FreezeHolding(ANN, Denom(ANN, "gold"), b"x", True), "holder: 1 bytes", id="nobody's"),
        pytest.param(TransferDenomination(ANN, Denom(ANN, "gold"), ANN), "its owner already", id="to its owner"),
        pytest.param(TransferDenomination(ANN, Denom(ANN, "gold"), b"x"), "new_owner: 1 bytes", id="to no address"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_unexecuted(made: Message, said: str) -> None:
    with pytest.raises(InvalidField, match=said):
        decode_message(encode_message(made))


# ------------------------------------------------------------------------------ units


def test_units_are_minted_paid_and_burned(world: World) -> None:
    ann, bob, carl = (world.address(name) for name in ("ann", "bob", "carl"))
    mint(world, "bob", 500)
    paid = world.do("bob", PayDenomination(bob, denom(world), carl, 200))
    (said,) = [{k: v for k, v, _ in ev.attributes} for ev in paid.events if ev.type == "pay_denomination"]
    amount = f"200factory/{account(ann)}/gold"
    assert said == {"sender": account(bob), "recipient": account(carl), "amount": amount}
    world.do("carl", BurnDenomination(carl, denom(world), 50))
    assert [held(world, who) for who in ("ann", "bob", "carl")] == [0, 300, 150]
    assert supply(world) == 450
    fails(world, "bob", PayDenomination(bob, denom(world), carl, 301), pe.HoldingTooSmall)
    fails(world, "bob", BurnDenomination(bob, denom(world), 301), pe.HoldingTooSmall)
    fails(world, "bob", PayDenomination(bob, denom(world, "lead"), carl, 1), pe.UnknownDenomination)
    fails(world, "bob", PayDenomination(bob, denom(world), ESCROW_ADDRESS, 1), e.RecipientRefused)
    world.do("bob", PayDenomination(bob, denom(world), carl, 300))
    assert world.state.get(HOLDING + bob + denom(world).key) is None, "nothing is kept of nothing"


def test_udchat_alone_pays_fees(world: World) -> None:
    """Whoever holds units and no udchat pays no fee."""
    world.wallets |= World({"v1": UNIT}, {"dora": 1}).wallets
    mint(world, "dora", 10**9)
    assert world.check(world.tx("dora", BurnDenomination(world.address("dora"), denom(world), 1))).code == (
        e.UnknownAccount.code
    )


def test_a_maximum_is_of_what_there_is_at_once(world: World) -> None:
    ann, silver = world.address("ann"), denom(world, "silver")
    mint(world, "ann", 100, "silver")
    fails(world, "ann", MintDenomination(ann, silver, ann, 1), pe.SupplyAboveMaximum)
    world.do("ann", BurnDenomination(ann, silver, 10))
    fails(world, "ann", MintDenomination(ann, silver, ann, 11), pe.SupplyAboveMaximum)
    mint(world, "bob", 10, "silver")


def test_without_a_maximum_the_field_is_the_limit(world: World) -> None:
    """SDK 2024-010: integers are of checked width."""
    mint(world, "bob", UINT64_MAX)
    for to in ("bob", "carl"):
        fails(
            world, "ann", MintDenomination(world.address("ann"), denom(world), world.address(to), 1),
            pe.SupplyAboveMaximum,
        )  # fmt: skip
    assert supply(world) == UINT64_MAX


def test_the_owner_alone_mints_freezes_and_gives(world: World) -> None:
    bob = world.address("bob")
    mint(world, "bob", 5)
    for message in (
        MintDenomination(bob, denom(world), bob, 1),
        FreezeHolding(bob, denom(world), bob, True),
        TransferDenomination(bob, denom(world), bob[::-1]),
    ):
        fails(world, "bob", message, pe.NotDenominationOwner)
        fails(world, "bob", message._replace(denom=denom(world, "lead")), pe.UnknownDenomination)
    ann = world.address("ann")
    fails(world, "ann", MintDenomination(ann, denom(world), ESCROW_ADDRESS, 1), e.RecipientRefused)
    fails(world, "ann", TransferDenomination(ann, denom(world), ESCROW_ADDRESS), e.RecipientRefused)
    world.do("ann", TransferDenomination(ann, denom(world), bob))
    fails(world, "ann", MintDenomination(ann, denom(world), ann, 1), pe.NotDenominationOwner)
    world.do("bob", MintDenomination(bob, denom(world), ann, 1))


# ------------------------------------------------------------------------------ freezing


def test_what_is_frozen_stays_and_can_be_added_to(world: World) -> None:
    ann, bob, carl = (world.address(name) for name in ("ann", "bob", "carl"))
    mint(world, "bob", 5)
    mint(world, "carl", 5)
    world.do("ann", FreezeHolding(ann, denom(world), bob, True))
    fails(world, "bob", PayDenomination(bob, denom(world), carl, 1), pe.HoldingFrozen)
    fails(world, "bob", BurnDenomination(bob, denom(world), 1), pe.HoldingFrozen)
    world.do("carl", PayDenomination(carl, denom(world), bob, 5))
    fails(world, "bob", PayDenomination(bob, denom(world), carl, 1), pe.HoldingFrozen)
    world.do("bob", Payment(bob, carl, 1))
    world.do("ann", FreezeHolding(ann, denom(world), bob, False))
    world.do("bob", PayDenomination(bob, denom(world), carl, 10))


def test_nothing_is_frozen_that_was_not_made_so(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    mint(world, "bob", 5, "silver")
    fails(world, "ann", FreezeHolding(ann, denom(world, "silver"), bob, True), pe.NotFreezable)
    fails(world, "ann", FreezeHolding(ann, denom(world), bob, True), pe.HoldingTooSmall)
    assert held(world, "bob") == 0


def test_giving_it_up_frees_what_was_frozen(world: World) -> None:
    """Nobody is left who could release it."""
    ann, bob = world.address("ann"), world.address("bob")
    mint(world, "bob", 5)
    world.do("ann", FreezeHolding(ann, denom(world), bob, True))
    world.do("ann", TransferDenomination(ann, denom(world), b""))
    fails(world, "ann", MintDenomination(ann, denom(world), ann, 1), pe.NotDenominationOwner)
    world.do("bob", PayDenomination(bob, denom(world), ann, 5))


# ------------------------------------------------------------------------------ prices, bundles


def test_dust_has_a_price_and_the_estimate_is_enough(world: World) -> None:
    bob = world.address("bob")
    mint(world, "bob", 10)
    first, second = (
        world.block(world.tx("bob", PayDenomination(bob, denom(world), world.address("carl"), 1))).tx_results[0]
        for _ in range(2)
    )
    sequence_gas = 100  # the first states sequence 0, which is left out
    assert abs(first.gas_used - second.gas_used - gas.GAS_STAYS) < sequence_gas
    raw = world.tx("bob", PayDenomination(bob, denom(world), bytes(20), 1))
    done = world.block(raw).tx_results[0]
    assert decode(raw).gas_limit == gas_for([decode(raw).messages[0]]) >= done.gas_used


def test_two_people_exchange_in_one_bundle(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    world.do("bob", CreateDenomination(bob, "tin"))
    world.do("bob", MintDenomination(bob, denom(world, "tin", "bob"), bob, 7))
    mint(world, "ann", 3)
    legs = (PayDenomination(ann, denom(world), bob, 3), PayDenomination(bob, denom(world, "tin", "bob"), ann, 7))
    assert world.block(world.tx(("ann", "bob"), *legs, lane=LANE_BRIDGE)).tx_results[0].code == 0
    assert (held(world, "bob"), holding_of(world.state, ann, denom(world, "tin", "bob")).amount) == (3, 7)
    result = world.block(world.tx(("ann", "bob"), *legs, lane=LANE_BRIDGE)).tx_results[0]
    assert result.code == pe.HoldingTooSmall.code
    assert held(world, "bob") == 3


# ------------------------------------------------------------------------------ reading


def test_lists_go_on_where_they_ended(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    for number in range(5):
        world.do("bob", CreateDenomination(bob, f"n{number}"))
        world.do("bob", MintDenomination(bob, denom(world, f"n{number}", "bob"), ann, number + 1))
    mint(world, "ann", 9)
    queries = PaymentQueries(world.app.queries)

    def pages(look: Any, field: str, limit: int) -> list[str]:
        found, after = [], b""
        while True:
            answer = look(after=after, limit=limit)
            rows = getattr(answer, field)
            assert len(rows) <= limit
            found += [row.name for row in rows]
            if not answer.next:
                return found
            after = answer.next

    for limit in (1, 2, 3, 6, 100):
        of_ann = pages(lambda **how: queries.holdings(ann, **how), "holdings", limit)
        keys = [denom(world), *[denom(world, f"n{number}", "bob") for number in range(5)]]
        assert of_ann == [name_of(one) for one in sorted(keys, key=lambda one: one.key)]
        of_bob = pages(lambda **how: queries.denominations(creator=bob, **how), "denominations", limit)
        assert of_bob == [name_of(denom(world, f"n{number}", "bob")) for number in range(5)]
        assert len(set(pages(queries.denominations, "denominations", limit))) == 7
    assert not queries.holdings(world.address("carl")).holdings
    assert not queries.holdings(ann, after=b"\xff" * 20).holdings


def test_a_kept_height_can_be_asked_about(world: World) -> None:
    mint(world, "bob", 5)
    height = world.height
    world.do("bob", BurnDenomination(world.address("bob"), denom(world), 5))
    for at, count in ((height, "2 denominations"), (world.height, "2 denominations")):
        rows = {name: (holds, detail) for name, holds, detail in world.app.queries.invariants(at)}
        holds, detail = rows["currency: supply of each denomination is conserved"]
        assert holds
        assert count in detail


def test_units_from_nowhere_are_seen(world: World) -> None:
    mint(world, "bob", 5)
    key = HOLDING + world.address("bob") + denom(world).key
    for wrong, law in ((Holding(6), "supply of each denomination"), (Holding(0), "holdings are of denominations")):
        rows = [
            (k, wrong if k == key else v) for prefix in (HOLDING, DENOMINATION) for k, v in world.state.scan(prefix)
        ]

        def scan(prefix: bytes, start: bytes = b"", rows: Any = rows) -> Any:
            return iter([(k, v) for k, v in rows if k.startswith(prefix)])

        broken = [name for name, holds, _ in machine.invariants(world.state, scan) if not holds]
        assert any(law in name for name in broken), broken


@pytest.mark.parametrize(
    "record",
    [
        Denomination(b""),
        Denomination(ANN, 5, 7, True),
        Denomination(b"", UINT64_MAX, UINT64_MAX, False),
        Holding(1),
        Holding(UINT64_MAX, True),
    ],
)
def test_records_read_as_they_were_written(record: Denomination | Holding) -> None:
    assert type(record).decode(record.encode()) == record
    assert record.encode()


# ------------------------------------------------------------------------------ by chance

PEOPLE = ("ann", "bob", "carl")
SUBS = ("gold", "silver")


class Units(RuleBasedStateMachine):
    """Random mints, payments, burns, freezes and gifts against a model of a dozen lines."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World({"v1": 1000 * UNIT}, dict.fromkeys(PEOPLE, 10**6 * DCHAT), check=False)
        for sub, most, freezable in (("gold", 0, True), ("silver", 100, False)):
            self.world.do("ann", CreateDenomination(self.world.address("ann"), sub, most, freezable))
        self.held: dict[tuple[str, str], int] = {}
        self.frozen: set[tuple[str, str]] = set()
        self.owner = dict.fromkeys(SUBS, "ann")

    def attempt(self, who: str, message: Message, *, passes: bool) -> bool:
        result = self.world.run(who, message)
        assert (result.code == 0) == passes, (message, result.log)
        return passes

    def stuck(self, who: str, sub: str, amount: int) -> bool:
        return self.held.get((who, sub), 0) < amount or ((who, sub) in self.frozen and bool(self.owner[sub]))

    def move(self, who: str, sub: str, amount: int) -> None:
        left = self.held.get((who, sub), 0) + amount
        if left:
            self.held[who, sub] = left
        else:
            self.held.pop((who, sub), None)
            self.frozen.discard((who, sub))

    @rule(who=st.sampled_from(PEOPLE), to=st.sampled_from(PEOPLE), sub=st.sampled_from(SUBS), amount=st.integers(1, 60))
    def mint(self, who: str, to: str, sub: str, amount: int) -> None:
        world = self.world
        supply = sum(units for (_, name), units in self.held.items() if name == sub)
        passes = self.owner[sub] == who and (sub == "gold" or supply + amount <= 100)
        if self.attempt(
            who, MintDenomination(world.address(who), denom(world, sub), world.address(to), amount), passes=passes
        ):
            self.move(to, sub, amount)

    @rule(who=st.sampled_from(PEOPLE), to=st.sampled_from(PEOPLE), sub=st.sampled_from(SUBS), amount=st.integers(1, 60))
    def pay(self, who: str, to: str, sub: str, amount: int) -> None:
        if who == to:
            return
        world = self.world
        message = PayDenomination(world.address(who), denom(world, sub), world.address(to), amount)
        if self.attempt(who, message, passes=not self.stuck(who, sub, amount)):
            self.move(who, sub, -amount)
            self.move(to, sub, amount)

    @rule(who=st.sampled_from(PEOPLE), sub=st.sampled_from(SUBS), amount=st.integers(1, 60))
    def burn(self, who: str, sub: str, amount: int) -> None:
        message = BurnDenomination(self.world.address(who), denom(self.world, sub), amount)
        if self.attempt(who, message, passes=not self.stuck(who, sub, amount)):
            self.move(who, sub, -amount)

    @rule(who=st.sampled_from(PEOPLE), of=st.sampled_from(PEOPLE), sub=st.sampled_from(SUBS), frozen=st.booleans())
    def freeze(self, who: str, of: str, sub: str, frozen: bool) -> None:
        world = self.world
        passes = self.owner[sub] == who and sub == "gold" and (of, sub) in self.held
        if self.attempt(
            who, FreezeHolding(world.address(who), denom(world, sub), world.address(of), frozen), passes=passes
        ):
            (self.frozen.add if frozen else self.frozen.discard)((of, sub))

    @rule(who=st.sampled_from(PEOPLE), to=st.sampled_from(("", *PEOPLE)), sub=st.sampled_from(SUBS))
    def give(self, who: str, to: str, sub: str) -> None:
        if who == to:
            return
        world = self.world
        message = TransferDenomination(world.address(who), denom(world, sub), world.address(to) if to else b"")
        if self.attempt(who, message, passes=self.owner[sub] == who):
            self.owner[sub] = to

    @invariant()
    def holdings_are_the_models(self) -> None:
        found = {(who, sub): held(self.world, who, sub) for who in PEOPLE for sub in SUBS if held(self.world, who, sub)}
        assert found == self.held
        assert not self.world.laws()


TestUnits = Units.TestCase
TestUnits.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
