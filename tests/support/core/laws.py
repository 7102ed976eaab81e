"""The laws that every run of the simulator is held to, judged from outside the cores.

The judge sees every signature and every decision of the run, of all nodes, and computes quorums by its own arithmetic
(three times the power against twice the total), never by the core's.
Source: arXiv:1807.04938, sections 2 (agreement, validity, termination) and 4 (the lemmas about locks).
"""

from __future__ import annotations

from consensus.core.core import BLOCK_ROUNDS_KEPT
from consensus.core.events import (
    Effect,
    Equivocation,
    SignProposal,
    SignVote,
    StepChanged,
    ValidateBlock,
    ValueId,
    Vote,
    VoteKind,
)


class LawBroken(Exception):
    """A run broke a law: which, and by whom."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law = law


class Judge:
    """Watches one run. Heights have the same validators; `faulty` are the indices that may lie."""

    def __init__(self, powers: tuple[int, ...], faulty: frozenset[int]) -> None:
        self.powers, self.faulty = powers, faulty
        self.valid: dict[ValueId, bool] = {}  # every block ever made
        self.height_of: dict[ValueId, int] = {}
        self.decisions: dict[int, tuple[ValueId, str]] = {}  # by height: the value and who decided it first
        self._signers: dict[tuple[VoteKind, int, int, ValueId | None], set[int]] = {}
        self._signed: dict[tuple[int, VoteKind, int, int], ValueId | None] = {}  # by correct validators
        self._locks: dict[tuple[int, int], tuple[int, ValueId]] = {}  # (validator, height): its last precommit

    def made(self, value: ValueId, height: int, *, valid: bool) -> None:
        self.valid[value], self.height_of[value] = valid, height

    def has_quorum(self, kind: VoteKind, height: int, round: int, value: ValueId | None) -> bool:
        power = sum(self.powers[index] for index in self._signers.get((kind, height, round, value), ()))
        return 3 * power > 2 * sum(self.powers)

    def signed(self, vote: Vote) -> None:
        """Someone signed a vote that may reach others."""
        index, value = vote.validator_index, vote.value_id
        self._signers.setdefault((vote.kind, vote.height, vote.round, value), set()).add(index)
        if index in self.faulty:
            return
        before = self._signed.setdefault((index, vote.kind, vote.height, vote.round), value)
        if before != value:
            raise LawBroken("one vote a round", f"n{index} signed {before} and {vote}")
        if value is None:
            return
        if not self.valid.get(value, False) or self.height_of[value] != vote.height:
            raise LawBroken("validity", f"n{index} signed {vote}, which no correct node may accept")
        if vote.kind is VoteKind.PREVOTE:
            self._check_lock(vote)
        else:
            if not self.has_quorum(VoteKind.PREVOTE, vote.height, vote.round, value):
                raise LawBroken("a polka before a precommit", f"n{index} signed {vote} without one")
            self._locks[index, vote.height] = (vote.round, value)

    def _check_lock(self, vote: Vote) -> None:
        locked_round, locked = self._locks.get((vote.validator_index, vote.height), (-1, vote.value_id))
        if locked == vote.value_id:
            return
        for round in range(locked_round + 1, vote.round):
            if self.has_quorum(VoteKind.PREVOTE, vote.height, round, vote.value_id):
                return
        raise LawBroken("locks", f"n{vote.validator_index}, locked on {locked} in round {locked_round}, signed {vote}")

    def proposed(self, node: str, effect: SignProposal) -> None:
        pol = effect.pol_round
        if pol >= 0 and not self.has_quorum(VoteKind.PREVOTE, effect.height, pol, effect.value_id):
            raise LawBroken("polka of a proposal", f"{node} proposed {effect} without it")

    def decided(self, node: str, height: int, round: int, value: ValueId) -> None:
        if not self.valid.get(value, False) or self.height_of[value] != height:
            raise LawBroken("validity", f"{node} decided {value} at height {height}")
        if not self.has_quorum(VoteKind.PRECOMMIT, height, round, value):
            raise LawBroken("a quorum for a decision", f"{node} decided {value} at {height}/{round} without one")
        first, by = self.decisions.setdefault(height, (value, node))
        if first != value:
            raise LawBroken("agreement", f"two commits at height {height} ({by} {first}, {node} {value})")


class Watch:
    """What one core may do between two restarts: steps rise, nothing is asked for twice, nobody correct is accused."""

    def __init__(self, node: str, judge: Judge) -> None:
        self._node, self._judge = node, judge
        self._at = (0, 0, 0)
        self._once: dict[object, object] = {}

    def see(self, effect: Effect) -> None:
        match effect:
            case StepChanged():
                at = (effect.height, effect.round, int(effect.step))
                if at <= self._at:
                    raise LawBroken("steps rise", f"{self._node} went from {self._at} to {at}")
                self._at = at
            case SignVote():
                if (effect.value_id is None) != (effect.nil_reason is not None):
                    raise LawBroken("a nil vote has a reason", f"{self._node}: {effect}")
                self._first((effect.kind, effect.height, effect.round), effect)
            case SignProposal():
                self._first(("proposal", effect.height, effect.round), effect)
                self._judge.proposed(self._node, effect)
            case ValidateBlock():
                round = self._at[1] if self._at[0] == effect.height else 0
                forgotten = round // BLOCK_ROUNDS_KEPT  # a block of rounds long past may be asked for again
                self._first(("validate", effect.height, effect.value_id, forgotten and round), effect)
            case Equivocation():
                if effect.first.validator_index not in self._judge.faulty:
                    raise LawBroken("the innocent are not accused", f"{self._node}: {effect}")

    def _first(self, key: object, effect: Effect) -> None:
        if key in self._once:
            raise LawBroken("asked for once", f"{self._node}: {effect} after {self._once[key]}")
        self._once[key] = effect
