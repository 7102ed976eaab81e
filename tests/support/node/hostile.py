"""Clients that mean no good, for tests of the doors: raw sockets, and HTTP/2 frames written by hand."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
SETTING_INITIAL_WINDOW = 4
FRAME_BYTES_MAX = 16_384


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(*, initial_window: int | None = None) -> bytes:
    """initial_window: what this client takes of each answer before it says more."""
    pairs = b"" if initial_window is None else struct.pack(">HI", SETTING_INITIAL_WINDOW, initial_window)
    return frame(SETTINGS, 0, 0, pairs)


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing: HPACK needs no state for it. Both shorter than 127."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


def headers(stream: int, path: str, *, ends: bool = False) -> bytes:
    """Of a gRPC call."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
        "content-type": "application/grpc", "te": "trailers",
    }  # fmt: skip
    block = b"".join(_literal(name.encode(), value.encode()) for name, value in fields.items())
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block)


def message_start(size: int) -> bytes:
    """The prefix of a gRPC message of `size` bytes."""
    return b"\0" + size.to_bytes(4, "big")


@dataclass
class Http2:
    """A connection that keeps to HTTP/2's flow control, and to nothing else."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    window: int = 65_535
    initial_window: int = 65_535
    windows: dict[int, int] = field(default_factory=dict)  # by stream
    ended: set[int] = field(default_factory=set)
    sent: int = 0
    is_closed: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self, stream: int, path: str, *, ends: bool = False) -> None:
        self.windows[stream] = self.initial_window
        self.writer.write(headers(stream, path, ends=ends))

    def send(self, stream: int, payload: bytes) -> None:
        """A piece of a request, which must fit into the windows."""
        self.window -= len(payload)
        self.windows[stream] -= len(payload)
        self.sent += len(payload)
        for at in range(0, len(payload), FRAME_BYTES_MAX):
            self.writer.write(frame(DATA, 0, stream, payload[at : at + FRAME_BYTES_MAX]))

    async def read(self) -> None:
        """Take frames until the connection ends: windows, settings, ends of streams."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await self.reader.readexactly(9)
                size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
                self._take(kind, flags, stream, await self.reader.readexactly(size))
                self.heard.set()
        self.is_closed = True
        self.heard.set()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, at)
                if name == SETTING_INITIAL_WINDOW:
                    for known in self.windows:
                        self.windows[known] += value - self.initial_window
                    self.initial_window = value
            self.writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            step = int.from_bytes(payload, "big")
            if stream:
                self.windows[stream] = self.windows.get(stream, 0) + step
            else:
                self.window += step
        elif kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self.ended.add(stream)
            self.windows.pop(stream, None)


@contextlib.asynccontextmanager
async def http2(port: int, *, initial_window: int | None = None) -> AsyncIterator[Http2]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PREFACE + settings(initial_window=initial_window))
    client = Http2(reader, writer)
    reading = asyncio.create_task(client.read())
    try:
        yield client
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()


async def is_cut(reader: asyncio.StreamReader, *, within_s: float) -> bool:
    """Whether the other side ends the connection in time, whatever it says before."""
    try:
        async with asyncio.timeout(within_s):
            while await reader.read(65_536):
                pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
