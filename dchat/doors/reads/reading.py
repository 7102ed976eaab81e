"""Reads of the state that would hold the event loop: in a few threads, and the costly ones one at a time (`costly.py`).

They have a quarter of a core: whoever asks without a pause waits, and the loop does not wait for the interpreter. Among
clients it is the turn of who used least of it (`turns.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from consensus.p2p.conn.budget import CpuShare
from dchat.doors.reads.costly import Costly, IsWanted
from dchat.doors.reads.turns import Turns, Waiting

THREADS: Final = 2  # each holds the interpreter as long as it runs Python: more would not read more
OVERDUE: Final = 2  # times what brings a collection: more is not put off for a reader
SHARE_PERCENT: Final = 25  # of a core, for what is not costly
BURST_MS: Final = 250  # of work that is done at once
WAITING_MAX: Final = 256  # calls; of a client outside 64

T = TypeVar("T")


class _Uncollected:
    """Who keeps the collector from beginning now."""

    lock = threading.Lock()
    depth = 0
    was_enabled = True


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection begins meanwhile, in any thread.

    For what is made by the thousand of somebody else's bytes, and is gone again at the end: it counts as what the node
    itself made, and twenty such bodies would bring a collection of all that is young, which holds the loop.
    Unless one is long due: bodies that follow each other without a gap would put it off until it holds the loop for ten
    times as long.
    """
    with _Uncollected.lock:
        if not _Uncollected.depth:
            _Uncollected.was_enabled = gc.isenabled()
        _Uncollected.depth += 1
        if gc.get_count()[0] < OVERDUE * gc.get_threshold()[0]:
            gc.disable()
        elif _Uncollected.was_enabled:
            gc.enable()
    try:
        yield
    finally:
        with _Uncollected.lock:
            _Uncollected.depth -= 1
            if not _Uncollected.depth and _Uncollected.was_enabled:
                gc.enable()


class Reading:
    """`close` when nobody asks any more. time_s, work_ns: a monotonic clock, and the calling thread's CPU time."""

    def __init__(
        self, *, time_s: Callable[[], float] = time.monotonic, work_ns: Callable[[], int] = time.thread_time_ns
    ) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "reads")
        self.costly = Costly()
        self._turns, self._waiting = Turns(THREADS), Waiting("reads", WAITING_MAX)
        self._share = CpuShare(SHARE_PERCENT, BURST_MS, time_s)
        self._took_ns: deque[tuple[str, int]] = deque()  # by threads, not yet charged
        self._work_ns = work_ns

    async def run(self, work: Callable[[], T], client: str) -> T:
        """`work`, in a thread, when it is `client`'s turn. One that has not begun when its caller leaves never does.
        Raises Busy."""
        with self._waiting.hold(client):
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
            self._turns.use.add(client, took_ns)

    def _timed(self, work: Callable[[], T], client: str) -> T:
        began_ns = self._work_ns()
        try:
            return work()
        finally:
            self._took_ns.append((client, self._work_ns() - began_ns))

    async def shared(self, key: Hashable, work: Callable[[IsWanted], T], client: str) -> T:
        """`work` when it is `client`'s turn, or what somebody else's of the same key, that is not done, answers. It
        asks now and then whether it is wanted, and raises Abandoned when not. Raises Busy."""
        return await self.costly.run(key, work, client)

    async def close(self) -> None:
        """Returns when no thread reads any more: then the databases may be closed."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self.costly.close()
        await asyncio.to_thread(self._threads.shutdown)
