"""Hostile peers on real sockets: each is held to its budget or dropped, and the honest ones go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from consensus.p2p import switch
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.base import ChannelDescriptor, Peer
from consensus.p2p.conn.budget import BudgetConfig
from consensus.p2p.conn.connection import ConnectionConfig
from consensus.p2p.conn.packets import PING, packet_prefix
from consensus.p2p.conn.peer import STALLED_S
from consensus.p2p.memory import MemoryNetwork
from tests.support.p2p.peers import DATA, STATE, VOTE, Node, pass_time, running, simulate, until

FAST = ConnectionConfig(send_rate=0, receive_rate=0)
BLOCKS = ChannelDescriptor(0x40, "block sync", 5, 1_000, 104_857_605, unasked_bytes_max=4_096)
ALL = (STATE, DATA, VOTE, BLOCKS)


def packet(channel: int, data: bytes, *, eof: bool) -> bytes:
    return packet_prefix(channel, len(data), eof) + data


async def flood_with(data: bytes, node: Node, hostile: Node) -> None:
    """Connect, and write `data` over and over until the node has enough of it."""
    peer = await hostile.switch.dial(parse_address(node.address))
    loop = asyncio.get_running_loop()
    ends = loop.time() + 20
    while not peer.gone.is_set() and loop.time() < ends:
        peer.link.write_stream(data)
        await asyncio.sleep(0)
    assert peer.gone.is_set()


@pytest.mark.parametrize("data", [PING * 500, packet(0x22, b"", eof=False) * 500], ids=["pings", "empty packets"])
async def test_whoever_sends_too_much_of_no_use_is_dropped_and_kept_away(data: bytes) -> None:
    """audit 10: pings and empty packets cost 0.8 to 1.9 cores, and nobody was dropped for them."""
    node, hostile, honest = Node("node", connection=FAST), Node("hostile", connection=FAST), Node("honest")
    async with running(node, hostile, honest):
        friend = await honest.switch.dial(parse_address(node.address))
        await flood_with(data, node, hostile)
        await until(lambda: node.switch.bans.left_s(hostile.id) > 0)
        assert node.switch.counters["over_budget"] == 1
        assert not friend.gone.is_set()
        assert node.switch.bans.left_s(honest.id) == 0


async def test_a_named_peer_is_dropped_and_comes_back() -> None:
    """audit 10: a slip of ours must not cut a validator off its network."""
    hostile = Node("hostile", connection=FAST)
    node = Node("node", connection=FAST, unconditional_peer_ids=frozenset({hostile.id}))
    async with running(node, hostile):
        await flood_with(PING * 500, node, hostile)
        await until(lambda: not node.switch.peers)
        assert node.switch.bans.left_s(hostile.id) == 0
        assert await hostile.switch.dial(parse_address(node.address)) is not None


async def test_nobody_begins_what_was_not_asked_for() -> None:
    """audit 8: 100 MB on channel 0x40, from whoever liked."""
    node, hostile = Node("node", channels=ALL, connection=FAST), Node("hostile", channels=ALL, connection=FAST)
    async with running(node, hostile):
        peer = await hostile.switch.dial(parse_address(node.address))
        for _ in range(5):
            peer.link.write_stream(packet(0x40, bytes(1_000), eof=False))
        await until(peer.gone.is_set)
        assert node.switch.unfinished_bytes == 0
        again = await hostile.switch.dial(parse_address(node.address))
        await until(lambda: node.switch.peers)
        node.switch.peers[0].expect(0x40, 200_000, 60.0)
        assert again.try_send(0x40, bytes(150_000))
        await until(lambda: node.reactor.received)
        assert len(node.reactor.received[0][2]) == 150_000


async def test_memory_of_all_unfinished_messages_has_a_bound_and_the_worst_goes() -> None:
    """audit 8"""
    budget = BudgetConfig(unfinished_total_bytes_max=300_000)
    node = Node("node", connection=FAST, budget=budget, allow_duplicate_ip=True)
    hostile = [Node(f"hostile{number}", connection=FAST) for number in range(4)]
    honest = Node("honest", connection=FAST)
    async with running(node, honest, *hostile):
        friend = await honest.switch.dial(parse_address(node.address))
        friend.link.write_stream(packet(0x21, bytes(1_000), eof=False))
        peers = [await one.switch.dial(parse_address(node.address)) for one in hostile]
        for _ in range(100):
            for peer in peers:
                peer.link.write_stream(packet(0x21, bytes(1_000), eof=False))
            await asyncio.sleep(0)
            assert node.switch.unfinished_bytes <= 302_000
        await until(lambda: sum(peer.gone.is_set() for peer in peers) >= 1)
        friend.link.write_stream(packet(0x21, b"", eof=True))
        await until(lambda: node.reactor.received)
        assert len(node.reactor.received[0][2]) == 1_000
        assert not friend.gone.is_set()


async def test_answers_that_do_not_end_are_dropped_and_who_brought_something_is_not() -> None:
    """audit 8: what was asked for had no total. Who goes gave no offence: a slow line looks like that."""
    budget = BudgetConfig(asked_total_bytes_max=200_000)
    node = Node("node", channels=ALL, connection=FAST, budget=budget)
    liars = [Node(f"liar{number}", channels=ALL, connection=FAST) for number in range(3)]
    honest = Node("honest", channels=ALL, connection=FAST)
    async with running(node, honest, *liars):
        friend = await honest.switch.dial(parse_address(node.address))
        peers = [await one.switch.dial(parse_address(node.address)) for one in liars]
        await until(lambda: len(node.switch.peers) == 4)
        for peer in node.switch.peers:
            peer.expect(0x40, 400_000, 60.0)
            if peer.id == honest.id:
                peer.useful()
        for one in (friend, *peers):  # the honest one began first, and takes as long as the others
            for _ in range(80):
                one.link.write_stream(packet(0x40, bytes(1_000), eof=False))
            await asyncio.sleep(0)
        await until(lambda: any(peer.gone.is_set() for peer in peers))
        friend.link.write_stream(packet(0x40, b"", eof=True))
        await until(lambda: node.reactor.received)
        assert len(node.reactor.received[0][2]) == 80_000
        assert not friend.gone.is_set()
        assert not any(node.switch.bans.left_s(one.id) for one in (honest, *liars))


def test_who_leaves_an_answer_unfinished_goes_before_a_newcomer_that_was_of_no_use_yet() -> None:
    """audit 8: who was of use once could fill what all have for answers, and each honest newcomer went for it."""

    async def scenario(clock: Callable[[], int]) -> None:
        network, budget = MemoryNetwork(), BudgetConfig(asked_total_bytes_max=200_000)
        node, liar, honest = (
            Node(name, sockets=network.sockets(host), clock=clock, channels=ALL, connection=FAST, budget=budget,
                 listen_address=f"{host}:26656")
            for name, host in (("node", "10.0.0.1"), ("liar", "10.0.0.2"), ("honest", "10.0.0.3"))
        )  # fmt: skip
        async with running(node, liar, honest):
            place = parse_address(f"{node.id}@10.0.0.1:26656")
            stalling = await liar.switch.dial(place)
            await until(lambda: node.switch.peers)
            node.switch.peers[0].useful()
            node.switch.peers[0].expect(0x40, 400_000, 300.0)
            stalling.link.write_stream(packet(0x40, bytes(1_000), eof=False) * 150)
            await pass_time(STALLED_S + 1)
            newcomer = await honest.switch.dial(place)
            await until(lambda: len(node.switch.peers) == 2)
            node.switch.peers[1].expect(0x40, 400_000, 300.0)
            newcomer.link.write_stream(packet(0x40, bytes(1_000), eof=False) * 80)
            await until(lambda: node.switch.counters["over_budget"])
            newcomer.link.write_stream(packet(0x40, b"", eof=True))
            await until(lambda: node.reactor.received)
            assert stalling.gone.is_set() or stalling.link.is_closed
            assert not newcomer.gone.is_set()
            assert not node.switch.bans.left_s(liar.id), "a slow line looks like that"

    simulate(scenario)


async def test_a_reader_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 8: it sends pongs, so it is not silent; what waits for it is memory of ours."""
    monkeypatch.setattr(switch, "SWEEP_S", 0.05)
    monkeypatch.setattr(switch, "STUCK_S", 0.5)
    node, deaf = Node("node", connection=FAST), Node("deaf", connection=FAST)
    async with running(node, deaf):
        peer = await deaf.switch.dial(parse_address(node.address))
        peer.link.pause_reading()
        await until(lambda: node.switch.peers)
        ours = node.switch.peers[0]

        def is_gone() -> bool:
            while ours.try_send(0x21, bytes(1_000_000)):
                pass
            return ours.gone.is_set()

        await until(is_gone, timeout_s=20)
        assert node.switch.counters["stuck_readers"] == 1
        assert node.switch.bans.left_s(deaf.id) == 0, "a bad line does that too"


