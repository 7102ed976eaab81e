"""Disk work is waited for in place while the disk is fast, and a busy machine is no slow disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from consensus.system.clock import LoopClock, ThreadWorkers
from consensus.system.pace import (
    FAST_AFTER,
    INLINE_MAX_NS,
    PROBE_AFTER,
    PROBE_AFTER_MAX,
    DiskPace,
    Watch,
)

SCHEDSTAT = Path("/proc/thread-self/schedstat")
FAST, SLOW = INLINE_MAX_NS // 10, 20 * INLINE_MAX_NS


class Told(Watch):
    """A job whose duration is told."""

    __slots__ = ("_took_ns",)

    def __init__(self, took_ns: int) -> None:
        super().__init__()
        self._took_ns = took_ns

    def disk_ns(self) -> int:
        return self._took_ns


@pytest.fixture
def workers() -> Iterator[tuple[ThreadWorkers, list[int]]]:
    """And what its next jobs take, forever the last."""
    durations = [FAST]

    def start() -> Watch:
        return Told(durations.pop(0) if len(durations) > 1 else durations[0])

    made = ThreadWorkers(1, DiskPace(start))
    yield made, durations
    made.close()


async def runs_in_place(workers: ThreadWorkers) -> bool:
    return await workers.run_disk(threading.get_ident) == threading.get_ident()


async def places(workers: ThreadWorkers, jobs: int) -> list[bool]:
    return [await runs_in_place(workers) for _ in range(jobs)]


async def test_a_fast_disk_is_waited_for_in_place(workers: tuple[ThreadWorkers, list[int]]) -> None:
    assert all(await places(workers[0], 100))


async def test_a_slow_disk_holds_the_loop_for_a_try_ever_more_seldom(
    workers: tuple[ThreadWorkers, list[int]],
) -> None:
    pool, durations = workers
    durations[:] = [SLOW]
    seen = await places(pool, 1_200)
    tried = [at for at, in_place in enumerate(seen) if in_place]
    assert tried[0] == 0
    gaps = [b - a - 1 for a, b in pairwise(tried)]
    assert gaps == [min(PROBE_AFTER << number, PROBE_AFTER_MAX) for number in range(1, len(gaps) + 1)]


async def test_one_slow_job_among_fast_ones_changes_nothing(workers: tuple[ThreadWorkers, list[int]]) -> None:
    pool, durations = workers
    durations[:] = [FAST, FAST, 7 * INLINE_MAX_NS, FAST]
    assert all(await places(pool, 100))


async def test_a_disk_that_is_fast_again_is_waited_for_in_place_again(
    workers: tuple[ThreadWorkers, list[int]],
) -> None:
    pool, durations = workers
    durations[:] = [SLOW]
    assert not all(await places(pool, 10))
    durations[:] = [FAST]
    seen = await places(pool, 2 * FAST_AFTER)
    assert not seen[0]
    assert all(seen[FAST_AFTER:])


@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="this system does not count what threads wait for a CPU")
def test_waiting_for_a_cpu_is_no_disk_time() -> None:
    """A thread that computes shares a CPU with others of this machine: none of it is the disk's."""

    def compute() -> Sequence[int]:
        return [hash(str(number)) for number in range(200_000)]

    shares = []
    for _ in range(5):  # what the host takes of a virtual machine is counted nowhere: the best of some
        watch, started = Watch(), time.monotonic_ns()
        compute()
        shares.append(watch.disk_ns() / (time.monotonic_ns() - started))
    assert min(shares) < 0.5, shares


def test_waiting_for_something_else_is() -> None:
    found = []
    for _ in range(5):  # who loses the CPU between a watch's two readings is told less: the most of some
        watch = Watch()
        threading.Event().wait(0.02)  # as for a disk
        found.append(watch.disk_ns())
    assert max(found) >= 10_000_000, found


async def test_an_error_of_a_job_is_the_callers_in_place_and_in_a_thread(
    workers: tuple[ThreadWorkers, list[int]],
) -> None:
    pool, durations = workers

    def fails() -> None:
        raise OSError("no room")

    for durations[:] in ([FAST], [SLOW], [SLOW]):
        with pytest.raises(OSError, match="no room"):
            await pool.run_disk(fails)


def test_what_a_thread_wants_of_a_processor_is_what_it_used_at_least() -> None:
    clock, began_ns = LoopClock(), time.thread_time_ns()
    before_ns = clock.wanted_ns()
    while time.thread_time_ns() - began_ns < 2_000_000:
        pass
    assert clock.wanted_ns() - before_ns >= 1_000_000
    assert before_ns >= began_ns
