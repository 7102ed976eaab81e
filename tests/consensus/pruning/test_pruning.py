"""Pruning: what must stay stays, what may go goes with its disk, and a stop at any write of it is harmless."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from consensus.abci.interface import Slices
from consensus.execution.executor import drive
from consensus.formats.units import NS_PER_S
from consensus.pruning.background import STEPS_PER_SLICE, Pruner
from consensus.pruning.blocks import BlockPruning
from consensus.pruning.needs import Holds, Need, first_since
from consensus.simulation.disk import Stopped
from consensus.simulation.home import SimStore
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import LoopClock, ThreadWorkers
from storage.leveldb import LevelStore
from tests.support.engine.bench import Home, StopAt, genesis_of, make_node, power_off, until
from tests.support.engine.pruned import KEPT, NEVER, PrunedNode, Recorded, Struck, record

HEIGHTS = 24


@pytest.fixture(scope="module")
def chain() -> Recorded:
    return asyncio.run(record(HEIGHTS))


def new_store() -> SimStore:
    return SimStore(models_crashes=True)


def live(node: PrunedNode, rng: random.Random) -> None:
    """Save what is recorded, and prune beside it: between two writes of the one come steps of the other."""
    steps: Slices[bool] | None = None
    while node.height < HEIGHTS:
        node.save_next()
        for _ in range(rng.randrange(rng.choice((3, 12, 200)))):
            if steps is None:
                steps = node.begin()
            if next(steps, "done") == "done":
                steps = None


@pytest.mark.parametrize("seed", range(60))
def test_a_stop_at_any_write_is_harmless(chain: Recorded, seed: int) -> None:
    """Whatever a machine that stops takes of what was not synced: each height from the base on is whole, the base never
    goes back below what was deleted, and the next life leaves nothing behind."""
    rng = random.Random(seed)
    node = PrunedNode(chain, new_store(), new_store(), Struck(0))
    for _ in range(3):
        strike = Struck(rng.randrange(1, 300))
        node = node.crashed_by(rng, strike)
        with contextlib.suppress(Stopped):
            live(node, rng)
        for db in node.dbs:
            db.touch = lambda what: None
    node = node.crashed_by(rng, Struck(0))
    if node.blocks.height > node.height:
        node.save_next()
    node.check()
    live(node, rng)
    asyncio.run(drive(node.pruning.at_rest(HEIGHTS - KEPT + 1)))
    node.check()
    assert node.blocks.base == HEIGHTS - KEPT + 1
    assert node.leftovers() == []


def test_every_write_of_a_prune_at_rest_may_be_the_last(chain: Recorded) -> None:
    """All of them in turn: `dchat database prune`."""
    whole = PrunedNode(chain, new_store(), new_store(), Struck(0))
    while whole.height < HEIGHTS:
        whole.save_next()
    pairs = [dict(db.scan()) for db in whole.dbs]
    at = 1
    while True:
        blocks, states = (SimStore(dict(stored), models_crashes=True) for stored in pairs)
        strike = Struck(0)
        node = PrunedNode(chain, blocks, states, strike)
        strike.at = strike.touches + at
        try:
            asyncio.run(drive(node.pruning.at_rest(HEIGHTS - KEPT + 1)))
            break
        except Stopped:
            pass
        strike.at = 0
        again = node.crashed_by(random.Random(at), Struck(0))
        again.check()
        assert again.blocks.base in (1, HEIGHTS - KEPT + 1)
        asyncio.run(drive(again.pruning.at_rest(HEIGHTS - KEPT + 1)))
        again.check()
        assert again.leftovers() == []
        at += 1
    assert at > 60


@pytest.mark.parametrize(
    ("retain", "floor", "young_s", "held", "want"),
    [
        pytest.param(0, 20, 0, None, Need(1, "the options"), id="the application lets nothing go"),
        pytest.param(15, 20, 0, None, Need(15, "the options"), id="as far as it says"),
        pytest.param(15, 7, 0, None, Need(8, "evidence"), id="evidence can still accuse"),
        pytest.param(15, 20, 1_000, None, Need(1, "unbonding"), id="all is young"),
        pytest.param(15, 20, 0, 6, Need(6, "held: snapshot 6"), id="a snapshot is served"),
        pytest.param(23, 30, 0, None, Need(20, "restarts, and peers that are behind"), id="the last ones always"),
    ],
)
def test_who_needs_the_lowest_decides(
    chain: Recorded, retain: int, floor: int, young_s: int, held: int | None, want: Need
) -> None:
    node = PrunedNode(chain, new_store(), new_store(), Struck(0))
    while node.height < HEIGHTS:
        node.save_next()
    holds = Holds()
    holds.hold("snapshot 9", 9)
    if held is not None:
        holds.hold(f"snapshot {held}", held)
    else:
        holds.release("snapshot 9")
    pruning = BlockPruning(
        node.blocks, node.states, retain_height=lambda: retain, evidence_floor=lambda: floor,
        keep_ns=lambda: young_s * NS_PER_S, holds=holds, kept_min=5,
    )  # fmt: skip
    assert asyncio.run(drive(pruning.limit_at(chain.states[-1]))) == want


@pytest.mark.parametrize("since", [0, 1, 5, 24])
def test_the_first_block_of_a_time_is_found(chain: Recorded, since: int) -> None:
    node = PrunedNode(chain, new_store(), new_store(), Struck(0))
    while node.height < HEIGHTS:
        node.save_next()
    time_ns = chain.blocks[max(0, since - 1)].header.time_ns if since else 0
    assert asyncio.run(drive(first_since(node.blocks, 1, HEIGHTS, time_ns))) == max(1, since)


def test_a_transaction_that_a_later_block_has_too_is_found_there() -> None:
    db = new_store()
    states = StateStore(db)
    states.save_response(3, b"three", [b"a" * 32, b"b" * 32])
    states.save_response(9, b"nine", [b"a" * 32])
    states.forget_txs(3, [b"a" * 32, b"b" * 32])
    assert states.find_tx(b"a" * 32) == (9, 0)
    assert states.find_tx(b"b" * 32) is None


class Steps:
    """A job of so many steps, whose threads it remembers."""

    def __init__(self, steps: int, fails_at: int = -1) -> None:
        self.left, self.fails_at, self.rounds = steps, fails_at, 0

    def begin(self, state: State) -> Slices[bool]:
        self.rounds += 1
        return self._round()

    def _round(self) -> Slices[bool]:
        while self.left:
            if self.left == self.fails_at:
                self.fails_at = -1
                raise OSError("the disk")
            self.left -= 1
            yield
        return False


def saved(height: int) -> Any:
    return cast(Any, SimpleNamespace(height=height, state=None))


async def test_work_is_done_in_slices_between_which_others_have_their_turn() -> None:
    """However much there is: a slice has a bounded number of steps, and the loop goes on between two of them."""
    job, workers, turns = Steps(10 * STEPS_PER_SLICE), ThreadWorkers(1), 0
    pruner = Pruner((job,), workers, LoopClock(), every=2)
    pruner.block_saved(saved(1))
    assert pruner.is_idle
    pruner.block_saved(saved(2))
    while not pruner.is_idle:
        await asyncio.sleep(0)
        turns += 1
    assert job.left == 0
    assert turns >= 10
    await pruner.stop()
    workers.close()


async def test_what_fails_is_told_and_begun_anew() -> None:
    failures: list[int] = []
    job, workers = Steps(100, fails_at=50), ThreadWorkers(1)
    pruner = Pruner((job,), workers, LoopClock(), every=1, on_failed=lambda: failures.append(1))
    pruner.block_saved(saved(1))
    await until(lambda: pruner.is_idle)
    assert (failures, job.left) == ([1], 50)
    pruner.block_saved(saved(2))
    await until(lambda: pruner.is_idle)
    assert (job.left, job.rounds) == (0, 2)
    workers.close()


async def test_a_stop_waits_for_one_slice_only() -> None:
    job, workers = Steps(10_000_000), ThreadWorkers(1)
    pruner = Pruner((job,), workers, LoopClock(), every=1)
    pruner.block_saved(saved(1))
    await asyncio.sleep(0)
    await pruner.stop()
    assert job.left > 10_000_000 - 3 * STEPS_PER_SLICE
    pruner.block_saved(saved(2))
    assert pruner.is_idle
    workers.close()


@pytest.mark.parametrize("point", ["block saved", "results saved", "application committed", "state saved"])
async def test_a_pruning_node_comes_back_from_a_power_loss(point: str) -> None:
    """Blocks, state and application are of one height again, whatever was being pruned."""
    home, genesis = Home(), genesis_of(1)
    for passage in (9, 5):
        stop = StopAt(point, passage)
        node = await make_node(genesis, 0, home, retain_blocks=3, fail_point=stop)
        node.pool.txs = [b"k%d-%d=1" % (passage, number) for number in range(50)]
        node.pool.per_block = 2
        await node.driver.start()
        await asyncio.wait_for(stop.stopped.wait(), 20)
        await power_off(node)
        await node.pruner.stop()
        home = home.crash()
    node = await make_node(genesis, 0, home, retain_blocks=3)
    reached = node.height
    await node.driver.start()
    await node.reach(reached + 8)
    await node.driver.stop()
    await node.pruner.stop()
    assert node.executor.blocks.base > 4
    assert node.executor.blocks.lowest_stored() > 2


def test_sigkill_while_pruning_on_real_disks_is_harmless(tmp_path: Path) -> None:
    """LevelDB itself: killed three times with a prune under way, it goes on, and has forgotten what it should."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.support.engine.killed_node", str(tmp_path), *arguments, "--retain", "3"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    for point, passage in (("state saved", "30"), ("results saved", "20"), ("block saved", "20")):
        killed = run("1000", point, passage)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run("3")
    assert done.returncode == 0, done.stderr
    height, app_hash, state_hash = done.stdout.split()[-3:]
    assert app_hash == state_hash
    dbs = [LevelStore(str(tmp_path / name)) for name in ("blocks", "state")]
    blocks, states = BlockStore(dbs[0]), StateStore(dbs[1])
    assert 1 < blocks.base <= blocks.height == int(height)
    pruning = BlockPruning(blocks, states, retain_height=lambda: 0, evidence_floor=lambda: NEVER)
    asyncio.run(drive(pruning.at_rest(int(height) - 2)))
    assert blocks.lowest_stored() == blocks.base == int(height) - 2
    for db in dbs:
        db.close()


