"""What fails in gossip for one peer costs that peer, and what a peer makes us read has a pace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from consensus.channels import peer_messages as m
from consensus.core.events import Step
from consensus.gossip.old_blocks import ROOM_MIN
from consensus.gossip.sending import DISK_NS, LOOK_AGAIN_NS, OLD_HEIGHT_EVERY_NS
from consensus.system.clock import ThreadWorkers
from consensus.types.parts import PART_BYTES
from tests.support.gossip.fakes import ConsensusMesh
from tests.support.gossip.network import FakePeer

STOCK = frozenset({0x20, 0x21, 0x22, 0x23})


def breaks(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("planted")


def breaks_push(mesh: ConsensusMesh, victim: FakePeer) -> None:
    """Whenever something is pushed to this peer."""
    gossip = mesh.nodes[0].reactor._gossip
    good = gossip.push
    gossip.push = lambda state: breaks() if state.peer is victim else good(state)  # type: ignore[method-assign]


def breaks_send(mesh: ConsensusMesh, victim: FakePeer) -> None:
    victim.try_send = breaks  # type: ignore[method-assign]


@pytest.mark.parametrize("plant", [breaks_push, breaks_send])
def test_what_fails_for_one_peer_costs_that_peer(plant: Callable[[ConsensusMesh, FakePeer], None]) -> None:
    """audit 6 and 9: it ended consensus from a listener, or the others' gossip from a timer."""
    mesh = ConsensusMesh(count=4)
    mesh.network.full_mesh()
    mesh.start()
    first = mesh.nodes[0].host
    victim = first.peers[0]
    plant(mesh, victim)
    mesh.run_to(3, nodes=(0, 2, 3))
    assert victim.id in {dropped for dropped, _, _ in first.dropped}
    assert {dropped for dropped, _, _ in first.dropped} == {victim.id}
    mesh.run_to(9, nodes=(0, 2, 3), seconds=600)  # every validator's vote counts three of four: it goes on


