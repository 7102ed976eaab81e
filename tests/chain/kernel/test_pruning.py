"""What blocks leave for later goes as fast as full blocks can make it."""

from __future__ import annotations

from typing import Any

import pytest

from chain.app_state.document import BridgeGenesis, ChatGenesis, CurrencyGenesis
from chain.kernel.branch import Branch
from chain.kernel.marks import ReplayMarks
from chain.tx import gas
from chain.tx.envelope.build import Seat, build_tx
from chain.tx.envelope.tx import Tx, decode
from chain.tx.messages import KINDS, LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY, Payment
from chain.tx.messages.economy import Delegate, Undelegate
from chain.tx.messages.escrow import GAS_ATTEST, GAS_OPEN
from crypto.hash import sha256
from governance.clearing import UNITS_DEPOSIT, swept_per_block
from governance.module import units_per_block
from governance.tally import COST_DELEGATION, COST_VOTE
from tests.support.chain.harness import CHAIN_ID, Chain, drain
from tests.support.economy.world import UNIT, World

DCHAT = 10**6


def full_block(chain: Chain, lane: int, limit: int) -> list[bytes]:
    """As many unordered payments as fit into its gas, each with a mark that expires with the next block."""
    seats, expiry = [Seat(chain.wallets["ann"], None, with_policy=True)], chain.height + 2
    message, txs, left, cost = Payment(chain.address("ann"), chain.address("bob"), 1), [], limit, 0
    while True:
        options: dict[str, Any] = {"chain_id": CHAIN_ID, "messages": [message], "seats": seats, "lane": lane}
        options |= {"expiry_height": expiry, "memo": str(10_000 + len(txs)), "gas_price": chain.gas_price}
        cost = cost or decode(build_tx(**options)).intrinsic_gas
        if cost > left:
            return txs
        left -= cost
        txs.append(build_tx(**options, gas_limit=cost))


@pytest.mark.parametrize(("lane", "limit", "tag"), [
    pytest.param(LANE_CURRENCY, 48_000_000, b"U", id="the currency machine's marks"),
    pytest.param(LANE_BRIDGE, 34_000_000, b"B", id="the bridge's marks, and receipts"),
])  # fmt: skip
def test_marks_and_receipts_do_not_pile_up_under_full_blocks(lane: int, limit: int, tag: bytes) -> None:
    """audit 17: 2,000 marks went a block, and a full one adds more than twice as many."""
    chain = Chain(
        {"ann": 10**9 * DCHAT, "bob": DCHAT}, max_gas=limit, currency=CurrencyGenesis(gas_price=1),
        bridge=BridgeGenesis(receipt_blocks=1),
    )  # fmt: skip
    sizes, added = [], 0
    for _ in range(4):
        txs = full_block(chain, lane, limit)
        added = len(txs)
        chain.block(*txs, propose=False)
        sizes.append(sum(1 for _ in chain.app.base.scan(tag + b"r")))
        if lane == LANE_BRIDGE:
            assert sum(1 for _ in chain.app.base.scan(b"be")) <= 2 * added
    assert sizes[-1] <= 2 * added, (sizes, added)  # those that may still be sent again, and what expired just now
    for _ in range(4):
        chain.block()
    assert not list(chain.app.base.scan(tag + b"r"))
    assert not list(chain.app.base.scan(b"be"))
    chain.assert_invariants()


