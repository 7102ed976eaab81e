"""The network of the simulator: pipes in memory whose bytes take time, may be held back, and end with their host.

A direction that is silent holds what is written, as a sender that transmits again does, and hands it over once it is
heard; who dials across it waits in vain. A host that was killed leaves its peers with ended connections; one that lost
its power leaves them with silent ones, until it is back.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from consensus.p2p.conn.sockets import Listener, ProtocolFactory, Sockets
from consensus.p2p.memory import MemoryListener, MemoryNetwork, MemoryTransport
from consensus.simulation.loop import Life

NEVER_S = 3_600.0  # beyond every time-out of a dial
NEXT_S = 1e-6  # between two deliveries of one direction: timers of one moment have no order
Call = Callable[[], None]


class Transport(MemoryTransport):
    """One end; what happens at it happens in the context of its host's life."""

    def __init__(self, network: Network, *, own: tuple[str, int], peer: tuple[str, int], life: Life) -> None:
        super().__init__(network.loop, own=own, peer=peer)
        self.network, self.life, self.hosts = network, life, (own[0], peer[0])
        self.due_s = 0.0  # of what was written last

    def write(self, data: Any) -> None:
        other = self._other
        assert isinstance(other, Transport)
        if self._closing or other._lost:
            return
        kept = bytes(data)
        other._inbox_bytes += len(kept)
        self._later(lambda: other.arrived(kept))
        if other._inbox_bytes > self._high and not self._paused_writer:
            self._paused_writer = True
            assert self._protocol is not None
            self._protocol.pause_writing()

    def arrived(self, data: bytes) -> None:
        self._inbox.append(data)
        self._deliver()

    def _later(self, call: Call) -> None:
        self.network.carry(self, call)

    def within(self, call: Call) -> None:
        """Do something at this end that its host did not ask for."""
        if not self.life.is_over:
            self.life.context.copy().run(call)

    def vanish(self) -> None:
        """Its host is gone: nothing is sent or received here any more."""
        self._closing = self._lost = True
        self._inbox.clear()


class Network(MemoryNetwork):
    """latency_s(source host, target host) is asked for each write."""

    def __init__(self, loop: asyncio.AbstractEventLoop, latency_s: Callable[[str, str], float]) -> None:
        super().__init__()
        self.loop, self.latency_s = loop, latency_s
        self.pairs: list[tuple[Transport, Transport]] = []
        self._lives: dict[tuple[str, int], Life] = {}  # of listeners
        self._silent_ways: set[tuple[str, str]] = set()
        self._held: list[tuple[Transport, Call]] = []

    def door(self, host: str, life: Life) -> Door:
        return Door(self, host, life)

    # ------------------------------------------------------------------------------------------------- faults

    def hush(self, source: str, target: str) -> None:
        """From now on nothing of `source` reaches `target`."""
        self._silent_ways.add((source, target))

    def is_hushed(self, source: str, target: str) -> bool:
        return (source, target) in self._silent_ways

    def hear_again(self) -> None:
        """Every direction is heard again; what was held is on its way."""
        self._silent_ways.clear()
        held, self._held = self._held, []
        for transport, call in held:
            self.carry(transport, call)

    def reset(self, first: str, second: str) -> None:
        """Their connections end, at both ends."""
        for one, two in self._open_pairs():
            if set(one.hosts) == {first, second}:
                for end in (one, two):
                    end.within(end.abort)

    def drop_host(self, host: str, *, with_power: bool) -> None:
        """with_power: the process was killed and its system says so to the peers."""
        for place in [place for place in self.listeners if place[0] == host]:
            del self.listeners[place]
        for pair in self._open_pairs():
            for end, other in (pair, pair[::-1]):
                if end.hosts[0] == host and not end._lost:
                    end.vanish()
                    if with_power:
                        self.carry(end, other._ended)

    def power_on(self, host: str) -> None:
        """Peers that still talk to what ran there before learn that it is gone."""
        for pair in self._open_pairs():
            for end, other in (pair, pair[::-1]):
                if end.hosts[0] == host and end.life.is_over and not other._lost:
                    self.carry(end, other._ended)

    # ------------------------------------------------------------------------------------------------- traffic

    def carry(self, source: Transport, call: Call) -> None:
        """`call` happens at the other end, after what was written before."""
        target = source._other
        assert isinstance(target, Transport)
        if source.hosts in self._silent_ways:
            self._held.append((source, call))
            return
        source.due_s = max(source.due_s + NEXT_S, self.loop.time() + self.latency_s(*source.hosts))
        self.loop.call_at(source.due_s, call, context=target.life.context)

    async def connect(self, factory: ProtocolFactory, own: tuple[str, int], place: tuple[str, int], life: Life) -> None:
        hosts = (own[0], place[0])
        if hosts in self._silent_ways or hosts[::-1] in self._silent_ways:
            await asyncio.sleep(NEVER_S)
        await asyncio.sleep(self.latency_s(*hosts) + self.latency_s(*hosts[::-1]))
        accept = self.listeners.get(place)
        if accept is None:
            raise ConnectionRefusedError(f"{place[0]}:{place[1]} refused the connection")
        near = Transport(self, own=own, peer=place, life=life)
        far = Transport(self, own=place, peer=own, life=self._lives[place])
        near.join(far, factory())
        far.join(near, contextvars.Context.run(far.life.context.copy(), accept))
        self.pairs.append((near, far))
        near.start()
        far.within(far.start)

    def listen_at(self, place: tuple[str, int], factory: ProtocolFactory, life: Life) -> Listener:
        if place in self.listeners:
            raise OSError(f"{place[0]}:{place[1]} is in use")
        self.listeners[place], self._lives[place] = factory, life
        return MemoryListener(self, place)

    def _open_pairs(self) -> list[tuple[Transport, Transport]]:
        self.pairs = [pair for pair in self.pairs if not (pair[0]._lost and pair[1]._lost)]
        return self.pairs


class Door:
    """One life's way to the network."""

    def __init__(self, network: Network, host: str, life: Life) -> None:
        self._network, self._host, self._life = network, host, life

    async def connect(self, factory: ProtocolFactory, host: str, port: int) -> None:
        await self._network.connect(factory, (self._host, self._network.new_port()), (host, port), self._life)

    async def listen(self, factory: ProtocolFactory, host: str, port: int) -> Listener:
        return self._network.listen_at((self._host, port), factory, self._life)


if TYPE_CHECKING:
    _sockets: type[Sockets] = Door
