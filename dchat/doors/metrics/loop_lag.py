"""How late the event loop is, and how long garbage collections hold it.

A timer that comes late shows what ran before it: one callback that held the loop (at most 3 ms is promised), many that
were due at once, or a process that was not run at all: stopped, frozen with its machine, without a core. A thread that
does nothing but wake tells the last from the others: it is late only with the whole process. The garbage collector's
own pauses are measured apart. Source: docs/operating.md, Is it well?
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Histogram
from prometheus_client.core import Metric

from dchat.doors.metrics.exposition import Registry, counter, gauge

TICK_S = 0.05  # 20 wake-ups a second cost about 0.1 % of a core
RECENT_TICKS = 200  # ten seconds: what a scrape every ten seconds must not miss
GAPS_MAX = 16
GAP_LEAST_S = 0.05
LAG_BUCKETS_S = (0.001, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0)


class Pulse:
    """A thread that wakes as often as the loop's timer, and notes when it could not.

    What holds the loop (a call that does not return, a disk) leaves it alone; Python code that keeps the interpreter's
    lock does so for no longer than its switch interval at a time.
    """

    def __init__(self, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._last = now()
        self._gaps: tuple[tuple[float, float], ...] = ()  # (until, seconds) of the latest; replaced, never changed

    def start(self) -> None:
        self._is_over.clear()
        self._last = self._now()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()
            self._thread = None

    def not_run_s(self, seconds: float) -> float:
        """For how long at once this process did not run in the last `seconds`; at most those."""
        now = self._now()
        since = [until_s for until, until_s in self._gaps if until > now - seconds]
        return min(seconds, max(now - self._last - TICK_S, 0.0, *since))

    def beat(self) -> None:
        now = self._now()
        if (late_s := now - self._last - TICK_S) >= GAP_LEAST_S:
            self._gaps = (*self._gaps[-GAPS_MAX + 1 :], (now, late_s))
        self._last = now

    def _run(self) -> None:
        while not self._is_over.wait(TICK_S):
            self.beat()


class LoopLag:
    """`run` measures until it is cancelled."""

    def __init__(
        self, registry: Registry, *, now: Callable[[], float] = time.perf_counter, pulse: Pulse | None = None
    ) -> None:
        self._now = now
        self._pulse = Pulse(now=now) if pulse is None else pulse
        self._recent: deque[float] = deque(maxlen=RECENT_TICKS)
        self._histogram = Histogram(
            "dchat_loop_lag_seconds",
            "How late a timer of the event loop came.",
            buckets=LAG_BUCKETS_S,
            registry=registry.prometheus,
        )
        # Told of every tick: how late it was, and for how much of that the process did not run.
        self.on_late: Callable[[float, float], None] = lambda late_s, not_run_s: None
        self._not_run_total_s = 0.0
        self._gc_started = self._gc_s = self._gc_longest_s = 0.0
        self._collections = 0
        registry.add(self._metrics)

    async def run(self) -> None:
        gc.callbacks.append(self._collected)
        self._pulse.start()
        try:
            while True:
                due = self._now() + TICK_S
                await asyncio.sleep(TICK_S)
                self.late(self._now() - due)
        finally:
            gc.callbacks.remove(self._collected)
            self._pulse.stop()

    def late(self, seconds: float) -> None:
        """A timer came so late."""
        seconds = max(0.0, seconds)  # timers of the loop have whole milliseconds, and may come one early
        self._recent.append(seconds)
        self._histogram.observe(seconds)
        not_run_s = self._pulse.not_run_s(seconds) if seconds >= GAP_LEAST_S else 0.0
        self._not_run_total_s += not_run_s
        self.on_late(seconds, not_run_s)

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
        yield counter(
            "dchat_process_not_run_seconds",
            "Seconds in which this process was not run, of stretches of 0.05 s and more: stopped, or without a core.",
            self._not_run_total_s,
        )
        yield counter("dchat_gc_pauses", "Collections of garbage.", self._collections)
        yield counter("dchat_gc_seconds", "Seconds in collections of garbage.", self._gc_s)
        yield gauge(
            "dchat_gc_longest_pause_seconds", "The longest collection of garbage since the start.", self._gc_longest_s
        )
