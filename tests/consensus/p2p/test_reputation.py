"""An address answers for its strangers by a rate and never by being shut: who is honest there gets in and stays, and
one host with any number of ids is held to what one peer is forgiven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.p2p.addrbook import AddressBook
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.errors import DialError, P2PError, Rejected
from consensus.p2p.memory import MemoryNetwork
from consensus.p2p.pex import install
from consensus.p2p.reputation import (
    LEVEL_FORGOTTEN_S,
    LEVEL_MAX,
    NEWCOMER_WAIT_MAX_S,
    PLACES_MAX,
    STANDING_MAX,
    STANDING_PER_PLACE,
    STEADY_S,
    Reputation,
    Standing,
)
from tests.support.p2p.peers import Node, node_key, pass_time, running, simulate, until

HUB, HOUSE = "20.0.0.1", "20.0.0.2"
WAIT_MAX_S = 50.0  # what a thousand useless messages take to be forgiven
DAY_S = 86_400


class Bench:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.reputation = Reputation(lambda: self.now, wait_max_s=WAIT_MAX_S)
        self.ids = 0

    def enters(self, peer_id: str, place: str = HOUSE) -> bool:
        try:
            self.reputation.enter(peer_id, place)
        except Rejected:
            return False
        return True

    def offends(self, peer_id: str, place: str = HOUSE, *, forgiven: int = 0, ban_s: int = 0) -> int:
        return self.reputation.offended(peer_id, place, forgiven=forgiven, ban_s=ban_s)

    def attack(self, seconds: float, *, every_s: float = 0.05, place: str = HOUSE) -> int:
        """New ids without end, each of which offends as soon as it is in; returns how many came in."""
        entered, ends = 0, self.now + seconds
        while self.now < ends:
            self.ids += 1
            if self.enters(f"liar{self.ids}", place):
                entered += 1
                self.offends(f"liar{self.ids}", place)
            self.now += every_s
        return entered


@pytest.mark.parametrize("hours", [1, 24])
def test_one_host_with_many_ids_brings_no_more_than_one_peer_is_forgiven(hours: int) -> None:
    """audit 12: ids are free to make, so a ban of an id alone is none."""
    bench = Bench()
    entered = bench.attack(hours * 3600, every_s=0.5 * hours)
    assert entered <= 5 + hours * 3600 / WAIT_MAX_S


def test_the_wait_grows_with_each_offence_and_has_an_end() -> None:
    bench = Bench()
    waits = []
    for number in range(20):
        bench.offends(f"liar{number}")
        waits.append(bench.reputation.newcomers.wait_s(HOUSE))
    assert waits[:3] == [1.0, 8.0, WAIT_MAX_S]
    assert waits == sorted(waits)
    assert waits[-1] == WAIT_MAX_S, "an honest newcomer never waits longer"
    bench.now += LEVEL_MAX * LEVEL_FORGOTTEN_S
    assert bench.enters("honest")
    assert bench.enters("honest too"), "all is forgotten"
    assert len(bench.reputation.newcomers) == 0


def test_a_site_with_many_networks_is_held_back_as_well() -> None:
    """An IPv6 /48 has 65,536 of the /64 that count as one host; its neighbours in the /32 are not concerned."""
    bench = Bench()
    entered = sum(bench.attack(1.0, every_s=1.0, place=f"2001:470:7:{number:x}::1") for number in range(3_600))
    assert entered <= 13 + 3_600 / WAIT_MAX_S
    assert bench.reputation.newcomers.wait_s("2001:470:7:ffff::1") <= WAIT_MAX_S
    assert bench.enters("neighbour", "2001:470:8::1")


def test_a_slip_of_the_protocol_holds_nobody_back() -> None:
    bench = Bench()
    assert bench.offends("upgraded", forgiven=2) == 0
    assert bench.offends("upgraded", forgiven=2) == 0
    assert bench.enters("neighbour")
    assert bench.offends("upgraded", forgiven=2) == 60
    assert bench.reputation.newcomers.wait_s(HOUSE) > 0


def test_who_was_here_without_offence_does_not_wait_and_an_offence_ends_that() -> None:
    bench = Bench()
    bench.reputation.left("steady", HOUSE, connected_s=STEADY_S, useful=0)
    bench.reputation.left("brief", HOUSE, connected_s=STEADY_S - 1, useful=0)
    bench.attack(600)
    assert bench.enters("steady")
    assert not bench.enters("brief")
    bench.offends("steady")
    assert not bench.enters("steady")


def test_a_host_is_held_while_nobody_there_is_known_good() -> None:
    bench = Bench()
    assert not bench.reputation.is_held(HOUSE)
    bench.attack(600)
    assert bench.reputation.is_held(HOUSE)
    bench.reputation.left("steady", HOUSE, connected_s=STEADY_S, useful=0)
    assert not bench.reputation.is_held(HOUSE)
    bench.offends("steady")
    assert bench.reputation.is_held(HOUSE)
    bench.now += WAIT_MAX_S
    assert not bench.reputation.is_held(HOUSE)


def test_standing_is_no_way_around_the_rate() -> None:
    """An id must have come as a newcomer, and stayed longer than a newcomer waits, to be known good."""
    assert STEADY_S >= NEWCOMER_WAIT_MAX_S >= WAIT_MAX_S


def test_what_is_remembered_is_bounded() -> None:
    bench, standing = Bench(), Standing()
    for number in range(2 * PLACES_MAX):
        bench.offends(f"liar{number}", f"place{number}")
    assert len(bench.reputation.newcomers) == PLACES_MAX
    for number in range(3 * STANDING_MAX):
        standing.remember(f"id{number}", f"place{number % 300}", useful=number)
    assert len(standing) == STANDING_MAX


def test_a_place_keeps_those_who_brought_most() -> None:
    standing = Standing()
    standing.remember("useful", HOUSE, useful=5)
    for number in range(100):
        standing.remember(f"quiet{number}", HOUSE, useful=0)
    assert "useful" in standing
    assert len(standing) == STANDING_PER_PLACE


def test_a_flood_of_places_leaves_small_places_alone() -> None:
    standing = Standing()
    standing.remember("alone", "far", useful=0)
    for number in range(2 * STANDING_MAX):
        standing.remember(f"id{number}", f"place{number % 200}", useful=1)
    assert "alone" in standing


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["offend", "fault", "enter"]), st.floats(0, 2_000)), max_size=60))
def test_nobody_waits_longer_than_the_longest_wait(steps: list[tuple[str, float]]) -> None:
    bench = Bench()
    for number, (what, passed_s) in enumerate(steps):
        bench.now += passed_s
        if what == "enter":
            bench.enters(f"new{number}")
        else:
            bench.offends(f"id{number}", forgiven=2 if what == "fault" else 0)
        assert 0 <= bench.reputation.newcomers.wait_s(HOUSE) <= WAIT_MAX_S


# --- on the network ---------------------------------------------------------------------------------------------------


class Neighbours:
    """A hub, and nodes of one address that is not the hub's."""

    def __init__(self, clock: Callable[[], int], **config: object) -> None:
        self.network, self.clock = MemoryNetwork(), clock
        self.hub = Node("hub", sockets=self.network.sockets(HUB), clock=clock, listen_address=f"{HUB}:7", **config)
        self.address = parse_address(f"{self.hub.id}@{HUB}:7")

    def make(self, name: str, host: str = HOUSE) -> Node:
        return Node(name, sockets=self.network.sockets(host), clock=self.clock, listen_address="")

    async def offend(self, node: Node, *, wait_s: float = 400.0) -> None:
        """Come in as soon as one may, and send what is of no use until the hub has enough of it."""
        await self.come(node, wait_s=wait_s)
        peer = self.hub.switch.peer(node.id)
        assert peer is not None
        for _ in range(1_001):
            peer.useless("junk")
        await until(lambda: not self.hub.switch.is_connected(node.id))

    async def come(self, node: Node, *, wait_s: float) -> float:
        """Dial until it works; returns how long that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                await node.switch.dial(self.address)
            except P2PError:
                assert loop.time() - began < wait_s, f"{node.key.id} is kept out for {loop.time() - began:.0f} s"
                await pass_time(1.0)
            else:
                await until(lambda: self.hub.switch.is_connected(node.id))
                return loop.time() - began


def test_an_honest_stranger_gets_in_behind_an_address_that_gave_offence() -> None:
    """audit 12: the address was banned for a minute, then four, sixteen, an hour, a day, with everybody behind it."""

    async def scenario(clock: Callable[[], int]) -> None:
        house = Neighbours(clock)
        liars = [house.make(f"liar{number}") for number in range(4)]
        honest = house.make("honest")
        async with running(house.hub, honest, *liars):
            for liar in liars:
                await house.offend(liar)
                assert house.hub.switch.bans.left_s(liar.id) > 0
            assert await house.come(honest, wait_s=3_600) <= WAIT_MAX_S + 2
            assert house.hub.switch.bans.left_s(honest.id) == 0

    simulate(scenario)


def test_a_neighbour_that_was_here_before_comes_back_at_once() -> None:
    """audit 12: an honest node that shared an address with a liar was refused after its restart."""

    async def scenario(clock: Callable[[], int]) -> None:
        house = Neighbours(clock)
        honest, liars = house.make("honest"), [house.make(f"liar{number}") for number in range(4)]
        async with running(house.hub, honest, *liars):
            friend = await honest.switch.dial(house.address)
            await pass_time(STEADY_S + 1)
            friend.link.close("restarts")
            await until(lambda: not house.hub.switch.peers)
            for liar in liars:
                await house.offend(liar)
            await honest.switch.dial(house.address)
            new = house.make("new")
            async with running(new):
                with pytest.raises(DialError):
                    await new.switch.dial(house.address)

    simulate(scenario)


def test_a_liar_costs_no_connected_neighbour_its_place() -> None:
    async def scenario(clock: Callable[[], int]) -> None:
        house = Neighbours(clock, allow_duplicate_ip=True)
        honest, liar = house.make("honest"), house.make("liar")
        async with running(house.hub, honest, liar):
            friend = await honest.switch.dial(house.address)
            await house.offend(liar)
            house.network.silence(HOUSE, HUB)  # its line breaks, and the hub hears nothing of it
            friend.link.abort()
            await until(friend.gone.is_set)
            await pass_time(6)
            house.network.heal(HOUSE, HUB)
            assert house.hub.switch.is_connected(honest.id)
            await honest.switch.dial(house.address)

    simulate(scenario)


def test_many_ids_of_one_host_are_held_back_for_what_reactors_find() -> None:
    """audit 12: what block sync bans for was held against the id alone, and the next id cost nothing."""

    async def scenario(clock: Callable[[], int]) -> None:
        house = Neighbours(clock)
        liars = [house.make(f"liar{number}") for number in range(40)]
        async with running(house.hub, *liars):
            entered = 0
            for liar in liars:
                try:
                    await liar.switch.dial(house.address)
                except P2PError:
                    await pass_time(0.5)
                    continue
                await until(lambda: house.hub.switch.peers)
                entered += 1
                house.hub.switch.drop_peer(house.hub.switch.peers[0], "a block that is none", ban_s=DAY_S)
                await until(lambda: not house.hub.switch.peers)
            assert entered <= 4

    simulate(scenario)


def test_named_peers_pass_whatever_their_address_did() -> None:
    """audit 12"""

    async def scenario(clock: Callable[[], int]) -> None:
        house = Neighbours(clock, unconditional_peer_ids=frozenset({node_key("named").id}))
        named, liars = house.make("named"), [house.make(f"liar{number}") for number in range(4)]
        async with running(house.hub, named, *liars):
            for liar in liars:
                await house.offend(liar)
            friend = await named.switch.dial(house.address)
            await until(lambda: house.hub.switch.peers)
            for _ in range(1_001):
                house.hub.switch.peers[0].useless("junk")
            await until(friend.gone.is_set)
            await named.switch.dial(house.address)

    simulate(scenario)


def test_whom_the_operator_names_is_not_banned_any_more(tmp_path: Path) -> None:
    """tendermint#3572: bans outlive a restart, and one of a peer that had been named since kept it away for a day."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        banned = [Node(f"b{n}", sockets=network.sockets(f"20.0.1.{n}"), clock=clock, listen_address="") for n in (1, 2)]
        first = Node("hub", sockets=network.sockets(HUB), clock=clock, listen_address=f"{HUB}:7")
        install(first.switch, AddressBook(tmp_path / "addrbook.json", strict=False, clock=clock), exchange=False)
        async with running(first):
            for node in banned:
                first.switch.ban(node.id, DAY_S, reason="test")
        hub = Node(
            "hub", sockets=network.sockets(HUB), clock=clock, listen_address=f"{HUB}:7",
            unconditional_peer_ids=frozenset({banned[0].id}),
        )  # fmt: skip
        install(hub.switch, AddressBook(tmp_path / "addrbook.json", strict=False, clock=clock), exchange=False)
        async with running(hub, *banned):
            assert await banned[0].switch.dial(parse_address(f"{hub.id}@{HUB}:7"))
            with pytest.raises(DialError):
                await banned[1].switch.dial(parse_address(f"{hub.id}@{HUB}:7"))

    simulate(scenario)


def test_a_named_address_without_id_is_named_after_a_restart_too(tmp_path: Path) -> None:
    """The id pinned to it was a stranger's from the second start on: bound by every limit, banned for a slip."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        other = Node("other", sockets=network.sockets(HOUSE), clock=clock, listen_address=f"{HOUSE}:7")
        async with running(other):
            for start in range(2):
                hub = Node(
                    "hub", sockets=network.sockets(HUB), clock=clock, listen_address="",
                    persistent_peers=(f"{HOUSE}:7",), max_peers=0,
                )  # fmt: skip
                install(hub.switch, AddressBook(tmp_path / "addrbook.json", strict=False, clock=clock), exchange=False)
                async with running(hub):
                    await until(lambda hub=hub: hub.switch.is_connected(other.id))
                    hub.switch.drop_peer(hub.switch.peers[0], "a slip", ban_s=DAY_S)
                    await until(lambda hub=hub: not hub.switch.peers)
                    await until(lambda hub=hub: hub.switch.is_connected(other.id), what=f"start {start}")
                    assert hub.switch.bans.all() == {}

    simulate(scenario)
