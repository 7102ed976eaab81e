"""Messages on their way to the core: checked, logged, kept; what remains is the core's inputs.

What is of the next height waits for it, up to a bound: peers may be a moment ahead. A message that breaks the
protocol costs its peer the connection; one that is merely useless counts against it.
Source: CometBFT v0.38, consensus/state.go (handleMsg, addVote, addProposalBlockPart).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from consensus.core import events as core_events
from consensus.core.core import Core
from consensus.core.events import BlockComplete, BlockValidated, Input, PeerMajority, Step, VoteKind
from consensus.core.votes import VoteSet, one_third
from consensus.engine.incoming.checks import (
    BadSignatureFromPeer,
    check_extension,
    check_proposal,
    check_vote,
    verify_together,
)
from consensus.engine.incoming.excuses import Excuses
from consensus.engine.incoming.inbox import Inbox
from consensus.engine.incoming.inputs import Logged, MajorityIn, Message, PartIn, ProposalIn, VoteIn
from consensus.engine.interfaces import RoundListener
from consensus.engine.round_state import HeightState
from consensus.engine.votes import counted_as, value_of, vote_for
from consensus.execution.executor import BlockExecutor
from consensus.formats.errors import InvalidPart, InvalidProposal, InvalidVote
from consensus.privval.own_key import OwnKeyWatch
from consensus.state.state import State
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import parts_max
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from crypto import native

BAD_PART_WEIGHT: Final = 4  # 64 KiB
VOTES_TOGETHER_MAX: Final = 63  # and the one before them: 1.3 ms of verification at once
SECONDS_MAX: Final = 64  # conflicting votes of a key that count in a height because a peer claims a majority for them

log = structlog.get_logger(__name__)


class Taken(NamedTuple):
    """What came of a message.

    inputs: what the core is to hear of it, in order. all_precommits: it was the last that was missing of the height
    before.
    """

    inputs: tuple[Input, ...] = ()
    all_precommits: bool = False


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What becomes of a message, and of the peer that sent it: its id is empty where the message is ours."""

    write: Callable[[Logged], None]  # it counts: into the log
    blame: Callable[[str, str], None]  # it breaks the protocol: the peer and why
    useful: Callable[[str], None]
    useless: Callable[[str, str, int], None]  # the peer, what it is, and its weight


