"""Time, timers and worker threads as the engine is given them, so that the simulator can give its own.

Nothing in the engine reads a clock, sleeps or starts a thread but through these.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

# The loop may be held for 3 ms; a disk that syncs faster than this is waited for in place, because handing the work
# to a thread costs a switch interval of the interpreter at every system call while the loop is busy.
INLINE_MAX_NS: Final = 1_500_000
PROBE_EVERY: Final = 64  # jobs in threads after which the disk is tried in place again
SMOOTHING: Final = 8  # a measured duration weighs an eighth


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def now_ns(self) -> int:
        """Wall-clock time: for timestamps."""
        ...

    def monotonic_ns(self) -> int:
        """For durations."""
        ...

    def work_ns(self) -> int:
        """CPU time of this thread: for what somebody is charged for. Nobody pays for a busy machine."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer: ...


class Workers(Protocol):
    """Where what blocks runs."""

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        """Computation that releases the interpreter, like batches of signature checks."""
        ...

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        """A few synced writes."""
        ...


class LoopClock:
    """The running event loop's."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def work_ns(self) -> int:
        return time.thread_time_ns()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay_s, callback)


def steady_clock() -> Callable[[], int]:
    """Nanoseconds since the epoch as they are now, and what passed since: whoever sets the machine's clock meanwhile,
    durations between two of its times are true."""
    apart_ns = time.time_ns() - time.monotonic_ns()
    return lambda: apart_ns + time.monotonic_ns()


class InlineWorkers:
    """Runs the work at once, on the caller's thread: for the simulator, where nothing blocks."""

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        return self.run(work)


class ThreadWorkers:
    """A small pool of threads. Close it after everything that uses it has stopped.

    Disk work runs in place as long as the disk is fast (INLINE_MAX_NS on average), else in a thread.
    """

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._inline = InlineWorkers()
        self._disk_ns = 0  # smoothed duration of disk work done in place
        self._since_probe = 0

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        if self._disk_ns > INLINE_MAX_NS and self._since_probe < PROBE_EVERY:
            self._since_probe += 1
            return self.run(work)
        self._since_probe = 0
        started = time.monotonic_ns()
        done = self._inline.run(work)
        self._disk_ns += (time.monotonic_ns() - started - self._disk_ns) // SMOOTHING
        return done

    def close(self) -> None:
        self._pool.shutdown()
