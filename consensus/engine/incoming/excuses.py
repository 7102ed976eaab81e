"""What an honest peer may send to no use because somebody else lies. Of each such thing, once: that is not its fault.

A proposer may sign another proposal for each node. Who holds one hands its parts on to those who were told of another:
to the end, before it learns of that. Nor does a peer that decided the height know which block we gather. So in a round
a peer may send the parts of two sets that we do not know, if they are no larger than blocks may be; they are neither
kept nor hashed. In the same way a validator may sign a vote twice, or several, and each peer hands on the one it holds.
What else comes is the peer's own. The excused costs what a duplicate does: time on the loop, which is measured.
"""

from __future__ import annotations

from typing import Final

from consensus.core.events import VoteKind
from consensus.types.ids import PartSetHeader

SETS_EXCUSED: Final = 2  # of a peer in a round: its proposal's, and the block that it knows to be decided


class _OfPeer:
    __slots__ = ("sets", "votes")

    def __init__(self) -> None:
        self.sets: dict[int, dict[PartSetHeader, int]] = {}  # by our round: bit i is part i
        self.votes: dict[tuple[VoteKind, int], int] = {}  # by kind and round: bit i is validator i


class Excuses:
    """Of one height. Bounded by its callers: indexes are of blocks or validators that there may be, rounds ours."""

    def __init__(self) -> None:
        self._peers: dict[str, _OfPeer] = {}

    def start_height(self) -> None:
        self._peers.clear()

    def forget(self, peer_id: str) -> None:
        self._peers.pop(peer_id, None)

    def part(self, peer_id: str, round: int, header: PartSetHeader, index: int) -> bool:
        """A part of a set that we do not know came while we were in `round`. False: one too many."""
        sets = self._peers.setdefault(peer_id, _OfPeer()).sets.setdefault(round, {})
        mask = sets.get(header)
        if mask is None and len(sets) >= SETS_EXCUSED:
            return False
        sets[header] = (mask or 0) | 1 << index
        return not (mask or 0) >> index & 1

    def vote(self, peer_id: str, kind: VoteKind, round: int, index: int) -> bool:
        """Another vote of a validator than those that we hold. False: the peer sent one before."""
        votes = self._peers.setdefault(peer_id, _OfPeer()).votes
        mask = votes.get((kind, round), 0)
        votes[kind, round] = mask | 1 << index
        return not mask >> index & 1
