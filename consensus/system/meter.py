"""CPU time of pieces of work, for whoever is charged for them: nobody pays for a busy machine, and measuring costs less
than what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.system.clock import Clock

LOOK_NS: Final = 10_000_000  # so often the thread's CPU time is looked at, at most: each look is a call of the system
DOUBTFUL_NS: Final = 2_000_000  # what took longer may have been interrupted by others for long


class Meter:
    """CPU time of pieces of work, from two clocks in nanoseconds: `slice_ns` passes always and is read for next to
    nothing, `work_ns` is this thread's CPU time and a call of the system, twenty times as dear.

    A piece costs what passed, and where that is long no more than the thread has used since the last look at its
    time. So it never costs less than it used, and for an interruption at most `DOUBTFUL_NS`, or what the thread did in
    the `LOOK_NS` before it began.
    """

    __slots__ = ("_looked_ns", "_used_ns", "slice_ns", "work_ns")

    def __init__(self, work_ns: Callable[[], int], slice_ns: Callable[[], int]) -> None:
        self.work_ns, self.slice_ns = work_ns, slice_ns
        self._looked_ns = self._used_ns = 0

    @staticmethod
    def of(clock: Clock) -> Meter:
        return Meter(clock.work_ns, clock.monotonic_ns)

    def begin(self) -> int:
        """What `spent` wants."""
        now_ns = self.slice_ns()
        if now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns, self._used_ns = now_ns, self.work_ns()
        return now_ns

    def spent(self, began_ns: int) -> int:
        now_ns = self.slice_ns()
        ns = now_ns - began_ns
        if ns > DOUBTFUL_NS:
            used_ns = self.work_ns()
            ns = min(ns, used_ns - self._used_ns)
            self._looked_ns, self._used_ns = now_ns, used_ns
        return ns
