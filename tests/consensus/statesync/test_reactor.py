"""Serving: what is asked is bounded, a slow reader costs nothing but its turn; light blocks; what nobody asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.channels import state_sync_messages as m
from consensus.channels.peer_messages import InvalidMessage
from consensus.formats.errors import InvalidData
from consensus.formats.wire import bytes_field, int_field, message_field
from consensus.p2p.conn.base import PeerFault
from consensus.statesync.light_blocks import ANSWER_S, NoLightBlock, NoReply, PeerLightBlocks
from consensus.statesync.reactor import StateSyncReactor
from consensus.statesync.serving import ASKED_MAX
from consensus.system.clock import InlineWorkers
from tests.support.gossip.network import FakePeer
from tests.support.p2p.peers import pass_time, simulate, until
from tests.support.statesync.world import CHAIN, HEIGHT, FromChain, LoopTime, SnapApp, snapshot_of

CHANNELS = frozenset({m.SNAPSHOT_CHANNEL, m.CHUNK_CHANNEL, m.LIGHT_BLOCK_CHANNEL})
GOOD = snapshot_of(HEIGHT)


class Server:
    def __init__(self, *snapshots: Any) -> None:
        self.app, self.stores = SnapApp(*snapshots), FromChain()
        app: Any = self.app
        stores: Any = self.stores
        self.reactor = StateSyncReactor(app, stores, stores, LoopTime(), InlineWorkers())

    def connect(self, letter: str = "a", *, room: int = 1_000) -> FakePeer:
        peer = FakePeer(letter * 40, CHANNELS, room=room)
        self.reactor.add_peer(peer)
        return peer

    def drain(self, peer: FakePeer, channel: int) -> list[Any]:
        return [m.decode_state_sync(channel, message) for message in peer.take(channel)]


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        pytest.param(m.SnapshotsRequest(), "0a00", id="SnapshotsRequest"),
        pytest.param(
            m.SnapshotsResponse(m.Snapshot(1, 2, 3, b"chuck hash", b"snapshot metadata")),
            "1225080110021803220a636875636b20686173682a11736e617073686f74206d65746164617461",
            id="SnapshotsResponse",
        ),
        pytest.param(m.ChunkRequest(1, 2, 3), "1a06080110021803", id="ChunkRequest"),
        pytest.param(
            m.ChunkResponse(1, 2, 3, b"it's a chunk"),
            "2214080110021803220c697427732061206368756e6b",
            id="ChunkResponse",
        ),
        pytest.param(m.ChunkResponse(1, 2, 3, missing=True), "22080801100218032801", id="a missing chunk"),
    ],
)
def test_messages_are_upstreams(message: Any, wire: str) -> None:
    """CometBFT v0.38, statesync/messages_test.go, TestStateSyncVectors; the last by the same rules."""
    assert message.encode().hex() == wire
    channel = m.SNAPSHOT_CHANNEL if "Snapshots" in type(message).__name__ else m.CHUNK_CHANNEL
    assert m.decode_state_sync(channel, bytes.fromhex(wire)) == message


def place(height: int = 1, more: bytes = b"") -> bytes:
    return int_field(b"\x08", height) + int_field(b"\x10", 1) + more


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        pytest.param(0x60, b"", id="no kind"),
        pytest.param(0x60, b"\xff", id="no protobuf"),
        pytest.param(0x60, m.ChunkRequest(1, 1, 1).encode(), id="a chunk request among snapshots"),
        pytest.param(0x61, m.SnapshotsRequest().encode(), id="a snapshots request among chunks"),
        pytest.param(0x62, m.SnapshotsRequest().encode(), id="a snapshots request among light blocks"),
        pytest.param(0x61, message_field(b"\x1a", place(0)), id="height 0"),
        pytest.param(0x61, message_field(b"\x1a", place(2**64 - 1)), id="a height without end"),
        pytest.param(0x60, message_field(b"\x12", place(1, b"\x18\x01")), id="a snapshot without a hash"),
        pytest.param(0x60, message_field(b"\x12", place(1, b"\x22\x01x")), id="a snapshot without chunks"),
        pytest.param(
            0x60, message_field(b"\x12", place(1, b"\x18\x01" + bytes_field(b"\x22", bytes(65)))), id="too long a hash"
        ),
        pytest.param(0x61, message_field(b"\x22", place(1, b"\x22\x01x\x28\x01")), id="a missing chunk with bytes"),
        pytest.param(0x60, bytes(4_000_001), id="too large"),
        pytest.param(0x62, message_field(b"\x32", message_field(b"\x0a", b"")), id="an empty light block"),
        pytest.param(0x62, message_field(b"\x2a", b""), id="a light block of height 0"),
    ],
)
def test_what_costs_the_peer(channel: int, data: bytes) -> None:
    with pytest.raises(InvalidData):
        m.decode_state_sync(channel, data)
    server = Server()
    with pytest.raises(PeerFault):
        server.reactor.receive(channel, server.connect(), data)
    assert issubclass(InvalidMessage, InvalidData)


def test_ten_snapshots_are_told_once_a_second() -> None:
    async def scenario(_: Any) -> None:
        server = Server(*[snapshot_of(height) for height in range(35, 15, -1)])
        peer = server.connect()
        for _ in range(3):
            server.reactor.receive(0x60, peer, m.SnapshotsRequest().encode())
        await until(lambda: peer.sent)
        told = server.drain(peer, 0x60)
        assert [it.snapshot.height for it in told] == list(range(35, 25, -1))
        assert peer.useless_by_kind.total() == 2
        await pass_time(1.1)
        server.reactor.receive(0x60, peer, m.SnapshotsRequest().encode())
        await until(lambda: peer.sent)

    simulate(scenario)


def test_chunks_are_served_and_what_is_not_there_is_said_to_be_missing() -> None:
    async def scenario(_: Any) -> None:
        server = Server(GOOD)
        peer = server.connect()
        for request in (m.ChunkRequest(HEIGHT, 1, 2), m.ChunkRequest(HEIGHT, 1, 99), m.ChunkRequest(7, 1, 0)):
            server.reactor.receive(0x61, peer, request.encode())
        await until(lambda: len(peer.sent) == 3)
        assert server.drain(peer, 0x61) == [
            m.ChunkResponse(HEIGHT, 1, 2, b"chunk 2 of 30"),
            m.ChunkResponse(HEIGHT, 1, 99, missing=True),
            m.ChunkResponse(7, 1, 0, missing=True),
        ]

    simulate(scenario)


def test_what_a_peer_asks_is_bounded_and_a_slow_one_is_not_read_for() -> None:
    async def scenario(_: Any) -> None:
        server = Server(GOOD)
        slow, quick = server.connect("a", room=1), server.connect("b")
        for number in range(100):
            server.reactor.receive(0x61, slow, m.ChunkRequest(HEIGHT, 1, number % 12).encode())
        assert slow.useless_by_kind.total() == 100 - ASKED_MAX
        server.reactor.receive(0x61, quick, m.ChunkRequest(HEIGHT, 1, 3).encode())
        await until(lambda: quick.sent)
        await pass_time(5)
        assert len(slow.sent) == 1
        assert server.app.served.total() == 3  # one is in its queue, one waits for room; the quick one's
        for left in range(ASKED_MAX - 1, 0, -1):
            slow.take()
            server.reactor.writable(0x61, slow)
            await until(lambda: slow.sent, what=f"{left} are left")
        assert server.app.served.total() == ASKED_MAX + 1

    simulate(scenario)


def test_what_nobody_asked_for_is_useless() -> None:
    server = Server()
    peer = server.connect()
    server.reactor.receive(0x60, peer, m.SnapshotsResponse(GOOD).encode())
    server.reactor.receive(0x61, peer, m.ChunkResponse(1, 1, 0, b"x").encode())
    server.reactor.receive(0x62, peer, m.LightBlockResponse(CHAIN.blocks[3]).encode())
    assert peer.useless_by_kind.total() == 3


# ------------------------------------------------------------------------------ light blocks


def test_light_blocks_are_served_whole_or_said_to_be_absent() -> None:
    async def scenario(_: Any) -> None:
        server = Server()
        peer = server.connect()
        for height in (9, 10_000):
            server.reactor.receive(0x62, peer, m.LightBlockRequest(height).encode())
        await until(lambda: len(peer.sent) == 2)
        found, absent = server.drain(peer, 0x62)
        assert found.light_block == CHAIN.blocks[9]
        assert found.light_block.validators.encode() == CHAIN.blocks[9].validators.encode()
        assert absent.light_block is None

    simulate(scenario)


def asked(letter: str = "a") -> tuple[PeerLightBlocks, FakePeer]:
    blocks, peer = PeerLightBlocks(), FakePeer(letter * 40, CHANNELS)
    blocks.add_peer(peer)
    return blocks, peer


def test_a_peer_is_asked_one_thing_at_a_time() -> None:
    async def scenario(_: Any) -> None:
        blocks, peer = asked()
        first = asyncio.ensure_future(blocks.ask(peer, 5))
        await until(lambda: peer.sent)
        assert blocks.peers == []
        with pytest.raises(NoReply):
            await blocks.ask(peer, 6)
        blocks.take(peer, CHAIN.blocks[5])
        assert await first == CHAIN.blocks[5]
        assert blocks.peers == [peer]
        absent = asyncio.ensure_future(blocks.ask(peer, 6))
        await asyncio.sleep(0)
        blocks.take(peer, None)
        with pytest.raises(NoLightBlock):
            await absent

    simulate(scenario)


def test_a_light_block_of_another_height_costs_the_peer() -> None:
    async def scenario(_: Any) -> None:
        blocks, peer = asked()
        waiting = asyncio.ensure_future(blocks.ask(peer, 5))
        await until(lambda: peer.sent)
        with pytest.raises(PeerFault):
            blocks.take(peer, CHAIN.blocks[6])
        blocks.remove_peer(peer)
        with pytest.raises(NoReply):
            await waiting

    simulate(scenario)


def test_who_is_late_is_asked_nothing_until_the_late_answer_came() -> None:
    """Else the late one would be taken for the answer to the next question."""

    async def scenario(_: Any) -> None:
        blocks, peer = asked()
        with pytest.raises(NoReply):
            await blocks.ask(peer, 5)
        with pytest.raises(NoReply):
            await blocks.ask(peer, 6)
        blocks.take(peer, CHAIN.blocks[5])
        assert peer.useless_by_kind.total() == 1
        waiting = asyncio.ensure_future(blocks.ask(peer, 6))
        await asyncio.sleep(0)
        blocks.take(peer, CHAIN.blocks[6])
        assert await waiting == CHAIN.blocks[6]
        assert ANSWER_S > 1

    simulate(scenario)


def test_peers_of_another_kind_are_not_asked() -> None:
    blocks, stock = PeerLightBlocks(), FakePeer("a" * 40, frozenset({0x60, 0x61}))
    blocks.add_peer(stock)
    assert blocks.peers == []
