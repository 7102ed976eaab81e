"""The bound of a proposer's blocks as a table."""

from __future__ import annotations

import pytest

from consensus.execution.block_size import TXS_MIN, WORK_NS, BlockSize
from tests.support.engine.bench import Home, genesis_of, make_node, until

MS = 1_000_000


class Fixed(BlockSize):
    """TXS_MIN whatever it is told, which it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[int, int]] = []

    @property
    def txs_max(self) -> int:
        return TXS_MIN

    def worked(self, txs: int, took_ns: int) -> None:
        self.blocks.append((txs, took_ns))


@pytest.mark.parametrize(
    ("blocks", "least", "most"),
    [
        pytest.param([], 1_000, 1_000, id="nothing known"),
        pytest.param([(1_000, 100 * MS)] * 40, 2_450, 2_500, id="a fast machine"),
        pytest.param([(1_000, 800 * MS)] * 40, TXS_MIN, TXS_MIN + 5, id="a slow one"),
        pytest.param([(1_000, 60_000 * MS)] * 40, TXS_MIN, TXS_MIN, id="never fewer"),
        pytest.param([(99, 900 * MS)] * 40, 1_000, 1_000, id="small blocks say nothing"),
        pytest.param([(1_000, 0)] * 100, WORK_NS // 8, WORK_NS, id="no time at all, as in a simulation"),
        pytest.param([(1_000, 800 * MS)] * 40 + [(1_000, 100 * MS)] * 40, 2_450, 2_500, id="it recovers"),
    ],
)
def test_blocks_hold_what_was_worked_off_in_the_time_allowed(
    blocks: list[tuple[int, int]], least: int, most: int
) -> None:
    size = BlockSize()
    for txs, took_ns in blocks:
        size.worked(txs, took_ns)
    assert least <= size.txs_max <= most


async def test_a_backlog_is_spread_over_blocks_of_that_size() -> None:
    node = await make_node(genesis_of(1), 0, Home())
    for number in range(3 * TXS_MIN):
        node.pool.add(b"%d=1" % number)
    node.executor.block_size = Fixed()
    await node.driver.start()
    await until(lambda: not node.pool.txs)
    await node.driver.stop()
    found = [node.executor.blocks.load_block(height) for height in range(1, node.height + 1)]
    counts = [len(block.txs) for block in found if block is not None]
    assert [count for count in counts if count] == [TXS_MIN] * 3


async def test_each_block_worked_off_is_told() -> None:
    node = await make_node(genesis_of(1), 0, Home())
    told = node.executor.block_size = Fixed()
    for number in range(7):
        node.pool.add(b"%d=1" % number)
    await node.driver.start()
    await until(lambda: not node.pool.txs)
    await node.driver.stop()
    ((txs, took_ns),) = [block for block in told.blocks if block[0]]
    assert txs == 7
    assert took_ns > 0
