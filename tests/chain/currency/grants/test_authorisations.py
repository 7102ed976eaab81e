"""Authorisations: what is done in another's name, what never is, and that nobody drains one or gains by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.records import ESCROW_ADDRESS
from chain.currency.grants.authorisations import AUTHORISATION, EXPIRING, Authorisation, name_of
from chain.currency.staking import stake
from chain.kernel.event_text import account
from chain.tx import errors as e
from chain.tx import gas
from chain.tx.envelope.build import gas_for
from chain.tx.envelope.tx import TX_BYTES_MAX, decode
from chain.tx.errors import EnvelopeError, InvalidField, TxError, WrongLane
from chain.tx.messages import (
    KINDS,
    LANE_BRIDGE,
    LANE_CURRENCY,
    CreateChannel,
    JoinChannel,
    Message,
    Payment,
    PostMessage,
    RegisterIdentity,
    channel_id,
    encode_message,
)
from chain.tx.messages.economy import Delegate, SetWithdrawAddress, WithdrawRewards
from chain.tx.messages.grants import (
    FREE,
    INNER,
    INNER_MAX,
    RECIPIENTS_MAX,
    SPENDING,
    Authorise,
    Exec,
    GrantFees,
    RevokeAuthorisation,
    RevokeFeeGrant,
)
from proto.dchat.v1 import tx_pb2
from tests.support.chain.harness import SECOND_NS
from tests.support.economy.world import DCHAT, UNIT, World, amount

PRICE = 100_000


@pytest.fixture
def world() -> World:
    """ann authorises, bob acts, carl is paid."""
    made = World({"v1": 1000 * UNIT}, {"ann": 100 * DCHAT, "bob": 50 * DCHAT, "carl": DCHAT}, gas_price=PRICE)
    made.blocks(2)
    return made


def found(world: World, kind: str = "payment", grantee: str = "bob") -> Authorisation | None:
    name = name_of(world.address("ann"), world.address(grantee), kind)
    stored: Authorisation | None = world.state.get(AUTHORISATION + name)
    return stored


def authorise(world: World, kind: str = "payment", limit: int = 10, *, seconds: int = 1_000, **terms: Any) -> None:
    expiry_ns = world.time_ns + seconds * SECOND_NS
    world.do("ann", Authorise(world.address("ann"), world.address("bob"), kind, expiry_ns, limit, **terms))


def pay(world: World, amount: int, recipient: str = "carl") -> Payment:
    return Payment(world.address("ann"), world.address(recipient), amount)


def exec_(world: World, *messages: Message) -> Exec:
    return Exec(world.address("bob"), world.address("ann"), messages)


def fails(world: World, error: type[TxError], *messages: Message, who: str = "bob") -> None:
    """In a block; and nothing but fee and sequence is different."""
    before, balances = found(world), {name: world.balance(name) for name in ("ann", "carl")}
    result = world.run(who, *messages)
    assert (result.code, result.codespace) == (error.code, error.codespace), result.log
    assert found(world) == before
    if who == "bob":
        assert {name: world.balance(name) for name in ("ann", "carl")} == balances


# ------------------------------------------------------------------------------ what is done


def test_payments_up_to_the_limit(world: World) -> None:
    authorise(world, limit=10)
    ann, bob, carl = (world.balance(name) for name in ("ann", "bob", "carl"))
    done = world.do("bob", exec_(world, pay(world, 3), pay(world, 4, "bob")))
    fee = decode(world.tx("bob", exec_(world, pay(world, 3), pay(world, 4, "bob")))).fee
    assert (world.balance("ann"), world.balance("carl")) == (ann - 7, carl + 3)
    assert world.balance("bob") == bob + 4 - fee, "who acts pays the fee"
    assert amount(done) == 7
    assert [event.type for event in done.events] == ["transfer", "transfer", "exec"]
    left = found(world)
    assert left is not None
    assert left.left == 3
    world.sequences["bob", "currency"] -= 1
    ended = world.do("bob", exec_(world, pay(world, 3)))
    told = {event.type: {key: value for key, value, _ in event.attributes} for event in ended.events}
    who = {"granter": account(world.address("ann")), "grantee": account(world.address("bob"))}
    assert told["end_authorisation"] == {**who, "kind": "payment", "reason": "spent"}
    assert found(world) is None
    assert not list(world.state.scan(EXPIRING))
    fails(world, e.NoAuthorisation, exec_(world, pay(world, 1)))


def test_stake_and_messages(world: World) -> None:
    """Both machines, where the lane is the bridge's: what the granter gets and owns is the granter's."""
    ann, v1 = world.address("ann"), world.address("v1")
    world.do("ann", RegisterIdentity(ann, "ann", ""))
    world.do("ann", CreateChannel(ann, "room", 0, ""))
    for kind, limit in (("delegate", 5 * DCHAT), ("withdraw_rewards", 0), ("post_message", 0)):
        authorise(world, kind, limit)
    before = world.state.get(b"ci" + ann).allowance
    post = PostMessage(ann, channel_id("room"), b"in her name", 0)
    raw = world.tx("bob", exec_(world, Delegate(ann, v1, 5 * DCHAT), WithdrawRewards(ann, v1), post))
    assert decode(raw).lane == LANE_BRIDGE
    done = world.block(raw).tx_results[0]
    assert done.code == 0, done.log
    assert stake.delegation_of(world.state, ann, v1) is not None
    assert stake.delegation_of(world.state, world.address("bob"), v1) is None
    assert world.app.queries.channel(channel_id("room")).value is not None
    assert world.state.get(b"ci" + ann).allowance == before, "a bundle costs a fee and no allowance"
    assert found(world, "delegate") is None
    assert found(world, "post_message") is not None


def test_recipients(world: World) -> None:
    authorise(world, recipients=tuple(sorted((world.address("carl"), world.address("v1")))))
    world.do("bob", exec_(world, pay(world, 1, "v1")))
    fails(world, e.RecipientNotAuthorised, exec_(world, pay(world, 1, "bob")))


def test_gas_is_that_of_what_is_carried(world: World) -> None:
    authorise(world)
    one, two = (exec_(world, *[pay(world, 1)] * count) for count in (1, 2))
    costs = [decode(world.tx("bob", message)) for message in (one, two)]
    more = costs[1].intrinsic_gas - costs[0].intrinsic_gas
    assert more == KINDS["payment"].gas + gas.GAS_AUTHORISED + gas.GAS_BYTE * (len(costs[1].raw) - len(costs[0].raw))
    world.sequences["bob", "currency"] = 0
    new = Payment(world.address("ann"), b"n" * 20, 1)
    done = world.do("bob", exec_(world, new, pay(world, 1)))
    assert gas_for([exec_(world, new, pay(world, 1))]) >= done.gas_used > costs[1].intrinsic_gas


# ------------------------------------------------------------------------------ what never is


def test_nothing_that_gives_power_away_is_on_the_list() -> None:
    assert INNER.keys() == SPENDING | FREE
    forbidden = {
        "exec", "authorise", "revoke_authorisation", "grant_fees", "revoke_fee_grant", "set_withdraw_address",
        "create_validator", "edit_validator", "register_identity", "pay_to_join", "software_upgrade",
        "cancel_upgrade", "announce_readiness", "rotate_keys", "submit_proposal", "cancel_proposal",
    }  # fmt: skip
    assert not forbidden & INNER.keys()
    assert forbidden <= KINDS.keys()
    assert not any(kind.touches for kind in INNER.values()), "else what waits elsewhere is to be told of it"
    for name in SPENDING:
        assert "amount" in KINDS[name].type._fields  # type: ignore[attr-defined]


def carrying(world: World, *kinds: Message, granter: str = "ann") -> bytes:
    """An exec put together by hand: `Exec` cannot hold such messages."""
    body = tx_pb2.TxBody.FromString(tx_pb2.Tx.FromString(world.tx("bob", exec_(world, pay(world, 1)))).body)
    inner = body.messages[0].exec
    inner.granter = world.address(granter)
    del inner.messages[:]
    inner.messages.extend(encode_message(kind) for kind in kinds)
    return tx_pb2.Tx(body=body.SerializeToString(deterministic=True), signatures=[
        tx_pb2.Signature(public_key=world.wallets["bob"].public_key, signature=bytes(64))
    ]).SerializeToString(deterministic=True)  # fmt: skip


def test_no_message_in_a_message_in_a_message(world: World) -> None:
    """SDK 20146, Elderflower: what is nested deeper escaped the checks of the outer one."""
    for kind in (
        exec_(world, pay(world, 1)), Authorise(world.address("ann"), world.address("bob"), "vote", 1),
        GrantFees(world.address("ann"), world.address("bob"), 1, 1),
        RevokeFeeGrant(world.address("ann"), world.address("bob")),
        SetWithdrawAddress(world.address("ann"), world.address("bob")),
        RegisterIdentity(world.address("ann"), "ann", ""),
    ):  # fmt: skip
        with pytest.raises(InvalidField, match="in another's name"):
            decode(carrying(world, kind))
    with pytest.raises(InvalidField, match="not the granter's"):
        decode(carrying(world, Payment(world.address("bob"), world.address("carl"), 1)))
    with pytest.raises(InvalidField, match="not the granter's"):
        decode(carrying(world, pay(world, 1), granter="carl"))
    with pytest.raises(InvalidField, match="same account"):
        decode(carrying(world, Payment(world.address("bob"), world.address("carl"), 1), granter="bob"))
    with pytest.raises(InvalidField, match="0, allowed: 1 to 8"):
        decode(carrying(world))
    with pytest.raises(InvalidField, match="9, allowed: 1 to 8"):
        decode(carrying(world, *[pay(world, 1)] * (INNER_MAX + 1)))


@pytest.mark.parametrize("depth", [2, 50, 120, 5_000])
def test_depth_costs_nothing(world: World, depth: int) -> None:
    """SDK 2024-012: deep nesting took stack and time."""
    content = b""
    for _ in range(depth):
        content = tx_pb2.Message.DESCRIPTOR.fields_by_name["exec"].number * 8 + 2, content
        content = _field(*content)
        content = _field(3 * 8 + 2, content)
        if len(content) > TX_BYTES_MAX - 1_000:
            break
    body = tx_pb2.TxBody(chain_id="c", lane=LANE_CURRENCY).SerializeToString()  # type: ignore[arg-type]
    inner = _field(116 * 8 + 2, content)
    raw = tx_pb2.Tx(body=body + _field(3 * 8 + 2, inner), signatures=[tx_pb2.Signature()]).SerializeToString()
    with pytest.raises(EnvelopeError):
        decode(raw)


def _field(tag: int, content: bytes) -> bytes:
    def varint(number: int) -> bytes:
        out = b""
        while number > 0x7F:
            out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
        return out + bytes([number])

    return varint(tag) + varint(len(content)) + content


def test_lanes_are_those_of_what_is_carried(world: World) -> None:
    join = JoinChannel(world.address("ann"), channel_id("room"))
    with pytest.raises(WrongLane, match="join_channel, in another's name"):
        decode(world.tx("bob", exec_(world, join), lane=LANE_CURRENCY, unordered=True))
    assert decode(world.tx("bob", exec_(world, pay(world, 1)))).lane == LANE_CURRENCY
    assert decode(world.tx("bob", exec_(world, pay(world, 1), join))).lane == LANE_BRIDGE


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"granter": b""}, id="no granter"),
        pytest.param({"grantee": b"a" * 20}, id="oneself"),
        pytest.param({"kind": "exec"}, id="to let others do it"),
        pytest.param({"kind": "authorise"}, id="to let itself more"),
        pytest.param({"kind": "money"}, id="an unknown kind"),
        pytest.param({"limit": 0}, id="no limit where it spends"),
        pytest.param({"kind": "vote"}, id="a limit where it does not"),
        pytest.param({"expiry_ns": 0}, id="no expiry"),
        pytest.param({"expiry_ns": 1 << 63}, id="an expiry beyond all times"),
        pytest.param({"recipients": (b"x",)}, id="no recipient"),
        pytest.param({"recipients": (b"c" * 20, b"b" * 20)}, id="recipients out of order"),
        pytest.param({"recipients": tuple(bytes([n]) * 20 for n in range(RECIPIENTS_MAX + 1))}, id="too many"),
        pytest.param({"kind": "delegate", "recipients": (b"c" * 20,)}, id="recipients of no payment"),
    ],
)
def test_what_an_authorisation_may_say(world: World, wrong: dict[str, Any]) -> None:
    message = Authorise(b"a" * 20, b"b" * 20, "payment", 1, 10)._replace(**wrong)
    with pytest.raises(InvalidField, match="authorise"):
        decode(world.tx("ann", message))


# ------------------------------------------------------------------------------ refusals, ends


def test_each_refusal(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    fails(world, e.NoAuthorisation, exec_(world, pay(world, 1)))
    authorise(world)
    fails(world, e.AuthorisationExceeded, exec_(world, pay(world, 11)))
    fails(world, e.AuthorisationExceeded, exec_(world, pay(world, 6), pay(world, 5)))
    fails(world, e.NoAuthorisation, exec_(world, Delegate(ann, world.address("v1"), 1)))
    fails(world, e.NoAuthorisation, Exec(world.address("carl"), ann, (pay(world, 1),)), who="carl")
    later = world.time_ns + 100 * SECOND_NS
    fails(world, e.AuthorisationExists, Authorise(ann, bob, "payment", later, 99), who="ann")
    fails(world, e.ExpiryPassed, Authorise(ann, bob, "vote", world.time_ns + SECOND_NS), who="ann")
    fails(world, e.GranteeRefused, Authorise(ann, ESCROW_ADDRESS, "vote", later), who="ann")
    fails(world, e.NoAuthorisation, RevokeAuthorisation(ann, bob, "vote"), who="ann")
    world.do("ann", RevokeAuthorisation(ann, bob, "payment"))
    assert found(world) is None
    fails(world, e.NoAuthorisation, exec_(world, pay(world, 1)))


def test_it_expires_by_block_time_and_goes(world: World) -> None:
    authorise(world, seconds=10)
    world.do("bob", exec_(world, pay(world, 1)), seconds=8)
    raw = world.tx("bob", exec_(world, pay(world, 1)))
    response = world.block(raw)
    assert response.tx_results[0].code == e.NoAuthorisation.code, "in the block of its expiry"
    assert [event.type for event in response.events if "auth" in event.type] == ["end_authorisation"]
    assert found(world) is None


def test_one_made_again_outlives_the_first_ones_expiry(world: World) -> None:
    """cosmos-sdk 20057, of the other kind of grant."""
    authorise(world, seconds=10)
    world.do("ann", RevokeAuthorisation(world.address("ann"), world.address("bob"), "payment"))
    authorise(world, seconds=1_000)
    world.blocks(3, seconds=20)
    assert found(world) is not None


def test_expired_ones_go_in_bounded_numbers_and_let_nothing_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.currency.grants.authorisations.gas.most_of", lambda each, limit: 1)
    for kind, limit, seconds in (("vote", 0, 10), ("payment", 5, 11)):
        authorise(world, kind, limit, seconds=seconds)
    world.block(seconds=30)
    assert (found(world, "vote"), found(world) is not None) == (None, True)
    fails_at_once = world.block(world.tx("bob", exec_(world, pay(world, 1)))).tx_results[0]
    assert fails_at_once.code == e.NoAuthorisation.code
    assert found(world) is None


# ------------------------------------------------------------------------------ attacks


def test_what_fails_takes_nothing_off(world: World) -> None:
    """cosmos-sdk 25822: a payment beyond the balance was taken off the limit all the same, until nothing was left."""
    authorise(world, limit=10**12)
    fails(world, e.Overspend, exec_(world, pay(world, 10**11)))
    fails(world, e.Overspend, exec_(world, pay(world, 5), pay(world, 10**11)))
    fails(world, e.RecipientRefused, exec_(world, Payment(world.address("ann"), ESCROW_ADDRESS, 1)))


def test_a_fee_grant_names_what_is_carried_too(world: World) -> None:
    """Else whoever is granted `exec` has any kind paid."""
    authorise(world)
    ann, bob = world.address("ann"), world.address("bob")
    later = world.time_ns + 1_000 * SECOND_NS
    world.do("ann", GrantFees(ann, bob, DCHAT, later, kinds=("exec",)))
    raw = world.tx("bob", exec_(world, pay(world, 1)), fee_granter=ann)
    assert world.check(raw).code == e.FeeGrantKind.code
    world.do("ann", RevokeFeeGrant(ann, bob))
    world.do("ann", GrantFees(ann, bob, DCHAT, later, kinds=("exec", "payment")))
    assert world.check(raw).code == 0


def test_what_waits_of_the_granters_own_is_checked_again(world: World) -> None:
    """The granter signed nothing in that block, and has less now."""
    authorise(world, limit=100 * DCHAT)
    own = world.tx("ann", pay(world, 60 * DCHAT))
    assert world.check(own).code == 0
    world.do("bob", exec_(world, pay(world, 50 * DCHAT)))
    assert world.recheck is not None
    assert b"ua" + world.address("ann") in world.recheck
    assert world.check(own).code == e.Overspend.code


def test_a_stranger_who_names_a_granter_disturbs_nothing(world: World) -> None:
    own = world.tx("ann", pay(world, 1))
    assert world.check(own).code == 0
    fails(world, e.NoAuthorisation, Exec(world.address("carl"), world.address("ann"), (pay(world, 1),)), who="carl")
    assert world.recheck == {b"ua" + world.address("carl")}
    tx = world.app.txs.get(own)
    assert world.app._check.counts(tx)


def test_the_lists_of_the_page_are_the_chains() -> None:
    """docs/grants.md names what may be let."""
    page = (Path(__file__).parents[4] / "docs" / "grants.md").read_text()
    for kind in INNER:
        assert f"`{kind}`" in page, kind
