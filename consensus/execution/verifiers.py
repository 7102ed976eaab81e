"""Many signatures verified beside the loop: in threads, or in processes of their own while there is much to do.

A thread asks for the interpreter's lock again after each signature, and waits for it while the loop is busy: beside a
loop that executes blocks, two threads verified 8,000 a second and halved what the loop did. A helper's process has a
lock of its own; a batch costs the loop one write and one read. What it answers is a fact of the three values; a helper
that fails is given up, and its batch goes to the threads. The native part (`crypto.native`) lets go of the lock once
for a whole batch: with it threads are all that is needed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from subprocess import DEVNULL, Popen
from typing import Final, Protocol, TypeAlias

import structlog

from consensus.execution.verifying import encode_request
from consensus.system.clock import Workers
from consensus.system.errors import EngineError
from crypto import native
from crypto.batch import CHUNK_CHECKS, verify_ed25519

Checks: TypeAlias = Sequence[tuple[bytes, bytes, bytes]]  # (ed25519 public key, message, signature)

BATCH_CHECKS: Final = 256  # of one request: 15 ms of work
HELPERS_MAX: Final = 2  # they do more than one loop can execute
ANSWER_S: Final = 30.0  # a thousand times what a batch takes
CHILD: Final = "import sys; sys.path[:] = sys.argv[1:]; from consensus.execution.verifying import main; main()"

log = structlog.get_logger(__name__)


class Verifiers(Protocol):
    def begin(self) -> None:
        """Much is about to be asked, for a while."""
        ...

    def end(self) -> None:
        """Of that while. What is under way is still answered."""
        ...

    async def verify(self, checks: Checks) -> list[bool]:
        """One answer per check, in order. Keys of 32 bytes, signatures of 64."""
        ...


class ThreadVerifiers:
    """Chunks in the engine's threads."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def begin(self) -> None: ...

    def end(self) -> None: ...

    async def verify(self, checks: Checks) -> list[bool]:
        size = BATCH_CHECKS if native.is_used() else CHUNK_CHECKS
        chunks = [checks[start : start + size] for start in range(0, len(checks), size)]
        answers = await asyncio.gather(*(self._workers.run(_judge_of(chunk)) for chunk in chunks))
        return [answer for chunk in answers for answer in chunk]


def _judge_of(chunk: Checks) -> Callable[[], list[bool]]:
    return lambda: verify_ed25519(chunk)


def _spawn(end: int) -> Popen[bytes]:
    """A helper's process at that end of a pair of sockets. Raises OSError."""
    return Popen([sys.executable, "-I", "-c", CHILD, *sys.path], stdin=end, stdout=end, stderr=DEVNULL)


class HelperFailed(EngineError):
    """A helper's process ended, or did not answer."""


class Helper:
    """One process. Several batches may be under way: they are answered in their order."""

    def __init__(
        self, process: Popen[bytes], answers: asyncio.StreamReader, requests: asyncio.StreamWriter, workers: Workers
    ) -> None:
        self.process, self._answers, self._requests, self._workers = process, answers, requests, workers
        self._writes, self._reads = asyncio.Lock(), asyncio.Lock()
        self.waiting = 0  # checks

    @staticmethod
    async def start(workers: Workers) -> Helper:
        """workers: whose thread waits for its end. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            process = await workers.run(lambda: _spawn(theirs.fileno()))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        answers, requests = await asyncio.open_connection(sock=ours)
        return Helper(process, answers, requests, workers)

    async def verify(self, checks: Checks) -> list[bool]:
        """Raises HelperFailed: it is of no more use."""
        self.waiting += len(checks)
        try:
            async with asyncio.timeout(ANSWER_S):
                async with self._writes:
                    self._requests.write(encode_request(checks))
                    await self._requests.drain()
                async with self._reads:
                    answer = await self._answers.readexactly(len(checks))
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.kill()
            raise HelperFailed(f"{type(error).__name__}: {error}") from error
        except BaseException:  # cancelled in between: the next answer would be taken for ours
            self.kill()
            raise
        finally:
            self.waiting -= len(checks)
        return [byte == 1 for byte in answer]

    def kill(self) -> None:
        if not self._requests.is_closing():
            self._requests.close()
            self.process.kill()
            self._workers.run(self.process.wait)  # which is over when the machine has seen to it


class HelperVerifiers:
    """In processes from `begin` to `end`, where the machine has a core for them; in threads otherwise."""

    def __init__(self, workers: Workers, *, helpers: int | None = None) -> None:
        """helpers: how many processes; by default none with the native part, else as many as there are cores beside
        the loop's, two at most."""
        self._asked = helpers
        self._workers, self._threads = workers, ThreadVerifiers(workers)
        self._helpers: list[Helper] = []
        self._wanted = 0
        self._failed = False  # in this while
        self._starting = asyncio.Lock()

    def begin(self) -> None:
        if not self._failed:
            self._wanted = self._helpers_wanted() if self._asked is None else self._asked

    @staticmethod
    def _helpers_wanted() -> int:
        return 0 if native.is_used() else min(HELPERS_MAX, len(os.sched_getaffinity(0)) - 1)

    def end(self) -> None:
        self._wanted, self._failed = 0, False
        while self._helpers:
            self._helpers.pop().kill()

    async def verify(self, checks: Checks) -> list[bool]:
        if not checks:
            return []
        if self._wanted and not self._helpers:
            await self._start()
        batches = [checks[start : start + BATCH_CHECKS] for start in range(0, len(checks), BATCH_CHECKS)]
        answers = await asyncio.gather(*(self._verify(batch) for batch in batches))
        return [answer for batch in answers for answer in batch]

    async def _start(self) -> None:
        async with self._starting:
            while len(self._helpers) < self._wanted:
                try:
                    helper = await Helper.start(self._workers)
                except OSError as error:
                    self._give_up(f"{type(error).__name__}: {error}")
                    return
                self._helpers.append(helper)
                if not self._wanted:  # it was over meanwhile
                    self.end()

    async def _verify(self, batch: Checks) -> list[bool]:
        while self._helpers:
            helper = min(self._helpers, key=lambda one: one.waiting)
            try:
                return await helper.verify(batch)
            except HelperFailed as error:
                if helper in self._helpers:
                    self._helpers.remove(helper)
                    self._give_up(str(error))
        return await self._threads.verify(batch)

    def _give_up(self, why: str) -> None:
        """One that failed is not started again in this while: what ended it may be the lack of memory."""
        self._wanted, self._failed = 0, True
        log.warning("a process that verifies signatures failed; threads go on in its place", why=why)
