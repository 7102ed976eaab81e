"""How fast the disk is, whatever else the machine does.

A sync takes the disk's time, and then waits until this thread is run again. Only the first says whether the disk is
fast: on a busy machine the second is several times as long. Linux counts for each thread how long it was ready and did
not run; what is left of the time that passed, without that and without the CPU time, is the disk's (and the wait for
the interpreter, which is bounded by its switch interval).
Source: Linux, Documentation/scheduler/sched-stats.rst (/proc/PID/schedstat, second field).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

# The loop may be held for 3 ms; a disk that syncs faster than this is waited for in place, because handing the work
# to a thread costs a switch interval of the interpreter at every system call while the loop is busy.
INLINE_MAX_NS: Final = 1_500_000
SMOOTHING: Final = 8  # a measured duration weighs an eighth
FAST_AFTER: Final = 16  # jobs in threads whose fastest tells that the disk may be tried in place again
PROBE_AFTER: Final = 64  # where it does not tell, since the loop is busy; twice as many after each try that was slow
PROBE_AFTER_MAX: Final = 4_096


class _Waits(threading.local):
    """This thread's file of the scheduler's figures; -1: there is none."""

    def __init__(self) -> None:
        self.file = -1
        with contextlib.suppress(OSError):
            self.file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.file >= 0:
            os.close(self.file)


_waits = _Waits()


def waited_ns() -> int:
    """How long this thread was ready and not run so far; 0 where the system does not say."""
    if _waits.file < 0:
        return 0
    try:
        return int(os.pread(_waits.file, 64, 0).split()[1])
    except (OSError, ValueError, IndexError):
        return 0


class Watch:
    """Measures one job of this thread: `disk_ns` after it is the time that it waited for something else than a CPU."""

    __slots__ = ("_started", "_waited", "_worked")

    def __init__(self) -> None:
        self._waited, self._worked, self._started = waited_ns(), time.thread_time_ns(), time.monotonic_ns()

    def disk_ns(self) -> int:
        passed = time.monotonic_ns() - self._started
        return max(0, passed - (time.thread_time_ns() - self._worked) - (waited_ns() - self._waited))


class DiskPace:
    """Whether the disk is fast enough to be waited for in place, from the durations of jobs in place and in threads."""

    def __init__(self, start: Callable[[], Watch] = Watch) -> None:
        self.start = start
        self._in_place_ns = 0  # smoothed
        self._lock = threading.Lock()
        self._in_threads: deque[int] = deque(maxlen=FAST_AFTER)
        self._since_probe, self._probe_after = 0, PROBE_AFTER

    @property
    def is_fast(self) -> bool:
        return self._in_place_ns <= INLINE_MAX_NS

    def ran_in_place(self, watch: Watch) -> None:
        took_ns = watch.disk_ns()
        self._in_place_ns += (took_ns - self._in_place_ns) // SMOOTHING
        if took_ns <= INLINE_MAX_NS:
            self._probe_after = PROBE_AFTER
        elif not self.is_fast:
            self._probe_after = min(2 * self._probe_after, PROBE_AFTER_MAX)

    def ran_in_thread(self, watch: Watch) -> None:
        """Called in that thread, at the end of the job."""
        took_ns = watch.disk_ns()
        with self._lock:
            self._in_threads.append(took_ns)
            self._since_probe += 1
            looks_fast = len(self._in_threads) == FAST_AFTER and min(self._in_threads) <= INLINE_MAX_NS
            if looks_fast or self._since_probe >= self._probe_after:
                self._in_threads.clear()
                self._since_probe = 0
                self._in_place_ns = INLINE_MAX_NS  # one that is slow in place is one too many
