"""The signed votes of a height, as gossip and commits need them. The core counts; this keeps the signatures.

A validator's vote is held once, and again for another block when the core counts an equivocator's second vote; for
the value with +2/3 the vote for that value is the one given out, so that a commit can be made of it.
Source: CometBFT v0.38, types/vote_set.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.core.events import VoteKind
from consensus.core.votes import two_thirds
from consensus.formats.bits import BitArray
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.system.errors import ConsensusFailure
from consensus.types.commit import Commit, ExtendedCommit
from consensus.types.commits import (
    commit_from_votes,
    extended_commit_from_votes,
    votes_from_commit,
    votes_from_extended_commit,
)
from consensus.types.ids import BlockID
from consensus.types.vote import Vote


def value_of(vote: Vote) -> BlockID | None:
    """The core's id of what is voted for; None is nil."""
    return None if vote.block_id.is_zero else vote.block_id


class RoundVotes:
    """The votes of one kind and round; a VoteView."""

    __slots__ = (
        "_by_value",
        "_mask",
        "_masks",
        "_powers",
        "_sums",
        "_total",
        "_votes",
        "has_majority",
        "majority",
        "round",
    )

    def __init__(self, powers: tuple[int, ...], round: int) -> None:
        self.round = round
        self.has_majority = False
        self.majority: BlockID | None = None
        self._powers, self._total = powers, sum(powers)
        self._votes: list[Vote | None] = [None] * len(powers)
        self._mask = 0
        self._by_value: dict[BlockID | None, dict[int, Vote]] = {}
        self._masks: dict[BlockID | None, int] = {}
        self._sums: dict[BlockID | None, int] = {}

    @property
    def size(self) -> int:
        return len(self._powers)

    @property
    def bits(self) -> BitArray:
        return BitArray(len(self._powers), self._mask)

    @property
    def is_full(self) -> bool:
        return self._mask.bit_count() == len(self._powers)

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(index for index, vote in enumerate(self._votes) if vote is None)

    def bits_for(self, block_id: BlockID | None) -> BitArray:
        return BitArray(len(self._powers), self._masks.get(block_id, 0))

    def get(self, index: int) -> Vote | None:
        return self._votes[index] if 0 <= index < len(self._votes) else None

    def first_of(self, index: int, value: BlockID | None) -> Vote | None:
        """The vote of `index` for `value`."""
        return self._by_value.get(value, {}).get(index)

    def each(self) -> Iterator[Vote]:
        """Every kept vote, those of the majority first: counted in this order they have it again."""
        for value in sorted(self._by_value, key=lambda value: not self.has_majority or value != self.majority):
            yield from self._by_value[value].values()

    def add(self, vote: Vote) -> bool:
        """Keep a verified vote that counts. False: it is here already."""
        index, value = vote.validator_index, value_of(vote)
        of_value = self._by_value.setdefault(value, {})
        if index in of_value:
            return False
        of_value[index] = vote
        bit = 1 << index
        self._masks[value] = self._masks.get(value, 0) | bit
        if not self._mask & bit:
            self._mask |= bit
            self._votes[index] = vote
        elif self.has_majority and self.majority == value:
            self._votes[index] = vote
        power = self._sums[value] = self._sums.get(value, 0) + self._powers[index]
        if not self.has_majority and power > two_thirds(self._total):
            self.has_majority, self.majority = True, value
            for position, chosen in of_value.items():
                self._votes[position] = chosen
        return True

    def commit(self, height: int) -> Commit:
        """The commit of the block with +2/3: votes for other blocks become absent slots."""
        return commit_from_votes(height, self.round, self._block_id(), self._votes)

    def extended_commit(self, height: int) -> ExtendedCommit:
        """As `commit`, with vote extensions."""
        return extended_commit_from_votes(height, self.round, self._block_id(), self._votes)

    def _block_id(self) -> BlockID:
        assert self.has_majority, "no +2/3"
        assert self.majority is not None, "+2/3 for nil make no commit"
        return self.majority


class VoteBook:
    """All votes of the running height."""

    def __init__(self, powers: tuple[int, ...]) -> None:
        self._powers = powers
        self._rounds: dict[tuple[VoteKind, int], RoundVotes] = {}

    def get(self, kind: VoteKind, round: int) -> RoundVotes | None:
        return self._rounds.get((kind, round))

    def all(self) -> tuple[RoundVotes, ...]:
        """Every kind and round that has votes."""
        return tuple(self._rounds.values())

    def add(self, vote: Vote) -> RoundVotes:
        """Keep a verified vote that the core counted."""
        key = (VoteKind(vote.type), vote.round)
        votes = self._rounds.get(key)
        if votes is None:
            votes = self._rounds[key] = RoundVotes(self._powers, vote.round)
        votes.add(vote)
        return votes

    def find(self, kind: VoteKind, round: int, index: int, value: BlockID | None) -> Vote | None:
        """The kept vote of a validator for a value."""
        votes = self._rounds.get((kind, round))
        return None if votes is None else votes.first_of(index, value)


def load_last_commit(blocks: BlockStore, state: State) -> RoundVotes | None:
    """The precommits of the last block as this node saw them; None before the first. Raises ConsensusFailure."""
    height = state.last_block_height
    if not height:
        return None
    extended = blocks.load_extended_commit(height)
    seen = blocks.load_seen_commit(height) if extended is None else extended.commit()
    if seen is None:
        raise ConsensusFailure(f"the block store has no seen commit of height {height}, the last of the state")
    last = RoundVotes(state.last_validators.powers, seen.round)
    for vote in votes_from_commit(seen) if extended is None else votes_from_extended_commit(extended):
        if vote is not None:
            last.add(vote)
    return last
