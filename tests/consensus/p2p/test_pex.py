"""Address exchange: addresses spread, seeds answer once, and whoever breaks the rules is banned."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from consensus.p2p.addrbook import AddressBook
from consensus.p2p.admission import BAN_MAX_S
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.base import Peer
from consensus.p2p.memory import MemoryNetwork
from consensus.p2p.pex import TOLD_PER_TURN, USEFUL_FOR_GOOD, PexReactor, install
from consensus.system.clock import steady_clock
from proto.tendermint.p2p import pex_pb2, types_pb2
from tests.support.p2p.peers import STATE, Node, node_key, pass_time, running, simulate, until

PORT = 26656
Clock = Callable[[], int]


def place(index: int) -> str:
    return f"{node_key(str(index)).id}@{host(index)}:{PORT}"


def host(index: int) -> str:
    return f"{20 + index}.1.1.1"


class PexNode(Node):
    def __init__(
        self, index: int, network: MemoryNetwork, clock: Clock, path: Path | None = None, **config: object
    ) -> None:
        settings = {"listen_address": f"{host(index)}:{PORT}", "address_book_strict": True, **config}
        super().__init__(str(index), sockets=network.sockets(host(index)), clock=clock, **settings)
        self.book = AddressBook(None, strict=True, clock=clock, rng=random.Random(index))
        pex = install(self.switch, self.book)
        assert pex is not None
        self.pex = pex


def reached(nodes: list[PexNode]) -> set[str]:
    """The ids that the first node reaches over the others' connections."""
    by_id = {node.id: node for node in nodes}
    found, todo = {nodes[0].id}, [nodes[0]]
    while todo:
        for peer in todo.pop().switch.peers:
            if peer.id in by_id and peer.id not in found:
                found.add(peer.id)
                todo.append(by_id[peer.id])
    return found


def test_a_network_finds_itself_from_one_seed() -> None:
    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        seed = PexNode(0, network, clock, seed_mode=True)
        nodes = [PexNode(index, network, clock, seeds=(place(0),), max_outbound_peers=4) for index in range(1, 13)]
        others = {node.id for node in nodes}

        def has_enough(node: PexNode) -> bool:
            """Four that it dialed; or all are connected to it, mostly by their dialing, and none is left to dial."""
            connected = {peer.id for peer in node.switch.peers}
            return node.switch.outbound_count == 4 or others - {node.id} <= connected

        async with running(seed, *nodes):
            await until(lambda: all(has_enough(node) for node in nodes), timeout_s=900)
            await until(lambda: reached(nodes) == {node.id for node in nodes}, timeout_s=60)
            assert all(node.id not in node.book for node in nodes)
            assert any("seed: answered" in reason for _, reason in seed.reactor.removed)

    simulate(scenario)


def test_addresses_pass_from_neighbour_to_neighbour() -> None:
    """A chain of persistent peers: the last is found by the first."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        nodes = [PexNode(index, network, clock, persistent_peers=(place(index + 1),)) for index in range(4)]
        nodes.append(PexNode(4, network, clock))
        async with running(*nodes):
            await until(lambda: nodes[0].switch.is_connected(nodes[4].id), timeout_s=600)
            await pass_time(120)
            entry = nodes[0].book.get(nodes[1].id)
            assert entry is not None
            assert not entry.is_old, "audit 12: to stay connected makes nobody good"
            peer = nodes[0].switch.peer(nodes[1].id)
            assert peer is not None
            for _ in range(USEFUL_FOR_GOOD):
                peer.useful()
            await until(lambda: entry.is_old, timeout_s=60)

    simulate(scenario)


def test_private_peers_are_not_told() -> None:
    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        private = node_key("1").id
        hub = PexNode(0, network, clock, private_peer_ids=frozenset({private}), max_outbound_peers=0)
        nodes = [
            PexNode(index, network, clock, persistent_peers=(place(0),), max_outbound_peers=0) for index in (1, 2, 3)
        ]
        async with running(hub, *nodes):
            await pass_time(300)
            assert len(hub.switch.peers) == 3
            assert private not in hub.book
            assert private not in nodes[1].book
            assert nodes[2].id in nodes[1].book or nodes[1].id in nodes[2].book

    simulate(scenario)


def test_failing_to_dial_is_no_fault() -> None:
    """tendermint#3572: an honest node away for 36 h was banned for a day after 17 dials, inbound too, over restarts."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node = PexNode(0, network, clock)
        away = parse_address(place(9))
        node.book.add(away, away)
        async with running(node):
            await pass_time(60)
            assert 1 <= node.switch.counters["dialed"] <= 5
            await pass_time(48 * 3600)
            assert node.switch.bans.all() == {}
            assert 17 < node.switch.counters["dialed"] <= 75, "it goes on, and ever more seldom"
            back = PexNode(9, network, clock, max_outbound_peers=0)
            async with running(back):
                assert await back.switch.dial(parse_address(place(0)))
            async with running(back_again := PexNode(9, network, clock, max_outbound_peers=0)):
                await until(lambda: back_again.switch.peers, timeout_s=2 * 3600, what="dialed again by itself")

    simulate(scenario)


