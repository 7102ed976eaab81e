"""The driver: one task that feeds the core and carries its effects out.

Peers' messages wait in a bounded inbox; our own votes, time-outs and answers have their own queue and go first. Each
input is checked, written to the write-ahead log, given to the core, and the effects are carried out in their order
before the next input is taken. What takes long (building, validating) runs beside and comes back as an input.
Whatever makes it impossible to go on safely ends the process through `fatal`, with a code and a last line.
Source: docs/core-to-wire.md; CometBFT v0.38, spec/consensus/consensus.md, consensus/state.go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, TypeAlias, assert_never

import structlog

from consensus.abci.interface import HaltRequested
from consensus.core.core import Core
from consensus.core.events import (
    BlockComplete,
    BlockValidated,
    BuildBlock,
    CoreConfig,
    Decide,
    Effect,
    Elapsed,
    Equivocation,
    GatherBlock,
    Input,
    PolkaSeen,
    SetTimer,
    SignProposal,
    SignVote,
    StartHeight,
    Step,
    StepChanged,
    TxsAvailable,
    ValidateBlock,
    ValidValueSet,
    VoteCounted,
    VoteKind,
    VoteRefused,
)
from consensus.engine.block_work import BlockWork
from consensus.engine.checkpoint import restate_log
from consensus.engine.incoming.inbox import Entrance, NoCharges
from consensus.engine.incoming.inputs import (
    BuiltBlock,
    EnteredStep,
    Logged,
    MajorityIn,
    Message,
    PartIn,
    ProposalIn,
    TimedOut,
    VoteIn,
    encode_logged,
)
from consensus.engine.intake import Intake, Verdicts
from consensus.engine.interfaces import Alarms, RoundListener, SavedBlock, SavedListener
from consensus.engine.own_messages import OwnMessages, ToSign, Turns, vote_time
from consensus.engine.replay import Recorded, recover
from consensus.engine.round_state import PREVOTE_WAIT_WIRE_STEP, HeightState, times_judged
from consensus.engine.timers import Gathering, Timers, genesis_wait_ms, starts_with_proof
from consensus.engine.votes import RoundVotes, block_id_of, load_last_commit, signed_of
from consensus.execution.executor import BlockExecutor, save_decided
from consensus.formats.units import NS_PER_MS
from consensus.privval.own_key import WatchOver
from consensus.privval.remote import AnySigner
from consensus.state.state import State
from consensus.stores.wal import Wal
from consensus.system.clock import Clock, Workers
from consensus.system.errors import exit_code_of, traced
from consensus.system.failpoints import FailPoint, no_fail_point
from consensus.system.log_limit import LogLimit
from consensus.system.machine import last_words
from consensus.system.meter import Meter
from consensus.types.block import Block, Commit, ExtendedCommit
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PartSet

LATE_PRECOMMIT_WAIT_MS: Final = 50  # after +2/3, for the precommits that are missing
WAL_FLUSH_S: Final = 2.0  # the longest that a peer's message is only buffered
STOP_S: Final = 10.0  # for the input at hand: a block is applied to the end
TURN_NS_MAX: Final = 2 * NS_PER_MS  # of inputs taken in a row, before others may use the loop

log = structlog.get_logger(__name__)
loud = LogLimit(log)


Event: TypeAlias = (
    TimedOut | BuiltBlock | BlockComplete | BlockValidated | TxsAvailable | ProposalIn | VoteIn | WatchOver
)


class ConsensusDriver(Entrance):
    """Satisfies interfaces.Driver. Made at rest: `apply_synced_block` until `start`, consensus from then on, until
    `leave`."""

    def __init__(
        self,
        config: CoreConfig,
        state: State,
        executor: BlockExecutor,
        *,
        wal: Wal,
        signer: AnySigner | None,
        clock: Clock,
        workers: Workers,
        alarms: Alarms,
        late_precommit_wait_ms: int = LATE_PRECOMMIT_WAIT_MS,
        watch_before_signing_ns: int = 0,
        watch_heights: int = 0,
        fail_point: FailPoint = no_fail_point,
    ) -> None:
        self.config = config
        self.core = Core(config)
        super().__init__(executor.metrics)
        self._state = state
        self._executor, self._wal, self._signer = executor, wal, signer
        self._clock, self._workers, self._alarms = clock, workers, alarms
        self._meter = Meter.of(clock)
        self._watch_ns, self._watch_heights = watch_before_signing_ns, watch_heights
        self._late_wait_ns = late_precommit_wait_ms * NS_PER_MS
        self._fail_point = fail_point
        self._own = OwnMessages(
            signer, wal, executor, clock=clock, workers=workers, metrics=self.metrics, fail_point=fail_point
        )
        self._turns = Turns(self._sign_proposal, self._sign_vote, self._is_due, self._spawn, is_away=self._own.is_away)
        self._round_state = HeightState(self.core.votes)
        self._listeners: list[RoundListener] = []
        self._saved_listeners: list[SavedListener] = []
        self._events: deque[Event] = deque()
        self._intake = Intake(
            self.core,
            self._round_state,
            executor,
            self._inbox,
            state=lambda: self._state,
            verdicts=Verdicts(self._log, self._blame, self._useful, self._useless),
            watch=self._own.watch,
            listeners=self._listeners,
        )
        self._work = BlockWork(
            executor, self._round_state, workers, state=lambda: self._state, spawn=self._spawn, push=self._push,
            complete=self._tell_complete, is_live=lambda: self._recorded is None,
        )  # fmt: skip
        self._tasks: set[asyncio.Task[None]] = set()
        self._consensus: asyncio.Task[None] | None = None
        self._timers, self._gathering = Timers(clock, self._push), Gathering(config.gather_wait_ms, clock.wanted_ns)
        self._decided: Decide | None = None
        self._recorded: Recorded | None = None  # while the log is replayed
        self._restate_due = False  # the log of the height is long
        self._txs_told = False
        self._commit_due_ns = 0  # monotonic: when timeout_commit of the last block is over
        self._step_since_ns = 0
        self._failure: BaseException | None = None  # what ended it
        self._halted: HaltRequested | None = None  # why the application wants no more blocks; nothing failed

    # ------------------------------------------------------------------------------------------- for the others

    @property
    def round_state(self) -> HeightState:
        return self._round_state

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_running(self) -> bool:
        return self._is_running

    @property
    def failure(self) -> BaseException | None:
        return self._failure

    @property
    def halted(self) -> HaltRequested | None:
        return self._halted

    def add_round_listener(self, listener: RoundListener) -> None:
        self._listeners.append(listener)

    def add_saved_listener(self, listener: SavedListener) -> None:
        self._saved_listeners.append(listener)

    def peer_left(self, peer_id: str) -> None:
        self._inbox.forget(peer_id)
        self._intake.forget(peer_id)

    def _push(self, event: Event) -> None:
        self._events.append(event)
        self._wake.set()

    async def verify_ahead(self, block: Block, block_id: BlockID, commit: Commit) -> None:
        """Of a block that is to be synced: see the executor's."""
        await self._executor.verify_ahead(self._state, block, block_id, commit)

    async def apply_synced_block(
        self, block: Block, block_id: BlockID, parts: PartSet, commit: Commit, *, extended: ExtendedCommit | None = None
    ) -> State:
        """Save and apply a block that its commit proves. Only while at rest. Raises InvalidBlock, HaltRequested.

        When this returns, the state after it is being saved: listeners are told of the block, and the next one is
        written, when that is on disk (`BlockExecutor.execute`).
        From here on nothing is signed at or below its height (failure 10: signing while ingesting decided blocks).
        """
        assert not self._is_running, "consensus runs: it decides by itself"
        self._executor.check_halt(block.height)
        if block.evidence:
            await self._executor.settle()  # it is judged by what is saved
        await self._executor.check(self._state, block, is_decided=True)
        if self._signer is not None:
            self._signer.raise_floor(block.height)
        for shown in (block.last_commit, commit):
            self._own.watch.saw_commit(shown)
        save = save_decided(
            self._executor.blocks, None, self._fail_point, block=block, parts=parts, commit=commit, extended=extended
        )

        def on_saved() -> None:
            self.metrics.committed(block, parts.byte_size, after.validators, self._clock.monotonic_ns())
            self._tell_saved(SavedBlock(block, commit, after))

        self._state = after = await self._executor.execute(self._state, block, block_id, save=save, on_saved=on_saved)
        return after

    # --------------------------------------------------------------------------------------------- start and stop

    async def start(self) -> None:
        """Take up the running height: replay its log, then run until `stop` or a failure."""
        assert not self._is_running, "started twice"
        await self._executor.settle()
        if self._signer is not None:
            self._signer.raise_floor(self._state.last_block_height)
        us = await self._own.index_in(self._state.validators)
        records = recover(self._wal, self._signer, self._state, self._clock.now_ns())
        last_commit = load_last_commit(self._executor.blocks, self._state)
        self._is_running = True
        self._step_since_ns = self._clock.monotonic_ns()
        if self._consensus is None:  # else blocks were synced in between, which would have shown our key
            self._executor.pool.on_available(self._txs_available)
            self._own.watch.wait(self._watch_ns, self._step_since_ns, self._state.next_height)
            self._own.watch_some_heights(self._state, self._watch_heights)
        if left_ns := self._own.watch.left_ns(self._step_since_ns):
            log.info("signs nothing yet: listens whether its key is used elsewhere", seconds=left_ns / 1e9)
            self._timers.call_later("watch", left_ns / 1e9, lambda: self._push(WatchOver()))
        self._commit_due_ns = self._step_since_ns + self.config.timeout_commit_ms * NS_PER_MS
        self._consensus = self._spawn(lambda: self._run(records, last_commit, us), "consensus")
        self._flush_later()

    async def leave(self) -> None:
        """Leave the running height between two inputs, for blocks that are synced; `start` takes up where they end, and
        the same height from its log, as after a stop. Does nothing where consensus does not run."""
        running = self._consensus
        if not self._is_running or running is None:
            return
        self._is_running = False
        self._timers.cancel_all()
        self._wake.set()
        await asyncio.wait({running})  # however long it applies a block: half of one is no state
        await self._come_to_rest()
        self._events.clear()
        self._restate_due, self._recorded = False, None

    async def stop(self) -> None:
        """Stop between two inputs and leave nothing running; the log is synced, not closed."""
        self._is_running = False
        self._wake.set()
        self._timers.cancel_all()
        running = self._consensus
        if running is not None and running is not asyncio.current_task():
            await asyncio.wait({running}, timeout=STOP_S)
        await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        await asyncio.gather(*self._cancel_others(), return_exceptions=True)
        self._timers.cancel_all()
        await self._executor.close()
        if self._failure is None:
            await self._workers.run_disk(self._wal.sync)

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guard(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Failure 19: nothing that fails here leaves a node that looks alive."""
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except HaltRequested as halt:
            self.halt(halt)
        except Exception as error:
            self._fail(error)

    def halt(self, halt: HaltRequested) -> None:
        """Take no more part: everything that was decided is saved. Peers may still read from the round state."""
        if self._halted is not None or self._failure is not None:
            return
        self._halted, self._is_running = halt, False
        self._timers.cancel_all()
        self._alarms.halt(halt)
        self._cancel_others()

    def _fail(self, error: Exception) -> None:
        if self._failure is not None:
            return
        self._failure, self._is_running = error, False
        self._timers.cancel_all()
        core, why = self.core, f"{last_words(error)}{self._work.why(error)}"
        error.add_note(why)  # for who asks for `failure`
        where = f"height {core.height} round {core.round} step {core.step.name}"
        log.critical("consensus failed", where=where, why=why, exc_info=traced(error))
        self._alarms.fatal(exit_code_of(error), f"consensus failed at {where}: {why}")
        self._cancel_others()

    def _cancel_others(self) -> list[asyncio.Task[None]]:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        return others

    def _flush_later(self) -> None:
        self._timers.call_later("flush log", WAL_FLUSH_S, self._flush)

    def _flush(self) -> None:
        if self._is_running:
            self._spawn(self._sync_wal, "flush log")

    async def _sync_wal(self) -> None:
        started = self._clock.monotonic_ns()
        await self._workers.run_disk(self._wal.sync)
        self.metrics.wal_sync.add(self._clock.monotonic_ns() - started)
        self._flush_later()

    # -------------------------------------------------------------------------------------------------- the loop

    async def _run(self, records: Recorded, last_commit: RoundVotes | None, us: int | None) -> None:
        needs_proof = starts_with_proof(self._executor.blocks, self._state)
        self._recorded = records or None
        await self._enter_height(last_commit, self.config.timeout_commit_ms, us, needs_proof=needs_proof)
        if self._recorded is not None:
            await self._replay(self._recorded)
        since = self._clock.monotonic_ns()
        while self._is_running:
            if self._events:
                await self._take_event(self._events.popleft())
            elif self._restate_due:  # all that we signed came back to the core
                self._restate_due = False
                await restate_log(
                    self._wal, self.core, self._round_state, self._intake.used_claims, self.metrics,
                    last_height=self._state.last_block_height, clock=self._clock, workers=self._workers,
                )  # fmt: skip
            elif (message := self._inbox.take()) is not None:
                await self._take_message(message)
            else:
                self._wake.clear()
                await self._wake.wait()
                since = self._clock.monotonic_ns()
                continue
            if self._clock.monotonic_ns() - since > TURN_NS_MAX:
                await asyncio.sleep(0)
                since = self._clock.monotonic_ns()

    async def _take_event(self, event: Event) -> None:
        match event:
            case TimedOut():
                await self._take_timeout(event)
            case BuiltBlock(built, block):
                self._hold(block, built.height)
                await self._feed(built)
            case BlockComplete(_, value_id) if value_id not in self._round_state.blocks:
                self._tell_complete(block_id_of(value_id).part_set_header)  # a round began: it was forgotten untold
            case BlockComplete() | BlockValidated() | TxsAvailable():
                await self._feed(event)
            case ProposalIn() | VoteIn():
                await self._take_message(event)
            case WatchOver():
                log.info("signs from now on: nobody else was seen to use its key")
                for effect in self._own.watch.take_put_off():
                    if effect.height == self.core.height:
                        await self._carry_out(effect)
            case _:
                assert_never(event)

    async def _take_timeout(self, event: TimedOut) -> None:
        is_begin = event.elapsed.step is self.core.step is Step.NEW_HEIGHT and event.elapsed.height == self.core.height
        if is_begin and (wait_ns := self._begin_wait_ns()):  # one of the height before would take this one's place
            self._timers.set(event, wait_ns)
        elif not self._work.puts_off(event):
            self._log(event)
            for listener in self._listeners:
                listener.timed_out(event.elapsed)
            await self._feed(event.elapsed)

    async def _take_message(self, message: Message) -> None:
        """A message of a peer, of our own, or of the log."""
        began_ns = self._meter.begin()
        taken = self._intake.take(message)
        if message.peer_id:
            self._charges.worked(message.peer_id, self._meter.spent(began_ns))
        for event in taken.inputs:
            await self._feed(event)
        if taken.all_precommits:
            self._end_commit_wait()

    async def _feed(self, event: Input) -> None:
        """Give the core an input and carry out what it asks for."""
        for effect in self.core.handle(event):
            await self._carry_out(effect)
        if self._decided is not None:
            decided, self._decided = self._decided, None
            await self._commit(decided)

    def _log(self, logged: Logged) -> None:
        if self._recorded is None:
            self._wal.append(encode_logged(logged, self._clock.now_ns()))

    def _blame(self, peer_id: str, reason: str) -> None:
        if peer_id and self._recorded is None:
            loud.warning("a peer broke the protocol", peer_id, why=reason)
            self._inbox.forget(peer_id)
            self._alarms.fault(peer_id, reason)
        else:
            log.warning("refused a message of the log", why=reason)

    def _tell_saved(self, saved: SavedBlock) -> None:
        for listener in self._saved_listeners:
            listener.block_saved(saved)

    # ------------------------------------------------------------------------------------------------- effects

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case StepChanged():
                self._step_changed(effect)
            case SetTimer():
                self._set_timer(effect)
            case BuildBlock():
                self._build(effect)
            case SignProposal() | SignVote() if self._own.watch.puts_off(effect, self._clock.monotonic_ns()):
                pass
            case SignVote() if self._recorded is not None and self._recorded.has_own_vote(effect.kind, effect.round):
                pass  # it follows from the log
            case SignProposal() | SignVote():
                await self._turns.take(effect)
            case ValidateBlock():
                await self._validate(effect)
            case GatherBlock():
                self._gather(effect)
            case ValidValueSet():
                for listener in self._listeners:
                    listener.valid_block_set(block_id_of(effect.value_id), is_commit=False)
            case PolkaSeen():
                pass  # gossip claims majorities where a height stalls: until then everybody is about to see it too
            case VoteCounted(vote):
                for listener in self._listeners:
                    listener.vote_added(signed_of(vote))
            case Equivocation():
                self._equivocated(effect)
            case VoteRefused(vote, reason):
                self.metrics.votes_refused += 1
                self._useless(vote.peer_id, reason, 1)
            case Decide():
                self._decided = effect
            case _:
                assert_never(effect)

    def _step_changed(self, effect: StepChanged) -> None:
        state, now = self._round_state, self._clock.monotonic_ns()
        self.metrics.step_left(state.step, now - self._step_since_ns)
        self._step_since_ns = now
        is_new_round = effect.round != state.round
        state.enter(effect.round, effect.step)
        if effect.step is Step.PROPOSE:
            state.forget_blocks(self.core.block_state)
        if effect.step is Step.COMMIT:
            state.commit_round = self.core.commit_round
            state.commit_header = block_id_of(self.core.commit_value).part_set_header
        self.metrics.step_entered(effect.height, effect.round, effect.step, now)
        if is_new_round:
            self.metrics.rounds_failed += 1
            self._restate_due = self._wal.is_long
            log.info("began a round", height=effect.height, round=effect.round)
        self._new_step()
        proposal = state.proposal
        if is_new_round and proposal is not None:
            for listener in self._listeners:
                listener.proposal_set(proposal)

    def _new_step(self) -> None:
        state = self._round_state
        self._log(EnteredStep(state.height, state.round, state.wire_step))
        for listener in self._listeners:
            listener.step_changed()

    def _set_timer(self, effect: SetTimer) -> None:
        state = self._round_state
        if effect.step is Step.PREVOTE and state.step is Step.PREVOTE and effect.round == state.round:
            state.wire_step = PREVOTE_WAIT_WIRE_STEP
            self._new_step()
        event = TimedOut(Elapsed(effect.step, effect.height, effect.round), effect.after_ms)
        self._timers.set(event, effect.after_ms * NS_PER_MS)

    def _build(self, effect: BuildBlock) -> None:
        if self._recorded is None or not self._recorded.has_own_proposal(effect.round):  # else it follows from the log
            self._work.build(effect, self._own.address)

    def _hold(self, block: Block, height: int) -> None:
        """Our own new block: complete from the beginning."""
        if height == self.core.height:
            self._tell_complete(self._round_state.hold(block))

    def _tell_complete(self, header: PartSetHeader) -> None:
        """Parts may be here before a block id over them is asked for."""
        for event in self._intake.completed(header):
            self._push(event)

    def _is_due(self, effect: ToSign) -> bool:
        return self._is_running and (effect.height, effect.round) == (self.core.height, self.core.round)

    async def _sign_proposal(self, effect: SignProposal) -> None:
        block_id = block_id_of(effect.value_id)
        parts, block = self._round_state.part_sets.get(block_id.part_set_header), self._round_state.blocks.get(block_id)
        if parts is None or block is None:
            return  # put off for so many rounds that it was forgotten
        proposal = await self._own.proposal(effect, block_id, parts, self._state)
        if proposal is None or effect.height != self.core.height:
            return
        self._events.appendleft(ProposalIn(proposal, ""))
        self._wake.set()
        if effect.pol_round < 0:  # a new block: execute it while the others receive it
            self._work.execute_own(block)

    async def _sign_vote(self, effect: SignVote) -> None:
        if effect.nil_reason is not None:
            kind, why = effect.kind.name.lower(), effect.nil_reason.value
            self.metrics.nil_votes[kind, why] += 1
            log.info("voted nil", kind=kind, height=effect.height, round=effect.round, why=why)
        index = self.core.our_index
        assert index is not None, "an observer is not asked to vote"
        block = None if effect.value_id is None else self._round_state.blocks.get(block_id_of(effect.value_id))
        if effect.value_id is not None and block is None:
            return  # put off for so many rounds that it was forgotten
        built_on_ns = [self._state.last_block_time_ns, *times_judged(self.core, self._round_state)]
        if block is not None:
            built_on_ns = [block.header.time_ns]
        time_ns = vote_time(self._clock.now_ns(), built_on_ns)
        vote = await self._own.vote(effect, index, time_ns, block, self._state)
        if vote is not None and effect.height == self.core.height:
            self._push(VoteIn(vote, ""))

    async def _validate(self, effect: ValidateBlock) -> None:
        block_id = block_id_of(effect.value_id)
        if self._recorded is None:
            self._work.validate(effect.height, block_id)
        else:
            await self._work.validate_now(effect.height, block_id)

    def _gather(self, effect: GatherBlock) -> None:
        block_id = block_id_of(effect.value_id)
        header = block_id.part_set_header
        self._round_state.open_parts(block_id, self._state.block_bytes_max)
        self._round_state.gathering[effect.round] = header
        self._tell_complete(header)
        for listener in self._listeners:
            listener.part_set_opened(header, is_commit=effect.is_commit)

    def _equivocated(self, effect: Equivocation) -> None:
        first, second = signed_of(effect.first), signed_of(effect.second)
        self.metrics.equivocations += 1
        ours = second.validator_address == self._own.address
        log.error(
            "OUR OWN KEY signed two votes: does it run elsewhere too?" if ours else "a validator signed two votes",
            height=second.height,
            round=second.round,
            kind=effect.first.kind.name.lower(),
            validator=second.validator_address.hex(),
        )
        if not ours and self._recorded is None:
            self._executor.evidence.report_conflicting_votes(first, second)

    # ------------------------------------------------------------------------------------------------- a height

    async def _commit(self, decided: Decide) -> None:
        """+2/3 precommitted a valid block: apply it, then begin the next height."""
        decided_ns = self._clock.monotonic_ns()
        block_id, height = block_id_of(decided.value_id), decided.height
        block, parts = self._round_state.blocks[block_id], self._round_state.part_sets[block_id.part_set_header]
        precommits = self._round_state.votes(VoteKind.PRECOMMIT, decided.round)
        assert block is not None, "the core decides valid blocks"
        assert precommits is not None, "a decision has precommits"
        self._own.watch.saw_commit(block.last_commit)
        is_extended = self._state.params.abci.extensions_enabled(height)
        commit, extended = precommits.commit(height), precommits.extended_commit(height) if is_extended else None
        save = save_decided(
            self._executor.blocks, self._wal.end_height, self._fail_point,
            block=block, parts=parts, commit=commit, extended=extended,
        )  # fmt: skip
        await self._work.drop()
        applied = await self._executor.apply(self._state, block, block_id, save=save)
        if not precommits.is_full:
            await self._precommit_late(decided, block, precommits)
        us = await self._own.index_in(applied.validators)  # the disk may be waited for: not once the next height began
        self._state = applied
        if self._signer is not None:
            self._signer.raise_floor(height)
        self.metrics.apply.add((now := self._clock.monotonic_ns()) - decided_ns)
        self.metrics.committed(block, parts.byte_size, self._state.validators, self._clock.monotonic_ns())
        log.info(
            "committed", height=height, round=decided.round, txs=len(block.txs), block=block_id.hash.hex(),
            app_hash=self._state.app_hash.hex(), took_ms=(now - decided_ns) // NS_PER_MS,
        )  # fmt: skip
        self._tell_saved(SavedBlock(block, commit, self._state))
        self._recorded = None  # what follows in the log, if anything, is of no height of ours
        self._commit_due_ns = decided_ns + self.config.timeout_commit_ms * NS_PER_MS
        self._gathering.start(decided_ns, len(block.txs))
        wait_ns = max(self._commit_due_ns, 0 if precommits.is_full else decided_ns + self._late_wait_ns) - now
        needs_proof = bool(block.txs or block.evidence) and self._state.app_hash != block.header.app_hash
        await self._enter_height(precommits, max(0, -(-wait_ns // NS_PER_MS)), us, needs_proof=needs_proof)

    async def _precommit_late(self, decided: Decide, block: Block, precommits: RoundVotes) -> None:
        """Where ours is not among them: for the next block's commit."""
        vote = await self._own.late_precommit(decided, self.core.our_index, block, self._state)
        if vote is not None:
            precommits.add_late(vote)
            self.metrics.own_precommits_late += 1
            for listener in self._listeners:
                listener.vote_added(vote)

    async def _enter_height(self, last: RoundVotes | None, wait_ms: int, us: int | None, *, needs_proof: bool) -> None:
        # Nothing waits from here on: who read votes meanwhile would have the old tally kept as the new height's.
        self._timers.start_height()
        height, validators = self._state.next_height, self._state.validators
        self._executor.check_halt(height)
        wait_ms = max(wait_ms, -(-self._begin_wait_ns() // NS_PER_MS))
        self._intake.start_height()
        self._inbox.start_height()
        self._round_state.start(height, validators, last, self._executor.bounds(self._state))
        self._round_state.start_time_ns = self._clock.now_ns() + wait_ms * NS_PER_MS
        self._txs_told = False
        await self._feed(StartHeight(height, validators, us, needs_proof, wait_ms))
        if self._executor.pool.size > 0:
            self._txs_available()

    def _begin_wait_ns(self) -> int:
        """What the height waits for beside the commit: the genesis time, or more transactions."""
        wait_ns = genesis_wait_ms(self._state, self._clock.now_ns()) * NS_PER_MS
        return max(wait_ns, self._gathering.more_ns(self._executor.pool.size, self._clock.monotonic_ns()))

    def _txs_available(self) -> None:
        if self._is_running and not self._txs_told:
            self._txs_told = True
            self._push(TxsAvailable(self.core.height))

    def _end_commit_wait(self) -> None:
        """All precommits are here: only timeout_commit is left to wait for."""
        if self._round_state.step is not Step.NEW_HEIGHT or not self._timers.is_set(Step.NEW_HEIGHT, 0):
            return
        left_ns = max(0, self._commit_due_ns - self._clock.monotonic_ns())
        event = TimedOut(Elapsed(Step.NEW_HEIGHT, self.core.height, 0), -(-left_ns // NS_PER_MS))
        self._timers.set(event, left_ns)

    async def _replay(self, records: Recorded) -> None:
        """Take in again what the log holds of this height. Answers come before the next record."""
        height = self._state.next_height
        log.info("replaying the log", height=height, records=len(records))
        charges, self._charges = self._charges, NoCharges()
        self.metrics.is_catching_up_from_wal = True
        timeouts: list[Event] = []
        for logged in records.inputs():
            if self.core.height != height:
                break  # it was decided
            match logged:
                case TimedOut(elapsed):
                    await self._feed(elapsed)
                case EnteredStep(of_height, round, step):
                    if step >= Step.PROPOSE and (of_height, round) == (height, 0):
                        await self._feed(TxsAvailable(height))  # the only input that is not logged itself
                case ProposalIn() | PartIn() | VoteIn() | MajorityIn():
                    await self._take_message(logged)
                case _:
                    continue
            while self._events:  # real time-outs wait: the log's own come first
                event = self._events.popleft()
                if isinstance(event, TimedOut):
                    timeouts.append(event)
                else:
                    await self._take_event(event)
        self._recorded, self._charges = None, charges
        self.metrics.is_catching_up_from_wal = False
        self._events.extend(timeouts)
        log.info("replayed the log", height=self.core.height, round=self.core.round, step=self.core.step.name)
