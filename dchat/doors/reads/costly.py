"""Costly reads: what reads the whole state (invariants, a tally) is done once for all who ask for the same meanwhile,
never two at once, and is given up when nobody waits any more: a client that leaves, or whose time is over, leaves no
work. After such a reading the next waits several times as long, so that together they take a small part of a core.
Which is next is chosen when it may begin: the oldest of the client that used least.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from dchat.app.errors import Abandoned
from dchat.doors.reads.turns import Use, Waiting

COSTLY_PAUSE: Final = 9  # times the time that a costly one took: a tenth of a core
COSTLY_PAUSE_S_MAX: Final = 20.0  # below what clients wait for an answer
COSTLY_WAITING_MAX: Final = 32  # calls; of a client outside 8

T = TypeVar("T")
IsWanted = Callable[[], bool]


class Job:
    """One reading, and who waits for it."""

    def __init__(self, key: Hashable, work: Callable[[IsWanted], Any], answer: asyncio.Future[Any]) -> None:
        self.key, self.work, self.answer = key, work, answer
        self.waiters: Counter[str] = Counter()  # by client
        self.is_wanted = True


class Costly:
    """`close` when nobody asks any more."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "costly reads")
        self.jobs: dict[Hashable, Job] = {}  # that somebody waits for, the running one too
        self.started = 0
        self._running: Job | None = None
        self._next_s = 0.0  # monotonic: when the next one may begin
        self._timer: asyncio.TimerHandle | None = None
        self._use, self._waiting = Use(), Waiting("costly reads", COSTLY_WAITING_MAX)
        self._is_closed = False

    async def run(self, key: Hashable, work: Callable[[IsWanted], T], client: str) -> T:
        """`work`, or what somebody else's of the same key, that is not done, answers. Raises Busy, and after `close`
        Abandoned."""
        if self._is_closed:
            raise Abandoned
        with self._waiting.hold(client):
            job = self.jobs.get(key)
            if job is None:
                answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
                job = self.jobs[key] = Job(key, work, answer)
            self._use.came(client, {one for other in self.jobs.values() for one in other.waiters})
            job.waiters[client] += 1
            self._begin()
            try:
                found: T = await asyncio.shield(job.answer)
                return found
            finally:
                self._left(job, client)

    def _left(self, job: Job, client: str) -> None:
        job.waiters[client] -= 1
        if not job.waiters[client]:
            del job.waiters[client]
        if not job.waiters:
            job.is_wanted = False  # harmless when it is done
            self._forget(job)

    def _forget(self, job: Job) -> None:
        if self.jobs.get(job.key) is job:  # who asks from now on has it read anew
            del self.jobs[job.key]

    def _begin(self) -> None:
        """The next one, when it may begin."""
        if self._running is not None or self._timer is not None or not self.jobs or self._is_closed:
            return
        left_s = self._next_s - time.monotonic()
        if left_s > 0:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._paused)
            return
        client = self._use.least(one for job in self.jobs.values() for one in job.waiters)
        job = next(job for job in self.jobs.values() if client in job.waiters)
        self._use.let_in(client)
        self._running = job
        self.started += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, _timed, job)
        done.add_done_callback(lambda done: self._over(job, client, done))

    def _paused(self) -> None:
        self._timer = None
        self._begin()

    def _over(self, job: Job, client: str, done: asyncio.Future[tuple[Any, BaseException | None, int]]) -> None:
        self._running = None
        self._forget(job)
        if done.cancelled():  # closed before it began
            job.answer.cancel()
            return
        answer, error, took_ns = done.result()
        self._use.add(client, took_ns)
        self._next_s = time.monotonic() + min(took_ns / 1e9 * COSTLY_PAUSE, COSTLY_PAUSE_S_MAX)
        if job.answer.done():
            pass
        elif error is None:
            job.answer.set_result(answer)
        else:
            job.answer.set_exception(error)
            job.answer.exception()  # one that nobody waits for is nobody's
        self._begin()

    async def close(self) -> None:
        """Returns when its thread reads no more. Who waits is given up."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for job in list(self.jobs.values()):
            job.is_wanted = False
            if job is not self._running:
                job.answer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(RuntimeError):
            await asyncio.to_thread(self._thread.shutdown)


def _timed(job: Job) -> tuple[Any, BaseException | None, int]:
    """In the thread: (the answer, or the error that ended it, CPU time in ns)."""
    began_ns = time.thread_time_ns()
    try:
        if not job.is_wanted:
            raise Abandoned
        return job.work(lambda: job.is_wanted), None, time.thread_time_ns() - began_ns
    except BaseException as error:
        return None, error, time.thread_time_ns() - began_ns
