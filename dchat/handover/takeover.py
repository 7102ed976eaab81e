"""Hand-over: a process takes a home from the one that runs there, right after a block, so that no vote need be missed.

The new one prepares all that needs no file of the home (its program is loaded, options, keys and genesis are checked),
then asks the old one over a Unix socket in the home. The old one waits until a block is saved and it has not the next
proposal, stops as by a signal (log and record of signatures synced, databases and ports closed, the home's lock free),
and says `yours`. It stays until the new one says `running`: where that ends before, or says nothing for RUNNING_S, the
old one begins again in its own place. At no moment do two hold the lock, so at no moment could two sign.

Lines of text: `takeover 1` asks; `wait HEIGHT`, `no REASON`, `yours HEIGHT SINCE` answer; `running` ends it. SINCE:
when the old one left consensus, in nanoseconds of the system's monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from consensus.engine.interfaces import SavedBlock
from consensus.formats.units import NS_PER_MS
from dchat.home.errors import CannotTakeOver
from dchat.home.home import Home

VERSION: Final = 1
ASK: Final = b"takeover %d\n" % VERSION
FLAG: Final = "--takeover"
RUNNING: Final = b"running\n"
_YOURS: Final = re.compile(rb"yours ([0-9]{1,19}) ([0-9]{1,19})\n")
LINE_BYTES_MAX: Final = 256
ANSWER_S: Final = 5.0  # for the first line
WAIT_S: Final = 120.0  # for a block; without one the old process goes on
CLOSING_S: Final = 30.0  # beyond that, for the old process to stop
RUNNING_S: Final = 60.0  # for the new one to take part
PROPOSALS_MAX: Final = 8  # blocks that are waited for a height whose proposal is another's; alone, it is always ours
LINGER_S: Final = 0.05  # our precommit leaves: the others need not wait for it
PATH_BYTES_MAX: Final = 107  # of Linux's sockaddr_un, which ends with a zero

log = structlog.get_logger(__name__)


class HandOver:
    """The old process's side. `is_ours_next`: whether the next height's first proposal is ours. end: stop, as by a
    signal. `asked` is the connection to answer on, once it was told to end for a hand-over."""

    def __init__(self, home: Home, *, is_ours_next: Callable[[], bool], end: Callable[[], None]) -> None:
        self._home, self._is_ours_next, self._end = home, is_ours_next, end
        self._server: asyncio.Server | None = None
        self._waiting: socket.socket | None = None
        self._skipped = 0
        self._timer: asyncio.TimerHandle | None = None
        self.asked: socket.socket | None = None
        self.height = self.left_ns = 0

    async def open(self) -> None:
        """Listen. Where that cannot be it is said, and nobody can take over."""
        path = self._home.takeover
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            log.warning("no process can take over: the home's path is too long", path=str(path), allowed=PATH_BYTES_MAX)
            return
        _remove_socket(path)
        before = os.umask(0o177)  # its owner alone may ask
        try:
            self._server = await asyncio.start_unix_server(self._accept, str(path), limit=LINE_BYTES_MAX)
        except OSError as error:
            log.warning("no process can take over", reason=str(error))
        finally:
            os.umask(before)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
            _remove_socket(self._home.takeover)
        if self._waiting is not None and self.asked is None:
            _send(self._waiting, b"no it stops\n")
            self._waiting.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await reader.readline()
        except (TimeoutError, ValueError, OSError):
            line = b""
        connection = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
        if line != ASK or self._waiting is not None:
            why = b"no another process asks already\n" if line == ASK else b"no that is not asked here\n"
            _send(connection, why)
            connection.close()
            writer.close()
            return
        self._waiting, self._skipped = connection, 0
        _send(connection, b"wait %d\n" % self.height)
        log.info("a process asks to take over: hands over after a block")
        self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._give_up)

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and self.asked is None:
            _send(waiting, b"no there was no block for %d s\n" % WAIT_S)
            waiting.close()

    def block_saved(self, saved: SavedBlock) -> None:
        self.height = saved.height
        if self._waiting is None or self.asked is not None:
            return
        if self._is_ours_next() and self._skipped < PROPOSALS_MAX:
            self._skipped += 1
            return
        self.asked = self._waiting
        asyncio.get_running_loop().call_later(LINGER_S, self._leave)

    def _leave(self) -> None:
        self.left_ns = time.monotonic_ns()
        self._end()

    def give(self) -> bool:
        """All is closed and free: tell the new process, and wait until it takes part. False: it does not."""
        assert self.asked is not None
        return _give(self.asked, b"yours %d %d\n" % (self.height, self.left_ns))


def _give(connection: socket.socket, line: bytes) -> bool:
    with connection:
        try:
            connection.settimeout(RUNNING_S)
            connection.sendall(line)
            return _line(connection) == RUNNING
        except OSError:
            return False


def begin_again() -> None:
    """This process anew, as it was started; its number stays."""
    log.error("the process that took over does not run: begins again in its own place")
    words = [word for word in sys.orig_argv[1:] if word != FLAG]  # it would ask itself
    os.execv(sys.executable, [sys.executable, *words])


@dataclass(frozen=True)
class Before:
    """The process that handed over: where it hears that this one runs, and when it left consensus (monotonic)."""

    connection: socket.socket
    left_ns: int

    def say_running(self) -> int:
        """Milliseconds since it left."""
        with self.connection, contextlib.suppress(OSError):
            self.connection.sendall(RUNNING)
        return (time.monotonic_ns() - self.left_ns) // NS_PER_MS


def take(home: Home) -> Before:
    """Ask the process that runs on the home, and wait until the home is free.

    Raises CannotTakeOver: nobody runs there, or it does not hand over; it goes on.
    """
    path = home.takeover
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(path))
            connection.sendall(ASK)
            told = _line(connection)
            if not told.startswith(b"wait "):
                raise CannotTakeOver(f"the process on {home.root} does not hand over: {_text(told)}")
            log.info("waits for the process that runs here to hand over", height=_text(told).partition(" ")[2])
            connection.settimeout(WAIT_S + CLOSING_S)
            told = _line(connection)
        except OSError as error:
            raise CannotTakeOver(
                f"no process hands over at {path}: {error.strerror or error}. Where none runs, start without --takeover"
            ) from None
        found = _YOURS.fullmatch(told)
        if found is None:
            raise CannotTakeOver(f"the process on {home.root} does not hand over: {_text(told) or 'it ended'}")
    except BaseException:
        connection.close()
        raise
    return Before(connection, int(found[2]))


def _send(connection: socket.socket, line: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(line)


def _line(connection: socket.socket) -> bytes:
    """One, or what came before the end. Raises OSError."""
    found = b""
    while not found.endswith(b"\n") and len(found) < LINE_BYTES_MAX:
        piece = connection.recv(1)
        if not piece:
            break
        found += piece
    return found


def _text(line: bytes) -> str:
    return line.decode(errors="replace").strip().removeprefix("no ")


def _remove_socket(path: Path) -> None:
    """That a process which ended left; anything else there is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
