"""HTTP and WebSocket in as few steps as a client can do with: it shares its cores with the nodes that it measures.

One connection, one request at a time; answers have a Content-Length. Frames of a server are not masked.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import Any, Final

LIMIT_BYTES: Final = 32 * 1_048_576
TEXT, PONG = 1, 10


def request_of(method: str, params: dict[str, Any], id: int = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode()


class Http:
    """`ask` after `open`. host, port: the door's."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=LIMIT_BYTES)

    async def ask(self, body: bytes, path: str = "/") -> tuple[int, bytes]:
        """(status, body). At another path than / it is a form. Raises OSError, EOFError."""
        kind = "application/json" if path == "/" else "application/x-www-form-urlencoded"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self._sent(head.encode() + body)

    async def get(self, path: str) -> tuple[int, bytes]:
        return await self._sent(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    async def _sent(self, data: bytes) -> tuple[int, bytes]:
        """Once more where the door had closed the connection, as with a client that floods: all are one here."""
        try:
            return await self._once(data)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            self.close()
            await self.open()
            return await self._once(data)

    async def _once(self, data: bytes) -> tuple[int, bytes]:
        self._writer.write(data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        size = int(head[at + 15 : head.index(b"\r", at)]) if at >= 0 else 0
        return int(head[9:12]), await self._reader.readexactly(size)

    def close(self) -> None:
        self._writer.close()


class Socket:
    """A WebSocket whose frames are counted, or read whole by `next`."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Raises OSError: it is refused."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=LIMIT_BYTES)
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            f"GET /websocket HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise OSError(f"no WebSocket: {head[:64]!r}")

    def send(self, data: bytes, kind: int = TEXT) -> None:
        """Masked with zeros, as a client may."""
        size = len(data)
        if size < 126:
            length = bytes([0x80 | size])
        else:
            length = b"\xfe" + size.to_bytes(2, "big") if size < 65_536 else b"\xff" + size.to_bytes(8, "big")
        self._writer.write(bytes([0x80 | kind]) + length + bytes(4) + data)

    async def next(self) -> bytes:
        """The next text; pings are answered. Raises EOFError: it was closed."""
        while True:
            head = await self._reader.readexactly(2)
            size = head[1] & 127
            if size >= 126:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
            data = await self._reader.readexactly(size)
            match head[0] & 15:
                case 9:
                    self.send(data, PONG)
                case 8:
                    raise EOFError
                case _:
                    return data

    def close(self) -> None:
        self._writer.close()
