"""The interface between the engine and an application: ABCI 2.0's meaning, as plain Python.

The engine asks, one call at a time and on one thread; an application that answers differently from its peers on
another node splits the network. Calls that may take long are generators: each `yield` gives the event loop back,
and the `return` value is the answer, so that execution never holds the loop.
Source: ABCI 2.0 (CometBFT v0.38 spec/abci), field names as its protobuf.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from consensus.state.results import Event, ExecTxResult
from consensus.types.params import ConsensusParams
from crypto.keys import PubKey

T = TypeVar("T")
Slices: TypeAlias = Generator[None, None, T]  # yields every 1 to 2 ms of work, then returns the answer

CODE_OK = 0


@dataclass(frozen=True, slots=True)
class ValidatorUpdate:
    """A validator's new power; 0 removes it. Takes effect two heights later."""

    pub_key: PubKey
    power: int


@dataclass(frozen=True, slots=True)
class VoteInfo:
    """How a validator voted in a commit. flag: 1 absent, 2 commit, 3 nil."""

    address: bytes
    power: int
    block_id_flag: int


@dataclass(frozen=True, slots=True)
class ExtendedVoteInfo:
    address: bytes
    power: int
    block_id_flag: int
    vote_extension: bytes = b""
    extension_signature: bytes = b""


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """The votes of the last height's commit, a slot per validator in set order. Empty at the initial height."""

    round: int
    votes: tuple[VoteInfo, ...]


@dataclass(frozen=True, slots=True)
class ExtendedCommitInfo:
    round: int
    votes: tuple[ExtendedVoteInfo, ...]


class MisbehaviorType(IntEnum):
    DUPLICATE_VOTE = 1
    LIGHT_CLIENT_ATTACK = 2


@dataclass(frozen=True, slots=True)
class Misbehavior:
    type: MisbehaviorType
    address: bytes
    power: int  # at `height`
    height: int
    time_ns: int
    total_voting_power: int


@dataclass(frozen=True, slots=True)
class InfoRequest:
    version: str
    block_version: int
    p2p_version: int
    abci_version: str = "2.0.0"


@dataclass(frozen=True, slots=True)
class InfoResponse:
    data: str
    version: str
    app_version: int
    last_block_height: int
    last_block_app_hash: bytes


@dataclass(frozen=True, slots=True)
class InitChainRequest:
    time_ns: int
    chain_id: str
    consensus_params: ConsensusParams
    validators: tuple[ValidatorUpdate, ...]
    app_state_bytes: bytes
    initial_height: int


@dataclass(frozen=True, slots=True)
class InitChainResponse:
    app_hash: bytes
    consensus_params: ConsensusParams | None = None
    validators: tuple[ValidatorUpdate, ...] = ()


class CheckTxType(IntEnum):
    NEW = 0
    RECHECK = 1


class CheckTxRequest(NamedTuple):
    tx: bytes
    type: CheckTxType = CheckTxType.NEW


class CheckTxResponse(NamedTuple):
    """code 0 admits. What the mempool needs beside ABCI's fields: who sent it, its lane and what it touches.

    A tuple, as all that is made once a transaction: a frozen dataclass of as many fields takes six times as long.
    """

    code: int = CODE_OK
    log: str = ""
    codespace: str = ""
    gas_wanted: int = 0
    sender: bytes = b""  # counts towards the limit per sender
    lane: str = ""
    replay_id: bytes = b""  # two transactions with one replay id never both run
    touches: tuple[bytes, ...] = ()  # opaque keys; a block that touched one of them makes a recheck necessary
    expiry_height: int = 0  # 0: none; at a greater height the transaction is dropped
    order_key: bytes = b""  # of those with one key, each has its place after the one before it; b"": it has none
    order: int = 0  # that place
    may_pass_later: bool = False  # of a refusal: for want of what another transaction under way may bring
    priority: int = 0  # in its lane, higher goes first: what it pays for what it takes, in the application's unit


@dataclass(frozen=True, slots=True)
class PrepareProposalRequest:
    max_tx_bytes: int
    txs: tuple[bytes, ...]
    local_last_commit: ExtendedCommitInfo
    misbehavior: tuple[Misbehavior, ...]
    height: int
    time_ns: int
    next_validators_hash: bytes
    proposer_address: bytes


