"""Who decides: the sheet's examples of section 5, delegators and validators, portions, and pinned stake."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.app_state.governance_params import GovernanceParams
from chain.chat import ballots as chat
from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import VALIDATORS_MAX
from chain.currency.ledger.stake_records import (
    ACTIVE,
    BONDED,
    DELEGATION,
    POWER_UNIT,
    UNBONDED,
    UNBONDING,
    VALIDATOR,
    ActiveSet,
    Delegation,
    Validator,
)
from chain.currency.staking.stake import SHARES_MAX
from chain.kernel.branch import RECORD_BYTES_MAX, Branch, check_records
from chain.tx.codec import height_bytes
from chain.tx.messages.economy import MONIKER_BYTES_MAX
from chain.tx.messages.governance import ABSTAIN, NO, NO_WITH_VETO, WHOLE, YES
from governance.module import COUNTS_MAX
from governance.pinned_stake import HAS_KEPT, KEPT, MARK, Kept, Stake, keep_changed
from governance.tally import Count, Tally, Verdict, judge
from tests.support.governance.world import World, address

P = POWER_UNIT
NAMES = ("v0", "v1", "v2", "v3")


def decided(world: World, *votes: tuple[str, int]) -> tuple[str, Any]:
    """A text proposal that these vote on: its status and its result."""
    number = world.propose()
    world.block(*[world.vote(who, number, option) for who, option in votes])
    world.check_invariants()
    world.finish(number)
    world.check_invariants()
    return world.status(number), world.result(number)


@pytest.mark.parametrize(("powers", "votes", "status", "burns"), [
    pytest.param((6, 6, 7), (YES, YES, NO_WITH_VETO), "rejected", True, id="sheet: yes, yes, veto of 7/19 burns"),
    pytest.param((6, 6, 7), (ABSTAIN, NO, YES), "passed", False, id="sheet: 7 of 13 that did not abstain"),
    pytest.param((5, 6, 7), (YES, YES, YES), "passed", False, id="all for it"),
    pytest.param((5, 6, 7), (YES, NO, None), "rejected", False, id="5 of 11"),
    pytest.param((1, 1), (YES, NO), "rejected", False, id="exactly the threshold is not above it"),
    pytest.param((5, 6, 7), (None, None, None), "rejected", False, id="nobody: no quorum, no burning"),
    pytest.param((334, 666), (YES, None), "passed", False, id="exactly the quorum of 0.334"),
    pytest.param((333, 667), (YES, None), "rejected", False, id="just below the quorum"),
    pytest.param((5, 6), (ABSTAIN, ABSTAIN), "rejected", False, id="all abstain"),
    pytest.param((334, 666), (NO_WITH_VETO, YES), "passed", False, id="exactly the veto share does not veto"),
    pytest.param((335, 665), (NO_WITH_VETO, YES), "rejected", True, id="just above the veto share"),
    pytest.param((), (), "rejected", False, id="nothing is bonded"),
])  # fmt: skip
def test_validators_decide(powers: tuple[int, ...], votes: tuple[int | None, ...], status: str, burns: bool) -> None:
    world = World()
    for name, power in zip(NAMES, powers, strict=False):
        world.validator(name, power)
    before = world.balance("dora")
    cast = [(name, option) for name, option in zip(NAMES, votes, strict=False) if option]
    got, result = decided(world, *cast)
    assert got == status
    assert result.bonded == sum(powers) * P
    assert result.votes == len(cast)
    assert world.balance("dora") == before - (10**7 if burns else 0)


def delegated() -> World:
    """The sheet's: powers 5, 6, 7; a delegator has 30 more at the first."""
    world = World()
    world.validator("v0", 5 + 30, own=5)
    world.validator("v1", 6)
    world.validator("v2", 7)
    world.delegate("dan", "v0", 30)
    return world


