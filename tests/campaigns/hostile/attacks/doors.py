"""Clients of the doors who ask for more than their share: number 13 of the issue."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import grpc
import grpc.aio

from proto.dchat.v1 import service_pb2
from tests.campaigns.hostile.attacks.packets import connections_of
from tests.campaigns.hostile.wire import Target
from tests.campaigns.hostile.world import World, attack, together

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8
FRAME_BYTES = 16_384
ABORTED = (OSError, TimeoutError, asyncio.IncompleteReadError, grpc.RpcError)


def from_(world: World) -> tuple[str, int] | None:
    source = world.source()
    return (source, 0) if source else None


async def hold(world: World, port_of: object, first: bytes, *, drip: bytes = b"", every_s: float = 1.0) -> None:
    """Connections that say `first` and then nothing, or `drip` byte by byte; opened again when they are closed."""
    assert callable(port_of)

    async def one(target: Target, number: int) -> None:
        await asyncio.sleep(number * 0.002)
        while True:
            writer = None
            try:
                reader, writer = await asyncio.open_connection(target.host, port_of(target), local_addr=from_(world))
                world.count["opened"] += 1
                writer.write(first)
                if drip:
                    for byte in drip * 100:
                        if writer.transport.is_closing():
                            raise ConnectionResetError
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(every_s)
                while await reader.read(4_096):
                    pass
                world.count["closed by the door"] += 1
            except OSError:
                world.count["refused"] += 1
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(0.5)

    await together(one(target, n) for target in world.targets for n in range(connections_of(world)))


@attack
async def idle_http(world: World) -> None:
    await hold(world, lambda target: target.http, b"")


@attack
async def idle_metrics(world: World) -> None:
    await hold(world, lambda target: target.metrics, b"")


@attack
async def idle_grpc(world: World) -> None:
    await hold(world, lambda target: target.grpc, b"")


@attack
async def half_header(world: World) -> None:
    """A header that never ends, a byte a second."""
    await hold(world, lambda target: target.http, b"GET /status HTTP/1.1\r\nHost: ", drip=b"a")


@attack
async def half_body(world: World) -> None:
    first = b"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    await hold(world, lambda target: target.http, first, drip=b"b")


@attack
async def http_flood(world: World) -> None:
    """The costliest pages, without a pause, and pipelined."""
    pages = (
        "/chain/blocks?limit=100",
        "/chain/latest-block",
        "/chain/events?from_height=1&limit=1000",
        "/metrics",
        "/status",
    )
    asked = "".join(f"GET {page} HTTP/1.1\r\nHost: localhost\r\n\r\n" for page in pages).encode()

    async def one(target: Target) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(target.host, target.http, local_addr=from_(world))
                try:
                    while True:
                        if writer.transport.is_closing():
                            break
                        writer.write(asked)
                        await writer.drain()
                        world.count["requests"] += len(pages)
                        if not await reader.read(65_536):
                            break
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.02)

    await together(one(target) for target in world.targets for _ in range(connections_of(world)))


# ------------------------------------------------------------------------------------------------ gRPC, frame by frame


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def literal(name: str, value: str) -> bytes:
    """A header field that is never indexed, without Huffman's code."""
    coded = b""
    for text in (name.encode(), value.encode()):
        size = len(text)
        coded += (bytes([size]) if size < 127 else b"\x7f" + bytes([size - 127])) + text
    return b"\x10" + coded


def call_headers(path: str) -> bytes:
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost", "te": "trailers",
        "content-type": "application/grpc",
    }  # fmt: skip
    return b"".join(literal(name, value) for name, value in fields.items())


class Http2:
    """Just enough of HTTP/2 to leave requests unfinished: it minds the windows, so that the data is really taken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.window = 65_535
        self.initial = 65_535
        self.streams: dict[int, int] = {}
        self._changed = asyncio.Event()
        self.writer.write(PREFACE + frame(SETTINGS, 0, 0, b""))
        self.task = asyncio.create_task(self._read())
        self.reset = 0

    async def _read(self) -> None:
        with contextlib.suppress(*ABORTED):
            while True:
                head = await self._reader.readexactly(9)
                size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream = int.from_bytes(head[5:9], "big")
                body = await self._reader.readexactly(size)
                self._take(kind, flags, stream, body)
        self.writer.transport.abort()
        self._changed.set()

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == SETTINGS and not flags & 1:
            for at in range(0, len(body), 6):
                if body[at : at + 2] == b"\0\4":
                    initial = int.from_bytes(body[at + 2 : at + 6], "big")
                    for open_stream in self.streams:
                        self.streams[open_stream] += initial - self.initial
                    self.initial = initial
            self._write(frame(SETTINGS, 1, 0, b""))
        elif kind == PING and not flags & 1:
            self._write(frame(PING, 1, 0, body))
        elif kind == WINDOW:
            more = int.from_bytes(body, "big")
            if stream:
                self.streams[stream] = self.streams.get(stream, 0) + more
            else:
                self.window += more
        elif kind == RST:
            self.reset += 1
            self.streams.pop(stream, None)
        self._changed.set()

    def open(self, stream: int, path: str) -> None:
        self.streams[stream] = self.initial
        self._write(frame(HEADERS, 4, stream, call_headers(path)))

    def _write(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError("closed by the door")
        self.writer.write(data)

    async def data(self, stream: int, body: bytes) -> int:
        """Send as much of `body` as the windows allow; returns how much."""
        size = max(0, min(len(body), FRAME_BYTES, self.window, self.streams.get(stream, 0)))
        if size:
            self.window -= size
            self.streams[stream] -= size
            self._write(frame(DATA, 0, stream, body[:size]))
            await self.writer.drain()
        return size

    async def wait(self) -> None:
        """For the windows to change, a moment at most."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 0.2)


