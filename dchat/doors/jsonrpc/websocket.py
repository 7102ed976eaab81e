"""A client over WebSocket: its requests one after the other, and the events that it asked for.

What is written is what its requests are answered, first, then what its subscriptions have, in turn; the next request is
read once the last one's answer is on its way, so that who does not read is not answered either. It is pinged; where
nothing is heard of it for READ_S it is cut.
Source: CometBFT v0.38, rpc/jsonrpc/server/ws_handler.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import WSMsgType, web

from consensus.system.errors import traced
from consensus.system.log_limit import LogLimit
from dchat.doors.http.connections import Connection
from dchat.doors.http.listener import connection_of, remote_of
from dchat.doors.jsonrpc.hub import Hub
from dchat.doors.reads.errors import Flooding
from dchat.doors.reads.limits import Slots, client_of

if TYPE_CHECKING:
    from dchat.doors.jsonrpc.door import JsonRpcDoor

PING_S: Final = 27.0
READ_S: Final = 30.0
CLOSE_S: Final = 1.0
WRITTEN_IN_A_ROW: Final = 64  # messages, where the system takes all of them: about 1 ms
SOCKETS_LEAST: Final = 256  # each may hold a frame of a megabyte that is not whole; of a client its share
SOCKETS_EACH: Final = 2  # for each subscriber that there may be: one client outside has a quarter, this machine three

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="client")


class Socket:
    """One connection. Satisfies hub.Sink."""

    def __init__(self, ws: web.WebSocketResponse, door: JsonRpcDoor, hub: Hub, *, client: str, remote: str) -> None:
        self.client, self.remote = client, remote
        self._ws, self._door, self._hub = ws, door, hub
        self._wake = asyncio.Event()
        self._answers: list[bytes] = []
        self._answered = asyncio.Event()
        self.is_closing = False

    def has_more(self) -> None:
        self._wake.set()

    async def serve(self) -> bool:
        """Until the client leaves; False: it was not heard of for READ_S."""
        loop = asyncio.get_running_loop()
        tasks = {
            loop.create_task(work, name=f"JSON-RPC socket {what}")
            for what, work in (("reads", self._read()), ("writes", self._write()), ("pings", self._ping()))
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            errors = [error for task in done if (error := task.exception()) is not None]
            for error in errors:
                if not isinstance(error, ConnectionError | TimeoutError):
                    raise error
            return not any(isinstance(error, TimeoutError) for error in errors)
        finally:
            self._hub.left(self.remote)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive(timeout=READ_S)
            await asyncio.sleep(0)  # what has come is given without a pause, and may be thousands
            if message.type in (WSMsgType.PING, WSMsgType.PONG):
                if self._door.may_ping(self.client) and message.type is WSMsgType.PING:
                    await self._ws.pong(message.data)
                continue
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return  # closed, by either side, or no WebSocket any more
            data = message.data.encode() if isinstance(message.data, str) else message.data
            if (answer := await self._door.answer(data, self.client, self.remote, self)) is None:
                continue
            self._answered.clear()
            self._answers.append(answer)
            for one in self._hub.of(self.remote):
                one.is_open = True  # behind the answer that it was subscribed
            self._wake.set()
            await self._answered.wait()

    async def _write(self) -> None:
        written = 0
        while True:
            if written >= WRITTEN_IN_A_ROW:
                written = 0
                await asyncio.sleep(0)
            self._wake.clear()
            if self._answers:
                answer = self._answers.pop(0)
                await self._ws.send_frame(answer, WSMsgType.TEXT)
                self._answered.set()
                continue
            count = await self._write_events()
            written += count
            if not count:
                if self.is_closing:
                    return
                await self._wake.wait()

    async def _write_events(self) -> int:
        """One message of each subscription that has one; how many there were."""
        wrote = 0
        for one in self._hub.of(self.remote):
            if not one.is_open:
                continue
            if (text := one.take()) is not None:
                await self._ws.send_frame(text, WSMsgType.TEXT)
                wrote += 1
            elif one.ended:
                self._hub.forget(one)
                await self._ws.send_frame(one.farewell(), WSMsgType.TEXT)
                wrote += 1
        return wrote

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await self._ws.ping()

    def close(self) -> None:
        """When what waits was written."""
        self.is_closing = True
        self._wake.set()


class Sockets:
    """Those that are open. `serve` takes a request of the door's over."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.open: set[Socket] = set()
        self._none_open = asyncio.Event()
        self.places = Slots("WebSockets", max(SOCKETS_LEAST, SOCKETS_EACH * hub.clients_max))

    async def serve(self, request: web.Request, door: JsonRpcDoor) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            max_msg_size=door.options.max_body_bytes, compress=False, timeout=CLOSE_S, autoping=False
        )
        if not ws.can_prepare(request):
            return web.Response(status=400, text="Bad Request\n")
        connection = connection_of(request)
        with self.places.hold(client_of(request.remote or "")):
            connection.is_patient = True  # whether it reads is told by its answers to pings
            await ws.prepare(request)
            await self._serve(ws, request, door, connection)
        return ws

    async def _serve(
        self, ws: web.WebSocketResponse, request: web.Request, door: JsonRpcDoor, connection: Connection
    ) -> None:
        socket = Socket(ws, door, self._hub, client=client_of(request.remote or ""), remote=remote_of(request))
        self.open.add(socket)
        try:
            if not await socket.serve():
                connection.abort()
        except Flooding:
            raise
        except Exception as error:
            _limited.error("a WebSocket failed", socket.client, error=repr(error), exc_info=traced(error))
        finally:
            self.open.discard(socket)
            if not self.open:
                self._none_open.set()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await ws.close()

    def leave(self) -> None:
        """The node stops: subscriptions are told, connections are about to close."""
        self._hub.close()
        for socket in self.open:
            socket.close()

    async def close(self) -> None:
        """`leave`, and wait for their clients."""
        self.leave()
        if self.open:
            self._none_open.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._none_open.wait()