def test_an_id_announced_at_wrong_places_is_still_found_at_its_own() -> None:
    """audit 14: an honest node's id, announced at places where it is not, was banned for a day."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node, honest, other = PexNode(0, network, clock), PexNode(1, network, clock), PexNode(2, network, clock)
        liar = parse_address(place(3))
        async with running(node, honest, other):
            for number in range(40):  # nobody there, and somebody else there
                node.book.add(parse_address(f"{honest.id}@{60 + number}.1.1.1:{PORT}"), liar)
                node.book.add(parse_address(f"{honest.id}@{host(2)}:{PORT}"), liar)
                await pass_time(120)
            assert node.switch.bans.all() == {}
            assert not node.switch.is_connected(honest.id)
            node.book.add(parse_address(place(1)), parse_address(place(4)))
            await until(lambda: node.switch.is_connected(honest.id), timeout_s=2 * 3600)
            assert node.switch.is_connected(other.id) or other.id not in node.book

    simulate(scenario)


def test_ids_announced_at_one_host_make_no_flood_of_dials() -> None:
    """audit 12: a thousand invented ids at one host are one dial a round (so it was before, too)."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node, victim = PexNode(0, network, clock), PexNode(1, network, clock, max_outbound_peers=0)
        async with running(node, victim):
            for number in range(1_000):
                liar = parse_address(place(3 + number % 100))
                node.book.add(parse_address(f"{node_key(f'invented {number}').id}@{host(1)}:{PORT}"), liar)
            await pass_time(600)
            assert node.switch.counters["dialed"] <= 600 / 30 + 1, "one a round"

    simulate(scenario)


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lax"])
def test_who_takes_our_calls_and_hangs_up_is_called_ever_more_seldom(strict: bool) -> None:
    """audit 12: each call that was taken forgot the failures before it, each loss began a round: ten dials a second."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node = PexNode(0, network, clock, address_book_strict=strict)
        liar = PexNode(1, network, clock, max_outbound_peers=0)
        liar.reactor.on_add = lambda peer: liar.switch.drop_peer(peer, "gotcha")
        async with running(node, liar):
            node.book.add(parse_address(place(1)), parse_address(place(1)))
            await pass_time(3600)
            dialed = node.switch.counters["dialed"]
            assert 5 <= dialed <= 20
            liar.reactor.on_add = lambda peer: None
            await until(lambda: node.switch.peers, timeout_s=7200)
            await pass_time(120)
            node.switch.drop_peer(node.switch.peers[0], "a bad line")
            await until(lambda: not node.switch.peers)
            await until(lambda: node.switch.peers, timeout_s=60, what="it stayed, so nothing is held against it")

    simulate(scenario)


def test_strangers_that_come_and_go_begin_no_round() -> None:
    """Each loss of an inbound peer searched the whole book, as often as strangers liked."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node = PexNode(0, network, clock)
        picks: list[int] = []
        pick = node.book.pick
        node.book.pick = lambda bias: picks.append(bias) or pick(bias)  # type: ignore[func-returns-value, method-assign]
        stranger = Node("s", clock=clock, listen_address="", sockets=network.sockets("99.0.0.1"))
        async with running(node, stranger):
            node.book.add(parse_address(place(5)), parse_address(place(6)))
            await pass_time(31)
            picks.clear()
            began = asyncio.get_running_loop().time()
            for _ in range(50):
                peer = await stranger.switch.dial(parse_address(place(0)))
                peer.link.close("away again")
                await until(lambda: not node.switch.peers)
                await pass_time(0.3)
            rounds = 1 + (asyncio.get_running_loop().time() - began) / 30
            assert len(picks) <= 30 * rounds

    simulate(scenario)


