"""Switches over real loopback sockets: exchange, reconnection, bans, limits, duplicates, faults, stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest
import uvloop
from structlog.testing import capture_logs

from consensus.p2p.conn import secret_connection
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.base import Peer, PeerFault
from consensus.p2p.conn.errors import AlreadyConnected, DialError, Rejected
from consensus.p2p.conn.secret_connection import ephemeral_public
from consensus.p2p.memory import MemoryNetwork
from tests.support.p2p.peers import DATA, OURS, STATE, VOTE, Node, running, simulate, until


async def connect(a: Node, b: Node) -> None:
    await a.switch.dial(parse_address(b.address))
    await until(lambda: b.switch.is_connected(a.id))


async def test_messages_of_all_sizes_arrive_in_order() -> None:
    a, b = Node("a"), Node("b")
    sizes = [0, 1, 1023, 1024, 1025, 2048, 70_000, 1_048_576]
    async with running(a, b):
        await connect(a, b)
        (peer,) = a.switch.peers
        for size in sizes:
            assert peer.try_send(0x21, bytes([size % 251]) * size)
        assert b.switch.peers[0].try_send(0x20, b"back")
        await until(lambda: len(b.reactor.received) == len(sizes) and a.reactor.received)
        assert b.reactor.received == [(0x21, a.id, bytes([size % 251]) * size) for size in sizes]
        assert a.reactor.received == [(0x20, b.id, b"back")]
        assert a.switch.traffic()["out", 0x21] == b.switch.traffic()["in", 0x21] > sum(sizes)
        assert b.switch.socket_bytes()["in"] > sum(sizes)
    assert a.reactor.removed[0][0] == b.id
    assert a.switch.traffic()["out", 0x21] > sum(sizes)  # kept after the peer is gone


async def test_the_extra_channel_tells_our_own_nodes() -> None:
    a, b, c = Node("a", channels=(STATE, OURS)), Node("b", channels=(STATE, OURS)), Node("c", channels=(STATE,))
    async with running(a, b, c):
        await connect(a, b)
        await connect(a, c)
        assert a.switch.node_info.channels == b"\x20\x70"
        own, other = a.switch.peer(b.id), a.switch.peer(c.id)
        assert own is not None
        assert other is not None
        assert own.has_channel(0x70)
        assert not other.has_channel(0x70)
        assert own.try_send(0x70, b"x")
        assert not other.try_send(0x70, b"x")
        a.switch.broadcast(0x20, b"all")
        await until(lambda: c.reactor.received and len(b.reactor.received) == 2)
        assert sorted(b.reactor.received) == [(0x20, a.id, b"all"), (0x70, a.id, b"x")]


async def test_a_full_queue_refuses_and_says_when_there_is_room() -> None:
    a, b = Node("a"), Node("b")
    async with running(a, b):
        await connect(a, b)
        (peer,) = a.switch.peers
        for _ in range(100):
            assert peer.try_send(0x22, b"vote")
        assert peer.queue_room(0x22) == 0
        assert not peer.try_send(0x22, b"one too many")
        assert peer.queue_room(0x20) == 100
        await until(lambda: a.reactor.writable_calls)
        assert a.reactor.writable_calls == [(0x22, b.id)]
        assert peer.queue_room(0x22) == 100
        await until(lambda: len(b.reactor.received) == 100)


async def test_a_killed_persistent_peer_is_redialled_until_it_is_back() -> None:
    """Failure 23: peers vanish, no redial."""
    b = Node("b")
    await b.switch.start()
    address = b.address
    a = Node("a", persistent_peers=(address,), redial_max_s=0.05)
    async with running(a):
        await until(lambda: a.switch.is_connected(b.id))
        assert a.switch.peers[0].is_persistent
        await b.switch.stop()
        await until(lambda: not a.switch.peers)
        tried = a.switch.counters["dialed"]
        await until(lambda: a.switch.counters["dialed"] > tried + 5)
        again = Node("b", listen_address=address.split("@")[1])
        async with running(again):
            await until(lambda: a.switch.is_connected(b.id))
    assert len(a.reactor.added) == 2


async def test_a_persistent_peer_can_be_added_while_running() -> None:
    a, b = Node("a", redial_max_s=0.05), Node("b")
    async with running(a, b):
        a.switch.add_persistent_peer(parse_address(b.address))
        await until(lambda: a.switch.is_connected(b.id))
        assert a.switch.peers[0].is_persistent
        b.switch.drop_peer(b.switch.peers[0], "try again")
        await until(lambda: len(a.reactor.added) == 2)


async def test_both_dial_at_once_and_one_connection_stays() -> None:
    nodes = [Node(name) for name in "abcd"]
    async with running(*nodes):
        for _ in range(5):
            dials = [n.switch.dial(parse_address(m.address)) for n in nodes for m in nodes if n is not m]
            results = await asyncio.gather(*dials, return_exceptions=True)
            assert all(not isinstance(r, Exception) or isinstance(r, AlreadyConnected | DialError) for r in results)
            await until(lambda: all(len(n.switch.peers) == 3 for n in nodes))
            for n in nodes:
                n.reactor.received.clear()
            for n in nodes:
                n.switch.broadcast(0x20, n.id.encode())
            await until(lambda: all(len(n.reactor.received) == 3 for n in nodes))
            for n in nodes:
                for peer in n.switch.peers:
                    n.switch.drop_peer(peer, "next round")
            await until(lambda: all(not n.switch.peers for n in nodes))


def test_an_id_announced_at_a_tarpit_still_gets_in_itself() -> None:
    """audit 14: while we dialed it where somebody had said it was, the id itself was "being connected already"."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        hub = Node("hub", sockets=network.sockets("20.0.0.1"), clock=clock, listen_address="20.0.0.1:7")
        honest = Node("honest", sockets=network.sockets("20.0.0.2"), clock=clock, listen_address="")
        tarpit = await network.sockets("20.0.0.3").listen(asyncio.Protocol, "20.0.0.3", 7)
        async with running(hub, honest):
            assert hub.id < honest.id, "else the honest one's call counts anyway"
            wrong = asyncio.create_task(hub.switch.dial(parse_address(f"{honest.id}@20.0.0.3:7")))
            await until(lambda: hub.switch.outbound_count == 1)
            await honest.switch.dial(parse_address(f"{hub.id}@20.0.0.1:7"))
            await until(lambda: hub.switch.is_connected(honest.id))
            with pytest.raises(AlreadyConnected, match="from another address"):
                await wrong
            assert hub.switch.outbound_count == 0
        tarpit.close()

    simulate(scenario)


