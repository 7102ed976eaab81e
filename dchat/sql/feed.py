"""The node's side: hands stored blocks to the process that writes, and knows how far it has come.

Nothing is decoded here and nothing waits for SQL: a task reads a block's bytes in a thread when the pipe has room. What
SQL has not got yet is held from pruning, up to `hold_blocks` behind the tip. Whatever becomes of it, the chain goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from consensus.system.clock import Workers
from dchat.sql.connection import library
from dchat.sql.errors import SqlRefused, SqlUnavailable
from dchat.sql.frames import LINE_BYTES_MAX, Sent, encode, encode_target
from dchat.sql.stored import Stored
from dchat.sql.writer import Target

WORKER: Final = "dchat.sql.worker"
NOTHING, THE_FIRST = 0, -1  # in place of the height that is wanted next
END_S: Final = 3.0  # for its last transaction
SAY_AGAIN_S: Final = 60.0  # that the server is not there
STARTING, CATCHING_UP, FOLLOWING, WAITING, REFUSED = "starting", "catching up", "following", "waiting", "refused"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SqlMetrics:
    blocks: int = 0
    transactions: int = 0
    failures: int = 0


class SqlFeed:
    """`run` is a task that is begun anew when it raises. `block_saved` on the loop, after each block."""

    def __init__(
        self,
        target: Target,
        stored: Stored,
        workers: Workers,
        *,
        hold: Callable[[int], None] = lambda height: None,
        hold_blocks: int = 0,
    ) -> None:
        """hold: keeps blocks from there on. Raises SqlMissing."""
        library()
        self._target, self._stored, self._workers = target, stored, workers
        self._hold, self._hold_blocks = hold, hold_blocks
        self.metrics = SqlMetrics()
        self.state = STARTING
        self._saved: int | None = None  # 0: SQL has nothing; None: not known yet
        self._wake = asyncio.Event()  # a block was saved, or another height is wanted
        self._next = NOTHING
        self._epoch = 0
        self._said = ("", 0.0)
        self._is_past_hold = False
        self.block_saved(stored.height)

    @property
    def saved_height(self) -> int:
        return self._saved or 0

    @property
    def lag(self) -> int:
        """Blocks that SQL has not got, of those that this node has."""
        return max(0, self._stored.height - max(self.saved_height, self._stored.base - 1, 0))

    def block_saved(self, height: int) -> None:
        """Hold what is still to be written, as far as the bound goes."""
        self._wake.set()
        wanted = self._saved + 1 if self._saved else self._stored.base
        least = height - self._hold_blocks + 1
        self._hold(max(wanted, least))
        if wanted < least and not self._is_past_hold:
            log.error(
                "SQL is so far behind that pruning goes on past it: what goes will be missing there",
                sql_height=self.saved_height, held_from=least, hold_blocks=self._hold_blocks,
            )  # fmt: skip
        self._is_past_hold = wanted < least

    # ------------------------------------------------------------------------------------------------- the task

    async def run(self) -> None:
        """Raises SqlRefused, SqlUnavailable (the process ended): begin it anew later."""
        self._saved, self._next, self._epoch = None, NOTHING, 0
        try:
            async with self._worker() as process:
                assert process.stdin is not None
                process.stdin.write(encode_target(self._target))
                async with asyncio.TaskGroup() as tasks:
                    sending = tasks.create_task(self._send(process.stdin), name="send blocks to SQL")
                    await self._hear(process)
                    sending.cancel()
        except BaseExceptionGroup as group:
            error = _first(group)
            self.metrics.failures += 1
            self.state = REFUSED if isinstance(error, SqlRefused) else WAITING
            raise error from None

    @contextlib.asynccontextmanager
    async def _worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """The process; it is gone at the end."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DCHAT_")}  # as secrets
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", WORKER,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment, limit=LINE_BYTES_MAX,
        )  # fmt: skip
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._heard(json.loads(line))
        raise SqlUnavailable("the process that writes into SQL ended")

    def _heard(self, told: dict[str, Any]) -> None:
        match told:
            case {"at": int(at), "hash": str(block_hash)}:
                self._attached(at, block_hash)
            case {"saved": int(saved), "blocks": int(blocks), "transactions": int(transactions)}:
                self._saved = saved
                self.metrics.blocks += blocks
                self.metrics.transactions += transactions
                self.state = FOLLOWING if self._stored.height - saved <= 1 else CATCHING_UP
            case {"trouble": str(why)}:
                self.state, self._next = WAITING, NOTHING
                self.metrics.failures += 1
                self._say(why)
            case {"refused": str(why)}:
                raise SqlRefused(why)

    def _say(self, why: str) -> None:
        """Once a minute, as long as it is the same."""
        before, at = self._said
        now = time.monotonic()
        if why != before or now - at >= SAY_AGAIN_S:
            self._said = why, now
            log.warning("SQL is not written to; it is tried again, and goes on where it was", why=why, lag=self.lag)

    def _attached(self, at: int, block_hash: str) -> None:
        """Raises SqlRefused."""
        self._epoch += 1
        self._stored.check(at, block_hash)
        self._said = "", 0.0
        self._saved, self._next = at, at + 1 if at else THE_FIRST
        log.info("writes into SQL", schema=self._target.schema, after_height=at, lag=self.lag)
        if at > self._stored.height:
            log.warning("SQL has blocks that this node has not got yet", sql_height=at, height=self._stored.height)
        self.state = CATCHING_UP if self.lag > 1 else FOLLOWING
        self._wake.set()

    async def _send(self, pipe: asyncio.StreamWriter) -> None:
        """Whatever is wanted next, as fast as it is taken. Raises SqlRefused."""
        while True:
            self._wake.clear()
            epoch, height = self._epoch, self._next
            if height == THE_FIRST:  # in a thread: after a state sync a hundred thousand heights have no results
                height = await self._workers.run(self._stored.first)
            if epoch != self._epoch:
                continue
            if not 0 < height <= self._stored.height:
                await self._wake.wait()
                continue
            frame = await self._workers.run(partial(self._stored.read, height))
            if epoch != self._epoch or self._next == NOTHING:
                continue  # gone back meanwhile
            self._next = height + 1
            try:
                pipe.write(encode(Sent(frame, epoch, height >= self._stored.height)))
                await pipe.drain()
            except ConnectionError:
                return  # it ended, and what it said last is being read


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
