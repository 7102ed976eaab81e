"""A connection on a bench, over a loop whose clock stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from consensus.p2p.conn.base import ChannelDescriptor
from consensus.p2p.conn.budget import BudgetConfig, PeerBudget, SharedBudget
from consensus.p2p.conn.connection import ConnectionConfig, MultiplexConnection
from consensus.p2p.conn.packets import (
    decode_packet,
    packet_prefix,
    split_delimited,
)

LOW = ChannelDescriptor(0x01, "low", 1, 4, 5_000)


HIGH = ChannelDescriptor(0x22, "high", 10, 4, 5_000)


PEX = ChannelDescriptor(0x00, "pex", 1, 4, 5_000)


ASKED = ChannelDescriptor(0x40, "block sync", 5, 4, 1_000_000, unasked_bytes_max=2_000)


FREE = BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0)


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class StillLoop:
    """Time and callbacks of an event loop, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Handle, Callable[..., Any], tuple[Any, ...]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., Any], *args: Any) -> Handle:
        return self.call_later(0, call, *args)

    def call_later(self, delay: float, call: Callable[..., Any], *args: Any) -> Handle:
        self._count += 1
        handle = Handle()
        self._due.append((self.now + delay, self._count, handle, call, args))
        return handle

    def advance(self, seconds: float) -> None:
        """Run everything that becomes due, in order."""
        until = self.now + seconds
        while True:
            self._due.sort(key=lambda item: item[:2])
            if not self._due or self._due[0][0] > until:
                break
            at, _, handle, call, args = self._due.pop(0)
            self.now = max(self.now, at)
            if not handle.cancelled:
                call(*args)
        self.now = until


class Bench:
    """One connection, its pipe and its owner."""

    def __init__(
        self,
        *,
        peer_channels: frozenset[int] = frozenset({0x00, 0x01, 0x22}),
        budget: BudgetConfig = FREE,
        shared: SharedBudget | None = None,
        loop: StillLoop | None = None,
        is_named: bool = False,
        high: ChannelDescriptor = HIGH,
        **config: Any,
    ) -> None:
        self.loop = loop or StillLoop()
        self.written = b""
        self.writes = 0
        self.reading = True
        self.delivered: list[tuple[int, bytes]] = []
        self.writable: list[int] = []
        self.faults: list[Exception] = []
        self.on_deliver: Callable[[int, bytes], None] = lambda channel_id, message: None
        self.work_ns = 1  # the thread's CPU time, moved by hand
        self.clock_reads = 0
        self.memory_calls = 0
        loop_ = cast(asyncio.AbstractEventLoop, self.loop)
        self.shared = shared or SharedBudget(budget, loop_, work_ns=lambda: self.work_ns, slice_ns=self._slice_ns)
        self.spent: list[str] = []
        self.budget = PeerBudget(self.shared, time_s=self.loop.time, is_named=is_named, on_spent=self.spent.append)
        self.connection = MultiplexConnection(
            (PEX, LOW, high, ASKED),
            ConnectionConfig(**({"send_rate": 0, "receive_rate": 0} | config)),
            peer_channels=peer_channels,
            loop=loop_,
            pipe=self,
            budget=self.budget,
            deliver=self._deliver,
            on_writable=self.writable.append,
            on_fault=self.faults.append,
            on_memory=self._too_much_memory,
        )

    def _slice_ns(self) -> int:
        self.clock_reads += 1
        return self.work_ns

    def _too_much_memory(self) -> None:
        self.memory_calls += 1

    def _deliver(self, channel_id: int, message: bytes) -> None:
        self.delivered.append((channel_id, message))
        self.on_deliver(channel_id, message)

    def write_stream(self, data: bytes) -> None:
        self.written += data
        self.writes += 1

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def packets(self) -> list[tuple[int, bool, int]]:
        """(channel, eof, payload size) of what was written."""
        packets, data = [], self.written
        while data:
            split = split_delimited(data, limit=2000, what="packet")
            assert split is not None
            body, data = split
            channel, eof, payload = decode_packet(body, 0, len(body))
            packets.append((channel, eof, len(payload)))
        return packets


def packet(channel: int, data: bytes, *, eof: bool = True) -> bytes:
    return packet_prefix(channel, len(data), eof) + data
