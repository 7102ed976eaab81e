"""Jobs that peers cause and that take long: done one after another in a task, which lives while there are any.

A job's failure is its owner's to handle; one that it does not handle is logged, and the next job begins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from consensus.system.clock import Clock, Workers
from consensus.system.log_limit import LogLimit

T = TypeVar("T")

_limited = LogLimit(structlog.get_logger(__name__), source_name="job")


class Aside(Generic[T]):
    """take: gives the next job, or None when there is none now; called in a later turn than `wake`."""

    def __init__(
        self, name: str, clock: Clock, take: Callable[[], T | None], work: Callable[[T], Awaitable[None]]
    ) -> None:
        self._name, self._clock, self._take, self._work = name, clock, take, work
        self._task: asyncio.Task[None] | None = None
        self._is_due = False

    @property
    def is_idle(self) -> bool:
        return self._task is None and not self._is_due

    def wake(self) -> None:
        """There may be a job."""
        if self.is_idle:
            self._is_due = True
            self._clock.call_later(0, self._begin)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self) -> None:
        self._is_due = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def _run(self) -> None:
        try:
            while (job := self._take()) is not None:
                try:
                    await self._work(job)
                except Exception as error:
                    _limited.error("a job failed", self._name, error=repr(error))
        finally:
            self._task = None


class Bill:
    """What work in threads took for somebody, however it ended: whoever owns the job charges it at the end."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.spent_ns = 0

    async def run(self, work: Callable[[], T]) -> T:
        def timed() -> T:
            started = time.thread_time_ns()
            try:
                return work()
            finally:
                self.spent_ns += time.thread_time_ns() - started

        return await self._workers.run(timed)
