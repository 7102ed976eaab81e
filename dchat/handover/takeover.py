"""A process takes a home from the one that runs there, right after a block, so that no vote need be missed.

All that needs no file of the home is done before it asks (docs/takeover.md). When it is told `leaves` the other one's
connections have ended: it may dial as the same node. When it is told `yours` the home's lock, log, record of signatures
and databases are free; it takes them as any start does.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

import structlog

from consensus.formats.units import NS_PER_MS
from consensus.system.handed import Handed
from dchat.handover.words import (
    ANSWER_S,
    CLOSING_S,
    OTHER_WORDS,
    RUNNING,
    VERSIONS,
    WAIT_S,
    YOURS,
    ask,
    read_line,
    send,
    text_of,
)
from dchat.home.errors import CannotTakeOver
from dchat.home.home import Home

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Before:
    """The process that handed over: where it hears that this one runs, when it left consensus and when all was free
    (monotonic), and the sockets on which it listened."""

    connection: socket.socket
    left_ns: int
    free_ns: int
    sockets: Handed

    @property
    def closing_ms(self) -> int:
        """What the other took to leave."""
        return (self.free_ns - self.left_ns) // NS_PER_MS

    def away_ms(self) -> int:
        """Since it left."""
        return (time.monotonic_ns() - self.left_ns) // NS_PER_MS

    def say_running(self) -> None:
        with self.connection:
            send(self.connection, RUNNING)


@dataclass(frozen=True)
class Leaving:
    """The process that runs on the home, once it begins to leave. told: what it said after that, if it did."""

    home: Home
    connection: socket.socket
    sockets: Handed
    told: bytes = b""

    def wait(self) -> Before:
        """Until the home is free; blocks. Raises CannotTakeOver: it goes on, or begins again."""
        try:
            found = YOURS.fullmatch(told := self.told or self._read())
            if found is None:
                raise _refused(self.home, told)
        except BaseException:
            self.connection.close()
            self.sockets.close()
            raise
        return Before(self.connection, int(found[2]), time.monotonic_ns(), self.sockets)

    def _read(self) -> bytes:
        self.connection.settimeout(CLOSING_S)
        try:
            return read_line(self.connection)
        except OSError as error:
            raise CannotTakeOver(f"the process on {self.home.root} does not let it go: {error}") from None


def take(home: Home) -> Leaving:
    """Ask the process that runs on the home, and wait until it leaves.

    Raises CannotTakeOver: nobody runs there, or it does not hand over; it goes on.
    """
    for version in VERSIONS:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sockets: list[socket.socket] = []
        try:
            if (leaving := _take(home, connection, version, sockets)) is not None:
                return leaving
        except BaseException:
            for one in (connection, *sockets):
                one.close()
            raise
        connection.close()  # an older build, which ended it
    raise CannotTakeOver(f"the process on {home.root} does not hand over: {text_of(OTHER_WORDS)}")


def _take(home: Home, connection: socket.socket, version: int, sockets: list[socket.socket]) -> Leaving | None:
    """None: it does not know this version. Raises CannotTakeOver."""
    path = home.takeover
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(str(path))
        connection.sendall(ask(version))
        told = read_line(connection)
        if told == OTHER_WORDS:
            return None
        if not told.startswith(b"wait "):
            raise _refused(home, told)
        log.info("waits for the process that runs here to hand over", height=text_of(told).partition(" ")[2])
        connection.settimeout(WAIT_S + CLOSING_S)
        told = read_line(connection, sockets)
    except OSError as error:
        raise CannotTakeOver(
            f"no process hands over at {path}: {error.strerror or error}. Where none runs, start without --takeover"
        ) from None
    is_leaving = told.startswith(b"leaves ")
    if not is_leaving and not YOURS.fullmatch(told):
        raise _refused(home, told)
    return Leaving(home, connection, Handed(_listening(sockets)), b"" if is_leaving else told)


def _refused(home: Home, told: bytes) -> CannotTakeOver:
    return CannotTakeOver(f"the process on {home.root} does not hand over: {text_of(told) or 'it ended'}")


def _listening(sockets: list[socket.socket]) -> list[socket.socket]:
    """Those that do; what is none is closed."""
    found = []
    for one in sockets:
        with contextlib.suppress(OSError):
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(one)
                continue
        one.close()
    return found
