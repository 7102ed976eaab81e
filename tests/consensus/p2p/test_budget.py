"""What a peer may cost: time, memory and useless messages, each held to its sender. By hand, without sockets."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.formats.units import NS_PER_S
from consensus.p2p.admission import BAN_FIRST_S, BAN_MAX_S, OFFENCE_FORGOTTEN_S, OFFENCES_MAX, Offences, ban_seconds
from consensus.p2p.conn.base import PeerFault
from consensus.p2p.conn.budget import SLICE_NS, TICK_S, TURN_NS, BudgetConfig
from consensus.p2p.conn.connection import SEND_BYTES_MAX
from consensus.p2p.conn.errors import ConnectionFault, TooSlow
from consensus.p2p.conn.packets import PING, PONG
from consensus.system.meter import Meter
from tests.support.p2p.connection import FREE, Bench, StillLoop, packet

MIB = 1024 * 1024


def flood(bench: Bench, data: bytes) -> None:
    """As the socket would: no more while reading is paused."""
    for start in range(0, len(data), 65_536):
        if not bench.reading:
            return
        bench.connection.feed(data[start : start + 65_536])


# --- memory -----------------------------------------------------------------------------------------------------------


def test_an_unfinished_message_takes_the_memory_of_its_bytes() -> None:
    """audit 8: packets of one byte were kept as objects of 34 and a place in a list: 2.9 GB a peer."""
    bench = Bench(budget=BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0))
    one = packet(0x01, b"x", eof=False)
    bench.connection.feed(one * 100)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(48):
            bench.connection.feed(one * 100)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert bench.budget.unfinished_bytes == 4_900
    assert taken < 16_384, "the bytes, and what a buffer grows by ahead of time"
    assert sys.getsizeof(bench.connection._channels[0x01].partial) < 8_192


@pytest.mark.parametrize(
    ("asked", "size", "passes"),
    [
        pytest.param(0, 2_000, True, id="small, unasked"),
        pytest.param(0, 2_001, False, id="large, unasked"),
        pytest.param(50_000, 50_000, True, id="as large as was asked for"),
        pytest.param(50_000, 50_001, False, id="larger than was asked for"),
        pytest.param(2_000_000, 1_000_001, False, id="never above the channel's own"),
    ],
)
def test_a_large_message_is_taken_only_from_a_peer_that_was_asked(asked: int, size: int, passes: bool) -> None:
    """audit 8: on channel 0x40 anybody could begin 100 MB."""
    bench = Bench()
    if asked:
        bench.budget.expect(0x40, asked, 10.0)
    for start in range(0, size, 1_000):
        bench.connection.feed(packet(0x40, bytes(min(1_000, size - start)), eof=start + 1_000 >= size))
    assert bool(bench.delivered) is passes
    assert [isinstance(fault, ConnectionFault) for fault in bench.faults] == ([] if passes else [True])
    assert bench.budget.unfinished_bytes == bench.shared.unfinished_bytes == 0


def test_one_answer_is_owed_for_one_question_and_not_for_ever() -> None:
    """audit 8"""
    bench = Bench()
    bench.budget.expect(0x40, 5_000, 10.0)
    for _ in range(5):
        bench.connection.feed(packet(0x40, bytes(1_000), eof=False))
    bench.connection.feed(packet(0x40, b""))
    assert len(bench.delivered) == 1
    assert bench.budget.expects(0x40) == 0, "it was the answer"
    bench.budget.expect(0x40, 5_000, 10.0)
    bench.loop.advance(11)
    assert bench.budget.expects(0x40) == 0, "too late"


def test_unfinished_messages_have_a_bound_per_peer_that_grows_with_what_was_asked_for() -> None:
    """audit 8"""
    config = BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0, unfinished_bytes_max=7_000)
    for asked, left in ((0, 7_000), (30_000, 37_000)):
        bench = Bench(budget=config)
        if asked:
            bench.budget.expect(0x40, asked, 10.0)
        sent = 0
        for channel in (0x00, 0x01, 0x22, *([0x40] * 7)):
            for _ in range(4):
                bench.connection.feed(packet(channel, bytes(1_000), eof=False))
                sent += 1_000 * (not bench.faults)
        assert sent == left, bench.faults
        assert bench.shared.unfinished_bytes == 0, "what it held is forgotten with it"


def test_past_the_total_the_owner_is_asked_to_free_memory() -> None:
    """audit 8"""
    config = BudgetConfig(
        cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0, unfinished_total_bytes_max=6_000
    )
    first = Bench(budget=config)
    second = Bench(shared=first.shared, loop=first.loop)
    for bench in (first, second):
        for _ in range(4):
            bench.connection.feed(packet(0x01, bytes(1_000), eof=False))
    assert (first.memory_calls, second.memory_calls) == (0, 2)
    first.connection.close()
    assert first.shared.unfinished_bytes == 4_000


def test_what_was_asked_for_has_a_total_too() -> None:
    """audit 8: each of fifty liars could leave 26 MB of a block that a syncing node had asked it for: 1.3 GB."""
    config = BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0, asked_total_bytes_max=6_000)
    first = Bench(budget=config)
    second = Bench(shared=first.shared, loop=first.loop)
    for bench in (first, second):
        bench.budget.expect(0x40, 10_000, 300.0)
        for _ in range(4):
            bench.connection.feed(packet(0x40, bytes(1_000), eof=False))
    assert (first.shared.unfinished_bytes, first.shared.asked_bytes) == (0, 8_000)
    assert (first.memory_calls, second.memory_calls) == (0, 2)
    first.connection.close()
    assert first.shared.asked_bytes == 4_000


def test_a_message_that_does_not_end_costs_the_connection_but_is_no_offence() -> None:
    """audit 8"""
    bench = Bench(
        budget=BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0, unfinished_s=10.0)
    )
    bench.connection.feed(packet(0x01, b"x", eof=False))
    for _ in range(10):
        bench.loop.advance(1)
        bench.connection.feed(packet(0x01, b"x", eof=False))
        bench.connection.check_deadlines()
        assert not bench.faults
    bench.loop.advance(1)
    bench.connection.check_deadlines()
    assert [type(fault) for fault in bench.faults] == [TooSlow]


def test_what_was_asked_for_has_the_time_that_was_given() -> None:
    bench = Bench(
        budget=BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0, unfinished_s=10.0)
    )
    bench.budget.expect(0x40, 50_000, 100.0)
    for _ in range(3):
        bench.connection.feed(packet(0x40, bytes(1_000), eof=False))
    bench.loop.advance(50)
    bench.connection.check_deadlines()
    assert not bench.faults
    bench.loop.advance(60)
    bench.connection.check_deadlines()
    assert len(bench.faults) == 1


# --- time -------------------------------------------------------------------------------------------------------------

FLOODS: dict[str, bytes] = {
    "pings": PING,
    "pongs": PONG,
    "empty packets": packet(0x22, b"", eof=False),
    "bytes": packet(0x22, b"x", eof=False),
    "small messages": packet(0x22, b"x"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_time_is_looked_at_per_packet(name: str) -> None:
    """audit 10: 256 KiB of packets that end no message held the loop for 75 ms."""
    bench = Bench(
        budget=BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=0, useless_max=10**9)
    )
    handled = 0
    receive = bench.connection._receive_packet

    def count(channel_id: int, eof: bool, payload: bytes, size: int) -> int:
        nonlocal handled
        handled += 1
        bench.work_ns += 10_000  # so long each takes
        return receive(channel_id, eof, payload, size)

    bench.connection._receive_packet = count  # type: ignore[method-assign]
    one = FLOODS[name]
    total = 4_000
    bench.connection.feed(one * total)
    assert handled <= SLICE_NS // 10_000 + 64
    assert not bench.reading
    bench.loop.advance(1)
    assert (handled, bench.reading) == (total, True)


@pytest.mark.parametrize("name", ["pings", "pongs", "empty packets"])
def test_what_no_honest_peer_sends_in_numbers_spends_its_budget(name: str) -> None:
    """audit 10"""
    bench = Bench()
    bench.connection.feed(FLOODS[name] * 900)
    bench.loop.advance(1)
    assert not bench.spent
    bench.connection.feed(FLOODS[name] * 200)
    bench.loop.advance(1)
    assert len(bench.spent) == 1, "told once"


def test_pongs_are_not_one_for_one() -> None:
    """audit 10"""
    bench = Bench()
    bench.connection.feed(PING * 500)
    bench.loop.advance(1)
    assert bench.written.count(PONG) < 10


def test_an_honest_peers_pings_are_nothing() -> None:
    bench = Bench()
    for _ in range(5_000):
        bench.connection.feed(PING)
        bench.loop.advance(60)
        bench.connection.feed(PONG)
    assert not bench.spent
    assert not bench.faults


COST_NS = 100_000  # of each message below


def costly(bench: Bench) -> None:
    def work(channel_id: int, message: bytes) -> None:
        bench.work_ns += COST_NS

    bench.on_deliver = work


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("percent", [5, 25, 100])
def test_a_peer_is_held_to_its_share_of_time(percent: int, is_named: bool) -> None:
    """audit 10: one peer took 0.8 to 1.9 cores at 5 MB/s."""
    config = BudgetConfig(cpu_percent=percent, strangers_cpu_percent=0, unearned_cpu_percent=0, cpu_burst_ms=50)
    bench = Bench(budget=config, is_named=is_named)
    costly(bench)
    seconds = 10
    data = packet(0x22, b"x") * 1_000
    for _ in range(seconds * 1_000):
        flood(bench, data)
        bench.loop.advance(0.001)
    used_s = len(bench.delivered) * COST_NS / NS_PER_S
    assert used_s <= seconds * percent / 100 + 0.050 + 0.005
    assert used_s >= seconds * percent / 100 * 0.8, "and it is served as far as that"
    assert not bench.faults
    assert bench.budget.held_s > 0 or percent == 100


def test_strangers_together_are_held_to_theirs_and_who_sends_little_is_served_first() -> None:
    """audit 10 and 12: forty flooding strangers leave an honest one its place."""
    config = BudgetConfig(cpu_percent=25, strangers_cpu_percent=40, unearned_cpu_percent=0, cpu_burst_ms=50)
    loop = StillLoop()
    first = Bench(budget=config, loop=loop)
    work = [0]
    benches = [first, *(Bench(shared=first.shared, loop=loop) for _ in range(39))]
    honest = Bench(shared=first.shared, loop=loop)
    first.shared.meter = Meter(lambda: work[0] + 1, lambda: work[0] + 1)
    first.shared.slice_ns = lambda: work[0] + 1

    def cost(channel_id: int, message: bytes) -> None:
        work[0] += COST_NS

    for bench in (*benches, honest):
        bench.on_deliver = cost
    data = packet(0x22, b"x") * 500
    waits: list[int] = []
    for millisecond in range(2_000):
        for bench in benches:
            flood(bench, data)
        if millisecond % 50 == 0 and honest.reading:
            sent, before = millisecond, len(honest.delivered)
            honest.connection.feed(packet(0x22, b"honest"))
        loop.advance(0.001)
        if len(honest.delivered) > before:
            before = len(honest.delivered)
            waits.append(millisecond - sent)
    assert work[0] <= NS_PER_S * (2 * 0.40 + 0.050) * 1.05
    assert len(waits) >= 20
    assert sorted(waits)[len(waits) // 2] <= 100


def test_who_brings_nothing_takes_little_and_who_is_useful_earns_its_time() -> None:
    """audit 7 and 10: ten floods took two fifths of a core, and with it half of the pace of a busy machine."""
    config = BudgetConfig(strangers_cpu_percent=40, unearned_cpu_percent=10, unearned_burst_ms=100, cpu_percent=0)
    loop = StillLoop()
    first = Bench(budget=config, loop=loop)
    work = [0]
    floods = [first, *(Bench(shared=first.shared, loop=loop) for _ in range(9))]
    useful = Bench(shared=first.shared, loop=loop)
    first.shared.meter = Meter(lambda: work[0] + 1, lambda: work[0] + 1)
    first.shared.slice_ns = lambda: work[0] + 1

    def cost(channel_id: int, message: bytes) -> None:
        work[0] += COST_NS

    for bench in floods:
        bench.on_deliver = cost
    done = [0]

    def cost_of_use(channel_id: int, message: bytes) -> None:
        work[0] += COST_NS
        done[0] += 1
        useful.connection.budget.useful()

    useful.on_deliver = cost_of_use
    data, votes = packet(0x22, b"x") * 500, packet(0x22, b"vote" * 220) * 3
    fed = 0
    for _ in range(2_000):
        for bench in floods:
            flood(bench, data)
        if useful.reading:
            useful.connection.feed(votes)
            fed += 1
        loop.advance(0.001)
    of_floods = work[0] - done[0] * COST_NS
    assert of_floods <= NS_PER_S * (2 * 0.10 * 1.2 + 0.100)
    assert fed >= 1_900  # it was hardly ever held
    assert done[0] == 3 * fed


def test_work_done_elsewhere_counts_and_holds_for_a_while_only() -> None:
    bench = Bench(budget=BudgetConfig(cpu_percent=25, strangers_cpu_percent=0, unearned_cpu_percent=0))
    bench.budget.spend_cpu(3600 * NS_PER_S)
    assert 0 < bench.budget.wait_s() < 6
    bench.connection.feed(packet(0x22, b"x"))
    assert (bench.delivered, bench.reading) == ([], False)
    bench.loop.advance(6)
    assert (bench.delivered, bench.reading) == ([(0x22, b"x")], True)


def test_a_turn_of_the_loop_ends_for_all_peers_together() -> None:
    """audit 10: forty peers each with a slice of their own were forty slices in a row."""
    loop = StillLoop()
    first = Bench(budget=FREE, loop=loop)
    benches = [first, *(Bench(shared=first.shared, loop=loop) for _ in range(39))]
    work = [1]
    first.shared.meter = Meter(lambda: work[0], lambda: work[0])
    first.shared.slice_ns = lambda: work[0]
    for bench in benches:
        bench.on_deliver = lambda channel_id, message: work.__setitem__(0, work[0] + COST_NS)
    for bench in benches:
        bench.connection.feed(packet(0x22, bytes(700)) * 20)
    assert work[0] <= 5 * SLICE_NS, "before anything else on the loop could run"
    loop.advance(1)
    assert all(len(bench.delivered) == 20 for bench in benches)


def test_what_ends_in_a_fault_costs_all_strangers_as_much_as_what_does_not() -> None:
    """audit 8: the message that a peer is dropped for was free; a new connection brought the next."""
    levels = []
    for error in (None, PeerFault("injected")):
        bench = Bench(budget=BudgetConfig())

        def work(channel_id: int, message: bytes, bench: Bench = bench, error: Exception | None = error) -> None:
            bench.work_ns += 5 * COST_NS
            if error is not None:
                raise error

        bench.on_deliver = work
        bench.connection.feed(packet(0x22, bytes(900)) * 3)
        assert bench.faults == ([] if error is None else [error])
        levels.append((bench.shared.strangers.level_ns, bench.shared.unearned.level_ns, len(bench.delivered)))
    assert levels == [(15 * COST_NS, 15 * COST_NS, 3), (5 * COST_NS, 5 * COST_NS, 1)]


# --- useless messages and bans ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_s", "spent"), [(1, False), (19, False), (21, True), (500, True)])
def test_useless_messages_leak(per_s: int, spent: bool) -> None:
    bench = Bench()
    for _ in range(1_200):
        for _ in range(per_s if not bench.spent else 0):
            bench.budget.useless("part of no block")
        bench.loop.advance(1)
    assert bool(bench.spent) is spent


def test_what_is_forgiven_is_not_held_against_a_peer() -> None:
    bench = Bench()
    for _ in range(1_000):
        bench.budget.useless("holdings told exactly", 10)
        assert bench.budget.useless_now == 10
        bench.loop.advance(2)
        assert bench.budget.useless_now == 0
    assert bench.budget.useless_by_kind.total() == 10_000
    assert not bench.spent


def test_a_loop_that_comes_late_is_not_held_against_a_peer() -> None:
    """A machine that is busy, or a turn that is others': it waits, unread, and no message of it cost much."""
    bench = Bench(budget=BudgetConfig(cpu_percent=25, cpu_burst_ms=1, strangers_cpu_percent=0, unearned_cpu_percent=0))
    bench.shared.spend_turn(TURN_NS)
    bench.connection.feed(packet(0x22, b"x"))
    bench.loop.now += 5
    bench.loop.advance(0)
    assert bench.delivered
    assert bench.budget.held_s == 0
    costly(bench)
    flood(bench, packet(0x22, b"x") * 100)
    for _ in range(20):
        bench.loop.now += 5
        bench.loop.advance(0)
    assert len(bench.delivered) == 101
    assert 0 < bench.budget.held_s <= 20 * TICK_S + 0.04, "ten milliseconds of work at a quarter of a core"


