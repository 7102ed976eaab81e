"""Fee grants: what they pay, what they refuse, when they end; that nobody drains one, nor fills a pool by one."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.records import ESCROW_ADDRESS
from chain.currency.grants.fee_grants import EXPIRING, FEE_GRANT, FeeGrant
from chain.currency.machine import take_granted_fee
from chain.kernel.branch import Branch
from chain.kernel.context import Context
from chain.kernel.event_text import account
from chain.tx import errors as e
from chain.tx import gas
from chain.tx.envelope.build import gas_for
from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import InvalidField, TxError
from chain.tx.messages import LANE_BRIDGE, CreateChannel, Message, Payment, RegisterIdentity
from chain.tx.messages.grants import GRANT_KINDS_MAX, PERIOD_S_MAX, GrantFees, RevokeFeeGrant
from consensus.abci.interface import CheckTxRequest, CheckTxType
from tests.support.chain.harness import SECOND_NS
from tests.support.economy.world import DCHAT, UNIT, World

PRICE = 100_000
FEE = 5_000  # stated whole: above the least of a payment


@pytest.fixture
def world() -> World:
    """ann grants, bob and carl are granted, dora is new."""
    made = World({"v1": 1000 * UNIT}, {"ann": 100 * DCHAT, "bob": 10, "carl": DCHAT, "dora": 0}, gas_price=PRICE)
    made.blocks(2)
    return made


def grant_of(world: World, grantee: str = "bob", granter: str = "ann") -> FeeGrant | None:
    found: FeeGrant | None = world.state.get(FEE_GRANT + world.address(granter) + world.address(grantee))
    return found


def grant(world: World, limit: int = 3 * FEE, grantee: str = "bob", *, seconds: int = 100, **terms: Any) -> None:
    expiry_ns = world.time_ns + seconds * SECOND_NS
    world.do("ann", GrantFees(world.address("ann"), world.address(grantee), limit, expiry_ns, **terms))


def granted(world: World, message: Message | None = None, who: str = "bob", **options: Any) -> bytes:
    """A transaction of `who` whose fee ann is to pay."""
    options.setdefault("fee", FEE)
    options.setdefault("fee_granter", world.address("ann"))
    return world.tx(who, message or Payment(world.address(who), world.address("v1"), 1), **options)


def numbered(world: World, number: int, who: str = "bob") -> bytes:
    """As `granted`, in no order: one that is refused keeps no other back."""
    return granted(world, who=who, unordered=True, memo=str(number))


def refused(world: World, raw: bytes, error: type[TxError]) -> None:
    """At the door, and in a proposal."""
    assert world.check(raw).code == error.code, world.check(raw)
    assert error.rule in world.propose(raw)


# ------------------------------------------------------------------------------ what it pays


def test_the_granter_pays_whatever_becomes_of_the_messages(world: World) -> None:
    grant(world, 2 * FEE)
    ann, bob = world.balance("ann"), world.balance("bob")
    done = world.block(granted(world)).tx_results[0]
    assert done.code == 0, done.log
    assert (world.balance("ann"), world.balance("bob")) == (ann - FEE, bob - 1)
    told = {event.type: {key: value for key, value, _ in event.attributes} for event in done.events}
    who = {"granter": account(world.address("ann")), "grantee": account(world.address("bob"))}
    assert told["use_fee_grant"] == {**who, "amount": f"{FEE}udchat"}
    failed = world.block(granted(world, Payment(world.address("bob"), world.address("v1"), UNIT)), propose=False)
    assert failed.tx_results[0].code == e.Overspend.code
    assert (world.balance("ann"), world.balance("bob")) == (ann - 2 * FEE, bob - 1)
    told = {event.type: {key: value for key, value, _ in event.attributes} for event in failed.tx_results[0].events}
    assert told["end_fee_grant"] == {**who, "reason": "spent"}
    assert grant_of(world) is None, "a spent grant goes at once"
    assert not list(world.state.scan(EXPIRING)), "and leaves no place in the queue (cosmos-sdk 20057)"


def test_a_new_account_can_begin_with_it(world: World) -> None:
    dora = world.address("dora")
    assert world.state.get(b"ua" + dora) is None
    grant(world, DCHAT, "dora")
    begun = world.block(granted(world, RevokeFeeGrant(dora, world.address("bob")), "dora"))
    assert begun.tx_results[0].code == e.NoFeeGrant.code, "it was executed, and the grant paid"
    assert world.balance("dora") == 0


def test_a_granter_has_an_account(world: World) -> None:
    """A signer of a bundle that another pays need not have one: its grant was an assertion in whoever used it, and one
    proposer could stop every node."""
    dora = world.address("dora")
    made = GrantFees(dora, world.address("bob"), DCHAT, world.time_ns + 100 * SECOND_NS)
    bundle = world.tx(("ann", "dora"), made, lane=LANE_BRIDGE)
    result = world.block(bundle, propose=False).tx_results[0]
    assert result.code == e.UnknownAccount.code, result.log
    assert grant_of(world, granter="dora") is None
    refused(world, granted(world, fee_granter=dora), e.NoFeeGrant)


def test_a_granter_without_an_account_pays_nothing(world: World) -> None:
    """Of a grant that was made before that was asked."""
    branch = Branch(world.state.get)
    dora, bob = world.address("dora"), world.address("bob")
    branch.set(FEE_GRANT + dora + bob, FeeGrant(DCHAT, world.time_ns + 100 * SECOND_NS))
    tx = decode(granted(world, fee_granter=dora))
    ctx = Context(branch, height=world.height + 1, time_ns=world.time_ns)
    with pytest.raises(e.FeeUnpayable):
        take_granted_fee(ctx, tx)


def test_a_bundle_is_paid_and_its_prices_are_not(world: World) -> None:
    grant(world, DCHAT, "carl")
    carl, ann = world.balance("carl"), world.balance("ann")
    raw = granted(world, RegisterIdentity(world.address("carl"), "carl", ""), "carl", fee=10_000)
    done = world.block(raw).tx_results[0]
    assert done.code == 0, done.log
    price = world.app.base.get(b"bp").registration_price
    assert price > 0, "else this shows nothing"
    assert (world.balance("ann"), world.balance("carl")) == (ann - 10_000, carl - price)
    room = CreateChannel(world.address("carl"), "room", 0, "")
    both = world.tx(
        "carl", room, Payment(world.address("carl"), world.address("v1"), 1), lane=LANE_BRIDGE, fee=20_000,
        fee_granter=world.address("ann"),
    )  # fmt: skip
    assert world.block(both).tx_results[0].code == 0
    assert world.balance("ann") == ann - 30_000


def test_the_estimate_is_enough(world: World) -> None:
    grant(world, DCHAT)
    message = Payment(world.address("bob"), world.address("dora"), 1)
    raw = granted(world, message, fee=None)
    tx, done = decode(raw), world.block(raw).tx_results[0]
    assert done.code == 0, done.log
    assert tx.gas_limit == gas_for([message], granted=True) >= done.gas_used
    assert tx.intrinsic_gas - decode(granted(world, message, fee_granter=b"")).intrinsic_gas > gas.GAS_GRANT


# ------------------------------------------------------------------------------ what it refuses


def test_each_refusal(world: World) -> None:
    ann, bob, carl = (world.address(name) for name in ("ann", "bob", "carl"))
    refused(world, granted(world), e.NoFeeGrant)
    world.sequences.clear()
    grant(world, 2 * FEE, kinds=("payment", "vote"))
    refused(world, granted(world, who="carl"), e.NoFeeGrant)
    refused(world, granted(world, fee_granter=carl), e.NoFeeGrant)
    world.sequences.pop(("bob", "currency"))
    refused(world, granted(world, fee=2 * FEE + 1), e.FeeGrantExceeded)
    world.sequences.pop(("bob", "currency"))
    refused(world, granted(world, RevokeFeeGrant(bob, carl)), e.FeeGrantKind)
    world.sequences.pop(("bob", "currency"))
    mixed = world.tx("bob", Payment(bob, carl, 1), RevokeFeeGrant(bob, carl), fee=FEE, fee_granter=ann)
    refused(world, mixed, e.FeeGrantKind)
    world.sequences.pop(("bob", "currency"))
    refused(world, granted(world, fee=1), e.FeeTooLow)

    def fails(message: Message, error: type[TxError]) -> None:
        assert world.run("ann", message).code == error.code

    later = world.time_ns + 100 * SECOND_NS
    world.sequences.clear()
    world.sequences["ann", "currency"] = dict(world.state.get(b"ua" + ann).sequences)[world.wallets["ann"].public_key]
    fails(GrantFees(ann, bob, 1, later), e.FeeGrantExists)
    fails(GrantFees(ann, carl, 1, world.time_ns + SECOND_NS), e.ExpiryPassed)  # the time of the next block
    fails(GrantFees(ann, ESCROW_ADDRESS, 1, later), e.GranteeRefused)
    fails(RevokeFeeGrant(ann, carl), e.NoFeeGrant)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"granter": b"x"}, id="no granter"),
        pytest.param({"grantee": b""}, id="no grantee"),
        pytest.param({"grantee": b"a" * 20}, id="oneself"),
        pytest.param({"limit": 0}, id="no limit"),
        pytest.param({"expiry_ns": 0}, id="no expiry"),
        pytest.param({"expiry_ns": 1 << 63}, id="an expiry beyond all times"),
        pytest.param({"period_s": 5}, id="a period without its limit"),
        pytest.param({"period_limit": 5}, id="a limit without its period"),
        pytest.param({"period_s": PERIOD_S_MAX + 1, "period_limit": 1}, id="a period beyond all times"),
        pytest.param({"period_s": 5, "period_limit": 11}, id="a period's limit above the limit"),
        pytest.param({"kinds": ("vote", "payment")}, id="kinds out of order"),
        pytest.param({"kinds": ("vote", "vote")}, id="a kind twice"),
        pytest.param({"kinds": ("money",)}, id="an unknown kind"),
        pytest.param({"kinds": tuple(f"k{n:02}" for n in range(GRANT_KINDS_MAX + 1))}, id="too many kinds"),
    ],
)
def test_what_a_grant_may_say(world: World, wrong: dict[str, Any]) -> None:
    message = GrantFees(b"a" * 20, b"b" * 20, 10, 1)._replace(**wrong)
    with pytest.raises(InvalidField, match="grant_fees"):
        decode(world.tx("ann", message))


@pytest.mark.parametrize(
    ("who", "granter", "lane"),
    [
        pytest.param("bob", b"short", 2, id="no address"),
        pytest.param("bob", "bob", 2, id="the payer itself"),
        pytest.param("bob", "ann", 1, id="where no fee is taken"),
    ],
)
def test_what_a_transaction_may_name(world: World, who: str, granter: str | bytes, lane: int) -> None:
    address = granter if isinstance(granter, bytes) else world.address(granter)
    sender = world.address(who)
    message = CreateChannel(sender, "x", 0, "") if lane == 1 else Payment(sender, world.address("v1"), 1)
    with pytest.raises(InvalidField, match="fee_granter"):
        decode(granted(world, message, who, fee_granter=address, fee=0 if lane == 1 else FEE))


def test_a_signer_cannot_be_the_granter(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    both = Payment(ann, bob, 1), Payment(bob, ann, 1)
    with pytest.raises(InvalidField, match="it is a signer"):
        decode(world.tx(("bob", "ann"), *both, lane=LANE_BRIDGE, fee=9_000, fee_granter=ann))


# ------------------------------------------------------------------------------ when it ends


def test_it_expires_by_block_time_and_goes(world: World) -> None:
    grant(world, seconds=10)
    assert world.block(granted(world), seconds=8).tx_results[0].code == 0
    raw = granted(world)
    assert world.check(raw).code == 0, world.check(raw)
    response = world.block(seconds=1)
    assert [event.type for event in response.events if "grant" in event.type] == ["end_fee_grant"]
    assert grant_of(world) is None
    refused(world, raw, e.NoFeeGrant)


def test_in_the_block_of_its_expiry_it_pays_no_more(world: World) -> None:
    grant(world, seconds=10)
    raw = granted(world)
    (result,) = world.block(raw, seconds=10, propose=False).tx_results
    assert (result.code, result.data) == (e.NoFeeGrant.code, b"")


def test_one_made_again_outlives_the_first_ones_expiry(world: World) -> None:
    """cosmos-sdk 20057, 25540: the revoked grant's place in the queue ended the next one."""
    ann, bob = world.address("ann"), world.address("bob")
    grant(world, seconds=10)
    world.do("ann", RevokeFeeGrant(ann, bob))
    grant(world, seconds=1_000)
    world.blocks(3, seconds=20)
    assert grant_of(world) is not None
    world.do("ann", RevokeFeeGrant(ann, bob))
    assert grant_of(world) is None
    assert not list(world.state.scan(EXPIRING))


