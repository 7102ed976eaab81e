"""Many readers, in a process of their own: requests fall due by chance at a rate, whether answers come or not.

An answer's time counts from when its request was due, so that a node that lags is not spared (open loop).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final, cast

import grpc.aio
import uvloop

from benchmarks.doors.mix import GRPC, HTTP, RPC, Ask, World, asks
from benchmarks.rpc.wire import Socket
from dchat.devnet.live import quantile
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import service_pb2_grpc as rpc

CONNECTIONS: Final = 96  # to one door at most, as so many browsers' would be
TICK_S: Final = 0.002
LATE_S: Final = 30.0  # what was not answered then is an error


@dataclass
class Plan:
    """seconds: for how long requests fall due. nodes: each with its doors' addresses, HTTP, JSON-RPC and gRPC."""

    rate: float
    seconds: float
    seed: int
    nodes: list[dict[str, tuple[str, int]]]
    sockets: int
    world: dict[str, Any]


@dataclass
class Tally:
    sent: int = 0
    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    took_s: dict[str, list[float]] = field(default_factory=dict)
    bytes: int = 0
    heard: int = 0  # of subscribers

    def answer(self, name: str, took_s: float, status: int, size: int) -> None:
        self.answered += 1
        self.bytes += size
        self.took_s.setdefault(name, []).append(took_s)
        if status >= 400:
            self.errors[f"{name}: {status}"] += 1

    def row(self, seconds: float) -> dict[str, Any]:
        every = [one for took in self.took_s.values() for one in took] or [0.0]
        by_kind = {name: round(1_000 * quantile(took, 0.95), 1) for name, took in sorted(self.took_s.items())}
        return {
            "sent": self.sent, "answered": self.answered, "a_second": round(self.answered / seconds, 1),
            "errors": sum(self.errors.values()), "errors_by_kind": dict(self.errors),
            "p50_ms": round(1_000 * quantile(every, 0.5), 2), "p95_ms": round(1_000 * quantile(every, 0.95), 2),
            "p99_ms": round(1_000 * quantile(every, 0.99), 2), "max_ms": round(1_000 * max(every), 1),
            "p95_ms_by_kind": by_kind, "mb": round(self.bytes / 1e6, 1), "blocks_heard": self.heard,
        }  # fmt: skip


