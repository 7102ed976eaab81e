"""Time, timers and worker threads as the engine is given them, so that the simulator can give its own.

Nothing in the engine reads a clock, sleeps or starts a thread but through these.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from consensus.system.pace import DiskPace, waited_ns

T = TypeVar("T")


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

    def wanted_ns(self) -> int:
        """CPU time that this thread used or was ready to use: through what passes, how busy it and the machine are."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Never before `delay_s` is over."""
        ...


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

    def wanted_ns(self) -> int:
        return time.thread_time_ns() + waited_ns()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(not_before(delay_s), callback)


def not_before(delay_s: float) -> float:
    """What to ask a loop for whose timers count whole milliseconds from the last that began (libuv's do): such a timer
    comes up to a millisecond early, and who then finds nothing due and sets it again does so thousands of times."""
    return math.ceil(delay_s * 1_000 + 1) / 1_000 if delay_s > 0 else 0


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

    Disk work runs in place as long as the disk is fast by its own time (pace.py), else in a thread.
    """

    def __init__(self, threads: int = 4, pace: DiskPace | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._inline = InlineWorkers()
        self._pace = pace or DiskPace()

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        pace = self._pace
        if pace.is_fast:
            watch = pace.start()
            done = self._inline.run(work)
            pace.ran_in_place(watch)
            return done

        def timed() -> T:
            watch = pace.start()
            try:
                return work()
            finally:
                pace.ran_in_thread(watch)

        return self.run(timed)

    def close(self) -> None:
        self._pool.shutdown()
