"""Switches on a network in memory and in virtual time: partitions, silence, stale connections, duplicates."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.errors import DialError
from consensus.p2p.memory import MemoryNetwork
from tests.support.p2p.peers import Node, node_key, pass_time, running, simulate, until

PORT = 26656
Clock = Callable[[], int]


def place(name: str, host: str) -> str:
    return f"{node_key(name).id}@{host}:{PORT}"


def make(network: MemoryNetwork, clock: Clock, name: str, host: str, **config: object) -> Node:
    settings = {"listen_address": f"{host}:{PORT}", "redial_first_s": 0.25, **config}
    return Node(name, sockets=network.sockets(host), clock=clock, **settings)


def mesh(network: MemoryNetwork, clock: Clock, names: str) -> list[Node]:
    """Nodes that all have each other as persistent peers."""
    hosts = {name: f"20.0.0.{index + 1}" for index, name in enumerate(names)}
    return [
        make(
            network,
            clock,
            name,
            hosts[name],
            persistent_peers=tuple(place(other, hosts[other]) for other in names if other != name),
        )
        for name in names
    ]


def is_whole(nodes: list[Node]) -> bool:
    return all(len(node.switch.peers) == len(nodes) - 1 for node in nodes)


def test_a_mesh_forms_at_once_and_one_connection_a_pair_stays() -> None:
    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        network.delay_s = lambda: 0.05
        nodes = mesh(network, clock, "abcdef")
        async with running(*nodes):
            await until(lambda: is_whole(nodes), timeout_s=5)
            await pass_time(600)  # and stays as it is
            assert all(node.reactor.removed == [] for node in nodes)
            assert all(len(node.reactor.added) == 5 for node in nodes)

    simulate(scenario)


def test_a_partition_of_hours_heals_within_the_longest_wait() -> None:
    """Failure 23: peers vanish, no redial."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        nodes = mesh(network, clock, "abcd")
        async with running(*nodes):
            await until(lambda: is_whole(nodes))
            for other in ("20.0.0.2", "20.0.0.3", "20.0.0.4"):
                network.cut("20.0.0.1", other)
            await until(lambda: not nodes[0].switch.peers)
            await pass_time(2 * 3600)
            assert all(len(node.switch.peers) == 2 for node in nodes[1:])
            for other in ("20.0.0.2", "20.0.0.3", "20.0.0.4"):
                network.heal("20.0.0.1", other)
            await until(lambda: is_whole(nodes), timeout_s=45)

    simulate(scenario)


def test_a_silent_peer_is_dropped_by_keep_alive_and_redialled() -> None:
    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        a, b = mesh(network, clock, "ab")
        async with running(a, b):
            await until(lambda: is_whole([a, b]))
            await pass_time(300)
            assert a.reactor.removed == []
            network.silence("20.0.0.1", "20.0.0.2")
            await until(lambda: a.reactor.removed and b.reactor.removed, timeout_s=106)
            assert {reason for _, reason in a.reactor.removed} == {"no pong within 45.0 s of a ping"}
            network.heal("20.0.0.1", "20.0.0.2")
            await until(lambda: is_whole([a, b]), timeout_s=45)

    simulate(scenario)


def test_a_peer_that_restarted_replaces_its_stale_connection() -> None:
    """The old process vanished without a word; its new connection must not wait for the keep-alive."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        a = make(network, clock, "a", "20.0.0.1")
        b = make(network, clock, "b", "20.0.0.2")
        async with running(a):
            await b.switch.start()
            await b.switch.dial(parse_address(place("a", "20.0.0.1")))
            await until(lambda: a.switch.is_connected(b.id))
            network.silence("20.0.0.1", "20.0.0.2")
            await b.switch.stop()
            network.heal("20.0.0.1", "20.0.0.2")
            again = make(network, clock, "b", "20.0.0.2", persistent_peers=(place("a", "20.0.0.1"),))
            async with running(again):
                await until(lambda: len(a.reactor.added) == 2, timeout_s=20)
                assert a.reactor.removed == [(b.id, "replaced by a newer connection")]
                again.switch.broadcast(0x20, b"back")
                await until(lambda: a.reactor.received == [(0x20, b.id, b"back")])

    simulate(scenario)


def test_two_nodes_with_one_key_do_not_take_turns() -> None:
    """The peer that talks keeps its connection; a second one with its key is refused."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        a = make(network, clock, "a", "20.0.0.1")
        b = make(network, clock, "b", "20.0.0.2")
        twin = make(network, clock, "b", "20.0.0.3", persistent_peers=(place("a", "20.0.0.1"),))
        async with running(a, b):
            await b.switch.dial(parse_address(place("a", "20.0.0.1")))
            async with running(twin):
                for _ in range(200):
                    b.switch.broadcast(0x20, b"here")
                    await pass_time(1)
                assert not twin.switch.peers
        assert len(a.reactor.added) == 1

    simulate(scenario)


@pytest.mark.parametrize(
    ("settings", "allow"),
    [({}, False), ({"allow_duplicate_ip": True}, True), ({"unconditional_peer_ids": {node_key("c").id}}, True)],
)
def test_one_ip_one_connection_unless_allowed(settings: dict[str, object], allow: bool) -> None:
    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        hub = make(network, clock, "hub", "20.0.0.1", **settings)
        b = make(network, clock, "b", "20.0.0.2")
        c = Node("c", sockets=network.sockets("20.0.0.2"), clock=clock, listen_address="20.0.0.2:7")
        async with running(hub, b, c):
            address = parse_address(place("hub", "20.0.0.1"))
            await b.switch.dial(address)
            if allow:
                await c.switch.dial(address)
                await until(lambda: len(hub.switch.peers) == 2)
            else:
                with pytest.raises(DialError):
                    await c.switch.dial(address)
                assert hub.switch.counters["refused"] == 1

    simulate(scenario)


def test_back_off_grows_to_its_limit_and_no_further() -> None:
    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        a = make(network, clock, "a", "20.0.0.1", persistent_peers=(place("b", "20.0.0.2"),))
        async with running(a):
            await pass_time(3600)
            dialed = a.switch.counters["dialed"]
            assert 3600 / 37.5 <= dialed <= 3600 / 22.5 + 10
            async with running(make(network, clock, "b", "20.0.0.2")):
                await until(lambda: a.switch.peers, timeout_s=40)

    simulate(scenario)
