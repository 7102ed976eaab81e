"""Who waits for room among the counts: the greatest deposit first, however many others ended before.

audit 14: a thousand proposals, with votes that take long to count, held up everybody else's for hours.
"""

from __future__ import annotations

import pytest

from chain.app_state.governance_params import GovernanceParams
from chain.chat import ballots as chat
from chain.tx.messages.governance import YES, SubmitProposal
from governance import module as governance
from governance import room
from tests.support.governance.rules import voters
from tests.support.governance.world import DCHAT, MIN, World, address

DAY = 86_400
VOTERS = 20


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """All room is taken by counts that go on for many blocks; `first`: the number of the first that waits."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 60)
    monkeypatch.setattr("governance.module.COUNTS_MAX", 2)
    world = voters(GovernanceParams())
    for index in range(VOTERS):
        world.delegate(f"d{index}", "v0", 1)
    return world


def submit(world: World, count: int, deposit: int = MIN) -> list[int]:
    first = chat.next_number(world)
    world.block(*[SubmitProposal(address("dora"), "t", "", False, deposit, ()) for _ in range(count)], seconds=0)
    return list(range(first, first + count))


def crowd(world: World, count: int) -> list[int]:
    numbers = submit(world, count)
    world.block(*[world.vote(f"d{n}", number, YES) for number in numbers for n in range(VOTERS)], seconds=0)
    return numbers


def order_of_counts(world: World, numbers: list[int]) -> list[int]:
    """In which their counts begin, until all have."""
    begun: list[int] = []
    for _ in range(2_000):
        world.block(seconds=0)
        world.check_invariants()
        begun += [n for n in numbers if n not in begun and world.status(n) != "voting"]
        if len(begun) == len(numbers):
            return begun
    raise AssertionError(begun)


def test_the_greatest_deposit_is_counted_first(world: World) -> None:
    """It ended last, after all of the crowd."""
    many = crowd(world, 12)
    world.block(seconds=1)
    [mine] = submit(world, 1, MIN + 1)
    world.block(seconds=DAY)
    world.check_invariants()
    assert room.waiters(world) == 11
    order = order_of_counts(world, [number for number in (*many, mine) if world.status(number) == "voting"])
    assert order[0] == mine
    assert order[1:] == sorted(order[1:])  # of equals who ended first, then the older
    world.settle(2_000)
    assert {world.status(number) for number in many} == {"passed"}
    assert room.waiters(world) == 0


def test_who_adds_to_a_deposit_while_it_waits_lets_it_pass(world: World) -> None:
    many = crowd(world, 12)
    world.block(seconds=DAY)
    waiting = [number for number in many if world.status(number) == "voting"]
    assert len(waiting) == 10
    world.block(world.deposit("dora", waiting[-1], DCHAT), world.deposit("dora", waiting[5], 2 * DCHAT), seconds=0)
    world.check_invariants()
    assert order_of_counts(world, waiting)[:3] == [waiting[5], waiting[-1], waiting[0]]


def test_a_deposit_in_the_very_block_that_makes_room(world: World) -> None:
    """The last count that goes on ends while the only one that waits moves up: it is not forgotten."""
    numbers = submit(world, 3)
    world.block(seconds=DAY)
    [waits] = [number for number in numbers if world.status(number) == "voting"]
    world.block(world.deposit("dora", waits, DCHAT), seconds=0)
    world.check_invariants()
    assert world.status(waits) != "voting"
    world.settle()
    assert {world.status(number) for number in numbers} <= {"rejected", "passed"}


def test_who_is_cancelled_waits_no_more(world: World) -> None:
    """In the very second in which its voting ends: blocks of one time."""
    many = crowd(world, 5)
    world.block(seconds=(world.proposal(many[0]).voting_end_time_ns - world.time_ns) // 10**9)
    assert room.waiters(world) == 3
    world.block(world.cancel("dora", many[3]), seconds=0)
    world.check_invariants()
    assert room.waiters(world) == 2


def test_a_count_that_cannot_begin_stops_no_block(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 8: it lies among what failed, under its timer's key, until other code takes it back."""
    many = crowd(world, 3)
    world.block(seconds=DAY)
    [waits] = [number for number in many if world.status(number) == "voting"]

    def breaks(*args: object, **named: object) -> None:
        raise ValueError("cannot be")

    with monkeypatch.context() as patch:
        patch.setattr(governance, "_begin_count", breaks)
        for _ in range(200):
            world.block(seconds=0)
    assert world.status(waits) == "voting"
    assert len(list(world.scan(governance.FAILED_ITEMS.prefix))) == 1
    world.block(upgraded="mended")
    world.settle(200)
    assert world.status(waits) == "passed"


def test_room_is_what_the_counts_that_go_on_leave(world: World) -> None:
    many = crowd(world, 5)
    world.block(seconds=DAY)
    assert [world.status(number) for number in many] == ["tallying", "tallying", "voting", "voting", "voting"]
    assert not world.refused(world.vote("v1", many[-1], YES))  # votes are taken until its count begins
    assert governance.COUNTS_MAX == 2