def test_a_delegator_overrides_the_validator() -> None:
    """5, 6, 7 say yes, the delegator of 30 says no: 18 against 30."""
    votes = [("v0", YES), ("v1", YES), ("v2", YES)]
    status, result = decided(delegated(), *votes, ("dan", NO))
    assert (status, result.yes, result.no) == ("rejected", 18 * P, 30 * P)
    status, result = decided(delegated(), *votes)
    assert (status, result.yes, result.no) == ("passed", 48 * P, 0)


def test_a_validator_may_delegate_to_another() -> None:
    """10, 10, 10, and v0 has 10 more at v1; yes, no, yes: 30 against 10."""
    world = World()
    world.validator("v0", 10)
    world.validator("v1", 20, own=10)
    world.validator("v2", 10)
    world.delegate("v0", "v1", 10)
    status, result = decided(world, ("v0", YES), ("v1", NO), ("v2", YES))
    assert (status, result.yes, result.no) == ("passed", 30 * P, 10 * P)


def test_a_voter_without_stake_weighs_nothing_and_one_with_stake_decides_alone_over_it() -> None:
    """Whose stake is gone when voting ends; who never had any can't vote."""
    world = delegated()
    world.has_say("nobody")
    status, result = decided(world, ("nobody", NO_WITH_VETO), ("dan", YES))
    assert (status, result.yes, result.no_with_veto, result.votes) == ("passed", 30 * P, 0, 2)


@pytest.mark.parametrize("status", [UNBONDED, UNBONDING])
def test_only_bonded_validators_and_their_delegators_count(status: int) -> None:
    world = World()
    world.validator("v0", 5)
    world.validator("out", 50, status=status, own=40)
    world.delegate("dan", "out", 10)
    got, result = decided(world, ("v0", YES), ("out", NO), ("dan", NO))
    assert (got, result.yes, result.no, result.bonded) == ("passed", 5 * P, 0, 5 * P)


