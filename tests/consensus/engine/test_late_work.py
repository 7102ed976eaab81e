"""Work on a block that comes too late: its height was decided, and the application is being moved on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from consensus.abci.interface import (
    BlockRequest,
    CommitResponse,
    FinalizeBlockResponse,
    PrepareProposalRequest,
    PrepareProposalResponse,
    ProcessProposalResponse,
    Slices,
)
from consensus.core.events import Step, VoteKind
from consensus.system.clock import InlineWorkers
from consensus.types.block import Block
from consensus.types.ids import BlockID
from consensus.types.parts import PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE
from storage.memory import MemoryStore
from tests.support.engine.bench import SLOW_PROPOSER, Home, assert_equal_chains, genesis_of, make_node, until
from tests.support.engine.driver import PATIENT, Bench, make_bench
from tests.support.engine.kvapp import KeyValueApp
from tests.support.engine.memnet import MemoryNetwork

T = TypeVar("T")


class AskedTooLate(Exception):
    """As the stores of a real application answer: WrongVersion, StalePending."""


class StrictApp(KeyValueApp):
    """Serves one height at a time: from finalize to commit nobody else may ask it for anything, nor go on asking."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self.finalizing = False
        self.patience: Callable[[Any], bool] = lambda request: False  # whether it has not answered yet
        self.began: list[bytes] = []

    def _check(self, height: int) -> None:
        if self.finalizing or height != self.height + 1:
            raise AskedTooLate(f"height {height}; the state is at {self.height}, finalizing: {self.finalizing}")

    def _wait(self, request: Any) -> Slices[None]:
        self._check(request.height)
        for _ in range(3):
            yield
            self._check(request.height)
        while self.patience(request):
            yield
            self._check(request.height)

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        self.began.append(b"")
        yield from self._wait(request)
        return PrepareProposalResponse(request.txs)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        self.began.append(request.hash)
        yield from self._wait(request)
        return (yield from super().process_proposal(request))

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        self.finalizing = True
        yield
        return (yield from super().finalize_block(request))

    def write_commit(self) -> None:
        """Like an application whose durable half of the commit runs on a worker."""

    def commit(self) -> CommitResponse:
        self.finalizing = False
        return super().commit()


class LateWorkers(InlineWorkers):
    """Each job takes a number of turns of the loop, chosen by a seed: as threads and slow disks do."""

    def __init__(self, seed: int, turns_max: int = 40) -> None:
        self._random, self._turns_max = random.Random(seed), turns_max

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        return self._later(work, self._random.randint(0, self._turns_max))

    async def _later(self, work: Callable[[], T], turns: int) -> T:
        for _ in range(turns // 2):
            await asyncio.sleep(0)
        done = work()  # a thread is not stopped by whoever gave up waiting
        for _ in range(turns // 2):
            await asyncio.sleep(0)
        return done


async def strict_bench(**options: Any) -> tuple[Bench, StrictApp]:
    app = StrictApp(MemoryStore())
    return await make_bench(app=app, **options), app


async def hold_with_polka(bench: Bench, block: Block) -> None:
    """The node has `block`, valid, and two more precommits for it decide it."""
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, block.block_id), "peer")
    await bench.settle()
    bench.send_block(block)
    await until(lambda: bench.driver.core.valid_value == block.block_id or bool(bench.node.fatal))


def precommits(bench: Bench, block: Block, count: int = 3) -> None:
    for index in bench.others[:count]:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")


