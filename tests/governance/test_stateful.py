"""Random lives of a chain's governance: after every block all invariants hold, and every count is what its definition
says of the stake that the closing block left, whatever happened to stake while it was counted.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.app_state.governance_params import GovernanceParams
from chain.chat import ballots as chat
from chain.chat.ballots import DECIDED, DEPOSIT, TALLYING, VOTING
from chain.currency import machine as currency
from chain.currency.ledger import dec
from chain.currency.ledger.stake_records import (
    ACTIVE,
    BONDED,
    DELEGATION,
    POWER_UNIT,
    UNBONDED,
    VALIDATOR,
    ActiveSet,
    Delegation,
)
from chain.tx.messages.governance import (
    OPTIONS,
    WHOLE,
    AddDeposit,
    CancelProposal,
    ChangeParams,
    ParamChange,
    SpendTreasury,
    SubmitProposal,
    Vote,
    VoteWeighted,
)
from governance import clearing, records
from governance import module as governance
from governance.actions import governance_params_of
from governance.tally import Tally, judge
from tests.support.counts import counted
from tests.support.governance.world import DCHAT, MIN, World, address

PEOPLE = tuple(f"p{index}" for index in range(6))
VALIDATORS = tuple(f"v{index}" for index in range(4))
EVERYBODY = (*PEOPLE, *VALIDATORS)
FIELD = {1: "yes", 2: "abstain", 3: "no", 4: "no_with_veto"}


def by_definition(world: World, number: int) -> Tally:
    """Every delegation of a voter counts as the voter says; what is left of a validator's shares, as it says."""
    proposal = world.proposal(number)
    ballots = {key[-20:]: vote.options for key, vote in world.scan(chat.votes_prefix(number, proposal.ballot))}
    validators = {key[2:]: found for key, found in world.scan(VALIDATOR) if found.status == BONDED}
    left = {operator: found.shares for operator, found in validators.items()}
    tally = Tally(number, world.height, proposal.ballot, votes=len(ballots))
    for key, delegation in world.scan(DELEGATION):
        delegator, operator = key[2:22], key[22:]
        if delegator in ballots and operator in validators:
            left[operator] -= delegation.shares
            power = validators[operator].tokens_of(delegation.shares)
            tally = _add(tally, power, ballots[delegator])
    for operator, shares in left.items():
        tally = tally._replace(bonded=tally.bonded + validators[operator].tokens)
        if operator in ballots:
            tally = _add(tally, validators[operator].tokens_of(shares), ballots[operator])
    return tally


def _add(tally: Tally, power: int, options: Any) -> Tally:
    sums = {FIELD[option]: getattr(tally, FIELD[option]) + dec.mul(power, weight) for option, weight in options}
    return tally._replace(voted=tally.voted + power, **sums)


numbers = st.integers(1, 5)
people = st.sampled_from(PEOPLE)
everybody = st.sampled_from(EVERYBODY)