@dataclass(frozen=True, slots=True)
class PrepareProposalResponse:
    txs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A block as ProcessProposal and FinalizeBlock see it. `hash` is the block's: equal hashes are equal blocks."""

    txs: tuple[bytes, ...]
    last_commit: CommitInfo
    misbehavior: tuple[Misbehavior, ...]
    hash: bytes
    height: int
    time_ns: int
    next_validators_hash: bytes
    proposer_address: bytes


@dataclass(frozen=True, slots=True)
class ProcessProposalResponse:
    accepted: bool
    reason: str = ""  # why not: for logs and the nil vote; never in state


@dataclass(frozen=True, slots=True)
class ExtendVoteRequest:
    hash: bytes
    height: int
    time_ns: int
    txs: tuple[bytes, ...]
    last_commit: CommitInfo = CommitInfo(0, ())
    misbehavior: tuple[Misbehavior, ...] = ()
    next_validators_hash: bytes = b""
    proposer_address: bytes = b""


@dataclass(frozen=True, slots=True)
class VerifyVoteExtensionRequest:
    hash: bytes
    validator_address: bytes
    height: int
    vote_extension: bytes


@dataclass(frozen=True, slots=True)
class FinalizeBlockResponse:
    """events: the block's own, of its begin and then of its end; a transaction's are in its result. Their order and
    cursors: consensus.state.cursors."""

    tx_results: tuple[ExecTxResult, ...]
    app_hash: bytes
    validator_updates: tuple[ValidatorUpdate, ...] = ()
    consensus_param_updates: ConsensusParams | None = None
    touched: frozenset[bytes] | None = None  # keys as CheckTxResponse.touches; None: recheck everything
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitResponse:
    """recheck: of the keys that finalize_block called touched, those that call for a recheck after all; None: all."""

    retain_height: int = 0
    recheck: frozenset[bytes] | None = None


@dataclass(frozen=True, slots=True)
class QueryRequest:
    path: str
    data: bytes = b""
    height: int = 0  # 0: the latest
    prove: bool = False


@dataclass(frozen=True, slots=True)
class ProofOp:
    type: str
    key: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class QueryResponse:
    """`height` is the version that answered: the header of height+1 proves it."""

    code: int = CODE_OK
    log: str = ""
    codespace: str = ""
    index: int = 0
    key: bytes = b""
    value: bytes = b""
    proof_ops: tuple[ProofOp, ...] = ()
    height: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes = b""


class OfferSnapshotResult(IntEnum):
    ACCEPT = 1
    ABORT = 2
    REJECT = 3
    REJECT_FORMAT = 4
    REJECT_SENDER = 5


class ApplyChunkResult(IntEnum):
    ACCEPT = 1
    ABORT = 2
    RETRY = 3
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class ApplyChunkResponse:
    result: ApplyChunkResult
    refetch_chunks: tuple[int, ...] = ()
    reject_senders: tuple[str, ...] = ()


class Application(Protocol):
    """ABCI 2.0's calls.

    process_proposal may execute the block and keep the outcome under its hash; finalize_block of the same hash then
    returns it without executing again. finalize_block changes nothing durable: commit does, in one synced batch.
    """

    def info(self, request: InfoRequest) -> InfoResponse: ...
    def init_chain(self, request: InitChainRequest) -> InitChainResponse: ...
    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse: ...
    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]: ...
    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]: ...
    def extend_vote(self, request: ExtendVoteRequest) -> bytes: ...
    def verify_vote_extension(self, request: VerifyVoteExtensionRequest) -> bool: ...
    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]: ...
    def commit(self) -> CommitResponse: ...
    def query(self, request: QueryRequest) -> QueryResponse: ...
    def list_snapshots(self) -> tuple[Snapshot, ...]: ...
    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult: ...
    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes: ...
    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse: ...


class HaltReason(Enum):
    UPGRADE_NEEDED = "upgrade needed"  # another build is wanted
    WRONG_BINARY = "wrong binary"  # this build is not of this height
    CONFIGURED = "configured"  # the operator asked for it
    SWAP = "swap"  # the operator asked for another build from this height on


