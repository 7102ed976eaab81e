"""Snapshots beside everything else: at which heights, in slices with a rest after each, one at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain.state import snapshot
from consensus.simulation.disk import SimulatedDisk
from consensus.system.clock import InlineWorkers
from dchat.app.snapshots import Shelf
from dchat.retention.room import LittleRoom
from dchat.statesync.maker import REST_S, SnapshotMaker, is_ours
from tests.support.economy.life import Life
from tests.support.p2p.peers import pass_time, simulate, until
from tests.support.statesync.world import LoopTime

FOLDER = Path("/home/data/snapshots")


class Saved:
    def __init__(self, height: int) -> None:
        self.height = height


class Counting(InlineWorkers):
    jobs = 0

    def run(self, work: Any) -> Any:
        self.jobs += 1
        return super().run(work)


class Node:
    def __init__(self, *, interval: int = 4, kept: int = 2) -> None:
        self.life, self.disk, self.workers = Life(5, twin=False), SimulatedDisk(), Counting()
        self.held: list[int] = []
        self.shelf = Shelf(self.disk, FOLDER)
        self.maker = SnapshotMaker(
            self.life.app.stores, self.shelf, LoopTime(), self.workers, interval=interval, kept=kept,
            hold=self.held.append,
        )  # fmt: skip

    def block(self) -> None:
        self.life.step()
        saved: Any = Saved(self.life.height)
        self.maker.block_saved(saved)

    async def rest(self) -> None:
        await until(lambda: self.maker._running is None, timeout_s=600)


def test_every_so_many_heights_and_the_newest_stay() -> None:
    async def scenario(_: Any) -> None:
        node = Node()
        for _ in range(13):
            node.block()
            await node.rest()
        assert node.shelf.heights == [8, 12]
        assert node.held[-1] == 8
        assert node.shelf.offers()[0].hash == Shelf(node.disk.crashed(), FOLDER).offers()[0].hash

    simulate(scenario)


@pytest.mark.parametrize(
    ("latest", "heights", "stay"),
    [
        pytest.param(13, [4, 8, 12], [4, 8, 12], id="its own"),
        pytest.param(9, [4, 8], [4, 8], id="restored to an older height"),
        pytest.param(13, [4, 12], [4, 12], id="one that a mended build executes otherwise"),
        pytest.param(12, [4, 8], [4, 8], id="the last one, which no header is above yet"),
    ],
)
def test_what_is_not_of_the_chain_is_offered_no_more(latest: int, heights: list[int], stay: list[int]) -> None:
    """After a rollback, a restore or an import: who offers a state that no header has is taken for a liar, and later
    heights of before pushed the new ones off the shelf."""

    async def scenario(_: Any) -> None:
        node = Node(kept=3)
        while node.life.height < 13:
            node.block()
            await node.rest()
        assert node.shelf.heights == [4, 8, 12]
        hashes = {kept.manifest.height: kept.manifest.app_hash for kept in node.shelf._kept.values()}
        ours = {height: hashes[height] if height in heights else b"other" for height in hashes}

        def load_meta(height: int) -> Any:
            return SimpleNamespace(header=SimpleNamespace(app_hash=ours[height - 1])) if height <= latest else None

        state = SimpleNamespace(last_block_height=latest, app_hash=ours.get(latest, b""))
        stores, states = SimpleNamespace(latest_version=latest), SimpleNamespace(load=lambda: state)
        judge: Any = is_ours
        gone = node.shelf.keep_those(judge(stores, SimpleNamespace(load_meta=load_meta), states))
        assert node.shelf.heights == stay == sorted({4, 8, 12} - set(gone))
        assert Shelf(node.disk.crashed(), FOLDER).heights == stay

    simulate(scenario)


def test_none_are_made_where_the_interval_is_0() -> None:
    async def scenario(_: Any) -> None:
        node = Node(interval=0)
        for _ in range(3):
            node.block()
        await pass_time(1)
        assert not node.workers.jobs
        assert not node.disk.files

    simulate(scenario)


def test_each_slice_has_its_rest_and_the_state_is_that_of_the_height(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a snapshot may take of a node: a slice a rest, however large the state is. Blocks go on meanwhile."""
    monkeypatch.setattr(snapshot, "ENTRIES_PER_SLICE", 5)

    async def scenario(clock: Any) -> None:
        node = Node(interval=8)
        for _ in range(8):
            node.block()
        hash_at_8 = node.life.app.stores.app_hash
        began = clock()
        for _ in range(5):
            node.block()  # the state moves on
        await node.rest()
        assert node.workers.jobs > 30
        assert (clock() - began) / 1e9 >= (node.workers.jobs - 3) * REST_S
        (kept,) = node.shelf._kept.values()
        assert kept.manifest.height == 8
        assert kept.manifest.app_hash == hash_at_8

    simulate(scenario)


def test_a_height_that_comes_while_one_is_written_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "ENTRIES_PER_SLICE", 5)

    async def scenario(_: Any) -> None:
        node = Node(interval=2)
        for _ in range(5):
            node.block()
        await node.rest()
        assert node.shelf.heights == [2]
        node.block()
        await node.rest()
        assert node.shelf.heights == [2, 6]

    simulate(scenario)


def test_a_stop_leaves_nothing_running_and_a_failure_is_counted() -> None:
    async def scenario(_: Any) -> None:
        node = Node(interval=1)
        node.block()
        await node.maker.stop()
        assert node.maker._running is None
        assert not node.shelf.heights

        def full(action: str, path: Path) -> None:
            raise OSError("no space left on the device")

        node.disk.hook = full
        node.block()
        await node.rest()
        assert node.shelf.metrics.failed == 1
        assert node.maker._faults.down == {"snapshots": "OSError: no space left on the device"}
        node.disk.hook = lambda action, path: None
        node.block()
        await node.rest()
        assert node.maker._faults.down == {}
        assert node.shelf.heights == [3]
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    simulate(scenario)


def test_where_room_runs_out_meanwhile_it_is_given_up_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of a large state would bring the node to the floor at which it stops."""
    monkeypatch.setattr(snapshot, "ENTRIES_PER_SLICE", 5)
    looks: list[int] = []

    def check_room() -> None:
        looks.append(1)
        if len(looks) == 4:
            raise LittleRoom("300.0 MB are free")

    async def scenario(_: Any) -> None:
        node = Node(interval=1)
        node.maker._check_room = check_room
        for failed, heights in ((1, []), (1, [2])):
            node.block()
            await node.rest()
            assert (node.shelf.metrics.failed, node.shelf.heights) == (failed, heights)
            assert len(node.disk.names(FOLDER)) == 2 * len(heights)

    simulate(scenario)