def test_a_weight_counts_as_so_many() -> None:
    bench = Bench()
    for _ in range(250):
        bench.budget.useless("bad part", 4)
    assert not bench.spent
    bench.budget.useless("bad part", 4)
    assert bench.spent == ["sent too much that is of no use, last: bad part"]


def test_bans_grow_and_are_forgotten() -> None:
    now = [0.0]
    offences = Offences(lambda: now[0])
    bans = [ban_seconds(offences.add("a"), forgiven=2) for _ in range(12)]
    assert bans[:5] == [0, 0, BAN_FIRST_S, 4 * BAN_FIRST_S, 16 * BAN_FIRST_S]
    assert bans[-1] == BAN_MAX_S
    now[0] += OFFENCE_FORGOTTEN_S
    assert ban_seconds(offences.add("a"), forgiven=2) == 0
    for number in range(3 * OFFENCES_MAX):
        offences.add(str(number))
    assert len(offences._of) <= OFFENCES_MAX


@given(
    st.lists(st.tuples(st.sampled_from([0x00, 0x01, 0x22, 0x40]), st.integers(0, 1_500), st.booleans()), max_size=80)
)
def test_unfinished_bytes_are_counted_exactly(packets: list[tuple[int, int, bool]]) -> None:
    """audit 8: whatever comes, the count is what the channels hold, and nothing is left after the end."""
    bench = Bench()
    bench.budget.expect(0x40, 10_000, 10.0)
    held: Callable[[], int] = lambda: sum(len(c.partial) for c in bench.connection._channels.values())  # noqa: E731
    for channel, size, eof in packets:
        bench.connection.feed(packet(channel, bytes(size), eof=eof))
        assert bench.budget.unfinished_bytes == held()
        asked = bench.connection._channels[0x40].is_asked * len(bench.connection._channels[0x40].partial)
        assert (bench.shared.unfinished_bytes, bench.shared.asked_bytes) == (held() - asked, asked)
    bench.connection.close()
    assert bench.shared.unfinished_bytes == bench.shared.asked_bytes == 0


