"""Block sync runs again, after consensus fell behind."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.formats.units import NS_PER_S
from consensus.node.gossip import Gossip
from consensus.sync.blocks import BlockSyncReactor
from tests.support.gossip.network import ManualClock
from tests.support.sync.blocks import Sync, chain
from tests.support.sync.blocks import sync as sync  # noqa: PLC0414 - the fixture


async def again(sync: Sync, seconds: float) -> int | None:
    sync.clock.advance(5)  # in consensus
    sync.task = None
    return await sync.run(seconds)


@pytest.mark.parametrize("peers", [1, 3])
async def test_what_came_since_is_fetched(sync: Sync, peers: int) -> None:
    blocks = chain(120)
    stores = [sync.add(blocks[:40])._blocks for _ in range(peers)]
    assert await sync.run(10) == 39
    for store in stores:
        store.blocks.update({block.height: block for block in blocks})
    assert await again(sync, 10) == 80  # what the peers had said before is not believed
    assert sync.height == 119
    assert sync.banned() == set()
    assert await again(sync, 10) == 0


class Late(BlockSyncReactor):
    """Holds its answers back until it is told."""

    held: list[tuple[Any, int]]

    def _serve(self, peer: Any, height: int) -> None:
        self.__dict__.setdefault("held", []).append((peer, height))


async def test_what_was_asked_for_in_the_run_before_may_come_in_the_next(sync: Sync) -> None:
    blocks = chain(120)
    honest = sync.add(blocks[:40])._blocks
    late = sync.add(blocks[:40], Late)
    assert await sync.run(60) == 39
    assert late.held
    honest.blocks.update({block.height: block for block in blocks})
    late._blocks.blocks.update({block.height: block for block in blocks})
    assert await again(sync, 0.2) is None
    for peer, height in late.held:
        peer.try_send(BLOCK_SYNC_CHANNEL, m.BlockResponse(blocks[height - 1].encode()).encode())
    assert await sync.run(60) == 80
    assert sync.banned() == set()


async def passes(clock: ManualClock, seconds: float) -> None:
    until_ns = clock.monotonic_ns() + round(seconds * NS_PER_S)
    fired = True
    while fired:
        for _ in range(20):
            await asyncio.sleep(0)
        fired = clock.fire_next(until_ns)


class Sides:
    """What `Gossip` hands to and fro between, and in which order."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.seen: list[str] = []
        self.height, self.target, self.fails = 100, 100, False

    def gossip(self) -> Gossip:
        async def run() -> int:
            self.seen.append("sync")
            applied, self.height = max(0, self.target - self.height), max(self.height, self.target)
            return applied

        async def start() -> None:
            self.seen.append("start")

        async def leave() -> None:
            self.seen.append("leave")
            if self.fails:
                driver.failure = RuntimeError("disk")

        driver: Any = SimpleNamespace(failure=None, halted=None, start=start, leave=leave)
        note = self.seen.append
        parts: dict[str, Any] = {
            "driver": driver,
            "sync": SimpleNamespace(run=run),
            "consensus": SimpleNamespace(start=lambda: note("gossip"), stop=lambda: note("no gossip")),
            "mempool": SimpleNamespace(set_receiving=lambda on: note("mempool" if on else "no mempool")),
        }
        none: Any = None
        rest = dict.fromkeys(("extension", "evidence", "snapshots", "backfill", "network"), none)
        made = Gossip(**parts, **rest, clock=self.clock, fatal=lambda code, line: note(line))
        sides = self

        class Watched(Gossip):
            def highest_peer(self) -> int:
                self.driver.state = SimpleNamespace(last_block_height=sides.height)
                return sides.target

        made.__class__ = Watched
        driver.state = SimpleNamespace(last_block_height=self.height)
        return made


BEGIN, END = ["sync", "mempool", "start", "gossip"], ["no mempool", "no gossip", "leave"]


async def test_a_node_that_falls_far_behind_fetches_blocks_and_takes_part_again() -> None:
    sides = Sides()
    gossip = sides.gossip()
    await gossip.start()
    await passes(sides.clock, 4)
    assert sides.seen == ["no mempool", *BEGIN]
    sides.target = 110  # consensus mends that
    await passes(sides.clock, 30)
    assert sides.seen == ["no mempool", *BEGIN]
    sides.target = 900
    with capture_logs() as said:
        await passes(sides.clock, 10)
    assert sides.seen == ["no mempool", *BEGIN, *END, *BEGIN]
    assert [(line["height"], line["target"]) for line in said if line["event"].startswith("fell behind")] == [
        (100, 900)
    ]
    assert gossip._begins is not None
    gossip._begins.cancel()


async def test_a_node_whose_consensus_failed_while_it_was_left_does_not_go_on() -> None:
    sides = Sides()
    gossip = sides.gossip()
    sides.fails = True
    await gossip.start()
    await passes(sides.clock, 1)
    sides.target = 900
    await passes(sides.clock, 40)  # the first sync had brought nothing: it rests
    assert sides.seen == ["no mempool", *BEGIN, *END]
    assert gossip._begins is not None
    assert gossip._begins.done()
