"""The listener of the HTTP doors: so many connections in all and of one client, each with deadlines.

The socket is accepted and counted before anything is read or a TLS handshake begins. A connection that is one too many
is closed at once; when all are taken, one that waits idle for its next request makes place, of the client that has
most. An answer that its reader does not take in time is cut.

Deadlines: TLS_S for the handshake, the door's idle time for a request's header and between two requests, for the
handler its request time, for taking the answer STALL_S and the time that ANSWER_BYTES_PER_S gives.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from consensus.formats.units import MIB
from consensus.node.plain_http import PlainConnection
from consensus.system.errors import traced
from consensus.system.handed import Handed
from consensus.system.log_limit import LogLimit
from consensus.system.machine import last_words
from consensus.system.tasks import Faults
from dchat.doors.certificates import Certificates
from dchat.doors.kept.at_once import AtOnce
from dchat.doors.reads.errors import Flooding
from dchat.doors.reads.limits import Proxies, client_of, share_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

BACKLOG: Final = 128
TLS_S: Final = 5.0
STALL_S: Final = 10.0
ANSWER_BYTES_PER_S: Final = 65_536
UNREAD_BYTES_MAX: Final = 64 * MIB  # of answers that wait for slow readers; of one client its share
SEND_BUFFER_BYTES: Final = 131_072  # of the system's memory for an answer: it would give megabytes
SWEEP_S: Final = 0.5
REFUSAL_PAUSE_S: Final = 0.002  # after each connection that is one too many: a flood of them costs little of the loop
AGAIN_S: Final = 1.0  # after a failure of our own
NO_HANDLE_PAUSE_S: Final = 0.5
_NO_HANDLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="client")


class Connection(PlainConnection):
    """One connection, as the gate sees it."""

    def __init__(
        self,
        gate: Gate,
        client: str,
        manager: web.Server,
        *,
        at_once: AtOnce | None = None,
        **options: Any,
    ) -> None:
        """at_once: answers what it can before the server is asked."""
        self._at_once = at_once
        self._is_amid = False  # the server's parser may have a part of a request
        self._host = ""  # of who is connected, once it is asked for
        super().__init__(manager, **options)
        self.gate, self.client = gate, client
        self.was_made, self.counts = False, True
        self.requests = 0  # that are being served: 0 or 1
        self.unread = 0  # bytes of its answer when last looked at
        self.cut_at = 0.0  # loop time; 0: nothing waits to be read
        self.is_patient = False  # whether it reads is looked after elsewhere

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.was_made = True
        self.gate.open_connections[self] = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.gate.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._at_once is not None and not self._is_amid and self._answered_at_once(data):
            return
        before = getattr(self, "_request_count", 0)
        super().data_received(data)
        # Its end is a request's only where a request came of it and no body follows; else the server goes on reading.
        self._is_amid = getattr(self, "_request_count", 0) == before or not data.endswith(b"\r\n\r\n")

    def answer_nothing_at_once(self) -> None:
        """From now on all goes the server's way."""
        self._at_once = None

    def _answered_at_once(self, data: bytes) -> bool:
        """Only while the server waits for the next request with nothing half done: then order is kept. What it has
        inside (aiohttp 3.12 to 3.14) is looked at with care: where it is named otherwise, all goes the server's way."""
        waiter, transport = getattr(self, "_waiter", None), self.transport
        if waiter is None or waiter.done() or self._messages or transport is None:
            return False
        if transport.is_closing() or transport.get_write_buffer_size():
            return False
        assert self._at_once is not None
        if not self._host:
            peer = transport.get_extra_info("peername")
            self._host = str(peer[0]) if isinstance(peer, tuple) else "unknown"
        try:
            answer = self._at_once.answer(data, self._host, self.client, self.gate.proxies)
        except Flooding as error:
            self.gate.cut(self, str(error))
            return True
        if answer is None:
            return False
        self._next_keepalive_close_time = asyncio.get_running_loop().time() + self.keepalive_timeout
        transport.write(answer)
        return True

    @property
    def is_idle(self) -> bool:
        """Between two requests, with nothing to be read."""
        return self.requests == 0 and not self.unread

    def abort(self) -> None:
        if self.transport is not None:  # uvloop's is no asyncio.Transport, and has what that has
            self.transport.abort()

    def look(self, now: float) -> None:
        """Note what its reader has not taken; cut it when that is so for too long."""
        transport = self.transport
        self.unread = transport.get_write_buffer_size() if transport is not None else 0
        if not self.unread:
            self.cut_at = 0.0
        elif not self.cut_at:
            self.cut_at = now + STALL_S + self.unread / ANSWER_BYTES_PER_S
        elif now > self.cut_at and not self.is_patient:
            self.gate.cut(self, "an answer was not read in time")