@pytest.mark.parametrize("between", [0, 1, 3, 8])
@pytest.mark.parametrize("delay", range(0, 30, 3))
@pytest.mark.parametrize("late", [False, True])
async def test_validation_that_begins_with_the_decision_for_another_block(delay: int, late: bool, between: int) -> None:
    """audit 5: a losing proposal ended a correct validator (2 of 13 runs with a slow disk). `between` it and the votes
    that decide for the other: votes overtake parts, so without it nothing of the loser would begin.
    """
    bench, app = await strict_bench(**({"workers": LateWorkers(delay)} if late else {}))
    lost, won = bench.block((b"a=" + b"1" * 70_000,)), bench.block((b"a=2", b"b=3", b"c=4"))
    bench.driver.add_proposal(bench.proposal(lost.block_id), "peer")
    await until(lambda: bench.driver.round_state.proposal is not None)
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, won.block_id), "peer")
        bench.driver.add_vote(bench.vote(index, PREVOTE, won.block_id), "peer")
    bench.driver.add_vote(bench.vote(bench.others[2], PREVOTE, won.block_id), "peer")
    await bench.settle()
    bench.send_block(won)
    for _ in range(delay):
        await asyncio.sleep(0)
    bench.send_block(lost)
    for _ in range(between):
        await asyncio.sleep(0)
    precommits(bench, won)
    await until(lambda: bench.node.height == 1 or bool(bench.node.fatal))
    await bench.settle()
    assert not bench.node.fatal
    assert app.pairs == {"a": "2", "b": "3", "c": "4"}
    await bench.driver.stop()


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 9])
async def test_a_block_that_is_built_while_another_is_decided_is_dropped(turns: int) -> None:
    """audit 5, of building."""
    bench, app = await strict_bench(config=replace(PATIENT, timeout_precommit_ms=1))
    won, gate = bench.block((b"a=2",)), [True]
    app.patience = lambda request: gate[0]
    bench.driver.add_proposal(bench.proposal(won.block_id), "peer")
    bench.send_block(won)
    await until(lambda: app.began == [won.hash])
    while bench.validators.proposer(bench.driver.core.round) != bench.ours:
        round = bench.driver.core.round
        for index in bench.others:
            bench.driver.add_vote(bench.vote(index, PRECOMMIT, BlockID(), round=round), "peer")
        await until(lambda before=round: bench.driver.core.round > before)  # type: ignore[misc]
    await bench.settle()  # our block's building waits for the application
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, won.block_id, round=bench.driver.core.round), "peer")
    for _ in range(turns):
        await asyncio.sleep(0)
    gate[0] = False
    await until(lambda: bench.node.height == 1 or bool(bench.node.fatal))
    await bench.settle()
    assert not bench.node.fatal
    assert app.pairs == {"a": "2"}
    await bench.driver.stop()


@pytest.mark.parametrize("seed", range(6))
async def test_validators_with_slow_disks_and_busy_threads_make_one_chain(seed: int) -> None:
    """audit 5: every job ends late, proposals lose, and no application is asked for what is over."""
    genesis, chance = genesis_of(4), random.Random(seed)
    impatient = replace(SLOW_PROPOSER, timeout_propose_ms=3, timeout_prevote_ms=2, timeout_precommit_ms=2)
    nodes = [
        await make_node(
            genesis,
            index,
            Home(),
            config=impatient,
            app=StrictApp(MemoryStore()),
            workers=LateWorkers(seed * 4 + index),
        )
        for index in range(4)
    ]
    network = MemoryNetwork(nodes, drops=lambda sender, receiver: chance.random() < 0.1)
    await network.start()
    resending = asyncio.create_task(network.resend_for_ever())
    for number in range(30):
        nodes[number % 4].pool.add(b"k%d=v" % number)
    await network.reach(8)
    assert not any(node.fatal for node in nodes)
    resending.cancel()
    await network.stop()
    assert_equal_chains(nodes)
    assert nodes[0].driver.core.step is not Step.NEW_ROUND


@pytest.mark.parametrize("fillers", range(8))
async def test_a_round_begins_before_what_is_no_block_was_looked_at(fillers: int) -> None:
    """audit 5: parts that are no block are forgotten with the round; looking at them later ended the node (KeyError).

    `fillers`: messages that go before the parts, so that the votes which end the round come right behind them.
    """
    bench, _ = await strict_bench()
    junk = PartSet.from_bytes(b"\xff\xff")
    block_id = BlockID(bytes(range(32)), junk.header)
    bench.driver.add_proposal(bench.proposal(block_id), "peer")
    await until(lambda: bench.driver.round_state.proposal is not None)
    part = junk.get(0)
    assert part is not None
    bench.driver.add_part(1, 0, part, "another")
    for number in range(fillers):
        bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, BlockID(bytes([number]) * 32, junk.header), f"p{number}")
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, BlockID(), round=1), "peer")
    await until(lambda: bench.driver.core.round == 1 or bool(bench.node.fatal))
    await bench.settle()
    assert not bench.node.fatal
    await bench.driver.stop()
