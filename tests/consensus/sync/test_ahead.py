"""Blocks that wait have their signatures verified while earlier ones are executed, within bounds."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from consensus.sync import ahead
from consensus.sync.ahead import BLOCKS_MAX, TXS_MAX, Ahead
from consensus.types.block import Block
from tests.support.gossip.network import ManualClock
from tests.support.sync.blocks import Sync, chain
from tests.support.sync.blocks import sync as sync  # noqa: PLC0414 - the fixture


async def test_each_block_is_verified_ahead_once_and_before_it_is_applied(sync: Sync) -> None:
    sync.add(chain(100))
    furthest: list[int] = []
    apply = sync.driver.apply_synced_block

    async def watched(block: Block, *args: Any, **kwargs: Any) -> Any:
        assert block.height in sync.driver.ahead
        furthest.append(max(sync.driver.ahead) - block.height)
        return await apply(block, *args, **kwargs)

    sync.driver.apply_synced_block = watched  # type: ignore[method-assign]
    assert await sync.run(10) == 99
    assert sorted(sync.driver.ahead) == list(range(1, 100))  # the last has no successor with its commit
    assert 1 <= max(furthest) <= BLOCKS_MAX


async def test_a_block_waits_for_its_signatures_and_the_others_are_verified_meanwhile(sync: Sync) -> None:
    gate = asyncio.Event()
    verify = sync.driver.verify_ahead

    async def slow(block: Block, *proof: Any) -> None:
        await verify(block, *proof)
        if block.height == 3:
            await gate.wait()

    sync.driver.verify_ahead = slow  # type: ignore[method-assign]
    sync.add(chain(40))
    assert await sync.run(4) is None
    assert sync.height == 2
    assert max(sync.driver.ahead) >= 2 + BLOCKS_MAX
    gate.set()
    assert await sync.run(10) == 39


async def test_what_fails_ahead_is_left_to_its_turn(sync: Sync) -> None:
    async def broken(block: Block, *proof: Any) -> None:
        raise RuntimeError(f"block {block.height}")

    sync.driver.verify_ahead = broken  # type: ignore[method-assign]
    sync.add(chain(40))
    assert await sync.run(10) == 39


def waiting_blocks(sizes: list[int]) -> list[Any]:
    class Held:
        def __init__(self, txs: int) -> None:
            self.block = SimpleNamespace(txs=range(txs))

    return [Held(size) for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "want"),
    [
        pytest.param([0] * 100, BLOCKS_MAX, id="empty ones: so many blocks"),
        pytest.param([TXS_MAX // 4] * 100, 5, id="full ones: so many transactions, and the one that passes them"),
        pytest.param([10 * TXS_MAX] * 100, 1, id="the next one always, however large"),
    ],
)
async def test_how_far_ahead_is_bounded(sizes: list[int], want: int) -> None:
    held, begun = waiting_blocks(sizes), 0

    async def verify(first: Any, second: Any) -> None:
        nonlocal begun
        begun += 1

    look = Ahead(ManualClock(), verify=verify, waiting=lambda after: (held[after], held[0]), on_done=lambda: None)
    while (one := look._next()) is not None:
        await look._work(one)
    assert begun == want
    assert [look.is_done(one) for one in held] == [True] * want + [False] * (len(held) - want)
    look.forget(held[0])
    assert look._next() == (held[0], held[0])
    assert ahead.LANES == 2
