"""The consensus core: Algorithm 1 of arXiv:1807.04938, one input in, effects out.

Promises: the same inputs give the same effects; a correct driver that carries the effects out never makes us vote
twice in a kind and round, nor against a lock without a newer polka. Rules name their line of the algorithm; those
that concern pace (when round 0 begins) and gathering are CometBFT's duties put into the paper's frame.

How it works: an input changes what is known (votes, blocks, proposals), then every rule whose condition holds is
applied, in the order of `_apply_rules`, until none does. A time-out is an input that acts at once.
Source: arXiv:1807.04938, Algorithm 1; docs/core-to-wire.md for the wire's names.
"""

# ruff: noqa: I001 - one name a line would be a page of imports
from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from consensus.core.events import (
    BlockComplete, BlockValidated, BuildBlock, Built, CoreConfig, Decide, Effect, Elapsed, Equivocation,
    GatherBlock, Input, NilReason, PeerMajority, PolkaSeen, Proposal, SetTimer, SignProposal, SignVote, StartHeight,
    Step, StepChanged, TxsAvailable, ValidateBlock, Validators, ValidValueSet, ValueId, Vote, VoteCounted, VoteKind,
    VoteRefused,
)  # fmt: skip
from consensus.core.votes import Counted, HeightVotes, VoteSet

WAITING = (Step.NEW_HEIGHT, Step.NEW_ROUND)  # round 0 has not begun
VOTING = (Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT)
BLOCK_ROUNDS_KEPT = 8  # a block that no polka made ours is forgotten this many rounds later


class CommittedInvalidBlock(Exception):
    """+2/3 precommitted a block that is invalid here: the network is broken, or we are. The node must stop."""

    def __init__(self, height: int, round: int, value_id: ValueId) -> None:
        super().__init__(f"height {height}: round {round} has +2/3 precommits for {value_id}, which is invalid here")
        self.height, self.round, self.value_id = height, round, value_id


class BlockState(Enum):
    """What the core knows of a block."""

    MISSING = auto()
    COMPLETE = auto()  # nobody needed it so far
    VALIDATING = auto()  # ValidateBlock is out
    VALID = auto()
    WITHHELD = auto()  # valid for the chain; this node alone has a reason not to vote for it in this round
    INVALID = auto()


ACCEPTABLE = (BlockState.VALID, BlockState.WITHHELD)  # where +2/3 prevoted it


class NoValidators:
    """The validator set before the first StartHeight."""

    powers: tuple[int, ...] = ()

    def proposer(self, round: int) -> int:
        raise LookupError(f"no height was started; asked for the proposer of round {round}")