def test_a_long_answer_is_taken_a_few_addresses_a_turn() -> None:
    """250 addresses at once held the loop for 35 ms."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node, liar = PexNode(0, network, clock), Node(
            "1", clock=clock, listen_address=f"{host(1)}:{PORT}", sockets=network.sockets(host(1)),
            channels=(*Node("x").reactor.channels, *PexReactor.channels),
        )  # fmt: skip
        sizes: list[int] = []

        def told(channel_id: int, peer: Peer, message: bytes) -> None:
            if channel_id == 0x00:
                rows = [(node_key(f"t{n}").id, f"{100 + n % 50}.{n}.1.1", 1) for n in range(250)]
                assert peer.try_send(0x00, answer(*rows))

        liar.reactor.on_receive = told
        async with running(node, liar):
            await node.switch.dial(parse_address(place(1)))
            while len(node.book) < 200 and len(sizes) < 10_000:
                sizes.append(len(node.book))
                await asyncio.sleep(0)
            assert max(b - a for a, b in pairwise([*sizes, len(node.book)])) <= 2 * TOLD_PER_TURN
            assert len(node.book) >= 200

    simulate(scenario)


def test_the_book_keeps_count_of_the_old() -> None:
    """Each pick counted the whole book: the thirty of a round took 28 ms of CPU at 16,000 addresses."""
    book = AddressBook(None, strict=True, clock=lambda: 10**18, rng=random.Random(1))
    source = parse_address(f"{node_key('source').id}@50.1.1.1:1")
    for number in range(256):
        address = parse_address(f"{node_key(f'n{number}').id}@{20 + number % 100}.{number}.1.1:1")
        if book.add(address, source) and number % 3 == 0:
            book.mark_good(address.id)
    assert book.old_count == sum(entry.is_old for entry in book._entries.values()) > 10
    for peer_id in list(book._entries)[::2]:
        book.remove(peer_id)
    assert book.old_count == sum(entry.is_old for entry in book._entries.values()) > 0


def test_one_socket_reaches_few_buckets_whatever_it_says_of_itself() -> None:
    """audit 12: groups came from what a peer says of itself, so one socket filled all 256 new buckets."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node = PexNode(0, network, clock, max_outbound_peers=0)
        rng = random.Random(7)
        async with running(node):
            for number in range(60):
                told = f"{rng.randrange(20, 100)}.{rng.randrange(256)}.1.1:{PORT}"
                liar = Node(
                    f"liar {number}", sockets=network.sockets("9.9.9.9"), clock=clock, listen_address="",
                    external_address=f"tcp://{told}", channels=(STATE, *PexReactor.channels),
                )  # fmt: skip
                await pass_time(1)  # the gate's rate per host
                async with running(liar):
                    await liar.switch.dial(parse_address(place(0)))
                    peer = node.switch.peers[0]
                    node.pex._asked.add(peer.id)
                    rows = [
                        (node_key(f"{number}-{row}").id, f"{rng.randrange(20, 100)}.{rng.randrange(256)}.1.1", 1)
                        for row in range(200)
                    ]
                    node.pex.receive(0x00, peer, answer(*rows))
                await until(lambda: not node.switch.peers)
            filled = sum(bool(bucket) for bucket in node.book._new)
            assert 16 <= filled <= 32, "those of one source's group"

    simulate(scenario)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        pytest.param("9.9.9.9", "9.9.9.9", id="where it is: believed"),
        pytest.param("30.1.1.1", "40.1.1.1", id="where somebody else may be: what others said stays"),
    ],
)
def test_of_its_own_place_alone_a_peer_is_believed(told: str, kept: str) -> None:
    """audit 12: what a peer says of itself led callers to any host it named."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node = PexNode(0, network, clock, max_outbound_peers=0)
        caller = Node(
            "caller", sockets=network.sockets("9.9.9.9"), clock=clock, listen_address="",
            external_address=f"tcp://{told}:{PORT}", channels=(STATE, *PexReactor.channels),
        )  # fmt: skip
        async with running(node, caller):
            assert node.book.add(parse_address(f"{caller.id}@40.1.1.1:{PORT}"), parse_address(place(3)))
            await caller.switch.dial(parse_address(place(0)))
            await until(lambda: bool(node.switch.peers))
            assert {str(address) for address in node.book.selection()} == {f"{caller.id}@{kept}:{PORT}"}

    simulate(scenario)


@pytest.mark.parametrize("caller_host", ["9.9.9.9", "fe80::1%eth0", "::ffff:9.9.9.9", "2001:470::1"])
def test_what_a_caller_brings_into_the_book_can_be_read_again(caller_host: str, tmp_path: Path) -> None:
    """audit 12: a neighbour with a link-local address called once, and at the next start the whole book was set aside,
    its pins and bans with it."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        node = PexNode(0, network, clock, max_outbound_peers=0)
        caller = Node(
            "caller", sockets=network.sockets(caller_host), clock=clock, listen_address="",
            external_address=f"tcp://40.1.1.1:{PORT}", channels=(STATE, *PexReactor.channels),
        )  # fmt: skip
        async with running(node, caller):
            await caller.switch.dial(parse_address(place(0)))
            await until(lambda: caller.id in node.book)
            written = AddressBook(tmp_path / "addrbook.json", strict=False, clock=clock)
            written.pins["40.2.2.2:1"] = "a" * 40
            written.write({**node.book.snapshot(bans={}), "pins": written.pins})
            again = AddressBook(written.path, strict=False, clock=clock)
            again.load()
            assert caller.id in again
            assert again.pins == written.pins

    simulate(scenario)


