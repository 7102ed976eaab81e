"""Applications to begin with: all of the interface with defaults, and one whose state is a map.

`BaseApplication` answers what the engine asks in the plainest way: it takes every transaction, proposes what waits,
accepts every proposal, has no snapshots and no vote extensions. `MapApplication` does what is the same for all whose
state is a map of bytes: a transaction that fails leaves nothing behind, a block is durable in one batch, and the app
hash is over all changes since the genesis, in order:

    SHA-256(hash before ‖ for each changed key, ascending: its length ‖ key ‖ length of the value + 1 ‖ value)

with lengths as 8 bytes, big-endian, and length 0 and no value for a key that was removed. It stays while nothing
changes, costs what a block changed, and proves no single value; for proofs keep a tree, as chain/state does.
Source: ABCI 2.0 (CometBFT v0.38, spec/abci/abci++_app_requirements.md); docs/your-own-chain.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    BlockRequest,
    CheckTxRequest,
    CheckTxResponse,
    CommitResponse,
    ExtendVoteRequest,
    FinalizeBlockResponse,
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
    Slices,
    Snapshot,
    ValidatorUpdate,
    VerifyVoteExtensionRequest,
)
from consensus.node.errors import TransactionRefused
from consensus.state.results import ExecTxResult
from crypto.hash import sha256
from storage.kv import KeyValueStore

TXS_PER_SLICE: Final = 16  # small ones: well within a slice
LENGTH_BYTES: Final = 8
STATE, META = b"s", b"m"  # what keys of the database begin with
NOT_FOUND: Final = 1  # code of a query


class BaseApplication:
    """ABCI 2.0's calls with defaults; satisfies `consensus.abci.interface.Application` once `info`, `finalize_block`
    and `commit` are written."""

    def info(self, request: InfoRequest) -> InfoResponse:
        """The height and app hash that `commit` made durable last; (0, b"") before the first."""
        raise NotImplementedError

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        return InitChainResponse(app_hash=b"")

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        return CheckTxResponse()

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        yield
        return PrepareProposalResponse(request.txs)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        yield
        return ProcessProposalResponse(True)

    def extend_vote(self, request: ExtendVoteRequest) -> bytes:
        return b""

    def verify_vote_extension(self, request: VerifyVoteExtensionRequest) -> bool:
        return not request.vote_extension

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        """Execute; nothing durable. The same on every node."""
        raise NotImplementedError

    def commit(self) -> CommitResponse:
        """Make durable, in one synced batch, what `finalize_block` did last."""
        raise NotImplementedError

    def query(self, request: QueryRequest) -> QueryResponse:
        return QueryResponse(code=NOT_FOUND, log="this application answers no queries")

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        return ()

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        return OfferSnapshotResult.REJECT

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        return b""

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        return ApplyChunkResponse(ApplyChunkResult.ABORT)


class State:
    """A map of bytes to bytes over what is saved: what is set stays here until the block is committed."""

    def __init__(self, below: State | KeyValueStore) -> None:
        self._below = below
        self.changes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        if key in self.changes:
            return self.changes[key]
        return self._below.get(key) if isinstance(self._below, State) else self._below.get(STATE + key)

    def __getitem__(self, key: bytes) -> bytes:
        """Raises KeyError."""
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.changes[key] = value

    def __delitem__(self, key: bytes) -> None:
        """Whether it is there or not."""
        self.changes[key] = None


class MapApplication(BaseApplication):
    """Write `execute`, and `check` if that can refuse for less. Only what `state` holds may decide what they do: no
    clock, no chance, nothing of this node alone, or the network splits."""

    def __init__(self, db: KeyValueStore) -> None:
        """db: of this application alone."""
        self._db = db
        meta = db.get(META)
        self.height = int.from_bytes(meta[:LENGTH_BYTES]) if meta else 0
        self.app_hash = meta[LENGTH_BYTES:] if meta else b""
        self._genesis = State(db)  # with what the genesis set, until the first block is committed
        self._done: tuple[int, bytes, dict[bytes, bytes | None]] | None = None  # finalized, not committed

    # ------------------------------------------------------------------------------------------- to be written

    def begin(self, app_state: bytes, state: State) -> None:
        """Before the first block. app_state: the JSON of the genesis document; b"": it has none."""

    def check(self, tx: bytes, state: State) -> None:
        """Whether `tx` may wait for a block. state: after the last one. Raises TransactionRefused."""

    def execute(self, tx: bytes, state: State) -> bytes:
        """Do what `tx` says. What is returned stands in its result, for everybody to see. Raises TransactionRefused:
        then nothing that it set remains."""
        raise NotImplementedError

    def end_block(self, request: BlockRequest, state: State) -> tuple[ValidatorUpdate, ...]:
        """After its transactions: what else a block does, and which validators change two heights later."""
        return ()

    # ------------------------------------------------------------------------------------------- what the engine asks

    def info(self, request: InfoRequest) -> InfoResponse:
        return InfoResponse(type(self).__name__, "", 0, self.height, self.app_hash if self.height else b"")

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        self._genesis = State(self._db)
        self.begin(request.app_state_bytes, self._genesis)
        self.app_hash = hash_after(b"", self._genesis.changes)
        return InitChainResponse(app_hash=self.app_hash)

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        try:
            self.check(request.tx, State(self._genesis))
        except TransactionRefused as why:
            return CheckTxResponse(code=why.code, log=why.log, codespace=why.codespace)
        return CheckTxResponse()

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        block = State(self._genesis)
        results = []
        for number, tx in enumerate(request.txs):
            if number % TXS_PER_SLICE == 0:
                yield
            results.append(self._run(tx, block))
        updates = self.end_block(request, block)
        app_hash = hash_after(self.app_hash, block.changes)
        self._done = request.height, app_hash, {**self._genesis.changes, **block.changes}
        return FinalizeBlockResponse(tuple(results), app_hash, updates)

    def _run(self, tx: bytes, block: State) -> ExecTxResult:
        own = State(block)
        try:
            data = self.execute(tx, own)
        except TransactionRefused as why:
            return ExecTxResult(code=why.code, log=why.log, codespace=why.codespace)
        block.changes.update(own.changes)
        return ExecTxResult(data=data)

    def commit(self) -> CommitResponse:
        assert self._done is not None, "commit before finalize_block"
        self.height, self.app_hash, changes = self._done
        batch = [(STATE + key, value) for key, value in changes.items()]
        self._db.write([*batch, (META, self.height.to_bytes(LENGTH_BYTES) + self.app_hash)], sync=True)
        self._genesis, self._done = State(self._db), None
        return CommitResponse()

    def query(self, request: QueryRequest) -> QueryResponse:
        """The value of the key `request.data`, after the last block."""
        value = State(self._db).get(request.data)
        if value is None:
            return QueryResponse(code=NOT_FOUND, log="no such key", key=request.data, height=self.height)
        return QueryResponse(key=request.data, value=value, height=self.height)


def hash_after(before: bytes, changes: Mapping[bytes, bytes | None]) -> bytes:
    """The app hash that follows `before` (32 bytes, b"" at the genesis); the same while nothing changes."""
    if before and not changes:
        return before
    return sha256(b"".join((before, *_lines(changes))))


def _lines(changes: Mapping[bytes, bytes | None]) -> Iterator[bytes]:
    for key, value in sorted(changes.items()):
        yield len(key).to_bytes(LENGTH_BYTES) + key
        yield b"\0" * LENGTH_BYTES if value is None else (len(value) + 1).to_bytes(LENGTH_BYTES) + value
