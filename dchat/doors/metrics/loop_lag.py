"""How late the event loop is, and how long garbage collections hold it.

A timer that comes late shows what ran before it: one callback that held the loop (at most 3 ms is promised), many that
were due at once, or a machine with too few cores. The garbage collector's own pauses are measured apart.
Source: docs/operating.md, Is it well?
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Histogram
from prometheus_client.core import Metric

from dchat.doors.metrics.exposition import Registry, counter, gauge

TICK_S = 0.05  # 20 wake-ups a second cost about 0.1 % of a core
RECENT_TICKS = 200  # ten seconds: what a scrape every ten seconds must not miss
LAG_BUCKETS_S = (0.001, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0)


class LoopLag:
    """`run` measures until it is cancelled."""

    def __init__(self, registry: Registry, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._recent: deque[float] = deque(maxlen=RECENT_TICKS)
        self._histogram = Histogram(
            "dchat_loop_lag_seconds",
            "How late a timer of the event loop came.",
            buckets=LAG_BUCKETS_S,
            registry=registry.prometheus,
        )
        self.on_late: Callable[[float], None] = lambda seconds: None  # told of every tick, how late it was
        self._gc_started = self._gc_s = self._gc_longest_s = 0.0
        self._collections = 0
        registry.add(self._metrics)

    async def run(self) -> None:
        gc.callbacks.append(self._collected)
        try:
            while True:
                due = self._now() + TICK_S
                await asyncio.sleep(TICK_S)
                self.late(self._now() - due)
        finally:
            gc.callbacks.remove(self._collected)

    def late(self, seconds: float) -> None:
        """A timer came so late."""
        seconds = max(0.0, seconds)  # timers of the loop have whole milliseconds, and may come one early
        self._recent.append(seconds)
        self._histogram.observe(seconds)
        self.on_late(seconds)

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_started = self._now()
            return
        took = self._now() - self._gc_started
        self._collections += 1
        self._gc_s += took
        self._gc_longest_s = max(self._gc_longest_s, took)

    def _metrics(self) -> Iterator[Metric]:
        worst = max(self._recent, default=0.0)
        yield gauge("dchat_loop_lag_recent_max_seconds", "How late the latest timer of ten seconds came.", worst)
        yield counter("dchat_gc_pauses", "Collections of garbage.", self._collections)
        yield counter("dchat_gc_seconds", "Seconds in collections of garbage.", self._gc_s)
        yield gauge(
            "dchat_gc_longest_pause_seconds", "The longest collection of garbage since the start.", self._gc_longest_s
        )
