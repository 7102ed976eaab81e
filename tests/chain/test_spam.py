"""What stays in state has a price or an end, and it is one price, whoever pays it how."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.records import PARAMS as BRIDGE_PARAMS
from chain.app_state.document import BridgeGenesis, InvalidAppState, check_params
from chain.chat import ballots
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.chat.ledger.records import bytes_per_mgas
from chain.currency.machine import params_of
from chain.tx import gas
from chain.tx.envelope.build import gas_for
from chain.tx.envelope.tx import decode
from chain.tx.errors import AllowanceExhausted, Overspend
from chain.tx.messages import (
    LANE_BRIDGE,
    CreateChannel,
    JoinChannel,
    Message,
    Output,
    PayMany,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from chain.tx.messages.allowance import GrantChannelAllowance, LockForAllowance, UnlockAllowance
from chain.tx.messages.chat import (
    USE_LAST_RESORT,
    USE_SIGNED,
    AddDevice,
    BlockIdentity,
    ClaimPrekey,
    PublishPrekeys,
    SetProfile,
)
from chain.tx.messages.economy import (
    CreateValidator,
    Delegate,
    Redelegate,
    RotateConsensusKey,
    SetWithdrawAddress,
    Undelegate,
)
from chain.tx.messages.governance import YES, AddDeposit, ChangeParams, ParamChange, SubmitProposal, Vote
from chain.tx.messages.payments import (
    CreateDenomination,
    CreateStandingOrder,
    Denom,
    MintDenomination,
    PayDenomination,
    RequestPayment,
)
from chain.tx.units import fee_of
from tests.support.chain.harness import Chain, wallet
from tests.support.chain.identities import published
from tests.support.economy.world import ONE, UNIT, World, consensus_key, possession

DCHAT = 10**6
ROOM = channel_id("room")


def registered(**options: Any) -> Chain:
    chain = Chain({"ann": 10_000 * DCHAT, "bob": 100 * DCHAT}, **options)
    ann = chain.address("ann")
    for message in (RegisterIdentity(ann, "ann", ""), CreateChannel(ann, "room", 0, "")):
        (result,) = chain.block(chain.tx("ann", message)).tx_results
        assert result.code == 0, result.log
    return chain


def post(chain: Chain, **options: Any) -> bytes:
    return chain.tx("ann", PostMessage(chain.address("ann"), ROOM, b"spam", 0), **options)


def test_a_starter_allowance_does_not_come_back() -> None:
    """audit 16: 0.0038 DCHAT brought 100 messages an hour for ever."""
    chain = registered(bridge=BridgeGenesis(starter_messages=5, starter_bytes=100_000))
    for _ in range(4):
        assert chain.block(post(chain)).tx_results[0].code == 0
    refused = post(chain)
    assert chain.check(refused).code == AllowanceExhausted.code
    for _ in range(1_300):
        chain.block()
    assert chain.check(refused).code == AllowanceExhausted.code
    assert AllowanceExhausted.rule in chain.propose(refused)


def test_a_registration_is_paid_and_held() -> None:
    """audit 16: by whoever pays the fee; it is in the escrow with all else that crossed."""
    chain = Chain({"ann": DCHAT, "poor": 200_000})
    fee = fee_of(decode(chain.tx("ann", RegisterIdentity(chain.address("ann"), "ann", ""))).gas_limit, chain.gas_price)
    chain.block(chain.tx("ann", RegisterIdentity(chain.address("ann"), "ann", "")))
    assert chain.balance("ann") == DCHAT - fee - 250_000
    assert chain.app.queries.bridge_totals()["udchat_to_chat"] == 250_000
    (result,) = chain.block(chain.tx("poor", RegisterIdentity(chain.address("poor"), "poor", ""))).tx_results
    assert result.code == Overspend.code
    chain.assert_invariants()


@given(
    st.integers(0, 10**9), st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 10**12), st.integers(0, 10**9)
)
def test_no_identity_is_a_cheaper_way_to_messages(
    messages: int, size: int, per_messages: int, per_bytes: int, price: int
) -> None:
    """audit 16: whatever the params, registering brings no more than buying for the same price."""
    params = BridgeGenesis(messages, size, per_messages, per_bytes, 100, 100, price)
    try:
        check_params("bridge", params)
    except InvalidAppState:
        return
    assert messages * DCHAT <= price * per_messages
    assert size * DCHAT <= price * per_bytes


# ------------------------------------------------------------------------------ every leaf is paid for


def leaves(world: Chain) -> set[tuple[str, bytes]]:
    """But for marks and receipts, which go by themselves, and totals."""
    stores = world.app.stores
    found = {(store, key) for store in ("bridge", "chat", "currency") for key, _ in stores.scan(store)}
    return {at for at in found if at[1][:1] not in (b"r", b"R") and (at[0] != "bridge" or at[1][:1] not in b"etQ")}


@pytest.fixture(scope="module")
def world() -> World:
    world = World(
        {"v1": 100 * UNIT, "v2": 100 * UNIT}, dict.fromkeys(("ann", "bob", "new", "v1"), 500 * UNIT),
        gas_price=100_000, check=False,
    )  # fmt: skip
    ann, bob, v2 = world.address("ann"), world.address("bob"), world.address("v2")
    world.do("ann", RegisterIdentity(ann, "ann", ""))
    world.do("bob", RegisterIdentity(bob, "bob", ""))
    world.do("ann", CreateChannel(ann, "room", 0, ""))
    world.do("ann", CreateChannel(ann, "paid", DCHAT, ""))
    world.do("ann", Delegate(ann, v2, 5 * UNIT))
    world.do("ann", CreateDenomination(ann, "made"))
    world.do("bob", LockForAllowance(bob, DCHAT))
    world.do("ann", MintDenomination(ann, Denom(ann, "made"), ann, 100))
    world.do("bob", SubmitProposal(bob, "first", "", False, 10 * DCHAT, ()))
    return world


MAKE = {
    "payment": lambda a: Payment(a("ann"), bytes(20), 5),
    "pay_many": lambda a: PayMany(a("ann"), tuple(Output(bytes(19) + bytes([n + 1]), 5) for n in range(9)), 45),
    "create_denomination": lambda a: CreateDenomination(a("ann"), "gold"),
    "mint_denomination": lambda a: MintDenomination(a("ann"), Denom(a("ann"), "made"), a("bob"), 5),
    "pay_denomination": lambda a: PayDenomination(a("ann"), Denom(a("ann"), "made"), a("new"), 5),
    "request_payment": lambda a: RequestPayment(a("ann"), "i-1", a("bob"), None, 5, "", 1_710_000_000 * 10**9),
    "create_standing_order": lambda a: CreateStandingOrder(a("ann"), "rent", a("bob"), None, 10_000, 10, times=2),
    "register_identity": lambda a: RegisterIdentity(a("new"), "new", ""),
    "create_channel": lambda a: CreateChannel(a("ann"), "another", 0, "topic"),
    "join_channel": lambda a: JoinChannel(a("bob"), ROOM),
    "pay_to_join": lambda a: PayToJoin(a("bob"), channel_id("paid"), DCHAT),
    "post_message": lambda a: PostMessage(a("ann"), ROOM, b"x", 0),
    "set_profile": lambda a: SetProfile(a("ann"), "b" * 512),
    "block_identity": lambda a: BlockIdentity(a("ann"), a("new")),
    "publish_prekeys": lambda a: PublishPrekeys(
        a("ann"), published(wallet("ann"), a("ann"), USE_SIGNED, bytes(32)),
        published(wallet("ann"), a("ann"), USE_LAST_RESORT, bytes(32)),
        tuple(number.to_bytes(32, "big") for number in range(100)),
    ),
    "lock_for_allowance": lambda a: LockForAllowance(a("ann"), DCHAT),
    "unlock_allowance": lambda a: UnlockAllowance(a("bob"), DCHAT),
    "grant_channel_allowance": lambda a: GrantChannelAllowance(a("ann"), ROOM, 1, 1, 1, 1),
    "add_device": lambda a: AddDevice(a("ann"), bytes(32), 1, 100),
    "claim_prekey": lambda a: ClaimPrekey(a("bob"), a("ann")),
    "vote": lambda a: Vote(a("ann"), 1, YES),
    "submit_proposal": lambda a: SubmitProposal(a("bob"), "second", "why", False, 10 * DCHAT, ()),
    "add_deposit": lambda a: AddDeposit(a("ann"), 1, DCHAT),
    "delegate": lambda a: Delegate(a("ann"), a("v1"), UNIT),
    "undelegate": lambda a: Undelegate(a("ann"), a("v2"), UNIT),
    "redelegate": lambda a: Redelegate(a("ann"), a("v2"), a("v1"), UNIT),
    "set_withdraw_address": lambda a: SetWithdrawAddress(a("ann"), a("bob")),
    "rotate_consensus_key": lambda a: RotateConsensusKey(
        a("v1"), consensus_key("later").bytes, possession("later", a("v1"))
    ),
    "create_validator": lambda a: CreateValidator(
        a("new"), consensus_key("new").bytes, "new", 0, ONE, ONE, UNIT, 200 * UNIT, possession("new", a("new"))
    ),
}  # fmt: skip
STAY = {
    "create_denomination": 1, "mint_denomination": 1, "pay_denomination": 1, "request_payment": 1,
    "create_standing_order": 1,
    "register_identity": 3, "create_channel": 2, "join_channel": 1, "pay_to_join": 1, "submit_proposal": 1,
    "lock_for_allowance": 1, "grant_channel_allowance": 1,
    "rotate_consensus_key": 1,
    "set_profile": 1, "block_identity": 1, "publish_prekeys": 1, "add_device": 1,
}  # fmt: skip


@pytest.mark.parametrize("kind", MAKE)
def test_each_leaf_has_a_price(kind: str, world: World) -> None:
    """audit 16: nobody adds to what every node keeps without paying for each leaf, and more for one that stays."""
    message: Message = MAKE[kind](world.address)
    who = next(name for name in ("ann", "bob", "new", "v1") if world.address(name) == message[0])
    tx = world.tx(who, message)
    before = leaves(world)
    (result,) = world.block(tx).tx_results
    assert result.code == 0, result.log
    added = len(leaves(world) - before)
    of_envelope = decode(tx).intrinsic_gas - _kind_gas(message)
    paid = result.gas_used - of_envelope
    stay = STAY.get(kind, 0)
    assert paid >= stay * gas.GAS_STAYS + max(0, added - stay) * gas.GAS_NEW_LEAF, (added, paid)
    assert gas_for([message]) >= result.gas_used  # and a client's estimate is enough


def _kind_gas(message: Message) -> int:
    from chain.tx.messages import KIND_OF

    return KIND_OF[type(message)].gas


def test_what_a_proposal_says_has_an_end() -> None:
    """audit 16: its text and its votes go; title and result stay, at the price of a leaf that does."""
    world = World({"v1": 100 * UNIT}, {"ann": 500 * UNIT}, gas_price=100_000)
    ann, text = world.address("ann"), "why " * 1_000
    action = ChangeParams((ParamChange("staking", "entries_max", "8"),))
    world.do("ann", SubmitProposal(ann, "title", text, False, 10 * DCHAT, (action,)))
    world.block(
        world.tx("v1", Vote(world.address("v1"), 1, YES), lane=LANE_BRIDGE) if world.balance("v1") else b"",
        propose=False,
    )
    world.block(seconds=86_400)
    world.blocks(2)
    assert ballots.require_proposal(world.state, 1).summary == text
    world.block(seconds=31 * 86_400)
    world.blocks(2)
    kept = ballots.require_proposal(world.state, 1)
    assert (kept.title, kept.summary, kept.actions) == ("title", "", ())
    assert kept.result is not None


# ------------------------------------------------------------------------------ one price of gas


@pytest.mark.parametrize("gas_price", [0, 1, 100_000, 10**7])
def test_reserved_gas_has_one_price_in_every_lane(gas_price: int) -> None:
    """irishub#922: a post that reserves the whole block's gas cost 1 DCHAT of allowance, a payment 10."""
    from chain.app_state.document import CurrencyGenesis

    limit = 50_000_000
    bridge = BridgeGenesis(starter_messages=10**3, starter_bytes=10**9, registration_price=10**9)
    chain = (
        registered(bridge=bridge, currency=CurrencyGenesis(gas_price=gas_price), max_gas=limit)
        if gas_price <= 100_000
        else None
    )
    params = BridgeGenesis()
    price = bytes_per_mgas(gas_price=gas_price, bytes_per_dchat=params.bytes_per_dchat)
    fee = fee_of(limit, gas_price)
    assert price * limit // 10**6 * DCHAT // params.bytes_per_dchat in range(fee - 60, fee + 60)
    if chain is None:
        return
    key = b"ci" + chain.address("ann")
    before = chain.app.base.get(key).allowance
    tx = post(chain, gas_limit=limit)
    chain.block(tx)
    taken = before.size - chain.app.base.get(key).allowance.size
    assert taken == max(len(tx), price * limit // 10**6)


def test_the_chats_price_follows_the_currencys() -> None:
    """irishub#922: after governance changed the gas price, or what a DCHAT buys."""
    world = World({"v1": 100 * UNIT}, {"ann": 500 * UNIT, "v1": UNIT}, gas_price=100_000)
    for name, value in (("currency.gas_price", "50000"), ("bridge.bytes_per_dchat", "2000000")):
        number = ballots.next_number(world.state)
        world.gas_price = params_of(world.state).gas_price
        action = ChangeParams((ParamChange(*name.split("."), value),))
        world.do("ann", SubmitProposal(world.address("ann"), "t", "", False, 10 * DCHAT, (action,)))
        world.block(world.tx("v1", Vote(world.address("v1"), number, YES), lane=LANE_BRIDGE))
        world.block(seconds=86_400)
        world.blocks(2)
        assert ballots.require_proposal(world.state, number).status == ballots.PASSED
        bridge, chat = world.state.get(BRIDGE_PARAMS), world.state.get(CHAT_PARAMS)
        now = params_of(world.state).gas_price
        assert chat.bytes_per_mgas == -(-now * bridge.bytes_per_dchat // DCHAT)
