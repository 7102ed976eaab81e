"""Places for peers: quiet strangers do not hold them for ever, useful and named peers are not pushed out, nobody can
turn the house over by coming and going."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.errors import DialError, P2PError, Rejected
from consensus.p2p.conn.peer import SwitchPeer
from consensus.p2p.memory import MemoryNetwork
from consensus.p2p.places import (
    EVICTION_GAP_S,
    EVICTION_PART_GAP_S,
    PARTS_MAX,
    ROTATION_AFTER_S,
    ROTATION_GAP_S,
    USEFUL_ENOUGH,
    USEFUL_HALF_LIFE_S,
    Places,
    part_of,
)
from tests.support.p2p.peers import Node, node_key, pass_time, running, simulate, until

HUB = "20.0.0.1"


@dataclass
class FakePeer:
    """What `Places` sees of a peer."""

    id: str
    remote_host: str
    is_outbound: bool = False
    link: Any = field(default_factory=lambda: SimpleNamespace(is_closed=False))
    budget: Any = field(default_factory=lambda: SimpleNamespace(useful_messages=0))


class House:
    """Places, their peers and a clock."""

    def __init__(self, inbound: int, named: frozenset[str] = frozenset()) -> None:
        self.now, self.named = 1_000.0, named
        config = SwitchConfig(max_inbound_peers=inbound, max_peers=2 * inbound + 20)
        self.places = Places(config, lambda peer_id: peer_id in named)
        self.peers: dict[str, FakePeer] = {}
        self.gone: list[str] = []

    def seen(self) -> list[SwitchPeer]:
        return cast(list[SwitchPeer], list(self.peers.values()))

    def comes(self, name: str, host: str) -> bool:
        """As the switch does it."""
        try:
            victim = self.places.check_inbound(name, host, self.seen(), now_s=self.now)
        except Rejected:
            return False
        if victim is not None:
            self.places.evicted(host, now_s=self.now)
            self.leaves(victim.id)
            self.gone.append(victim.id)
        self.peers[name] = FakePeer(name, host)
        self.places.joined(cast(SwitchPeer, self.peers[name]), now_s=self.now)
        return True

    def leaves(self, name: str) -> None:
        self.places.left(cast(SwitchPeer, self.peers.pop(name)))

    def brings(self, name: str, messages: int) -> None:
        self.peers[name].budget.useful_messages += messages
        self.places.look(self.seen(), now_s=self.now)

    def parts(self) -> Counter[str]:
        """Of those whose places count: whom the operator named takes none."""
        counted = [peer for peer in self.peers.values() if peer.id not in self.named]
        return Counter(part_of(peer.remote_host) for peer in counted)


def crowd(house: House, count: int, network: str = "30.0") -> None:
    for number in range(count):
        assert house.comes(f"crowd{number}", f"{network}.0.{number}")


def test_a_newcomer_from_elsewhere_gets_in() -> None:
    """audit 12: forty quiet strangers held all inbound places for ever."""
    house = House(40)
    crowd(house, 40)
    assert not house.comes("neighbour", "30.0.9.9"), "one more of the same part is no reason"
    assert house.comes("elsewhere", "40.0.0.1")
    assert house.gone == ["crowd39"], "the youngest of those who brought nothing"


def test_who_brought_least_goes_and_who_is_useful_or_named_or_dialed_stays() -> None:
    house = House(6, named=frozenset({"named"}))
    crowd(house, 6)
    assert house.comes("named", "30.0.1.1")
    house.peers["dialed"] = FakePeer("dialed", "30.0.2.2", is_outbound=True)
    for number in (0, 1, 5):
        house.brings(f"crowd{number}", 100)
    house.brings("crowd4", 3)
    for number in range(20):
        house.now += EVICTION_GAP_S
        house.comes(f"new{number}", f"{40 + number}.0.0.1")
    assert house.gone == ["crowd3", "crowd2", "crowd4"]
    house.now += 10 * USEFUL_HALF_LIFE_S
    assert house.comes("late", "99.0.0.1")
    assert house.gone[-1] == "crowd5", "what was useful long ago does not hold a place"


@pytest.mark.parametrize("seconds", [60, 3 * ROTATION_AFTER_S])
def test_useful_peers_are_not_pushed_out_by_any_number_of_hosts(seconds: float) -> None:
    """The other side: whoever brings something of late stays, even where all are from one part."""
    house = House(10)
    crowd(house, 10)
    for name in house.peers:
        house.brings(name, 10)
    ends, number = house.now + seconds, 0
    while house.now < ends:
        for name in house.peers:
            house.brings(name, 2)
        number += 1
        assert not house.comes(f"liar{number}", f"{40 + number % 150}.{number % 200}.0.1")
        house.now += 1.0
    assert house.gone == []


def test_coming_and_going_makes_one_other_go() -> None:
    house = House(10)
    crowd(house, 10)
    for second in range(int(EVICTION_PART_GAP_S)):
        house.now += 1.0
        if house.comes(f"liar{second}", "40.0.0.1"):
            house.leaves(f"liar{second}")
        for number in range(10):
            if f"crowd{number}" not in house.peers:
                house.comes(f"crowd{number}", f"30.0.0.{number}")
    assert len(house.gone) == 1


def test_evictions_have_a_rate() -> None:
    house = House(40)
    crowd(house, 40)
    began = house.now
    for number in range(1_000):
        house.now += 0.1
        house.comes(f"liar{number}", f"{40 + number % 200}.{number // 200}.0.1")
    assert len(house.gone) <= 1 + (house.now - began) / EVICTION_GAP_S


def test_where_no_part_leads_a_young_place_is_passed_on_now_and_then() -> None:
    """Forty quiet strangers of forty networks hold at most half of the places for ever."""
    house = House(8)
    for number in range(8):
        assert house.comes(f"quiet{number}", f"{30 + number}.0.0.1")
    assert not house.comes("early", "99.0.0.1")
    house.now += ROTATION_AFTER_S
    assert house.comes("honest", "99.0.0.1")
    assert house.gone == ["quiet4"], "the eldest of the younger half"
    assert not house.comes("next", "98.0.0.1")
    began = house.now
    for number in range(2_000):
        house.now += 5.0
        house.comes(f"liar{number}", f"{40 + number % 50}.{1 + number // 50}.0.1")
    assert len(house.gone) <= 1 + (house.now - began) / ROTATION_GAP_S
    assert {f"quiet{number}" for number in range(4)} <= set(house.peers), "the elder half stays"


def test_one_host_does_not_hold_the_places_of_its_network() -> None:
    """In a network of one /16, as a test network or a data centre is, addresses count; `allow_duplicate_ip` is on."""
    house = House(8)
    for number in range(8):
        assert house.comes(f"id{number}", "10.0.0.1")
    assert not house.comes("more", "10.0.0.1")
    assert house.comes("neighbour", "10.0.0.2")
    assert house.gone == ["id7"]
    house.now += EVICTION_GAP_S
    assert house.comes("another", "10.0.0.3")
    for second in range(100):
        house.now += EVICTION_GAP_S / 5
        house.comes(f"more{second}", "10.0.0.1")
    assert {"neighbour", "another"} <= set(house.peers)


def test_quiet_strangers_pass_places_on_within_their_own_network() -> None:
    house = House(8)
    crowd(house, 8)
    house.now += ROTATION_AFTER_S
    assert house.comes("neighbour", "30.0.9.9")
    assert house.gone == ["crowd4"]
    assert not house.comes("next", "30.0.9.8")


def test_what_is_remembered_is_bounded() -> None:
    house = House(4)
    for number in range(3 * PARTS_MAX):
        house.places.evicted(f"{1 + number // 250}.{number % 250}.0.1", now_s=float(number))
    assert len(house.places._evicted_for) == PARTS_MAX
    for number in range(100):
        house.now += EVICTION_GAP_S
        house.comes(f"new{number}", f"{1 + number}.0.0.1")
    assert len(house.places._brought) == len(house.peers) == 4


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "leave", "bring"]),
        st.integers(0, 11),  # part
        st.integers(0, 30),
        st.floats(0, 200),
    ),
    max_size=120,
)


@settings(deadline=None)
@given(STEPS)
@example([("come", part, 0, 0.0) for part in (0, 0, 0, 0, 1, 1, 1, 1, 0)])  # the named stand in the smaller part
def test_evictions_make_parts_more_even_and_spare_the_useful(steps: list[tuple[str, int, int, float]]) -> None:
    house = House(6, named=frozenset({"id0", "id1"}))
    for number, (what, part, choice, passed_s) in enumerate(steps):
        house.now += passed_s
        names = list(house.peers)
        if what == "come":
            before, evicted = house.parts(), len(house.gone)
            house.places.look(house.seen(), now_s=house.now)
            useful = {name for name, brought in house.places._brought.items() if brought.score >= USEFUL_ENOUGH}
            came = house.comes(f"id{number}", f"{30 + part}.0.0.{choice}")
            if len(house.gone) > evicted:
                assert came
                assert house.gone[-1] not in useful | {"id0", "id1"}
                after = house.parts()
                assert sum(n * n for n in after.values()) <= sum(n * n for n in before.values())
                assert len(after) >= len(before)
        elif names and what == "leave":
            house.leaves(names[choice % len(names)])
        elif names:
            house.brings(names[choice % len(names)], choice)
        assert sum(name not in {"id0", "id1"} for name in house.peers) <= 6


@pytest.mark.parametrize(
    ("inbound", "outbound", "peers", "want"),
    [
        (40, 10, 100, 40),
        (40, 10, 45, 35),
        (40, 10, 10, 5),
        (1, 10, 2, 1),
        (40, 10, 1, 1),
        (0, 10, 100, 0),
        (9, 0, 5, 5),
    ],
)
def test_inbound_peers_leave_places_for_those_that_we_dial(inbound: int, outbound: int, peers: int, want: int) -> None:
    config = SwitchConfig(max_inbound_peers=inbound, max_outbound_peers=outbound, max_peers=peers)
    assert Places(config, lambda peer_id: False).inbound_max == want


# --- on the network ---------------------------------------------------------------------------------------------------


def test_an_honest_stranger_gets_in_where_a_crowd_holds_all_places() -> None:
    """audit 12: forty quiet strangers held all inbound places for ever."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()

        def make(name: str, host: str, **config: Any) -> Node:
            return Node(name, sockets=network.sockets(host), clock=clock, listen_address="", **config)

        quiet = [make(f"quiet{number}", f"30.0.0.{number}") for number in range(6)]
        named, honest = make("named", "30.0.1.1"), make("honest", "40.0.0.1")
        broken = Node(
            "broken", sockets=network.sockets("50.0.0.1"), clock=clock, listen_address="", network="another"
        )  # fmt: skip
        hub = Node(
            "hub", sockets=network.sockets(HUB), clock=clock, listen_address=f"{HUB}:7", max_inbound_peers=6,
            unconditional_peer_ids=frozenset({named.id}),
        )  # fmt: skip
        address = parse_address(f"{hub.id}@{HUB}:7")
        async with running(hub, named, honest, broken, *quiet):
            friend = await named.switch.dial(address)
            for node in quiet:
                await node.switch.dial(address)
            hub_side = hub.switch.peer(quiet[5].id)
            assert hub_side is not None
            for _ in range(20):
                hub_side.useful()
            with pytest.raises(P2PError):
                await broken.switch.dial(address)
            assert hub.switch.counters["evicted"] == 0, "only who passed every check takes a place"
            await honest.switch.dial(address)
            await until(lambda: hub.switch.is_connected(honest.id))
            assert hub.switch.counters["evicted"] == 1
            assert hub.switch.inbound_count == 7
            assert not hub.switch.is_connected(quiet[4].id), "the youngest that brought nothing"
            assert hub.switch.bans.all() == {}
            assert not friend.gone.is_set()
            await pass_time(EVICTION_GAP_S)
            with pytest.raises(DialError):
                await quiet[4].switch.dial(address)

    simulate(scenario)


