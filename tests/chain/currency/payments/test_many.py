"""Payment to many: all are paid or none, and the sum is the sender's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.records import ESCROW_ADDRESS
from chain.currency.machine import account_of
from chain.kernel.event_text import account
from chain.tx import errors as e
from chain.tx import gas
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.build import gas_for
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField
from chain.tx.messages import Output, PayMany, Payment, decode_message, encode_message
from chain.tx.messages.payments import OUTPUTS_MAX
from tests.support.chain.harness import Chain
from tests.support.economy.world import DCHAT, UNIT, World

ANN = bytes([1]) * 20


def address(number: int) -> bytes:
    return number.to_bytes(20, "big")


def outputs(*amounts: int) -> tuple[Output, ...]:
    return tuple(Output(address(number), amount) for number, amount in enumerate(amounts))


@pytest.fixture
def world() -> World:
    return World({"v1": 1000 * UNIT}, {"ann": 100 * DCHAT, "bob": 10, "carl": DCHAT}, gas_price=100_000)


def test_all_are_paid_and_told(world: World) -> None:
    ann, bob, carl = (world.address(name) for name in ("ann", "bob", "carl"))
    message = PayMany(ann, (Output(carl, 7), Output(bob, 5), Output(address(9), 3)), 15)
    before, fee = world.balance("ann"), 20_000
    done = world.block(world.tx("ann", message, fee=fee)).tx_results[0]
    assert done.code == 0, done.log
    assert (world.balance("ann"), world.balance("bob"), world.balance("carl")) == (before - fee - 15, 15, DCHAT + 7)
    opened = account_of(world.state, address(9))
    assert opened is not None
    assert opened.balance == 3
    told = [tuple(value for _, value, _ in event.attributes) for event in done.events if event.type == "transfer"]
    assert told == [(account(ann), account(to), f"{paid}udchat") for to, paid in ((carl, 7), (bob, 5), (address(9), 3))]


def test_none_is_paid_where_one_cannot_be(world: World) -> None:
    ann, bob = world.address("ann"), world.address("bob")
    for second, error in (
        (Output(ESCROW_ADDRESS, 1), e.RecipientRefused),
        (Output(world.address("carl"), 100 * DCHAT), e.Overspend),
    ):
        result = world.run("ann", PayMany(ann, (Output(bob, 5), second), 5 + second.amount))
        assert (result.code, world.balance("bob")) == (error.code, 10), result.log


def test_a_limit_that_opens_too_few_accounts_pays_nobody(world: World) -> None:
    message = PayMany(world.address("ann"), outputs(1, 1, 1), 3)
    limit = decode(world.tx("ann", message)).intrinsic_gas + 2 * gas.GAS_NEW_LEAF
    world.sequences.clear()
    result = world.block(world.tx("ann", message, gas_limit=limit)).tx_results[0]
    assert result.code == e.OutOfGas.code
    assert [account_of(world.state, address(number)) for number in range(3)] == [None] * 3


def test_the_estimate_is_enough_for_the_most(world: World) -> None:
    message = PayMany(world.address("ann"), outputs(*[1] * OUTPUTS_MAX), OUTPUTS_MAX)
    raw = world.tx("ann", message)
    done = world.block(raw).tx_results[0]
    assert done.code == 0, done.log
    assert decode(raw).gas_limit == gas_for([message]) >= done.gas_used
    single = gas_for([Payment(world.address("ann"), address(1), 1)])
    assert gas_for([message]) < OUTPUTS_MAX * single // 2, "it is worth its while"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(PayMany(ANN, (), 0), "outputs: 0, allowed: 1 to 64", id="nobody"),
        pytest.param(PayMany(ANN, outputs(*[1] * 65), 65), "outputs: 65", id="too many"),
        pytest.param(PayMany(ANN, outputs(1, 0), 1), r"outputs\[1\]: amount is 0", id="nothing"),
        pytest.param(PayMany(ANN, (*outputs(1), *outputs(1)), 2), r"outputs\[1\]: .*paid twice", id="twice"),
        pytest.param(PayMany(ANN, (Output(ANN, 1),), 1), r"outputs\[0\]: it is the sender", id="to oneself"),
        pytest.param(PayMany(ANN, (Output(b"short", 1),), 1), "recipient: 5 bytes", id="no address"),
        pytest.param(PayMany(b"", outputs(1), 1), "sender: 0 bytes", id="no sender"),
        pytest.param(PayMany(ANN, outputs(1, 2), 4), "total: 4, the outputs are 3 together", id="another sum"),
        pytest.param(PayMany(ANN, outputs(UINT64_MAX, 1), 0), "total: 0", id="a sum that wraps"),
    ],
)
def test_what_makes_no_sense_is_refused_unexecuted(made: PayMany, said: str) -> None:
    with pytest.raises(InvalidField, match=said):
        decode_message(encode_message(made))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 300))
def test_money_is_moved_never_made(amounts: list[int], balance: int) -> None:
    chain = Chain({"ann": balance + DCHAT})
    message = PayMany(chain.address("ann"), outputs(*amounts), sum(amounts))
    (result,) = chain.block(chain.tx("ann", message, fee=DCHAT)).tx_results
    paid = [found.balance if (found := account_of(chain.app.base, address(n))) else 0 for n in range(len(amounts))]
    assert paid == (amounts if sum(amounts) <= balance else [0] * len(amounts)), result.log
    assert chain.balance("ann") + sum(paid) == balance
    chain.assert_invariants()