@attack
async def unfinished_grpc(world: World) -> None:
    """Many requests on one connection, each of nearly the largest size and never ended. streams: of a connection."""
    streams, size = int(world.args.get("streams", 100)), int(world.args.get("size", 16_000_000))
    body = struct.pack(">BI", 0, size) + bytes(FRAME_BYTES)

    async def one(target: Target) -> None:
        while True:
            world.count["opened"] += 1
            with contextlib.suppress(OSError):
                await _unfinished(world, target, streams, size, body)
            world.count["connections ended"] += 1
            await asyncio.sleep(0.2)

    await together(one(target) for target in world.targets for _ in range(connections_of(world)))


async def _unfinished(world: World, target: Target, streams: int, size: int, body: bytes) -> None:
    reader, writer = await asyncio.open_connection(target.host, target.grpc, local_addr=from_(world))
    link = Http2(reader, writer)
    sent = dict.fromkeys(range(1, 2 * streams, 2), 0)
    try:
        for stream in sent:
            link.open(stream, "/dchat.v1.TxService/BroadcastMany")
        while not link.task.done():
            moved = 0
            for stream in sent:
                room = min(FRAME_BYTES, size - 10 - sent[stream])
                if room > 0 and stream in link.streams:
                    chunk = await link.data(stream, body[:room] if not sent[stream] else bytes(room))
                    sent[stream] += chunk
                    moved += chunk
                    if chunk:
                        await world.budget.take(chunk)
            world.count["bytes"] += moved
            if not moved:
                await link.wait()
    finally:
        link.task.cancel()
        writer.transport.abort()


@attack
async def large_broadcasts(world: World) -> None:
    """connections: so many whole messages of nearly the largest size at once, each on a connection of its own."""
    size = 16_700_000

    async def one(target: Target, number: int) -> None:
        await asyncio.sleep(number * 0.01)
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        while True:
            async with grpc.aio.insecure_channel(f"{target.host}:{target.grpc}", options=options) as channel:
                call = channel.unary_unary("/dchat.v1.TxService/Broadcast")
                try:
                    await world.budget.take(size)
                    await call(b"\x0a" + _varint(size) + bytes(size), timeout=20)
                    world.count["answered"] += 1
                except grpc.RpcError as error:
                    world.count[f"answered {error.code().name}"] += 1
            await asyncio.sleep(0.1)

    await together(one(target, n) for target in world.targets for n in range(connections_of(world)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


@attack
async def event_streams(world: World) -> None:
    """Streams of events that match nothing, from the chain's beginning; args streams: of each target."""
    request = service_pb2.StreamEventsRequest(from_height=1, types=["no_such_event"])
    request.where.add(key="no", value="such")

    async def one(target: Target, number: int) -> None:
        while True:
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"{target.host}:{target.grpc}", options=options) as channel:
                call = channel.unary_stream("/dchat.v1.ChainService/StreamEvents")
                streams = [call(request.SerializeToString()) for _ in range(20)]
                world.count["streams"] += len(streams)

                async def read(stream: object) -> None:
                    try:
                        async for _ in stream:  # type: ignore[attr-defined]
                            world.count["told"] += 1
                    except grpc.RpcError as error:
                        world.count[f"ended {error.code().name}"] += 1

                await asyncio.gather(*(read(stream) for stream in streams))
            await asyncio.sleep(0.5)

    count = int(world.args.get("streams", 200)) // 20
    await together(one(target, n) for target in world.targets for n in range(count))


@attack
async def invariants(world: World) -> None:
    """The costliest question, given up after a moment and asked again, by several clients."""
    await _ask(world, "/dchat.v1.StateService/GetInvariants", b"", timeout_s=0.3)


@attack
async def block_lists(world: World) -> None:
    request = service_pb2.ListBlocksRequest(limit=100).SerializeToString()
    await _ask(world, "/dchat.v1.ChainService/ListBlocks", request, timeout_s=2.0)


async def _ask(world: World, method: str, request: bytes, *, timeout_s: float) -> None:
    async def one(target: Target) -> None:
        async with grpc.aio.insecure_channel(
            f"{target.host}:{target.grpc}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            call = channel.unary_unary(method)
            while True:
                try:
                    await call(request, timeout=timeout_s)
                    world.count["answered"] += 1
                except grpc.RpcError as error:
                    world.count[f"answered {error.code().name}"] += 1
                    await asyncio.sleep(0.01)

    await together(one(target) for target in world.targets for _ in range(connections_of(world)))


@attack
async def commit_waits(world: World) -> None:
    """Waits for the commit of what can't be committed, as many as a connection takes."""
    request = service_pb2.BroadcastRequest(tx=b"\x0a\x01a", wait=service_pb2.WAIT_COMMIT).SerializeToString()
    await _ask(world, "/dchat.v1.TxService/Broadcast", request, timeout_s=5.0)