async def test_an_address_without_id_is_pinned_to_the_id_first_seen() -> None:
    b = Node("b")
    await b.switch.start()
    place = f"/ip4/127.0.0.1/tcp/{b.switch.listen_port}"
    a = Node("a", persistent_peers=(place,), redial_max_s=0.05)
    async with running(a):
        await until(lambda: a.switch.is_connected(b.id))
        port = b.switch.listen_port
        assert a.switch.pins == {f"127.0.0.1:{port}": b.id}
        assert a.switch.peers[0].is_persistent
        await b.switch.stop()
        await until(lambda: not a.switch.peers)
        async with running(Node("mallory", listen_address=f"127.0.0.1:{port}")):
            failed = a.switch.counters["handshake_failed"]
            await until(lambda: a.switch.counters["handshake_failed"] > failed)
            with pytest.raises(DialError, match="answered"):
                while True:  # the keeper's own dial may be under way
                    try:
                        await a.switch.dial(parse_address(place, id_required=False))
                    except AlreadyConnected:
                        await asyncio.sleep(0.002)
        assert not a.switch.peers


async def test_the_dialed_id_must_answer() -> None:
    a, b = Node("a"), Node("b")
    async with running(a, b):
        wrong = parse_address(f"{Node('c').id}@127.0.0.1:{b.switch.listen_port}")
        with pytest.raises(DialError, match=f"dialed .* but {b.id} answered"):
            await a.switch.dial(wrong)
        with pytest.raises(Rejected, match="ourselves"):
            await a.switch.dial(parse_address(a.address))
        with pytest.raises(DialError, match="ourselves"):
            await a.switch.dial(parse_address(f"127.0.0.1:{a.switch.listen_port}", id_required=False))
        await connect(a, b)
        with pytest.raises(AlreadyConnected):
            await a.switch.dial(parse_address(b.address))


async def test_another_network_and_no_common_channel_are_refused() -> None:
    a, b, c = Node("a"), Node("b", network="another"), Node("c", channels=(OURS,))
    async with running(a, b, c):
        with pytest.raises(DialError, match="network is 'another', expected 'p2p-test'"):
            await a.switch.dial(parse_address(b.address))
        with pytest.raises(DialError, match="no channel"):
            await a.switch.dial(parse_address(c.address))
        assert not a.switch.peers


async def test_who_is_of_another_chain_is_told_once_and_forgotten_when_it_joins() -> None:
    """Also by the one that was dialed, as soon as it was heard by it before the other one cut the line."""
    a, b = Node("a", genesis_hash=b"\x01a"), Node("of another", genesis_hash=b"\x01b")
    again = Node("of another", genesis_hash=b"\x01a")
    with capture_logs() as lines:
        async with running(a, b):
            while b.id not in str(a.switch.foreign_chains) or a.id not in str(b.switch.foreign_chains):
                with pytest.raises(DialError):
                    await b.switch.dial(parse_address(a.address))
            assert f"1 did not become a peer, last {b.id}: " in str(a.switch.foreign_chains)
            assert not a.switch.peers
            await b.switch.stop()
            async with running(again):
                await connect(a, again)
                assert str(a.switch.foreign_chains) == ""
    told = [line for line in lines if line["event"] == "a node of another chain did not become a peer"]
    assert [line["peer"] for line in told if line["peer"] == b.id] == [b.id], lines