def test_expired_ones_go_in_bounded_numbers_and_are_dead_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.currency.grants.fee_grants.gas.most_of", lambda each, limit: 1)
    for name, seconds in (("bob", 10), ("carl", 11), ("dora", 12)):
        grant(world, grantee=name, seconds=seconds)
    left = []
    raw = granted(world, who="carl")
    for seconds in (30, 0, 0):
        world.block(seconds=seconds)
        left.append([name for name in ("bob", "carl", "dora") if grant_of(world, name) is not None])
        refused(world, raw, e.NoFeeGrant)
        assert not world.laws()
    assert left == [["carl", "dora"], ["dora"], []]


def test_one_that_expired_and_waits_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.currency.grants.fee_grants.gas.most_of", lambda each, limit: 0)
    grant(world, FEE, seconds=5)
    world.block(seconds=10)
    grant(world, 7 * FEE)
    found = grant_of(world)
    assert found is not None
    assert found.left == 7 * FEE
    assert not world.laws()


# ------------------------------------------------------------------------------ periods


def test_periods_begin_anew_and_the_limit_holds_over_all(world: World) -> None:
    """cosmos-sdk 9439: the period was never set anew; 10563: the limit was not taken off where kinds were named."""
    grant(world, 3 * FEE, seconds=10_000, period_s=100, period_limit=2 * FEE, kinds=("payment",))
    world.block(granted(world), granted(world))
    found = grant_of(world)
    assert found is not None
    assert (found.left, found.available) == (FEE, 0)
    raw = granted(world)
    refused(world, raw, e.FeeGrantExceeded)
    world.block(seconds=98)
    assert found.at(world.time_ns).available == 0
    world.block(seconds=1)
    assert found.at(world.time_ns).available == FEE
    assert world.check(raw).code == 0
    world.block(raw)
    assert grant_of(world) is None


