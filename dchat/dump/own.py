"""The node's side: on SIGUSR1 it writes where each of its threads is, on SIGUSR2 what tasks its loop has.

The first needs no loop: it is written below Python, also while the loop is held, which is when it is wanted most. The
second needs the loop's turn. Both files are in HOME/data/dump, of mode 0600; no values are in them, only places of the
program. Who may signal a process is its user or root: there is no door for it.
Source: faulthandler.register of Python; CometBFT v0.38 cmd/cometbft/commands/debug for what is asked for.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

import structlog

from consensus.system.files import replace_durably

THREADS: Final = "threads.txt"
TASKS: Final = "tasks.json"
TASKS_MAX: Final = 2_000
FRAMES_MAX: Final = 12
THREADS_SIGNAL: Final = signal.SIGUSR1
TASKS_SIGNAL: Final = signal.SIGUSR2

log = structlog.get_logger(__name__)


class OwnDump:
    """Hears the two signals from `arm` to `close`. folder: HOME/data/dump."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads: TextIO | None = None

    def arm(self) -> None:
        """In the running loop's main thread. A disk that refuses leaves the node without it, and says so."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            self._threads = os.fdopen(os.open(self._folder / THREADS, flags, 0o600), "w")
        except OSError as error:
            log.warning("this process will not tell where its threads are", error=str(error))
        else:
            faulthandler.register(THREADS_SIGNAL, file=self._threads, all_threads=True, chain=False)
        asyncio.get_running_loop().add_signal_handler(TASKS_SIGNAL, self._write_tasks)

    def close(self) -> None:
        faulthandler.unregister(THREADS_SIGNAL)
        signal.signal(THREADS_SIGNAL, signal.SIG_IGN)  # who asks a process that ends must not kill it
        if self._threads is not None:
            self._threads.close()

    def _write_tasks(self) -> None:
        try:
            path = self._folder / TASKS
            replace_durably(path, json.dumps(tasks_json(asyncio.get_running_loop()), indent=1))
        except OSError as error:
            log.warning("what tasks there are could not be written", error=str(error))


def tasks_json(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """Every task's name and stack, the innermost frame last: file, line, function, no values."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return {
        "pid": os.getpid(),
        "time": round(time.time(), 3),
        "loop": type(loop).__module__,
        "threads": threading.active_count(),
        "objects_by_generation": list(gc.get_count()),
        "tasks_in_all": len(tasks),
        "tasks": [_task_json(task) for task in tasks[:TASKS_MAX]],
    }


def _task_json(task: asyncio.Task[Any]) -> dict[str, Any]:
    return {"name": task.get_name(), "at": [_place(frame) for frame in _frames(task)]}


def _frames(task: asyncio.Task[Any]) -> list[FrameType]:
    """From the task's coroutine down to what it waits for: `Task.get_stack` stops at the first."""
    found: list[FrameType] = []
    waited: Any = task.get_coro()
    while waited is not None and len(found) < FRAMES_MAX:
        frame = getattr(waited, "cr_frame", None) or getattr(waited, "gi_frame", None)
        if frame is not None:
            found.append(frame)
        waited = getattr(waited, "cr_await", None) or getattr(waited, "gi_yieldfrom", None)
    return found


def _place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return f"{'/'.join(path.parts[-3:])}:{frame.f_lineno} {frame.f_code.co_qualname}"