async def test_an_honest_peer_is_heard_while_others_flood() -> None:
    """audit 10: eight floods of messages that cost a little each; the node answers an honest peer all the same."""
    node = Node("node", connection=FAST, allow_duplicate_ip=True)
    hostile = [Node(f"hostile{number}", connection=FAST) for number in range(8)]
    honest = Node("honest", connection=FAST)

    def answer(channel_id: int, peer: Peer, message: bytes) -> None:
        if message == b"honest":
            assert peer.try_send(VOTE.id, b"echo")
        else:
            sum(range(300))

    node.reactor.on_receive = answer
    async with running(node, honest, *hostile):
        friend = await honest.switch.dial(parse_address(node.address))
        peers = [await one.switch.dial(parse_address(node.address)) for one in hostile]
        junk = packet(0x22, b"junk", eof=True) * 2_000

        def answered(count: int) -> bool:
            return len(honest.reactor.received) >= count

        for number in range(1, 51):
            for peer in peers:
                peer.link.write_stream(junk)
            assert friend.try_send(VOTE.id, b"honest")
            await until(partial(answered, number), timeout_s=20)
            node.reactor.received.clear()
        assert not friend.gone.is_set()
        shares = node.switch.peers
        assert sum(peer.budget.held_s > 0 for peer in shares if peer.id != honest.id) >= 1