def test_a_stranger_does_not_keep_us_from_dialing_its_address() -> None:
    """A quiet stranger behind the address (or in the IPv6 /64) of an honest node made us refuse our own dial to it."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        quiet, more = (
            Node(name, sockets=network.sockets("60.0.0.1"), clock=clock, listen_address="")
            for name in ("quiet", "more")
        )
        honest, second = (
            Node(name, sockets=network.sockets("60.0.0.1"), clock=clock, listen_address=f"60.0.0.1:{port}")
            for name, port in (("honest", 7), ("second", 8))
        )
        hub = Node("hub", sockets=network.sockets(HUB), clock=clock, listen_address=f"{HUB}:7")
        async with running(hub, honest, second, quiet, more):
            await quiet.switch.dial(parse_address(f"{hub.id}@{HUB}:7"))
            assert await hub.switch.dial(parse_address(f"{honest.id}@60.0.0.1:7"))
            with pytest.raises(P2PError, match="allow_duplicate_ip"):
                await hub.switch.dial(parse_address(f"{second.id}@60.0.0.1:8"))
            with pytest.raises(DialError):
                await more.switch.dial(parse_address(f"{hub.id}@{HUB}:7"))

    simulate(scenario)


def test_strangers_do_not_decide_whom_we_can_dial() -> None:
    """Inbound peers took all of max_peers, and every dial of ours was refused by ourselves."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        quiet = [
            Node(f"q{number}", sockets=network.sockets(f"{30 + number}.0.0.1"), clock=clock, listen_address="")
            for number in range(8)
        ]
        other = Node("other", sockets=network.sockets("60.0.0.1"), clock=clock, listen_address="60.0.0.1:7")
        hub = Node("hub", sockets=network.sockets(HUB), clock=clock, listen_address=f"{HUB}:7", max_peers=6)
        async with running(hub, other, *quiet):
            for node in quiet:
                try:
                    await node.switch.dial(parse_address(f"{hub.id}@{HUB}:7"))
                except DialError:
                    continue
            assert await hub.switch.dial(parse_address(f"{other.id}@60.0.0.1:7"))
            assert hub.switch.inbound_count == 3
            assert node_key("hub").id == hub.id

    simulate(scenario)
