"""What goes on beside a step of saving: execution, in memory. What is on disk keeps its order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from chain.state.store import Stores
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor, save_decided
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.sync.fetched import Fetched
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.types.block import Block
from dchat.app.app import DchatApplication
from storage.memory import MemoryStore
from tests.support.engine.kvapp import ListPool
from tests.support.sync.payments import Counting, begin, chain_of, look_ahead

T = TypeVar("T")
STEPS = ("block decided", "block saved", "block executed", "results saved", "application committed", "state saved")


class SlowDisk(InlineWorkers):
    """Does what is written when the test says so, in the order in which it was asked; at once while `is_fast`."""

    def __init__(self) -> None:
        self.is_fast = True
        self.waiting: deque[Callable[[], None]] = deque()
        self._undone: list[asyncio.Future[Any]] = []

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        if self.is_fast:
            return self.run(work)
        done = asyncio.get_running_loop().create_future()
        self._undone.append(done)

        def now() -> None:
            try:
                done.set_result(work())
            except OSError as error:
                done.set_exception(error)

        self.waiting.append(now)
        return done

    async def step(self) -> None:
        """What is being written is on disk; whoever waited goes on as far as it can."""
        self.waiting.popleft()()
        await turns()

    def lose(self) -> None:
        """What waits is never written."""
        self.waiting.clear()
        for done in self._undone:
            done.cancel()


class Node:
    """told: steps, as they were reached. A number is that of a block whose every step is on disk."""

    def __init__(self, stores: Sequence[MemoryStore] = ()) -> None:
        """stores: blocks, state, app."""
        self.disk, self.told = SlowDisk(), list[str | int]()
        self.stores = stores or [MemoryStore(models_crashes=True) for _ in range(3)]
        blocks, states = BlockStore(self.stores[0]), StateStore(self.stores[1])
        evidence = EvidencePool(self.stores[1], blocks, states)
        self.verifiers = Counting()
        self.app = DchatApplication(Stores(self.stores[2]))
        self.executor = BlockExecutor(
            self.app, blocks, states, pool=ListPool(), evidence=evidence, workers=self.disk, clock=LoopClock(),
            signatures=evidence.signatures, verifiers=self.verifiers, fail_point=self._reached,
        )  # fmt: skip

    def _reached(self, point: str) -> None:
        if point in STEPS:
            self.told.append(point)

    def execute(self, state: State, chain: list[Fetched], height: int) -> asyncio.Task[State]:
        block, commit = chain[height - 1].block, chain[height].block.last_commit
        assert commit is not None
        save = save_decided(
            self.executor.blocks, None, self._reached, block=block, parts=chain[height - 1].parts, commit=commit,
            extended=None,
        )  # fmt: skip
        return asyncio.create_task(
            self.executor.execute(
                state, block, block.block_id, save=save, on_saved=lambda: self.told.append(block.height)
            )
        )

    async def sync(self, state: State, chain: list[Fetched]) -> list[State]:
        """To the last block but one; the states on the way."""
        states = [state]
        for height in range(state.next_height, len(chain)):
            states.append(await self.execute(states[-1], chain, height))
        await self.executor.settle()
        return states

    def is_executed(self, block: Block) -> bool:
        return block.hash in self.app._outcomes


async def turns() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_block_is_executed_while_it_and_the_state_before_it_are_saved() -> None:
    chain, node = await chain_of(3), Node()
    state = await begin(node.executor)
    node.told.clear()
    node.disk.is_fast = False
    first = node.execute(state, chain, 1)
    await turns()
    assert node.is_executed(chain[0].block)
    assert node.told == []
    for _ in range(3):
        await node.disk.step()
    state = await first
    assert node.told == list(STEPS[:5])
    assert node.executor.states.load() != state  # it is being saved
    second = node.execute(state, chain, 2)
    await turns()
    assert node.is_executed(chain[1].block)
    assert len(node.disk.waiting) == 1  # and nothing of the second is written meanwhile
    await node.disk.step()
    assert node.told == [*STEPS, 1]
    assert node.executor.states.load() == state
    for _ in range(3):
        await node.disk.step()
    await second
    assert (node.told[7:], node.executor.blocks.height, node.app.last_height) == (list(STEPS[:5]), 2, 2)
    settled = asyncio.create_task(node.executor.settle())
    await turns()
    assert not settled.done()
    await node.disk.step()
    await settled
    assert node.told == [*STEPS, 1, *STEPS, 2]
    assert node.executor.states.load() == await second


async def test_no_block_follows_a_state_that_could_not_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, node = await chain_of(3), Node()
    state = await begin(node.executor)
    monkeypatch.setattr(node.executor.states, "save", refuse)
    state = await node.execute(state, chain, 1)
    with pytest.raises(OSError, match="the disk is gone"):
        await node.execute(state, chain, 2)
    with pytest.raises(OSError, match="the disk is gone"):
        await node.executor.settle()
    assert (node.executor.blocks.height, node.app.last_height, 1 in node.told) == (1, 1, False)
    await node.executor.close()


async def test_nothing_of_a_block_that_could_not_be_saved_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, node = await chain_of(2), Node()
    state = await begin(node.executor)
    monkeypatch.setattr(node.executor.blocks, "save", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        await node.execute(state, chain, 1)
    assert (node.app.last_height, node.executor.states.load_response(1)) == (0, None)


async def test_who_gives_up_applying_leaves_no_write_behind() -> None:
    chain, node = await chain_of(2), Node()
    state = await begin(node.executor)
    node.disk.is_fast = False
    applying = node.execute(state, chain, 1)
    await turns()
    applying.cancel()
    await turns()
    assert not applying.done()
    while node.disk.waiting:
        await node.disk.step()
    with pytest.raises(asyncio.CancelledError):
        await applying
    assert (node.app.last_height, node.executor.states.load_response(1)) == (0, None)


@pytest.mark.parametrize("steps", range(4 * 3 + 1))
async def test_the_power_goes_while_blocks_are_synced(steps: int) -> None:
    """At each write. What was told as saved is there, and the node goes on to what all have."""
    chain, honest = await chain_of(4), Node()
    states = await honest.sync(await begin(honest.executor), chain)
    node = Node()
    state = await begin(node.executor)
    node.disk.is_fast = False
    syncing = asyncio.create_task(node.sync(state, chain))
    await turns()
    for _ in range(steps):
        await node.disk.step()
    assert syncing.done() == (steps == 4 * 3)
    told = [height for height in node.told if isinstance(height, int)]
    assert told == list(range(1, 1 + steps // 4))
    after = Node([store.crash() for store in node.stores])
    node.disk.lose()
    await asyncio.gather(syncing, return_exceptions=True)
    state = await begin(after.executor)
    assert steps // 4 <= state.last_block_height <= steps // 4 + 1
    assert state == states[state.last_block_height]
    assert (await after.sync(state, chain))[-1] == states[-1]
    assert after.app.stores.app_hash == honest.app.stores.app_hash


async def test_later_blocks_are_decoded_while_the_disk_is_waited_for() -> None:
    """Not while a block is executed: that is what the node waits for."""
    chain, node = await chain_of(4), Node()
    state = await begin(node.executor)
    node.disk.is_fast = False
    decoded = node.app.txs.decoded
    first = node.execute(state, chain, 1)
    ahead = asyncio.create_task(look_ahead(node.executor, state, chain, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not node.is_executed(chain[0].block)
    assert node.app.txs.decoded <= decoded + len(chain[0].block.txs)
    await turns()
    assert node.is_executed(chain[0].block)
    assert ahead.done()
    assert not first.done()
    assert set(chain[2].block.txs) <= set(node.app.txs._txs)
    while node.disk.waiting:
        await node.disk.step()
    await first


def refuse(*args: object, **options: object) -> None:
    raise OSError("the disk is gone")
