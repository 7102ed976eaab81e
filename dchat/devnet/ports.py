"""Whether the ports of a network's validators are free, before any is started; and who has those that are not."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from dchat.devnet.network import DevnetError, Ports

LISTENS: Final = "0A"  # a socket's state in /proc/net/tcp
COMMAND_CHARS_MAX: Final = 48
TOLD_MAX: Final = 8  # ports that are named one by one
HOLDERS_TOLD_MAX: Final = 3  # processes that are named of one port: a socket is inherited by all that one started

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    told = [f"  {host}:{one.number} ({one.what}){_by(host, one.number)}" for one in taken[:TOLD_MAX]]
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


def _by(host: str, port: int) -> str:
    return f": {found}" if (found := told_holders(host, port)) else ""


def told_holders(host: str, port: int) -> str:
    """Who keeps a port of this address from being listened on, for people; empty: nobody that this user may know of."""
    found = holders(host, port)
    told = [f"process {pid} ({command})" for pid, command in found[:HOLDERS_TOLD_MAX]]
    if len(found) > HOLDERS_TOLD_MAX:
        told.append(f"and {len(found) - HOLDERS_TOLD_MAX} more")
    return ", ".join(told)


def holders(host: str, port: int) -> list[tuple[int, str]]:
    """(pid, command in short) of who listens on a port where a listener at `host` would be in its way: at that address,
    or one of both at any address. Of the processes that this user may look into; Linux alone says."""
    inodes = _in_the_way(host, port)
    found = []
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if any(os.readlink(one) in inodes for one in (folder / "fd").iterdir()):
                found.append((int(folder.name), _short((folder / "cmdline").read_bytes())))
    return sorted(found)


def _short(command: bytes) -> str:
    """Of program and script the name alone, and of the words behind them what has room."""
    words = command.rstrip(b"\0").decode(errors="replace").split("\0")
    text = " ".join([*(Path(word).name for word in words[:2]), *words[2:]])
    return text if len(text) <= COMMAND_CHARS_MAX else f"{text[: COMMAND_CHARS_MAX - 3]}..."


def _in_the_way(host: str, port: int) -> set[str]:
    """What the descriptors of those sockets are links to.

    A listener at any IPv6 address takes IPv4 too, unless it was told not to, which no table shows: it counts where none
    of the address's own family is found, beside which it could not stand otherwise."""
    wanted = _addresses(host)
    found = [(one, link) for one, link in _listening(port) if any(_overlap(one, ours) for ours in wanted)]
    versions = {ours.version for ours in wanted}
    return {link for one, link in found if one.version in versions} or {link for _, link in found}


def _addresses(host: str) -> list[IPAddress]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError):
        found = {str(one[4][0]) for one in socket.getaddrinfo(host or "0.0.0.0", None, family, socket.SOCK_STREAM)}
        return [_unmapped(ipaddress.ip_address(one.partition("%")[0])) for one in found]
    return []


def _overlap(one: IPAddress, other: IPAddress) -> bool:
    """Whether two sockets that listen there can be in each other's way."""
    if one.version == other.version:
        return one == other or one.is_unspecified or other.is_unspecified
    return (one if one.version == 6 else other).is_unspecified


def _unmapped(address: IPAddress) -> IPAddress:
    """IPv4 inside IPv6 (::ffff:0:0/96) is IPv4."""
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _listening(port: int) -> Iterator[tuple[IPAddress, str]]:
    """The address of each socket that listens on it, and what its descriptors are links to."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].rpartition(":")
                if fields[3] == LISTENS and int(number, 16) == port:
                    yield _read(address), f"socket:[{fields[9]}]"


def _read(address: str) -> IPAddress:
    """Of hex, in words of 32 bits in this machine's order of bytes (Linux, net/ipv4/tcp_ipv4.c, get_tcp4_sock)."""
    words = (int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8))
    return _unmapped(ipaddress.ip_address(b"".join(words)))
