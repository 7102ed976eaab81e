"""What admission counts when one that waits is replaced by another of its sequence, or gives way."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.currency.ledger.records import ACCOUNT
from chain.kernel.proposals import fee_to_replace
from chain.tx.envelope.tx import decode
from chain.tx.errors import FeeUnpayable, Overspend, WrongSequence
from chain.tx.messages import Message, Payment, PostMessage, channel_id
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.pool import Pool
from consensus.system.clock import InlineWorkers, LoopClock
from crypto.hash import sha256
from tests.support.chain.harness import Chain

BALANCE = 10**7
GAS = 40_000
FEE = 4_000  # the least of it


def pay(chain: Chain, sequence: int, *, fee: int = FEE, amount: int = 1, gas: int = GAS) -> bytes:
    message = Payment(chain.address("ann"), chain.address("bob"), amount)
    return chain.tx("ann", message, sequence=sequence, fee=fee, gas_limit=gas)


def new_chain(balance: int = BALANCE) -> Chain:
    return Chain({"ann": balance, "bob": BALANCE})


@pytest.mark.parametrize(
    ("fee", "gas", "least"),
    [
        pytest.param(4_400, GAS, 4_400, id="a tenth more"),
        pytest.param(4_399, GAS, 4_400, id="one too little"),
        pytest.param(8_000, 2 * GAS, 8_800, id="for each gas, too"),
        pytest.param(4_000, GAS // 2, 4_400, id="in all, too"),
    ],
)
def test_who_replaces_pays_a_tenth_more_in_all_and_for_each_gas(fee: int, gas: int, least: int) -> None:
    chain = new_chain()
    old, new = pay(chain, 0), pay(chain, 0, fee=fee, gas=gas)
    assert fee_to_replace(decode(old), decode(new)) == least
    why = chain.app.why_not_replace(old, new)
    assert bool(why) == (fee < least)
    if why:
        assert why.startswith(f"underpriced: pays {fee} udchat, needs at least {least} udchat")


def test_one_place_has_one_name_and_posts_and_unordered_ones_none_but_their_own() -> None:
    chain = new_chain()

    def place(tx: bytes) -> bytes:
        return chain.app.identify_tx(tx).replay_id

    def unordered(amount: int) -> bytes:
        message: Message = Payment(chain.address("ann"), chain.address("bob"), amount)
        return chain.tx("ann", message, unordered=True)

    def post(text: bytes) -> bytes:
        return chain.tx("ann", PostMessage(chain.address("ann"), channel_id("red"), text, 0), sequence=0)

    assert place(pay(chain, 0)) == place(pay(chain, 0, fee=9_999, amount=5)) != place(pay(chain, 1))
    assert place(unordered(1)) != place(unordered(2))
    assert place(post(b"a")) != place(post(b"b"))
    assert "cannot be replaced" in chain.app.why_not_replace(post(b"a"), post(b"b"))
    same = unordered(1)
    assert "cannot be replaced" in chain.app.why_not_replace(same, same)


def test_what_comes_after_stays_admitted_and_is_executed() -> None:
    chain = new_chain()
    waiting = [pay(chain, sequence) for sequence in range(4)]
    assert [chain.check(tx).code for tx in waiting] == [0] * 4
    new = pay(chain, 1, fee=3 * FEE, amount=7)
    assert chain.app.replace_tx(waiting[1], new).code == 0
    chain.sequences["ann", "currency"] = 4
    assert chain.check(pay(chain, 4)).code == 0
    chain.block(waiting[0], new)
    assert not chain.recheck, "the block did what was foreseen"
    assert [result.code for result in chain.block(*waiting[2:]).tx_results] == [0, 0]


def test_one_that_does_not_pass_leaves_all_as_it_was() -> None:
    chain = new_chain(5 * FEE)
    old, after = pay(chain, 0), pay(chain, 1)
    assert [chain.check(tx).code for tx in (old, after)] == [0, 0]
    assert chain.app.replace_tx(old, pay(chain, 0, fee=4 * FEE)).code == FeeUnpayable.code  # with what comes after
    assert chain.app.replace_tx(old, pay(chain, 0, fee=2 * FEE)).code == 0
    assert chain.check(pay(chain, 2, fee=FEE, amount=FEE)).code == Overspend.code
    assert chain.check(pay(chain, 2)).code == 0


def test_those_that_give_way_are_not_counted_and_may_come_again() -> None:
    chain = new_chain(3 * FEE)
    waiting = [pay(chain, sequence, amount=1) for sequence in range(2)]
    assert [chain.check(tx).code for tx in waiting] == [0, 0]
    chain.app.withdraw_txs(waiting[1:])
    assert chain.check(pay(chain, 2)).code == WrongSequence.code
    assert [chain.check(tx).code for tx in waiting[1:]] == [0]
    chain.app.withdraw_txs(waiting)
    assert not len(chain.app._check)
    assert chain.check(waiting[0]).code == 0


@pytest.mark.parametrize(
    "order", [pytest.param(order, id="".join(map(str, order))) for order in permutations((1, 2, 3))]
)
def test_it_matters_not_in_which_order_they_give_way(order: tuple[int, ...]) -> None:
    chain = new_chain()
    waiting = [pay(chain, sequence) for sequence in range(4)]
    assert [chain.check(tx).code for tx in waiting] == [0] * 4
    chain.app.withdraw_txs([waiting[place] for place in order])
    assert [chain.check(waiting[place]).code for place in (2, 1, 2, 3)] == [WrongSequence.code, 0, 0, 0]


async def test_who_gave_way_in_a_pool_has_no_hole_before_his_next() -> None:
    """Audit 30: several of one sender, the youngest first."""
    chain = Chain(dict.fromkeys(("ann", "bob", "cat"), 10**9))
    pool = Pool(chain.app, LoopClock(), InlineWorkers(), PoolConfig(txs_max=32, wait_ms_max=0))
    running = asyncio.create_task(pool.run())
    anns = [pay(chain, sequence) for sequence in range(5)]
    message = Payment(chain.address("bob"), chain.address("ann"), 1)
    others = [chain.tx("bob", message, sequence=at, fee=2 * FEE, gas_limit=GAS) for at in range(27)]
    assert {answer.code for answer in await pool.submit_many([*anns, *others])} == {0}
    large = [Payment(chain.address("cat"), chain.address("ann"), 1)] * 4
    assert (
        await pool.submit(chain.tx("cat", *large, sequence=0, fee=40_000, gas_limit=100_000, memo="x" * 200))
    ).code == 0
    left = sum(pool.has(sha256(tx)) for tx in anns)
    assert 0 < left < 4
    assert [chain.check(anns[at]).code for at in (left + 1, left)] == [WrongSequence.code, 0]
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


_steps = st.lists(
    st.tuples(st.sampled_from("aaarw"), st.integers(0, 5), st.integers(1, 3), st.integers(0, 10**6)), max_size=20
)


@settings(max_examples=40, deadline=None)
@given(_steps)
def test_what_is_counted_is_the_sum_of_what_waits(steps: list[tuple[str, int, int, int]]) -> None:
    chain = new_chain()
    key = ACCOUNT + chain.address("ann")
    waiting: list[bytes] = []
    for action, place, factor, amount in steps:
        if action == "a":
            tx = pay(chain, len(waiting), fee=factor * FEE, amount=1 + amount)
            if not chain.check(tx).code:
                waiting.append(tx)
        elif action == "r" and place < len(waiting):
            tx = pay(chain, place, fee=decode(waiting[place]).fee * 2, amount=1 + amount)
            if not chain.app.replace_tx(waiting[place], tx).code:
                waiting[place] = tx
        elif action == "w" and place < len(waiting):
            leaving = waiting[place:]
            Random(amount).shuffle(leaving)
            chain.app.withdraw_txs(leaving)
            del waiting[place:]
        left = chain.app._check.get(key)
        spent = sum(decode(tx).fee + decode(tx).messages[0].amount for tx in waiting)  # type: ignore[attr-defined]
        assert left.balance == BALANCE - spent
        assert [following for _, following in left.sequences] in ([len(waiting)], [])
    assert [result.code for result in chain.block(*waiting).tx_results] == [0] * len(waiting)