def test_periods_keep_their_beat(world: World) -> None:
    started = FeeGrant(100, 10**18, 10, 7, 3, 20 * SECOND_NS)
    assert started.at(20 * SECOND_NS - 1) is started
    assert started.at(20 * SECOND_NS)[4:6] == (7, 30 * SECOND_NS)
    assert started.at(59 * SECOND_NS)[4:6] == (7, 60 * SECOND_NS)
    assert started.at(60 * SECOND_NS)[4:6] == (7, 70 * SECOND_NS), "what is missed is not saved up"


# ------------------------------------------------------------------------------ attacks


def is_counted(world: World, raw: bytes) -> bool:
    tx: Tx = world.app.txs.get(raw)
    return world.app._check.counts(tx)


def recheck(world: World, raw: bytes) -> int:
    return world.app.check_tx(CheckTxRequest(raw, CheckTxType.RECHECK)).code


def test_no_more_is_admitted_than_the_grant_pays(world: World) -> None:
    grant(world, 3 * FEE)
    answers = [world.check(numbered(world, n)).code for n in range(6)]
    assert answers == [0, 0, 0, *[e.NoFeeGrant.code] * 3], "the third spends it"
    grant(world, 2 * FEE + 1, "carl")
    answers = [world.check(numbered(world, n, "carl")).code for n in range(3)]
    assert answers == [0, 0, e.FeeGrantExceeded.code]


