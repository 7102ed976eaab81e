"""Reads of the state that would hold the event loop: in a few threads, and the costly ones one at a time.

What reads the whole state (invariants, a tally) is done once for all who ask for the same meanwhile, never two at once,
and is given up when nobody waits any more: a client that leaves, or whose time is over, leaves no work. After such
a reading the next waits several times as long, so that together they take a small part of a core. The others have a
quarter of a core: whoever asks without a pause waits, and the loop does not wait for the interpreter.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from consensus.p2p.conn.budget import CpuShare
from dchat.app.queries import Abandoned

THREADS: Final = 2  # each holds the interpreter as long as it runs Python: more would not read more
COSTLY_PAUSE: Final = 9  # times the time that a costly one took: a tenth of a core
COSTLY_PAUSE_S_MAX: Final = 20.0  # below what clients wait for an answer
SHARE_PERCENT: Final = 25  # of a core, for what is not costly
BURST_MS: Final = 250  # of work that is done at once
LOOK_S: Final = 0.05

T = TypeVar("T")
IsWanted = Callable[[], bool]


class _Job:
    def __init__(self) -> None:
        self.waiters = 0
        self.is_wanted = True
        self.answer: asyncio.Future[Any]


class Reading:
    """`close` when nobody asks any more. time_s, work_ns: a monotonic clock, and the calling thread's CPU time."""

    def __init__(
        self, *, time_s: Callable[[], float] = time.monotonic, work_ns: Callable[[], int] = time.thread_time_ns
    ) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "reads")
        self._costly = ThreadPoolExecutor(1, "costly reads")
        self._jobs: dict[Hashable, _Job] = {}
        self.started = 0  # costly ones
        self._turns = asyncio.Semaphore(THREADS)  # first come, first served; who leaves while it waits leaves no work
        self._share = CpuShare(SHARE_PERCENT, BURST_MS, time_s)
        self._took_ns: deque[int] = deque()  # by threads, not yet charged
        self._work_ns = work_ns
        self._next_s = 0.0  # monotonic: when the next costly one may begin

    async def run(self, work: Callable[[], T]) -> T:
        """`work`, in a thread, when it is its turn. One that has not begun when its caller leaves never does."""
        async with self._turns:
            if wait_s := self._wait_s():
                await asyncio.sleep(wait_s)
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._timed, work)

    def _wait_s(self) -> float:
        while self._took_ns:
            self._share.spend(self._took_ns.popleft())
        return self._share.wait_s()

    def _timed(self, work: Callable[[], T]) -> T:
        began_ns = self._work_ns()
        try:
            return work()
        finally:
            self._took_ns.append(self._work_ns() - began_ns)

    async def shared(self, key: Hashable, work: Callable[[IsWanted], T]) -> T:
        """`work`, or what somebody else's of the same key, that still runs, answers. It asks now and then whether it
        is wanted, and raises Abandoned when not."""
        job = self._jobs.get(key)
        if job is None or not job.is_wanted:
            job = self._start(key, work)
        job.waiters += 1
        try:
            answer: T = await asyncio.shield(job.answer)
            return answer
        finally:
            job.waiters -= 1
            if not job.waiters:
                job.is_wanted = False  # harmless when it is done
                if self._jobs.get(key) is job:
                    del self._jobs[key]

    def _start(self, key: Hashable, work: Callable[[IsWanted], Any]) -> _Job:
        job = _Job()

        def do() -> Any:
            self._pause(lambda: job.is_wanted)
            if not job.is_wanted:
                raise Abandoned
            self.started += 1
            began = time.thread_time()
            try:
                return work(lambda: job.is_wanted)
            finally:
                took_s = time.thread_time() - began
                self._next_s = time.monotonic() + min(took_s * COSTLY_PAUSE, COSTLY_PAUSE_S_MAX)

        job.answer = asyncio.get_running_loop().run_in_executor(self._costly, do)
        job.answer.add_done_callback(_look)
        self._jobs[key] = job
        return job

    def _pause(self, is_wanted: IsWanted) -> None:
        """In the costly ones' thread: until the next may begin, or nobody wants it any more."""
        while is_wanted() and (left_s := self._next_s - time.monotonic()) > 0:
            time.sleep(min(left_s, LOOK_S))

    async def close(self) -> None:
        """Returns when no thread reads any more: then the databases may be closed."""
        for job in self._jobs.values():
            job.is_wanted = False
        for threads in (self._threads, self._costly):
            threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._wait)

    def _wait(self) -> None:
        self._threads.shutdown()
        self._costly.shutdown()


def _look(answer: asyncio.Future[Any]) -> None:
    """An error that nobody waits for is nobody's."""
    if not answer.cancelled():
        answer.exception()