def test_pruning_goes_on_where_it_stopped_and_reads_nothing_twice() -> None:
    """audit 17: what is gone is not walked over again; the leaf stays until all of its marks are gone."""
    marks, state = ReplayMarks(b"u", b"U"), Branch(lambda key: None)
    for number in range(50):
        tx = Tx()
        tx.expiry_height, tx.replay_id = 7, sha256(bytes([number]))
        marks.add(state, tx)
    starts = []

    def scan(prefix: bytes, start: bytes = b"") -> Any:
        starts.append(start)
        found = sorted(key for key in state.writes if key.startswith(prefix) and key >= start)
        return iter([(key, state.get(key)) for key in found if state.get(key) is not None])

    for height in range(8, 14):
        drain(marks.prune(state, scan, height=height, budget=9))
        left = sum(1 for key, value in state.writes.items() if key[:2] == b"Ur" and value is not None)
        assert left == max(0, 50 - 9 * (height - 7))
        assert (state.get(b"ur" + (7).to_bytes(8, "big")) is not None) == (left > 0)
    assert state.get(b"uR") is None
    assert starts == sorted(starts)
    assert len(set(starts)) == len(starts)


def test_unbondings_are_paid_as_fast_as_they_are_made() -> None:
    """audit 17: 200 were paid out a block, however many a block began: everybody's stake waited behind the spam."""
    names = [f"d{number}" for number in range(250)]
    world = World({"v1": 100 * UNIT}, dict.fromkeys(names, 10 * DCHAT), check=False)
    v1 = world.address("v1")
    for make in (Delegate, Undelegate):
        results = world.block(*[world.tx(name, make(world.address(name), v1, DCHAT)) for name in names]).tx_results
        assert {result.code for result in results} == {0}
    world.block(seconds=1_000)
    assert {world.balance(name) for name in names} == {10 * DCHAT}
    world.assert_invariants()


@pytest.mark.parametrize("limit", [10_000_000, 100_000_000, gas.BLOCK_GAS_MAX])
def test_every_queue_keeps_up_with_the_fullest_block(limit: int) -> None:
    """audit 17: budget by budget, against the cheapest way of filling the queue."""
    least = gas.GAS_LEAST_TX
    for lane, kinds in ((LANE_CHAT, "chat"), (LANE_CURRENCY, "currency"), (LANE_BRIDGE, "bridge")):
        cheapest = min(kind.gas for kind in KINDS.values() if lane in kind.lanes)
        assert gas.GAS_TRANSACTION + gas.GAS_SIGNATURE + gas.GAS_MARK + cheapest >= least, kinds  # one mark each
        assert gas.most_of(least, limit) * least > limit
    items = gas.most_of(gas.GAS_STAKE + gas.GAS_LATER, limit)
    for name in ("undelegate", "redelegate"):
        assert items * KINDS[name].gas > limit, name
    later = gas.GAS_LATER  # of guardians', one queue
    for name, each in (
        ("open_escrow", GAS_OPEN), ("attest", GAS_ATTEST), ("set_guardians", later), ("start_recovery", later)
    ):  # fmt: skip
        assert gas.most_of(each, limit) * KINDS[name].gas > limit, name
    swept = swept_per_block(limit)
    assert swept * KINDS["vote"].gas > limit
    assert swept // UNITS_DEPOSIT * KINDS["add_deposit"].gas > limit
    assert gas.most_of(gas.GAS_LATER, limit) * KINDS["submit_proposal"].gas >= 4 * limit  # its four times
    stake_and_vote = KINDS["vote"].gas + KINDS["delegate"].gas
    assert units_per_block(limit) * stake_and_vote >= (COST_VOTE + COST_DELEGATION) * limit


def test_a_block_without_a_limit_has_one() -> None:
    """audit 17: max_gas -1 is the default of every genesis; a machine's work in a block is finite all the same."""
    assert gas.limit_of(-1) == gas.limit_of(2 * gas.BLOCK_GAS_MAX) == gas.BLOCK_GAS_MAX
    chain = Chain({"ann": 10**9 * DCHAT, "bob": 1}, chat=ChatGenesis())
    tx = chain.tx("ann", Payment(chain.address("ann"), chain.address("bob"), 1), gas_limit=gas.BLOCK_GAS_MAX + 1)
    assert "fits in a block" in chain.check(tx).log
    assert "fits in a block" in chain.propose(tx)
