"""What the write-ahead log holds of the running height, ready to be taken in again.

Our own votes come first: whatever else the log lost, what we said stands. The last one is taken from the signer's
record when the stop came before it was logged; without it we could never vote in that round again, and where every
correct vote counts nobody would ever leave it.

Our own messages come from the log and are not signed again; what we were about to sign when the process stopped is
signed then, and a refusal of the signer means to abstain.

The log is read twice, record by record: for our own votes, then for all. Only those are held.
Source: CometBFT v0.38, spec/consensus/wal.md, consensus/replay.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import structlog

from consensus.core.events import VoteKind
from consensus.engine.incoming.inputs import EndedHeight, Logged, ProposalIn, VoteIn, decode_logged, encode_logged
from consensus.formats.errors import InvalidData
from consensus.privval.signer import VOTE_STEPS, Record
from consensus.state.state import State
from consensus.stores.wal import Wal
from consensus.system.errors import SignerError
from consensus.types.vote import PRECOMMIT, Vote
from proto.tendermint.consensus import wal_pb2

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Recorded:
    """Records of the running height. `records` can be gone through again."""

    records: Iterable[wal_pb2.TimedWALMessage] = ()
    count: int = 0
    is_ended: bool = False  # the end of the height is among them
    own_votes: tuple[Vote, ...] = ()
    own_proposals: frozenset[int] = frozenset()

    @staticmethod
    def of(records: Iterable[wal_pb2.TimedWALMessage], height: int) -> Recorded:
        count, is_ended = 0, False
        votes: list[Vote] = []
        proposals: set[int] = set()
        for one in _decoded(records, warns=True):
            count += 1
            match one:
                case VoteIn(vote, "") if vote.height == height:
                    votes.append(vote)
                case ProposalIn(proposal, "") if proposal.height == height:
                    proposals.add(proposal.round)
                case EndedHeight(of_height):
                    is_ended |= of_height == height
        return Recorded(records, count, is_ended, tuple(votes), frozenset(proposals))

    def inputs(self) -> Iterator[Logged]:
        """All of it in the order in which it took effect, our own votes first. Raises WalCorrupted."""
        for vote in self.own_votes:
            yield VoteIn(vote, "")
        yield from _decoded(self.records, warns=False)

    def with_own_vote(self, vote: Vote) -> Recorded:
        return replace(self, own_votes=(*self.own_votes, vote))

    def __len__(self) -> int:
        return self.count or len(self.own_votes)

    @cached_property
    def _own(self) -> frozenset[tuple[int, int]]:
        return frozenset((vote.type, vote.round) for vote in self.own_votes)

    def has_own_vote(self, kind: VoteKind, round: int) -> bool:
        return (kind, round) in self._own

    def has_own_proposal(self, round: int) -> bool:
        return round in self.own_proposals


def _decoded(records: Iterable[wal_pb2.TimedWALMessage], *, warns: bool) -> Iterator[Logged]:
    """A record of a kind or content that is unknown here is left out."""
    for record in records:
        try:
            one = decode_logged(record)
        except (InvalidData, ValueError) as error:
            if warns:
                log.warning("left out a log record that cannot be read", why=str(error))
            continue
        if one is not None:
            yield one


def recover(wal: Wal, signer: Record | None, state: State, now_ns: int) -> Recorded:
    """What is known of the height after `state`: from the log, and from the signer's record.

    Raises WalCorrupted, SignerError.
    """
    recorded = _from_log(wal, state)
    if signer is not None:
        _check_record(recorded, signer, state)
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


def _check_record(recorded: Recorded, signer: Record, state: State) -> None:
    """A vote is in the record before it is in the log. Raises SignerError: the record is older than the log."""
    address = signer.pub_key.address
    for vote in recorded.own_votes:
        position = (vote.height, vote.round, VOTE_STEPS[vote.type])
        if vote.validator_address != address or position <= signer.last_position:
            continue
        if vote.verify(state.chain_id, signer.pub_key):
            here, there = ("/".join(map(str, place)) for place in (signer.last_position, position))
            raise SignerError(
                f"the sign state of validator {address.hex()} is at {here}, and the write-ahead log has its vote of "
                f"{there}: it is an old copy. Restore the newest one; with this the key could sign twice"
            )


def _from_log(wal: Wal, state: State) -> Recorded:
    before, height = state.last_block_height, state.next_height
    tail = wal.take_up(before)
    if tail is None:
        log.info("the log lacks the end of the last height; nothing to replay", height=before)
        wal.end_height(before)
        return Recorded()
    recorded = Recorded.of(tail, height)
    if recorded.is_ended:
        log.error("the log has the end of a height that the block store lacks; not replayed", height=height)
        return Recorded()
    return recorded
