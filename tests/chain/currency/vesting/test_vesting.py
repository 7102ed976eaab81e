"""Vesting: evenly, at once, in parts; claimed, taken back; at the edges of time, in a genesis, and by strangers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.records import ESCROW_ADDRESS
from chain.app_state.document import InvalidAppState, parse_app_state
from chain.app_state.vesting import VestingGenesis
from chain.currency.ledger.bank import VESTING, held
from chain.currency.vesting.vesting import VESTINGS, Vesting, name_of
from chain.kernel.event_text import account
from chain.kernel.execution import TIME_NS_MAX
from chain.tx import errors as e
from chain.tx import vesting_errors as v
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField, TxError
from chain.tx.messages import Payment
from chain.tx.messages.economy import Delegate
from chain.tx.messages.payments import (
    PERIOD_S_MAX,
    PERIODS_MAX,
    ClaimVested,
    ClawBack,
    CreateVesting,
)
from genesis.app_state import build_app_state
from tests.support.chain.harness import SECOND_NS, Chain
from tests.support.economy.world import DCHAT, UNIT, World, amount

DAY_S = 86_400


@pytest.fixture
def world() -> World:
    """ann funds, bob gets, carl looks on."""
    made = World({"v1": 1000 * UNIT}, {"ann": 100 * DCHAT, "bob": 10, "carl": DCHAT, "dora": 0})
    made.blocks(2)
    return made


def create(world: World, *periods: tuple[int, int], to: str = "bob", **terms: Any) -> CreateVesting:
    fields = {"number": 0, "start_ns": 0, "linear": False, "clawback": False} | terms
    return CreateVesting(
        world.address("ann"), world.address(to), fields["number"], sum(part for _, part in periods),
        fields["start_ns"], fields["linear"], fields["clawback"], periods,
    )  # fmt: skip


def claim(world: World, who: str = "bob", recipient: str = "bob", number: int = 0) -> ClaimVested:
    return ClaimVested(world.address(who), world.address(recipient), world.address("ann"), number)


def back(world: World, number: int = 0) -> ClawBack:
    return ClawBack(world.address("ann"), world.address("bob"), number)


def found(world: World, number: int = 0) -> Vesting | None:
    stored: Vesting | None = world.state.get(VESTINGS + name_of(world.address("bob"), world.address("ann"), number))
    return stored


# ------------------------------------------------------------------------------ what vests


def test_evenly(world: World) -> None:
    world.do("ann", create(world, (100, 1_000), linear=True))
    assert (world.balance("ann"), held(world.state, VESTING)) == (100 * DCHAT - 1_000, 1_000)
    done = world.do("bob", claim(world), seconds=25)
    assert (amount(done), world.balance("bob")) == (250, 260)
    told = {event.type: {key: value for key, value, _ in event.attributes} for event in done.events}
    who = {"recipient": account(world.address("bob")), "funder": account(world.address("ann")), "number": "0"}
    assert told["claim_vested"] == {**who, "amount": "250udchat"}
    assert amount(world.do("bob", claim(world), seconds=1)) == 10
    assert amount(world.do("bob", claim(world), seconds=10_000)) == 740
    assert (found(world), held(world.state, VESTING)) == (None, 0)


def test_at_once(world: World) -> None:
    world.do("ann", create(world, (100, 1_000)))
    assert world.run("bob", claim(world), seconds=99).code == v.NothingVested.code
    assert amount(world.do("bob", claim(world), seconds=1)) == 1_000


def test_in_parts(world: World) -> None:
    world.do("ann", create(world, (10, 100), (20, 200), (30, 300)))
    paid = [amount(world.do("bob", claim(world), seconds=seconds)) for seconds in (10, 49, 1)]
    assert paid == [100, 200, 300]
    assert found(world) is None


def test_a_start_in_time_to_come_and_one_in_time_gone(world: World) -> None:
    later = world.time_ns + 50 * SECOND_NS
    world.do("ann", create(world, (100, 1_000), linear=True, start_ns=later))
    assert world.run("bob", claim(world), seconds=49).code == v.NothingVested.code
    assert amount(world.do("bob", claim(world), seconds=10)) == 100
    world.do("ann", create(world, (100, 1_000), linear=True, start_ns=1, number=1))
    assert amount(world.do("bob", claim(world, number=1))) == 1_000


def test_anybody_claims_for_the_recipient_and_opens_its_account(world: World) -> None:
    world.do("ann", create(world, (10, 100), to="dora"))
    carl = world.balance("carl")
    world.do("carl", claim(world, "carl", "dora"), seconds=10)
    assert (world.balance("dora"), world.balance("carl")) == (100, carl)


PERIODS = st.lists(st.tuples(st.integers(1, 1_000), st.integers(1, 10**6)), min_size=1, max_size=5).map(tuple)


@given(PERIODS, st.booleans(), st.integers(0, 10**12), st.lists(st.integers(0, 10**13), min_size=2, max_size=6))
def test_it_only_rises_to_all_of_it(periods: Any, linear: bool, start_ns: int, times: list[int]) -> None:
    periods = periods[:1] if linear else periods
    total = sum(part for _, part in periods)
    vesting = Vesting(total, 0, start_ns, linear, False, periods)
    seen = [vesting.vested_at(time_ns) for time_ns in sorted(times)]
    assert seen == sorted(seen)
    assert all(0 <= vested <= total for vested in seen)
    assert vesting.vested_at(start_ns) == 0
    assert vesting.vested_at(vesting.end_ns - 1) < total
    assert vesting.vested_at(vesting.end_ns) == total


@pytest.mark.parametrize("time_ns", [-1, 0, 2**63, 2**64, 10**30])
@pytest.mark.parametrize("linear", [True, False])
def test_at_the_edges_of_time(time_ns: int, linear: bool) -> None:
    vesting = Vesting(UINT64_MAX, 0, TIME_NS_MAX, linear, False, ((PERIOD_S_MAX, UINT64_MAX),))
    assert vesting.vested_at(time_ns) in (0, UINT64_MAX) or linear
    assert 0 <= vesting.vested_at(time_ns) <= UINT64_MAX
    assert Vesting.decode(vesting.encode()) == vesting


# ------------------------------------------------------------------------------ what is locked


def test_what_is_locked_is_nobodys_to_spend(world: World) -> None:
    """No schedule of an account is asked: what has not vested is not there."""
    world.do("ann", create(world, (100, DCHAT), linear=True))
    bob, v1 = world.address("bob"), world.address("v1")
    for message in (Payment(bob, v1, 11), Delegate(bob, v1, 11)):
        assert world.run("bob", message).code == e.Overspend.code
    world.do("bob", Delegate(bob, v1, 10), seconds=0)
    world.do("bob", claim(world), seconds=48)
    world.do("bob", Payment(bob, v1, DCHAT // 2))


def test_a_slash_reaches_no_promise(world: World) -> None:
    """SDK 2168, 10712: after a slash counters of what was staked locked too much, or let it go too early."""
    world.do("ann", create(world, (100, 1_000), linear=True, clawback=True))
    world.do("bob", Delegate(world.address("bob"), world.address("v1"), 10))
    world.block(misbehavior=[world.double_sign("v1")], seconds=30)
    before = world.balance("ann")
    vesting = found(world)
    assert vesting is not None
    world.do("ann", back(world))
    assert world.balance("ann") - before == 1_000 - vesting.vested_at(world.time_ns)


# ------------------------------------------------------------------------------ taken back


@pytest.mark.parametrize(("seconds", "claimed"), [(1, False), (40, False), (40, True), (1_000, False)])
def test_a_clawback_takes_exactly_what_has_not_vested(world: World, seconds: int, claimed: bool) -> None:
    ann, bob = world.balance("ann"), world.balance("bob")
    world.do("ann", create(world, (100, 1_000), linear=True, clawback=True))
    if claimed:
        world.do("bob", claim(world), seconds=20)
    done = world.do("ann", back(world), seconds=seconds)
    vested = min(1_000, 10 * (seconds + 20 * claimed))
    assert (world.balance("ann"), world.balance("bob")) == (ann - vested, bob + vested)
    assert amount(done) == 1_000 - vested
    assert (found(world), held(world.state, VESTING)) == (None, 0)
    assert world.run("ann", back(world)).code == v.NoVesting.code


def test_each_refusal(world: World) -> None:
    def fails(error: type[TxError], message: Any, who: str = "ann") -> None:
        before = held(world.state, VESTING)
        result = world.run(who, message)
        assert (result.code, result.codespace) == (error.code, error.codespace), result.log
        assert held(world.state, VESTING) == before

    fails(v.NoVesting, claim(world), "bob")
    fails(v.NoVesting, back(world))
    world.do("ann", create(world, (100, 1_000)))
    fails(v.VestingExists, create(world, (5, 7)))
    fails(v.NothingVested, claim(world), "bob")
    fails(v.NoClawback, back(world))
    fails(e.Overspend, create(world, (5, 10**12), number=1))
    fails(v.VestingTooFar, create(world, (5, 7), number=1, start_ns=world.time_ns + 11 * 366 * DAY_S * SECOND_NS))
    refused = create(world, (5, 7), number=1)._replace(recipient=ESCROW_ADDRESS)
    fails(e.RecipientRefused, refused)  # SDK 2024-003
    fails(e.RecipientRefused, refused._replace(recipient=VESTING))
    fails(e.RecipientRefused, Payment(world.address("ann"), VESTING, 5))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"funder": b""}, id="no funder"),
        pytest.param({"recipient": b"x"}, id="no recipient"),
        pytest.param({"amount": 0, "periods": ((5, 0),)}, id="nothing"),
        pytest.param({"amount": 11}, id="another sum"),
        pytest.param({"periods": ()}, id="no periods"),
        pytest.param({"periods": ((1, 1),) * (PERIODS_MAX + 1), "amount": PERIODS_MAX + 1}, id="too many"),
        pytest.param({"periods": ((0, 10),)}, id="a period of no time"),
        pytest.param({"periods": ((PERIOD_S_MAX + 1, 10),)}, id="a period beyond all times"),
        pytest.param({"periods": ((PERIOD_S_MAX, 2),) * 5}, id="periods beyond all times together"),
        pytest.param({"periods": ((5, 10), (5, 0))}, id="a period of nothing"),
        pytest.param({"linear": True, "periods": ((5, 4), (5, 6))}, id="evenly in parts"),
        pytest.param({"start_ns": 1 << 63}, id="a start beyond all times"),
        pytest.param({"periods": ((5, UINT64_MAX), (5, 11))}, id="a sum that wraps"),
    ],
)
def test_what_a_vesting_may_say(world: World, wrong: dict[str, Any]) -> None:
    """SDK Barberry: periods that were not what they said froze what they held."""
    with pytest.raises(InvalidField, match="create_vesting"):
        decode(world.tx("ann", create(world, (5, 10))._replace(**wrong)))


def test_many_for_one_by_anybody(world: World) -> None:
    """SDK 9959; and griefing: whoever sent first to a fresh address made it a vesting account of its terms for ever."""
    for number in range(5):
        world.do("ann", create(world, (10, 100), number=number))
    carl, dora = world.address("carl"), world.address("dora")
    world.do("carl", CreateVesting(carl, dora, 0, 1, 0, False, False, ((PERIOD_S_MAX, 1),)))
    world.do("ann", Payment(world.address("ann"), world.address("dora"), 50))
    world.do("dora", Payment(world.address("dora"), world.address("ann"), 50))
    assert sum(amount(world.do("bob", claim(world, number=number), seconds=10)) for number in range(5)) == 500


# ------------------------------------------------------------------------------ genesis


def a_genesis(world: World, **changes: Any) -> VestingGenesis:
    plain = VestingGenesis(world.address("bob"), world.address("ann"), 3, 0, True, True, ((DAY_S, 1_000),))
    return plain._replace(**changes)


def test_from_the_beginning(world: World) -> None:
    vestings = (a_genesis(world), a_genesis(world, number=4, linear=False, periods=((5, 1), (5, 2))))
    state = build_app_state({world.address("ann"): 5}, vestings=vestings)
    parsed = parse_app_state(json.dumps(state).encode())
    assert parsed.vestings == vestings
    assert parse_app_state(json.dumps(parsed.to_json()).encode()) == parsed
    assert "vesting" not in build_app_state({world.address("ann"): 5})["currency"], "documents without are as they were"
    chain = Chain({"ann": 5, "bob": 7}, vestings=vestings)
    chain.assert_invariants()
    assert held(chain.app.base, VESTING) == 1_003
    chain.restart()
    message = ClaimVested(chain.address("bob"), chain.address("bob"), chain.address("ann"), 4)
    rich = Chain({"ann": 5, "bob": DCHAT}, vestings=vestings)
    for _ in range(5):
        rich.block()
    (result,) = rich.block(rich.tx("bob", message)).tx_results
    assert (result.code, amount(result)) == (0, 1), result.log
    rich.assert_invariants()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"periods": ()}, "periods: 0, allowed: 1 to", id="no periods"),
        pytest.param({"periods": ((0, 1),)}, "length_s: 0", id="no time"),
        pytest.param({"periods": ((1, 1), (1, 1))}, "a linear one has 1", id="evenly in parts"),
        pytest.param({"start_ns": 1 << 63}, "start_ns is", id="beyond all times"),
        pytest.param({"periods": ((5, UINT64_MAX),)}, "balances, vestings and stakes are above", id="too much"),
        pytest.param({"recipient": ESCROW_ADDRESS}, "the chain's own accounts begin empty", id="a module's"),
    ],
)
def test_a_genesis_is_refused(world: World, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidAppState, match=said):
        Chain({"ann": 5}, vestings=[a_genesis(world, **wrong)])


def test_a_genesis_names_each_once(world: World) -> None:
    with pytest.raises(InvalidAppState, match="stand twice"):
        Chain({"ann": 5}, vestings=[a_genesis(world), a_genesis(world)])
    document = build_app_state({world.address("ann"): 5}, vestings=[a_genesis(world)])
    for change, said in (
        ({"linear": "true"}, "linear is 'true'"), ({"number": 1}, "number is 1"), ({"more": 1}, "more is unknown"),
        ({"periods": {}}, "periods is no list"),
    ):  # fmt: skip
        broken = json.loads(json.dumps(document))
        broken["currency"]["vesting"][0].update(change)
        with pytest.raises(InvalidAppState, match=said):
            parse_app_state(json.dumps(broken).encode())
