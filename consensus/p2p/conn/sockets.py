"""Where connections come from: TCP, or whatever a simulator puts in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

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
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        self._server.close()


class TcpSockets:
    """The real ones, on the running event loop."""

    async def connect(self, factory: ProtocolFactory, host: str, port: int) -> None:
        await asyncio.get_running_loop().create_connection(factory, host, port)

    async def listen(self, factory: ProtocolFactory, host: str, port: int) -> Listener:
        server = await asyncio.get_running_loop().create_server(factory, host, port, backlog=LISTEN_BACKLOG)
        return _TcpListener(server)