class Gate:
    """Accepts for one door. `listen`, then `close`."""

    def __init__(
        self, name: str, connections_max: int, faults: Faults | None = None, *, proxies: Proxies | None = None
    ) -> None:
        """faults: where failures of its tasks are told. proxies: whose connections are many clients'."""
        self.proxies = proxies or Proxies()
        self._of_proxies: set[str] = set()  # as they are counted
        self.name, self.connections_max, self._faults = name, connections_max, faults or Faults()
        self.open_connections: dict[Connection, None] = {}  # in the order in which they came
        self.counts: Counter[str] = Counter()  # accepted, refused, evicted, cut
        self._by_client: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []
        self.handed = Handed()  # where the process before this one listened

    @property
    def size(self) -> int:
        """Connections, those in a TLS handshake too."""
        return self._by_client.total()

    async def listen(
        self, make: Callable[[Gate, str], Connection], host: str, port: int, *, tls: Certificates | None
    ) -> int:
        """Returns the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        flags = socket.AI_PASSIVE
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
        self._sockets += self.handed.take(list(dict.fromkeys(address for *_, address in found)))
        for one in self._sockets:
            one.setblocking(False)
        try:
            for family, kind, proto, _, address in {} if self._sockets else dict.fromkeys(found):
                self._sockets.append(_bound(family, kind, proto, address))
        except OSError:
            self._close_sockets()
            raise
        for listening in self._sockets:
            self._own(self._again(f"{self.name} accepts", functools.partial(self._accept, listening, make, tls)))
        self._own(self._again(f"{self.name} sweeps", self._sweep))
        return int(self._sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Accept no more. Connections are their server's to end."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close_sockets()

    def cut(self, connection: Connection, why: str) -> None:
        self.counts["cut"] += 1
        _limited.info("cut an HTTP connection", connection.client, why=why, unread_bytes=connection.unread)
        connection.abort()

    def _close_sockets(self) -> None:
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    @property
    def task_names(self) -> frozenset[str]:
        return frozenset(task.get_name() for task in self._tasks)

    def _own(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        task = asyncio.get_running_loop().create_task(work, name=name or f"{self.name} task")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """`work`, begun anew when it fails, which is said aloud."""
        while True:
            try:
                await work()
            except Exception as error:
                self._faults.failed(name, error, needed=True)
                log.error(
                    "a part of a door failed and begins anew", part=name, why=last_words(error), exc_info=traced(error)
                )
            await asyncio.sleep(AGAIN_S)
            self._faults.recovered(name)

    # ---------------------------------------------------------------------------------------------- accepting

    async def _accept(
        self, listening: socket.socket, make: Callable[[Gate, str], Connection], tls: Certificates | None
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                is_short = error.errno in _NO_HANDLE
                if is_short:
                    _limited.error("no file handle for a connection", "any", door=self.name, error=str(error))
                await asyncio.sleep(NO_HANDLE_PAUSE_S if is_short else 0)
                continue
            client = client_of(str(address[0]))
            if self.proxies.has(str(address[0])):
                self._of_proxies.add(client)
            if not self._has_room(client):
                self.counts["refused"] += 1
                _limited.warning("refused an HTTP connection: too many", client, door=self.name)
                accepted.close()
                await asyncio.sleep(REFUSAL_PAUSE_S)
                continue
            self.counts["accepted"] += 1
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._by_client[client] += 1
            self._own(self._serve(accepted, client, make, tls), f"{self.name} connection")

    async def _serve(
        self, accepted: socket.socket, client: str, make: Callable[[Gate, str], Connection], tls: Certificates | None
    ) -> None:
        """Hand the socket over; it counts until its connection is lost."""
        connection = make(self, client)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls.context if tls else None,
                ssl_handshake_timeout=TLS_S if tls is not None else None,
            )
        except Exception as error:  # of the handshake, whatever a client sends; ours end nothing else
            self.counts["failed"] += 1
            _limited.info("an HTTP connection did not begin", client, door=self.name, error=str(error))
        finally:
            if not connection.was_made:
                self.left(connection)
                accepted.close()

    def left(self, connection: Connection) -> None:
        """It counts no more. Callable again."""
        self.open_connections.pop(connection, None)
        if connection.counts:
            connection.counts = False
            self._by_client[connection.client] -= 1
            if self._by_client[connection.client] <= 0:
                del self._by_client[connection.client]

    def _share(self, total: int, client: str) -> int:
        return total if client in self._of_proxies else share_of(total, client)

    def _has_room(self, client: str) -> bool:
        """Whether one more of this client may come; an idle one of who has most may have to go for it."""
        held = self._by_client[client]
        if held >= self._share(self.connections_max, client):
            return False
        if self.size < self.connections_max:
            return True
        greediest, most = self._by_client.most_common(1)[0]
        if most <= held + 1:
            return False
        for connection in self.open_connections:
            if connection.client == greediest and connection.is_idle:
                self.counts["evicted"] += 1
                self.left(connection)
                connection.abort()
                return True
        return False

    async def _sweep(self) -> None:
        """Cut who does not read: each by its deadline, and the worst first when together they hold too much."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            held: Counter[str] = Counter()
            for connection in list(self.open_connections):
                connection.look(loop.time())
                held[connection.client] += connection.unread
            for connection in sorted(self.open_connections, key=lambda one: -one.unread):
                share = self._share(UNREAD_BYTES_MAX, connection.client)
                if held.total() > UNREAD_BYTES_MAX or held[connection.client] > share:
                    held[connection.client] -= connection.unread
                    self.cut(connection, "too many bytes of answers wait to be read")


def _bound(family: int, kind: int, proto: int, address: Any) -> socket.socket:
    """A listening socket. Raises OSError."""
    listening = socket.socket(family, kind, proto)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None
    return listening
