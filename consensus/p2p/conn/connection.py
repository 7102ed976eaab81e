"""One peer's multiplexed connection: packets in and out, channel priorities, bounds, keep-alive, rate limits.

Works on the stream inside the secret connection and never blocks: what is queued leaves in the same turn of the
event loop (one `call_soon`), all of a turn's messages share frames, and the transport's own back-pressure stops it.
Whatever the other side does wrong ends in one call of `on_fault`; nothing is raised into the loop.
Source: CometBFT v0.38, spec/p2p/legacy-docs/connection.md, p2p/conn/connection.go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from consensus.formats.units import KIB, MIB
from consensus.p2p.conn.base import ChannelDescriptor
from consensus.p2p.conn.budget import SLICE_NS, TICK_S, PeerBudget
from consensus.p2p.conn.errors import ConnectionFault, LargerThanAsked, TooSlow
from consensus.p2p.conn.packets import (
    CHANNEL_PING,
    CHANNEL_PONG,
    PING,
    PONG,
    decode_packet,
    packet_bytes_max,
    packet_prefix,
)
from consensus.system.clock import not_before

SEND_BYTES_MAX = 6 * MIB  # queued on all channels: what a peer that reads slowly can make us keep; one always fits
SEND_BATCH_BYTES = 65_536  # what one turn writes before other work runs: some 0.2 ms of sealing
CLOCK_WORK = 32  # the clock is looked at after so much: a packet is 1, a message that was handed on is all
RECENTLY_SENT_DECAY = 0.8
RECENTLY_SENT_DECAY_S = 2.0
FLUSH_BYTES_MAX = MIB  # what a stopping connection still writes out
FIRST_PING_S = 1.0  # after the start, then after twice as long each time: how far the peer is shows soon
ROUND_TRIPS = 8  # of the last pings the quickest counts: the others tell how busy somebody was
ROUND_TRIP_LEAST_S = (
    0.0001  # what is told of a pong that comes in the same millisecond: the loop's clock counts no less
)
HELD_LOOK_S = 1.0  # between two looks for a pong that we may have held back, at least
RATE_SAMPLES_PER_S = 10  # samples of 100 ms


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """Rates in bytes a second (0: no limit). `payload_bytes_max` must not be below the peer's."""

    payload_bytes_max: int = KIB
    send_rate: int = 5_120_000
    receive_rate: int = 5_120_000
    ping_interval_s: float = 60.0
    pong_timeout_s: float = 45.0

    def __post_init__(self) -> None:
        if not 0 < self.pong_timeout_s < self.ping_interval_s:
            raise ValueError(
                f"pong timeout is {self.pong_timeout_s} s, expected less than the ping interval "
                f"({self.ping_interval_s} s)"
            )
        if not 1 <= self.payload_bytes_max <= MIB:
            raise ValueError(f"packet payload is {self.payload_bytes_max} bytes, expected 1 to 1048576")


