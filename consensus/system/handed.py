"""Listening sockets that a process has from the one before it: a port that changes hands refuses nobody.

Who connects while neither of the two accepts waits in the socket's queue.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Sequence
from typing import Any, Final

HANDLES: Final = "/proc/self/fd"  # Linux's; elsewhere none is found, and the next process binds anew


class Handed:
    """A part that is about to bind asks first; what nobody took is closed at the end."""

    def __init__(self, sockets: Sequence[socket.socket] = ()) -> None:
        self._sockets = list(sockets)

    def take(self, addresses: Sequence[Any]) -> list[socket.socket]:
        """Those that listen at all of the addresses, as the resolver gives them; none, where one of them is missing:
        then what listens at the others is closed, so that all can be bound anew."""
        wanted = [tuple(address[:2]) for address in addresses]
        found = [one for one in self._sockets if tuple(one.getsockname()[:2]) in wanted]
        self._sockets = [one for one in self._sockets if one not in found]
        if len(found) == len(wanted):
            return found
        for one in found:
            one.close()
        return []

    def close(self) -> int:
        """Returns how many were not taken."""
        left, self._sockets = self._sockets, []
        for one in left:
            one.close()
        return len(left)


def listening_sockets() -> list[socket.socket]:
    """A duplicate of each TCP socket that listens in this process, whichever library opened it."""
    found: dict[int, socket.socket] = {}  # by inode: a number may be a duplicate's by the time that it is looked at
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(HANDLES), key=int):
            with contextlib.suppress(OSError):  # closed meanwhile, or no socket
                status = os.fstat(int(name))
                is_new = stat.S_ISSOCK(status.st_mode) and status.st_ino not in found
                if is_new and (one := _listening(int(name))) is not None:
                    found[status.st_ino] = one
    return list(found.values())


def _listening(handle: int) -> socket.socket | None:
    """A duplicate, where it is a TCP socket that does. Raises OSError."""
    one = socket.socket(fileno=os.dup(handle))
    is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
    if is_tcp and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return one
    one.close()
    return None


def share_port(port: int) -> bool:
    """Let another process of this user listen at the port too, from now on. False: no socket here listens there."""
    ours = [one for one in listening_sockets() if one.getsockname()[1] == port]
    for one in ours:
        with one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return bool(ours)
