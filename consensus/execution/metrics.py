"""What the engine counts about itself, as plain numbers; whoever exports them reads them here.

Counters only grow; gauges are the latest. Names follow CometBFT's consensus metrics where it has one.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from consensus.core.events import Step
from consensus.types.block import Block
from consensus.types.validators import ValidatorSet


@dataclass(slots=True)
class Timing:
    """Durations of one kind, in nanoseconds."""

    count: int = 0
    sum_ns: int = 0
    last_ns: int = 0
    max_ns: int = 0

    def add(self, duration_ns: int) -> None:
        self.count += 1
        self.sum_ns += duration_ns
        self.last_ns = duration_ns
        self.max_ns = max(self.max_ns, duration_ns)

    @property
    def mean_ns(self) -> int:
        return self.sum_ns // self.count if self.count else 0


SIGNINGS_KEPT: Final = 64  # a height of twenty rounds


@dataclass(slots=True)
class Signing:
    """One message of ours on its way to a signature on disk. Times are monotonic; 0: not yet.

    kind: proposal, prevote, precommit. nil_why: of a vote for nil, a NilReason. signed_ns: when a signer elsewhere had
    answered. work_ns: how long the work on the disk itself took.
    """

    kind: str
    height: int
    round: int
    asked_ns: int
    nil_why: str = ""
    is_away: bool = False
    signed_ns: int = 0
    work_ns: int = 0
    done_ns: int = 0
    refused: str = ""


@dataclass(slots=True)
class EngineMetrics:
    # gauges
    height: int = 0
    round: int = 0
    latest_block_height: int = 0
    latest_block_time_ns: int = 0
    block_txs: int = 0
    block_bytes: int = 0
    validators: int = 0
    validators_power: int = 0
    missing_validators: int = 0  # absent from the last block's commit
    byzantine_validators: int = 0  # with evidence in the last block
    last_signed_height: int = 0
    is_catching_up_from_wal: bool = False
    # counters
    blocks: int = 0
    txs: int = 0
    rounds_failed: int = 0  # rounds above 0 that were begun
    proposals_received: int = 0
    proposals_refused: int = 0
    parts_received: int = 0
    parts_duplicate: int = 0
    parts_refused: int = 0
    votes_received: int = 0
    votes_duplicate: int = 0
    votes_refused: int = 0
    votes_late: int = 0  # precommits of the height before, added to its commit
    own_precommits_late: int = 0  # of our precommits, made when +2/3 had decided without
    equivocations: int = 0
    own_signatures_refused: int = 0
    inbox_dropped: int = 0
    wal_restated: int = 0  # times that the log of a height of many rounds was shortened
    signings: deque[Signing] = field(default_factory=lambda: deque(maxlen=SIGNINGS_KEPT))  # the latest of ours
    nil_votes: Counter[tuple[str, str]] = field(default_factory=Counter)  # ours: (prevote or precommit, reason)
    step_ns: dict[str, Timing] = field(default_factory=dict)  # by step's name: time spent in it
    # durations
    block_interval: Timing = field(default_factory=Timing)  # by local clock, commit to commit
    proposal_create: Timing = field(default_factory=Timing)
    proposal_process: Timing = field(default_factory=Timing)  # validation and speculative execution
    finalize: Timing = field(default_factory=Timing)  # the application's answer to a decided block
    apply: Timing = field(default_factory=Timing)  # decision to state saved
    commit_wait: Timing = field(default_factory=Timing)  # waited after a block for timeout_commit or late precommits
    sign: Timing = field(default_factory=Timing)  # request to durable signature
    wal_sync: Timing = field(default_factory=Timing)

    _last_commit_ns: int = 0
    _began_ns: int = 0

    @property
    def began_ns(self) -> int:
        """When the running height began its first round: monotonic; 0: it waits, for its time or for a transaction."""
        return self._began_ns

    @property
    def last_commit_ns(self) -> int:
        """Monotonic; 0: none since the start."""
        return self._last_commit_ns

    def step_left(self, step: Step, duration_ns: int) -> None:
        self.step_ns.setdefault(step.name, Timing()).add(duration_ns)
        if step is Step.NEW_HEIGHT:
            self.commit_wait.add(duration_ns)

    def step_entered(self, height: int, round: int, step: Step, now_ns: int) -> None:
        """now_ns: monotonic."""
        if height != self.height or step in (Step.NEW_HEIGHT, Step.NEW_ROUND):
            self._began_ns = 0
        if not self._began_ns and step not in (Step.NEW_HEIGHT, Step.NEW_ROUND):
            self._began_ns = now_ns
        self.height, self.round = height, round

    def committed(self, block: Block, block_bytes: int, validators: ValidatorSet, now_ns: int) -> None:
        """A block was applied. validators: of the next height. now_ns: monotonic."""
        if self._last_commit_ns:
            self.block_interval.add(now_ns - self._last_commit_ns)
        self._last_commit_ns = now_ns
        self.blocks += 1
        self.txs += len(block.txs)
        self.block_txs, self.block_bytes = len(block.txs), block_bytes
        self.latest_block_height, self.latest_block_time_ns = block.height, block.header.time_ns
        self.validators, self.validators_power = len(validators), validators.total_power
        slots = () if block.last_commit is None else block.last_commit.signatures
        self.missing_validators = sum(slot.is_absent for slot in slots)
        self.byzantine_validators = len(block.evidence)