# --- what waits for a peer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 60_000, 1_000_000, 5_000_000])
def test_what_waits_for_a_slow_reader_is_bounded_over_all_channels(size: int) -> None:
    """audit 14, mintlayer-core#1314: 32 MB waited on each channel of each peer; a message always fits alone."""
    bench = Bench(peer_channels=frozenset({0x00, 0x01, 0x22, 0x40}))
    bench.connection.pause_writing()
    taken = 0
    for channel in (0x40, 0x22, 0x01, 0x00):
        assert bench.connection.queue_room(channel) > 0
        while bench.connection.try_send(channel, bytes(size)):
            taken += size
        assert bench.connection.queue_room(channel) == 0 or size > 100
    assert taken <= SEND_BYTES_MAX + 4 * size
    assert taken == bench.connection._queued_bytes
    bench.write_stream = lambda data: None  # type: ignore[method-assign]
    bench.connection.resume_writing()
    bench.loop.advance(1)
    assert bench.connection._queued_bytes == 0
    assert bench.connection.try_send(0x22, bytes(size))


def test_answers_that_we_asked_for_cost_a_peer_less() -> None:
    """audit 10: else block sync from one peer would go no faster than a stranger may flood."""
    used = []
    for asked in (False, True):
        bench = Bench(
            budget=BudgetConfig(cpu_percent=20, strangers_cpu_percent=0, unearned_cpu_percent=0, cpu_burst_ms=50)
        )
        costly(bench)
        if asked:
            bench.budget.expect(0x40, 50_000, 100.0)
        data = packet(0x22, b"x") * 1_000
        for _ in range(2_000):
            flood(bench, data)
            bench.loop.advance(0.001)
        used.append(len(bench.delivered))
    assert 3 <= used[1] / used[0] <= 4.2


