"""The loop's lag and the collector's pauses are in the metrics, as they were."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time

import pytest

from dchat.doors.metrics.exposition import Registry
from dchat.doors.metrics.loop_lag import RECENT_TICKS, TICK_S, LoopLag, Pulse


def sample(registry: Registry, name: str) -> float:
    page = registry.render()[0].decode()
    (value,) = [line.rpartition(" ")[2] for line in page.splitlines() if line.rpartition(" ")[0] == name]
    return float(value)


def test_lateness_is_counted_by_size_and_the_worst_of_ten_seconds_is_told() -> None:
    registry = Registry()
    lag = LoopLag(registry)
    for seconds in (-0.0004, 0.0005, 0.002, 0.004, 0.25):
        lag.late(seconds)
    assert sample(registry, 'dchat_loop_lag_seconds_bucket{le="0.001"}') == 2
    assert sample(registry, 'dchat_loop_lag_seconds_bucket{le="0.003"}') == 3
    assert sample(registry, 'dchat_loop_lag_seconds_bucket{le="+Inf"}') == 5
    assert sample(registry, "dchat_loop_lag_recent_max_seconds") == 0.25
    for _ in range(RECENT_TICKS):
        lag.late(0.001)
    assert sample(registry, "dchat_loop_lag_recent_max_seconds") == 0.001


async def test_it_runs_hears_collections_and_leaves_nothing_behind() -> None:
    registry = Registry()
    lag = LoopLag(registry)
    before = list(gc.callbacks)
    task = asyncio.create_task(lag.run())
    async with asyncio.timeout(10):
        while not sample(registry, "dchat_loop_lag_seconds_count"):  # noqa: ASYNC110  # figures set no event
            await asyncio.sleep(0)
    gc.collect()
    assert sample(registry, "dchat_gc_pauses_total") >= 1
    assert sample(registry, "dchat_gc_longest_pause_seconds") > 0
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert gc.callbacks == before


async def test_a_loop_that_is_held_is_told_from_a_process_that_is_not_run() -> None:
    lag = LoopLag(Registry())
    told: list[tuple[float, float]] = []
    lag.on_late = lambda late_s, not_run_s: told.append((late_s, not_run_s))
    task = asyncio.create_task(lag.run())
    deadline = time.monotonic() + 60
    while not any(late_s > 0.08 and 2 * not_run_s < late_s for late_s, not_run_s in told):
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.01)
        time.sleep(0.15)  # noqa: ASYNC251  # what is shown is the hold itself; threads go on
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not [thread for thread in threading.enumerate() if thread.name == "pulse"]


def test_a_process_that_was_not_run_is_noted_before_and_after_the_thread_woke() -> None:
    now = 100.0
    pulse = Pulse(now=lambda: now)
    now = 102.0
    assert pulse.not_run_s(2.0) == pytest.approx(2.0 - TICK_S)  # the loop came first
    assert pulse.not_run_s(0.5) == 0.5
    pulse.beat()
    assert pulse.not_run_s(2.0) == pytest.approx(2.0 - TICK_S)
    now = 102.0 + TICK_S
    pulse.beat()
    assert pulse.not_run_s(TICK_S / 2) == 0.0
