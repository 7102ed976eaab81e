"""Blocks through the application: proposing, validating, executing, and saving in the durable order.

Promises: after `apply` returns, block, results, application and state are on disk, each step synced before the next
begins; a stop between any two is mended by the handshake. What goes on beside a step is in memory alone: a block is
executed while it is saved, and, where blocks follow each other at once (`execute`), while the state before it is. A
block is executed while it is voted on, and the application keeps the outcome under the block's hash; commits'
signatures that were verified as votes are not verified again. The application is asked one call at a time, and never
holds the event loop longer than one of its slices. From the moment that `apply` is called, no other work on that height
begins or goes on: finalize to commit is one critical section, and what comes late is Superseded.
Source: docs/decisions/0006; CometBFT v0.38, spec/abci/abci++_comet_expected_behavior.md, state/execution.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from consensus.abci.interface import (
    Application,
    BlockRequest,
    ChecksSignatures,
    FinalizeBlockResponse,
    HaltsAhead,
    IsRemote,
    PrepareProposalRequest,
    ProcessProposalResponse,
    SignatureCheck,
    Slices,
    WritesAhead,
    tx_bytes_min,
)
from consensus.abci.requests import block_request, extended_commit_info, misbehavior
from consensus.execution.block_size import BlockSize
from consensus.execution.interfaces import EvidencePool, TxPool
from consensus.execution.metrics import EngineMetrics
from consensus.execution.verifiers import ThreadVerifiers, Verifiers
from consensus.formats.errors import EvidenceUnverifiable, InvalidData, InvalidDocument, InvalidEvidence
from consensus.state.results import ExecTxResult
from consensus.state.state import State, next_block_state
from consensus.state.validation import make_block, validate_block
from consensus.stores.block_store import BlockStore
from consensus.stores.event_index import index_entries
from consensus.stores.state_store import StateStore, encode_response
from consensus.system.clock import Clock, Workers
from consensus.system.errors import InvalidResponse, Superseded, check_app_hash, traced
from consensus.system.failpoints import FailPoint, no_fail_point
from consensus.types.block import Block, BlockBounds, Commit, ExtendedCommit, max_data_bytes, txs_proto_bytes
from consensus.types.commits import commit_checks, rising_commit, verify_commit_light
from consensus.types.ids import BlockID
from consensus.types.parts import PartSet
from crypto.batch import SignatureCache, verify_many
from crypto.hash import HASH_BYTES
from crypto.keys import ED25519

T = TypeVar("T")

TXS_PER_SLICE: Final = 64  # asked at once which signatures they need: about 1 ms
INLINE_ITEMS: Final = 500  # of a block, hashed on the loop: about 1 ms; more in a thread
INLINE_BYTES: Final = 262_144  # of our own, encoded, cut in parts and hashed likewise

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of a proposed block. invalid: the rule of the chain that it breaks; withheld: what speaks against it here alone.

    Both empty: we vote for it.
    """

    invalid: str = ""
    withheld: str = ""


class Drive(Protocol):
    """Runs a sliced call to its answer. The product's is `drive`; the simulator lets more happen between two slices."""

    def __call__(self, slices: Slices[T], /) -> Awaitable[T]: ...


async def drive(slices: Slices[T]) -> T:
    """Run a sliced call to its answer, giving the event loop back after each slice."""
    try:
        while True:
            next(slices)
            await asyncio.sleep(0)
    except StopIteration as done:
        answer: T = done.value
        return answer
    finally:
        slices.close()