# --- what it costs to speak to a peer, and to let many wait ---------------------------------------------------------


def test_what_a_stranger_is_told_costs_its_share_and_a_named_peer_nothing() -> None:
    """audit 7 and 10: nobody paid for what ten silent strangers are told of each vote and part."""
    config = BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=10, unearned_burst_ms=10)
    for is_named in (False, True):
        bench = Bench(budget=config, is_named=is_named)
        work = [0]

        def work_ns(work: list[int] = work) -> int:
            work[0] += 500_000  # each look at the clock is half a millisecond of work
            return work[0]

        bench.shared.meter = Meter(work_ns, work_ns)
        sent = 0
        for _ in range(1_000):
            sent += bench.connection.try_send(0x22, bytes(60_000))
            bench.loop.advance(0.001)
        if is_named:
            assert sent == 1_000
            assert work[0] == 0
        else:
            assert work[0] <= 2 * NS_PER_S * 0.10 + 2 * 10_000_000
            assert 0 < sent < 300, "and who makes messages for it hears that there is no room"


def test_who_waits_for_the_common_share_costs_one_timer_with_all_others() -> None:
    """audit 7: forty held connections were forty timers, and forty wake-ups, for each slice of work."""
    config = BudgetConfig(cpu_percent=0, strangers_cpu_percent=0, unearned_cpu_percent=1, unearned_burst_ms=10)
    loop = StillLoop()
    first = Bench(budget=config, loop=loop)
    benches = [first, *(Bench(shared=first.shared, loop=loop) for _ in range(39))]
    costly(first)
    for bench in benches[1:]:
        bench.on_deliver = first.on_deliver
    for bench in benches:
        flood(bench, packet(0x22, b"x") * 2_000)
    timers: list[float] = []
    later = loop.call_later

    def call_later(delay: float, call: Callable[..., object], *args: object) -> object:
        if delay:
            timers.append(delay)
        return later(delay, call, *args)

    loop.call_later = call_later  # type: ignore[method-assign, assignment]
    loop.advance(1.0)
    assert 0 < len(timers) <= 60