@pytest.mark.parametrize("name", ["_tell_step", "_announce", "_check_stall"])
def test_a_turn_that_fails_is_followed_by_the_next(name: str) -> None:
    """audit 9: the timers of the node as a whole go on, though one turn of them failed."""
    mesh = ConsensusMesh()
    mesh.network.full_mesh()
    node = mesh.nodes[0]
    peer = FakePeer("a" * 40, STOCK)
    node.driver.paused = True
    node.driver.begin(1)
    node.reactor.add_peer(peer)
    calls = 0
    reactor: Any = node.reactor
    inner = {"_tell_step": "_step_message", "_announce": "_holdings", "_check_stall": "_announce"}[name]
    good = getattr(reactor, inner)

    def once(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return breaks() if calls == 1 else good(*args, **options)

    setattr(reactor, inner, once)
    node.reactor.start()
    for round in range(1, 6):
        node.driver.enter(round, Step.PROPOSE)
        reactor._plan_announcement()
        mesh.clock.advance(3)
    assert calls > 1
    assert peer.take(0x20)


def test_old_heights_are_read_no_faster_than_a_peer_could_take_them_over() -> None:
    """audit 14: a peer that walks its claimed height upwards made us read a block of the disk a step, on the loop."""
    mesh = ConsensusMesh(block_bytes=PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(60)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    mesh.clock.advance(1)
    node.reactor.add_peer(peer)
    reads = 0
    good = node.driver.blocks.load_meta

    def load_meta(height: int) -> Any:
        nonlocal reads
        reads += 1
        return good(height)

    node.driver.blocks.load_meta = load_meta  # type: ignore[method-assign]
    for height in range(1, 50):
        node.reactor.receive(0x20, peer, m.NewRoundStep(height, 0, 8, 0, 0 if height > 1 else -1).encode())
    assert reads == 1
    peer.sent.clear()
    mesh.clock.advance(2 * OLD_HEIGHT_EVERY_NS / 10**9)
    assert reads == 2  # where it is at last, and served there
    assert peer.take(0x22)


def test_what_is_read_for_a_peer_is_charged_to_it_whoever_has_the_turn() -> None:
    """audit 14: what a timer or a queue with room made us read was free; forty strangers who walk through old heights
    took the whole loop, 4 MB of a block each five milliseconds and peer."""
    mesh = ConsensusMesh(block_bytes=3 * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(30)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    mesh.clock.advance(1)
    node.reactor.add_peer(peer)
    blocks, read_ns = node.driver.blocks, 1_000_000

    def slow(read: Any, *arguments: Any) -> Any:
        mesh.clock._now_ns += read_ns
        return read(*arguments)

    for name in ("load_meta", "load_part"):
        setattr(blocks, name, partial(slow, getattr(blocks, name)))
    node.reactor.receive(0x20, peer, m.NewRoundStep(5, 0, 8, 0, 0).encode())
    height_ns = 4 * read_ns + DISK_NS
    assert peer.cpu_ns == height_ns  # where it is, and three parts
    node.reactor.receive(0x20, peer, m.NewRoundStep(6, 0, 8, 0, 0).encode())
    assert peer.cpu_ns == height_ns
    mesh.clock.advance(2 * OLD_HEIGHT_EVERY_NS / 10**9)  # a timer's turn
    assert peer.cpu_ns == 2 * height_ns
    peer.sent.clear()
    peer.room = 0
    mesh.clock.advance(2 * OLD_HEIGHT_EVERY_NS / 10**9)
    node.reactor.receive(0x20, peer, m.NewRoundStep(7, 0, 8, 0, 0).encode())
    spent, peer.room = peer.cpu_ns, 1_000
    node.reactor.writable(0x21, peer)
    assert peer.cpu_ns == spent + 3 * read_ns


def test_a_peer_does_not_pay_for_a_busy_machine_that_reads_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 14: what the clock on the wall said was charged: where others had the core, whoever caught up was not read
    from for ten seconds, and with it all strangers."""
    mesh = ConsensusMesh(block_bytes=3 * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(30)
    mesh.clock.advance(1)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    node.reactor.add_peer(peer)
    blocks, worked_ns = node.driver.blocks, 0

    def slow(read: Any, *arguments: Any) -> Any:
        nonlocal worked_ns
        worked_ns += 1_000
        mesh.clock._now_ns += 50_000_000
        return read(*arguments)

    monkeypatch.setattr(mesh.clock, "work_ns", lambda: worked_ns)
    for name in ("load_meta", "load_part"):
        setattr(blocks, name, partial(slow, getattr(blocks, name)))
    node.reactor.receive(0x20, peer, m.NewRoundStep(5, 0, 8, 0, 0).encode())
    assert peer.take(0x21)
    assert peer.cpu_ns == 4_000 + DISK_NS


class Uncut:
    """Blocks of a store that has cut none. cuts: of which heights it is asked to, and whether that holds the loop."""

    def __init__(self, blocks: Any) -> None:
        self.cuts: list[tuple[int, bool]] = []
        self.at_hand: set[int] = set()
        load_parts, load_part = blocks.load_parts, blocks.load_part

        def cut(height: int) -> Any:
            if height not in self.at_hand:
                self.at_hand.add(height)
                self.cuts.append((height, threading.current_thread() is threading.main_thread()))
            return load_parts(height)

        def one(height: int, index: int) -> Any:
            cut(height)
            return load_part(height, index)

        blocks.load_parts, blocks.load_part, blocks.has_parts = cut, one, self.at_hand.__contains__


async def test_a_large_old_block_is_cut_in_a_thread_and_only_for_who_takes_much_of_it() -> None:
    """audit 21: each time that one was not at hand the loop stood still for 33 to 66 ms, with several peers behind for
    every part of it."""
    workers = ThreadWorkers()
    mesh = ConsensusMesh(block_bytes=6 * PART_BYTES, workers=workers)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(30)
    mesh.clock.advance(1)
    node = mesh.nodes[0]
    uncut = Uncut(node.driver.blocks)
    peer, full = FakePeer("a" * 40, STOCK), FakePeer("b" * 40, STOCK, room=ROOM_MIN + 20)
    full.sent.extend([(0x22, b"")] * 30)

    async def sent(to: FakePeer, count: int) -> None:
        async with asyncio.timeout(60):
            while to.count_sent[0x21] < count:
                mesh.clock.advance(LOOK_AGAIN_NS / 10**9)
                await asyncio.sleep(
                    0.001
                )  # the thread gets the interpreter; hours of the mesh would fill the peer's queue

    for height, one in ((5, peer), (7, full)):
        node.reactor.add_peer(one)
        node.reactor.receive(0x20, one, m.NewRoundStep(height, 0, 8, 0, 0).encode())
    await sent(peer, 6)
    assert uncut.cuts == [(5, False)]
    full.take()
    await sent(full, 6)
    assert uncut.cuts == [(5, False), (7, False)]
    assert peer.count_sent[0x21] == full.count_sent[0x21] == 6
    assert peer.cpu_ns > 0
    node.reactor.stop()
    workers.close()


async def test_who_is_behind_at_a_block_that_cannot_be_read_is_dropped_alone() -> None:
    """audit 6"""
    mesh = ConsensusMesh(block_bytes=6 * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(30)
    mesh.clock.advance(1)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    blocks: Any = node.driver.blocks
    blocks.has_parts, blocks.load_parts = lambda height: False, breaks
    node.host.links[peer.id] = peer
    node.reactor.add_peer(peer)
    node.reactor.receive(0x20, peer, m.NewRoundStep(5, 0, 8, 0, 0).encode())
    for _ in range(10):
        mesh.clock.advance(0.01)
        await asyncio.sleep(0)
    assert [(id, why) for id, why, _ in node.host.dropped] == [
        (peer.id, "consensus gossip failed: ZeroDivisionError('planted')")
    ]
