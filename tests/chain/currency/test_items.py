"""Items of a block's queues that break: the others run, nothing of them is done, and other code cures them.

Design section 7; ISA-2025-002 (an error at the end of a block stopped the chain). The faults are of the state, put
there by hand: no message can make them.
"""

from __future__ import annotations

from chain.currency import economy
from chain.currency.ledger import bank
from chain.currency.ledger.bank import NOT_BONDED_POOL
from chain.currency.ledger.stake_records import FAILED, QUEUE_UNBONDINGS
from chain.currency.staking import valset
from chain.kernel.branch import Branch
from chain.kernel.items import FailedItems
from chain.tx.errors import ActionPanicked
from tests.support.chain.harness import drain
from tests.support.economy.sandbox import Sandbox, address

UNIT = 1_000 * 10**6


def broken_laws(box: Sandbox) -> list[str]:
    return [name for name, holds, _ in economy.invariants(box.branch, box.scan) if not holds]


def two_leavers() -> Sandbox:
    """a leaves first and with more than b; both are due at 2,000 s."""
    box = Sandbox({"v": 100 * UNIT})
    box.at(1)
    for name, amount in (("a", 30 * UNIT), ("b", 20 * UNIT)):
        box.delegate(name, "v", amount)
        box.undelegate(name, "v", amount)
    box.end()
    box.laws()
    return box


def test_an_unbonding_that_cannot_be_paid_holds_up_nobody() -> None:
    box = two_leavers()
    bank.move(box.branch, sender=NOT_BONDED_POOL, recipient=address("thief"), amount=25 * UNIT)
    box.at(2, 2_000)
    box.end()
    assert bank.held(box.branch, address("b")) == 20 * UNIT  # b's item comes after a's
    assert bank.held(box.branch, address("a")) == 0
    assert box.unbonding("a", "v") == [30 * UNIT]  # nothing of it was done
    ((key, failed),) = list(box.scan(FAILED.prefix))
    assert key.startswith(FAILED.prefix + QUEUE_UNBONDINGS)
    assert (failed.height, failed.code) == (2, ActionPanicked.code)
    assert "economy: no item of a queue failed" in broken_laws(box)


def test_what_failed_is_tried_again_by_the_code_of_an_upgrade() -> None:
    box = two_leavers()
    bank.move(box.branch, sender=NOT_BONDED_POOL, recipient=address("thief"), amount=25 * UNIT)
    box.at(2, 2_000)
    box.end()
    box.at(3, 2_001)
    box.end()
    assert len(list(box.scan(FAILED.prefix))) == 1  # not again and again
    bank.move(box.branch, sender=address("thief"), recipient=NOT_BONDED_POOL, amount=25 * UNIT)
    valset.retry_failed(box.branch, box.scan)
    box.end()
    assert bank.held(box.branch, address("a")) == 30 * UNIT
    assert not list(box.scan(FAILED.prefix))
    box.laws()


def test_an_item_is_merged_whole_or_dropped() -> None:
    items, below = FailedItems(b"uF"), Branch({b"uaX": b"1"}.get)

    def half(over: Branch) -> None:
        over.set(b"uaX", b"2")
        raise LookupError("in the middle")

    assert not drain(items.run(below, half, queue=b"Uq", item=b"i", height=7))
    assert below.get(b"uaX") == b"1"
    assert drain(items.run(below, lambda over: over.set(b"uaX", b"3"), queue=b"Uq", item=b"j", height=7))
    assert below.get(b"uaX") == b"3"
