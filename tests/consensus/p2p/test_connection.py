"""Packets and the multiplexed connection, without sockets: layouts, limits, priorities, rates, keep-alive by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.p2p.conn.base import PeerFault
from consensus.p2p.conn.budget import SLICE_NS
from consensus.p2p.conn.connection import ConnectionConfig
from consensus.p2p.conn.errors import ConnectionFault
from consensus.p2p.conn.packets import (
    CHANNEL_PING,
    CHANNEL_PONG,
    PING,
    PONG,
    _decode_any_packet,
    decode_packet,
    delimited,
    packet_bytes_max,
    packet_prefix,
    split_delimited,
    uvarint,
)
from proto.tendermint.p2p import conn_pb2, pex_pb2
from tests.support.p2p.connection import HIGH, Bench, packet

# --- packets ----------------------------------------------------------------------------------------------------------


def test_the_sheets_examples_on_the_wire() -> None:
    assert (PING.hex(), PONG.hex()) == ("020a00", "021200")
    assert (packet_prefix(0x20, 1, True) + b"\xaa").hex() == "091a07082010011a01aa"
    request = pex_pb2.Message(pex_request=pex_pb2.PexRequest()).SerializeToString()
    assert (packet_prefix(0, len(request), True) + request).hex() == "081a0610011a020a00"
    assert packet_bytes_max(1024) == 1034


@given(st.integers(0, 127), st.booleans(), st.binary(max_size=3000))
def test_packets_are_those_of_protobuf(channel: int, eof: bool, data: bytes) -> None:
    message = conn_pb2.PacketMsg(channel_id=channel, eof=eof, data=data)
    expected = conn_pb2.Packet(packet_msg=message).SerializeToString()
    assert packet_prefix(channel, len(data), eof) + data == delimited(expected)
    assert decode_packet(b"xx" + expected + b"y", 2, 2 + len(expected)) == (channel, eof, data)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x1a" + bytes([len(tail)]) + tail))
def test_the_fast_path_means_what_protobuf_means(body: bytes) -> None:
    """Whatever layout comes: hand parser and generated parser agree, errors included."""

    def outcome(parse: Callable[[], object]) -> object:
        try:
            return parse()
        except ConnectionFault as fault:
            return str(fault)

    assert outcome(lambda: decode_packet(body, 0, len(body))) == outcome(lambda: _decode_any_packet(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("1a0708a00110011a00", (0xA0, True, b"")),
        ("1a0a10011a04010203040820", (0x20, True, b"\1\2\3\4")),
        ("0a00", (CHANNEL_PING, True, b"")),
        ("1200", (CHANNEL_PONG, True, b"")),
        ("0a0208011200", (CHANNEL_PONG, True, b"")),
    ],
)
def test_unusual_layouts(body: str, expected: tuple[int, bool, bytes]) -> None:
    data = bytes.fromhex(body)
    assert decode_packet(data, 0, len(data)) == expected


@pytest.mark.parametrize("body", ["", "ff", "1a", "2200", "1a0b08ffffffffffffffffff011001"])
def test_packets_that_are_refused(body: str) -> None:
    data = bytes.fromhex(body)
    with pytest.raises(ConnectionFault):
        decode_packet(data, 0, len(data))


def test_delimited_messages() -> None:
    assert split_delimited(b"\x03abcde", limit=10, what="x") == (b"abc", b"de")
    assert split_delimited(b"\x03ab", limit=10, what="x") is None
    assert split_delimited(b"\x80", limit=10, what="x") is None
    for data in (b"\x0b", b"\xff\xff", b"\x80" * 10):
        with pytest.raises(ConnectionFault):
            split_delimited(data, limit=10, what="x")


# --- one connection on a loop that stands still -----------------------------------------------------------------------


def test_what_one_turn_queues_leaves_in_one_write() -> None:
    bench = Bench()
    for _ in range(4):
        assert bench.connection.try_send(0x22, b"x" * 100)
    assert bench.writes == 0
    bench.loop.advance(0)
    assert bench.writes == 1
    assert bench.packets() == [(0x22, True, 100)] * 4


def test_messages_are_cut_and_channels_share_by_priority() -> None:
    bench = Bench()
    assert bench.connection.try_send(0x01, bytes(20_000))
    assert bench.connection.try_send(0x22, bytes(20_000))
    bench.loop.advance(0)
    packets = bench.packets()
    assert [p for p in packets if p[0] == 1] == [(1, False, 1024)] * 19 + [(1, True, 20_000 - 19 * 1024)]
    first = [channel for channel, _, _ in packets[:22]]
    assert first.count(0x22) == 20  # ten times the priority, ten times the share
    assert first.count(0x01) == 2


def test_shares_are_forgotten_with_time() -> None:
    bench = Bench()
    for _ in range(4):
        bench.connection.try_send(0x22, bytes(200_000))
    bench.loop.advance(1)
    bench.written = b""
    bench.loop.advance(60)  # 30 periods of decay by 0.8
    bench.connection.try_send(0x01, bytes(3000))
    bench.connection.try_send(0x22, bytes(1000))
    bench.loop.advance(0)
    assert [channel for channel, _, _ in bench.packets()].index(0x22) <= 1


def test_queues_are_bounded_in_messages_and_tell_when_there_is_room() -> None:
    bench = Bench()
    bench.connection.pause_writing()
    assert [bench.connection.try_send(0x22, b"x") for _ in range(6)] == [True] * 4 + [False] * 2
    assert (bench.connection.queue_room(0x22), bench.connection.queue_room(0x01)) == (0, 4)
    bench.loop.advance(1)
    assert bench.writes == 0
    bench.connection.resume_writing()
    bench.loop.advance(0)
    assert bench.writable == [0x22]
    assert bench.connection.queue_room(0x22) == 4


def test_queues_are_bounded_in_bytes_but_one_message_always_fits() -> None:
    bench = Bench(high=replace(HIGH, send_queue_bytes=1_000))
    assert bench.connection.try_send(0x22, bytes(5000))
    assert not bench.connection.try_send(0x22, b"x")
    assert bench.connection.queue_room(0x22) == 0


def test_who_asked_for_room_and_found_none_is_told_when_there_is() -> None:
    """mintlayer-core#1314"""
    bench = Bench(high=replace(HIGH, send_queue_bytes=1_000))
    bench.connection.pause_writing()
    assert bench.connection.try_send(0x22, bytes(5000))
    assert bench.connection.queue_room(0x22) == 0
    assert (bench.connection.queued_bytes(0x22), bench.connection.queued_bytes(0x01)) == (5000, 0)
    bench.connection.resume_writing()
    bench.loop.advance(0)
    assert bench.writable == [0x22]
    assert bench.connection.queued_bytes(0x22) == 0


