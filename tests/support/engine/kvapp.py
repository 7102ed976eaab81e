"""A small key-value application, pools and a bench of parts for tests of the engine. Not for the product."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from consensus.abci.interface import (
    ApplyChunkResponse,
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
from consensus.state.results import Event, ExecTxResult
from consensus.state.state import State
from consensus.types.evidence import Evidence
from consensus.types.vote import Vote
from crypto.hash import sha256
from crypto.keys import Ed25519PubKey
from storage.kv import KeyValueStore


class KeyValueApp:
    """Transactions are `key=value`; `val:<hex key>=<power>` changes a validator. Its app hash is over all pairs.

    Events: `pair` by each transaction, `pairs` by each block; none when `tells` is taken back.
    """

    def __init__(self, db: KeyValueStore, *, retain_blocks: int = 0) -> None:
        self._db = db
        self.retain_blocks = retain_blocks
        saved: dict[str, Any] = json.loads(db.get(b"app") or b"{}")
        self.height: int = saved.get("height", 0)
        self.pairs: dict[str, str] = saved.get("pairs", {})
        self.app_hash = self.hash_of(self.pairs) if self.height else b""
        self._outcomes: dict[bytes, tuple[BlockRequest, dict[str, str], FinalizeBlockResponse]] = {}
        self._pending: tuple[BlockRequest, dict[str, str], FinalizeBlockResponse] | None = None
        self.executions = 0
        self.tells = True
        self.misbehavior: list[bytes] = []
        self.refuse: Callable[[BlockRequest], bool] = lambda request: False
        self.extension = b"height"
        self.accept_extension: Callable[[bytes], bool] = lambda extension: True

    @staticmethod
    def hash_of(pairs: dict[str, str]) -> bytes:
        return sha256(json.dumps(pairs, sort_keys=True).encode())

    def info(self, request: InfoRequest) -> InfoResponse:
        return InfoResponse("kv", "1", 0, self.height, self.app_hash if self.height else b"")

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        return InitChainResponse(app_hash=self.hash_of({}))

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        return CheckTxResponse(code=0 if b"=" in request.tx else 1)

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        yield
        return PrepareProposalResponse(request.txs)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        if any(b"=" not in tx for tx in request.txs) or self.refuse(request):
            return ProcessProposalResponse(False, "not key=value")
        self._outcomes[request.hash] = yield from self._execute(request)
        return ProcessProposalResponse(True)

    def _execute(self, request: BlockRequest) -> Slices[tuple[BlockRequest, dict[str, str], FinalizeBlockResponse]]:
        self.executions += 1
        pairs, updates = dict(self.pairs), []
        for tx in request.txs:
            key, _, value = tx.decode().partition("=")
            if key.startswith("val:"):
                updates.append(ValidatorUpdate(Ed25519PubKey(bytes.fromhex(key[4:])), int(value)))
            pairs[key] = value
            yield
        results = tuple(ExecTxResult(gas_used=len(tx), events=self._pair(tx)) for tx in request.txs)
        events = (Event.of("pairs", count=str(len(pairs))),) if self.tells else ()
        return request, pairs, FinalizeBlockResponse(results, self.hash_of(pairs), tuple(updates), events=events)

    def _pair(self, tx: bytes) -> tuple[Event, ...]:
        key, _, value = tx.decode().partition("=")
        return (Event.of("pair", key=key, value=value),) if self.tells else ()

    def extend_vote(self, request: ExtendVoteRequest) -> bytes:
        return self.extension

    def verify_vote_extension(self, request: VerifyVoteExtensionRequest) -> bool:
        return self.accept_extension(request.vote_extension)

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        assert request.height == self.height + 1 or not self.height, (request.height, self.height)
        self._pending = self._outcomes.pop(request.hash, None) or (yield from self._execute(request))
        return self._pending[2]

    def commit(self) -> CommitResponse:
        assert self._pending is not None
        request, self.pairs, response = self._pending
        self.height, self.app_hash, self._pending = request.height, response.app_hash, None
        self.misbehavior += [item.address for item in request.misbehavior]
        self._outcomes.clear()
        self._db.write([(b"app", json.dumps({"height": self.height, "pairs": self.pairs}).encode())], sync=True)
        return CommitResponse(max(0, self.height - self.retain_blocks) if self.retain_blocks else 0)

    def query(self, request: QueryRequest) -> QueryResponse:
        return QueryResponse(value=self.pairs.get(request.data.decode(), "").encode(), height=self.height)

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        return ()

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        return OfferSnapshotResult.REJECT

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        return b""

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        raise NotImplementedError


class ListPool:
    """First in, first out."""

    def __init__(self) -> None:
        self.txs: list[bytes] = []
        self.per_block = 10**9
        self.more_each_look = 0  # come whenever somebody asks how many there are
        self._callbacks: list[Callable[[], None]] = []

    @property
    def size(self) -> int:
        self.txs += [b"more%d=1" % (len(self.txs) + number) for number in range(self.more_each_look)]
        return len(self.txs)

    def add(self, tx: bytes) -> None:
        self.txs.append(tx)
        if len(self.txs) == 1:
            self._tell()

    def _tell(self) -> None:
        for callback in self._callbacks:
            callback()

    def reap(self, *, bytes_max: int, gas_max: int) -> list[bytes]:
        return list(self._fitting(bytes_max))[: self.per_block]

    def _fitting(self, bytes_max: int) -> Iterator[bytes]:
        for tx in self.txs:
            bytes_max -= len(tx) + 6
            if bytes_max < 0:
                return
            yield tx

    def leave(self, txs: Sequence[bytes], results: Sequence[ExecTxResult], keys: Sequence[bytes]) -> Slices[None]:
        yield from ()

    def update(
        self, height: int, txs: Sequence[bytes], results: Sequence[ExecTxResult], touched: frozenset[bytes] | None
    ) -> None:
        gone = set(txs)
        self.txs = [tx for tx in self.txs if tx not in gone]
        if self.txs:
            self._tell()

    def begin_anew(self, height: int, error: Exception) -> None:
        self.txs.clear()

    def on_available(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)


class NoEvidence:
    """An evidence pool that only remembers what was reported to it."""

    def __init__(self) -> None:
        self.reported: list[tuple[Vote, Vote]] = []

    async def judge_ahead(self, evidence: Sequence[Evidence], state: State) -> None:
        pass

    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        return [], 0

    def check(self, evidence: Sequence[Evidence], state: State) -> Slices[None]:
        yield from ()

    def update(self, state: State, evidence: Sequence[Evidence]) -> None:
        pass

    def sync(self) -> None:
        pass

    def report_conflicting_votes(self, first: Vote, second: Vote) -> None:
        self.reported.append((first, second))
