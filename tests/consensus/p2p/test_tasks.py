"""Tasks of the switch that fail, lines that strangers cause, and answers that strangers ask for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from consensus.p2p.addrbook import DRAWN_PER_TOLD, SELECTION_MAX, AddressBook
from consensus.p2p.conn.address import parse_address
from consensus.p2p.memory import MemoryNetwork
from consensus.p2p.tasks import RESTART_MAX_S
from tests.support.p2p.peers import Node, node_key, running, simulate, until


@pytest.mark.parametrize("failures", [1, 3])
def test_a_service_that_fails_begins_anew_and_ends_nothing_else(failures: int) -> None:
    """audit 6: an exception in one service ended the whole switch; validation went on alone, without a line."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        node = Node("node", sockets=network.sockets("20.0.0.1"), clock=clock, listen_address="20.0.0.1:7")
        other = Node("other", sockets=network.sockets("20.0.0.2"), clock=clock, listen_address="20.0.0.2:7")
        runs = 0
        told: list[str] = []

        async def service() -> None:
            nonlocal runs
            runs += 1
            if runs <= failures:
                raise RuntimeError("on purpose")

        node.switch.add_service("faulty", service)
        node.switch.children.on_failed = lambda name, error: told.append(f"{name} failed: {error}")
        node.switch.children.on_recovered = lambda name: told.append(f"{name} again")
        async with running(node, other):
            await other.switch.dial(parse_address(f"{node.id}@20.0.0.1:7"))
            await until(lambda: runs == failures + 1, timeout_s=RESTART_MAX_S)
            assert len(node.switch.peers) == 1, "the others go on"
            assert node.switch.children.failures == {"faulty": failures}
            assert node.switch.children.failing == {}
        assert told == ["faulty failed: on purpose", "faulty again"] * failures

    simulate(scenario)


def test_what_hears_of_a_failure_may_fail_itself() -> None:
    """audit 6"""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        node = Node("node", sockets=network.sockets("20.0.0.1"), clock=clock, listen_address="20.0.0.1:7")

        async def service() -> None:
            raise RuntimeError("on purpose")

        def deaf(name: str, error: Exception) -> None:
            raise ValueError("and this one too")

        node.switch.add_service("faulty", service)
        node.switch.children.on_failed = deaf
        async with running(node):
            await until(lambda: node.switch.children.failures["faulty"] >= 3, timeout_s=RESTART_MAX_S)
            assert "on purpose" in node.switch.children.failing["faulty"]

    simulate(scenario)


def test_strangers_that_come_and_go_log_a_line_now_and_then() -> None:
    """audit 9: every log line that a peer can cause has a rate, for each and over all ids, which are free to make."""

    async def scenario(clock: Callable[[], int]) -> None:
        network = MemoryNetwork()
        node = Node("node", sockets=network.sockets("20.0.0.1"), clock=clock, listen_address="20.0.0.1:7")
        address = parse_address(f"{node.id}@20.0.0.1:7")
        async with running(node):
            with capture_logs() as lines:
                for number in range(120):
                    stranger = Node(
                        f"{number}", sockets=network.sockets(f"20.1.0.{number}"), clock=clock, listen_address=""
                    )
                    await asyncio.sleep(0.1)  # the gate's rate
                    async with running(stranger):
                        await stranger.switch.dial(address)
                        await until(lambda: node.switch.peers)
                    await until(lambda: not node.switch.peers)
        ours = [
            line
            for line in lines
            if line["event"] in {"connected a peer", "lost a peer"} and line.get("peer") != node.id
        ]
        assert 0 < len(ours) < 240 / 2

    simulate(scenario)


def test_an_answer_costs_what_it_tells_not_what_the_book_holds() -> None:
    """audit 12: a request, of which each connection has two free, shuffled the whole book."""
    asked = 0

    def is_banned(peer_id: str) -> bool:
        nonlocal asked
        asked += 1
        return False

    book = AddressBook(None, strict=True, clock=lambda: 0, rng=random.Random(1))
    rng = random.Random(2)
    for number in range(20_000):
        ip = f"{rng.randrange(20, 100)}.{rng.randrange(256)}.1.1"
        source = parse_address(f"{node_key('source').id}@{rng.randrange(20, 100)}.{number % 256}.1.1:1")
        book.add(parse_address(f"{number:040x}@{ip}:1"), source)
    assert len(book) > 10_000
    book.is_banned = is_banned
    told = book.selection()
    assert len(told) == len(set(told)) == SELECTION_MAX
    assert asked <= DRAWN_PER_TOLD * SELECTION_MAX
