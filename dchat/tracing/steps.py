"""When the running height took which step, on this node: listened for, as docs/why.md's records are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus.core.events import Elapsed, Step
from consensus.engine.interfaces import RoundState
from consensus.execution.metrics import EngineMetrics
from consensus.system.clock import Clock
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Proposal, Vote

ROUNDS_MAX: Final = 16  # failed ones that are told, the latest


@dataclass(slots=True)
class Times:
    """Of one height. Monotonic nanoseconds; 0: it was not seen. failed: rounds before that of `round`."""

    height: int
    round: int = -1
    began_ns: int = 0
    round_ns: int = 0  # when the round began
    proposal_ns: int = 0
    block_ns: int = 0  # all parts of the block were here
    prevote_ns: int = 0
    precommit_ns: int = 0
    decided_ns: int = 0
    execution_ns: tuple[int, int] = (0, 0)  # of the proposal, while it was voted on
    failed: list[tuple[int, int, int]] = field(default_factory=list)  # round, from, to


class Steps:
    """Satisfies RoundListener. `take` gives a height's times once."""

    def __init__(self, clock: Clock, state: RoundState, metrics: EngineMetrics) -> None:
        self._clock, self._state, self._metrics = clock, state, metrics
        self._now: Times | None = None
        self._processed = metrics.proposal_process.count

    def take(self, height: int) -> Times | None:
        """None: it was not decided here, but fetched."""
        times = self._now
        if times is None or times.height != height or not times.decided_ns:
            return None
        self._now = None
        return times

    def step_changed(self) -> None:
        state, now_ns = self._state, self._clock.monotonic_ns()
        times, step = self._now, state.step
        if times is None or times.height != state.height:
            times = self._now = Times(state.height)
        if step in (Step.NEW_HEIGHT, Step.NEW_ROUND):
            return
        times.began_ns = times.began_ns or now_ns
        if step is Step.COMMIT:
            times.decided_ns = times.decided_ns or now_ns
            self._look_for_block(times, now_ns)
            self._look_for_execution(times, now_ns)
            return
        if times.round != state.round:
            self._begin_round(times, state.round, now_ns)
        if step is Step.PREVOTE and not times.prevote_ns:
            times.prevote_ns = now_ns
            self._look_for_block(times, now_ns)
            self._look_for_execution(times, now_ns)
        elif step is Step.PRECOMMIT and not times.precommit_ns:
            times.precommit_ns = now_ns
            self._look_for_execution(times, now_ns)

    @staticmethod
    def _begin_round(times: Times, round: int, now_ns: int) -> None:
        if times.round >= 0:
            times.failed = [*times.failed, (times.round, times.round_ns, now_ns)][-ROUNDS_MAX:]
        times.round, times.round_ns = round, now_ns
        times.proposal_ns = times.block_ns = times.prevote_ns = times.precommit_ns = 0

    def _look_for_block(self, times: Times, now_ns: int) -> None:
        parts = self._state.parts
        if not times.block_ns and parts is not None and parts.is_complete:
            times.block_ns = now_ns

    def _look_for_execution(self, times: Times, now_ns: int) -> None:
        """Of a proposal that was judged since this was asked last: it ended just now."""
        judged = self._metrics.proposal_process
        if judged.count != self._processed:
            self._processed = judged.count
            times.execution_ns = (now_ns - judged.last_ns, now_ns)

    def proposal_set(self, proposal: Proposal) -> None:
        times = self._now
        if times is not None and proposal.round == times.round and not times.proposal_ns:
            times.proposal_ns = self._clock.monotonic_ns()
            self._look_for_block(times, times.proposal_ns)

    def part_added(self, height: int, round: int, index: int) -> None:
        if self._now is not None and height == self._now.height:
            self._look_for_block(self._now, self._clock.monotonic_ns())

    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None:
        if self._now is not None:
            self._look_for_block(self._now, self._clock.monotonic_ns())

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        pass

    def vote_added(self, vote: Vote) -> None:
        pass

    def timed_out(self, elapsed: Elapsed) -> None:
        pass
