"""Time of a simulated node: a wall clock that may be wrong, and work that comes back late.

Threads, disks and the application's slices run whole at one moment of the simulated time, as they do one at a time in
the product; before and after it others go on, for as long as the seed says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from consensus.abci.interface import Slices
from consensus.formats.units import NS_PER_MS
from consensus.simulation.loop import VirtualLoop
from consensus.system.clock import Clock, InlineWorkers, Timer, Workers

T = TypeVar("T")

PPM = 10**6
START_NS = 1_700_000_000 * 10**9  # the simulated time 0


class Wall:
    """A machine's clock, over all lives of its node. `low_ns`, `high_ns`: how wrong it ever was when it was read."""

    def __init__(self, loop: VirtualLoop, *, off_ms: int, drift_ppm: int) -> None:
        self._loop, self._off_ns, self._drift_ppm = loop, off_ms * NS_PER_MS, drift_ppm
        self.low_ns = self.high_ns = self._off_ns

    def set_off(self, off_ms: int) -> None:
        """It jumps: from now on it is off by so much."""
        self._off_ns = off_ms * NS_PER_MS - self._drift_ns()
        self.off_ns()

    def _drift_ns(self) -> int:
        return int(self._loop.now_s * 1e9) * self._drift_ppm // PPM

    def off_ns(self) -> int:
        off_ns = self._off_ns + self._drift_ns()
        self.low_ns, self.high_ns = min(self.low_ns, off_ns), max(self.high_ns, off_ns)
        return off_ns


class SimClock:
    """The loop's time, and a wall clock that is off. skew_ms: by how much more, in this life."""

    def __init__(self, loop: VirtualLoop, wall: Wall, skew_ms: int) -> None:
        self._loop, self._wall, self._skew_ns = loop, wall, skew_ms * NS_PER_MS

    def now_ns(self) -> int:
        return START_NS + self.monotonic_ns() + self._wall.off_ns() + self._skew_ns

    def monotonic_ns(self) -> int:
        return int(self._loop.now_s * 1e9)

    def work_ns(self) -> int:
        """Work takes no time here."""
        return 0

    def wanted_ns(self) -> int:
        return 0

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return self._loop.call_later(delay_s, callback)


@dataclass(frozen=True, slots=True)
class Late:
    """How late what is handed to a thread comes back: up to `usual_ms`, and now and then up to `tail_ms`.

    tails_ppm: how often. slice_ms: how long others may go on between two slices of the application, at most.
    """

    usual_ms: int
    tail_ms: int
    tails_ppm: int
    slice_ms: int


class Delays:
    """What a seed says of one life's waits, in seconds. None: nothing is late."""

    def __init__(self, late: Late | None, rng: random.Random) -> None:
        self._late, self._rng = late, rng

    @property
    def is_late(self) -> bool:
        return self._late is not None

    def work_s(self) -> float:
        late, rng = self._late, self._rng
        assert late is not None
        if rng.randrange(PPM) < late.tails_ppm:
            return rng.uniform(0, late.tail_ms) / 1_000
        return rng.choice((0.0, rng.uniform(0, late.usual_ms))) / 1_000

    async def drive(self, slices: Slices[T]) -> T:
        """As consensus.execution.executor.drive, but others go on for a while between two slices."""
        try:
            while True:
                next(slices)
                await asyncio.sleep(self._slice_s())
        except StopIteration as done:
            answer: T = done.value
            return answer
        finally:
            slices.close()

    def _slice_s(self) -> float:
        late = self._late
        return 0.0 if late is None else self._rng.choice((0.0, self._rng.uniform(0, late.slice_ms))) / 1_000


class SimWorkers(InlineWorkers):
    """In place; or later, where work is late; disk work also where the disk is slow."""

    def __init__(self, rng: random.Random, slow_ms: Callable[[], int], delays: Delays) -> None:
        self._rng, self._slow_ms, self._delays = rng, slow_ms, delays

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        delays = self._delays
        before_s, after_s = (delays.work_s(), delays.work_s()) if delays.is_late else (0.0, 0.0)
        if not before_s and not after_s:
            return super().run(work)
        return asyncio.get_running_loop().create_task(_later(before_s, work, after_s))

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        slow_ms = self._slow_ms()
        if not slow_ms:
            return self.run(work)
        return asyncio.get_running_loop().create_task(_later(self._rng.uniform(0, slow_ms) / 1_000, work, 0.0))

    def close(self) -> None:
        pass


async def _later(before_s: float, work: Callable[[], T], after_s: float) -> T:
    """As a thread that gets its turn late, and whose answer is fetched late."""
    await asyncio.sleep(before_s)
    try:
        return work()
    finally:
        if after_s:
            await asyncio.sleep(after_s)


if TYPE_CHECKING:
    _clock: type[Clock] = SimClock
    _workers: type[Workers] = SimWorkers
