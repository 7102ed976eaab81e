"""States in which a node may have to wait for ever, held by whole nodes for days of the simulated clock.

Nothing may fail, end itself or grow meanwhile; and once what was missing is there, blocks are made. How many days:
DCHAT_WAIT_DAYS; `scripts/campaign waiting` holds ten, and real processes for some minutes.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from consensus.simulation import loop as virtual
from consensus.simulation.loop import VirtualLoop
from dchat.simulation.cluster import Cluster
from dchat.simulation.node import SimNode
from dchat.simulation.plan import NEVER_S, Plan

DAY_S = 86_400.0
DAYS = float(os.environ.get("DCHAT_WAIT_DAYS", "0.02"))  # CI: half an hour, past every backoff's longest wait
COMES_BACK_S = 600.0  # redials wait, and time-outs of rounds have grown with the days
HEIGHT = 3


def calm(plan: Plan) -> Plan:
    """Four equal validators, no faults, no liars."""
    return replace(
        plan,
        powers=(10, 10, 10, 10), twin=None, observers=0, slow_ms=(0,) * 4, skew_ms=(0,) * 4, faults_s=0,
        crash_every_s=NEVER_S, blackout_every_s=NEVER_S, disk_fails_every_s=NEVER_S, partition_every_s=NEVER_S,
        reset_every_s=NEVER_S, off_ms=(), drift_ppm=(), wandering=frozenset(), far=frozenset(), late=(), liars=(),
        clock_jumps_every_s=NEVER_S, stall_every_s=NEVER_S, plant_every_s=NEVER_S, stop_every_s=NEVER_S,
    )  # fmt: skip


def tasks_of(cluster: Cluster, nodes: list[SimNode]) -> int:
    return sum(1 for node in nodes for task in (node.life.tasks if node.life else ()) if not task.done())


async def hold(loop: VirtualLoop, first: int) -> None:
    """The first nodes run and wait; then the others come, and blocks must follow."""
    cluster = Cluster(calm(Plan.of(7)), loop)
    waiting, late = cluster.nodes[:first], cluster.nodes[first:]
    for node in waiting:
        cluster._start(node)
    await asyncio.sleep(600)
    tasks, timers = tasks_of(cluster, waiting), len(loop._scheduled)  # type: ignore[attr-defined]
    end_s = loop.now_s + DAYS * DAY_S
    while loop.now_s < end_s:
        await asyncio.sleep(min(3_600, end_s - loop.now_s))
        cluster._raise_if_broken()
        for node in waiting:
            assert node.life is not None
            cluster._check_tasks(node.life)
        assert tasks_of(cluster, waiting) <= tasks + 8
        assert len(loop._scheduled) <= 2 * timers + 100  # type: ignore[attr-defined]
    assert all(cluster.judge.tops.get(node.name, 0) < HEIGHT for node in waiting), "it did not have to wait"
    for node in late:
        cluster._start(node)
    came = await cluster._until(
        lambda: all(cluster.judge.tops.get(node.name, 0) >= HEIGHT for node in cluster.nodes), COMES_BACK_S
    )
    assert came, cluster.judge.tops
    cluster._raise_if_broken()


@pytest.mark.parametrize("first", [pytest.param(1, id="no peers"), pytest.param(2, id="no quorum")])
def test_a_state_that_may_last_for_ever_is_held_for_days(first: int) -> None:
    """audit 7a: a node that waits for its peers dies."""
    virtual.run(lambda loop: hold(loop, first))