def test_a_channel_that_the_peer_lacks_takes_nothing() -> None:
    bench = Bench(peer_channels=frozenset({0x22}))
    assert not bench.connection.try_send(0x01, b"x")
    assert not bench.connection.try_send(0x77, b"x")
    assert bench.connection.queue_room(0x01) == bench.connection.queued_bytes(0x01) == 0


@given(
    st.lists(st.tuples(st.sampled_from([0x00, 0x01, 0x22]), st.binary(max_size=4000)), max_size=8), st.integers(1, 900)
)
def test_any_messages_in_any_cutting_arrive_whole(messages: list[tuple[int, bytes]], cut: int) -> None:
    sender, receiver = Bench(), Bench()
    for channel, message in messages:
        if not sender.connection.try_send(channel, message):
            sender.loop.advance(0)
            assert sender.connection.try_send(channel, message)
    sender.loop.advance(0)
    for at in range(0, len(sender.written), cut):
        receiver.connection.feed(sender.written[at : at + cut])
    assert receiver.faults == []
    for id in (0x00, 0x01, 0x22):
        assert [m for c, m in receiver.delivered if c == id] == [m for c, m in messages if c == id]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        pytest.param(packet(0x33, b"x"), "0x33 is not one of ours", id="unknown channel"),
        pytest.param(packet(0x22, bytes(1025)), "at most 1034", id="payload too long"),
        pytest.param(uvarint(1035), "1035", id="length over the limit"),
        pytest.param(b"\xff" * 11, "at least", id="length without end"),
        pytest.param(b"\x80" * 11, "more than 10", id="length of zeros"),
        pytest.param(b"\x00", "neither", id="empty packet"),
        pytest.param(b"\x02\x1a\x05", "no protobuf", id="cut packet"),
        pytest.param(packet(0x22, bytes(1000), eof=False) * 6, "at most 5000", id="message over its channel's limit"),
    ],
)
def test_broken_streams_end_the_connection_with_a_reason(stream: bytes, why: str) -> None:
    bench = Bench()
    bench.connection.feed(stream + packet(0x22, b"never"))
    assert len(bench.faults) == 1
    assert isinstance(bench.faults[0], ConnectionFault)
    assert why in str(bench.faults[0])
    bench.connection.feed(packet(0x22, b"never"))
    assert bench.delivered == []
    assert not bench.connection.try_send(0x22, b"x")


@given(st.binary(max_size=3000))
def test_random_bytes_end_in_one_fault_at_most(stream: bytes) -> None:
    bench = Bench()
    bench.connection.feed(stream)
    bench.connection.feed(stream)
    assert len(bench.faults) <= 1


def test_empty_packets_that_never_end_cost_no_memory() -> None:
    bench = Bench()
    bench.connection.feed(packet(0x22, b"", eof=False) * 1000)
    assert bench.connection._channels[0x22].partial == b""
    assert bench.budget.useless_by_kind == {"packet without bytes": 1000}
    bench.connection.feed(packet(0x22, b"x"))
    assert bench.delivered == [(0x22, b"x")]


def test_a_message_of_exactly_the_limit_passes() -> None:
    bench = Bench()
    bench.connection.feed(packet(0x22, bytes(1000), eof=False) * 4 + packet(0x22, bytes(1000)))
    assert bench.delivered == [(0x22, bytes(5000))]


