from __future__ import annotations

from chain.currency.machine import supply_of
from chain.tx.envelope.build import gas_for
from chain.tx.messages import Payment
from chain.tx.units import fee_of
from tests.support.chain.harness import Chain

DCHAT = 10**6


def pay(chain: Chain, sender: str, recipient: str, amount: int) -> Payment:
    return Payment(chain.address(sender), chain.address(recipient), amount)


def test_payments_move_udchat_and_collect_fees() -> None:
    chain = Chain({"ann": 10 * DCHAT, "bob": 0})
    txs = [chain.tx("ann", pay(chain, "ann", "bob", DCHAT)) for _ in range(3)]
    assert [chain.check(tx).code for tx in txs] == [0, 0, 0]
    assert chain.prepare(*txs) == tuple(txs)
    response = chain.block(*txs)
    assert [result.code for result in response.tx_results] == [0, 0, 0]
    fee = fee_of(gas_for([pay(chain, "ann", "bob", 1)]), chain.gas_price)
    assert chain.balance("bob") == 3 * DCHAT
    assert abs(10 * DCHAT - 3 * DCHAT - chain.balance("ann") - 3 * fee) <= 30
    assert supply_of(chain.app.base).collected_fees == 7 * DCHAT - chain.balance("ann")
    chain.assert_invariants()
