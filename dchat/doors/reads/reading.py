"""Reads of the state that would hold the event loop: in a few threads, and the costly ones one at a time.

What reads the whole state (invariants, a tally) is done once for all who ask for the same meanwhile, never two at once,
and is given up when nobody waits any more: a client that leaves, or whose time is over, leaves no work. After such
a reading the next waits several times as long, so that together they take a small part of a core. The others have a
quarter of a core: whoever asks without a pause waits, and the loop does not wait for the interpreter. Among clients
it is the turn of who used least of it, so that one who asks for much waits behind those who ask for little.
Source: Goyal, Vin and Cheng, Start-time fair queuing (1996).
"""

from __future__ import annotations

import asyncio
import contextlib
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

REMEMBERED_MAX: Final = 1_024  # clients whose use is known while they do not wait

T = TypeVar("T")
IsWanted = Callable[[], bool]


class _Job:
    def __init__(self) -> None:
        self.waiters = 0
        self.is_wanted = True
        self.answer: asyncio.Future[Any]


class _Turns:
    """So many at once, and then the client that used least; of one client first come, first served.

    Who leaves while it waits leaves nothing. A client that comes anew begins at what the last one that was let in
    had used: it has saved up nothing, and owes nothing.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._used_ns: dict[str, int] = {}
        self._now_ns = 0  # what the last one that was let in had used

    async def enter(self, client: str) -> None:
        used = max(self._used_ns.pop(client, 0), self._now_ns)
        self._used_ns[client] = used
        if len(self._used_ns) > REMEMBERED_MAX:
            forgotten = next((one for one in self._used_ns if one not in self._waiting), client)
            del self._used_ns[forgotten]
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come
                self.leave()
            raise

    def used(self, client: str, took_ns: int) -> None:
        self._used_ns[client] = self._used_ns.get(client, self._now_ns) + took_ns

    def leave(self) -> None:
        while self._waiting:
            client = min(self._waiting, key=lambda one: self._used_ns.get(one, 0))
            queue = self._waiting[client]
            turn = queue.popleft()
            if not queue:
                del self._waiting[client]
            if not turn.done():
                self._now_ns = max(self._now_ns, self._used_ns.get(client, 0))
                turn.set_result(None)
                return
        self._free += 1


class Reading:
    """`close` when nobody asks any more. time_s, work_ns: a monotonic clock, and the calling thread's CPU time."""

    def __init__(
        self, *, time_s: Callable[[], float] = time.monotonic, work_ns: Callable[[], int] = time.thread_time_ns
    ) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "reads")
        self._costly = ThreadPoolExecutor(1, "costly reads")
        self._jobs: dict[Hashable, _Job] = {}
        self.started = 0  # costly ones
        self._turns = _Turns(THREADS)
        self._share = CpuShare(SHARE_PERCENT, BURST_MS, time_s)
        self._took_ns: deque[tuple[str, int]] = deque()  # by threads, not yet charged
        self._work_ns = work_ns
        self._next_s = 0.0  # monotonic: when the next costly one may begin

    async def run(self, work: Callable[[], T], client: str) -> T:
        """`work`, in a thread, when it is `client`'s turn. One that has not begun when its caller leaves never does."""
        await self._turns.enter(client)
        try:
            if wait_s := self._wait_s():
                await asyncio.sleep(wait_s)
            done = self._threads.submit(self._timed, work, client)
        except BaseException:
            self._turns.leave()
            raise
        loop = asyncio.get_running_loop()
        done.add_done_callback(lambda _: self._told(loop))  # a thread is busy also where its caller has left
        return await asyncio.wrap_future(done)

    def _told(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._over)

    def _over(self) -> None:
        self._charge()
        self._turns.leave()

    def _wait_s(self) -> float:
        self._charge()
        return self._share.wait_s()

    def _charge(self) -> None:
        while self._took_ns:
            client, took_ns = self._took_ns.popleft()
            self._share.spend(took_ns)
            self._turns.used(client, took_ns)

    def _timed(self, work: Callable[[], T], client: str) -> T:
        began_ns = self._work_ns()
        try:
            return work()
        finally:
            self._took_ns.append((client, self._work_ns() - began_ns))

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