def test_no_more_is_admitted_than_the_granter_has(world: World) -> None:
    """Many grantees, each within its grant, together beyond the balance."""
    for name in ("bob", "carl", "dora"):
        grant(world, 70 * DCHAT, name)
    fee = 30 * DCHAT
    answers = [
        world.check(granted(world, RevokeFeeGrant(world.address(name), world.address("v1")), name, fee=fee)).code
        for name in ("bob", "carl", "dora", "bob")
    ]
    assert answers == [0, 0, 0, e.FeeUnpayable.code]
    own = world.tx("ann", Payment(world.address("ann"), world.address("v1"), 20 * DCHAT), fee=FEE)
    assert world.check(own).code == e.Overspend.code, "and it counts against what the granter itself sends"


def test_the_foreseen_stays_counted(world: World) -> None:
    """A popular granter must not make every block check its grantees' transactions anew."""
    grant(world, 9 * FEE)
    grant(world, 9 * FEE, "carl")
    waiting = [granted(world, who=name) for name in ("bob", "carl", "bob", "carl")]
    own = world.tx("ann", Payment(world.address("ann"), world.address("v1"), 1))
    for raw in (*waiting, own):
        assert world.check(raw).code == 0
    world.block(waiting[0], own)
    assert not world.recheck
    assert [is_counted(world, raw) for raw in waiting] == [False, True, True, True]
    world.block(*waiting[1:])
    assert not len(world.app._check)


