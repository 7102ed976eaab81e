"""Inputs and effects of the consensus core, as frozen data.

The core is a function of its inputs: it reads no clock, disk or socket. A value (a block) is to it an opaque, hashable
id; a vote carries what was signed, as opaque. The engine, simulator and tests speak to it in these types, in no others.

Order of effects: the driver carries effects out in the order returned. What each one asks for before the next may
be carried out stands in its docstring.
Source: arXiv:1807.04938, Algorithm 1; docs/core-to-wire.md maps the steps to CometBFT's.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol, TypeAlias

ValueId: TypeAlias = Hashable  # the engine's is a BlockID: block hash and part-set header together


class Step(IntEnum):
    """The core's steps; NEW_HEIGHT is the wait after a commit, COMMIT the wait for the decided block."""

    NEW_HEIGHT = 1
    NEW_ROUND = 2  # round 0 waits for a transaction (or the empty-block interval)
    PROPOSE = 3
    PREVOTE = 4
    PRECOMMIT = 6
    COMMIT = 8


class VoteKind(IntEnum):
    """CometBFT's numbers."""

    PREVOTE = 1
    PRECOMMIT = 2


class NilReason(StrEnum):
    """Why a vote is for nil: for metrics, logs and people."""

    NO_PROPOSAL = "no_proposal"  # propose time-out and no proposal message
    INCOMPLETE_BLOCK = "incomplete_block"  # a proposal, but not all of its parts in time
    INVALID_BLOCK = "invalid_block"
    WITHHELD = "withheld"  # something of this node alone speaks against the block; asked again in the next round
    LOCKED_ON_ANOTHER = "locked_on_another"  # line 26/32
    POL_MISSING = "pol_missing"  # the proposal's claimed polka was not seen in time
    POLKA_FOR_NIL = "polka_for_nil"  # line 44
    NO_POLKA = "no_polka"  # line 61
    POLKA_FOR_MISSING_BLOCK = "polka_for_missing_block"  # line 61, the block is not complete here
    BLOCK_NOT_VALIDATED = "block_not_validated"  # line 61, complete, but ValidateBlock is not answered yet


class Validators(Protocol):
    """What the core needs of a height's validator set. Pure; indices are in set order."""

    @property
    def powers(self) -> tuple[int, ...]: ...

    def proposer(self, round: int) -> int:
        """Index of the proposer of `round` (0 and up)."""
        ...


# ----------------------------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class StartHeight:
    """Begin `height`: all state of the one before is dropped. The commit wait runs until Elapsed(NEW_HEIGHT)."""

    height: int
    validators: Validators
    our_index: int | None  # None: not a validator here, follow without voting
    needs_proof_block: bool = False  # round 0 must not wait for transactions (initial height, app hash changed)
    commit_wait_ms: int | None = None  # what is left of it; None: the configured one; 0: start the round at once


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal whose signature is the round's proposer's (the driver checked it)."""

    height: int
    round: int
    value_id: ValueId
    pol_round: int  # -1: none


@dataclass(frozen=True, slots=True)
class BlockComplete:
    """All parts of `value_id` are here, however they came. The core answers with ValidateBlock when it matters."""

    height: int
    value_id: ValueId


@dataclass(frozen=True, slots=True)
class BlockValidated:
    """The answer to ValidateBlock. `valid` False: nobody correct votes for it, now or ever.

    withheld: valid as far as can be said here, but something of this node alone (its disk, its load, its
    configuration) speaks against voting for it now. We prevote nil; but where +2/3 prevoted or precommitted it,
    correct validators have judged it, and we follow. Asked again in the next round.
    """

    height: int
    value_id: ValueId
    valid: bool
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """The answer to BuildBlock: our own new block, complete and valid."""

    height: int
    round: int
    value_id: ValueId


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote whose signature, index and address the driver has checked. Ours come back this way too.

    After a restart all of ours of the height, the signer's last one too, come before the rest of the log.
    """

    kind: VoteKind
    height: int
    round: int
    value_id: ValueId | None  # None: nil
    validator_index: int
    peer_id: str = ""  # "": ours
    signed: object = field(default=None, compare=False, repr=False)  # opaque; kept with what was counted