class HaltRequested(Exception):
    """The application will not execute block `height`, and nothing is wrong with the block: the engine leaves
    consensus cleanly, with the height before as the last one. Any call that executes may raise it.

    wanted: the upgrade that another build has; empty: none that is known.
    """

    def __init__(self, message: str, *, height: int, reason: HaltReason, wanted: str = "") -> None:
        super().__init__(message)
        self.height, self.reason, self.wanted = height, reason, wanted


@runtime_checkable
class HaltsAhead(Protocol):
    """An application that knows beforehand that it will stop, so that the engine does not begin the height."""

    def halt_before(self, height: int) -> HaltRequested | None:
        """Why block `height`, the next one, will not be executed. None: it will."""
        ...


@runtime_checkable
class HasSmallestTx(Protocol):
    """An application that refuses every proposal with a smaller transaction: a block with more transactions than its
    bytes have room for is refused before they are looked at."""

    @property
    def tx_bytes_min(self) -> int:
        """1 or more. The same on every node of the chain."""
        ...


def tx_bytes_min(app: Application) -> int:
    """Of the application's transactions; 1 when it does not say: none is empty."""
    return app.tx_bytes_min if isinstance(app, HasSmallestTx) else 1


SignatureCheck: TypeAlias = tuple[bytes, bytes, bytes]  # (ed25519 public key, message, signature)


@runtime_checkable
class ChecksSignatures(Protocol):
    """An application whose transactions' signatures can be verified ahead, in batches and in threads.

    What was remembered as verified makes check_tx and execution cheaper, and never changes their answers.
    """

    def signature_checks(self, txs: Sequence[bytes]) -> list[SignatureCheck]:
        """The checks that `txs` will need and that are not remembered. Malformed transactions add none."""
        ...

    def remember_verified(self, checks: Sequence[SignatureCheck]) -> None: ...

    def bad_signature(self, tx: bytes) -> CheckTxResponse:
        """What is answered to a transaction that carries a signature found bad, instead of checking it again."""
        ...


@runtime_checkable
class IdentifiesTxs(Protocol):
    """An application that can tell about a transaction without running it: the mempool then refuses what it has no
    room for before a signature is verified, and before check_tx could change the check state."""

    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        """As check_tx would answer, from the transaction's content alone: code, sender, lane, replay_id, expiry_height.

        code 0 says only that it can be read. Cheap, and changes nothing; gas_wanted and touches may be left out.
        """
        ...


@runtime_checkable
class ShowsLanes(Protocol):
    """An application whose transactions begin with their lane: the mempool then need not read those of a full one."""

    def lane_shown(self, tx: bytes) -> str:
        """What the transaction's first bytes say, unproven; "": nothing. Costs next to nothing, whatever they are."""
        ...


@runtime_checkable
class ReplacesTxs(Protocol):
    """An application of whose admitted transactions one can take another's place, or give way: those that have one
    replay id, which is then that of the place and not of the transaction."""

    def why_not_replace(self, old: bytes, new: bytes) -> str:
        """By what they pay alone; "": `new` may have the place of `old`. Cheap, and changes nothing."""
        ...

    def replace_tx(self, old: bytes, new: bytes) -> CheckTxResponse:
        """check_tx of `new` as if `old` had not been admitted. code 0: it is, and `old` is not any more."""
        ...

    def withdraw_txs(self, txs: Sequence[bytes]) -> None:
        """These were admitted, and leave without a block; what came after one in its order is among them, wherever."""
        ...


@runtime_checkable
class WritesAhead(Protocol):
    """An application whose commit is written off the loop: `write_commit` in a thread, then `commit` on the loop."""

    def write_commit(self) -> None:
        """Make the finalized block durable. Meanwhile check_tx and query may be called, and nothing else."""
        ...


@runtime_checkable
class ChecksAhead(Protocol):
    """An application that is elsewhere: what check_tx will be asked is asked beforehand, many at a time."""

    async def check_ahead(self, requests: Sequence[CheckTxRequest]) -> None:
        """Afterwards check_tx answers each of them at once, the first time that it is asked, until the next commit."""
        ...


@runtime_checkable
class IsRemote(Protocol):
    """An application on the other end of a socket: a call holds its thread until the answer is there, so calls that
    are not sliced are made in threads."""

    @property
    def remote_address(self) -> str: ...