class Wire(asyncio.Protocol):
    """One connection: a request, then its answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._data, self._due = pool, b"", 0.0
        self._ask: Ask | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, ask: Ask, due: float) -> None:
        self._ask, self._due = ask, due
        self.transport.write(ask.data)

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._data.find(b"ontent-Length: ", 0, end)
        size = int(self._data[at + 15 : self._data.find(b"\r", at)]) if at >= 0 else 0
        if len(self._data) < end + 4 + size:
            return
        status, whole, self._data = int(self._data[9:12]), len(self._data), b""
        ask, self._ask = self._ask, None
        if ask is not None:
            self._pool.tally.answer(ask.name, time.monotonic() - self._due, status, whole)
        self._pool.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ask is not None:
            self._pool.tally.errors[f"{self._ask.name}: the connection was lost"] += 1
        self._pool.lost(self)


class Pool:
    """Connections to one door."""

    def __init__(self, tally: Tally, address: tuple[str, int]) -> None:
        self.tally, self._address = tally, address
        self._idle: deque[Wire] = deque()
        self._waiting: deque[tuple[Ask, float]] = deque()
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_quiet(self) -> bool:
        return len(self._idle) == self.open and not self._waiting and not self._tasks

    def ask(self, ask: Ask, due: float) -> None:
        if self._idle:
            self._idle.popleft().send(ask, due)
            return
        self._waiting.append((ask, due))
        if self.open < CONNECTIONS:
            self.open += 1
            task = asyncio.get_running_loop().create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        try:
            _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(self), *self._address)
        except OSError as error:
            self.open -= 1
            if self._waiting:
                ask, _ = self._waiting.popleft()
                self.tally.errors[f"{ask.name}: no connection: {error.strerror}"] += 1
            return
        self.free(wire)

    def free(self, wire: Wire) -> None:
        if self._waiting:
            wire.send(*self._waiting.popleft())
        else:
            self._idle.append(wire)

    def lost(self, wire: Wire) -> None:
        self.open -= 1
        if wire in self._idle:
            self._idle.remove(wire)

    def close(self) -> None:
        for wire in list(self._idle):
            wire.transport.close()


class Grpc:
    """Calls of one node's gRPC door."""

    def __init__(self, tally: Tally, address: tuple[str, int]) -> None:
        self._tally, self._channel = tally, grpc.aio.insecure_channel("{}:{}".format(*address))
        self._chain, self._state = rpc.ChainServiceStub(self._channel), rpc.StateServiceStub(self._channel)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_quiet(self) -> bool:
        return not self._tasks

    def ask(self, ask: Ask, due: float) -> None:
        task = asyncio.get_running_loop().create_task(self._call(ask, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, ask: Ask, due: float) -> None:
        try:
            match ask.name:
                case "grpc: status":
                    answer = await self._chain.GetStatus(pb.GetStatusRequest(), timeout=LATE_S)
                case "grpc: account":
                    answer = await self._state.GetAccount(pb.GetAccountRequest(address=ask.data), timeout=LATE_S)
                case _:
                    answer = await self._chain.GetBlock(pb.GetBlockRequest(height=int(ask.data)), timeout=LATE_S)
        except grpc.aio.AioRpcError as error:
            self._tally.errors[f"{ask.name}: {error.code().name}"] += 1
            return
        self._tally.answer(ask.name, time.monotonic() - due, 200, answer.ByteSize())

    async def close(self) -> None:
        await self._channel.close()


async def listen(address: tuple[str, int], tally: Tally) -> None:
    """A subscriber of new blocks, until it is cancelled."""
    socket = Socket(*address)
    await socket.open()
    query = {"query": "tm.event='NewBlock'"}
    socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": query}).encode())
    await socket.next()
    while True:
        await socket.next()
        tally.heard += 1


async def read(plan: Plan) -> dict[str, Any]:
    """Carry a plan out."""
    tally = Tally()
    doors: list[dict[str, Any]] = [
        {HTTP: Pool(tally, node[HTTP]), RPC: Pool(tally, node[RPC]), GRPC: Grpc(tally, node[GRPC])}
        for node in plan.nodes
    ]
    world = World(plan.world["height"], tuple(plan.world["accounts"]), tuple(map(tuple, plan.world["files"])))
    asked, chance = asks(world, plan.seed), random.Random(plan.seed + 1)
    loop = asyncio.get_running_loop()
    listening = [loop.create_task(listen(plan.nodes[n % len(plan.nodes)][RPC], tally)) for n in range(plan.sockets)]
    began = time.monotonic()
    due = began + chance.expovariate(plan.rate)
    while due < began + plan.seconds:
        now = time.monotonic()
        while due <= now and due < began + plan.seconds:
            ask = next(asked)
            doors[tally.sent % len(doors)][ask.door].ask(ask, due)
            tally.sent += 1
            due += chance.expovariate(plan.rate)
        await asyncio.sleep(TICK_S)
    every = [door for node in doors for door in node.values()]
    while not all(door.is_quiet for door in every) and time.monotonic() < began + plan.seconds + LATE_S:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for task in listening:
        task.cancel()
    failed = await asyncio.gather(*listening, return_exceptions=True)
    lost = sum(not isinstance(one, asyncio.CancelledError) for one in failed)
    failures = sum(count for name, count in tally.errors.items() if not name[-3:].isdigit())  # those have no answer
    tally.errors += Counter({"no answer": tally.sent - tally.answered - failures, "a subscriber was lost": lost})
    for door in every:
        if isinstance(door, Grpc):
            await door.close()
        else:
            door.close()
    return tally.row(plan.seconds)


if __name__ == "__main__":
    uvloop.install()
    given = json.loads(sys.stdin.read())
    print(json.dumps(asyncio.run(read(Plan(**given)))))