async def test_a_fault_drops_and_bans_until_the_ban_ends() -> None:
    now = [1_000_000_000_000]
    a, b = Node("a", clock=lambda: now[0]), Node("b")

    def refuse(channel_id: int, peer: Peer, message: bytes) -> None:
        raise PeerFault("no such thing", ban_s=60)

    a.reactor.on_receive = refuse
    async with running(a, b):
        await connect(b, a)
        b.switch.peers[0].try_send(0x20, b"bad")
        await until(lambda: a.reactor.removed and not b.switch.peers)
        assert a.reactor.removed == [(b.id, "broke the protocol: no such thing")]
        with pytest.raises(DialError):
            await b.switch.dial(parse_address(a.address))
        with pytest.raises(Rejected, match="banned for another 60 s"):
            await a.switch.dial(parse_address(b.address))
        now[0] += 60 * 10**9
        await connect(a, b)


async def test_a_peer_that_the_operator_named_is_dropped_and_not_banned() -> None:
    b = Node("b")
    async with running(b):
        a = Node("a", unconditional_peer_ids=frozenset({b.id}))
        faults = iter([PeerFault("a slip", ban_s=86_400)])

        def refuse_once(channel_id: int, peer: Peer, message: bytes) -> None:
            for fault in faults:
                raise fault

        a.reactor.on_receive = refuse_once
        async with running(a):
            await connect(b, a)
            b.switch.peers[0].try_send(0x20, b"bad")
            await until(lambda: a.reactor.removed and not b.switch.peers)
            await connect(b, a)
            assert a.switch.counters["named_faults"] == 1


async def test_a_reactor_that_fails_costs_the_peer_only() -> None:
    a, b, c = Node("a"), Node("b"), Node("c")

    def fail(channel_id: int, peer: Peer, message: bytes) -> None:
        if message == b"boom":
            raise KeyError("a bug of ours")

    a.reactor.on_receive = fail
    async with running(a, b, c):
        await connect(b, a)
        await connect(c, a)
        b.switch.peers[0].try_send(0x20, b"boom")
        await until(lambda: len(a.switch.peers) == 1)
        assert a.switch.counters["reactor_failed"] == 1
        c.switch.peers[0].try_send(0x20, b"fine")
        await until(lambda: (0x20, c.id, b"fine") in a.reactor.received)


async def test_a_reactor_may_refuse_a_peer_when_it_comes() -> None:
    a, b = Node("a"), Node("b")

    def refuse(peer: Peer) -> None:
        raise PeerFault("not you")

    a.reactor.on_add = refuse
    async with running(a, b):
        with pytest.raises(DialError, match="not you"):
            await a.switch.dial(parse_address(b.address))
        await until(lambda: not a.switch.peers and not b.switch.peers)


async def test_inbound_and_total_limits_spare_unconditional_and_persistent_peers() -> None:
    one, two, three, four = Node("1"), Node("2"), Node("3"), Node("4")
    async with running(one, two, three, four):
        await check_limits(one, two, three, four)


async def check_limits(one: Node, two: Node, three: Node, four: Node) -> None:
    hub = Node(
        "hub",
        max_inbound_peers=1,
        max_peers=2,
        unconditional_peer_ids=frozenset({three.id}),
        persistent_peers=(four.address,),
    )
    async with running(hub):
        await until(lambda: hub.switch.is_connected(four.id))
        await connect(one, hub)
        with pytest.raises(DialError):
            await two.switch.dial(parse_address(hub.address))
        await connect(three, hub)
        assert hub.switch.inbound_count == 2
        await connect(hub, two)  # outbound: the second that counts
        five = Node("5")
        async with running(five):
            with pytest.raises(Rejected, match="max_peers"):
                await hub.switch.dial(parse_address(five.address))
        assert {p.id for p in hub.switch.peers} == {one.id, two.id, three.id, four.id}


async def test_filters_refuse_by_address_and_by_id() -> None:
    a, b = Node("a"), Node("b")

    def nobody(host: str, port: int) -> None:
        raise Rejected(f"{host} is on the list")

    async with running(a, b):
        a.switch.connection_filters.append(nobody)
        with pytest.raises(DialError):
            await b.switch.dial(parse_address(a.address))
        with pytest.raises(DialError, match="on the list"):
            await a.switch.dial(parse_address(b.address))
        a.switch.connection_filters.clear()

        def no_b(info: object) -> None:
            raise Rejected("not b")

        a.switch.peer_filters.append(no_b)
        with pytest.raises(DialError, match="not b"):
            await a.switch.dial(parse_address(b.address))
        assert a.switch.counters["refused"] >= 2


