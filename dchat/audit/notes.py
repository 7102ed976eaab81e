"""What a node notes in its audit log while it runs: written in order by a thread of its own, so that no process that
holds the file, and no slow disk, stops the loop.

A line has the time at which it was noted. While another process holds the file the lines wait, as many as are allowed;
what could not be written by the end is told in the log of the node, line by line.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import structlog

from dchat.audit.trail import AuditError, AuditHeld, Trail

WAITING_MAX: Final = 1_000
WRITTEN_S: Final = 5.0  # that a start, a stop and an answer wait for their line

log = structlog.get_logger(__name__)


@dataclass
class _Note:
    at_s: float
    what: str
    details: dict[str, str | int | bool]
    head: Future[str] = field(default_factory=Future)


class Notes:
    """Of one trail. Any thread may note; the first begins the thread that writes, `close` ends it."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._waiting: queue.SimpleQueue[_Note | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = threading.Event()

    def note(self, what: str, **details: str | int | bool) -> Future[str]:
        """At once. It is done with the newest hash when the line is on disk; with nothing where it cannot be."""
        made = _Note(self._trail.now_s(), what, details)
        made.head.set_running_or_notify_cancel()  # nobody takes back what was noted
        with self._lock:
            if self._is_closed.is_set() or self._waiting.qsize() >= WAITING_MAX:
                _lost(made, "too many lines wait for whoever holds it, or the node has ended")
                return made.head
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="audit log", daemon=True)
                self._thread.start()
            self._waiting.put(made)
        return made.head

    async def written(self, head: Future[str]) -> str:
        """What `note` returned, once it is done; nothing where that takes too long: the line may still be written."""
        done, _ = await asyncio.wait({asyncio.wrap_future(head)}, timeout=WRITTEN_S)
        return next(iter(done)).result() if done else ""

    async def close(self) -> None:
        """What was noted is on disk then, or told in the node's log. May be called again."""
        with self._lock:
            thread = self._thread
            if not self._is_closed.is_set():
                self._waiting.put(None)
                self._is_closed.set()
        if thread is not None:
            await asyncio.to_thread(thread.join)  # it gives up by itself

    def _write(self) -> None:
        is_given_up = False
        while (one := self._waiting.get()) is not None:
            if is_given_up:
                _lost(one, "another process holds it")
            else:
                is_given_up = not self._written(one)

    def _written(self, one: _Note) -> bool:
        """False: another process holds the file, and the node ends."""
        is_told = False
        while True:
            is_last = self._is_closed.is_set()
            try:
                one.head.set_result(self._trail.add_at(one.at_s, one.what, one.details).hash)
                return True
            except AuditHeld as error:
                if is_last:
                    _lost(one, str(error))
                    return False
                if not is_told:
                    log.warning("the audit log is not written yet", what=one.what, why=str(error))
                is_told = True
            except AuditError as error:
                _lost(one, str(error))
                return True


def _lost(one: _Note, why: str) -> None:
    log.error("the audit log was not written", what=one.what, why=why, **_told(one.details))
    one.head.set_result("")


def _told(details: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
    return {f"its_{name}": value for name, value in details.items()}
