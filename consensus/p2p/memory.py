"""A network in memory: the same protocols over pipes of the event loop, for simulators and tests.

Hosts are names or IPs at will. Bytes arrive in order, one turn of the loop after they were written (or later, as
`delay_s` says); a cut pair of hosts loses its connections, a silenced one only what is sent. Nothing blocks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from consensus.p2p.conn.sockets import Listener, ProtocolFactory

HIGH_WATER_BYTES = 65_536


class MemoryTransport(asyncio.Transport):
    """One end of a pipe."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, own: tuple[str, int], peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": own})
        self._loop = loop
        self._other: MemoryTransport | None = None
        self._protocol: asyncio.Protocol | None = None
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._reading = True
        self._closing = False
        self._lost = False
        self._high = HIGH_WATER_BYTES
        self._paused_writer = False
        self.delay_s: Callable[[], float] = lambda: 0.0
        self.is_silent: Callable[[], bool] = lambda: False

    def join(self, other: MemoryTransport, protocol: asyncio.Protocol) -> None:
        self._other, self._protocol = other, protocol

    def start(self) -> None:
        assert self._protocol is not None
        self._protocol.connection_made(self)

    # --- asyncio.Transport ------------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER_BYTES if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._other._inbox_bytes if self._other is not None else 0

    def write(self, data: Any) -> None:
        other = self._other
        if self._closing or other is None or other._lost or self.is_silent():
            return
        other._inbox.append(bytes(data))
        other._inbox_bytes += len(data)
        self._later(other._deliver)
        if other._inbox_bytes > self._high and not self._paused_writer:
            self._paused_writer = True
            assert self._protocol is not None
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def close(self) -> None:
        """What was written still arrives."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose, None)
            if self._other is not None and not self.is_silent():
                self._later(self._other._ended)

    def abort(self) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------

    def _later(self, call: Callable[[], None]) -> None:
        delay_s = self.delay_s()
        if delay_s:
            self._loop.call_later(delay_s, call)
        else:
            self._loop.call_soon(call)

    def _deliver(self) -> None:
        while self._inbox and self._reading and not self._closing:
            data = self._inbox.popleft()
            self._inbox_bytes -= len(data)
            assert self._protocol is not None
            assert self._other is not None
            self._protocol.data_received(data)
            if self._other._paused_writer and self._inbox_bytes <= self._high // 4:
                self._other._resume_writer()

    def _resume_writer(self) -> None:
        self._paused_writer = False
        if not self._closing:
            assert self._protocol is not None
            self._protocol.resume_writing()

    def _ended(self) -> None:
        self._deliver()
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._inbox.clear()
            assert self._protocol is not None
            self._protocol.connection_lost(error)


class MemoryListener:
    """A place of a MemoryNetwork where somebody listens."""

    def __init__(self, network: MemoryNetwork, place: tuple[str, int]) -> None:
        self._network, self._place = network, place

    @property
    def port(self) -> int:
        return self._place[1]

    def close(self) -> None:
        self._network.listeners.pop(self._place, None)


class MemoryNetwork:
    """All hosts. `sockets(host)` is what one node gets; `cut`, `silence` and `heal` part and join two hosts."""

    def __init__(self) -> None:
        self.listeners: dict[tuple[str, int], ProtocolFactory] = {}
        self._pairs: list[tuple[MemoryTransport, MemoryTransport]] = []
        self._cuts: set[frozenset[str]] = set()
        self._silent: set[frozenset[str]] = set()
        self._next_port = 40_000
        self.delay_s: Callable[[], float] = lambda: 0.0

    def sockets(self, host: str) -> MemorySockets:
        return MemorySockets(self, host)

    def cut(self, a: str, b: str) -> None:
        """From now on no connection between the two, and those that are end."""
        self._cuts.add(frozenset((a, b)))
        for one, two in self._pairs:
            if {one.get_extra_info("sockname")[0], two.get_extra_info("sockname")[0]} == {a, b}:
                one.abort()

    def silence(self, a: str, b: str) -> None:
        """From now on nothing that one writes reaches the other, and neither is told; dials fail."""
        self._silent.add(frozenset((a, b)))

    def heal(self, a: str, b: str) -> None:
        self._cuts.discard(frozenset((a, b)))
        self._silent.discard(frozenset((a, b)))

    def new_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def join(self, factory: ProtocolFactory, own: tuple[str, int], place: tuple[str, int]) -> None:
        accept = self.listeners.get(place)
        pair = frozenset((own[0], place[0]))
        if accept is None or pair in self._cuts or pair in self._silent:
            raise ConnectionRefusedError(f"{place[0]}:{place[1]} refused the connection")
        loop = asyncio.get_running_loop()
        near = MemoryTransport(loop, own=own, peer=place)
        far = MemoryTransport(loop, own=place, peer=own)
        near.delay_s = far.delay_s = self.delay_s
        near.is_silent = far.is_silent = lambda: pair in self._silent
        near.join(far, factory())
        far.join(near, accept())
        self._pairs = [pair for pair in self._pairs if not pair[0].is_closing()]
        self._pairs.append((near, far))
        near.start()
        far.start()


class MemorySockets:
    """One host's door to a MemoryNetwork; implements consensus.p2p.conn.sockets.Sockets."""

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        self._network, self._host = network, host

    async def connect(self, factory: ProtocolFactory, host: str, port: int) -> None:
        self._network.join(factory, (self._host, self._network.new_port()), (host, port))

    async def listen(self, factory: ProtocolFactory, host: str, port: int) -> Listener:
        place = (self._host, port or self._network.new_port())
        if place in self._network.listeners:
            raise OSError(f"{place[0]}:{place[1]} is in use")
        self._network.listeners[place] = factory
        return MemoryListener(self._network, place)
