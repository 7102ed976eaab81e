"""One TCP connection from its first byte to its last: secret connection, node info, then the packets.

An asyncio.Protocol with no task of its own. Each phase of the handshake has a deadline and a size limit; whatever
goes wrong closes this connection, says why, and touches nothing else.
Source: CometBFT v0.38, spec/p2p/legacy-docs/peer.md and connection.md, p2p/transport.go.
"""

from __future__ import annotations

import asyncio
import socket
from enum import Enum
from typing import Protocol, cast

import structlog

from consensus.p2p.conn.address import NodeAddress, host_group
from consensus.p2p.conn.base import PeerFault
from consensus.p2p.conn.connection import MultiplexConnection
from consensus.p2p.conn.errors import BadHandshake, P2PError
from consensus.p2p.conn.node_info import NODE_INFO_BYTES_MAX, NodeInfo
from consensus.p2p.conn.node_key import NodeKey, node_id
from consensus.p2p.conn.packets import delimited, split_delimited
from consensus.p2p.conn.secret_connection import HANDSHAKE_MESSAGE_BYTES_MAX, Opener, Sealer, SecretHandshake
from consensus.system.log_limit import LogLimit

loud = LogLimit(structlog.get_logger(), source_name="remote")

WRITE_BUFFER_BYTES = 131_072  # above this the transport asks to pause; a vote never waits behind more of ours
STUCK_BYTES = 16_384  # a reader that takes less between two looks while more waits does not read
HELD_BYTES_MAX = NODE_INFO_BYTES_MAX + 10  # a node info and its length: more comes only when ours is there
FLUSH_TIMEOUT_S = 2.0  # a peer that does not read what is left is not waited for


class Phase(Enum):
    CONNECTING = "connecting"
    HELLO = "hello"
    AUTH = "authentication"
    HELD = "held"  # authenticated, and what we say of ourselves is not known yet
    INFO = "node info"
    RUNNING = "running"
    CLOSED = "closed"


class LinkOwner(Protocol):
    """The switch, as a link sees it. The first three raise P2PError to refuse the link."""

    def link_opened(self, link: Link) -> None: ...

    def link_authenticated(self, link: Link) -> NodeInfo | None:
        """The other side proved to hold `link.public_key`. Returns what we say of ourselves; None: `go_on` will."""
        ...

    def link_ready(self, link: Link, info: NodeInfo) -> MultiplexConnection:
        """The handshake is over. Returns the connection that takes what follows."""
        ...

    def link_closed(self, link: Link, reason: str) -> None:
        """Once for each link that was opened."""
        ...


