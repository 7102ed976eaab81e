"""Our own proposals and votes: signed, logged and synced before anybody sees them.

One piece of work on the disk a message: the sign state is saved, then the message is appended to the log, then the
log is synced, with all that peers sent before. A refusal of the signer means to abstain; it never ends the node.
Source: CometBFT v0.38, spec/consensus/bft-time.md, consensus/state.go (signVote, signAddVote).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Final, TypeAlias, TypeVar

import structlog

from consensus.abci.interface import VerifyVoteExtensionRequest
from consensus.abci.requests import extend_vote_request
from consensus.core.events import Decide, SignProposal, SignVote, VoteKind
from consensus.engine.incoming.checks import extension_bytes_max
from consensus.engine.incoming.inputs import PartIn, ProposalIn, VoteIn, encode_logged
from consensus.execution.executor import BlockExecutor
from consensus.execution.metrics import EngineMetrics, Signing
from consensus.formats.timestamps import within_time
from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.privval.own_key import PUT_OFF_MAX, OwnKeyWatch
from consensus.privval.remote import AnySigner, RemoteSigner
from consensus.privval.signer import VOTE_STEPS
from consensus.privval.succession import SuccessiveSigner
from consensus.state.state import State
from consensus.stores.wal import Wal
from consensus.system.clock import Clock, Workers
from consensus.system.errors import SigningRefused
from consensus.system.failpoints import FailPoint, no_fail_point
from consensus.types.block import Block
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from consensus.types.parts import PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal, Vote

LATE_NS: Final = 30 * NS_PER_S  # a block older than that has its successor, which was to hold our precommit

log = structlog.get_logger(__name__)

ToSign: TypeAlias = SignProposal | SignVote
T = TypeVar("T")
Spawn: TypeAlias = Callable[[Callable[[], Coroutine[None, None, None]], str], "asyncio.Task[None]"]


class Turns:
    """When our signatures are made. A signer in this process is waited for; one elsewhere answers when it can, and the
    driver goes on meanwhile: what is to be signed waits in its order, and what is due no more when its turn comes is
    left out. proposal, vote: carry one out. is_due: whether its round is still the running one."""

    def __init__(
        self, proposal: Callable[[SignProposal], Awaitable[None]], vote: Callable[[SignVote], Awaitable[None]],
        is_due: Callable[[ToSign], bool], spawn: Spawn,
        *, is_away: bool,
    ) -> None:  # fmt: skip
        self._proposal, self._vote, self._is_due, self._spawn, self._is_away = proposal, vote, is_due, spawn, is_away
        self._waiting: deque[ToSign] = deque(maxlen=PUT_OFF_MAX)
        self._running: asyncio.Task[None] | None = None

    async def _sign(self, effect: ToSign) -> None:
        await (self._vote(effect) if isinstance(effect, SignVote) else self._proposal(effect))

    async def take(self, effect: ToSign) -> None:
        if not self._is_away:
            await self._sign(effect)
            return
        self._waiting.append(effect)
        if self._running is None or self._running.done():
            self._running = self._spawn(self._run, "sign elsewhere")

    async def _run(self) -> None:
        while self._waiting:
            effect = self._waiting.popleft()
            if self._is_due(effect):
                await self._sign(effect)


def vote_time(now_ns: int, built_on_ns: Iterable[int]) -> int:
    """When a vote was cast: now, but after every time that a block which it speaks of, or follows, may have.

    built_on_ns: times of blocks that were validated here, and of the last block; never of one that is only proposed.
    A proposer could date it to the end of time, and move the median of the next commit with everybody's vote.
    Source: CometBFT v0.38, consensus/state.go, voteTime.
    """
    return within_time(max(now_ns, *(time_ns + NS_PER_MS for time_ns in built_on_ns)))


class OwnMessages:
    """Signs for one validator; `signer` None is an observer, who is never asked."""

    def __init__(
        self,
        signer: AnySigner | None,
        wal: Wal,
        executor: BlockExecutor,
        *,
        clock: Clock,
        workers: Workers,
        metrics: EngineMetrics,
        fail_point: FailPoint = no_fail_point,
    ) -> None:
        self.signer, self.is_away = signer, isinstance(signer, RemoteSigner)
        is_recorded_elsewhere = isinstance(signer, RemoteSigner) and signer.has_record_elsewhere
        self.watch = OwnKeyWatch(signer, is_recorded_elsewhere=is_recorded_elsewhere)
        self._wal, self._executor = wal, executor
        self._clock, self._workers, self._metrics, self._fail_point = clock, workers, metrics, fail_point

    @property
    def address(self) -> bytes:
        """Empty for an observer."""
        return b"" if self.signer is None else self.signer.pub_key.address

    async def index_in(self, validators: ValidatorSet) -> int | None:
        """Our place in a set that is to decide from now on; where it has our next key and the one of now no more, that
        key signs from here on."""
        signer = self.signer
        index = None if signer is None else validators.index_of(self.address)
        if index is not None or not isinstance(signer, SuccessiveSigner):
            return index
        retired = self.address
        if not await self._workers.run_disk(lambda: signer.succeed(validators)):
            return None
        self.watch.follow(signer)
        log.info("signs by its next key from now on", validator=self.address.hex(), retired=retired.hex())
        signer.key.told(signer.pub_key)
        return validators.index_of(self.address)

    def watch_some_heights(self, state: State, heights: int) -> None:
        """Sign nothing for so many. Nobody else could make the blocks that would be waited for where all the power is
        ours."""
        index = None if self.signer is None else state.validators.index_of(self.address)
        if not heights or index is None or len(state.validators) == 1:
            return
        until = state.next_height + heights
        self.watch.wait_until_height(until, state.next_height)
        log.warning(
            "signs nothing below a height, and listens whether its key is used elsewhere; where the chain does not go "
            "on without it, set [consensus] double_sign_check_height to 0",
            until=until,
        )

    async def proposal(self, effect: SignProposal, block_id: BlockID, parts: PartSet, state: State) -> Proposal | None:
        """The signed proposal, once it and the block's parts are in the log; None when the signer refuses."""
        signer = self.signer
        assert signer is not None, "an observer has no turn"
        unsigned = Proposal(effect.height, effect.round, effect.pol_round, block_id, within_time(self._clock.now_ns()))

        def log_it(signed: Proposal) -> None:
            self._log(ProposalIn(signed, ""))
            for index in range(parts.header.total if effect.pol_round < 0 else 0):  # those of an old block are logged
                part = parts.get(index)
                assert part is not None, index
                self._log(PartIn(effect.height, effect.round, part, ""))

        def sync() -> None:
            self._wal.sync()
            self._fail_point("proposal logged")

        def work() -> Proposal:
            assert not isinstance(signer, RemoteSigner), signer
            signed = signer.sign_proposal(state.chain_id, unsigned)
            log_it(signed)
            sync()
            return signed

        signing = self._asked("proposal", effect)
        try:
            if isinstance(signer, RemoteSigner):  # the driver goes on, and logs too: on the loop, one after the other
                signed = await signer.sign_proposal_away(state.chain_id, unsigned)
                signing.signed_ns = self._clock.monotonic_ns()
                log_it(signed)
                await self._workers.run_disk(self._timed(signing, sync))
            else:
                signed = await self._workers.run_disk(self._timed(signing, work))
        except SigningRefused as error:
            self._refused(signing, f"a proposal: {error}")
            return None
        self._remember(signed.sign_bytes(state.chain_id), signed.signature)
        self._done(signing)
        return signed

    async def vote(self, effect: SignVote, index: int, time_ns: int, block: Block | None, state: State) -> Vote | None:
        """The signed vote, once it is in the log; None when we abstain. block: what is voted for."""
        signer = self.signer
        assert signer is not None, "an observer does not vote"
        assert (block is None) == (effect.value_id is None), effect
        block_id = NIL_BLOCK_ID if effect.value_id is None else effect.value_id
        assert isinstance(block_id, BlockID), block_id
        unsigned = Vote(effect.kind, effect.height, effect.round, block_id, time_ns, signer.pub_key.address, index)
        extends = (
            block is not None
            and effect.kind is VoteKind.PRECOMMIT
            and state.params.abci.extensions_enabled(effect.height)
        )
        if extends and block is not None:
            extension = self._extension(block, state)
            if extension is None:
                return None
            unsigned = Vote(
                effect.kind,
                effect.height,
                effect.round,
                block_id,
                time_ns,
                signer.pub_key.address,
                index,
                extension=extension,
            )

        def sync() -> None:
            self._wal.sync()
            self._fail_point("vote logged")

        def work() -> Vote:
            assert not isinstance(signer, RemoteSigner), signer
            signed = signer.sign_vote(state.chain_id, unsigned, with_extension=extends)
            self._fail_point("vote signed")
            self._log(VoteIn(signed, ""))
            sync()
            return signed

        signing = self._asked(effect.kind.name.lower(), effect)
        try:
            if isinstance(signer, RemoteSigner):
                signed = await signer.sign_vote_away(state.chain_id, unsigned, with_extension=extends)
                signing.signed_ns = self._clock.monotonic_ns()
                self._log(VoteIn(signed, ""))
                await self._workers.run_disk(self._timed(signing, sync))
            else:
                signed = await self._workers.run_disk(self._timed(signing, work))
        except SigningRefused as error:
            self._refused(signing, f"a {effect.kind.name.lower()}: {error}")
            return None
        self._remember(signed.sign_bytes(state.chain_id), signed.signature)
        self._done(signing)
        self._metrics.last_signed_height = effect.height
        self.watch.signed(signed)
        return signed

    async def late_precommit(self, decided: Decide, index: int | None, block: Block, state: State) -> Vote | None:
        """For what +2/3 decided before we precommitted: who is slow, or was away, is still counted in the next block's
        commit. index: our place in this height's set. The block is saved; `state` is the one before it.

        It can only add power to what is decided. By our record we signed nothing of this round's precommits or of a
        later round, so it contradicts nothing, and we take no more part in this height, so it binds nothing: line 36
        asks for a polka, which more than 1/3 correct ones of the +2/3 have seen. None where that does not hold, where
        the key is elsewhere (what it was asked may be under way), or where nobody can count it any more.
        Source: arXiv:1807.04938, lemmas 3 and 4; CometBFT v0.38, spec/consensus/consensus.md (LastCommit).
        """
        signer, height, round = self.signer, decided.height, decided.round
        if index is None or signer is None or self.is_away or state.params.abci.extensions_enabled(height):
            return None
        effect, now_ns = SignVote(VoteKind.PRECOMMIT, height, round, decided.value_id, None), self._clock.now_ns()
        if signer.last_position >= (height, round, VOTE_STEPS[VoteKind.PRECOMMIT]):
            return None
        if now_ns - block.header.time_ns > LATE_NS or self.watch.is_on(effect, self._clock.monotonic_ns()):
            return None
        return await self.vote(effect, index, vote_time(now_ns, [block.header.time_ns]), block, state)

    def _extension(self, block: Block, state: State) -> bytes | None:
        """What the application adds to our precommit, if others would accept it: they judge as we do.

        One that our own application refuses is replaced by an empty one, and if that is refused too we abstain:
        a vote that everybody drops helps nobody (CometBFT issue 5204).
        """
        app = self._executor.app
        extension = app.extend_vote(extend_vote_request(block, state.last_validators))
        assert self.signer is not None, "an observer does not vote"
        most = extension_bytes_max(self.signer.pub_key)
        for candidate in (extension, b""):
            if len(candidate) > most:
                continue
            request = VerifyVoteExtensionRequest(block.hash, self.address, block.height, candidate)
            if app.verify_vote_extension(request):
                return candidate
            log.error("the application refused its own vote extension", height=block.height, bytes=len(candidate))
        self._metrics.own_signatures_refused += 1
        return None

    def _remember(self, sign_bytes: bytes, signature: bytes) -> None:
        """What we signed just now need not be verified."""
        assert self.signer is not None
        self._executor.signatures.add((self.signer.pub_key, sign_bytes, signature))

    def _log(self, message: ProposalIn | PartIn | VoteIn) -> None:
        self._wal.append(encode_logged(message, self._clock.now_ns()))

    def _asked(self, kind: str, effect: ToSign) -> Signing:
        nil_why = effect.nil_reason.value if isinstance(effect, SignVote) and effect.nil_reason is not None else ""
        signing = Signing(
            kind, effect.height, effect.round, self._clock.monotonic_ns(), nil_why=nil_why, is_away=self.is_away
        )
        self._metrics.signings.append(signing)
        return signing

    def _timed(self, signing: Signing, work: Callable[[], T]) -> Callable[[], T]:
        """The same work, which says how long it took by itself."""

        def timed() -> T:
            began_ns = self._clock.monotonic_ns()
            try:
                return work()
            finally:
                signing.work_ns = self._clock.monotonic_ns() - began_ns

        return timed

    def _done(self, signing: Signing) -> None:
        signing.done_ns = self._clock.monotonic_ns()
        self._metrics.sign.add(signing.done_ns - signing.asked_ns)

    def _refused(self, signing: Signing, what: str) -> None:
        signing.refused = what
        self._metrics.own_signatures_refused += 1
        log.warning(f"abstained from {what}")
