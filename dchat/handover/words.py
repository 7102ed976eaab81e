"""What two processes say to each other while a home changes hands: lines of text, and with one of them sockets.

takeover VERSION    asks
wait HEIGHT         it will, after a block
leaves HEIGHT       it does so now, and has no peers; with it come the sockets on which it listens (from version 2)
yours HEIGHT SINCE  all its files are free. SINCE: when it left consensus, in nanoseconds of the monotonic clock
no REASON           it does not, and goes on
running             ends it
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence
from typing import Final

VERSION: Final = 2
VERSIONS: Final = (2, 1)  # that are understood, the best first. 1: ports are free, and refuse, meanwhile
RUNNING: Final = b"running\n"
YOURS: Final = re.compile(rb"yours ([0-9]{1,19}) ([0-9]{1,19})\n")
ASKED: Final = re.compile(rb"takeover ([0-9]{1,4})\n")
OTHER_WORDS: Final = b"no that is not asked here\n"
LINE_BYTES_MAX: Final = 256
SOCKETS_MAX: Final = 16
ANSWER_S: Final = 5.0  # for the first line
WAIT_S: Final = 120.0  # for a block; without one the old process goes on
CLOSING_S: Final = 30.0  # beyond that, for the old process to stop
RUNNING_S: Final = 60.0  # for the new one to take part


def ask(version: int) -> bytes:
    return b"takeover %d\n" % version


def send(connection: socket.socket, line: bytes, sockets: Sequence[socket.socket] = ()) -> None:
    """To whoever may have left."""
    with contextlib.suppress(OSError):
        if sockets:
            socket.send_fds(connection, [line], [one.fileno() for one in sockets[:SOCKETS_MAX]])
        else:
            connection.sendall(line)


def read_line(connection: socket.socket, sockets: list[socket.socket] | None = None) -> bytes:
    """One, or what came before the end. sockets: gets those that came with it; else they are closed. Raises OSError."""
    found = b""
    while not found.endswith(b"\n") and len(found) < LINE_BYTES_MAX:
        piece, handles, _, _ = socket.recv_fds(connection, 1, SOCKETS_MAX, socket.MSG_CMSG_CLOEXEC)
        for handle in handles:
            one = socket.socket(fileno=handle)
            if sockets is None:
                one.close()
            else:
                sockets.append(one)
        if not piece:
            break
        found += piece
    return found


def text_of(line: bytes) -> str:
    return line.decode(errors="replace").strip().removeprefix("no ")