class Link(asyncio.Protocol):
    """`dialed` is the address that was dialed, None on an accepted connection."""

    def __init__(
        self,
        owner: LinkOwner,
        key: NodeKey,
        *,
        loop: asyncio.AbstractEventLoop,
        phase_timeout_s: float,
        dialed: NodeAddress | None = None,
        persistent: bool = False,
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._key = key
        self._handshake: SecretHandshake | None = None  # made when the owner has let the link in: it costs a key pair
        self._phase_timeout_s = phase_timeout_s
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._connection: MultiplexConnection | None = None
        self._write_paused = False
        self.dialed = dialed
        self.persistent = persistent
        self.phase = Phase.CONNECTING
        self.has_joined = False  # it became a peer; its owner says so
        self.remote_host, self.remote_port = "", 0
        self.public_key = b""
        self.id = ""  # proven; empty before
        self.close_reason = ""
        self.close_error: Exception | None = None
        self.received_at = loop.time()
        self.bytes_in = self.bytes_out = 0
        self._taken = 0  # of bytes_out, what had left the transport when `is_stuck` last looked

    @property
    def is_outbound(self) -> bool:
        return self.dialed is not None

    def is_dialing(self, address: NodeAddress) -> bool:
        return not self.is_closed and self.dialed is not None and self.dialed.host_port == address.host_port

    @property
    def remote(self) -> str:
        return (
            f"[{self.remote_host}]:{self.remote_port}"
            if ":" in self.remote_host
            else f"{self.remote_host}:{self.remote_port}"
        )

    @property
    def silent_s(self) -> float:
        """Seconds since the last byte came."""
        return self._loop.time() - self.received_at

    @property
    def is_open(self) -> bool:
        """Whether there is a transport, closing or not; `link_closed` follows when it is gone."""
        return self._transport is not None

    @property
    def is_closed(self) -> bool:
        return self.phase is Phase.CLOSED

    # --- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.is_closed:  # given up while it was being dialed
            self._transport.abort()
            return
        name = transport.get_extra_info("peername")
        self.remote_host, self.remote_port = (str(name[0]), int(name[1])) if name else ("", 0)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._guard(self._begin)

    def data_received(self, data: bytes) -> None:
        size = len(data)
        self.bytes_in += size
        self.received_at = self._loop.time()
        connection = self._connection
        if connection is not None:
            assert self._opener is not None
            began_ns = connection.budget.shared.meter.begin()
            try:
                stream = self._opener.open(data)
            except P2PError as error:
                self.close(error)
                return
            connection.feed(stream, began_ns=began_ns)
        elif not self.is_closed:
            self._guard(self._handshake_received, data)

    def eof_received(self) -> bool:
        self.close("closed by the other side")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(f"connection lost: {exc}" if exc is not None else "closed by the other side")
        if self._transport is not None:
            self._transport = None
            self._owner.link_closed(self, self.close_reason)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._connection is not None:
            self._connection.resume_writing()

    # --- closing ----------------------------------------------------------------------------------------------

    def close(self, why: str | Exception, *, flush: bool = False) -> None:
        """Close, at once or after what is queued is written. Idempotent: the first reason stays.

        The owner hears of it in a later turn of the loop, never from inside this call.
        """
        if self.is_closed:
            return
        before, self.phase = self.phase, Phase.CLOSED
        text = str(why) or type(why).__name__
        named = before is Phase.RUNNING or text.startswith(before.value)
        self.close_reason = text if named else f"{before.value}: {text}"
        self.close_error = why if isinstance(why, Exception) else None
        if self._deadline is not None:
            self._deadline.cancel()
        if self._connection is not None:
            if flush:
                self._connection.flush_and_close()
            self._connection.close()
        if self._transport is not None:
            if flush:
                self._transport.close()
                self._loop.call_later(FLUSH_TIMEOUT_S, self.abort)
            else:
                self._transport.abort()

    def abort(self) -> None:
        """Cut a link that is closed but still flushing."""
        if self._transport is not None:
            self._transport.abort()

    def is_stuck(self) -> bool:
        """Whether the other side has taken next to nothing of what we wrote since the last call."""
        if self._transport is None:
            return False
        waiting = self._transport.get_write_buffer_size()
        taken = self.bytes_out - waiting
        before, self._taken = self._taken, taken
        return waiting > 0 and taken - before < STUCK_BYTES

    # --- Pipe -------------------------------------------------------------------------------------------------

    def write_stream(self, data: bytes) -> None:
        if self._transport is None or self._sealer is None:
            return
        sealed = self._sealer.seal(data)
        self.bytes_out += len(sealed)
        self._transport.write(sealed)

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- handshake --------------------------------------------------------------------------------------------

    def _guard(self, step: object, *args: object) -> None:
        """Run one step of the handshake; what it raises closes this link and goes no further."""
        assert callable(step)
        try:
            step(*args)
        except (P2PError, PeerFault) as error:
            self.close(error)
        except Exception as error:
            loud.error("a handshake failed on our side", self.remote, phase=self.phase.value, exc_info=error)
            self.close(error)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(self._phase_timeout_s, self._too_late)

    def _too_late(self) -> None:
        self.close(f"not finished within {self._phase_timeout_s} s")

    def _begin(self) -> None:
        self._owner.link_opened(self)
        assert self._transport is not None
        self._handshake = SecretHandshake(self._key)
        self._enter(Phase.HELLO)
        hello = self._handshake.hello()
        self.bytes_out += len(hello)
        self._transport.write(hello)

    def _handshake_received(self, data: bytes) -> None:
        if self.phase is Phase.HELLO:
            self._buffer += data
            data = self._hello_received()
        if self._opener is not None:
            self._buffer += self._opener.open(data)
            if self.phase is Phase.AUTH:
                self._auth_received()
            if self.phase is Phase.INFO:
                self._info_received()
            elif self.phase is Phase.HELD and len(self._buffer) > HELD_BYTES_MAX:
                raise BadHandshake(f"{len(self._buffer)} bytes before we said who we are, at most {HELD_BYTES_MAX}")

    def _hello_received(self) -> bytes:
        """Handle their hello once it is whole; return the sealed bytes behind it."""
        assert self._handshake is not None
        assert self._transport is not None
        split = split_delimited(self._buffer, limit=HANDSHAKE_MESSAGE_BYTES_MAX, what="hello")
        if split is None:
            return b""
        body, rest = split
        self._buffer = b""
        sealed = self._handshake.receive_hello(body)
        self._sealer, self._opener = self._handshake.sealer, self._handshake.opener
        self._enter(Phase.AUTH)
        self.bytes_out += len(sealed)
        self._transport.write(sealed)
        return rest

    def _auth_received(self) -> None:
        assert self._handshake is not None
        split = split_delimited(self._buffer, limit=HANDSHAKE_MESSAGE_BYTES_MAX, what="authentication")
        if split is None:
            return
        body, self._buffer = split
        self.public_key = self._handshake.receive_auth(body)
        self._handshake = None
        self.id = node_id(self.public_key)
        if self.dialed is not None and self.dialed.id and self.dialed.id != self.id:
            raise BadHandshake(f"authentication: dialed {self.dialed}, but {self.id} answered")
        ours = self._owner.link_authenticated(self)
        if ours is not None:
            self._say(ours)
            return
        self.phase = Phase.HELD
        if self._deadline is not None:
            self._deadline.cancel()

    def _say(self, ours: NodeInfo) -> None:
        self._enter(Phase.INFO)
        self.write_stream(delimited(ours.encode()))

    def go_on(self, ours: NodeInfo) -> None:
        """Of a link that is held: say who we are, and take what came meanwhile."""
        if self.phase is Phase.HELD:
            self._say(ours)
            self._guard(self._info_received)

    def _info_received(self) -> None:
        split = split_delimited(self._buffer, limit=NODE_INFO_BYTES_MAX, what="node info")
        if split is None:
            return
        body, rest = split
        self._buffer = b""
        info = NodeInfo.decode(body)
        info.validate()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        connection = self._owner.link_ready(self, info)
        if self.is_closed:  # a reactor did not want it
            connection.close()
            return
        self._connection = connection
        self.phase = Phase.RUNNING
        if self._write_paused:
            connection.pause_writing()
        connection.start()
        if rest:
            connection.feed(rest)


def may_lead_elsewhere(other: Link, proven: Link) -> bool:
    """Whether we dial the id of a proven connection at an address where strangers say it is, and it may not be: whoever
    tells us such an address must not keep the id itself away."""
    if other.dialed is None or other.id or other.persistent:
        return False
    return host_group(other.dialed.host) != host_group(proven.remote_host)
