"""Ports that no other test, benchmark or demo of this user chooses while this process lives.

That a port is free says nothing of the next moment: two programs may find the same one free, and one's probing of it is
in the way of the other's node that binds it. So a port is leased before it is looked at: by a lock on the byte of that
number in a file that all these programs share. The system gives it back when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from pathlib import Path
from typing import Final

from dchat.devnet.network import PORTS_EACH, DevnetError, Ports
from dchat.devnet.ports import is_free

# Below the range that systems hand to outgoing connections, and below what test networks take unless told.
LEASED_PORTS: Final = range(10_000, 26_000)
TRIES_MAX: Final = 10_000


class NoPortsLeft(DevnetError):
    """So many free ports in a row were not found, or the file of leases cannot be written: where, and what to do."""


class _Leases:
    """The ports of this process."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._ports: set[int] = set()

    def take(self, port: int) -> bool:
        """Whether it is this process's from now on: not before, and nobody else's. Raises NoPortsLeft: no file."""
        if port in self._ports:
            return False
        if self._file is None:
            self._file = _opened()
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self._ports.add(port)
        return True


_LEASES: Final = _Leases()


def _opened() -> int:
    path = Path(tempfile.gettempdir()) / f"dchat-ports-{os.getuid()}.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NoPortsLeft(
            f"{path}: {error.strerror}: remove it, or set TMPDIR to a folder that can be written"
        ) from None


def free_ports(count: int, host: str = "127.0.0.1") -> list[Ports]:
    """Ports of `count` validators, leased (see above). Raises as lease_ports."""
    numbers = lease_ports(PORTS_EACH * count, host)
    return [Ports(*numbers[PORTS_EACH * index :][:PORTS_EACH]) for index in range(count)]


def lease_ports(count: int, host: str = "127.0.0.1", *, in_a_row: int = 1) -> list[int]:
    """So many ports that nobody listens on, each the first of `in_a_row`; of this process alone while it lives.

    Raises NoPortsLeft; PortsTaken: the host is no address of this machine.
    """
    found: list[int] = []
    for _ in range(TRIES_MAX + count):
        if len(found) == count:
            return found
        first = random.choice(LEASED_PORTS[: len(LEASED_PORTS) - in_a_row])
        if all(_LEASES.take(port) and is_free(host, port) for port in range(first, first + in_a_row)):
            found.append(first)
    raise NoPortsLeft(
        f"found {len(found)} of {count} free ports from {LEASED_PORTS.start} to {LEASED_PORTS.stop - 1}: "
        "stop networks that nobody needs (`scripts/testnet stop`), and try again"
    )