REQUEST = pex_pb2.Message(pex_request=pex_pb2.PexRequest()).SerializeToString()


def answer(*rows: tuple[str, str, int]) -> bytes:
    addresses = [types_pb2.NetAddress(id=id, ip=ip, port=port) for id, ip, port in rows]
    return pex_pb2.Message(pex_addrs=pex_pb2.PexAddrs(addrs=addresses)).SerializeToString()


def attack(act: Callable[[Node, PexNode], object], *, asked: bool = False) -> PexNode:
    """Let a hand-made peer act against a node; return the node."""
    network = MemoryNetwork()
    victims: list[PexNode] = []

    async def scenario(clock: Clock) -> None:
        victim = PexNode(0, network, clock)
        victims.append(victim)
        settings = {"listen_address": f"{host(1)}:{PORT}", "sockets": network.sockets(host(1)), "clock": clock}
        attacker = Node("1", channels=(STATE, *PexReactor.channels), **settings)
        async with running(victim, attacker):
            if asked:
                await victim.switch.dial(parse_address(place(1)))
            else:
                await attacker.switch.dial(parse_address(place(0)))
            await until(lambda: attacker.switch.peers and victim.switch.peers)
            act(attacker, victim)
            await pass_time(5)
            if not victim.reactor.removed:
                assert attacker.switch.peers

    simulate(scenario)
    return victims[0]


@pytest.mark.parametrize(
    ("messages", "asked", "reason", "banned"),
    [
        pytest.param([REQUEST] * 2, False, "", False, id="two requests are free"),
        pytest.param([REQUEST] * 7, False, "", False, id="a few too soon: a peer that is read late looks like that"),
        pytest.param([REQUEST] * 8, False, "an address request too soon", True, id="a flood"),
        pytest.param([answer()], False, "nobody asked", True, id="addresses unasked"),
        pytest.param([answer()], True, "", False, id="addresses asked for"),
        pytest.param([answer(), answer()], True, "nobody asked", True, id="a second answer"),
        pytest.param([b""], False, "neither", False, id="nothing"),
        pytest.param([b"\xff\xff"], False, "no message", False, id="no protobuf"),
        pytest.param([answer(("x", "8.8.8.8", 1))], True, "no node id", False, id="bad id"),
        pytest.param([answer((node_key("z").id, "8.8.8", 1))], True, "no IP", False, id="bad IP"),
        pytest.param([answer((node_key("z").id, "8.8.8.8", 70_000))], True, "port 70000", False, id="bad port"),
        pytest.param([answer((node_key("z").id, "10.0.0.1", 1))], True, "", False, id="not routable: left out"),
    ],
)
def test_rules_of_the_exchange(messages: list[bytes], asked: bool, reason: str, banned: bool) -> None:
    def act(attacker: Node, victim: PexNode) -> None:
        for message in messages:
            assert attacker.switch.peers[0].try_send(0x00, message)

    victim = attack(act, asked=asked)
    dropped = [r for _, r in victim.reactor.removed if r not in {"we stop", "closed by the other side"}]
    assert bool(dropped) == bool(reason)
    if reason:
        assert reason in dropped[0]
    assert bool(victim.switch.bans.left_s(node_key("1").id)) == banned
    assert victim.pex.counters["requests_answered"] <= 2
    assert len(victim.book) <= 1