def test_a_hold_moves_and_ends() -> None:
    holds = Holds()
    holds.hold("a", 5)
    holds.hold("a", 7)
    holds.hold("b", 3)
    assert sorted(holds.needs()) == [Need(3, "held: b"), Need(7, "held: a")]
    holds.release("b")
    holds.release("never there")
    assert holds.needs() == [Need(7, "held: a")]


def test_the_base_is_raised_in_memory_and_on_disk_with_the_next_block(chain: Recorded) -> None:
    """What a stop would bring back is not deleted."""
    node = PrunedNode(chain, new_store(), new_store(), Struck(0))
    while node.height < 10:
        node.save_next()
    node.blocks.raise_base(6)
    assert (node.blocks.base, node.blocks.saved_base) == (6, 1)
    with pytest.raises(AssertionError):
        node.blocks.delete(3)
    node.save_next()
    assert node.blocks.saved_base == 6
    assert BlockStore(node.dbs[0]).base == 6
    assert node.blocks.delete(3) > 0


def test_headers_that_a_state_sync_kept_stay_until_its_blocks_go(chain: Recorded) -> None:
    """They lie below the base, where what a stop left does too; evidence needs them."""
    node = PrunedNode(chain, new_store(), new_store(), Struck(0))
    while node.height < 12:
        node.save_next()
    blocks = node.dbs[0]
    node.blocks.raise_base(8, is_at_rest=True)
    blocks.write([(prefix + height.to_bytes(8, "big"), None) for height in range(1, 8) for prefix in (b"b", b"n")])
    node = PrunedNode(chain, *node.dbs, Struck(0))
    while node.height < 20:
        node.save_next()
        node.pruning._retain_height = lambda: 8
        asyncio.run(drive(node.pruning.begin(chain.states[node.height - 1])))
    assert [node.blocks.load_meta(height) is not None for height in (1, 7)] == [True, True]
    while node.height < HEIGHTS:
        node.save_next()
        node.pruning._retain_height = lambda: 10
        asyncio.run(drive(node.pruning.begin(chain.states[node.height - 1])))
    assert node.blocks.lowest_stored() == node.blocks.base == 10


def test_the_sets_that_kept_heights_are_made_from_stay(chain: Recorded) -> None:
    states = StateStore(new_store())
    states.save(chain.genesis, all_sets=True)
    for state in chain.states:
        states.save(state)
    for number in range(60):  # of a chain whose set changes often
        key = b"v" + (100 + number).to_bytes(8, "big")
        states._db.write([(key, chain.genesis.validators.encode())])
    while states.forget_sets(140, 7):
        pass
    left = [int.from_bytes(key[1:], "big") for key, _ in states._db.scan(b"v", b"w")]
    assert left == list(range(140, 160))
