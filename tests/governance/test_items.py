"""Counts and jobs of governance that break: the others go on, and other code cures what can be cured.

Design section 7; ISA-2025-002 (an error at the end of a block stopped the chain). The faults are of the state, put
there by hand: no message can make them.
"""

from __future__ import annotations

from chain.chat.ballots import CastVote, vote_key
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.records import ACCOUNT, Account
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.errors import ActionPanicked
from chain.tx.messages.governance import YES
from governance import module as governance
from governance.records import FAILED_ITEMS, JOBS, QUEUE
from tests.support.governance.rules import voters
from tests.support.governance.world import MIN, World, address

NO_OPTION = 9


def failed(world: World) -> list[tuple[bytes, int]]:
    """(queue, code) of each item."""
    at = len(FAILED_ITEMS.prefix)
    return [(key[at : at + 2], one.code) for key, one in world.scan(FAILED_ITEMS.prefix)]


def broken_laws(world: World) -> list[str]:
    return [name for name, holds, _ in governance.invariants(world, world.scan) if not holds]


def test_votes_that_cannot_be_counted_fail_their_proposal_alone() -> None:
    world = voters()
    before = world.balance("dora")
    first, second = world.propose(), world.propose()
    world.block(*[world.vote(who, number, YES) for who in ("v0", "v1") for number in (first, second)])
    world.put(vote_key(first, 0, address("v0")), CastVote(((NO_OPTION, ONE),), world.height))
    world.finish(second)
    found = world.proposal(first)
    assert (world.status(first), found.failed_code) == ("failed", ActionPanicked.code)
    assert world.status(second) == "passed"
    assert failed(world) == [(QUEUE, ActionPanicked.code)]
    assert world.balance("dora") == before  # both deposits are back
    assert broken_laws(world) == ["governance: no item of a queue failed"]
    world.block(upgraded="spring")
    assert not failed(world)
    world.check_invariants()


def test_a_refund_that_cannot_be_paid_waits_for_other_code() -> None:
    world = voters()
    before = world.balance("dora")
    number = world.propose()
    world.block(world.vote("v0", number, YES), world.vote("v1", number, YES))
    world.put(ACCOUNT + GOVERNANCE_ADDRESS, Account(GOVERNANCE_ADDRESS, 1))
    world.finish(number)
    assert world.status(number) == "passed"
    assert failed(world) == [(JOBS, ActionPanicked.code)]
    assert world.balance("dora") == before - MIN
    world.put(ACCOUNT + GOVERNANCE_ADDRESS, Account(GOVERNANCE_ADDRESS, MIN))
    world.block(upgraded="spring")
    world.settle()
    assert world.balance("dora") == before
    assert not failed(world)
    world.check_invariants()
