"""A raw speaker of the wire: the secret connection by the book, and behind it whatever bytes the attacker likes.

Nothing of the product's switch or connection is used, so that nothing is sanitised on the way out: packets may be cut,
too long, of any channel, and the node info is a string of bytes. Sealing and opening frames are the product's
(consensus.p2p.conn.secret_connection), which makes an attacker cheap.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.packets import CHANNEL_PING, PONG, decode_packet, delimited, packet_prefix, split_delimited
from consensus.p2p.conn.secret_connection import Opener, Sealer, SecretHandshake

PAYLOAD_BYTES = 1_024
ALL_CHANNELS = (0x00, 0x20, 0x21, 0x22, 0x23, 0x30, 0x38, 0x40, 0x60, 0x61, 0x70)
STOCK_CHANNELS = bytes(channel for channel in ALL_CHANNELS if channel != 0x70)
READ_BYTES = 65_536
MESSAGE_BYTES_MAX = 4_194_304  # of what is put together here; a block part is the largest thing that is looked at
CONNECT_TIMEOUT_S = 10.0

OnMessage = Callable[[int, bytes], None]


@dataclass(frozen=True)
class Target:
    """One node, as an attacker knows it."""

    name: str
    host: str
    node_id: str
    p2p: int
    http: int
    grpc: int
    metrics: int


def plain_info(
    key: NodeKey, chain_id: str, *, channels: bytes = bytes(ALL_CHANNELS), moniker: str = "stranger"
) -> bytes:
    """A node info that every check lets pass."""
    info = NodeInfo(key.id, "tcp://127.0.0.1:26656", chain_id, "0.38.19", channels, moniker)
    return info.encode()


def new_key() -> NodeKey:
    return NodeKey.from_seed(os.urandom(32))


def packet(channel: int, payload: bytes, *, eof: bool = True) -> bytes:
    """One packet as it goes into the stream."""
    return packet_prefix(channel, len(payload), eof) + payload


def packets(channel: int, message: bytes) -> bytes:
    """All packets of a message, cut as every honest peer cuts it."""
    if len(message) <= PAYLOAD_BYTES:
        return packet(channel, message)
    pieces = [message[start : start + PAYLOAD_BYTES] for start in range(0, len(message), PAYLOAD_BYTES)]
    return b"".join(packet(channel, piece, eof=number == len(pieces) - 1) for number, piece in enumerate(pieces))


class Wire:
    """One connection. Each step of the handshake is a call of its own, so that it can stop anywhere.

    `close` is always safe. Raises OSError, P2PError, TimeoutError, asyncio.IncompleteReadError when the other side
    does not go along.
    """

    def __init__(self, key: NodeKey | None = None) -> None:
        self.key = key or new_key()
        self.sent = self.received = 0  # bytes of the socket
        self.closed = asyncio.Event()
        self.on_message: OnMessage | None = None
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self._handshake = SecretHandshake(self.key)
        self.sealed_auth = b""  # ours, as it goes on the wire
        self._sealer: Sealer
        self._opener: Opener
        self._plain = b""
        self._partial: dict[int, bytearray] = {}
        self._listener: asyncio.Task[None] | None = None

    async def connect(self, target: Target, *, source: str = "") -> None:
        """source: the address to come from; any of 127.0.0.0/8 on this machine."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            self.reader, self.writer = await asyncio.open_connection(
                target.host, target.p2p, local_addr=(source, 0) if source else None, limit=2 * READ_BYTES
            )
        self.writer.transport.set_write_buffer_limits(high=READ_BYTES)

    def raw(self, data: bytes) -> None:
        """Bytes into the socket as they are. Raises ConnectionResetError once it is closed."""
        if self.writer.transport.is_closing():
            raise ConnectionResetError("closed by the other side")
        self.sent += len(data)
        self.writer.write(data)

    def own_hello(self) -> bytes:
        return self._handshake.hello()

    async def hello(self) -> None:
        self.raw(self.own_hello())
        body = await self._read_delimited(sealed=False)
        self.sealed_auth = self._handshake.receive_hello(body)
        self._sealer, self._opener = self._handshake.sealer, self._handshake.opener
        self._plain = self._opener.open(self._plain)  # what came behind the hello

    async def auth(self) -> None:
        self.raw(self.sealed_auth)
        self._handshake.receive_auth(await self._read_delimited())

    async def info(self, body: bytes) -> bytes:
        """Send these bytes as node info, return theirs."""
        self.stream(delimited(body))
        return await self._read_delimited()

    async def open(self, target: Target, info: bytes, *, source: str = "") -> None:
        """The whole handshake; then `listen` or `drain`."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self.connect(target, source=source)
            await self.hello()
            await self.auth()
            await self.info(info)

    def stream(self, data: bytes) -> None:
        """Bytes into the encrypted stream."""
        self.raw(self._sealer.seal(data))

    async def drain(self) -> None:
        """Wait until the socket takes more. Raises OSError when it is closed."""
        if self.closed.is_set():
            raise ConnectionResetError("closed by the other side")
        await self.writer.drain()

    def listen(self, on_message: OnMessage | None = None) -> None:
        """Read from now on: answer pings, put messages together."""
        self.on_message = on_message
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            while True:
                self._take_packets()
                data = await self.reader.read(READ_BYTES)
                if not data:
                    return
                self.received += len(data)
                self._plain += self._opener.open(data)
        except (OSError, P2PError):
            return
        finally:
            self.closed.set()

    def _take_packets(self) -> None:
        plain, at = self._plain, 0
        while True:
            size = shift = 0
            start = at
            while start < len(plain):
                byte = plain[start]
                size |= (byte & 0x7F) << shift
                shift, start = shift + 7, start + 1
                if byte < 0x80:
                    break
            else:
                break
            if start + size > len(plain):
                break
            self._take_packet(*decode_packet(plain, start, start + size))
            at = start + size
        self._plain = plain[at:]

    def _take_packet(self, channel: int, eof: bool, payload: bytes) -> None:
        if channel == CHANNEL_PING:
            self.stream(PONG)
        elif channel >= 0 and self.on_message is not None:
            if eof and channel not in self._partial:
                self.on_message(channel, payload)
                return
            whole = self._partial.setdefault(channel, bytearray())
            whole += payload[: MESSAGE_BYTES_MAX - len(whole)]
            if eof:
                del self._partial[channel]
                self.on_message(channel, bytes(whole))

    async def _read_delimited(self, *, sealed: bool = True) -> bytes:
        while (split := split_delimited(self._plain, limit=1 << 20, what="answer")) is None:
            data = await self.reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("closed during the handshake")
            self.received += len(data)
            self._plain += self._opener.open(data) if sealed else data
        body, self._plain = split
        return body

    def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        self.closed.set()
        with contextlib.suppress(AttributeError, OSError):  # never connected
            self.writer.transport.abort()


def faults() -> tuple[type[BaseException], ...]:
    """What a connection ends with when the other side does not want it."""
    return (OSError, P2PError, TimeoutError, asyncio.IncompleteReadError)


def spec_of(target: Target) -> dict[str, Any]:
    return dict(vars(target))