async def test_silent_connections_are_cut_by_deadline_and_bounded_in_number() -> None:
    """CVE-2020-5303: unlimited inbound connections."""
    a = Node("a", phase_timeout_s=0.3, unauthenticated_max=8, unauthenticated_per_ip_max=5, accepts_per_ip_per_s=1000)
    b = Node("b")
    async with running(a, b):
        port = a.switch.listen_port
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        await until(lambda: a.switch.counters["refused"] == 7)
        await until(lambda: a.switch.counters["handshake_failed"] == 5)
        await connect(b, a)
        for _, writer in silent:
            writer.close()


async def test_no_key_is_made_for_a_connection_that_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 12: every connection cost a key pair, also one that the gate refused in the same turn."""
    made: list[bytes] = []

    def make(private: bytes) -> bytes:
        made.append(private)
        return ephemeral_public(private)

    monkeypatch.setattr(secret_connection, "ephemeral_public", make)
    a = Node("a", unauthenticated_per_ip_max=2, accepts_per_ip_per_s=1000)
    async with running(a):
        port = a.switch.listen_port
        writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(20)]
        await until(lambda: a.switch.counters["refused"] == 18)
        assert len(made) == 2
        for writer in writers:
            writer.close()


async def test_stop_writes_out_what_is_queued_and_leaves_no_task() -> None:
    a, b = Node("a"), Node("b", persistent_peers=("127.0.0.1:1",))
    before = asyncio.all_tasks()
    async with running(a, b):
        await connect(a, b)
        for index in range(100):
            assert a.switch.peers[0].try_send(0x22, b"%d" % index)
        await a.switch.stop()
        await until(lambda: b.reactor.removed)
        assert [m for _, _, m in b.reactor.received] == [b"%d" % index for index in range(100)]
        assert a.reactor.removed == [(b.id, "we stop")]
    assert asyncio.all_tasks() == before


async def test_a_taken_port_is_an_error_at_start() -> None:
    a = Node("a")
    async with running(a):
        b = Node("b", listen_address=f"127.0.0.1:{a.switch.listen_port}")
        with pytest.raises(OSError, match="in use"):
            await b.switch.start()


async def test_priorities_share_the_wire_and_a_vote_passes_a_block() -> None:
    a, b = Node("a"), Node("b")
    async with running(a, b):
        await connect(a, b)
        (peer,) = a.switch.peers
        for _ in range(3):
            assert peer.try_send(DATA.id, bytes(1_000_000))
        assert peer.try_send(VOTE.id, b"vote")
        await until(lambda: len(b.reactor.received) == 4)
        assert b.reactor.received[0] == (VOTE.id, a.id, b"vote")


@pytest.mark.parametrize(
    "scenario",
    [
        test_messages_of_all_sizes_arrive_in_order,
        test_a_full_queue_refuses_and_says_when_there_is_room,
        test_a_killed_persistent_peer_is_redialled_until_it_is_back,
        test_both_dial_at_once_and_one_connection_stays,
        test_a_fault_drops_and_bans_until_the_ban_ends,
        test_silent_connections_are_cut_by_deadline_and_bounded_in_number,
        test_stop_writes_out_what_is_queued_and_leaves_no_task,
        test_priorities_share_the_wire_and_a_vote_passes_a_block,
    ],
)
def test_the_same_on_uvloop(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """The product runs on uvloop, the tests above on asyncio's own loop."""
    uvloop.run(scenario())


async def test_names_and_limits_of_peers_change_while_it_runs() -> None:
    """SIGHUP: who is named from now on is dialed and never turned away; who is not any more is not redialed."""
    a, b, c = Node("a"), Node("b"), Node("c")
    async with running(a, b, c):
        a.switch.change(replace(a.switch.config, persistent_peers=(b.address,), max_peers=0))
        await until(lambda: a.switch.is_connected(b.id))
        with pytest.raises(DialError):
            await c.switch.dial(parse_address(a.address))
        a.switch.change(replace(a.switch.config, persistent_peers=(), max_peers=5))
        a.switch.change(replace(a.switch.config, persistent_peers=(c.address,)))
        await until(lambda: a.switch.is_connected(c.id))
        assert a.switch.is_connected(b.id)  # nobody who is here has to go
        (there,) = (peer for peer in b.switch.peers if peer.id == a.id)
        b.switch.release_peer(there, "bye")
        await until(lambda: not a.switch.is_connected(b.id) and len(a.switch._keeping._kept) == 1)
        assert not a.switch.is_connected(b.id)
