"""A process takes a home from the one that runs there, right after a block, so that no vote need be missed.

All that needs no file of the home is done before it asks (docs/takeover.md). When it is told `yours` the home's lock,
log, record of signatures and databases are free; it takes them as any start does.
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


def take(home: Home) -> Before:
    """Ask the process that runs on the home, and wait until the home is free.

    Raises CannotTakeOver: nobody runs there, or it does not hand over; it goes on.
    """
    for version in VERSIONS:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sockets: list[socket.socket] = []
        try:
            if (before := _take(home, connection, version, sockets)) is not None:
                return before
        except BaseException:
            for one in (connection, *sockets):
                one.close()
            raise
        connection.close()  # an older build, which ended it
    raise CannotTakeOver(f"the process on {home.root} does not hand over: {text_of(OTHER_WORDS)}")


def _take(home: Home, connection: socket.socket, version: int, sockets: list[socket.socket]) -> Before | None:
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
            raise CannotTakeOver(f"the process on {home.root} does not hand over: {text_of(told) or 'it ended'}")
        log.info("waits for the process that runs here to hand over", height=text_of(told).partition(" ")[2])
        connection.settimeout(WAIT_S + CLOSING_S)
        told = read_line(connection, sockets)
        if told.startswith(b"leaves "):
            connection.settimeout(CLOSING_S)
            told = read_line(connection)
    except OSError as error:
        raise CannotTakeOver(
            f"no process hands over at {path}: {error.strerror or error}. Where none runs, start without --takeover"
        ) from None
    found = YOURS.fullmatch(told)
    if found is None:
        raise CannotTakeOver(f"the process on {home.root} does not hand over: {text_of(told) or 'it ended'}")
    return Before(connection, int(found[2]), time.monotonic_ns(), Handed(list(_listening(sockets))))


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