class Core:
    """One validator's (or observer's) state in one height after another. Its public attributes are for reading."""

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        self._out: list[Effect] = []  # of the input at hand
        self._reset(StartHeight(height=0, validators=NoValidators(), our_index=None))

    def _reset(self, start: StartHeight) -> None:
        """Lines 1-9 and 53: nothing of another height is left."""
        self.height = start.height
        self.validators: Validators = start.validators
        self.our_index = start.our_index
        self._needs_proof_block = start.needs_proof_block
        self.round = 0
        self.step = Step.NEW_HEIGHT
        self.locked_value: ValueId | None = None
        self.locked_round = -1  # -1: no lock
        self.valid_value: ValueId | None = None
        self.valid_round = -1
        self.commit_value: ValueId | None = None  # what +2/3 precommitted, from step COMMIT on, also while we gather it
        self.commit_round = -1  # the round of those precommits
        self.is_decided = False  # Decide was returned; from here the height only counts votes
        self._votes = HeightVotes(start.validators.powers)
        self._proposals: dict[int, Proposal] = {}
        self._blocks: dict[ValueId, BlockState] = {}
        self._gathered: dict[tuple[ValueId, int, bool], None] = {}  # in the order of asking
        self._nil_reasons: dict[tuple[VoteKind, int], NilReason] = {}
        self._build_round = -1  # BuildBlock is out for it
        self._txs_wait = self._interval_over = False
        self._prevote_wait_round = -1  # line 34 fired in it
        self._precommit_wait_round = -1  # line 47 fired in it

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def rounds(self) -> tuple[int, ...]:
        """The rounds of this height that have votes, rising."""
        return self._votes.rounds

    @property
    def total_power(self) -> int:
        return self._votes.total_power

    def votes(self, kind: VoteKind, round: int) -> VoteSet:
        """The votes of a kind and round, for reading; empty where nobody voted."""
        return self._votes.get(kind, round)

    def round_power(self, round: int) -> int:
        """Power of the distinct validators that voted in `round`, in either kind."""
        return self._votes.round_power(round)

    def proposal(self, round: int) -> Proposal | None:
        """The first proposal that came for `round`, while it was not past."""
        return self._proposals.get(round)

    def block_state(self, value_id: ValueId) -> BlockState:
        return self._blocks.get(value_id, BlockState.MISSING)

    def nil_reason(self, kind: VoteKind, round: int) -> NilReason | None:
        """Why we voted nil; None if we did not."""
        return self._nil_reasons.get((kind, round))

    # ------------------------------------------------------------------------------------------------- inputs

    def handle(self, event: Input) -> tuple[Effect, ...]:
        """Take one input, return what is to be done, in order.

        An input of another height, round or step that is past has no effect.
        Raises: CommittedInvalidBlock.
        """
        self._out = []
        if isinstance(event, StartHeight):
            assert event.height >= self.height, (event.height, self.height)  # again: it was left; its log follows
        elif event.height != self.height:
            return (VoteRefused(event, Counted.WRONG_HEIGHT.value),) if isinstance(event, Vote) else ()
        elif self.is_decided and not isinstance(event, Vote | PeerMajority):
            return ()  # late votes still count, for the next block's last commit
        self._take(event)
        self._apply_rules()
        return tuple(self._out)

    def _take(self, event: Input) -> None:
        match event:
            case StartHeight():
                self._start_height(event)  # lines 10, 52-54
            case Proposal():
                self._take_proposal(event)  # the message of lines 22, 28
            case Vote():
                self._take_vote(event)  # the messages of lines 28, 34, 36, 44, 47, 49, 55
            case PeerMajority():
                self._take_claim(event)
            case BlockComplete():
                self._blocks.setdefault(event.value_id, BlockState.COMPLETE)  # the v of lines 22, 28, 36, 49
            case BlockValidated():
                self._take_validated(event)  # valid(v)
            case Built():
                self._take_built(event)  # lines 18-19
            case TxsAvailable():
                self._txs_wait = True
            case Elapsed(Step.NEW_HEIGHT) if self.step is Step.NEW_HEIGHT:
                self._begin_or_wait()
            case Elapsed(Step.NEW_ROUND):
                self._interval_over = True
            case Elapsed(Step.PROPOSE):
                self._propose_elapsed(event)  # lines 57-60
            case Elapsed(Step.PREVOTE):
                self._prevote_elapsed(event)  # lines 61-64
            case Elapsed(Step.PRECOMMIT) if event.round >= self.round and self.step in VOTING:
                self._start_round(event.round + 1)  # lines 65-67; of a later round only in a log that left out some
            case Elapsed():
                pass  # of a step that is past
            case _:
                assert_never(event)

    def _start_height(self, event: StartHeight) -> None:
        self._reset(event)
        self._enter(Step.NEW_HEIGHT)
        wait_ms = self.config.timeout_commit_ms if event.commit_wait_ms is None else event.commit_wait_ms
        if self.config.create_empty_blocks and self.config.create_empty_blocks_interval_ms > 0:
            self._set_timer(Step.NEW_ROUND, self.config.create_empty_blocks_interval_ms)
        if wait_ms > 0:
            self._set_timer(Step.NEW_HEIGHT, wait_ms)
        else:
            self._begin_or_wait()

    def _take_proposal(self, event: Proposal) -> None:
        assert event.value_id is not None, event
        is_near = event.round <= self.round + 1 or event.round in self._votes.rounds
        if self.round <= event.round and is_near and -1 <= event.pol_round < event.round:
            self._proposals.setdefault(event.round, event)  # the first counts, whatever else its proposer signs

    def _take_validated(self, event: BlockValidated) -> None:
        if self.block_state(event.value_id) in (BlockState.VALID, BlockState.INVALID):
            return  # it holds for ever
        good = BlockState.WITHHELD if event.withheld else BlockState.VALID
        self._blocks[event.value_id] = good if event.valid else BlockState.INVALID

    def _take_built(self, event: Built) -> None:
        self._blocks[event.value_id] = BlockState.VALID  # also when too late: nobody sends it to who holds it
        is_due = self._build_round == event.round == self.round and self.step is Step.PROPOSE
        if not is_due or event.round in self._proposals:
            return  # too late, not asked for, or our proposal of this round exists since before a restart
        self._build_round = -1
        self._out.append(SignProposal(self.height, self.round, event.value_id, -1))  # line 19

    def _take_vote(self, vote: Vote) -> None:
        had_majority = self._votes.get(vote.kind, vote.round).has_majority
        counted = self._votes.add(vote, self.round)
        votes = self._votes.get(vote.kind, vote.round)
        if counted in (Counted.SECOND, Counted.CONFLICT):
            first = votes.by_validator[vote.validator_index]
            self._out.append(Equivocation(first, vote, counted=counted is Counted.SECOND))
        elif counted is not Counted.NEW:
            self._out.append(VoteRefused(vote, counted.value))
        if counted not in (Counted.NEW, Counted.SECOND):
            return
        self._out.append(VoteCounted(vote))
        self._restore_lock(vote)
        if had_majority or not votes.has_majority:
            return
        if vote.kind is VoteKind.PREVOTE:
            self._out.append(PolkaSeen(self.height, vote.round, votes.majority))
        elif votes.majority is not None and self.commit_round < 0:
            self.commit_value, self.commit_round = votes.majority, vote.round  # line 49; the first is final

    def _restore_lock(self, vote: Vote) -> None:
        """Our own precommit proves a polka and our lock (lines 38-43), also when a restart made us forget them."""
        is_ours = vote.validator_index == self.our_index and vote.kind is VoteKind.PRECOMMIT
        if not is_ours or vote.value_id is None:
            return
        self._take_claim(PeerMajority(VoteKind.PREVOTE, self.height, vote.round, vote.value_id, ""))
        if vote.round > self.locked_round:
            self.locked_value, self.locked_round = vote.value_id, vote.round

    def _take_claim(self, event: PeerMajority) -> None:
        """An equivocator's vote may have been part of a polka. Our own claim proves that it was one (lines 42-43)."""
        self._votes.claim(event.kind, event.round, event.peer_id, event.value_id, self.round)
        if not event.peer_id and event.round > self.valid_round:
            self.valid_value, self.valid_round = event.value_id, event.round

    def _propose_elapsed(self, event: Elapsed) -> None:
        """Lines 57-60; a proposal of which only the validity is unknown is waited for."""
        if event.round != self.round or self.step is not Step.PROPOSE:
            return
        proposal = self._proposals.get(self.round)
        state = BlockState.MISSING if proposal is None else self.block_state(proposal.value_id)
        if proposal is None:
            self._prevote(None, NilReason.NO_PROPOSAL)
        elif state is BlockState.MISSING:
            self._prevote(None, NilReason.INCOMPLETE_BLOCK)
        elif state is BlockState.INVALID:
            self._prevote(None, NilReason.INVALID_BLOCK)
        elif not self._has_pol(proposal):
            self._prevote(None, NilReason.POL_MISSING)

    def _prevote_elapsed(self, event: Elapsed) -> None:
        """Lines 61-64."""
        if event.round != self.round or self.step is not Step.PREVOTE:
            return
        value = self._votes.get(VoteKind.PREVOTE, self.round).majority
        state = BlockState.MISSING if value is None else self.block_state(value)
        if value is None:
            self._precommit(None, NilReason.NO_POLKA)
        elif state is BlockState.MISSING:
            self._precommit(None, NilReason.POLKA_FOR_MISSING_BLOCK)
        elif state is BlockState.INVALID:
            self._precommit(None, NilReason.INVALID_BLOCK)
        else:
            self._precommit(None, NilReason.BLOCK_NOT_VALIDATED)

    # ------------------------------------------------------------------------------------------------- rules

    def _apply_rules(self) -> None:
        """Apply what holds until nothing does. Each rule changes what it asks for, so this ends."""
        while not self.is_decided and (
            self._commit()
            or self._skip_round()
            or self._leave_wait()
            or self._prevote_proposal()
            or self._polka_for_block()
            or self._polka_for_nil()
            or self._wait_for_prevotes()
            or self._wait_for_precommits()
            or self._seek_blocks()
        ):
            pass

    def _commit(self) -> bool:
        """Lines 49-51: +2/3 precommits of any round for a block; decided when it is here and valid."""
        if self.commit_value is None:
            return False
        if self.step is not Step.COMMIT:
            self.round = max(self.round, self.commit_round)
            self._enter(Step.COMMIT)
        match self.block_state(self.commit_value):
            case BlockState.INVALID:
                raise CommittedInvalidBlock(self.height, self.commit_round, self.commit_value)
            case BlockState.VALID | BlockState.WITHHELD:  # +2/3 have judged what we could not
                self.is_decided = True
                self._out.append(Decide(self.height, self.commit_round, self.commit_value))
                return True
        return self._seek(self.commit_value, self.commit_round, is_commit=True)

    def _skip_round(self) -> bool:
        """Lines 55-56: f+1 are in a later round. While round 0 waits to begin, it is a later round too."""
        reached = -1 if self.step in WAITING else self.round
        if self.step is Step.COMMIT or self._votes.skip_round <= reached:
            return False
        self._start_round(self._votes.skip_round)
        return True

    def _leave_wait(self) -> bool:
        """Line 54: round 0 begins as soon as there is something to propose, or a proposal."""
        is_due = self.step is Step.NEW_ROUND and self._may_begin()
        if not is_due and not (self.step in WAITING and 0 in self._proposals):
            return False
        self._start_round(0)
        return True

    def _prevote_proposal(self) -> bool:
        """Lines 22-27 and 28-33: with pol_round -1, `locked_round <= pol_round` says that there is no lock."""
        proposal = self._proposals.get(self.round)
        if self.step is not Step.PROPOSE or proposal is None or not self._has_pol(proposal):
            return False
        state = self.block_state(proposal.value_id)
        if self.locked_round > proposal.pol_round and self.locked_value != proposal.value_id:
            self._prevote(None, NilReason.LOCKED_ON_ANOTHER)  # lines 26, 32
        elif state is BlockState.INVALID:
            self._prevote(None, NilReason.INVALID_BLOCK)  # lines 26, 32
        elif state is BlockState.WITHHELD and proposal.pol_round < 0:
            self._prevote(None, NilReason.WITHHELD)
        elif state in ACCEPTABLE:
            self._prevote(proposal.value_id, None)  # lines 24, 30
        else:
            return False
        return True

    def _polka_for_block(self) -> bool:
        """Lines 36-43, once a round."""
        value = self._votes.get(VoteKind.PREVOTE, self.round).majority
        if self.step not in (Step.PREVOTE, Step.PRECOMMIT) or value is None or self.valid_round >= self.round:
            return False
        if self.block_state(value) not in ACCEPTABLE:
            return False
        self.valid_value, self.valid_round = value, self.round  # lines 42-43
        self._out.append(ValidValueSet(self.height, self.round, value))
        if self.step is Step.PREVOTE:  # lines 37-41
            self.locked_value, self.locked_round = value, self.round
            self._precommit(value, None)
        return True

    def _polka_for_nil(self) -> bool:
        """Lines 44-46. The lock stays, unlike CometBFT's."""
        prevotes = self._votes.get(VoteKind.PREVOTE, self.round)
        if self.step is not Step.PREVOTE or not prevotes.has_majority or prevotes.majority is not None:
            return False
        self._precommit(None, NilReason.POLKA_FOR_NIL)
        return True

    def _wait_for_prevotes(self) -> bool:
        """Lines 34-35, once a round."""
        has_any = self._votes.get(VoteKind.PREVOTE, self.round).has_two_thirds_any
        if self.step is not Step.PREVOTE or self._prevote_wait_round == self.round or not has_any:
            return False
        self._prevote_wait_round = self.round
        self._set_timer(Step.PREVOTE, self.config.timeout_prevote_ms, self.config.timeout_prevote_delta_ms)
        return True

    def _wait_for_precommits(self) -> bool:
        """Lines 47-48, once a round."""
        has_any = self._votes.get(VoteKind.PRECOMMIT, self.round).has_two_thirds_any
        if self.step not in VOTING or self._precommit_wait_round == self.round or not has_any:
            return False
        self._precommit_wait_round = self.round
        self._set_timer(Step.PRECOMMIT, self.config.timeout_precommit_ms, self.config.timeout_precommit_delta_ms)
        return True

    def _seek_blocks(self) -> bool:
        """What valid(v) of lines 23, 29 and 36 needs: the block, then its validation."""
        if self.step not in VOTING:
            return False
        proposal = self._proposals.get(self.round)
        if proposal is not None and self._seek_validity(proposal.value_id):
            return True
        polka = self._votes.get(VoteKind.PREVOTE, self.round).majority
        wanted = (polka, self.valid_value)  # the second is missing only where a restart lost the block
        return any(value is not None and self._seek(value, self.round, is_commit=False) for value in wanted)

    # ------------------------------------------------------------------------------------------------- actions

    def _start_round(self, round: int) -> None:
        """Lines 11-21. The proposer sets the timer too: building and signing may fail."""
        assert round >= self.round, (round, self.round)
        self.round = round
        self._forget_blocks()
        self._enter(Step.PROPOSE)
        self._set_timer(Step.PROPOSE, self.config.timeout_propose_ms, self.config.timeout_propose_delta_ms)
        is_ours = self.our_index is not None and self.validators.proposer(round) == self.our_index
        if not is_ours or round in self._proposals or round <= self.valid_round:
            return  # another's turn, or we were here before a restart
        if self.valid_value is not None and self._is_held(self.valid_value):
            self._out.append(SignProposal(self.height, round, self.valid_value, self.valid_round))  # line 16
        else:
            self._build_round = round
            self._out.append(BuildBlock(self.height, round))  # line 18

    def _forget_blocks(self) -> None:
        """Of rounds long past: who wants one gathers it again. What was withheld may be valid by now: ask again."""
        since, kept = self.round - BLOCK_ROUNDS_KEPT, {self.locked_value, self.valid_value}
        kept.update(value_id for value_id, round, _ in self._gathered if round > since)
        kept.update(said.value_id for round, said in self._proposals.items() if round > since)
        old = {said.value_id for said in self._proposals.values()} - kept
        for value_id, state in list(self._blocks.items()):
            if value_id in old and state not in (BlockState.VALIDATING, BlockState.INVALID):
                del self._blocks[value_id]
            elif state is BlockState.WITHHELD:
                self._blocks[value_id] = BlockState.COMPLETE

    def _is_held(self, value: ValueId) -> bool:
        return self.block_state(value) not in (BlockState.MISSING, BlockState.INVALID)

    def _begin_or_wait(self) -> None:
        """The commit wait is over: begin round 0, or wait for something to put into a block."""
        if self._may_begin():
            self._start_round(0)
        else:
            self._enter(Step.NEW_ROUND)

    def _may_begin(self) -> bool:
        makes_empty_now = self.config.create_empty_blocks and self.config.create_empty_blocks_interval_ms == 0
        return makes_empty_now or self._needs_proof_block or self._txs_wait or self._interval_over

    def _prevote(self, value: ValueId | None, reason: NilReason | None) -> None:
        self._vote(VoteKind.PREVOTE, value, reason)
        self._enter(Step.PREVOTE)

    def _precommit(self, value: ValueId | None, reason: NilReason | None) -> None:
        assert value is None or (value == self.locked_value and self.round == self.locked_round), value
        self._vote(VoteKind.PRECOMMIT, value, reason)
        self._enter(Step.PRECOMMIT)

    def _vote(self, kind: VoteKind, value: ValueId | None, reason: NilReason | None) -> None:
        """An observer takes the same steps and signs nothing; nor do we where our vote of before a restart is known."""
        assert (value is None) == (reason is not None), (value, reason)
        if self.our_index is None or self._votes.get(kind, self.round).bitmap >> self.our_index & 1:
            return
        if reason is not None:
            self._nil_reasons[kind, self.round] = reason
        self._out.append(SignVote(kind, self.height, self.round, value, reason))

    def _enter(self, step: Step) -> None:
        self.step = step
        self._out.append(StepChanged(self.height, self.round, step))

    def _set_timer(self, step: Step, base_ms: int, delta_ms: int = 0) -> None:
        """Ask for the time-out of a step of this round; it grows with the round, so that GST finds it long enough."""
        self._out.append(SetTimer(step, self.height, self.round, base_ms + delta_ms * self.round))

    def _has_pol(self, proposal: Proposal) -> bool:
        """Line 28: a proposal that names an earlier polka needs it."""
        if proposal.pol_round < 0:
            return True
        return self._votes.get(VoteKind.PREVOTE, proposal.pol_round).has_majority_for(proposal.value_id)

    def _seek(self, value: ValueId, round: int, *, is_commit: bool) -> bool:
        """Ask for a block that +2/3 are for: once a round where it is missing, then for its validation."""
        if self.block_state(value) is not BlockState.MISSING:
            return self._seek_validity(value)
        key = (value, round, is_commit)
        if key in self._gathered:
            return False
        self._gathered[key] = None
        self._out.append(GatherBlock(self.height, round, value, is_commit))
        return True

    def _seek_validity(self, value: ValueId) -> bool:
        if self.block_state(value) is not BlockState.COMPLETE:
            return False
        self._blocks[value] = BlockState.VALIDATING
        self._out.append(ValidateBlock(self.height, value))
        return True
