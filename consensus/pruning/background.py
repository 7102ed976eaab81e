"""The work of forgetting, beside consensus: slices in a thread, with pauses between them, one round after another.

A slice takes about SLICE_NS of CPU time, and as long again PAUSES times nothing is done: that is a fifth of a core
while there is something to forget, and a half where that falls behind. What fails is told, and begun anew later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from consensus.abci.interface import Slices
from consensus.state.state import State
from consensus.system.clock import Clock, Workers

SLICE_NS: Final = 1_000_000
STEPS_PER_SLICE: Final = 64
PAUSES: Final = 4
PAUSES_BEHIND: Final = 1

log = structlog.get_logger(__name__)


class Saved(Protocol):
    """consensus.engine.interfaces.SavedBlock, as far as it counts here."""

    @property
    def height(self) -> int: ...
    @property
    def state(self) -> State: ...


class Job(Protocol):
    def begin(self, state: State) -> Slices[bool]:
        """A round after a block was saved, in steps of a millisecond; whether more is to be done at once."""
        ...


class Pruner:
    """Hears of saved blocks; `stop` waits for the slice that runs. every: heights between two rounds."""

    def __init__(
        self,
        jobs: Sequence[Job],
        workers: Workers,
        clock: Clock,
        *,
        every: int,
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs, self._workers, self._clock, self._every = jobs, workers, clock, every
        self._on_failed = on_failed
        self._task: asyncio.Task[None] | None = None
        self._due: Saved | None = None  # that came while a round went on
        self._is_behind = False
        self._is_stopping = False
        self._passed: asyncio.Future[None] | None = None  # of a pause

    @property
    def is_idle(self) -> bool:
        return self._task is None

    def block_saved(self, saved: Saved) -> None:
        if self._is_stopping or not (self._is_behind or saved.height % self._every == 0):
            return
        self._due = saved
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="prune")

    async def stop(self) -> None:
        self._is_stopping = True
        self._go_on()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._due is not None and not self._is_stopping:
                saved, self._due = self._due, None
                await self._round(saved)
        finally:
            self._task = None

    async def _round(self, saved: Saved) -> None:
        rounds = [job.begin(saved.state) for job in self._jobs]
        try:
            self._is_behind = any([await self._finish(steps) for steps in rounds])
        except Exception as error:  # what could not be forgotten now is forgotten later
            self._on_failed()
            log.error("failed to prune", height=saved.height, error=repr(error))
        finally:
            with contextlib.suppress(ValueError):  # a thread is in one of them still: this was cancelled
                for steps in rounds:
                    steps.close()

    async def _finish(self, steps: Slices[bool]) -> bool:
        while not self._is_stopping:
            answer, spent_ns = await self._workers.run(lambda: self._slice(steps))
            if answer is not None:
                return answer
            await self._pause(spent_ns * (PAUSES_BEHIND if self._is_behind else PAUSES) / 1e9)
        return False

    def _slice(self, steps: Slices[bool]) -> tuple[bool | None, int]:
        """For a thread: (the answer, when it is done; the CPU time that it took: what a busy machine does meanwhile is
        no part of it)."""
        began = self._clock.work_ns()
        spent = 0
        for _ in range(STEPS_PER_SLICE):
            try:
                next(steps)
            except StopIteration as done:
                return bool(done.value), self._clock.work_ns() - began
            spent = self._clock.work_ns() - began
            if spent >= SLICE_NS:
                break
        return None, spent

    async def _pause(self, seconds: float) -> None:
        self._passed = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, self._go_on)
        try:
            await self._passed
        finally:
            timer.cancel()

    def _go_on(self) -> None:
        if self._passed is not None and not self._passed.done():
            self._passed.set_result(None)