async def test_who_sends_what_we_asked_for_is_not_dropped_for_the_memory_of_others() -> None:
    """audit 8: the peer that held most went, and what we had asked it for counted: a block's sender was banned."""
    budget = BudgetConfig(unfinished_total_bytes_max=200_000)
    node = Node("node", channels=ALL, connection=FAST, budget=budget)
    hostile = [Node(f"hostile{number}", channels=ALL, connection=FAST) for number in range(4)]
    honest = Node("honest", channels=ALL, connection=FAST)
    async with running(node, honest, *hostile):
        friend = await honest.switch.dial(parse_address(node.address))
        await until(lambda: node.switch.peers)
        node.switch.peers[0].expect(0x40, 400_000, 60.0)
        peers = [await one.switch.dial(parse_address(node.address)) for one in hostile]
        for _ in range(200):
            friend.link.write_stream(packet(0x40, bytes(1_000), eof=False))
        await until(lambda: node.switch.peers[0].budget.unfinished_bytes == 200_000)
        for _ in range(100):
            for peer in peers:
                peer.link.write_stream(packet(0x21, bytes(1_000), eof=False))
            await asyncio.sleep(0)
        await until(lambda: node.switch.counters["over_budget"])
        await until(lambda: any(peer.gone.is_set() for peer in peers))
        friend.link.write_stream(packet(0x40, b"", eof=True))
        await until(lambda: node.reactor.received)
        assert len(node.reactor.received[0][2]) == 200_000
        assert not friend.gone.is_set()
        assert node.switch.bans.left_s(honest.id) == 0
