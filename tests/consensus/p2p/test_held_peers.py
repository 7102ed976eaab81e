"""A peer that we hold back is not blamed for it: what it sent lies unread, what it waits for was not written."""

from __future__ import annotations

from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.budget import HELD_S_MAX, BudgetConfig
from consensus.p2p.conn.errors import TooSlow
from consensus.p2p.conn.packets import PING, PONG
from tests.support.p2p.connection import Bench, StillLoop, packet

MS = 1_000_000
UNEARNED = BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=2)
PEERS_PATIENCE_S = 45.0  # CometBFT's pong timeout


class Remote:
    """The other side of a stranger's connection that keeps to the protocol: answers pings, pings, says a little."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.unsent = b""
        self.pinged_s, self.is_waiting = bench.loop.now, False
        self.worst_s = 0.0  # that it waited for a pong
        self.seen = 0
        bench.connection.start()

    def look(self, *, says: bytes = b"") -> None:
        now, bench = self.bench.loop.now, self.bench
        written, self.seen = bench.written[self.seen :], len(bench.written)
        self.unsent += PONG * written.count(PING) + says
        if self.is_waiting:
            self.worst_s = max(self.worst_s, now - self.pinged_s)
            self.is_waiting = PONG not in written
        elif now - self.pinged_s >= 60:
            self.unsent += PING
            self.pinged_s, self.is_waiting = now, True
        if bench.reading and self.unsent:
            data, self.unsent = self.unsent, b""
            bench.connection.feed(data)


def dear(bench: Bench, cost_ns: int) -> None:
    """Each message of this peer is work in a thread, which it pays for afterwards."""
    bench.on_deliver = lambda channel_id, message: bench.budget.spend_cpu(cost_ns)


def test_a_stranger_among_forty_who_use_up_the_common_share_hears_and_is_heard() -> None:
    """audit 7: forty strangers whose every message is dear held all others back for 50 s at a time. Then no pong was
    read or written within 45 s, and both sides of an honest connection gave the other up."""
    loop = StillLoop()
    honest = Bench(budget=UNEARNED, loop=loop)
    hostile = [Bench(shared=honest.shared, loop=loop) for _ in range(40)]
    for bench in hostile:
        dear(bench, 300 * MS)
    honest.on_deliver = lambda channel_id, message: honest.budget.spend_cpu(MS // 10)
    for _ in range(2_000):  # while nobody else wanted the share, it took some
        honest.budget.spend_cpu(5 * MS)
        loop.advance(1)
    remote = Remote(honest)
    said = 0
    for _ in range(1_500):
        for bench in hostile:
            if bench.reading:
                bench.connection.feed(packet(0x22, b"x"))
        remote.look(says=packet(0x22, b"gossip"))
        said += 1
        loop.advance(0.2)
    assert not honest.faults
    assert remote.worst_s <= 2 * HELD_S_MAX + 5 < PEERS_PATIENCE_S
    assert len(honest.delivered) >= said * 0.9, "who takes little is looked at first, and so it is all read"
    taken_s = sum(len(bench.delivered) for bench in hostile) * 0.3
    once = 40 * 0.3
    assert taken_s <= 300 * (0.02 + 0.3 / HELD_S_MAX) + 2 * once, "one dear message while all wait, then by the share"


def test_a_pong_that_lies_unread_is_not_missing() -> None:
    """audit 7: a peer was given up whose pong had come in time."""
    bench = Bench(budget=BudgetConfig(cpu_percent=1, strangers_cpu_percent=0, unearned_cpu_percent=0))
    bench.connection.start()
    for gap_s in (1, 2, 4, 8, 16, 32):
        bench.loop.advance(gap_s)
        bench.connection.feed(PONG)
    bench.loop.advance(59.9)
    for _ in range(12):  # it is over its own share all the time
        bench.budget.spend_cpu(NS_PER_S)
        bench.connection.feed(packet(0x22, b"x")) if bench.reading else None
        bench.loop.advance(HELD_S_MAX)
    assert PING in bench.written
    assert not bench.faults
    bench.loop.advance(HELD_S_MAX)
    bench.connection.feed(PONG)
    bench.loop.advance(30)
    assert not bench.faults


def test_who_is_read_from_and_says_no_pong_is_given_up_all_the_same() -> None:
    bench = Bench(budget=BudgetConfig(cpu_percent=10, strangers_cpu_percent=0, unearned_cpu_percent=0))
    bench.connection.start()
    while not bench.faults and bench.loop.now < 200:
        if bench.reading:
            bench.connection.feed(packet(0x22, b"x"))
            bench.budget.spend_cpu(20 * MS)
        bench.loop.advance(0.25)
    assert [type(fault) for fault in bench.faults] == [TooSlow]
    assert bench.loop.now < 160


def test_a_message_is_not_late_for_the_time_that_we_did_not_read() -> None:
    """audit 8: a message of which we did not read the end within a minute cost its sender the connection."""
    config = BudgetConfig(cpu_percent=1, strangers_cpu_percent=0, unearned_cpu_percent=0, unfinished_s=15.0)
    bench = Bench(budget=config)
    for _ in range(4):
        assert bench.reading
        bench.connection.feed(packet(0x01, b"x", eof=False))
        bench.budget.spend_cpu(NS_PER_S)
        bench.connection.feed(packet(0x01, b"x", eof=False))
        bench.loop.advance(HELD_S_MAX + 1)
        bench.connection.check_deadlines()
        assert not bench.faults
    bench.loop.advance(16)
    bench.connection.check_deadlines()
    assert [type(fault) for fault in bench.faults] == [TooSlow]