def test_strangers_that_come_and_go_do_not_make_us_ask_a_neighbour_too_often() -> None:
    """Each loss starts a round; a round that asked at once made neighbours ban us for a day (found by noise)."""

    async def scenario(clock: Clock) -> None:
        network = MemoryNetwork()
        busy, neighbour = PexNode(0, network, clock), PexNode(1, network, clock)
        async with running(busy, neighbour):
            await busy.switch.dial(parse_address(place(1)))
            await until(lambda: neighbour.switch.peers)
            for number in range(2, 42):
                stranger = Node(str(number), clock=clock, listen_address="", sockets=network.sockets(host(number)))
                async with running(stranger):
                    await stranger.switch.dial(parse_address(place(0)))
                    await until(lambda: len(busy.switch.peers) == 2)
                await until(lambda: len(busy.switch.peers) == 1)
                await pass_time(0.5)  # of the simulated clock: the round that the loss began
            assert not neighbour.switch.bans.left_s(busy.id)
            assert neighbour.switch.peers
            assert 1 <= neighbour.pex.counters["requests_answered"] <= 3

    simulate(scenario)


async def test_the_book_is_saved_now_and_then_and_at_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consensus.p2p.pex.SAVE_PERIOD_S", 0.02)
    path = tmp_path / "addrbook.json"

    def make() -> tuple[Node, AddressBook]:
        node = Node("a", max_outbound_peers=0)
        book = AddressBook(path, strict=False, clock=node.switch.clock)
        install(node.switch, book)
        return node, book

    node, book = make()
    async with running(node):
        one, two = parse_address(place(1)), parse_address(place(2))
        book.add(one, one)
        await until(lambda: path.exists() and one.id in path.read_text())
        monkeypatch.setattr("consensus.p2p.pex.SAVE_PERIOD_S", 3600)
        await asyncio.sleep(0.05)
        book.add(two, two)
        node.switch.ban(node_key("bad").id, 3600, reason="test")
        node.switch.pins["1.2.3.4:5"] = one.id
    document = json.loads(path.read_text())
    assert {row["addr"]["id"] for row in document["addrs"]} == {one.id, two.id}
    again, restored = make()
    assert two.id in restored
    assert again.switch.bans.left_s(node_key("bad").id) > 3500
    assert again.switch.pins == {"1.2.3.4:5": one.id}


def test_no_ban_outlives_a_day_whatever_the_clock_was_when_it_was_written(tmp_path: Path) -> None:
    """One that was written while the clock stood at 2100 held until then."""
    path, bad = tmp_path / "addrbook.json", node_key("bad").id
    node = Node("a", max_outbound_peers=0)
    book = AddressBook(path, strict=False, clock=node.switch.clock)
    book.write(book.snapshot(bans={bad: node.switch.clock() + 80 * 366 * 86_400 * 10**9}))
    install(node.switch, AddressBook(path, strict=False, clock=node.switch.clock))
    assert BAN_MAX_S - 60 < node.switch.bans.left_s(bad) <= BAN_MAX_S


def test_a_clock_that_is_set_ends_no_ban_and_makes_none_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node("a", max_outbound_peers=0, clock=steady_clock())
    node.switch.ban(node_key("bad").id, 60, reason="test")
    now_ns = time.time_ns()
    for off_s in (3_600, -3_600, -now_ns // 10**9):
        monkeypatch.setattr("time.time_ns", lambda off_s=off_s: now_ns + off_s * 10**9)
        assert 50 < node.switch.bans.left_s(node_key("bad").id) <= 60