@dataclass(frozen=True, slots=True)
class PeerMajority:
    """A peer claims +2/3 for a value: from now an equivocator's vote for it counts. One claim per peer and set."""

    kind: VoteKind
    height: int
    round: int
    value_id: ValueId | None
    peer_id: str  # "": ours, of before a restart: a polka for a block that we held; the valid value is restored


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A time-out that SetTimer asked for has run out. PREVOTE and PRECOMMIT mean the waits of lines 34 and 47."""

    step: Step
    height: int
    round: int


@dataclass(frozen=True, slots=True)
class TxsAvailable:
    """At least one transaction waits in the mempool. Given after StartHeight, once a height is enough."""

    height: int


Input: TypeAlias = (
    StartHeight | Proposal | BlockComplete | BlockValidated | Built | Vote | PeerMajority | Elapsed | TxsAvailable
)

# ----------------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class StepChanged:
    """The state is now at height/round/step: WAL, metrics, NewRoundStep to the peers."""

    height: int
    round: int
    step: Step


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Hand back Elapsed(step, height, round) after `after_ms`. Timers of other steps go on; stale ones are ignored."""

    step: Step
    height: int
    round: int
    after_ms: int


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """We propose and hold no valid value: build a block and hand back Built (lines 14-18)."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class SignProposal:
    """Sign and write to the WAL with fsync; only then may it and its parts leave the process (line 19).

    Comes back as Proposal, like a vote of ours: until then the core does not prevote for it.
    """

    height: int
    round: int
    value_id: ValueId
    pol_round: int


@dataclass(frozen=True, slots=True)
class SignVote:
    """Sign, write to the WAL, fsync; only then may the vote leave the process. Comes back as Vote."""

    kind: VoteKind
    height: int
    round: int
    value_id: ValueId | None
    nil_reason: NilReason | None  # set exactly when value_id is None


@dataclass(frozen=True, slots=True)
class ValidateBlock:
    """Validate (and execute speculatively) the complete block; hand back BlockValidated.

    Asked once per value, and again in a later round for one that was withheld. Never asked for a block of Built.
    In a replay of the WAL the answer comes before the next recorded input.
    """

    height: int
    value_id: ValueId


@dataclass(frozen=True, slots=True)
class GatherBlock:
    """+2/3 are for a block that we lack: open an empty part set for it and announce NewValidBlock."""

    height: int
    round: int
    value_id: ValueId
    is_commit: bool


@dataclass(frozen=True, slots=True)
class ValidValueSet:
    """A polka for a complete, valid block in this round (lines 36-43): announce NewValidBlock."""

    height: int
    round: int
    value_id: ValueId


@dataclass(frozen=True, slots=True)
class PolkaSeen:
    """+2/3 prevotes for one value (or nil) of a round. Whoever tells peers of it reads it from the tally."""

    height: int
    round: int
    value_id: ValueId | None


@dataclass(frozen=True, slots=True)
class VoteCounted:
    """The vote is new and counts, and the tally keeps it: gossip HasVote."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Equivocation:
    """The validator signed two values for one kind, height and round. `counted`: the second vote counts too."""

    first: Vote
    second: Vote
    counted: bool


@dataclass(frozen=True, slots=True)
class VoteRefused:
    """The vote was not counted: a round that this peer may not open, a repeat, a wrong height. For metrics."""

    vote: Vote
    reason: str


@dataclass(frozen=True, slots=True)
class Decide:
    """+2/3 precommits of `round` for a complete, valid block (lines 49-51): commit it. Last effect of its height."""

    height: int
    round: int
    value_id: ValueId


Request: TypeAlias = SetTimer | BuildBlock | SignProposal | SignVote | ValidateBlock | GatherBlock
Notice: TypeAlias = StepChanged | ValidValueSet | PolkaSeen | VoteCounted | Equivocation | VoteRefused | Decide
Effect: TypeAlias = Request | Notice


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """Time-outs in milliseconds; each grows by its delta with the round (line 1-10 of the paper's functions)."""

    timeout_propose_ms: int = 3_000
    timeout_propose_delta_ms: int = 500
    timeout_prevote_ms: int = 1_000
    timeout_prevote_delta_ms: int = 500
    timeout_precommit_ms: int = 1_000
    timeout_precommit_delta_ms: int = 500
    timeout_commit_ms: int = 1_000  # the least age of the last commit before a waiting transaction starts a block
    create_empty_blocks: bool = True
    # With empty blocks on: the longest gap when nothing waits, counted from the height's start. 0: no waiting.
    create_empty_blocks_interval_ms: int = 3_000
    gather_wait_ms: int = 0  # the driver's: while the last commit is younger, a few transactions wait for more