class Governance(RuleBasedStateMachine):
    """Rules put messages and changes of stake together; `next_block` runs them."""

    @initialize(
        units=st.sampled_from([4, 9, 25, 1_500]), swept=st.sampled_from([1, 3, 300]), counts=st.sampled_from([1, 2, 32])
    )
    def begin(self, units: int, swept: int, counts: int) -> None:
        governance.units_per_block, clearing.swept_per_block = lambda gas: units, lambda gas: swept
        governance.COUNTS_MAX = counts  # type: ignore[misc]  # so that some wait for room
        self.world = World(GovernanceParams(burn_without_quorum=1, votes_kept_s=7_000).shortened(1_000))
        for name in EVERYBODY:
            self.world.fund(name, 1_000 * DCHAT)
            self.world.has_say(name)
        self.world.fill_treasury(50 * DCHAT)
        for index, name in enumerate(VALIDATORS):
            self.world.validator(name, 30, own=5 + index)
        self.supply_begun = currency.supply_of(self.world).total
        self.expected: dict[int, Tally] = {}
        self.messages: list[Any] = []
        self.changes: dict[bytes, Any] = {}

    def teardown(self) -> None:
        governance.units_per_block, clearing.swept_per_block, governance.COUNTS_MAX = DEFAULTS  # type: ignore[misc]

    # ------------------------------------------------------------------ what people do

    @rule(who=everybody, share=st.integers(1, 150), expedited=st.booleans(), spends=st.integers(0, 2),
          changes=st.booleans())  # fmt: skip
    def propose(self, who: str, share: int, expedited: bool, spends: int, changes: bool) -> None:
        actions: list[Any] = [SpendTreasury(address(who), 20 * DCHAT)] * spends
        if changes:
            actions.append(ChangeParams((ParamChange("chat", "message_bytes_max", str(100 + share)),)))
        least = 5 * MIN // 100 if expedited else MIN // 100
        self.messages.append(SubmitProposal(address(who), "t", "", expedited, least * share, tuple(actions)))

    @rule(who=everybody, number=numbers, amount=st.integers(MIN // 100, 6 * MIN))
    def deposit(self, who: str, number: int, amount: int) -> None:
        self.messages.append(AddDeposit(address(who), number, amount))

    @rule(votes=st.lists(st.tuples(everybody, numbers, st.sampled_from(OPTIONS)), min_size=1, max_size=8))
    def vote(self, votes: list[tuple[str, int, int]]) -> None:
        self.messages += [Vote(address(who), number, option) for who, number, option in votes]

    @rule(
        who=everybody, number=numbers, weight=st.integers(1, WHOLE - 1), two=st.sampled_from([(1, 3), (1, 4), (2, 3)])
    )
    def split(self, who: str, number: int, weight: int, two: tuple[int, int]) -> None:
        options = ((two[0], weight), (two[1], WHOLE - weight))
        self.messages.append(VoteWeighted(address(who), number, options))

    @rule(who=everybody, number=numbers)
    def cancel(self, who: str, number: int) -> None:
        self.messages.append(CancelProposal(address(who), number))

    # ------------------------------------------------------------------ what happens to stake

    @rule(who=people, to=st.sampled_from(VALIDATORS), units=st.integers(0, 4))
    def delegate(self, who: str, to: str, units: int) -> None:
        key = DELEGATION + address(who) + address(to)
        self.changes[key] = Delegation(units * POWER_UNIT * WHOLE) if units else None

    @rule(name=st.sampled_from(VALIDATORS), permille=st.integers(1, 999))
    def slash(self, name: str, permille: int) -> None:
        key = VALIDATOR + address(name)
        found = self.changes.get(key) or self.world.get(key)
        self.changes[key] = found._replace(tokens=found.tokens * permille // 1_000)

    @rule(name=st.sampled_from(VALIDATORS))
    def leave_or_come_back(self, name: str) -> None:
        key = VALIDATOR + address(name)
        found = self.changes.get(key) or self.world.get(key)
        status = UNBONDED if found.status == BONDED else BONDED
        members = (self.changes.get(ACTIVE) or self.world.get(ACTIVE)).members
        rest = tuple(member for member in members if member[0] != address(name))
        if not rest:
            return  # the set is never left empty
        self.changes[key] = found._replace(status=status)
        self.changes[ACTIVE] = ActiveSet((*rest, (address(name), 1)) if status == BONDED else rest)

    # ------------------------------------------------------------------ blocks

    @rule(seconds=st.sampled_from([0, 1, 100, 500, 1_000, 2_000]))
    def next_block(self, seconds: int) -> None:
        world = self.world
        before = {n: world.proposal(n) for n in self._numbers()}
        accepted = []
        for message in self.messages:
            if self._would_run(accepted, message, seconds):
                accepted.append(message)
        world.block(*accepted, seconds=seconds, changes=self.changes)
        self.messages, self.changes = [], {}
        for number in self._numbers():
            self._follow(number, before.get(number))

    def _would_run(self, accepted: list[Any], message: Any, seconds: int) -> bool:
        """Whether the block can execute it after those that it has."""
        copy = self.world.copy()
        try:
            copy.block(*accepted, message, seconds=seconds)
        except governance.TxError:
            return False
        return True

    def _follow(self, number: int, before: Any) -> None:
        world, now = self.world, self.world.proposal(number)
        was = before.status if before is not None else None
        if now.status == TALLYING and was != TALLYING:
            self.expected[number] = by_definition(world, number)
        elif was == TALLYING and now.status != TALLYING:
            expected = self.expected.pop(number)
            params = governance_params_of(world)
            verdict = judge(expected, params, expedited=before.expedited)
            if before.expedited and not verdict.passes:
                assert (now.status, now.expedited, now.ballot) == (VOTING, False, before.ballot + 1)
            else:
                assert now.result == expected.result, number
                assert (now.status != chat.REJECTED) == verdict.passes
        else:
            assert was in (None, DEPOSIT, now.status), (was, now.status)

    def _numbers(self) -> list[int]:
        return [found.id for _, found in self.world.scan(chat.PROPOSAL)]

    @rule(options=st.lists(st.sampled_from((*OPTIONS, 1, 1, 0)), min_size=10, max_size=10))
    def everybody_votes(self, options: list[int]) -> None:
        for number in self._with_status(VOTING)[:2]:
            cast = zip(EVERYBODY, options, strict=True)
            self.messages += [Vote(address(who), number, option) for who, option in cast if option]
        self.next_block(1)

    @rule(late=st.sampled_from([0, 1, 3_000]))
    def a_vote_ends(self, late: int) -> None:
        for number in self._with_status(VOTING)[:1]:
            left = self.world.proposal(number).voting_end_time_ns - self.world.time_ns
            self.next_block(max(0, left // 10**9) + late)

    def newest(self) -> int:
        """A number near the last."""
        return max(1, chat.next_number(self.world) - 1 - self.world.height % 3)

    def _with_status(self, status: int) -> list[int]:
        return [number for number in self._numbers() if self.world.proposal(number).status == status]

    @precondition(lambda self: any(self.world.proposal(n).status == TALLYING for n in self._numbers()))
    @rule()
    def blocks_until_all_is_counted(self) -> None:
        for _ in range(400):
            self.next_block(0)
            if self.world.get(records.TALLIES) is None:
                return
        raise AssertionError("a count does not end")

    @invariant()
    def laws_hold(self) -> None:
        if hasattr(self, "world"):
            self.world.check_invariants()

    @invariant()
    def supply_changes_by_what_is_burned(self) -> None:
        if hasattr(self, "world"):
            world = self.world
            supply = currency.supply_of(world)
            assert supply.total == sum(found.balance for _, found in world.scan(b"ua"))
            assert supply.total == self.supply_begun - world.get(b"um").burned

    @invariant()
    def nothing_is_left_of_what_is_gone(self) -> None:
        """When nothing waits to be cleared away, only open proposals have deposits, and only known ones votes."""
        if hasattr(self, "world") and self.world.get(records.JOB_COUNT) is None:
            world = self.world
            held = {int.from_bytes(key[2:], "big") for key, _ in world.scan(records.HELD)}
            assert held == {n for n in self._numbers() if world.proposal(n).status not in DECIDED}
            assert {int.from_bytes(key[2:10], "big") for key, _ in world.scan(chat.VOTE)} <= set(self._numbers())


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_long_walk(seed: int) -> None:
    """Hypothesis prefers short lives; this is a long one. Replay a failure by its seed."""
    chance, machine = random.Random(seed), Governance()
    machine.begin(chance.choice([4, 9, 25, 1_500]), chance.choice([1, 3, 300]), chance.choice([1, 2, 32]))
    pick = chance.choice
    steps = (
        lambda: machine.propose(pick(EVERYBODY), chance.randint(20, 150), pick([True, False]), pick([0, 0, 1, 2]),
                                pick([True, False])),
        lambda: machine.deposit(pick(EVERYBODY), machine.newest(), chance.randint(MIN // 100, 6 * MIN)),
        lambda: machine.split(pick(EVERYBODY), machine.newest(), chance.randint(1, WHOLE - 1), (1, 3)),
        lambda: machine.cancel(pick(EVERYBODY), machine.newest()),
        lambda: machine.delegate(pick(PEOPLE), pick(VALIDATORS), chance.randint(0, 4)),
        lambda: machine.slash(pick(VALIDATORS), pick([700, 950, 1_000, 1_030, 1_400])),
        lambda: machine.leave_or_come_back(pick(VALIDATORS)),
        lambda: machine.next_block(pick([0, 0, 1, 100, 500])),
        lambda: machine.next_block(0),
        lambda: machine.everybody_votes([pick((*OPTIONS, 1, 1, 1, 1, 0)) for _ in EVERYBODY]),
        lambda: machine.everybody_votes([pick((*OPTIONS, 3, 3, 4, 0)) for _ in EVERYBODY]),
        lambda: machine.a_vote_ends(pick([0, 1, 3_000])),
    )  # fmt: skip
    seen = set()
    try:
        for _ in range(counted(600, whole=10_000)):
            pick(steps)()
            machine.laws_hold()
            machine.supply_changes_by_what_is_burned()
            machine.nothing_is_left_of_what_is_gone()
            seen |= {machine.world.proposal(number).status for number in machine._numbers()[-5:]}
    finally:
        machine.teardown()
    assert seen >= {DEPOSIT, VOTING, TALLYING, chat.PASSED, chat.REJECTED}


DEFAULTS = (governance.units_per_block, clearing.swept_per_block, governance.COUNTS_MAX)
TestGovernance = Governance.TestCase
TestGovernance.settings = settings(
    max_examples=counted(20, whole=2_000),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
