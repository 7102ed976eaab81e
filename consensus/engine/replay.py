"""What the write-ahead log holds of the running height, ready to be taken in again.

Our own messages come from the log and are not signed again; what we were about to sign when the process stopped is
signed then, and a refusal of the signer means to abstain.
Source: design section 3; CometBFT v0.38, consensus/replay.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consensus.core.events import VoteKind
from consensus.engine.inputs import Logged, ProposalIn, VoteIn, decode_logged
from consensus.types.errors import InvalidData
from proto.tendermint.consensus import wal_pb2

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Recorded:
    """Inputs in the order in which they took effect."""

    logged: tuple[Logged, ...]
    own_votes: frozenset[tuple[VoteKind, int]] = frozenset()
    own_proposals: frozenset[int] = frozenset()

    @staticmethod
    def of(records: Sequence[wal_pb2.TimedWALMessage], height: int) -> Recorded:
        """The records of `height`, decoded. A record of a kind or content that is unknown here is left out."""
        logged: list[Logged] = []
        for record in records:
            try:
                one = decode_logged(record)
            except (InvalidData, ValueError) as error:
                log.warning("left out a log record that cannot be read", why=str(error))
                continue
            if one is not None:
                logged.append(one)
        votes = [one.vote for one in logged if isinstance(one, VoteIn) and not one.peer_id]
        proposals = [one.proposal for one in logged if isinstance(one, ProposalIn) and not one.peer_id]
        return Recorded(
            tuple(logged),
            frozenset((VoteKind(vote.type), vote.round) for vote in votes if vote.height == height),
            frozenset(proposal.round for proposal in proposals if proposal.height == height),
        )

    def __len__(self) -> int:
        return len(self.logged)

    def has_own_vote(self, kind: VoteKind, round: int) -> bool:
        return (kind, round) in self.own_votes

    def has_own_proposal(self, round: int) -> bool:
        return round in self.own_proposals