class Pipe(Protocol):
    """What lies under a connection: takes stream bytes, and can hold the other side back."""

    def write_stream(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Rate:
    """A leaking bucket: full at a tenth of a second's bytes, as upstream's samples are."""

    __slots__ = ("_last", "_level", "_rate", "_room")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._room = rate / RATE_SAMPLES_PER_S
        self._level = 0.0
        self._last = now

    def wait_s(self, now: float) -> float:
        """Seconds until more may flow; 0 when it may now."""
        if not self._rate:
            return 0.0
        self._level = max(0.0, self._level - (now - self._last) * self._rate)
        self._last = now
        over = self._level - self._room
        return 0.0 if over < 0 else (over + 1) / self._rate

    def spend(self, size: int) -> None:
        if self._rate:
            self._level += size


class _Channel:
    __slots__ = (
        "allowed",
        "bytes_in",
        "bytes_out",
        "id",
        "is_asked",
        "name",
        "offset",
        "partial",
        "partial_since",
        "priority",
        "queue",
        "queue_bytes",
        "queue_bytes_max",
        "queue_max",
        "receive_max",
        "recently_sent",
        "refused",
        "unasked_max",
    )

    def __init__(self, descriptor: ChannelDescriptor) -> None:
        assert 0 <= descriptor.id <= 0x7F, descriptor  # one byte on the wire: the packet limit counts on it
        assert descriptor.priority >= 1, descriptor
        self.id = descriptor.id
        self.name = descriptor.name
        self.priority = descriptor.priority
        self.queue_max = descriptor.send_queue_messages
        self.queue_bytes_max = descriptor.send_queue_bytes
        self.receive_max = descriptor.receive_message_bytes_max
        self.unasked_max = descriptor.unasked_bytes_max or descriptor.receive_message_bytes_max
        self.allowed = self.unasked_max  # what the message at hand may have
        self.queue: deque[bytes] = deque()  # its head is the message that is being sent
        self.queue_bytes = 0
        self.offset = 0  # how much of the head is on its way
        self.refused = False
        self.recently_sent = 0.0
        self.partial = bytearray()  # of a message that is not whole yet
        self.partial_since = 0.0
        self.is_asked = False  # that message is larger than any that was not asked for
        self.bytes_in = 0
        self.bytes_out = 0


def _load(channel: _Channel) -> float:
    return channel.recently_sent / channel.priority


class ChannelStatus(NamedTuple):
    """queue_max, queued: messages. recently_sent: bytes, which fade."""

    id: int
    queue_max: int
    queued: int
    priority: int
    recently_sent: int


class MultiplexConnection:
    """Owned by a link, which feeds it and is its pipe.

    `deliver(channel id, message)` may raise PeerFault; `on_writable(channel id)` follows a refused `try_send`;
    `on_fault(error)` is called once at most; `on_memory()` when all peers' unfinished messages together are too much.
    """

    def __init__(
        self,
        channels: Iterable[ChannelDescriptor],
        config: ConnectionConfig,
        *,
        peer_channels: frozenset[int],
        loop: asyncio.AbstractEventLoop,
        pipe: Pipe,
        budget: PeerBudget,
        deliver: Callable[[int, bytes], None],
        on_writable: Callable[[int], None],
        on_fault: Callable[[Exception], None],
        on_memory: Callable[[], None] = lambda: None,
    ) -> None:
        self._channels = {descriptor.id: _Channel(descriptor) for descriptor in channels}
        self._sendable = {id: channel for id, channel in self._channels.items() if id in peer_channels}
        self._config = config
        self._loop = loop
        self._pipe = pipe
        self.budget = budget
        self._shared = budget.shared
        self._unfinished_max = budget.shared.config.unfinished_bytes_max
        self._deliver = deliver
        self._on_writable = on_writable
        self._on_fault = on_fault
        self._on_memory = on_memory
        now = loop.time()
        self._packet_max = packet_bytes_max(config.payload_bytes_max)
        self._batch_max = min(SEND_BATCH_BYTES, config.send_rate // RATE_SAMPLES_PER_S or SEND_BATCH_BYTES)
        self._send_rate = _Rate(config.send_rate, now)
        self._receive_rate = _Rate(config.receive_rate, now)
        self._active: list[_Channel] = []  # channels with something to send
        self._queued_bytes = 0
        self._decayed_at = now
        self._ping_due = self._pong_due = False  # one of each at most waits to be sent
        self._pump_scheduled = self._write_paused = self._closed = self._draining = False
        self._has_refused = False
        self._inbox = b""
        self._held = False  # reading is paused by us, and `go_on` will follow
        self._held_since = self._held_for_s = 0.0  # when, and how long the budget wants it
        self._unread_s = 0.0  # in all, also while it waited for its turn
        self._held_at_ping_s = 0.0  # by `_held_s`
        self._pinged_s = 0.0
        self._next_ping_s = min(FIRST_PING_S, config.ping_interval_s)
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self.round_trip_s = 0.0  # the least of the last pings; 0 until one was answered
        self._ping_timer: asyncio.TimerHandle | None = None
        self._pong_timer: asyncio.TimerHandle | None = None

    # --- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._ping_timer = self._loop.call_later(self._next_ping_s, self._ping)

    def close(self) -> None:
        """Stop at once; nothing is sent or delivered any more. Idempotent."""
        self._closed = True
        for timer in (self._ping_timer, self._pong_timer):
            if timer is not None:
                timer.cancel()
        self._ping_timer = self._pong_timer = None
        self._active.clear()
        self._sendable.clear()
        self._inbox = b""
        self._shared.forget(self)
        self._forget_unfinished()

    def flush_and_close(self) -> None:
        """Hand the queued messages (a megabyte at most) to the pipe, then close."""
        self._draining = True
        left = FLUSH_BYTES_MAX
        while self._active and left > 0 and not self._closed:
            left -= self._write_batch()
        self.close()

    def _is_closed(self) -> bool:
        """As a call: a reactor may have closed us since the last look, which the type checker cannot know."""
        return self._closed

    def _fail(self, error: Exception) -> None:
        if not self._closed:
            self.close()
            self._on_fault(error)

    def bytes_by_channel(self) -> dict[int, tuple[int, int]]:
        """{channel id: (bytes received, bytes sent)}, packets with their heads."""
        return {channel.id: (channel.bytes_in, channel.bytes_out) for channel in self._channels.values()}

    def channel_statuses(self) -> tuple[ChannelStatus, ...]:
        """Of each channel, how its sending goes."""
        return tuple(
            ChannelStatus(one.id, one.queue_max, len(one.queue), one.priority, int(one.recently_sent))
            for one in self._channels.values()
        )

    # --- sending ----------------------------------------------------------------------------------------------

    def try_send(self, channel_id: int, message: bytes) -> bool:
        """Queue `message`. False when the queue is full (then `on_writable` follows) or the peer lacks the channel."""
        channel = self._sendable.get(channel_id)
        if channel is None or self._draining:
            return False
        queue = channel.queue
        waiting = len(queue)
        size = len(message)
        if waiting and (
            waiting >= channel.queue_max
            or channel.queue_bytes + size > channel.queue_bytes_max
            or self._queued_bytes + size > SEND_BYTES_MAX
        ):
            channel.refused = self._has_refused = True
            return False
        if not waiting:
            self._active.append(channel)
        queue.append(message)
        channel.queue_bytes += size
        self._queued_bytes += size
        if not self._pump_scheduled and not self._write_paused:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)
        return True

    def queued_bytes(self, channel_id: int) -> int:
        channel = self._sendable.get(channel_id)
        return channel.queue_bytes if channel is not None else 0

    def queue_room(self, channel_id: int) -> int:
        channel = self._sendable.get(channel_id)
        if channel is None:
            return 0
        room = channel.queue_max - len(channel.queue)
        is_full = channel.queue_bytes >= channel.queue_bytes_max or self._queued_bytes >= SEND_BYTES_MAX
        if room <= 0 or (channel.queue and is_full):
            channel.refused = self._has_refused = True
            return 0
        return room

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._schedule_pump()

    def _schedule_pump(self) -> None:
        if not (self._pump_scheduled or self._write_paused or self._closed):
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        if self._closed or self._write_paused:
            return
        budget = self.budget
        wait_s = rate_wait_s = self._send_rate.wait_s(self._loop.time())
        if not budget.is_named:
            wait_s = max(wait_s, budget.wait_s())
        if wait_s:
            if not rate_wait_s:
                self._write_control()  # what the other side waits for before it gives us up; one for what was read
            self._pump_scheduled = True
            self._loop.call_later(not_before(wait_s), self._pump)
            return
        if budget.is_named:
            self._write_batch()
        else:  # what it is told costs as much as what it says
            began_ns = self._shared.meter.begin()
            self._write_batch()
            budget.spend_cpu(self._shared.meter.spent(began_ns))
        if self._active:
            self._schedule_pump()
        if self._has_refused:
            self._tell_of_room()

    def _tell_of_room(self) -> None:
        refused = [channel for channel in self._sendable.values() if channel.refused]
        self._has_refused = False
        for channel in refused:
            has_room = not channel.queue or (
                len(channel.queue) < channel.queue_max
                and channel.queue_bytes < channel.queue_bytes_max
                and self._queued_bytes < SEND_BYTES_MAX
            )
            if has_room:
                channel.refused = False
                self._notify_writable(channel)
            else:
                self._has_refused = True

    def _notify_writable(self, channel: _Channel) -> None:
        try:
            self._on_writable(channel.id)
        except Exception as error:  # a PeerFault, or a reactor's own failure: the owner tells them apart
            self._fail(error)

    def _take_control(self) -> list[bytes]:
        out = [PING] * self._ping_due + [PONG] * self._pong_due
        self._ping_due = self._pong_due = False
        return out

    def _write_control(self) -> None:
        if out := self._take_control():
            self._pipe.write_stream(b"".join(out))

    def _write_batch(self) -> int:
        """Write up to a batch of packets, least loaded channel first; return the number of stream bytes."""
        out = self._take_control() if self._ping_due or self._pong_due else []
        size = 0
        active = self._active
        if len(active) > 1:
            self._decay()
        while active and size < self._batch_max:
            channel = active[0] if len(active) == 1 else min(active, key=_load)
            size += self._take_packet(channel, out)
            if not channel.queue:
                active.remove(channel)
        if out:
            self._send_rate.spend(size)
            self._pipe.write_stream(b"".join(out))
        return size

    def _take_packet(self, channel: _Channel, out: list[bytes]) -> int:
        """Append the channel's next packet to `out`; return its size."""
        message = channel.queue[0]
        offset = channel.offset
        left = len(message) - offset
        payload_max = self._config.payload_bytes_max
        if left > payload_max:
            prefix = packet_prefix(channel.id, payload_max, False)
            payload = message[offset : offset + payload_max]
            channel.offset = offset + payload_max
        else:
            prefix = packet_prefix(channel.id, left, True)
            payload = message[offset:] if offset else message
            channel.queue.popleft()
            channel.queue_bytes -= len(message)
            self._queued_bytes -= len(message)
            channel.offset = 0
        out.append(prefix)
        out.append(payload)
        size = len(prefix) + len(payload)
        channel.bytes_out += size
        channel.recently_sent += size
        return size

    def _decay(self) -> None:
        periods = int((self._loop.time() - self._decayed_at) / RECENTLY_SENT_DECAY_S)
        if periods:
            self._decayed_at += periods * RECENTLY_SENT_DECAY_S
            factor = RECENTLY_SENT_DECAY ** min(periods, 1000)
            for channel in self._channels.values():
                channel.recently_sent *= factor

    # --- receiving --------------------------------------------------------------------------------------------

    def feed(self, data: bytes, *, began_ns: int | None = None) -> None:
        """Take stream bytes from the peer. Faults go to `on_fault`, nothing is raised.

        `began_ns`: from the meter's `begin`, when work for these bytes has begun already.
        """
        if self._closed:
            return
        self._receive_rate.spend(len(data))
        self._inbox = self._inbox + data if self._inbox else data
        if not self._held:
            if self._shared.turn_is_over:
                self._hold(0)
            else:
                self.go_on(began_ns=began_ns)

    def go_on(self, *, began_ns: int | None = None) -> None:
        """Handle what waits, for a slice of time at most, if the budget allows it now."""
        if self._closed:
            return
        budget = self.budget
        wait_s, finished = budget.read_wait_s(), False
        if not wait_s:
            fault: Exception | None = None  # of the peer, or a reactor's failure: the owner tells them apart
            if began_ns is None:
                began_ns = self._shared.meter.begin()
            try:
                finished = self._consume()
            except Exception as error:
                fault = error
            budget.spend_since(began_ns)  # of what ended in a fault too: what all strangers have is the less
            if fault is not None:
                self._fail(fault)  # to say so is our affair
            wait_s = budget.read_wait_s()
            if self._is_closed():
                return
            wait_s = max(wait_s, self._receive_rate.wait_s(self._loop.time()))
        if not finished or wait_s:
            self._hold(wait_s)
        elif self._held:
            self._let_go()

    def _let_go(self) -> None:
        self._count_held()
        self._held = False
        self._pipe.resume_reading()

    def _count_held(self) -> None:
        """What the other side sent meanwhile is not late: it could not be read."""
        now = self._loop.time()
        held_s, self._held_since = now - self._held_since, now
        self._unread_s += held_s
        self.budget.held_s += min(held_s, self._held_for_s)  # that the loop came late to it is not of its doing
        if self.budget.unfinished_bytes:
            for channel in self._channels.values():
                channel.partial_since = min(now, channel.partial_since + held_s)

    def _held_s(self) -> float:
        """How long it was not read from, until now."""
        return self._unread_s + (self._loop.time() - self._held_since if self._held else 0.0)

    def _hold(self, wait_s: float) -> None:
        """Read no more; go on after `wait_s`, when it is this peer's turn."""
        if not self._held:
            self._held, self._held_since = True, self._loop.time()
            self._pipe.pause_reading()
        else:
            self._count_held()
        self._held_for_s = wait_s + TICK_S if wait_s else 0.0
        if wait_s:
            self._shared.wait_for(self, wait_s)
        else:
            self._shared.wait(self)

    def _consume(self) -> bool:
        """Handle the inbox's complete packets; False when its time was up before its bytes were."""
        data, pos, end = self._inbox, 0, len(self._inbox)
        finished = True
        work = slice_ends_ns = 0
        while pos < end:
            length, start = data[pos], pos + 1
            if length > 0x7F:
                if start < end and data[start] <= 0x7F:  # two bytes: every full packet of the default size
                    length = length & 0x7F | data[start] << 7
                    start += 1
                else:
                    length, start = self._long_length(data, pos, end)
                    if not start:
                        break
            if length > self._packet_max:
                raise ConnectionFault(f"packet: length is {length} bytes, at most {self._packet_max} allowed")
            stop = start + length
            if stop > end:
                break
            channel_id, eof, payload = decode_packet(data, start, stop)
            work += self._receive_packet(channel_id, eof, payload, stop - pos)
            if self._closed:
                return True
            pos = stop
            if work >= CLOCK_WORK and pos < end:
                work, now_ns = 0, self._shared.slice_ns()
                if not slice_ends_ns:
                    slice_ends_ns = now_ns + SLICE_NS
                elif now_ns > slice_ends_ns:
                    finished = False
                    break
        self._inbox = data[pos:] if pos else data
        return finished

    def _long_length(self, data: bytes, pos: int, end: int) -> tuple[int, int]:
        """Read a length of two bytes and more at `pos`: (length, where the packet starts), start 0 if incomplete."""
        length = shift = 0
        for at in range(pos, min(end, pos + 10)):
            length |= (data[at] & 0x7F) << shift
            shift += 7
            if length > self._packet_max:
                raise ConnectionFault(f"packet: length is at least {length} bytes, at most {self._packet_max} allowed")
            if data[at] < 0x80:
                return length, at + 1
        if end - pos >= 10:
            raise ConnectionFault("packet: the length has more than 10 bytes")
        return 0, 0

    def _receive_packet(self, channel_id: int, eof: bool, payload: bytes, size: int) -> int:
        """Add one packet to its channel and hand on a message that it completes; returns the work that this was."""
        channel = self._channels.get(channel_id)
        if channel is None:
            self._receive_control(channel_id)
            return 1
        channel.bytes_in += size
        partial = channel.partial
        total = len(partial) + len(payload)
        if total > channel.allowed:
            self._check_asked(channel, total)
        if not eof:
            self._add_unfinished(channel, payload)
            return 1
        if partial:
            self.budget.hold(-len(partial), is_asked=channel.is_asked)
            partial += payload
            channel.partial = bytearray()
            payload = bytes(partial)
        if channel.is_asked:
            channel.is_asked, channel.allowed = False, channel.unasked_max
            self.budget.came(channel_id)
        self._deliver(channel_id, payload)
        return CLOCK_WORK

    def _add_unfinished(self, channel: _Channel, payload: bytes) -> None:
        if not payload:
            self.budget.useless("packet without bytes")
            return
        if not channel.partial:
            channel.partial_since = self._loop.time()
        channel.partial += payload
        budget = self.budget
        budget.hold(len(payload), is_asked=channel.is_asked)
        if budget.unfinished_bytes > self._unfinished_max and budget.unfinished_bytes > budget.unfinished_max:
            raise ConnectionFault(
                f"unfinished messages: {budget.unfinished_bytes} bytes, at most {budget.unfinished_max} allowed"
            )
        if self._shared.has_too_much_unasked or self._shared.has_too_much_asked:
            self._on_memory()

    def _check_asked(self, channel: _Channel, total: int) -> None:
        """Above a channel's small bound goes only what we asked this peer for."""
        allowed = min(channel.receive_max, max(channel.unasked_max, self.budget.expects(channel.id)))
        if total > allowed:
            is_owed = channel.unasked_max < allowed < channel.receive_max
            raise (LargerThanAsked if is_owed else ConnectionFault)(
                f"channel {channel.id:#04x} ({channel.name}): message of at least {total} bytes, "
                f"at most {allowed} allowed"
            )
        channel.allowed = allowed
        if not channel.is_asked:
            self.budget.hold(-len(channel.partial), is_asked=False)
            channel.is_asked = True
            self.budget.hold(len(channel.partial), is_asked=True)

    def _forget_unfinished(self) -> None:
        for channel in self._channels.values():
            self.budget.hold(-len(channel.partial), is_asked=channel.is_asked)
            channel.partial, channel.is_asked, channel.allowed = bytearray(), False, channel.unasked_max

    @property
    def asked_since(self) -> float:
        """Since when it sends what we asked for, what we did not read left out; infinite: it does not."""
        return min((c.partial_since for c in self._channels.values() if c.is_asked), default=float("inf"))

    def check_deadlines(self) -> None:
        """Fail the peer whose message does not end: now and then."""
        too_late = self._loop.time() - self._shared.config.unfinished_s
        for channel in self._channels.values():
            if channel.partial and channel.partial_since < too_late and not self._held:
                if channel.is_asked and self.budget.expects(channel.id):
                    continue  # it was asked for, and has until then
                self._fail(
                    TooSlow(
                        f"channel {channel.id:#04x} ({channel.name}): message not finished within "
                        f"{self._shared.config.unfinished_s:g} s"
                    )
                )
                return

    # --- keep-alive -------------------------------------------------------------------------------------------

    def _receive_control(self, channel_id: int) -> None:
        if channel_id == CHANNEL_PING:
            self.budget.useless("ping")  # one a minute is nothing to the budget
            self._pong_due = True
            self._schedule_pump()
        elif channel_id == CHANNEL_PONG:
            if self._pong_timer is not None:
                self._pong_timer.cancel()
                self._pong_timer = None
                self._round_trips.append(self._loop.time() - self._pinged_s)
                self.round_trip_s = min(self._round_trips)
            else:
                self.budget.useless("pong nobody asked for")
        else:
            raise ConnectionFault(f"packet: channel {channel_id:#04x} is not one of ours")

    @property
    def told_round_trip_s(self) -> float:
        """`round_trip_s` for people: 0 only until a ping was answered."""
        return max(self.round_trip_s, ROUND_TRIP_LEAST_S) if self._round_trips else 0.0

    def _ping(self) -> None:
        self._next_ping_s = min(2 * self._next_ping_s, self._config.ping_interval_s)
        self._ping_timer = self._loop.call_later(self._next_ping_s, self._ping)
        if self._pong_timer is not None:
            return  # one is out, and has more time for what we held back
        self._await_pong(self._config.pong_timeout_s)
        self._ping_due = True
        self._pinged_s = self._loop.time()
        self._schedule_pump()

    def _await_pong(self, within_s: float) -> None:
        self._held_at_ping_s = self._held_s()
        self._pong_timer = self._loop.call_later(within_s, self._pong_missing)

    def _pong_missing(self) -> None:
        self._pong_timer = None
        held_s = self._held_s() - self._held_at_ping_s
        if held_s > 0:  # it may be here, unread
            self._await_pong(max(held_s, HELD_LOOK_S))
            return
        self._fail(TooSlow(f"no pong within {self._config.pong_timeout_s} s of a ping"))
