"""The short way through an ordinary payment beside the long one: the same writes, results and refusals, whatever the
payment and the accounts are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from chain.currency.ledger.records import ACCOUNT, PARAMS, SUPPLY, Account, CurrencyParams, Supply
from chain.kernel.modules import Modules
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import TxError
from chain.tx.messages import Message, Payment
from chain.tx.policies import Group, single_key_policy, threshold_policy
from dchat.app.composition import REFUSED
from tests.support.chain.short_ways import BLOCK_GAS_MAX, CHAIN_ID, HEIGHT, LONG, SHORT, Odd, executor, outcome, shown

ANN, BOB, CAT = (Wallet.from_seed(bytes([number] * 32)) for number in (1, 2, 3))
BOTH_KEYS = threshold_policy(1, [Group(1, (key,)) for key in sorted((ANN.public_key, BOB.public_key))])
GAS_LIMIT = 20_000

EDGES = (0, 1, 5, 1_000, 2_000, 2_001, UINT64_MAX - 2_000, UINT64_MAX - 1_999, UINT64_MAX - 1, UINT64_MAX)
NUMBER = st.sampled_from(EDGES) | st.integers(0, UINT64_MAX)
AMOUNT = st.sampled_from((0, 7_999, 8_000, 8_001)) | NUMBER
SEQUENCES = st.sampled_from((
    (), ((ANN.public_key, 0),), ((BOB.public_key, 7),), ((b"", 7),), ((b"", 7), (ANN.public_key, 9)),
    tuple(sorted(((ANN.public_key, 7), (BOB.public_key, 2)))),
    ((ANN.public_key, UINT64_MAX - 1),), ((ANN.public_key, UINT64_MAX),),
))  # fmt: skip
SEQUENCE = st.sampled_from((0, 6, 8, 9, UINT64_MAX - 1, UINT64_MAX))
HIS = single_key_policy(ANN.public_key)
POLICY = st.sampled_from((None, single_key_policy(BOB.public_key), BOTH_KEYS))


def account(odd: Odd, address: bytes) -> Account:
    return Account(address, odd(0, NUMBER, 10_000), odd(1, POLICY, HIS), odd(2, SEQUENCES, ((ANN.public_key, 7),)))


@st.composite
def states(draw: st.DrawFn) -> dict[bytes, Any]:
    odd = Odd(draw)
    state: dict[bytes, Any] = {
        PARAMS: CurrencyParams(odd(3, st.sampled_from((0, 100_001)), 100_000), 100),
        SUPPLY: Supply(UINT64_MAX, odd(4, NUMBER, 0)),
        ACCOUNT + ANN.address: account(odd, ANN.address),
        ACCOUNT + BOB.address: account(Odd(draw), BOB.address),
    }
    for gone in odd(5, st.frozensets(st.sampled_from((ANN.address, BOB.address))), ()):
        del state[ACCOUNT + gone]
    return state


@st.composite
def payments(draw: st.DrawFn) -> Tx:
    """Decoded."""
    odd = Odd(draw)
    to = odd(0, st.sampled_from([ANN.address, CAT.address, *sorted(REFUSED)]), BOB.address)
    messages: list[Message] = [Payment(ANN.address, to, odd(1, AMOUNT, 5))] * odd(2, st.just(2), 1)
    unordered = odd(3, st.just(True), False)
    signing = odd(4, st.just(Wallet(BOB.key, ANN.address)), ANN)
    raw = build_tx(
        chain_id=odd(5, st.just("chain-2"), CHAIN_ID), messages=messages,
        seats=[Seat(signing, None if unordered else odd(6, SEQUENCE, 7), with_policy=odd(7, st.just(True), False))],
        gas_limit=odd(8, st.sampled_from((30_000, BLOCK_GAS_MAX + 1)), GAS_LIMIT),
        fee=odd(9, st.sampled_from((0, 1_999, 2_001, UINT64_MAX)), 2_000),
        expiry_height=odd(10, st.sampled_from((HEIGHT - 1, HEIGHT)), HEIGHT + 9 if unordered else 0),
        memo=odd(11, st.just("for lunch"), ""), fee_granter=odd(12, st.just(BOB.address), b""),
    )  # fmt: skip
    raw = odd(13, st.just(raw[:-1] + bytes((raw[-1] ^ 1,))), raw)  # the signature's last byte
    try:
        return decode(raw)
    except TxError:
        assume(False)
        raise


def admission(modules: Modules, state: Mapping[bytes, Any], tx: Tx) -> object:
    """What admission keeps of the sender."""
    tx.verified = False
    run = executor(modules, state, tells=False)
    try:
        if (done := run.short(tx)) is not None:
            event("the short way")
            return shown({key: done[1][key] for key in tx.touches})
        writes = run.ante(tx).branch.writes
        run.messages(tx)
    except TxError as error:
        return type(error), error.log
    return shown({key: writes[key] for key in tx.touches})


def ordinary(sequence: int, amount: int = 5) -> Tx:
    seats = [Seat(ANN, sequence)]
    payment = Payment(ANN.address, BOB.address, amount)
    return decode(build_tx(chain_id=CHAIN_ID, messages=[payment], seats=seats, gas_limit=GAS_LIMIT, fee=2_000))


def plain_state() -> dict[bytes, Any]:
    policy = single_key_policy(ANN.public_key)
    return {
        PARAMS: CurrencyParams(100_000, 100),
        SUPPLY: Supply(10**9, 0),
        ACCOUNT + ANN.address: Account(ANN.address, 10_000, policy, ((ANN.public_key, 7),)),
        ACCOUNT + BOB.address: Account(BOB.address, 1),
    }


@given(states(), st.lists(payments(), min_size=1, max_size=3))
@example(plain_state(), [ordinary(7), ordinary(8, 3_000), ordinary(9, 1_995)])
def test_a_block_is_the_same_both_ways(state: dict[bytes, Any], txs: list[Tx]) -> None:
    assert outcome(SHORT, state, txs) == outcome(LONG, state, txs)


@given(states(), payments())
@example(plain_state(), ordinary(7))
def test_admission_is_the_same_both_ways(state: dict[bytes, Any], tx: Tx) -> None:
    if len(tx.messages) == 1 and not tx.fee_granter:
        assert admission(SHORT, state, tx) == admission(LONG, state, tx)


def test_an_ordinary_payment_goes_the_short_way() -> None:
    """Or nothing is compared above."""
    state, tx = plain_state(), ordinary(7)
    assert executor(SHORT, state).short(tx) is not None
    assert executor(LONG, state).short(tx) is None
    results = executor(SHORT, state).run(tx, 0)
    assert results.code == 0
    assert results.gas_used == tx.intrinsic_gas


@pytest.mark.parametrize("amount", [8_000, 8_001])
def test_the_last_unit_can_be_paid_and_none_more(amount: int) -> None:
    done = executor(SHORT, plain_state()).short(ordinary(7, amount))
    assert (done is None) == (amount == 8_001)