class BlockExecutor:
    """One application and its chain. Its coroutines may be called one after another only, but for `process`."""

    def __init__(
        self,
        app: Application,
        blocks: BlockStore,
        states: StateStore,
        *,
        pool: TxPool,
        evidence: EvidencePool,
        workers: Workers,
        clock: Clock,
        metrics: EngineMetrics | None = None,
        signatures: SignatureCache | None = None,
        fail_point: FailPoint = no_fail_point,
        drive: Drive = drive,
        verifiers: Verifiers | None = None,
        indexes_events: bool = True,
    ) -> None:
        """drive: what runs the application's sliced calls. verifiers: of signatures of transactions that are ahead; by
        default the workers' threads. indexes_events: so that they can be searched (consensus.stores.event_index)."""
        self.app, self.blocks, self.states = app, blocks, states
        self.pool, self.evidence = pool, evidence
        self.signatures = signatures or SignatureCache()
        self.metrics = metrics or EngineMetrics()
        self.verifiers = verifiers or ThreadVerifiers(workers)
        self._indexes_events = indexes_events
        self._workers, self._clock, self._fail_point, self._drive = workers, clock, fail_point, drive
        self._app_lock = asyncio.Lock()
        self.block_size = BlockSize()
        self._process_ns = 0  # of the block that is next
        self._retain_height = 0  # what the application's last commit said
        self._processing: dict[bytes, asyncio.Task[ProcessProposalResponse]] = {}  # by block hash
        self._decided_height, self._decided_hash = 0, b""  # of the block that is being applied, or was last
        self._spare = asyncio.Event()  # no decided block is being executed: the loop is idle, or waits for the disk
        self._spare.set()
        self._state_saving: asyncio.Future[None] | None = None  # the last step of the last block, not waited for yet

    @property
    def retain_height(self) -> int:
        """Below it the application's last commit let go of blocks, their results and the sets that signed them; 0: of
        none. Who prunes them, and what else they are needed for: consensus.pruning."""
        return self._retain_height

    def bounds(self, state: State) -> BlockBounds:
        """What the block after `state` may hold."""
        return state.block_bounds(tx_bytes_min(self.app))

    def check_halt(self, height: int) -> None:
        """Raises HaltRequested: the application will not execute block `height`, the next one."""
        if isinstance(self.app, HaltsAhead) and (halt := self.app.halt_before(height)) is not None:
            raise halt

    # ----------------------------------------------------------------------------------------------- proposing

    async def build(self, state: State, last_commit: ExtendedCommit | None, proposer_address: bytes) -> Block:
        """A new block that follows `state`. last_commit: None before the first block.

        Raises InvalidResponse when the application proposes more than fits; Superseded.
        """
        self._check_wanted(state.next_height)
        started = self._clock.monotonic_ns()
        room = max_data_bytes(state.block_bytes_max, commit_bytes=state.commit_bytes_max)
        room = max(0, room - max(0, len(state.app_hash) - HASH_BYTES))  # a header counts as one with a hash of that
        evidence, evidence_bytes = self.evidence.pending(min(state.params.evidence.max_bytes, room))
        data_bytes = room - evidence_bytes
        try:
            txs = self.pool.reap(bytes_max=data_bytes, gas_max=state.params.block.max_gas)
        except Exception as error:
            txs = self._lose_pool(state.last_block_height, error)
        del txs[self.block_size.txs_max :]
        if last_commit is not None:
            last_commit = rising_commit(last_commit, state.last_validators, after_ns=state.last_block_time_ns)
        commit = Commit() if last_commit is None else last_commit.commit()
        draft = make_block(state, txs=(), last_commit=commit, evidence=evidence, proposer_address=proposer_address)
        request = PrepareProposalRequest(
            max_tx_bytes=data_bytes,
            txs=tuple(txs),
            local_last_commit=extended_commit_info(last_commit, state.last_validators),
            misbehavior=misbehavior(evidence),
            height=draft.height,
            time_ns=draft.header.time_ns,
            next_validators_hash=draft.header.next_validators_hash,
            proposer_address=proposer_address,
        )
        async with self._app_lock:
            self._check_wanted(state.next_height)
            response = await self._drive(self.app.prepare_proposal(request))
        if (size := txs_proto_bytes(response.txs)) > data_bytes:
            raise InvalidResponse(f"prepare_proposal gave {size} bytes of transactions, allowed {data_bytes}")
        smallest = tx_bytes_min(self.app)
        if any(len(tx) < smallest for tx in response.txs):
            raise InvalidResponse("prepare_proposal gave a transaction below the smallest that the application takes")

        def make() -> Block:
            block = draft
            if response.txs:
                block = make_block(
                    state, txs=response.txs, last_commit=commit, evidence=evidence, proposer_address=proposer_address
                )
            block.part_set()
            return block

        is_large = len(response.txs) > INLINE_ITEMS or size + evidence_bytes > INLINE_BYTES
        block = await self._workers.run(make) if is_large else make()
        self.metrics.proposal_create.add(self._clock.monotonic_ns() - started)
        return block

    # ---------------------------------------------------------------------------------------------- validating

    async def check(self, state: State, block: Block, *, is_decided: bool = False, is_stored: bool = False) -> None:
        """Everything about a block that does not need the application. Raises InvalidBlock (and InvalidData).

        A function of the chain; EvidenceUnverifiable alone tells of this node, which lacks an old header.
        is_decided: +2/3 committed it, and judged the evidence that we cannot.
        is_stored: the block was decided and saved here before a stop. Its evidence was judged then, and may be marked
        as committed already: that step comes before the state's.
        """
        if block.evidence and not is_stored:  # first: it keeps the hashes of what accuses thousands, too
            await self.evidence.judge_ahead(block.evidence, state)
        validate_block(state, block, verifier=self.signatures.verify_many)
        if not block.evidence or is_stored:
            return
        if any(item.height > state.last_block_height for item in block.evidence):
            raise InvalidEvidence(f"block {block.height} has evidence that is not of the past")
        try:
            await self._drive(self.evidence.check(block.evidence, state))
        except EvidenceUnverifiable as error:
            if not is_decided:
                raise
            log.warning("took over evidence that others judged", height=block.height, why=str(error))

    def _check_wanted(self, height: int, block_hash: bytes = b"") -> None:
        """Raises Superseded when another block of `height` is decided."""
        if height <= self._decided_height and block_hash != self._decided_hash:
            raise Superseded(f"height {height} is decided")

    async def validate(self, state: State, block: Block) -> Judgement:
        """Whether we can vote for the proposed block. Executes it speculatively. Raises Superseded."""
        started = self._clock.monotonic_ns()
        withheld = ""
        if len(block.txs) + len(block.evidence) > INLINE_ITEMS:
            await self._workers.run(block.hash_pieces)
        try:
            await self.check(state, block)
        except EvidenceUnverifiable as error:
            withheld = str(error)
        except InvalidData as error:
            return Judgement(invalid=str(error))
        response = await asyncio.shield(self.process(state, block))  # whoever gives up waiting, the work goes on
        self.metrics.proposal_process.add(self._clock.monotonic_ns() - started)
        refused = "" if response.accepted else f"the application refused it: {response.reason}"
        return Judgement(invalid=refused, withheld=withheld)

    def process(self, state: State, block: Block) -> asyncio.Task[ProcessProposalResponse]:
        """The application's judgement of a block, asked once a block; `apply` waits for it. Raises Superseded."""
        self._check_wanted(block.height, block.hash)
        task = self._processing.get(block.hash)
        if task is None:
            task = asyncio.get_running_loop().create_task(
                self._process(block_request(block, state.last_validators)), name=f"process block {block.height}"
            )
            self._processing[block.hash] = task
        return task

    async def _process(self, request: BlockRequest) -> ProcessProposalResponse:
        started = self._clock.monotonic_ns()
        await self._verify_ahead(request.txs)
        async with self._app_lock:
            self._check_wanted(request.height, request.hash)
            response = await self._drive(self.app.process_proposal(request))
        self._process_ns = self._clock.monotonic_ns() - started
        return response

    async def _verify_ahead(self, txs: Sequence[bytes]) -> None:
        """Verify the signatures that the application will ask for, beside the loop."""
        app = self.app
        if not txs or not isinstance(app, ChecksSignatures):
            return
        wanted: list[SignatureCheck] = []
        for start in range(0, len(txs), TXS_PER_SLICE):
            wanted += app.signature_checks(txs[start : start + TXS_PER_SLICE])
            await asyncio.sleep(0)
        app.remember_verified(passed(wanted, await self.verifiers.verify(wanted)))

    async def verify_ahead(self, state: State, block: Block, block_id: BlockID, commit: Commit) -> None:
        """Verify, beside the loop, what a later block will be asked for: the signatures of its commit, and, where they
        are +2/3 of validators that are known here, those of its transactions. What is found valid is remembered;
        nothing else follows from it.

        state: the last one that is known. commit: what the block's successor carries. Where the validators change
        before the block, or the commit is false, all is left to its turn: nobody's word makes us verify transactions.
        """
        known = (state.validators, state.next_validators)
        validators = next((some for some in known if some.hash == block.header.validators_hash), None)
        if validators is None:
            return
        checks = [c for c in commit_checks(state.chain_id, validators, commit) if c not in self.signatures]
        batch = [check for check in checks if check[0].type == ED25519]
        answers = await self.verifiers.verify([(key.bytes, message, signature) for key, message, signature in batch])
        if others := [check for check in checks if check[0].type != ED25519]:
            answers = [*answers, *await self._workers.run(partial(verify_many, others))]
        for check in passed([*batch, *others], answers):
            self.signatures.add(check)
        try:
            commit.validate()
            verify_commit_light(
                state.chain_id, validators, commit, block_id=block_id, height=block.height,
                verifier=self.signatures.verify_many,
            )  # fmt: skip
        except InvalidData:
            return
        await self._spare.wait()  # what is decoded while the disk syncs holds up no block
        await self._verify_ahead(block.data.txs)

    async def forget_others(self, block_hash: bytes) -> None:
        """Stop executing what was not decided: it is never asked for again."""
        others = [self._processing.pop(key) for key in list(self._processing) if key != block_hash]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def close(self) -> None:
        await self.forget_others(b"")
        if self._state_saving is not None:
            await asyncio.gather(self._state_saving, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------ applying

    async def apply(
        self,
        state: State,
        block: Block,
        block_id: BlockID,
        *,
        save: Callable[[], None] | None = None,
        saved_response: FinalizeBlockResponse | None = None,
    ) -> State:
        """Execute a decided block and make all of it durable; return the state after it.

        save: writes what must be on disk before anything of the execution is: block, seen commit, end of height.
        saved_response: the application has committed this block already, and answered this.
        Raises InvalidResponse when the application breaks its contract.
        """
        after = await self.execute(state, block, block_id, save=save, saved_response=saved_response)
        await self.settle()
        return after

    async def execute(
        self,
        state: State,
        block: Block,
        block_id: BlockID,
        *,
        save: Callable[[], None] | None = None,
        saved_response: FinalizeBlockResponse | None = None,
        on_saved: Callable[[], None] = lambda: None,
    ) -> State:
        """As `apply`, but for the last step: the state is being saved when this returns. The next block, which may be
        executed meanwhile, waits for that before anything of it is written.

        on_saved: called on the loop when all of it is on disk, never before this returns.
        """
        height, started = block.height, self._clock.monotonic_ns()
        assert height == state.next_height, (height, state.next_height)
        self._decided_height, self._decided_hash = height, block.hash
        await self.forget_others(block.hash)
        saving = asyncio.ensure_future(self._save_in_turn(save))
        try:
            await self._finish_processing(block)
            async with self._app_lock:
                after = await self._execute(state, block, block_id, saved_response, saving)
        finally:
            await asyncio.wait({saving})  # whatever ended us: nobody finds a write of ours under way
        self._fail_point("evidence updated")

        def saved() -> None:
            self._fail_point("state saved")
            self.block_size.worked(len(block.txs), self._clock.monotonic_ns() - started + process_ns)
            on_saved()

        process_ns, self._process_ns = self._process_ns, 0
        writing = self._workers.run_disk(lambda: self._save(after))  # in place, where the disk is fast
        self._state_saving = asyncio.ensure_future(_then(writing, saved))
        return after

    async def settle(self) -> None:
        """Wait until all of the last block is on disk. Raises what saving it raised."""
        if self._state_saving is not None:
            await _outcome(self._state_saving)

    async def _save_in_turn(self, save: Callable[[], None] | None) -> None:
        """When the state before is on disk."""
        await self.settle()
        if save is not None:
            await self._workers.run_disk(save)

    def _save(self, after: State) -> None:
        """The evidence first: what a block marks as committed must be known once the block counts as applied."""
        self.evidence.sync()
        self.states.save(after)

    async def _finish_processing(self, block: Block) -> None:
        """Wait for the execution that was begun while the block was voted on."""
        running = self._processing.pop(block.hash, None)
        if running is not None and not (await running).accepted:
            log.error("the application refused a block that +2/3 decided", height=block.height)

    async def _execute(
        self,
        state: State,
        block: Block,
        block_id: BlockID,
        saved_response: FinalizeBlockResponse | None,
        saving: asyncio.Future[None],
    ) -> State:
        """From the application's finalize to its commit, and what must follow in the same turn of the loop.

        saving: of the block; nothing of its execution is written before. The caller holds the application's lock.
        Raises InvalidResponse, ConsensusFailure.
        """
        height, response = block.height, saved_response
        if response is not None:
            await _outcome(saving)
        else:
            self._spare.clear()
            asked_ns = self._clock.monotonic_ns()
            try:
                response = await self._finalize(block_request(block, state.last_validators))
                self.metrics.finalize.add(self._clock.monotonic_ns() - asked_ns)
                encoded = await self._drive(encode_response(response))
                entries = await self._drive(index_entries(height, response)) if self._indexes_events else None
            finally:
                self._spare.set()
            await _outcome(saving)
            self._fail_point("block executed")
            await self._workers.run_disk(
                lambda: self.states.save_response(height, encoded, block.data.tx_hashes, entries)
            )
            self._fail_point("results saved")
            await _breathe(block)
        after = _state_after(state, block, block_id, response)
        await _breathe(block)
        self._retain_height, touched = 0, response.touched
        if saved_response is None:
            if isinstance(self.app, WritesAhead):
                run = self._workers.run if isinstance(self.app, IsRemote) else self._workers.run_disk
                await run(self.app.write_commit)
                await _breathe(block)
            await self._let_leave(block, response.tx_results)
            await _breathe(block)
            committed = self.app.commit()
            self._retain_height = committed.retain_height
            if self._retain_height > height:
                raise InvalidResponse(f"retain_height is {self._retain_height}, above the last block's {height}")
            touched = touched if committed.recheck is None else committed.recheck
            self._fail_point("application committed")
        # In one turn of the loop with the commit: no transaction is checked on the new state before the old are again.
        try:
            self.pool.update(height, block.txs, response.tx_results, touched)
        except Exception as error:
            self._lose_pool(height, error)
        self.evidence.update(after, block.evidence)
        await _breathe(block)
        return after

    async def _let_leave(self, block: Block, results: Sequence[ExecTxResult]) -> None:
        """In slices, so that little is left for the turn of the commit."""
        try:
            await self._drive(self.pool.leave(block.txs, results, block.data.tx_hashes))
        except Exception as error:
            self._lose_pool(block.height, error)

    def _lose_pool(self, height: int, error: Exception) -> list[bytes]:
        """What waits is what anybody sent, and rests on what the application tells of it: no error in that ends
        consensus. Returns what is left of it: nothing."""
        log.error("the mempool failed, and lets go all that waits", height=height, exc_info=traced(error))
        try:
            self.pool.begin_anew(height, error)
        except Exception as again:
            log.error("the mempool failed to begin anew", height=height, exc_info=traced(again))
        return []

    async def ask(self, work: Callable[[], T]) -> T:
        """What the application answers to a call that is not sliced, while nothing else asks it."""
        return await self._workers.run(work) if isinstance(self.app, IsRemote) else work()

    async def replay(self, request: BlockRequest) -> FinalizeBlockResponse:
        """The outcome of a stored block, for an application that lacks it. Changes nothing durable."""
        async with self._app_lock:
            return await self._finalize(request)

    async def _finalize(self, request: BlockRequest) -> FinalizeBlockResponse:
        response = await self._drive(self.app.finalize_block(request))
        if len(response.tx_results) != len(request.txs):
            raise InvalidResponse(
                f"finalize_block of height {request.height} gave {len(response.tx_results)} results, "
                f"expected {len(request.txs)}"
            )
        check_app_hash(response.app_hash, f"finalize_block of height {request.height}")
        return response


async def _breathe(block: Block) -> None:
    """Give the loop back: writes that are done in place, and what follows them, would add up to one long turn."""
    if block.txs:
        await asyncio.sleep(0)


async def _outcome(work: asyncio.Future[None]) -> None:
    """Wait for it. Who is cancelled here cancels nothing of it. Raises what it raised."""
    await asyncio.wait({work})
    work.result()


async def _then(done: Awaitable[None], follow: Callable[[], None]) -> None:
    await done
    follow()


def passed(checks: Sequence[T], answers: Sequence[bool]) -> list[T]:
    return [check for check, is_valid in zip(checks, answers, strict=True) if is_valid]


def _state_after(state: State, block: Block, block_id: BlockID, response: FinalizeBlockResponse) -> State:
    try:
        return next_block_state(
            state,
            block_id=block_id,
            header=block.header,
            tx_results=response.tx_results,
            validator_updates=[(update.pub_key, update.power) for update in response.validator_updates],
            param_updates=response.consensus_param_updates,
            app_hash=response.app_hash,
        )
    except (InvalidData, InvalidDocument) as error:
        raise InvalidResponse(f"finalize_block of height {block.height}: {error}") from error


def save_decided(
    blocks: BlockStore,
    end_height: Callable[[int], None] | None,
    fail_point: FailPoint,
    *,
    block: Block,
    parts: PartSet,
    commit: Commit,
    extended: ExtendedCommit | None,
) -> Callable[[], None]:
    """What `apply` saves first: the block with its seen commit, then the log's end of height."""

    def save() -> None:
        fail_point("block decided")
        blocks.save(block, parts, commit, extended=extended)
        fail_point("block saved")
        if end_height is not None:
            end_height(block.height)
            fail_point("height ended")

    return save