def test_a_reactors_fault_stops_delivery_at_once() -> None:
    bench = Bench()

    def refuse(channel_id: int, message: bytes) -> None:
        raise PeerFault("bad")

    bench.on_deliver = refuse
    bench.connection.feed(packet(0x22, b"1") + packet(0x22, b"2"))
    assert bench.delivered == [(0x22, b"1")]
    assert [str(fault) for fault in bench.faults] == ["bad"]


def test_closing_inside_a_delivery_stops_delivery() -> None:
    bench = Bench()
    bench.on_deliver = lambda channel_id, message: bench.connection.close()
    bench.connection.feed(packet(0x22, b"1") + packet(0x22, b"2"))
    assert bench.delivered == [(0x22, b"1")]
    assert bench.faults == []


def test_one_peer_never_holds_the_loop_for_long() -> None:
    bench = Bench()

    def slow(channel_id: int, message: bytes) -> None:
        bench.work_ns += SLICE_NS

    bench.on_deliver = slow
    bench.connection.feed(packet(0x22, b"x") * 10)
    assert 2 <= len(bench.delivered) <= 3
    assert not bench.reading
    bench.loop.advance(1)
    assert len(bench.delivered) == 10
    assert bench.reading


# --- rates and keep-alive ---------------------------------------------------------------------------------------------


def test_sending_keeps_to_its_rate() -> None:
    bench = Bench(send_rate=10_000)
    for _ in range(4):
        bench.connection.try_send(0x22, bytes(5000))
    bench.loop.advance(1)
    assert 9_000 <= len(bench.written) <= 13_000
    bench.loop.advance(2)
    assert sum(size for _, _, size in bench.packets()) == 20_000


def test_receiving_keeps_to_its_rate_by_reading_no_more() -> None:
    bench = Bench(receive_rate=10_000)
    bench.connection.feed(packet(0x22, bytes(900)) * 5)
    assert not bench.reading
    bench.loop.advance(0.2)
    assert not bench.reading
    bench.loop.advance(0.2)
    assert bench.reading


def test_pings_go_out_and_a_pong_in_time_keeps_the_connection() -> None:
    bench = Bench()
    bench.connection.start()
    gaps_s, answers_s = (1, 2, 4, 8, 16, 32, 60, 60), (0.5, 0.75, 0.25, 0.5, 1.0, 1.0, 1.0, 1.0)
    waited_s = 0.0
    for number, (gap_s, answer_s) in enumerate(zip(gaps_s, answers_s, strict=True), 1):
        bench.loop.advance(gap_s - waited_s)  # the first come soon: they tell how far the peer is
        assert bench.written == PING * number
        bench.loop.advance(answer_s)
        waited_s = answer_s
        bench.connection.feed(PONG)
        assert bench.connection.round_trip_s == pytest.approx(min(answers_s[:number]))
    assert bench.faults == []


def test_a_pong_in_the_same_millisecond_is_told_as_one() -> None:
    """A loop's clock of whole milliseconds sees no time pass on one machine: no peer was ever told of as measured."""
    bench = Bench()
    bench.connection.start()
    bench.loop.advance(1)
    assert bench.connection.told_round_trip_s == 0.0
    bench.connection.feed(PONG)
    assert (bench.connection.round_trip_s, bench.connection.told_round_trip_s) == (0.0, 0.0001)


def test_a_pong_that_nobody_asked_for_measures_nothing() -> None:
    bench = Bench()
    bench.connection.start()
    bench.loop.advance(1.5)
    bench.connection.feed(PONG)
    bench.loop.advance(0.1)
    bench.connection.feed(PONG)
    assert bench.connection.round_trip_s == pytest.approx(0.5)


def test_no_pong_within_45_seconds_ends_the_connection() -> None:
    bench = Bench()
    bench.connection.start()
    for gap_s in (1, 2, 4, 8, 16, 32):
        bench.loop.advance(gap_s)
        bench.connection.feed(PONG)
    bench.loop.advance(60 + 44)
    bench.connection.feed(packet(0x22, b"messages are no pong"))
    assert bench.faults == []
    bench.loop.advance(1)
    assert [str(fault) for fault in bench.faults] == ["no pong within 45.0 s of a ping"]


def test_many_pings_get_one_pong_a_turn_and_unasked_pongs_are_harmless() -> None:
    bench = Bench()
    bench.connection.feed(PING * 100 + PONG * 100)
    bench.loop.advance(0)
    assert bench.written == PONG
    assert bench.faults == []


def test_a_closed_connection_leaves_no_timer() -> None:
    bench = Bench()
    bench.connection.start()
    bench.connection.close()
    bench.loop.advance(1000)
    assert bench.written == b""
    assert bench.faults == []


def test_flushing_writes_the_queue_out_even_when_writing_is_paused() -> None:
    bench = Bench()
    bench.connection.pause_writing()
    bench.connection.try_send(0x22, bytes(3000))
    bench.connection.flush_and_close()
    assert sum(size for _, _, size in bench.packets()) == 3000
    assert not bench.connection.try_send(0x22, b"x")


@pytest.mark.parametrize("config", [{"pong_timeout_s": 60}, {"payload_bytes_max": 0}])
def test_configurations_that_make_no_sense(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ConnectionConfig(**config)
