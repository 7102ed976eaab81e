"""A clock that stands until a test moves it, peers in memory, and a network of them that counts what it carries."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consensus.p2p.conn.base import PeerFault


@dataclass(order=True)
class ManualTimer:
    due_ns: int
    number: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock:
    """consensus.system.clock.Clock: time passes only in `advance`."""

    def __init__(self, start_ns: int = 1_700_000_000 * 10**9) -> None:
        self._now_ns = start_ns
        self._timers: list[ManualTimer] = []
        self._numbers = itertools.count()

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def work_ns(self) -> int:
        return self._now_ns

    def wanted_ns(self) -> int:
        return 0

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(self._now_ns + round(delay_s * 10**9), next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def next_due_ns(self) -> int | None:
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0].due_ns if self._timers else None

    def fire_next(self, until_ns: int) -> bool:
        """Fire the next timer due by `until_ns`; False: none is, and the time is now `until_ns`."""
        due = self.next_due_ns()
        if due is None or due > until_ns:
            self._now_ns = max(self._now_ns, until_ns)
            return False
        timer = heapq.heappop(self._timers)
        self._now_ns = max(self._now_ns, timer.due_ns)
        timer.callback()
        return True

    def advance(self, seconds: float) -> None:
        until_ns = self._now_ns + round(seconds * 10**9)
        while self.fire_next(until_ns):
            pass


class FakePeer:
    """One end of a link in a FakeNetwork; or, without one, a sink that remembers what it was sent."""

    def __init__(self, id: str, channels: frozenset[int], *, room: int = 1_000) -> None:
        self.id, self.channels, self.room = id, channels, room
        self.sent: deque[tuple[int, bytes]] = deque()
        self.count_sent: Counter[int] = Counter()
        self.node_info: Any = None
        self.is_outbound = True
        self.is_persistent = True
        self.remote_address = f"{id}:1"
        self.round_trip_s = 0.0
        self.deliver: Callable[[int, bytes], None] | None = None
        self.useless_by_kind: Counter[str] = Counter()  # what it sent that was of no use, by kind
        self.cpu_ns = 0
        self.useful_messages = 0
        self.expected: list[tuple[int, int]] = []  # channel and size of what it was asked for

    def useless(self, what: str, weight: int = 1) -> None:
        self.useless_by_kind[what] += weight

    def useful(self) -> None:
        self.useful_messages += 1

    def spend_cpu(self, ns: int) -> None:
        self.cpu_ns += ns

    def expect(self, channel_id: int, bytes_max: int, within_s: float) -> None:
        self.expected.append((channel_id, bytes_max))

    def has_channel(self, channel_id: int) -> bool:
        return channel_id in self.channels

    def queued_bytes(self, channel_id: int) -> int:
        return sum(len(message) for channel, message in self.sent if channel == channel_id)

    def queue_room(self, channel_id: int) -> int:
        return max(0, self.room - len(self.sent)) if channel_id in self.channels else 0

    def try_send(self, channel_id: int, message: bytes) -> bool:
        if not self.queue_room(channel_id):
            return False
        self.sent.append((channel_id, message))
        self.count_sent[channel_id] += 1
        if self.deliver is not None:
            self.deliver(channel_id, message)
        return True

    def take(self, channel_id: int | None = None) -> list[bytes]:
        """What was sent (on one channel) since the last time."""
        taken = [message for channel, message in self.sent if channel_id in {None, channel}]
        self.sent = deque(
            (channel, message) for channel, message in self.sent if channel_id is not None and channel != channel_id
        )
        return taken


class FakeHost:
    """A node's reactors on a FakeNetwork. Implements consensus.p2p.conn.base.Network."""

    def __init__(self, id: str, network: FakeNetwork) -> None:
        self.id, self._network = id, network
        self.links: dict[str, FakePeer] = {}
        self.reactors: dict[int, Any] = {}
        self.all_reactors: list[Any] = []
        self.dropped: list[tuple[str, str, int]] = []

    def install(self, *reactors: Any) -> None:
        for reactor in reactors:
            self.all_reactors.append(reactor)
            for descriptor in reactor.channels:
                self.reactors[descriptor.id] = reactor

    @property
    def peers(self) -> tuple[FakePeer, ...]:
        return tuple(self.links.values())

    def broadcast(self, channel_id: int, message: bytes) -> None:
        for peer in self.peers:
            peer.try_send(channel_id, message)

    def drop_peer(self, peer: FakePeer, reason: str, *, ban_s: int = 0) -> None:
        self.dropped.append((peer.id, reason, ban_s))
        self._network.disconnect(self.id, peer.id)


class FakeNetwork:
    """Hosts whose links deliver after `way_ns(source, target)` of the manual clock, in order."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.way_ns: Callable[[str, str], int] = lambda source, target: 200_000
        self.hosts: dict[str, FakeHost] = {}
        self.carried: Counter[int] = Counter()

    def host(self, id: str) -> FakeHost:
        host = self.hosts[id] = FakeHost(id, self)
        return host

    def connect(self, first: str, second: str) -> None:
        a, b = self.hosts[first], self.hosts[second]
        to_b, to_a = FakePeer(second, frozenset(b.reactors)), FakePeer(first, frozenset(a.reactors))
        to_a.round_trip_s = to_b.round_trip_s = (self.way_ns(first, second) + self.way_ns(second, first)) / 10**9
        to_b.deliver = lambda channel, message: self._carry(a, b, to_b, channel, message)
        to_a.deliver = lambda channel, message: self._carry(b, a, to_a, channel, message)
        a.links[second], b.links[first] = to_b, to_a
        for reactor in a.all_reactors:
            reactor.add_peer(to_b)
        for reactor in b.all_reactors:
            reactor.add_peer(to_a)

    def disconnect(self, first: str, second: str) -> None:
        for own, other in ((first, second), (second, first)):
            peer = self.hosts[own].links.pop(other, None)
            if peer is not None:
                peer.deliver = None
                for reactor in self.hosts[own].all_reactors:
                    reactor.remove_peer(peer, "disconnected")

    def full_mesh(self) -> None:
        for first, second in itertools.combinations(self.hosts, 2):
            self.connect(first, second)

    def _carry(self, source: FakeHost, target: FakeHost, link: FakePeer, channel: int, message: bytes) -> None:
        def arrive() -> None:
            if source.links.get(target.id) is not link:
                return  # the connection is gone
            link.sent.popleft()
            self.carried[channel] += 1
            back = target.links[source.id]
            try:
                target.reactors[channel].receive(channel, back, message)
            except PeerFault as fault:
                target.drop_peer(back, str(fault), ban_s=fault.ban_s)
                return
            if len(link.sent) == link.room - 1:  # it had been full
                for id in sorted(link.channels):
                    if id in source.reactors:
                        source.reactors[id].writable(id, link)

        self.clock.call_later(self.way_ns(source.id, target.id) / 10**9, arrive)
