"""A running node's backups on schedule: a child process of lowest priority makes each.

The child needs neither this process's interpreter nor its databases: consensus goes on beside it. A time that was
missed (the node was down, or a backup took longer than the gap) is made up once. What fails is said, counted and tried
again, and never ends the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from consensus.formats.units import NS_PER_S
from consensus.system.tasks import Faults
from dchat.backups.errors import TargetFailed
from dchat.backups.places import where_of
from dchat.backups.record import Record, read_record, write_record
from dchat.config import Config
from dchat.config.schedule import next_after
from dchat.home.home import Home
from dchat.shown.text import safe_line
from proto.dchat.v1 import service_pb2 as pb

LOOK_S: Final = 20.0  # between two looks at the clock, which may jump
RETRY_FIRST_S: Final = 60.0
RETRY_MAX_S: Final = 3_600.0
RUN_S_MAX: Final = 21_600.0  # a store that takes longer than six hours has failed
STOP_S: Final = 5.0  # a child that was told to stop removes its drafts meanwhile
SAID_BYTES_MAX: Final = 4_096  # of what the child says, its end
PART: Final = "backups"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BackupMetrics:
    """failed: runs, since the start. took_s: the last good run of this process. next_s: unix time."""

    made: int = 0
    failed: int = 0
    took_s: float = 0.0
    next_s: int = 0
    is_failing: bool = False


class Keeper:
    """`run` is a side task of the node; only with [backup] enable. now: unix seconds; command: what makes one backup,
    by the words after the program's name."""

    def __init__(
        self, home: Home, config: Config, faults: Faults, *, now: Callable[[], float] = time.time,
        command: tuple[str, ...] = (sys.executable, "-m", "dchat"),
    ) -> None:  # fmt: skip
        self._home, self._config, self._faults, self._now, self._command = home, config, faults, now, command
        self._where = where_of(home, config)
        self.metrics = BackupMetrics()

    @property
    def record(self) -> Record:
        """Of the last backup, by this process or by the command."""
        return read_record(self._home, self._where) or Record(self._where, 0)

    def status(self) -> pb.BackupStatus:
        record, metrics = self.record, self.metrics
        return pb.BackupStatus(
            last_height=record.height, last_time_ns=record.began_s * NS_PER_S, last_bytes=record.bytes,
            next_time_ns=metrics.next_s * NS_PER_S, made=metrics.made, failed=metrics.failed,
            is_failing=metrics.is_failing,
        )  # fmt: skip

    async def run(self) -> None:
        """For ever; when cancelled, a child that runs is stopped first. Raises OSError: no record can be written."""
        if read_record(self._home, self._where) is None:
            write_record(self._home, Record(self._where, int(self._now())))
        while True:
            while not await self._is_due():
                pass
            wait_s = RETRY_FIRST_S
            while not await self._make():
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, RETRY_MAX_S)

    async def _is_due(self) -> bool:
        """Wait until the next time; False: the clock went back, or a backup was made meanwhile, so that it is another
        one."""
        asked_s, record = self._now(), self.record
        last_s = min(max(record.ended_s, record.since_s), int(asked_s))
        self.metrics.next_s = due_s = next_after(self._config.backup.schedule, last_s)
        while (now_s := self._now()) < due_s:
            if now_s < asked_s - LOOK_S or self.record.made != record.made:
                return False
            await asyncio.sleep(min(LOOK_S, due_s - now_s))
        return True

    async def _make(self) -> bool:
        before, began_s = self.record.made, time.monotonic()
        try:
            code, said = await self._child()
        except TimeoutError:
            code, said = 1, f"it took longer than {RUN_S_MAX:.0f} s and was ended"
        except OSError as error:  # no process to be had
            code, said = 1, f"no process can be started: {error}"
        record, metrics = self.record, self.metrics
        is_made = record.made > before
        if is_made:
            metrics.made += 1
            metrics.took_s = time.monotonic() - began_s
            log.info(
                "made a backup", height=record.height, bytes=record.bytes, name=record.name, where=self._where,
                took_s=round(metrics.took_s, 1),
            )  # fmt: skip
        metrics.is_failing = code != 0
        if code:
            metrics.failed += 1
            self._faults.failed(PART, TargetFailed("the last run failed, the log says why"))
            log.error("a backup failed; the chain goes on", reason=said, where=self._where, is_made=is_made)
        else:
            self._faults.recovered(PART)
        return is_made

    async def _child(self) -> tuple[int, str]:
        """(exit code, the last line that it said). Raises TimeoutError, OSError."""
        words = ("database", "backup", "--gently", "--home", str(self._home.root))
        process = await asyncio.create_subprocess_exec(
            *self._command, *words, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=self._environment()
        )
        said = b""
        try:
            async with asyncio.timeout(RUN_S_MAX):
                assert process.stderr is not None
                while more := await process.stderr.read(SAID_BYTES_MAX):
                    said = (said + more)[-SAID_BYTES_MAX:]
                code = await process.wait()
        finally:
            await _end(process)
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return code, safe_line(lines[-1]) if lines else f"it ended with code {code}"

    def _environment(self) -> dict[str, str]:
        """This process's, with the options that it was given by whatever way, and where its modules are."""
        config = self._config
        options = {f"DCHAT_BACKUP__{key.upper()}": value for key, value in config.backup.model_dump().items()}
        options["DCHAT_VALIDATOR__DATA_DIR"] = config.validator.data_dir
        options["DCHAT_DATABASE__PATH"] = config.database.path
        options["DCHAT_DATABASE__BACKEND"] = config.database.backend
        texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}
        return {**os.environ, **texts, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


async def _end(process: Process) -> None:
    """Whatever becomes of this task meanwhile, the child is told first."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
