"""A running process is asked where it is: by its signals, and by its HTTP door.

A signal that a program does not hear ends it: nothing is sent before the kernel says that this one hears it.
Source: proc(5), SigCgt and TracerPid of /proc/PID/status, the state in /proc/PID/stat.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from dchat.dump.own import TASKS, TASKS_SIGNAL, THREADS, THREADS_SIGNAL
from dchat.home.home import Home

NOBODY: Final = "no process runs on this home"
WAIT_S: Final = 5.0
POLL_S: Final = 0.02
THREADS_BYTES_MAX: Final = 4 << 20
TASKS_BYTES_MAX: Final = 8 << 20
SAMPLE_S: Final = 0.05  # between two looks of a profile
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]+)", line \d+ in (?P<function>.+)$')


class NotTold(Exception):
    """The process did not say it: why."""


def running_pid(home: Home) -> int | None:
    """Of the node that holds this home; None: none does, or the home cannot be looked into."""
    try:
        with home.pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read(32).strip()
            else:
                return None
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) > 1 else None


def why_stopped(pid: int) -> str:
    """Of a process that the kernel gives no turn: it has its ports, and answers nobody. Empty: it runs, or is gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]  # its name may hold a bracket
        told = Path(f"/proc/{pid}/status").read_text()
    except (OSError, IndexError):
        return ""
    if state == "T":
        return f"the process {pid} is stopped (T): kill -CONT {pid} lets it go on"
    tracer = re.search(r"^TracerPid:\s*(\d+)$", told, re.MULTILINE)
    if state == "t" and tracer is not None:  # SIGCONT does not end this one
        return f"the process {pid} is stopped (t) by a debugger, process {tracer[1]}: it goes on when that one ends"
    return ""


class Process:
    """One that runs on `home`. Raises NotTold: it does not hear, or not in time."""

    def __init__(self, home: Home, pid: int) -> None:
        self._folder, self._pid = home.dump, pid

    def threads(self) -> str:
        """Where each thread is, the innermost frame first, as faulthandler writes it."""
        path = self._folder / THREADS
        self._must_hear(THREADS_SIGNAL)
        try:
            os.truncate(path, 0)
            self._signal(THREADS_SIGNAL)
            return self._grown(path)
        except OSError as error:
            raise NotTold(f"{path}: {error.strerror or error}") from None

    def tasks(self) -> dict[str, Any]:
        """What its loop has, once it has a turn for it."""
        path = self._folder / TASKS
        self._must_hear(TASKS_SIGNAL)
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            self._signal(TASKS_SIGNAL)
            deadline = time.monotonic() + WAIT_S
            while not path.exists():
                if time.monotonic() > deadline:
                    held = f"its loop had no turn for it within {WAIT_S:g} s: see where its threads are"
                    raise NotTold(why_stopped(self._pid) or held)
                time.sleep(POLL_S)
            return dict(json.loads(path.read_bytes()[:TASKS_BYTES_MAX]))
        except (OSError, ValueError) as error:
            raise NotTold(f"{path}: {error}") from None

    def profile(self, seconds: float) -> dict[str, Any]:
        """Where its threads are, looked at again and again: stack -> how often, outermost frame first, most first."""
        counted: Counter[str] = Counter()
        looks, ends = 0, time.monotonic() + seconds
        while time.monotonic() < ends:
            counted.update(stacks_of(self.threads()))
            looks += 1
            time.sleep(SAMPLE_S)
        return {"seconds": seconds, "looks": looks, "stacks": dict(counted.most_common(500))}

    def _must_hear(self, number: signal.Signals) -> None:
        try:
            told = Path(f"/proc/{self._pid}/status").read_text()
        except OSError as error:
            raise NotTold(f"process {self._pid}: {error.strerror}") from None
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", told, re.MULTILINE)
        if caught is None or not int(caught[1], 16) >> (number - 1) & 1:
            raise NotTold(f"process {self._pid} does not hear {number.name}: it is of an older build, or just starting")

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            raise NotTold(f"process {self._pid} has ended") from None

    def _grown(self, path: Path) -> str:
        """What was written, when it has not grown for a moment."""
        deadline, before = time.monotonic() + WAIT_S, 0
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            size = path.stat().st_size
            if size and size == before:
                with path.open("rb") as file:
                    return file.read(THREADS_BYTES_MAX).decode(errors="replace")
            before = size
        raise NotTold(why_stopped(self._pid) or f"process {self._pid} wrote nothing within {WAIT_S:g} s")


def stacks_of(told: str) -> list[str]:
    """Of what faulthandler wrote: `outermost;...;innermost` of each thread."""
    found: list[str] = []
    frames: list[str] = []
    for line in [*told.splitlines(), ""]:
        if (frame := _FRAME.match(line)) is not None:
            frames.append(f"{'/'.join(Path(frame['file']).parts[-2:])}:{frame['function']}")
        elif frames:
            found.append(";".join(reversed(frames)))
            frames = []
    return found
