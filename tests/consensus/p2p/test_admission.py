"""The gate: what connections cost that have proved nothing, per host, per IPv6 /64, over all; named hosts apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.p2p.admission import GATE_HOSTS_MAX, HANDSHAKE_S, KNOWN_HOSTS_MAX, Gate
from consensus.p2p.conn.address import host_group, parse_address
from consensus.p2p.conn.errors import DialError, Rejected
from consensus.p2p.memory import MemoryNetwork
from tests.support.p2p.peers import Node, node_key, pass_time, running, simulate, until


class Bench:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.gate: Gate[int] = Gate(total_max=64, per_host_max=16, per_host_per_s=20, per_s=60, time_s=lambda: self.now)
        self.entered: list[int] = []
        self.gone: list[int] = []

    def enters(self, host: str) -> bool:
        entrant = len(self.entered)
        try:
            victim = self.gate.enter(host, entrant)
        except Rejected:
            return False
        self.entered.append(entrant)
        if victim is not None:
            self.gone.append(victim)
        return True

    def rush(self, hosts: list[str], *, stay: bool = False) -> int:
        """How many come in."""
        entered = 0
        for host in hosts:
            if self.enters(host):
                entered += 1
                if not stay:
                    self.gate.leave(self.entered[-1])
        return entered


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1:2:3:4%eth0", "fe80::/64"),
        ("localhost", "localhost"),
    ],
)
def test_groups(host: str, group: str) -> None:
    assert host_group(host) == group


@pytest.mark.parametrize(
    ("hosts", "entered"),
    [
        pytest.param(["10.0.0.1"] * 1_000, 20, id="one host"),
        pytest.param([f"2001:db8::{number:x}" for number in range(1_000)], 20, id="one /64, a thousand addresses"),
        pytest.param([f"10.0.{n // 250}.{n % 250}" for n in range(1_000)], 60, id="a thousand hosts"),
    ],
)
def test_handshakes_in_a_second(hosts: list[str], entered: int) -> None:
    """audit 12: there was no rate over all, and an IPv6 /64 was as many hosts as one liked."""
    bench = Bench()
    assert bench.rush(hosts) == entered
    bench.now += 1
    assert bench.rush(hosts) == entered


def test_half_open_connections_have_a_bound_that_a_named_hosts_pass() -> None:
    """audit 12: a flood from everywhere does not keep a validator out."""
    bench = Bench()
    bench.gate.add_known("10.9.9.9")
    for second in range(10):
        bench.now += 1
        bench.rush([f"10.{second}.0.{number}" for number in range(250)], stay=True)
    assert bench.gate.unauthenticated == 64
    assert bench.rush(["10.8.8.8"]) == 0
    assert bench.rush(["10.9.9.9"] * 100) == 20
    assert bench.gate.unauthenticated == 64


@pytest.mark.parametrize("hosts", [4, 20, 60])
def test_a_few_hosts_do_not_keep_other_strangers_out(hosts: int) -> None:
    """audit 12: four addresses with sixteen half-open connections each held all the room for strangers for ever."""
    bench = Bench()
    for second in range(30):
        bench.now += 1
        for number in range(1_000):
            bench.enters(f"10.0.0.{number % hosts}")
        if second > 5:
            assert bench.enters(f"20.0.0.{second}"), second
            mine = bench.entered[-1]
            for number in range(1_000):
                bench.enters(f"10.0.0.{number % hosts}")
            assert mine not in bench.gone
            bench.gate.leave(mine)
    assert bench.gate.unauthenticated <= 64


@pytest.mark.parametrize(("stayed_s", "enters"), [(0.0, False), (4.9, False), (5.0, True)])
def test_who_was_here_for_a_while_comes_back_through_a_flood_from_many_hosts(stayed_s: float, enters: bool) -> None:
    """The honest stranger of a flood's first second had no better chance than the flood, and that was none."""
    bench = Bench()
    assert bench.enters("20.0.0.1")
    bench.gate.leave(bench.entered[-1])  # it proved its id, stayed, and went
    for _ in range(3):
        bench.now += 1
        bench.rush([f"10.0.0.{number}" for number in range(120)])
    bench.gate.peer_left("20.0.0.1", connected_s=stayed_s)
    bench.now += 1
    bench.rush([f"10.0.0.{number}" for number in range(120)])
    assert bench.enters("20.0.0.1") is enters


def test_an_ipv6_network_counts_as_one_where_strangers_compete() -> None:
    bench = Bench()
    for second in range(30):
        bench.now += 1
        for number in range(1_000):
            bench.enters(f"2001:470:{second:x}:{number:x}::1")
        if second > 1:
            assert bench.enters(f"20.0.0.{second}"), second