def test_weights_split_a_vote() -> None:
    world = World()
    world.validator("v0", 10)
    number = world.propose()
    shares = [(YES, 6 * ONE // 10), (ABSTAIN, 5 * ONE // 100), (NO, 3 * ONE // 10), (NO_WITH_VETO, 5 * ONE // 100)]
    world.block(world.weighted("v0", number, *shares))
    assert world.finish(number).status == chat.PASSED
    result = world.result(number)
    assert (result.yes, result.abstain, result.no, result.no_with_veto) == (6 * P, P // 2, 3 * P, P // 2)


def test_the_last_vote_counts() -> None:
    world = World()
    world.validator("v0", 10)
    status, result = decided(world, ("v0", NO), ("v0", YES))
    assert (status, result.yes, result.no, result.votes) == ("passed", 10 * P, 0, 1)


def test_slashed_shares_weigh_what_they_are_worth() -> None:
    """Shares times tokens by all shares, half to even at 18 digits: 3 units of 9 shares on 7 tokens."""
    world = World()
    world.validator("v0", 9, own=6, tokens=7)
    world.delegate("dan", "v0", 3)
    number = world.propose()
    world.block(world.vote("dan", number, YES), world.vote("v0", number, NO))
    world.finish(number)
    result = world.result(number)
    assert (result.yes, result.no, result.bonded) == (2, 4, 7)  # 2.33 and 4.66, cut


# ------------------------------------------------------------------------------ what a complete count means


def tally(yes: int = 0, abstain: int = 0, no: int = 0, veto: int = 0, bonded: int = 100) -> Tally:
    voted = yes + abstain + no + veto
    return Tally(
        1, 1, 0, yes=yes * ONE, abstain=abstain * ONE, no=no * ONE, no_with_veto=veto * ONE, voted=voted * ONE,
        bonded=bonded,
    )  # fmt: skip


@pytest.mark.parametrize(("count", "expedited", "want"), [
    pytest.param(tally(), False, Verdict(False, False, False), id="nobody voted"),
    pytest.param(tally(yes=5, bonded=0), False, Verdict(False, False, False), id="nothing bonded"),
    pytest.param(tally(yes=33), False, Verdict(False, False, False), id="33 of 100 is below 0.334"),
    pytest.param(tally(yes=34), False, Verdict(True, True, False), id="34 of 100"),
    pytest.param(tally(abstain=40), False, Verdict(False, True, False), id="all abstain"),
    pytest.param(tally(yes=66, veto=34), False, Verdict(False, True, True), id="veto above 0.334 of all cast"),
    pytest.param(tally(yes=60, abstain=5, veto=32), False, Verdict(True, True, False), id="32 of 97 is no veto"),
    pytest.param(tally(yes=50, no=50), False, Verdict(False, True, False), id="half is not above half"),
    pytest.param(tally(yes=51, no=49), False, Verdict(True, True, False), id="51 of 100"),
    pytest.param(tally(yes=66, no=34), True, Verdict(False, True, False), id="expedited: 0.66 is not above 0.667"),
    pytest.param(tally(yes=67, no=33), True, Verdict(True, True, False), id="expedited: 0.67"),
])  # fmt: skip
def test_rules(count: Tally, expedited: bool, want: Verdict) -> None:
    assert judge(count, GovernanceParams(), expedited=expedited) == want


# ------------------------------------------------------------------------------ in portions


def crowd(world: World) -> int:
    """Three validators, twenty voters with up to three delegations, six of them also split; the proposal's number."""
    for name, power in (("v0", 100), ("v1", 70), ("v2", 31)):
        world.validator(name, power, own=1)
    world.validator("out", 20, status=UNBONDED)
    number = world.propose()
    votes: list[Any] = [world.vote("v0", number, YES), world.vote("v2", number, NO)]
    for index in range(20):
        for place, name in enumerate(("v0", "v1", "v2", "out")):
            if index % 4 >= place:
                world.delegate(f"d{index}", name, 1 + index % 3)
        if index % 3 == 0:
            votes.append(world.weighted(f"d{index}", number, (YES, WHOLE // 3), (NO, WHOLE - WHOLE // 3)))
        else:
            votes.append(world.vote(f"d{index}", number, 1 + index % 4))
    world.block(*votes)
    return number


def count_in(world: World, number: int, portions: list[int]) -> Tally:
    """Count in portions of so many units; what goes on is kept as its stored bytes."""
    stored, deducted = Tally(number, world.height, 0).encode(), _Dict()
    for portion in [*portions, *[10_000] * 3]:
        stake = Stake(world.get, world.scan)
        count = Count(Tally.decode(stored), stake, world.get, world.scan, deducted)
        for _ in count.advance(portion):
            pass
        stored = count.tally.encode()
        if count.is_done:
            return count.tally
    raise AssertionError("the count does not end")


class _Dict(dict[bytes, int]):
    def __missing__(self, key: bytes) -> int:
        return 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=60))
def test_portions_do_not_change_the_sums(portions: list[int]) -> None:
    world, number = CROWD
    assert count_in(world, number, portions) == WHOLE_COUNT


CROWD = (World(), 0)
CROWD = (CROWD[0], crowd(CROWD[0]))
WHOLE_COUNT = count_in(*CROWD, [])


def test_the_count_is_what_the_definition_says() -> None:
    """By hand: every delegation of a voter counts once as the voter says, the rest as its validator says."""
    world, number = CROWD
    sums: dict[int, int] = dict.fromkeys((YES, ABSTAIN, NO, NO_WITH_VETO), 0)
    validators = {key[2:]: found for key, found in world.scan(VALIDATOR) if found.status == BONDED}
    left = {operator: found.shares for operator, found in validators.items()}
    ballots = {key[-20:]: found.options for key, found in world.scan(chat.votes_prefix(number, 0))}
    for key, delegation in world.scan(DELEGATION):
        delegator, operator = key[2:22], key[22:]
        if delegator in ballots and operator in validators:
            left[operator] -= delegation.shares
            for option, weight in ballots[delegator]:
                sums[option] += dec.mul(validators[operator].tokens_of(delegation.shares), weight)
    for operator, shares in left.items():
        for option, weight in ballots.get(operator, ()):
            sums[option] += dec.mul(validators[operator].tokens_of(shares), weight)
    count = WHOLE_COUNT
    assert sums == {YES: count.yes, ABSTAIN: count.abstain, NO: count.no, NO_WITH_VETO: count.no_with_veto}
    assert count.bonded == sum(found.tokens for found in validators.values())
    assert count.votes == 22


def test_a_portion_that_fits_no_voter_goes_on_within_the_voter() -> None:
    """One voter with 300 delegations: counted in portions of 10 units, each makes progress."""
    world = World()
    for index in range(300):
        world.validator(f"w{index}", 2, own=1)
        world.delegate("whale", f"w{index}", 1)
    number = world.propose()
    world.block(world.vote("whale", number, NO))
    count = count_in(world, number, [10] * 200)
    assert (count.no, count.votes, count.bonded) == (300 * P * ONE, 1, 600 * P)


# ------------------------------------------------------------------------------ pinned stake


def closed(world: World, number: int) -> None:
    """The block that closes its voting: what it leaves is pinned."""
    world.block(seconds=(world.proposal(number).voting_end_time_ns - world.time_ns) // 10**9)
    assert world.status(number) == "tallying"


def test_what_changes_after_the_pin_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delegations that go, come and change, a slash, validators that leave and join, all while it is counted."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 5)
    world = delegated()
    world.has_say("late")
    number = world.propose()
    world.block(*[world.vote(who, number, YES) for who in ("v0", "v1", "v2")], world.vote("dan", number, NO),
                world.vote("late", number, NO))  # fmt: skip
    closed(world, number)
    v0 = world.get(VALIDATOR + address("v0"))
    v1 = world.get(VALIDATOR + address("v1"))
    world.block(changes={
        DELEGATION + address("dan") + address("v0"): None,
        DELEGATION + address("late") + address("v0"): Delegation(40 * P * ONE),
        VALIDATOR + address("v0"): v0._replace(tokens=1),
    })  # fmt: skip
    world.block(changes={
        VALIDATOR + address("v1"): v1._replace(status=UNBONDED),
        ACTIVE: ActiveSet(((address("late"), 5), (address("v0"), 35))),
        DELEGATION + address("dan") + address("v0"): Delegation(7 * P * ONE),
        DELEGATION + address("dan") + address("v1"): Delegation(9 * P * ONE),
    })  # fmt: skip
    assert world.status(number) == "tallying"
    world.check_invariants()
    world.settle()
    result = world.result(number)
    assert (result.yes, result.no, result.bonded) == (18 * P, 30 * P, 48 * P)
    assert not list(world.scan(KEPT))
    world.check_invariants()


def test_two_counts_each_at_its_own_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second closes while the first is counted, and stake changed in between; and again before it is counted."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 4)
    world = delegated()
    first = world.propose()
    second = world.propose()
    for number in (first, second):
        world.block(*[world.vote(who, number, YES) for who in ("v0", "v1", "v2")], world.vote("dan", number, NO))
    start = world.proposal(first).voting_end_time_ns
    world.block(seconds=(start - world.time_ns) // 10**9)
    assert (world.status(first), world.status(second)) == ("tallying", "voting")
    key = DELEGATION + address("dan") + address("v0")
    world.block(seconds=0, changes={key: Delegation(20 * P * ONE)})
    world.block(seconds=1)
    assert (world.status(first), world.status(second)) == ("tallying", "tallying")
    world.block(seconds=0, changes={key: Delegation(10 * P * ONE)})
    world.settle(80)
    assert world.result(first).no == 30 * P
    assert world.result(second).no == 20 * P
    assert world.result(first).pin_height < world.result(second).pin_height
    world.check_invariants()


def test_rewards_alone_keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that changed but weighs the same is not kept."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 4)
    world = delegated()
    number = world.propose()
    world.block(world.vote("dan", number, NO))
    closed(world, number)
    key = DELEGATION + address("dan") + address("v0")
    before = world.get(key)
    v0 = world.get(VALIDATOR + address("v0"))
    world.block(changes={key: before._replace(previous_period=9), VALIDATOR + address("v0"): v0._replace(rate=7)})
    assert not list(world.scan(KEPT))
    world.settle(200)
    assert world.result(number).no == 30 * P


@pytest.mark.parametrize("members", [100, VALIDATORS_MAX])
def test_a_set_is_kept_for_as_many_pins_as_there_may_be(members: int) -> None:
    """audit 17: all its versions lay in one record; with 25 counts behind a slow one no block fitted any more."""
    stored: dict[bytes, Any] = {}

    def scan(prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        yield from sorted((key, value) for key, value in stored.items() if key.startswith(prefix) and key >= start)

    def set_of(height: int) -> ActiveSet:
        return ActiveSet(tuple([(number.to_bytes(20, "big"), 2**32 - height) for number in range(members)]))

    stored[ACTIVE] = set_of(0)
    pins = range(1, COUNTS_MAX + 1)
    for height in pins:
        branch = Branch(stored.get)
        branch.set(ACTIVE, set_of(height))
        deque(keep_changed(branch, stored.get, scan, oldest_pin=1, newest_pin=height), maxlen=0)
        check_records(branch.writes)
        stored |= branch.writes
    for pin in pins:
        read = Stake(stored.get, scan, pin=pin)
        assert read._set() == set_of(pin - 1)
    branch = Branch(stored.get)
    branch.set(ACTIVE, set_of(100))
    deque(keep_changed(branch, stored.get, scan, oldest_pin=COUNTS_MAX, newest_pin=COUNTS_MAX + 1), maxlen=0)
    assert sum(value is None for value in branch.writes.values()) == COUNTS_MAX - 1


def test_sets_that_an_earlier_build_kept_together_are_read() -> None:
    old, new, now = (ActiveSet(((bytes(19) + bytes([n]), n),)) for n in (1, 2, 3))
    stored: dict[bytes, Any] = {
        ACTIVE: now, HAS_KEPT: MARK, KEPT + ACTIVE: Kept(((5, old.encode()),)),
        KEPT + ACTIVE + height_bytes(8): Kept(((8, new.encode()),)),
    }  # fmt: skip

    def scan(prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        yield from sorted((key, value) for key, value in stored.items() if key.startswith(prefix) and key >= start)

    assert [Stake(stored.get, scan, pin=pin)._set() for pin in (4, 5, 6, 8, 9)] == [old, old, new, new, now]


def test_what_a_block_changed_is_kept_in_slices() -> None:
    """audit 17: a block may change thousands of delegations, and the loop has other work."""
    stored: dict[bytes, Any] = {}
    branch = Branch(stored.get)
    for number in range(1_000):
        branch.set(DELEGATION + number.to_bytes(20, "big") + bytes(20), Delegation(ONE))
    slices = keep_changed(branch, stored.get, lambda prefix, start=b"": iter(()), oldest_pin=1, newest_pin=1)
    most, before = 0, len(branch.writes)
    for _ in slices:
        most, before = max(most, len(branch.writes) - before), len(branch.writes)
    assert most <= 101
    assert len(branch.writes) == 2_001, "with the mark"


def test_the_most_versions_of_a_validator_or_a_delegation_fit_one_record() -> None:
    """audit 17: theirs lie together, one for each count that may wait."""
    widest = 2**64 - 1
    validator = Validator(
        b"\xff" * 20, b"\xff" * 32, "m" * MONIKER_BYTES_MAX, True, BONDED, widest, SHARES_MAX, widest, 2**63 - 1,
        ONE, ONE, ONE, 2**63 - 1, widest,
    )  # fmt: skip
    delegation = Delegation(SHARES_MAX, widest, widest * ONE, widest, widest)
    for record in (validator, delegation):
        kept = Kept(tuple([(widest - pin, record.encode()) for pin in range(COUNTS_MAX + 1)]))
        assert len(kept.encode()) <= RECORD_BYTES_MAX
