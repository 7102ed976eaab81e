"""The running height's blocks at work: building our own, reading and judging others', executing ahead what we proposed.

Each runs in a task of its own beside the driver's loop and comes back to it as an input. What they find out is of
the running height alone: once that is decided, all of it is dropped, before the decided block is applied.
Source: docs/architecture.md, What others can and cannot do to a node; CometBFT v0.38, consensus/state.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeAlias

import structlog

from consensus.core.core import CommittedInvalidBlock
from consensus.core.events import BlockValidated, BuildBlock, Built, Step
from consensus.engine.incoming.inputs import BuiltBlock, TimedOut
from consensus.engine.round_state import HeightState
from consensus.execution.executor import BlockExecutor, Judgement
from consensus.state.state import State
from consensus.system.clock import Workers
from consensus.system.errors import Superseded
from consensus.types.block import Block
from consensus.types.ids import BlockID, PartSetHeader

Spawn: TypeAlias = Callable[[Callable[[], Coroutine[None, None, None]], str], asyncio.Task[None]]

log = structlog.get_logger(__name__)


class BlockWork:
    """push: where answers go. spawn: starts a task whose failure ends consensus. complete: told of what was decoded.
    is_live: the log is not replayed; there, answers come before the next record."""

    def __init__(
        self,
        executor: BlockExecutor,
        round_state: HeightState,
        workers: Workers,
        *,
        state: Callable[[], State],
        spawn: Spawn,
        push: Callable[[BuiltBlock | BlockValidated | TimedOut], None],
        complete: Callable[[PartSetHeader], None],
        is_live: Callable[[], bool],
    ) -> None:
        self._executor, self._round_state, self._workers = executor, round_state, workers
        self._state, self._spawn, self._push = state, spawn, push
        self._complete, self._is_live = complete, is_live
        self._running: set[asyncio.Task[None]] = set()
        self._refused = (0, "")  # the last block that is invalid here: its height, and why
        self._put_off: list[TimedOut] = []  # until what is read now was told
        self._just_read: PartSetHeader | None = None  # a time-out may be before what it has to tell
        round_state.decode_aside = self.decode

    def why(self, error: Exception) -> str:
        """For the last line: why a block that +2/3 decided is invalid here."""
        height, why = self._refused
        return f" ({why})" if isinstance(error, CommittedInvalidBlock) and error.height == height else ""

    async def drop(self) -> None:
        """Give up what still runs, and wait until it has ended: its height is decided."""
        running = list(self._running)
        self._put_off, self._just_read = [], None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> None:
        height = self._state().next_height

        async def unless_decided() -> None:
            try:
                if self._state().next_height == height:
                    await work()
            except Superseded as error:
                log.debug("dropped work on a block", what=name, why=str(error))

        task = self._spawn(unless_decided, name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def decode(self, header: PartSetHeader, decode: Callable[[], Block | None]) -> bool:
        """A large block, in a thread: `complete` is told then. False: not now."""
        if not self._is_live():
            return False

        async def work() -> None:
            self._round_state.decoded(header, await self._workers.run(decode))
            self._complete(header)
            self._just_read = header
            put_off, self._put_off = self._put_off, []
            for event in put_off:
                self._push(event)

        self._start(work, "decode block")
        return True

    def puts_off(self, event: TimedOut) -> bool:
        """Whether the propose time-out comes again, after what the proposed block holds was told.

        A block counts as here when its last part is, as in CometBFT: else full blocks would get nil from every machine
        that reads slowly. The wait has an end: one block of bounded bytes a round is read, and told to be none if so.
        """
        proposal = self._round_state.proposals.get(event.elapsed.round)
        if event.elapsed.step is not Step.PROPOSE or proposal is None:
            return False
        header = proposal.block_id.part_set_header
        if self._round_state.is_reading(header):
            self._put_off.append(event)
            return True
        if self._just_read != header:
            return False
        self._just_read = None
        self._push(event)
        return True

    def build(self, effect: BuildBlock, proposer_address: bytes) -> None:
        """Answered by BuiltBlock."""
        last = self._round_state.last_commit

        async def work() -> None:
            state = self._state()
            commit = None if last is None else last.extended_commit(state.last_block_height)
            block = await self._executor.build(state, commit, proposer_address)
            self._push(BuiltBlock(Built(effect.height, effect.round, block.block_id), block))

        self._start(work, "build block")

    def validate(self, height: int, block_id: BlockID) -> None:
        """Answered by BlockValidated. The block is taken now: a round may begin before the work does, and what is known
        not to be the block of its id is forgotten then."""
        block = self._round_state.blocks[block_id]
        self._start(lambda: self._validate(height, block_id, block), "validate block")

    async def validate_now(self, height: int, block_id: BlockID) -> None:
        await self._validate(height, block_id, self._round_state.blocks[block_id])

    async def _validate(self, height: int, block_id: BlockID, block: Block | None) -> None:
        judged = Judgement(invalid="its parts are not the block of its id")
        if block is not None:
            judged = await self._executor.validate(self._state(), block)
        if judged.invalid:
            log.warning("refused a proposed block", height=height, block=block_id.hash.hex(), why=judged.invalid)
            self._refused = height, judged.invalid
        elif judged.withheld:
            log.warning("cannot vote for a block", height=height, block=block_id.hash.hex(), why=judged.withheld)
        self._push(BlockValidated(height, block_id, not judged.invalid, withheld=bool(judged.withheld)))

    def execute_own(self, block: Block) -> None:
        """Execute what we proposed while the others receive it."""
        self._start(lambda: self._execute_own(block), "execute own block")

    async def _execute_own(self, block: Block) -> None:
        response = await asyncio.shield(self._executor.process(self._state(), block))
        if not response.accepted:
            log.error("the application refused its own proposal", height=block.height, why=response.reason)
