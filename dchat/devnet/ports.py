"""Whether the ports of a network's validators are free, before any is started; and who has those that are not."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from dchat.devnet.network import DevnetError, Ports

LISTENS: Final = "0A"  # a socket's state in /proc/net/tcp
COMMAND_CHARS_MAX: Final = 100
TOLD_MAX: Final = 8  # ports that are named one by one


class PortsTaken(DevnetError):
    """Nothing was started: which ports are taken, by whom as far as this user may know, and what to do."""


class Wanted(NamedTuple):
    """A port that a validator listens on. what: for people."""

    number: int
    what: str


def wanted_by(name: str, ports: Ports) -> list[Wanted]:
    """What the validator of this name listens on."""
    numbers = {
        "p2p": ports.p2p, "HTTP": ports.http, "metrics": ports.metrics, "gRPC": ports.grpc, "JSON-RPC": ports.rpc,
    }  # fmt: skip
    return [Wanted(number, f"{name}'s {what}") for what, number in numbers.items()]


def require_free(host: str, wanted: Iterable[Wanted], *, what_to_do: str) -> None:
    """Raises PortsTaken."""
    taken = [one for one in wanted if not is_free(host, one.number)]
    if not taken:
        return
    told = [f"  {host}:{one.number} ({one.what}){_by(one.number)}" for one in taken[:TOLD_MAX]]
    if len(taken) > TOLD_MAX:
        told.append(f"  and {len(taken) - TOLD_MAX} more")
    raise PortsTaken("\n".join([f"nothing was started: {len(taken)} ports are taken", *told, what_to_do]))


def is_free(host: str, port: int) -> bool:
    """Raises PortsTaken: the host is no address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: what closed is free
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) or isinstance(error, socket.gaierror):
                raise PortsTaken(f"nothing was started: {host} is no address of this machine: {error}") from None
            return False
    return True


def _by(port: int) -> str:
    found = [f"process {pid} ({command})" for pid, command in holders(port)]
    return f": {', '.join(found)}" if found else ""


def holders(port: int) -> list[tuple[int, str]]:
    """(pid, command line) of who listens on a port, of the processes that this user may look into; Linux alone says."""
    inodes = set(_listening(port))
    found = []
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if any(os.readlink(one) in inodes for one in (folder / "fd").iterdir()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append((int(folder.name), command[:COMMAND_CHARS_MAX]))
    return sorted(found)


def _listening(port: int) -> Iterator[str]:
    """What the descriptors of sockets that listen on it are links to."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"
