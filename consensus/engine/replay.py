"""What the write-ahead log holds of the running height, ready to be taken in again.

Our own votes come first: whatever else the log lost, what we said stands. The last one is taken from the signer's
record when the stop came before it was logged; without it we could never vote in that round again, and where every
correct vote counts nobody would ever leave it.

Our own messages come from the log and are not signed again; what we were about to sign when the process stopped is
signed then, and a refusal of the signer means to abstain.
Source: design section 3; CometBFT v0.38, consensus/replay.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from consensus.core.events import VoteKind
from consensus.engine.inputs import EndedHeight, Logged, ProposalIn, VoteIn, decode_logged, encode_logged
from consensus.engine.signer import Signer
from consensus.engine.wal import Wal
from consensus.types.errors import InvalidData
from consensus.types.state import State
from consensus.types.vote import PRECOMMIT, Vote
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

    @property
    def inputs(self) -> tuple[Logged, ...]:
        """All of it, our own votes first."""
        ours = tuple(one for one in self.logged if isinstance(one, VoteIn) and not one.peer_id)
        return ours + self.logged

    def with_own_vote(self, vote: Vote) -> Recorded:
        key = (VoteKind(vote.type), vote.round)
        return Recorded((*self.logged, VoteIn(vote, "")), self.own_votes | {key}, self.own_proposals)

    def __len__(self) -> int:
        return len(self.logged)

    def has_own_vote(self, kind: VoteKind, round: int) -> bool:
        return (kind, round) in self.own_votes

    def has_own_proposal(self, round: int) -> bool:
        return round in self.own_proposals


def recover(wal: Wal, signer: Signer | None, state: State, now_ns: int) -> Recorded:
    """What is known of the height after `state`: from the log, and from the signer's record. Raises WalCorrupted."""
    recorded = _from_log(wal, state)
    vote = None if signer is None else signer.last_vote(state.chain_id)
    index = None if vote is None else state.validators.index_of(vote.validator_address)
    if vote is None or index is None or vote.height != state.next_height:
        return recorded
    extends = vote.type == PRECOMMIT and not vote.is_nil and state.params.abci.extensions_enabled(vote.height)
    if extends or recorded.has_own_vote(VoteKind(vote.type), vote.round):
        return recorded  # an extension is not in the record: the vote is signed again, with a new one
    log.info("took up a vote that was signed and not logged", height=vote.height, round=vote.round)
    vote = replace(vote, validator_index=index)
    wal.append(encode_logged(VoteIn(vote, ""), now_ns))
    wal.sync()
    return recorded.with_own_vote(vote)


def _from_log(wal: Wal, state: State) -> Recorded:
    before, height = state.last_block_height, state.next_height
    records = wal.messages_after(before)
    if records is None:
        log.info("the log lacks the end of the last height; nothing to replay", height=before)
        wal.end_height(before)
        return Recorded(())
    recorded = Recorded.of(records, height)
    if EndedHeight(height) in recorded.logged:
        log.error("the log has the end of a height that the block store lacks; not replayed", height=height)
        return Recorded(())
    return recorded
