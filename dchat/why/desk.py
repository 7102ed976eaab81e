"""Where records are written, and asked for: of a node that runs, and of a home whose node does not.

Records wait in a bounded queue for a thread to write them, so that a slow disk keeps nobody; where they come faster
than they are written the oldest goes, and is counted. Who asks a node that runs is told of those that wait, too.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from consensus.system.clock import Workers
from consensus.system.disk import Disk
from dchat.why.files import Kept, LastMissed, WhyFiles
from dchat.why.form import HeightRecord, line_of
from dchat.why.judge import ADVICE, Verdict, judge

WAITING_MAX: Final = 256  # records, some 300 KiB: blocks that are synced come by the hundred a second
TOGETHER_S: Final = 0.2  # records of so long are written at once: a block's alone is not worth a thread's turn


class WhyDesk:
    """`run` writes until it is cancelled, `close` writes what is left."""

    def __init__(self, disk: Disk, folder: Path, heights: int, workers: Workers) -> None:
        self._disk, self._folder, self._workers = disk, folder, workers
        self._files = WhyFiles(disk, folder, heights)
        self._waiting: deque[HeightRecord] = deque()
        self._being_written: HeightRecord | None = None
        self._lock = threading.Lock()  # of these two
        self._due = asyncio.Event()
        self.dropped = self.written = 0
        self.running: Callable[[], HeightRecord | None] = lambda: None

    def keep(self, record: HeightRecord) -> None:
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(record)
        self._due.set()

    async def run(self) -> None:
        """Raises OSError: the disk refused; what it was given last is lost."""
        while True:
            await self._due.wait()
            await asyncio.sleep(TOGETHER_S)
            self._due.clear()
            await self._workers.run(self._write)

    def _write(self) -> None:
        while (record := self._next()) is not None:
            self._files.write(record)
            self.written += 1

    def _next(self) -> HeightRecord | None:
        with self._lock:
            self._being_written = self._waiting.popleft() if self._waiting else None
            return self._being_written

    def _unwritten(self) -> list[bytes]:
        """The newest first."""
        with self._lock:
            records = [*([] if self._being_written is None else [self._being_written]), *self._waiting]
        return [line_of(record).rstrip() for record in reversed(records)] if self._files.keeps else []

    def close(self) -> None:
        """After the last block. Of the height that runs, what there is. Raises OSError."""
        if (record := self.running()) is not None:
            with self._lock:
                self._waiting.append(record)
        try:
            self._write()
        finally:
            self._files.close()

    def answer(self, height: int) -> dict[str, Any]:
        """As `answer_of`; reads files."""
        return answer_of(Kept.read(self._disk, self._folder, newer=self._unwritten()), height)


def answer_of(kept: Kept, height: int) -> dict[str, Any]:
    """What is known of a height, for people and programs. height 0: the last that was missed and has a record."""
    last = LastMissed() if height else kept.last_missed()
    asked = height or last.height or 0
    verdict = judge(asked, kept.find)
    span = kept.span
    return {
        "height": asked or None,
        "missed_unrecorded": last.unrecorded,
        "kept": None if span is None else {"lowest": span[0], "highest": span[1]},
        **_told(verdict),
    }


def _told(verdict: Verdict) -> dict[str, Any]:
    first = verdict.causes[0] if verdict.causes else None
    return {
        "missed": list(verdict.missed),
        "is_open": verdict.is_open,
        "cause": None if first is None else first.cause.value,
        "why": None if first is None else first.says,
        "do": None if first is None else ADVICE[first.cause],
        "causes": [{"cause": one.cause.value, "says": one.says} for one in verdict.causes],
        "record": None if verdict.record is None else asdict(verdict.record),
    }
