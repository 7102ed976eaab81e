"""The tally of one height's votes, in every round and kind: the only count; gossip and commits are made from it.

Pure. Promises: a validator's power counts once in what a set has seen, and once per value; the first value with more
than 2/3 of the power stays the set's majority; what counted is kept, all rounds until the height ends; memory is
bounded by the rounds that peers may open and by the values that they may claim.
Powers are ints of any size; bitmaps are ints with bit i set for the validator at index i.
Source: arXiv:1807.04938 section 3 (2f+1, f+1); CometBFT v0.38, types/vote_set.go and consensus/types/height_vote_set.go
for the limits on peers and for equivocators.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from consensus.core.events import ValueId, Vote, VoteKind

# A validator's votes may open this many rounds beyond the next one, and no further on than that: enough to learn that
# the network went on without us, too few to fill our memory. Not counted by peer: ids cost nothing.
VALIDATOR_ROUNDS_MAX, ROUNDS_AHEAD_MAX = 2, 10_000


def two_thirds(total: int) -> int:
    """Power above this is 2f+1 of the paper: more than two thirds of `total`, in whole units."""
    return total * 2 // 3


def one_third(total: int) -> int:
    """Power above this is f+1 of the paper: more than a third of `total`, so at least one correct validator's."""
    return total // 3


class Counted(Enum):
    """What became of a vote; the values are VoteRefused's reasons, few enough to label a metric."""

    NEW = "counted"  # the validator's first vote in this set
    SECOND = "counted besides another"  # an equivocator's, for a value that a peer claims to have a majority
    CONFLICT = "conflicts with another"  # an equivocator's first such vote: reported, not counted
    REPEAT = "known already"
    KNOWN_CONFLICT = "of a reported equivocator"
    BAD_INDEX = "no validator has its index"
    ROUND_REFUSED = "its validator may not open its round"
    WRONG_HEIGHT = "not of this height"


@dataclass(slots=True)
class Tally:
    """The votes of a set that are for one value; `votes` by validator."""

    power: int = 0
    bitmap: int = 0
    votes: dict[int, Vote] = field(default_factory=dict)


class VoteSet:
    """The votes of one kind in one round. Its public attributes are for reading.

    Changed through HeightVotes only; the precommits that decided outlive their height, and take in what comes late.
    """

    def __init__(self, powers: tuple[int, ...], total: int) -> None:
        self._powers, self._total = powers, total
        self._claims: dict[str, ValueId | None] = {}  # by peer: one claim each
        self.size = len(powers)
        self.by_validator: dict[int, Vote] = {}  # the first of each
        self.by_value: dict[ValueId | None, Tally] = {}
        self.for_majority: dict[int, Vote] = {}  # by validator
        self.reported = 0  # bitmap of reported equivocators
        self.bitmap = 0  # everyone who voted here, for whatever
        self.power = 0  # their power, each counted once
        self.has_majority = False
        self.majority: ValueId | None = None  # None is nil; has a meaning when has_majority is set

    @property
    def has_two_thirds_any(self) -> bool:
        """2f+1 voted, for whatever."""
        return self.power > two_thirds(self._total)

    def bitmap_for(self, value: ValueId | None) -> int:
        tally = self.by_value.get(value)
        return 0 if tally is None else tally.bitmap

    def power_for(self, value: ValueId | None) -> int:
        tally = self.by_value.get(value)
        return 0 if tally is None else tally.power

    def has_majority_for(self, value: ValueId) -> bool:
        return self.has_majority and self.majority == value

    def claim(self, peer_id: str, value: ValueId | None) -> None:
        """Remember a peer's first claim of a majority; a later, different one is ignored."""
        self._claims.setdefault(peer_id, value)

    def add(self, vote: Vote) -> Counted:
        """Count a vote of this set; vote.validator_index is in range."""
        index, bit = vote.validator_index, 1 << vote.validator_index
        if index not in self.by_validator:
            self.by_validator[index] = vote
            self.bitmap |= bit
            self.power += self._powers[index]
            self._count(vote, bit)
            return Counted.NEW
        if self.bitmap_for(vote.value_id) & bit:
            return Counted.REPEAT
        if vote.value_id in self._claims.values():
            self.reported |= bit
            self._count(vote, bit)
            return Counted.SECOND
        known, self.reported = self.reported & bit, self.reported | bit
        return Counted.KNOWN_CONFLICT if known else Counted.CONFLICT

    def _count(self, vote: Vote, bit: int) -> None:
        index, value = vote.validator_index, vote.value_id
        tally = self.by_value.get(value)
        if tally is None:
            tally = self.by_value[value] = Tally()
        assert not tally.bitmap & bit, (value, index)
        tally.bitmap |= bit
        tally.power += self._powers[index]
        tally.votes[index] = vote
        if not self.has_majority and tally.power > two_thirds(self._total):
            self.has_majority, self.majority, self.for_majority = True, value, tally.votes  # the first is final


