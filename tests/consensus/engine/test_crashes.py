"""Stops without notice: SIGKILL on real disks, and machines that lose what was not synced, in a network."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from consensus.stores.wal import Wal
from consensus.system.disk import OsDisk
from tests.support.engine.bench import (
    SLOW_PROPOSER,
    Home,
    Node,
    Stopped,
    assert_equal_chains,
    genesis_of,
    make_node,
    power_off,
)
from tests.support.engine.crashes import SignKey, collect_signatures
from tests.support.engine.memnet import MemoryNetwork


def run_node(folder: Path, heights: int, *fail: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.support.engine.killed_node", str(folder), str(heights), *fail]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "points",
    [("vote signed", "block saved", "results saved"), ("height ended", "application committed", "state saved")],
    ids=lambda points: points[0],
)
def test_sigkill_on_real_disks_loses_nothing_and_signs_nothing_twice(points: tuple[str, ...], tmp_path: Path) -> None:
    """Failures 3 and 8, with LevelDB: after each kill the next start goes on from there."""
    signatures: dict[SignKey, set[bytes]] = defaultdict(set)
    for point in points:
        killed = run_node(tmp_path, 1_000, point, "4")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        wal = Wal(OsDisk(), tmp_path / "cs.wal", now_ns=lambda: 0)
        collect_signatures(wal, signatures)
        wal.close()
    done = run_node(tmp_path, 3)
    assert done.returncode == 0, done.stderr
    height, app_hash, state_hash = done.stdout.split()[-3:]
    assert int(height) >= 8
    assert app_hash == state_hash
    wal = Wal(OsDisk(), tmp_path / "cs.wal", now_ns=lambda: 0)
    collect_signatures(wal, signatures)
    wal.close()
    assert all(len(found) == 1 for found in signatures.values())


@pytest.mark.parametrize("seed", range(6))
async def test_machines_of_a_network_stop_at_random_places(seed: int) -> None:
    """One of four at a time loses its unsynced data; chains stay equal, and no log shows two signatures."""
    chance = random.Random(seed)
    genesis = genesis_of(4)
    signatures: dict[SignKey, set[bytes]] = defaultdict(set)
    stop_in = {"passages": 0}
    stopped = asyncio.Event()
    victim = 0

    def fail_point_of(index: int) -> object:
        def fail_point(name: str) -> None:
            if index == victim and stop_in["passages"]:
                stop_in["passages"] -= 1
                if not stop_in["passages"]:
                    stopped.set()
                    raise Stopped(name)

        return fail_point

    async def start(index: int, home: Home) -> Node:
        return await make_node(
            genesis,
            index,
            home,
            config=SLOW_PROPOSER,
            late_precommit_wait_ms=5,
            fail_point=fail_point_of(index),  # type: ignore[arg-type]
        )

    network = MemoryNetwork([await start(index, Home()) for index in range(4)])
    await network.start()
    resending = asyncio.create_task(network.resend_for_ever())
    for _ in range(4):
        victim = chance.randrange(4)
        node = network.nodes[victim]
        node.pool.txs.append(b"k%d=%d" % (chance.randrange(5), chance.randrange(1000)))
        stop_in["passages"] = chance.randrange(1, 25)
        async with asyncio.timeout(10):
            await stopped.wait()
        stopped.clear()
        lost = victim
        network.drops = lambda sender, receiver, lost=lost: lost in (sender, receiver)  # type: ignore[misc]
        await power_off(node)
        collect_signatures(node.wal, signatures, bytes([victim]))
        others = [other for index, other in enumerate(network.nodes) if index != victim]
        await asyncio.gather(*(other.reach(other.height + chance.randrange(3)) for other in others))
        again = await start(victim, node.home.crash(chance.choice((0, 50, 10**6))))
        network.replace(victim, again)
        network.drops = lambda sender, receiver: False
        await again.driver.start()
        await network.reach(max(other.height for other in others) + 1)
    resending.cancel()
    await network.stop()
    assert_equal_chains(network.nodes)
    for index, node in enumerate(network.nodes):
        collect_signatures(node.wal, signatures, bytes([index]))
        assert not node.evidence.reported
    assert len(signatures) > 40
    assert [key for key, found in signatures.items() if len(found) != 1] == []
