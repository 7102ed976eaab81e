"""Where connections come from: TCP, or whatever a simulator puts in its place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from consensus.system.handed import Handed

ProtocolFactory = Callable[[], asyncio.Protocol]
LISTEN_BACKLOG = 128


class Listener(Protocol):
    @property
    def port(self) -> int:
        """The port that is listened on (chosen by the system when 0 was asked for)."""
        ...

    def close(self) -> None: ...


class Sockets(Protocol):
    async def connect(self, factory: ProtocolFactory, host: str, port: int) -> None:
        """Connect and hand the transport to a protocol made by `factory`. Raises OSError."""
        ...

    async def listen(self, factory: ProtocolFactory, host: str, port: int) -> Listener:
        """Give each connection that comes a protocol made by `factory`. Raises OSError."""
        ...


class _TcpListener:
    def __init__(self, *servers: asyncio.Server) -> None:
        self._servers = servers

    @property
    def port(self) -> int:
        return int(self._servers[0].sockets[0].getsockname()[1])

    def close(self) -> None:
        for server in self._servers:
            server.close()


class TcpSockets:
    """The real ones, on the running event loop. handed: where the process before this one listened."""

    def __init__(self, handed: Handed | None = None) -> None:
        self._handed = handed or Handed()

    async def connect(self, factory: ProtocolFactory, host: str, port: int) -> None:
        await asyncio.get_running_loop().create_connection(factory, host, port)

    async def listen(self, factory: ProtocolFactory, host: str, port: int) -> Listener:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        if ours := self._handed.take(list(dict.fromkeys(address for *_, address in found))):
            made = [await loop.create_server(factory, sock=one, backlog=LISTEN_BACKLOG) for one in ours]
            return _TcpListener(*made)
        return _TcpListener(await loop.create_server(factory, host, port, backlog=LISTEN_BACKLOG))
