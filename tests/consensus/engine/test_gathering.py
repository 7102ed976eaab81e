"""A height waits for more transactions only where a larger block is worth it: few of them, and more keep coming."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.core.events import Elapsed, Step
from consensus.engine.incoming.inputs import TimedOut
from consensus.engine.timers import GATHERED_TXS, WORTH_TXS, Gathering
from consensus.formats.units import NS_PER_MS
from tests.support.engine.bench import FAST, Home, Node, genesis_of, make_node, until

WAIT_MS = 100


@pytest.mark.parametrize(
    ("looks", "want"),
    [
        pytest.param([(5, 0)], [0], id="empty: at once"),
        pytest.param([(5, GATHERED_TXS)], [0], id="a block's worth: at once"),
        pytest.param([(100, 3)], [0], id="the last commit is old enough"),
        pytest.param([(5, 3), (30, 3)], [25, 0], id="none came between two looks"),
        pytest.param([(5, 3), (30, 4), (55, 4)], [25, 25, 0], id="some came, then none"),
        pytest.param([(5, 3), (30, 4), (55, GATHERED_TXS)], [25, 25, 0], id="until there are enough"),
        pytest.param([(80, 3), (100, 9)], [20, 0], id="no longer than that"),
        pytest.param([(5, 3), (10, 3), (30, 4)], [25, 20, 25], id="asked before the next look is due"),
        pytest.param([(5, 3), (30, 2)], [25, 0], id="some left"),
    ],
)
def test_how_long_is_waited(looks: list[tuple[int, int]], want: list[int]) -> None:
    """looks: (ms since the decision, transactions that wait); want: ms until the next look, 0: begin."""
    gathering = Gathering(WAIT_MS)
    gathering.start(7 * NS_PER_MS, 1)
    assert [gathering.more_ns(waiting, (7 + at) * NS_PER_MS) // NS_PER_MS for at, waiting in looks] == want


def test_each_height_waits_anew_and_none_where_it_is_off() -> None:
    gathering = Gathering(WAIT_MS)
    for begin in (0, 10 * NS_PER_MS):
        gathering.start(begin, WORTH_TXS)
        assert gathering.more_ns(3, begin) == 25 * NS_PER_MS
    off = Gathering(0)
    off.start(0, 1)
    assert off.more_ns(3, 0) == 0


@pytest.mark.parametrize(
    ("blocks", "want"),
    [
        pytest.param([(0, 9), (100, 100)], 100, id="so many that a block of them costs little more than they do"),
        pytest.param([(0, 9), (100, 900)], 100, id="more"),
        pytest.param([(0, 9), (100, 50)], 25, id="half as many: a fourth of it"),
        pytest.param([(0, 9), (50, 25), (100, 25)], 25, id="likewise, in smaller blocks"),
        pytest.param([(0, 9), (200, 50)], 6, id="a fourth as many: a sixteenth"),
        pytest.param([(0, 9), (100, 9)], 0, id="a few: next to nothing"),
        pytest.param([(0, 9), (100, 0)], 0, id="the last block was empty, and one waits now"),
        pytest.param([(0, 9), (0, 9)], 100, id="no time passed: nothing is known"),
        pytest.param([(0, 999), *[(at, 1) for at in range(1, 90, 10)], (200, 0)], 0, id="long ago there were many"),
    ],
)
def test_less_is_waited_where_fewer_come(blocks: list[tuple[int, int]], want: int) -> None:
    """blocks: (ms of the decision, transactions); want: ms until the height begins while more come."""
    gathering = Gathering(WAIT_MS)
    for at, txs in blocks:
        gathering.start(at * NS_PER_MS, txs)
    now_ns, waiting = blocks[-1][0] * NS_PER_MS, 1
    while more_ns := gathering.more_ns(waiting, now_ns):
        now_ns, waiting = now_ns + more_ns, waiting + 1
    assert (now_ns // NS_PER_MS) - blocks[-1][0] == want


@pytest.mark.parametrize(
    ("busy_permille", "txs", "want"),
    [
        pytest.param(0, 50, 25, id="it rests"),
        pytest.param(500, 50, 25, id="there is time"),
        pytest.param(625, 50, 62, id="half way"),
        pytest.param(750, 50, 100, id="there is none: twice the share"),
        pytest.param(2_000, 50, 100, id="more than there is: it waits for a processor"),
        pytest.param(750, 100, 200, id="a full share: twice the wait"),
        pytest.param(750, 900, 200, id="never more"),
        pytest.param(750, 0, 0, id="few come: nothing"),
    ],
)
def test_more_is_waited_where_the_machine_is_busy(busy_permille: int, txs: int, want: int) -> None:
    """There blocks cost everybody the time that transactions wait for."""
    wanted_ns = iter([5, 5 + busy_permille * 100 * NS_PER_MS // 1_000])
    gathering = Gathering(WAIT_MS, lambda: next(wanted_ns))
    gathering.start(0, 9)
    gathering.start(100 * NS_PER_MS, txs)
    now_ns, waiting = 100 * NS_PER_MS, 1
    while more_ns := gathering.more_ns(waiting, now_ns):
        now_ns, waiting = now_ns + more_ns, waiting + 1
    assert now_ns // NS_PER_MS - 100 == want


async def node_with(wait_ms: int, *, txs: int, more_each_look: int = 0, per_block: int = 1) -> Node:
    node = await make_node(genesis_of(1), 0, Home(), config=replace(FAST, gather_wait_ms=wait_ms))
    node.pool.per_block = per_block
    for number in range(txs):
        node.pool.add(b"k%d=1" % number)
    node.pool.more_each_look = more_each_look
    return node


@pytest.mark.parametrize("txs", [pytest.param(0, id="empty"), pytest.param(2 * GATHERED_TXS, id="backlog")])
async def test_neither_empty_blocks_nor_a_backlog_wait(txs: int) -> None:
    node = await node_with(3_600_000, txs=txs)
    await node.driver.start()
    await node.reach(5)
    await node.driver.stop()


async def test_blocks_are_so_far_apart_while_transactions_keep_coming() -> None:
    node = await node_with(WAIT_MS, txs=5, more_each_look=WORTH_TXS // 2, per_block=GATHERED_TXS)
    await node.driver.start()
    await node.reach(4)
    await node.driver.stop()
    apart = node.driver.metrics.block_interval
    assert apart.sum_ns / apart.count >= 0.9 * WAIT_MS * NS_PER_MS


async def test_a_late_time_out_of_the_height_before_begins_nothing_and_ends_no_wait() -> None:
    """A replay of the log holds back real time-outs, also over a decision: found by `scripts/campaign crashes`."""
    node = await node_with(WAIT_MS, txs=5, more_each_look=WORTH_TXS // 2, per_block=GATHERED_TXS)
    await node.driver.start()
    await node.reach(2)
    core = node.driver.core
    await until(lambda: core.step is Step.NEW_HEIGHT and not node.driver._events)
    height = core.height
    node.driver._push(TimedOut(Elapsed(Step.NEW_HEIGHT, height - 1, 0), 0))
    await node.reach(height + 1)
    await node.driver.stop()