def test_ipv4_counts_by_address_on_a_socket_of_both_kinds() -> None:
    bench = Bench()
    assert bench.rush([f"::ffff:10.0.0.{number}" for number in range(100)]) == 60


def test_a_host_whose_strangers_have_to_wait_costs_few_handshakes() -> None:
    """One host with many ids: each try cost a handshake, twenty a second, also while none of them could get in."""
    bench = Bench()
    bench.gate.add_known("10.9.9.9")
    for host, allowed in (("10.0.0.1", 2), ("10.9.9.9", 20)):
        entered = 0
        for number in range(1_000):
            try:
                bench.gate.enter(host, number, is_held=True)
            except Rejected:
                continue
            bench.gate.leave(number)
            entered += 1
        assert entered == allowed, host


def test_a_neighbour_that_opens_and_waits_leaves_room_at_the_same_address() -> None:
    bench = Bench()
    assert bench.rush(["10.0.0.1"] * 16, stay=True) == 16
    assert not bench.enters("10.0.0.1"), "a handshake is given its time"
    bench.now += HANDSHAKE_S
    assert bench.enters("10.0.0.1")
    assert bench.gone == [0]
    assert bench.gate.unauthenticated == 16


def test_what_is_remembered_is_bounded() -> None:
    bench = Bench()
    for number in range(3 * GATE_HOSTS_MAX):
        bench.gate.add_known(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        bench.rush([f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"])
    assert len(bench.gate.known) == KNOWN_HOSTS_MAX
    assert len(bench.gate._accepted) <= GATE_HOSTS_MAX
    assert len(bench.gate._seen_s) <= GATE_HOSTS_MAX
    assert not bench.gate._open
    assert not bench.gate._strangers


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        pytest.param("20.0.0.2", 1, id="one stranger of an address"),
        pytest.param("2001:470:1:2::{:x}", 1, id="one of an IPv6 /64"),
        pytest.param("127.0.0.1", 8, id="eight of this machine"),
        pytest.param("::ffff:127.0.0.1", 8, id="eight of this machine, on a socket of both kinds"),
    ],
)
def test_strangers_of_one_address(host: str, allowed: int) -> None:
    """audit 12: `allow_duplicate_ip` was on, and loopback always exempt."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        named = [
            Node(f"named{n}", sockets=network.sockets(host.format(100 + n)), clock=clock, listen_address="")
            for n in range(3)
        ]
        hub = Node(
            "hub", sockets=network.sockets("20.0.0.1"), clock=clock, listen_address="20.0.0.1:7",
            unconditional_peer_ids=frozenset(node.id for node in named),
        )  # fmt: skip
        strangers = [
            Node(f"s{n}", sockets=network.sockets(host.format(n)), clock=clock, listen_address="") for n in range(12)
        ]
        address = parse_address(f"{hub.id}@20.0.0.1:7")
        async with running(hub, *named, *strangers):
            for node in named:
                await node.switch.dial(address)
            entered = 0
            for node in strangers:
                try:
                    await node.switch.dial(address)
                    entered += 1
                except DialError:
                    pass
            assert entered == allowed
            await until(lambda: len(hub.switch.peers) == allowed + len(named))
            assert node_key("hub").id == hub.id

    simulate(scenario)


def test_strangers_of_an_address_that_gave_offence_are_kept_away_and_named_peers_not() -> None:
    """audit 12: ids are free to make, so a ban of an id alone is none. They wait; nobody is shut out."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()

        def make(name: str) -> Node:
            return Node(name, sockets=network.sockets("20.0.0.2"), clock=clock, listen_address="")

        named, liar, another = make("named"), make("liar"), make("another")
        hub = Node(
            "hub", sockets=network.sockets("20.0.0.1"), clock=clock, listen_address="20.0.0.1:7",
            unconditional_peer_ids=frozenset({named.id}),
        )  # fmt: skip
        address = parse_address(f"{hub.id}@20.0.0.1:7")
        async with running(hub, named, liar, another):
            await liar.switch.dial(address)
            for _ in range(1_001):
                hub.switch.peers[0].useless("junk")
            await until(lambda: not hub.switch.peers)
            with pytest.raises(DialError):
                await another.switch.dial(address)
            for _ in range(4):
                with pytest.raises(DialError):
                    await another.switch.dial(address)
            assert await named.switch.dial(address)
            await pass_time(1.5)
            with pytest.raises(DialError):
                await liar.switch.dial(address)
            assert await another.switch.dial(address)

    simulate(scenario)
