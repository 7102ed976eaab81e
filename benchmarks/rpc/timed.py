"""A validator that keeps how much CPU time each callback of its event loop took.

    python -m benchmarks.rpc.timed validator --home DIR

The product with a clock around asyncio's callbacks: on asyncio's own loop, since uvloop's lets nobody in between; what
runs in one go is the same on both. SIGUSR1: write into DIR/callbacks.json the longest since the last time, and begin
anew. CPU time of the thread, not wall time: on shared cores a process waits in the midst of anything, and that is no
fault of the callback.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from dchat.cli.main import main

FILE: Final = "callbacks.json"
KEPT_NS: Final = 2_000_000  # longer ones are named
LIMIT_NS: Final = 10_000_000
LONGEST: Final = 8
FRAMES: Final = 5  # of a coroutine's await chain, the innermost


class Clocked:
    """`begin` before the loop does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._gc_ns = self._gc_began_ns = 0
        self._clear()

    def _clear(self) -> None:
        self._count = self._used_ns = 0
        self._gc_longest = (0, 0)  # CPU ns, generation
        self._long: list[tuple[int, int, str]] = []  # CPU ns, those in the garbage collector, whose

    def begin(self) -> None:
        handles: Any = asyncio.Handle
        run = handles._run

        def clocked(handle: Any) -> None:
            collected, began = self._gc_ns, time.thread_time_ns()
            run(handle)
            took = time.thread_time_ns() - began
            self._count += 1
            self._used_ns += took
            if took > KEPT_NS:
                self._long.append((took, self._gc_ns - collected, name_of(handle)))

        handles._run = clocked
        loops: Any = uvloop
        loops.run = asyncio.run
        gc.callbacks.append(self._collected)
        signal.signal(signal.SIGUSR1, lambda *_: self._write())

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        now = time.thread_time_ns()
        if phase == "stop":
            self._gc_ns += now - self._gc_began_ns
            self._gc_longest = max(self._gc_longest, (now - self._gc_began_ns, info["generation"]))
        self._gc_began_ns = now

    def _write(self) -> None:
        """Own is what a callback took without the collector, whose pauses come into whatever runs."""
        own = sorted(((took - collected, collected, name) for took, collected, name in self._long), reverse=True)
        told = {
            "callbacks": self._count,
            "cpu_ms": self._used_ns / 1e6,
            "gc_longest_ms": self._gc_longest[0] / 1e6,
            "gc_generation": self._gc_longest[1],
            "over_10_ms": sum(took > LIMIT_NS for took, _, _ in own),
            "longest": [{"own_ms": took / 1e6, "gc_ms": ns / 1e6, "name": name} for took, ns, name in own[:LONGEST]],
        }
        self._clear()
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.replace(self._file)


def name_of(handle: Any) -> str:
    """Of a task: where its coroutine stands now, after the step."""
    callback: Any = handle._callback
    owner = getattr(callback, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        return str(getattr(callback, "__qualname__", callback))
    coroutine: Any = owner.get_coro()
    names = []
    while coroutine is not None:
        names.append(getattr(coroutine, "__qualname__", type(coroutine).__name__))
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return f"{owner.get_name()}: {' > '.join(names[-FRAMES:])}"


def ask(pid: int, home: Path) -> dict[str, Any]:
    """What such a process has kept since it was last asked. Raises TimeoutError."""
    file = home / FILE
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} does not write {file}")
        time.sleep(0.02)
    return dict(json.loads(file.read_text()))


if __name__ == "__main__":
    Clocked(Path(sys.argv[sys.argv.index("--home") + 1]) / FILE).begin()
    main()
