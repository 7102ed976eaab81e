"""Counting the votes of one proposal: so many steps at a time, and the rules that make a result of it.

First the votes, by voter: each of a voter's delegations to a bonded validator counts as the voter says and no longer
as the validator does. Then the bonded validators: one that voted decides over what its delegators left to it. The sums
are the same in whatever order and portions they are made.
Source: Cosmos SDK v0.50.13, x/gov/keeper/tally.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from chain.app_state.governance_params import GovernanceParams
from chain.chat.ballots import CastVote, Result, vote_key, votes_prefix
from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.stake_records import BONDED
from chain.kernel.branch import Scan
from chain.tx.messages.governance import ABSTAIN, NO, NO_WITH_VETO, YES, WeightedOptions
from governance.pinned_stake import Stake
from proto.dchat.v1 import governance_pb2 as pb

COST_VOTE: Final = 4  # two scans begun, a vote decoded: about 40 us; what a unit stands for is about 10
COST_DELEGATION: Final = 2
COST_VALIDATOR: Final = 4

_FIELD: Final = {YES: "yes", ABSTAIN: "abstain", NO: "no", NO_WITH_VETO: "no_with_veto"}


class Tally(NamedTuple):
    """A count that goes on. validators: the votes are done. voter, operator, member: where it goes on.

    yes to voted: Decs of udchat.
    """

    proposal_id: int
    pin_height: int
    ballot: int
    validators: bool = False
    voter: bytes = b""
    operator: bytes = b""
    member: int = 0
    yes: int = 0
    abstain: int = 0
    no: int = 0
    no_with_veto: int = 0
    voted: int = 0
    bonded: int = 0
    votes: int = 0

    def encode(self) -> bytes:
        fields: dict[str, Any] = self._asdict()
        for name in _DECS:
            fields[name] = dec.to_bytes(fields[name])
        return pb.TallyProgress(**fields).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Tally:
        r = pb.TallyProgress.FromString(stored)
        fields = {name: getattr(r, name) for name in Tally._fields}
        for name in _DECS:
            fields[name] = dec.from_bytes(fields[name])
        return Tally(**fields)

    @property
    def result(self) -> Result:
        return Result(
            self.yes // ONE, self.abstain // ONE, self.no // ONE, self.no_with_veto // ONE, self.bonded, self.votes,
            self.pin_height,
        )  # fmt: skip

    def with_power(self, power: int, options: WeightedOptions) -> Tally:
        """power: a Dec, cast for `options`."""
        sums = {_FIELD[option]: getattr(self, _FIELD[option]) + dec.mul(power, weight) for option, weight in options}
        return self._replace(voted=self.voted + power, **sums)


_DECS: Final = ("yes", "abstain", "no", "no_with_veto", "voted")


class Deductions(Protocol):
    """The shares of each validator that voted by themselves."""

    def __getitem__(self, operator: bytes) -> int: ...
    def __setitem__(self, operator: bytes, shares: int) -> None: ...


class Count:
    """A tally with what it reads; `advance` counts on, until `is_done`."""

    def __init__(
        self, tally: Tally, stake: Stake, get: Callable[[bytes], Any], scan: Scan, deducted: Deductions
    ) -> None:
        self.tally = tally
        self.is_done = False
        self._stake, self._get, self._scan, self._deducted = stake, get, scan, deducted

    def advance(self, budget: int) -> Iterator[int]:
        """Count until the units of `budget` are used up or all is counted. Yields what is left of it, after each vote
        and each validator; never uses more than the budget by more than one step's.
        """
        if not self.tally.validators:
            for key, cast in self._votes():
                if budget <= 0:
                    return
                budget -= self._count_vote(key, cast, budget)
                yield budget
            if budget <= 0:
                return
            self.tally = self.tally._replace(validators=True, voter=b"", operator=b"")
        members = self._stake.members()
        while budget > 0 and not self.is_done:
            if self.tally.member < len(members):
                self._count_validator(members[self.tally.member])
            self.is_done = self.tally.member >= len(members)
            budget -= COST_VALIDATOR
            yield budget

    def _votes(self) -> Iterator[tuple[bytes, CastVote]]:
        """From where it goes on: with the voter whose delegations were not all counted, else after the last one."""
        tally = self.tally
        prefix = votes_prefix(tally.proposal_id, tally.ballot)
        start = prefix + tally.voter + (b"\x00" if tally.voter and not tally.operator else b"")
        for key, cast in self._scan(prefix, start):
            yield key[len(prefix) :], cast

    def _count_vote(self, voter: bytes, cast: CastVote, budget: int) -> int:
        """The units that it cost."""
        tally, cost = self.tally, COST_VOTE
        for operator, shares in self._stake.delegations(voter, tally.operator):
            if cost > budget:  # the rest of this voter's delegations next time
                if tally.operator:
                    self.tally = tally._replace(voter=voter)
                return cost
            cost += COST_DELEGATION
            tally = tally._replace(operator=operator)
            validator = self._stake.validator(operator)
            if validator is not None and validator.status == BONDED:
                self._deducted[operator] = self._deducted[operator] + shares
                tally = tally.with_power(validator.tokens_of(shares), cast.options)
        self.tally = tally._replace(voter=voter, operator=b"", votes=tally.votes + 1)
        return cost

    def _count_validator(self, operator: bytes) -> None:
        tally = self.tally
        validator = self._stake.validator(operator)
        assert validator is not None, operator.hex()
        tally = tally._replace(member=tally.member + 1, bonded=tally.bonded + validator.tokens)
        cast: CastVote | None = self._get(vote_key(tally.proposal_id, tally.ballot, operator))
        if cast is not None:
            remaining = validator.shares - self._deducted[operator]
            tally = tally.with_power(validator.tokens_of(remaining), cast.options)
        self.tally = tally


class Verdict(NamedTuple):
    """has_quorum, is_vetoed: why it did not pass."""

    passes: bool
    has_quorum: bool
    is_vetoed: bool


def judge(tally: Tally, params: GovernanceParams, *, expedited: bool) -> Verdict:
    """What a complete count means.

    Fails when nothing is bonded, turnout is below the quorum, or everybody abstains; vetoed when more than the veto's
    share of all that was cast says so; passes when more than the threshold of what did not abstain is for it.
    """
    if not tally.bonded or dec.quo(tally.voted, tally.bonded * ONE) < params.quorum:
        return Verdict(False, False, False)
    decisive = tally.voted - tally.abstain
    if not decisive:
        return Verdict(False, True, False)
    if dec.quo(tally.no_with_veto, tally.voted) > params.veto_threshold:
        return Verdict(False, True, True)
    threshold = params.expedited_threshold if expedited else params.threshold
    return Verdict(dec.quo(tally.yes, decisive) > threshold, True, False)