@pytest.mark.parametrize("how", ["revoked", "expired", "revoked and made again", "spent elsewhere"])
def test_what_rests_on_a_grant_that_ended_leaves_the_pool(world: World, how: str) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    grant(world, 2 * FEE, seconds=50)
    waiting = granted(world)
    assert world.check(waiting).code == 0
    if how == "expired":
        world.block(seconds=60)
    elif how == "spent elsewhere":
        world.sequences["bob", "currency"] = 0
        world.block(granted(world, fee=2 * FEE, unordered=True))
    else:
        world.do("ann", RevokeFeeGrant(ann, bob))
        if how != "revoked":
            assert recheck(world, waiting) == e.NoFeeGrant.code
            assert world.check(waiting).code == e.NoFeeGrant.code
            grant(world, FEE - 1)
    key = FEE_GRANT + ann + bob
    assert how == "revoked and made again" or (world.recheck is not None and key in world.recheck)
    assert not is_counted(world, waiting)
    assert recheck(world, waiting) == (e.FeeGrantExceeded if how.endswith("again") else e.NoFeeGrant).code
    assert world.prepare(waiting) == ()


def test_a_stranger_who_names_an_account_disturbs_nothing(world: World) -> None:
    own = world.tx("ann", Payment(world.address("ann"), world.address("v1"), 1))
    assert world.check(own).code == 0
    before = world.balance("ann")
    for number in range(3):
        assert world.check(numbered(world, number, "carl")).code == e.NoFeeGrant.code
    (result,) = world.block(numbered(world, 0, "carl"), propose=False).tx_results
    assert (result.code, world.balance("ann")) == (e.NoFeeGrant.code, before)
    assert is_counted(world, own)


def test_a_grant_pays_once_for_a_transaction(world: World) -> None:
    grant(world)
    raw = granted(world, unordered=True, expiry_height=world.height + 5)
    world.block(raw)
    refused(world, raw, e.Replayed)
    found = grant_of(world)
    assert found is not None
    assert found.left == 2 * FEE


def test_a_restart_reads_what_was_written(world: World) -> None:
    grant(world, 3 * FEE, period_s=60, period_limit=2 * FEE, kinds=("payment",))
    held = grant_of(world)
    world.block(granted(world))
    world.restart()
    found = grant_of(world)
    assert held is not None
    assert found == held._replace(left=2 * FEE, period_left=FEE)
    assert world.check(granted(world)).code == 0