class Intake:
    def __init__(
        self,
        core: Core,
        round_state: HeightState,
        executor: BlockExecutor,
        inbox: Inbox,
        *,
        state: Callable[[], State],
        verdicts: Verdicts,
        watch: OwnKeyWatch,
        listeners: Sequence[RoundListener],
    ) -> None:
        self._core, self._round_state, self._executor = core, round_state, executor
        self._inbox, self._listeners = inbox, listeners
        self._state, self._write, self._blame = state, verdicts.write, verdicts.blame
        self._useful, self._useless = verdicts.useful, verdicts.useless
        self._metrics, self._watch = executor.metrics, watch
        self._untold: Proposal | None = None
        self._claims: dict[tuple[str, VoteKind, int], BlockID | None] = {}  # of this height, by peer
        self._claimed: dict[tuple[VoteKind, int, BlockID | None], MajorityIn] = {}  # what any peer claims, the first
        self._used_claims: dict[MajorityIn, None] = {}  # told to the core, and logged
        self._seconds: Counter[int] = Counter()  # by validator: counted besides another
        self._excuses = Excuses()

    def start_height(self) -> None:
        """Forget the height before."""
        self._claims.clear()
        self._claimed.clear()
        self._used_claims.clear()
        self._seconds.clear()
        self._excuses.start_height()
        self._untold = None

    @property
    def used_claims(self) -> tuple[MajorityIn, ...]:
        """Those that made a vote count, in their order."""
        return tuple(self._used_claims)

    def forget(self, peer_id: str) -> None:
        """The peer left: what nobody else claims is claimed no more. Else ids that come and go would fill memory.

        What made a vote count stays: the core has it, as this peer's.
        """
        self._excuses.forget(peer_id)
        height = self._core.height
        theirs = [(key, value) for key, value in self._claims.items() if key[0] == peer_id]
        for key, value in theirs:
            if MajorityIn(key[1], height, key[2], value, peer_id) not in self._used_claims:
                del self._claims[key]
        if not theirs:
            return
        left = {(kind, round, value) for (_, kind, round), value in self._claims.items()}
        self._claimed = {key: claim for key, claim in self._claimed.items() if key in left}

    def take(self, message: Message) -> Taken:
        match message:
            case ProposalIn():
                return Taken(self._take_proposal(message))
            case PartIn():
                return Taken(self._take_part(message))
            case VoteIn():
                return self._take_vote(message)
            case MajorityIn():
                return Taken(self._take_majority(message))

    def _is_of_this_height(self, height: int, message: Message) -> bool:
        if height == self._core.height:
            return True
        if height == self._core.height + 1 and message.peer_id:
            self._inbox.defer(message)
        return False

    def _take_proposal(self, message: ProposalIn) -> tuple[Input, ...]:
        proposal, state = message.proposal, self._round_state
        if not self._is_of_this_height(proposal.height, message):
            return ()
        self._metrics.proposals_received += 1
        is_near = self._core.round <= proposal.round <= self._core.round + 1
        if not is_near or proposal.round in state.proposals or self._core.step is Step.COMMIT:
            return ()
        try:
            check_proposal(proposal, self._state(), self._executor.signatures)
        except InvalidProposal as error:
            self._metrics.proposals_refused += 1
            self._blame(message.peer_id, str(error))
            return ()
        if message.peer_id:  # ours was logged when it was signed
            self._write(message)
        block_id = proposal.block_id
        state.proposals[proposal.round] = proposal
        parts = state.open_parts(block_id, self._state().block_bytes_max)
        if proposal.round == self._core.round:
            if message.peer_id or parts.is_complete:
                self._tell_proposal(proposal)
            else:  # ours, from the log: its parts come next
                self._untold = proposal
        told = core_events.Proposal(proposal.height, proposal.round, block_id, proposal.pol_round)
        return told, *self.completed(parts.header)

    def _tell_proposal(self, proposal: Proposal) -> None:
        for listener in self._listeners:
            listener.proposal_set(proposal)

    def _take_part(self, message: PartIn) -> tuple[Input, ...]:
        """A part names its height and round; which set it is of, its proof says. Only what we gather is hashed."""
        if not self._is_of_this_height(message.height, message):
            return ()
        self._metrics.parts_received += 1
        part = message.part
        try:
            parts = self._round_state.part_sets.get(part.set_header)
            if parts is None:
                self._take_unknown_part(message)
                return ()
            added = parts.add(part)
            if not added and parts.get(part.index) != part:
                raise InvalidPart(f"part {part.index} has the proof of another")
        except InvalidPart:  # who gathers it has proved it before it hands it on
            self._refuse_part(message, "part that does not prove itself")
            return ()
        if not added:
            self._metrics.parts_duplicate += 1
            return ()
        self._write(message)
        self._useful(message.peer_id)
        for listener in self._listeners:
            listener.part_added(message.height, message.round, part.index)
        return tuple(self.completed(parts.header))

    def _take_unknown_part(self, message: PartIn) -> None:
        """Of a round that we left it may be late: then it counts for the one before, whatever round it names."""
        header, index = message.part.set_header, message.part.index
        round = self._core.round if message.round >= self._core.round else self._core.round - 1
        may_exist = header.total <= parts_max(self._state().block_bytes_max)
        if may_exist and self._excuses.part(message.peer_id, round, header, index):
            self._metrics.parts_refused += 1
        else:
            self._refuse_part(message, "part of no block")

    def _refuse_part(self, message: PartIn, why: str) -> None:
        self._metrics.parts_refused += 1
        self._useless(message.peer_id, why, BAD_PART_WEIGHT)

    def completed(self, header: PartSetHeader) -> list[BlockComplete | BlockValidated]:
        """What the core is to hear once all parts of `header` are here: of each block id over them, once.

        What they hold is judged when the core asks for it; that they are not the block of an id is said at once.
        """
        told: list[BlockComplete | BlockValidated] = []
        for block_id in self._round_state.complete(header):
            untold = self._untold
            if untold is not None and untold.block_id == block_id:
                self._untold = None
                self._tell_proposal(untold)
            told.append(BlockComplete(self._core.height, block_id))
            if self._round_state.blocks[block_id] is None:
                log.warning("parts are not the block of their id", height=self._core.height, block=block_id.hash.hex())
                told.append(BlockValidated(self._core.height, block_id, valid=False))
        return told

    def _take_vote(self, message: VoteIn) -> Taken:
        vote = message.vote
        if vote.height == self._core.height - 1 and vote.type == PRECOMMIT:
            return Taken(all_precommits=self._take_late_precommit(message))
        if vote.type not in (PREVOTE, PRECOMMIT) or not self._is_of_this_height(vote.height, message):
            return Taken()
        self._metrics.votes_received += 1
        kind, value = VoteKind(vote.type), value_of(vote)
        votes = self._core.votes(kind, vote.round)
        known = vote_for(votes, vote.validator_index, value)
        if known is not None:
            if known.signature == vote.signature:
                self._metrics.votes_duplicate += 1
            else:  # CometBFT's non-deterministic signature: neither counted nor evidence
                self._metrics.votes_refused += 1
                if self._watch.is_ours(vote.validator_address):
                    self._is_good_vote(message, late=False)  # then it was signed elsewhere
                self._other_vote(message, kind, "vote signed twice")
            return Taken()
        if self._only_conflicts(votes, vote, value):
            self._metrics.votes_refused += 1
            self._other_vote(message, kind, "vote of a reported equivocator")
            return Taken()
        if not self._is_good_vote(message, late=False):
            return Taken()
        claim = self._claim_to_use(votes, vote, value)
        if claim is not None:
            self._write(claim)
        if message.peer_id:  # ours was logged when it was signed
            self._write(message)
            self._useful(message.peer_id)
        told = counted_as(vote, message.peer_id)
        if claim is None:
            return Taken((told,))
        return Taken((PeerMajority(kind, vote.height, vote.round, value, claim.peer_id), told))

    def _other_vote(self, message: VoteIn, kind: VoteKind, what: str) -> None:
        """Its validator signed several: each peer holds one, and hands it on to those who hold another."""
        vote = message.vote
        if not self._excuses.vote(message.peer_id, kind, vote.round, vote.validator_index):
            self._useless(message.peer_id, what, 1)

    def _claim_to_use(self, votes: VoteSet, vote: Vote, value: BlockID | None) -> MajorityIn | None:
        """The claim that makes an equivocator's second vote count; others change nothing, and cost nothing."""
        claim = self._claimed.get((VoteKind(vote.type), vote.round, value))
        if claim is None or vote.validator_index not in votes.by_validator:
            return None
        self._seconds[vote.validator_index] += 1
        if claim in self._used_claims:
            return None
        self._used_claims[claim] = None
        return claim

    def _only_conflicts(self, votes: VoteSet, vote: Vote, value: BlockID | None) -> bool:
        """Whether its validator's votes of this round conflict already, and nobody claims a majority for this one.

        One conflict is verified, logged and reported. A key that signs thousands costs no more than that, and with
        claims under ever new ids SECONDS_MAX; past them a vote counts for what an honest validator is known to want.
        """
        index = vote.validator_index
        if index not in votes.by_validator or not votes.reported >> index & 1:
            return False
        if (VoteKind(vote.type), vote.round, value) not in self._claimed:
            return True
        is_wanted = votes.power_for(value) > one_third(self._core.total_power)
        return self._seconds[index] >= SECONDS_MAX and not is_wanted

    def _is_good_vote(self, message: VoteIn, *, late: bool) -> bool:
        """late: of the height before, whose extensions are checked for their signature only.

        Raises KeyUsedElsewhere.
        """
        vote, state = message.vote, self._state()
        validators = state.last_validators if late else state.validators
        if not late and message.peer_id and native.is_used():
            self._verify_with_waiting(message, state)
        try:
            check_vote(vote, validators, state.chain_id, self._executor.signatures)
            app = None if late or not message.peer_id else self._executor.app
            check_extension(vote, validators, state, app)
        except InvalidVote as error:
            self._metrics.votes_refused += 1
            if isinstance(error, BadSignatureFromPeer):
                self._blame(message.peer_id, str(error))
            else:
                self._useless(message.peer_id, "vote that cannot count", 1)
            return False
        if message.peer_id:
            self._watch.saw_vote(vote)
        return True

    def _verify_with_waiting(self, message: VoteIn, state: State) -> None:
        """With what else its sender has waiting, which pays for them: a batch costs less than half of them one by one.

        Without the native part it costs the same, and each is verified when it is its turn.
        """
        vote, signatures = message.vote, self._executor.signatures
        key = state.validators.pub_keys[vote.validator_index] if vote.validator_index < len(state.validators) else None
        if key is None or (key, vote.sign_bytes(state.chain_id), vote.signature) in signatures:
            return
        waiting = self._inbox.waiting_votes(message.peer_id, VOTES_TOGETHER_MAX)
        votes = [vote, *(other for other in waiting if other.height == vote.height and not self._has(other))]
        verify_together(votes, state.validators, state.chain_id, signatures)

    def _has(self, vote: Vote) -> bool:
        if vote.type not in (PREVOTE, PRECOMMIT):
            return False
        votes = self._core.votes(VoteKind(vote.type), vote.round)
        return votes.by_validator.get(vote.validator_index) is not None

    def _take_late_precommit(self, message: VoteIn) -> bool:
        """Of the last height: it makes the commit in the next block more complete. Whether none is missing now."""
        vote, last = message.vote, self._round_state.last_commit
        if last is None or vote.round != last.round:
            return False
        self._metrics.votes_received += 1
        if last.get(vote.validator_index) is not None:
            self._metrics.votes_duplicate += 1
            return False
        if not self._is_good_vote(message, late=True):
            return False
        self._write(message)
        last.add_late(vote)
        self._metrics.votes_late += 1
        for listener in self._listeners:
            listener.vote_added(vote)
        return last.is_full

    def _take_majority(self, message: MajorityIn) -> tuple[Input, ...]:
        """A peer says one thing of a set: to repeat it tells nothing, to contradict it is a lie.

        It is kept here while the peer is connected; the core hears of it with the vote that it makes count.
        """
        if message.height != self._core.height:
            return ()
        if not message.peer_id:
            return self._take_own_claim(message)
        if not self._may_exist(message.round):
            return ()
        key = (message.peer_id, message.kind, message.round)
        if key in self._claims:
            if self._claims[key] != message.block_id:
                self._blame(
                    message.peer_id, f"claims two majorities in {message.kind.name.lower()}s of {message.round}"
                )
            return ()
        self._claims[key] = message.block_id
        self._claimed.setdefault((message.kind, message.round, message.block_id), message)
        return ()

    def _take_own_claim(self, message: MajorityIn) -> tuple[Input, ...]:
        """Of a checkpoint of the log: what +2/3 prevoted and we found valid. The parts of its block come next."""
        if message.kind is not VoteKind.PREVOTE or message.block_id is None:
            return ()
        parts = self._round_state.open_parts(message.block_id, self._state().block_bytes_max)
        told = PeerMajority(message.kind, message.height, message.round, message.block_id, "")
        return told, *self.completed(parts.header)

    def _may_exist(self, round: int) -> bool:
        return 0 <= round <= self._core.round + 1 or round in self._core.rounds
