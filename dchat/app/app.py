"""The application: two machines and a bridge under the engine's interface.

One call at a time, on one thread. A proposal is executed once, over a branch, when it is first seen, and its outcome
is kept by the block's hash; finalize_block of that hash returns it, commit writes it in one synced batch. Nothing that
the mempool or admission knows has a part in execution, but signatures found valid.
Source: docs/decisions/0003, 0005 and 0006; CometBFT v0.38, spec/abci/abci++_methods.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import structlog

from chain.app_state.document import parse_app_state
from chain.app_state.exported import Exported, is_exported, read_exported
from chain.currency.grants.fee_grants import last_time_ns
from chain.currency.ledger.records import PARAMS
from chain.kernel.branch import Base, Branch, encode_changes
from chain.kernel.check import CheckState
from chain.kernel.check import Pending as PendingRecord
from chain.kernel.execution import BlockRun, Executed, Executor, execute_block
from chain.kernel.proposals import FIRST_TURN_BLOCKS, fee_to_replace, priority_of, select
from chain.kernel.signatures import Signatures
from chain.state.snapshot import FORMAT
from chain.state.store import NO_VERSION, Pending, Stores
from chain.trail.kept import KeptBlock, KeptTrails
from chain.tx.envelope.tx import TX_BYTES_MIN, Tx, TxCache, lane_shown
from chain.tx.errors import BadSignature, TxError
from chain.tx.messages import LANE_CHAT, LANE_CURRENCY, Payment
from chain.upgrade.chain_record import CHAIN, ChainRecord
from chain.upgrade.migrations import Upgrade
from chain.upgrade.module import UpgradeOptions, Upgrader
from chain.upgrade.plan import CONSENSUS_PARAMS, PLAN, VERSIONS, Action, Plan, rules_of
from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    BlockRequest,
    CheckTxRequest,
    CheckTxResponse,
    CheckTxType,
    CommitInfo,
    CommitResponse,
    ExtendVoteRequest,
    FinalizeBlockResponse,
    HaltRequested,
    InfoRequest,
    InfoResponse,
    InitChainRequest,
    InitChainResponse,
    OfferSnapshotResult,
    PrepareProposalRequest,
    PrepareProposalResponse,
    ProcessProposalResponse,
    QueryRequest,
    QueryResponse,
    SignatureCheck,
    Slices,
    Snapshot,
    VerifyVoteExtensionRequest,
    VoteInfo,
)
from consensus.state.results import Event
from consensus.types.params import ConsensusParams
from crypto.hash import sha256
from dchat.app.build_plan import UPGRADES
from dchat.app.composition import PENDING, begin, compose
from dchat.app.errors import GenesisDiffers
from dchat.app.queries import Queries
from dchat.app.snapshots import FoundingBranch, Restorer, Shelf, answer, begin_with, is_begun

APP_VERSION: Final = 1  # of the rules: what a block means
SOFTWARE: Final = "0.1.0"
STILL_GOOD: Final = CheckTxResponse()  # of a recheck: who asks knows the rest
OUTCOMES_MAX: Final = 4  # proposals of one height that are executed and kept; rounds beyond that are rare

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class Outcome:
    """A block, executed and under the trees, waiting to be decided."""

    response: FinalizeBlockResponse
    executed: Executed
    pending: Pending
    height: int
    block_hash: bytes
    large: dict[bytes, int]  # sizes of what it wrote
    is_written: bool = False


class DchatApplication:
    """Implements consensus.abci.interface's Application and ChecksSignatures.

    stores: the three stores. retain_blocks: what commit tells the engine it may prune below; 0: nothing.
    upgrades: those that this build can carry out. shelf: the snapshots that it serves. trails: takes what each block
    did, step by step. Raises HaltRequested: this is not the build for these stores (without check_build, for a
    rehearsal on a copy, it is not asked).
    """

    def __init__(
        self,
        stores: Stores,
        *,
        retain_blocks: int = 0,
        upgrades: Sequence[Upgrade] = UPGRADES,
        upgrade_options: UpgradeOptions | None = None,
        check_build: bool = True,
        shelf: Shelf | None = None,
        trails: KeptTrails | None = None,
        check_room: Callable[[], None] = lambda: None,
    ) -> None:
        """check_room: asked in each slice in which the trees of a restored snapshot are built, in whichever thread;
        what it raises ends the restore."""
        self.stores = stores
        self.shelf = shelf
        self.trails = trails or KeptTrails(0)
        self._restorer: Restorer | None = None
        self._check_room = check_room
        self.modules = compose()
        self.upgrader = Upgrader(self.modules, upgrades, upgrade_options)
        self.base = Base(stores, self.modules.decoders)
        self.queries = Queries(stores, self.modules)
        self.txs = TxCache()
        self.signatures = Signatures()
        self._retain_blocks = retain_blocks
        self._outcomes: dict[bytes, Outcome] = {}
        self._finalized: Outcome | None = None
        self._prepared: tuple[BlockRequest, BlockRun] | None = None  # our own proposal, without its hash, up to its end
        self._chain: ChainRecord | None = None
        self.block_events: tuple[Event, ...] = ()  # of the last block's begin and end, for who counts them
        self._load()
        if check_build and stores.latest_version != NO_VERSION:
            self.upgrader.check_start(self.base, self.stores.latest_version + 1)

    # -------------------------------------------------------------------------- life

    def info(self, request: InfoRequest) -> InfoResponse:
        version = self._chain.app_version if self._chain is not None else APP_VERSION
        return InfoResponse(
            "dchat", SOFTWARE, version, self.last_height, self.stores.app_hash if self.last_height else b""
        )

    @property
    def tx_bytes_min(self) -> int:
        """What is smaller does not decode, and a proposal that holds it is refused."""
        return TX_BYTES_MIN

    @property
    def last_height(self) -> int:
        """Of the last block committed; 0: none."""
        chain, latest = self._chain, self.stores.latest_version
        return latest if chain is not None and latest >= chain.initial_height else 0

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        """Raises: InvalidAppState; GenesisDiffers, when there are blocks. A genesis that never saw one is redone."""
        if self.last_height:
            raise GenesisDiffers(f"the application has blocks up to {self.last_height}; a genesis begins an empty one")
        is_restoring, self._restorer = self.is_restoring, None
        if is_exported(request.app_state_bytes):
            exported = read_exported(request.app_state_bytes)
            return self.go_on_from(request, exported, exported.chunks)
        self._outcomes.clear()  # of a genesis before
        self._finalized = None
        if is_restoring or self.stores.latest_version != NO_VERSION:
            self.stores.clear()
        app_state = parse_app_state(request.app_state_bytes)
        block = request.consensus_params.block
        chain = ChainRecord(
            request.chain_id, request.initial_height, sha256(request.app_state_bytes), block.max_bytes, block.max_gas,
            APP_VERSION,
        )  # fmt: skip
        branch = FoundingBranch(self.stores, request.initial_height - 1, self.modules.decoders)
        branch.set(CHAIN, chain)
        begin(
            branch, app_state, initial_height=request.initial_height, time_ns=request.time_ns,
            evidence=request.consensus_params.evidence,
        )  # fmt: skip
        validators = app_state.economics.updates(request.validators)
        self.upgrader.genesis(branch, authority=app_state.upgrade_authority, params=request.consensus_params)
        branch.finish()
        self._load()
        log.info("began the chain", chain_id=chain.chain_id, app_hash=self.stores.app_hash.hex())
        return InitChainResponse(self.stores.app_hash, validators=validators)

    def go_on_from(self, request: InitChainRequest, exported: Exported, chunks: Iterable[bytes]) -> InitChainResponse:
        """Begin with an earlier chain's state. chunks: of it; none, where the stores hold it already.

        Raises InvalidAppState; HaltRequested: this is not the build for that state.
        """
        if not is_begun(self.stores, self._chain, request, exported):
            begin_with(self.stores, self.modules, request, exported, chunks)
            self._load()
        self.upgrader.check_start(self.base, request.initial_height)
        return replace(answer(self.base, request), app_hash=self.stores.app_hash)

    def _load(self) -> None:
        self.base = Base(self.stores, self.modules.decoders)
        if self.stores.latest_version != NO_VERSION:
            self._chain = self.base.get(CHAIN)
            assert self._chain is not None
            self._rules = rules_of(self.base)
        self._check = CheckState(self.base, height=self.stores.latest_version + 1)
        self._checker: Executor | None = None
        self._prepared = None

    # -------------------------------------------------------------------------- admission

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        """Whether it would be executed after everything admitted before it. See `chain.kernel.check`."""
        try:
            tx = self.txs.get(request.tx)
            if request.type is CheckTxType.RECHECK:
                if self._check.counts(tx):
                    return STILL_GOOD
                if tx.unordered:  # at some of its records it may be counted still, and would be twice
                    self._check.withdraw([tx])
            self._admit(tx)
        except TxError as error:
            return CheckTxResponse(error.code, error.log, error.codespace, may_pass_later=error.may_pass_later)
        return self._identity_of(tx)

    def _admit(self, tx: Tx) -> None:
        """Payments are tried whole, so that an overspend is refused at the door; of the rest the ante part, because
        what their messages need may be in transactions that wait before them."""
        executor, get = self._checker, self._check.get
        if executor is None:
            executor = self._checker = self._checking(get)
        try:
            self._check.admit(tx, self._tried(tx, executor, get))
        finally:
            executor.drop()

    def _checking(self, get: Callable[[bytes], Any]) -> Executor:
        return Executor(
            self.modules, self.signatures, self._rules, Branch(get),
            height=self._check.height, time_ns=last_time_ns(self.base), tells=False,
        )  # fmt: skip

    def _tried(
        self, tx: Tx, executor: Executor, get: Callable[[bytes], Any]
    ) -> list[tuple[bytes, type[PendingRecord], Any, Any]]:
        """What it changes of the records that its admission rests on. Raises TxError. Afterwards drop the branch."""
        if tx.lane == LANE_CURRENCY and (done := executor.short(tx)) is not None:
            key, after = tx.touches[0], done[1]
            return [(key, PENDING[key[:2]], get(key), after[key])]
        writes = executor.ante(tx).branch.writes
        if tx.lane == LANE_CURRENCY and all(type(message) is Payment for message in tx.messages):
            executor.messages(tx)
        return [(key, PENDING[key[:2]], get(key), writes[key]) for key in tx.touches if key in writes]

    def why_not_replace(self, old: bytes, new: bytes) -> str:
        """Only what is ordered can be replaced: an unordered one's place is its own, and posts pay no fee."""
        before, after = self.txs.get(old), self.txs.get(new)
        least = fee_to_replace(before, after)
        if after.fee >= least and after.lane != LANE_CHAT:
            return ""
        if after.lane == LANE_CHAT or after.body == before.body:
            return "another with its sequence, or with its body, waits already, and cannot be replaced"
        return f"underpriced: pays {after.fee} udchat, needs at least {least} udchat to replace {before.id.hex()}"

    def replace_tx(self, old: bytes, new: bytes) -> CheckTxResponse:
        before = self.txs.get(old)
        get = self._check.without(before)
        try:
            tx = self.txs.get(new)
            self._check.replace(before, tx, self._tried(tx, self._checking(get), get))
        except TxError as error:
            return CheckTxResponse(error.code, error.log, error.codespace, may_pass_later=error.may_pass_later)
        return self._identity_of(tx)

    def withdraw_txs(self, txs: Sequence[bytes]) -> None:
        self._check.withdraw([self.txs.get(raw) for raw in txs])

    def _identity_of(self, tx: Tx) -> CheckTxResponse:
        """What admission tells of it; made once, and asked for when it is identified and when it is admitted."""
        if tx.facts is None:
            payer, sender = tx.signers[tx.fee_payer], tx.touches[tx.fee_payer]
            tx.facts = CheckTxResponse(
                gas_wanted=tx.gas_limit,
                sender=sender,
                order_key=b"" if tx.unordered else sender + payer.sequence_key,
                order=payer.sequence,
                lane=tx.lane_name,
                replay_id=tx.replay_id if tx.unordered or tx.lane == LANE_CHAT else _place_of(tx),
                touches=tx.orders,  # a change of what is left out makes `CheckState` name these, too
                expiry_height=tx.expiry_height,
                priority=0 if tx.lane == LANE_CHAT else priority_of(tx, self.base.get(PARAMS).min_fee(tx.gas_limit)),
            )
        return tx.facts

    def try_tx(self, tx: bytes) -> CheckTxResponse:
        """As check_tx of one that is handed in now, and admits nothing."""
        checked = self.check_tx(CheckTxRequest(tx))
        if not checked.code:
            self.withdraw_txs([tx])
        return checked

    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        """What can be told of a transaction without state. Changes nothing."""
        try:
            return self._identity_of(self.txs.get(tx))
        except TxError as error:
            return CheckTxResponse(error.code, error.log, error.codespace)

    def lane_shown(self, tx: bytes) -> str:
        return lane_shown(tx)

    def signature_checks(self, txs: Sequence[bytes]) -> list[SignatureCheck]:
        checks: list[SignatureCheck] = []
        for raw in txs:
            try:
                checks += self.signatures.missing(self.txs.get(raw))
            except TxError:
                continue
        return checks

    def remember_verified(self, checks: Sequence[SignatureCheck]) -> None:
        self.signatures.remember(checks)

    def bad_signature(self, tx: bytes) -> CheckTxResponse:
        self.txs.drop(tx)
        error = BadSignature()
        return CheckTxResponse(error.code, error.log, error.codespace)

    # -------------------------------------------------------------------------- blocks

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        """From the mempool's order: what fits by the lanes' shares, without what would make the block invalid.

        They are run as the block runs them: where the very same block is processed, only its end is left to do.
        Nothing at an upgrade's height: what was admitted by the rules before is checked by the new ones first.
        """
        if self.upgrader.decision(self.base, request.height).action is Action.APPLY:
            return PrepareProposalResponse(())
        candidates = []
        for raw in request.txs:
            try:
                candidates.append(self.txs.get(raw))
            except TxError:
                continue
        chosen = select(
            candidates, bytes_max=request.max_tx_bytes, gas_max=self._rules.block_gas_max,
            first_turn=request.height % FIRST_TURN_BLOCKS == 0,
        )  # fmt: skip
        if not chosen:
            return PrepareProposalResponse(())
        asked = _as_block(request)
        run = BlockRun(asked, base=self.base, modules=self.modules, signatures=self.signatures, rules=self._rules)
        yield from run.begin(self.upgrader.pre_block)
        for tx in chosen:
            try:
                is_slice_over = run.run(tx)
            except TxError:  # the mempool drops it when it is checked again
                is_slice_over = run.is_slice_over()
            if is_slice_over:
                yield
        kept = tuple([tx.raw for tx in run.txs])
        self._prepared = replace(asked, txs=kept), run
        return PrepareProposalResponse(kept)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        if request.height != self.stores.latest_version + 1:
            return ProcessProposalResponse(False, f"height {request.height} is not the next one here")
        if request.hash not in self._outcomes:
            outcome = yield from self._execute(request, strict=True)
            if isinstance(outcome, str):
                return ProcessProposalResponse(False, outcome)
            self._keep(request.hash, outcome)
        return ProcessProposalResponse(True)

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        outcome = self._outcomes.get(request.hash)
        if outcome is None:
            executed = yield from self._execute(request, strict=False)
            assert isinstance(executed, Outcome), executed
            outcome = executed
            self._keep(request.hash, outcome)
        self._finalized = outcome
        return outcome.response

    def _keep(self, block_hash: bytes, outcome: Outcome) -> None:
        while len(self._outcomes) >= OUTCOMES_MAX:
            del self._outcomes[next(iter(self._outcomes))]
        self._outcomes[block_hash] = outcome

    def _execute(self, request: BlockRequest, *, strict: bool) -> Slices[Outcome | str]:
        """The outcome; or, of a proposal that is not to be voted for, why."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] == replace(request, hash=b""):
            executed = yield from prepared[1].end()
        else:
            executed = yield from execute_block(
                request, base=self.base, modules=self.modules, signatures=self.signatures, cache=self.txs,
                rules=self._rules, strict=strict, pre_block=self.upgrader.pre_block,
            )  # fmt: skip
        if executed.rejected:
            return executed.rejected
        large: dict[bytes, int] = {}
        proven, beside = yield from encode_changes(executed.writes, large)
        pending = yield from self.stores.prepare_steps(request.height, proven, beside)
        touched = {key for tx in executed.txs for key in tx.touches}
        touched.update(executed.others, executed.doubted, self._check.granted(executed.writes))
        response = FinalizeBlockResponse(
            tuple(executed.results),
            pending.app_hash,
            executed.validator_updates,
            consensus_param_updates=executed.consensus_params,
            touched=None if executed.begins_anew else frozenset(touched | self._check.affected(touched)),
            events=executed.events,
        )
        return Outcome(response, executed, pending, request.height, request.hash, large)

    def write_commit(self) -> None:
        """The durable half of commit, which may run in a worker thread; commit then does the rest.

        Admission and queries may go on meanwhile: what they read is from before or after, and the decoded records are
        set right by commit, on the loop.
        """
        outcome = self._finalized
        assert outcome is not None, "commit without finalize_block"
        if not outcome.is_written:
            self.stores.commit(outcome.pending)
            outcome.is_written = True
            after, executed = outcome.pending, outcome.executed
            kept = KeptBlock(
                outcome.height, outcome.block_hash, after.app_hash, after.roots, executed.trail, executed.writes,
                sum(outcome.large.values()),
            )  # fmt: skip
            self.trails.keep(kept)

    def commit(self) -> CommitResponse:
        self.write_commit()
        outcome = self._finalized
        assert outcome is not None
        again: frozenset[bytes] | None = None
        if outcome.executed.begins_anew:
            self._load()
        else:
            self.base.merge(outcome.executed.writes, outcome.large)
            included = [(key, tx) for tx in outcome.executed.txs for key in tx.touches]
            written = self._check.granted(outcome.executed.writes) | outcome.executed.others
            doubted = outcome.executed.doubted
            again = frozenset(self._check.block_committed(included, written, outcome.height + 1, doubted))
        self._checker = self._prepared = None
        for tx in outcome.executed.txs:
            self.txs.drop(tx.raw)
        self.block_events = outcome.response.events
        self._finalized = None
        self._outcomes.clear()
        retain = max(0, outcome.height - self._retain_blocks + 1) if self._retain_blocks else 0
        return CommitResponse(retain, again)

    def forget_admitted(self) -> None:
        """For who checks all that waits again after each block, as CometBFT's mempool: admission begins anew."""
        self._check = CheckState(self.base, height=self.stores.latest_version + 1)
        self._checker = None

    @property
    def is_restoring(self) -> bool:
        """Whether a snapshot was accepted that is not whole yet."""
        return self._restorer is not None

    @property
    def plan(self) -> Plan | None:
        """The upgrade that is planned."""
        return self.base.get(PLAN) if self._chain is not None else None

    @property
    def consensus_params(self) -> ConsensusParams:
        """In force at the height after the last block."""
        params: ConsensusParams = self.base.get(CONSENSUS_PARAMS)
        return params

    @property
    def module_versions(self) -> dict[str, int]:
        """Of stored state."""
        return dict(self.base.get(VERSIONS).of)

    def rehearse(self, plan: Plan) -> None:
        """Take `plan` for the stored one until it is carried out. On a copy of a node's state, and never on its own."""
        self.base.merge({PLAN: plan})

    def halt_before(self, height: int) -> HaltRequested | None:
        """Whether this node stops before block `height`, the next one. See `chain.upgrade`."""
        return self.upgrader.halt_before(self.base, height) if self._chain is not None else None

    def extend_vote(self, request: ExtendVoteRequest) -> bytes:
        return b""

    def verify_vote_extension(self, request: VerifyVoteExtensionRequest) -> bool:
        return not request.vote_extension

    # -------------------------------------------------------------------------- reading

    def query(self, request: QueryRequest) -> QueryResponse:
        return self.queries.query(request)

    def invariants(self, height: int = 0) -> list[tuple[str, bool, str]]:
        """(name, whether it holds, the figures) at a height; 0: the latest."""
        return self.queries.invariants(height)

    # -------------------------------------------------------------------------- snapshots

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        """The newest first. From any thread, as `load_snapshot_chunk`."""
        return self.shelf.offers() if self.shelf is not None else ()

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        """Empty: it is not here."""
        return self.shelf.chunk(height, chunk) if self.shelf is not None and format == FORMAT else b""

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        """Only of an application without blocks: what it has is emptied when it accepts."""
        if self.last_height:  # an offer that was refused before the first block has left a restorer, too
            return OfferSnapshotResult.ABORT
        self._restorer = self._restorer or Restorer(self.stores, self.modules, self._check_room)
        result = self._restorer.offer(snapshot, app_hash)
        if result is OfferSnapshotResult.ACCEPT:
            self._chain = None
        return result

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        """Chunks in their order. With the last one the application is at the snapshot's height, or empty."""
        if self._restorer is None:
            return ApplyChunkResponse(ApplyChunkResult.ABORT)
        response = self._restorer.apply(index, chunk, sender)
        if self._restorer.restored:
            self._restorer = None
            self._load()
        return response


def _as_block(request: PrepareProposalRequest) -> BlockRequest:
    """The block that is asked for, without transactions and hash."""
    last = request.local_last_commit
    votes = tuple([VoteInfo(vote.address, vote.power, vote.block_id_flag) for vote in last.votes])
    return BlockRequest(
        (), CommitInfo(last.round, votes), tuple(request.misbehavior), b"", request.height, request.time_ns,
        request.next_validators_hash, request.proposer_address,
    )  # fmt: skip


def _place_of(tx: Tx) -> bytes:
    """Of an ordered one: its signers, each with the sequence that it uses. Of those with one place one can run."""
    if len(tx.signers) == 1:
        signer = tx.signers[0]
        return signer.address + signer.sequence_key + signer.sequence.to_bytes(8, "big") + bytes((tx.lane,))
    parts = sorted(signer.address + signer.sequence_key + signer.sequence.to_bytes(8, "big") for signer in tx.signers)
    return sha256(b"".join(parts) + bytes((tx.lane,)))


__all__ = ["APP_VERSION", "CommitInfo", "DchatApplication"]
