"""The core's tally as gossip, commits and doors read it: block ids for its values, signed votes for its votes.

Nothing is counted here. To the core both are opaque; this is where they are put in and taken out.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.core import events as core_events
from consensus.core.events import VoteKind
from consensus.core.votes import VoteSet
from consensus.formats.bits import BitArray
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.system.errors import StoresDisagree
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


def block_id_of(value: object) -> BlockID:
    """The core's values are this engine's block ids."""
    assert isinstance(value, BlockID), value
    return value


def counted_as(vote: Vote, peer_id: str) -> core_events.Vote:
    """A verified vote as the core counts it. peer_id: who sent it; "" for ours."""
    kind, value = VoteKind(vote.type), value_of(vote)
    return core_events.Vote(kind, vote.height, vote.round, value, vote.validator_index, peer_id, vote)


def signed_of(counted: core_events.Vote) -> Vote:
    """What `counted_as` was given."""
    vote = counted.signed
    assert isinstance(vote, Vote), vote
    return vote


def vote_for(tally: VoteSet, index: int, value: BlockID | None) -> Vote | None:
    """The counted vote of a validator for `value`. Any index."""
    of_value = tally.by_value.get(value)
    counted = None if of_value is None else of_value.votes.get(index)
    return None if counted is None else signed_of(counted)


class RoundVotes:
    """The votes of one kind and round; a VoteView. Always current.

    Of a validator that signed several, `get` gives out the vote for the value with +2/3, so that a commit can be made
    of it; else the first. Source: CometBFT v0.38, types/vote_set.go.
    """

    __slots__ = ("_tally", "round")

    def __init__(self, tally: VoteSet, round: int) -> None:
        self._tally, self.round = tally, round

    @property
    def size(self) -> int:
        return self._tally.size

    @property
    def mask(self) -> int:
        return self._tally.bitmap

    @property
    def power(self) -> int:
        return self._tally.power

    @property
    def bits(self) -> BitArray:
        return BitArray(self._tally.size, self._tally.bitmap)

    def bits_for(self, block_id: BlockID | None) -> BitArray:
        return BitArray(self._tally.size, self._tally.bitmap_for(block_id))

    @property
    def is_full(self) -> bool:
        return self._tally.bitmap.bit_count() == self._tally.size

    @property
    def has_majority(self) -> bool:
        return self._tally.has_majority

    @property
    def majority(self) -> BlockID | None:
        value = self._tally.majority
        return None if value is None else block_id_of(value)

    def get(self, index: int) -> Vote | None:
        tally = self._tally
        counted = tally.for_majority.get(index) or tally.by_validator.get(index)
        return None if counted is None else signed_of(counted)

    def each(self) -> Iterator[Vote]:
        """Every counted vote, those of the majority first: counted in this order they have it again."""
        tally = self._tally
        for value in sorted(tally.by_value, key=lambda value: not tally.has_majority or value != tally.majority):
            yield from map(signed_of, tally.by_value[value].votes.values())

    def add_late(self, vote: Vote) -> None:
        """A verified precommit of the height before, of a validator that has none here."""
        self._tally.add(counted_as(vote, ""))

    def commit(self, height: int) -> Commit:
        """The commit of the block with +2/3: votes for other blocks become absent slots."""
        return commit_from_votes(height, self.round, self._decided(), self._slots())

    def extended_commit(self, height: int) -> ExtendedCommit:
        """As `commit`, with vote extensions."""
        return extended_commit_from_votes(height, self.round, self._decided(), self._slots())

    def _decided(self) -> BlockID:
        assert self._tally.has_majority, "no +2/3"
        assert self._tally.majority is not None, "+2/3 for nil make no commit"
        return block_id_of(self._tally.majority)

    def _slots(self) -> list[Vote | None]:
        return [self.get(index) for index in range(self._tally.size)]


def load_last_commit(blocks: BlockStore, state: State) -> RoundVotes | None:
    """The precommits of the last block as this node saw them; None before the first. Raises StoresDisagree."""
    height = state.last_block_height
    if not height:
        return None
    extended = blocks.load_extended_commit(height)
    seen = blocks.load_seen_commit(height) if extended is None else extended.commit()
    if seen is None:
        raise StoresDisagree(f"the block store has no seen commit of height {height}, the last of the state")
    powers = state.last_validators.powers
    last = RoundVotes(VoteSet(powers, sum(powers)), seen.round)
    for vote in votes_from_commit(seen) if extended is None else votes_from_extended_commit(extended):
        if vote is not None:
            last.add_late(vote)
    return last