class _Round:
    """Both sets of a round, and who took part in either: for line 55."""

    def __init__(self, powers: tuple[int, ...], total: int) -> None:
        self.prevotes = VoteSet(powers, total)
        self.precommits = VoteSet(powers, total)
        self.bitmap = self.power = 0

    def of(self, kind: VoteKind) -> VoteSet:
        return self.prevotes if kind is VoteKind.PREVOTE else self.precommits


class HeightVotes:
    """All votes of one height."""

    def __init__(self, powers: tuple[int, ...]) -> None:
        self._powers = powers
        self.total_power = sum(powers)
        self._rounds: dict[int, _Round] = {}
        self._opened: dict[int, set[int]] = {}  # by validator: the later rounds that exist because of it
        self._nothing = VoteSet(powers, self.total_power)
        self.skip_round = -1  # the highest round in which f+1 take part (line 55)

    @property
    def rounds(self) -> tuple[int, ...]:
        """The rounds that have votes or claims, rising."""
        return tuple(sorted(self._rounds))

    def get(self, kind: VoteKind, round: int) -> VoteSet:
        """The set, for reading; an empty one where nobody voted yet."""
        found = self._rounds.get(round)
        return self._nothing if found is None else found.of(kind)

    def round_power(self, round: int) -> int:
        """The power of the distinct validators that voted in `round`, in either kind."""
        found = self._rounds.get(round)
        return 0 if found is None else found.power

    def add(self, vote: Vote, current_round: int) -> Counted:
        """Count a vote, opening its round where its validator may."""
        index = vote.validator_index
        if not 0 <= index < len(self._powers):
            return Counted.BAD_INDEX
        if not self._may_open(vote, current_round):
            return Counted.ROUND_REFUSED
        of_round = self._open(vote.round)
        counted = of_round.of(vote.kind).add(vote)
        if counted is Counted.NEW and not of_round.bitmap >> index & 1:
            of_round.bitmap |= 1 << index
            of_round.power += self._powers[index]
            if vote.round > self.skip_round and of_round.power > one_third(self.total_power):
                self.skip_round = vote.round
        return counted

    def claim(self, kind: VoteKind, round: int, peer_id: str, value: ValueId | None, current_round: int) -> None:
        """Remember that a peer claims a majority, in a round that exists or is at most the next one."""
        if round in self._rounds or 0 <= round <= current_round + 1:
            self._open(round).of(kind).claim(peer_id, value)

    def _open(self, round: int) -> _Round:
        found = self._rounds.get(round)
        if found is None:
            found = self._rounds[round] = _Round(self._powers, self.total_power)
        return found

    def _may_open(self, vote: Vote, current_round: int) -> bool:
        if vote.round in self._rounds or 0 <= vote.round <= current_round + 1:
            return True
        if vote.round < 0 or not vote.peer_id:
            return vote.round >= 0  # ours, from the write-ahead log
        opened = {other for other in self._opened.get(vote.validator_index, ()) if other > current_round + 1}
        if len(opened) >= VALIDATOR_ROUNDS_MAX or vote.round > current_round + ROUNDS_AHEAD_MAX:
            return False
        self._opened[vote.validator_index] = opened | {vote.round}
        return True
