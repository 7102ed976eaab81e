"""Somebody else's application, asked over ABCI 2.0's socket protocol: it stands where an application of ours stands.

Four connections, as CometBFT has them: consensus, mempool, query, snapshot. Requests on one are answered in order, and
many may be under way; each is followed by a flush, without which most servers keep their answers. The sockets are read
and written in a thread of their own, so a call may be made from any thread, and what waits for an answer in the loop
waits without holding it: `drive` for blocks, `check_ahead` for transactions, threads for the rest. What has to hold it
(votes' extensions) is answered within HOLDS_LOOP_S, or ends the node, which cannot even be stopped meanwhile; whatever
else an application is slow with is waited for, and told. While a commit is
under way no check is, as CometBFT's mempool promises its application.
Not answering ends the node, as it ends CometBFT: a connection that is closed, an exception, an answer to another
question is told to `lost` once, and every call fails from then on. A restart takes up by the handshake.
Source: CometBFT v0.38, abci/client/socket_client.go, proxy/multi_app_conn.go, mempool/clist_mempool.go (Lock).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import structlog

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
    VerifyVoteExtensionRequest,
)
from consensus.abci_socket.address import UNIX, SocketAddress
from consensus.abci_socket.codec import (
    EXCEPTION,
    NO_PARAMS,
    ApplyChunk,
    Call,
    LoadChunk,
    OfferSnapshot,
    decode_response,
    encode_request,
)
from consensus.abci_socket.errors import ApplicationFailed, ApplicationGone, BadMessage
from consensus.abci_socket.frames import Frames, frame
from consensus.execution.metrics import Timing
from consensus.formats.units import NS_PER_S
from consensus.system.errors import ConsensusFailure
from consensus.types.params import ConsensusParams

CONNECTIONS: Final = ("consensus", "mempool", "query", "snapshot")
RETRY_S: Final = 3.0  # CometBFT's dialRetryIntervalSeconds
SLOW_S: Final = 10.0  # without an answer: then, and as often again, it is told
HOLDS_LOOP_S: Final = 20.0  # less than peers take a silent node for gone
TEXT_CHARS_MAX: Final = 2_000  # of an exception: it is the last line
FLUSH: Final = Call("flush")
FLUSHED: Final = frame(encode_request(FLUSH))

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _Link(asyncio.Protocol):
    """One connection; all but `pending` futures belong to the thread of the sockets."""

    def __init__(self, client: AbciClient, name: str) -> None:
        self._client, self.name = client, name
        self._frames = Frames()
        self._pending: deque[tuple[str, int, Future[Any]]] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def write(self, data: bytes, asked: Sequence[tuple[str, int, Future[Any]]]) -> None:
        if self._transport is None or self._transport.is_closing():
            for _, _, future in asked:
                future.set_exception(self._client.why_lost())
            return
        self._pending.extend(asked)
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                self._answered(decode_response(message, params=self._client.params))
        except Exception as error:
            self._client.end(error if isinstance(error, ConsensusFailure) else ApplicationFailed(self._said(error)))

    def _answered(self, answer: Call) -> None:
        if not self._pending:
            raise BadMessage(f"an answer to {answer.method}, and nothing was asked")
        method, began_ns, future = self._pending.popleft()
        if answer.method == EXCEPTION:
            said = answer.value[:TEXT_CHARS_MAX] or method
            error = ApplicationFailed(f"the application at {self._client.remote_address} answered an error: {said}")
            future.set_exception(error)
            raise error
        if answer.method != method:
            self._pending.appendleft((method, began_ns, future))
            raise BadMessage(f"an answer to {answer.method}, and {method} was asked")
        if method != FLUSH.method:
            self._client.calls.setdefault(method, Timing()).add(time.monotonic_ns() - began_ns)
        future.set_result(answer.value)

    def _said(self, error: Exception) -> str:
        return f"the application at {self._client.remote_address} answered what is no ABCI 2.0 ({self.name}): {error}"

    def connection_lost(self, exc: Exception | None) -> None:
        where = f"the application at {self._client.remote_address} is gone ({self.name}: {exc or 'connection closed'})"
        self._client.end(ApplicationGone(f"{where}; start it, then this node, which hands it the blocks that it lacks"))

    def unanswered(self) -> tuple[str, int]:
        """(what the application was asked first of all that it has not answered, seconds since then); "": nothing."""
        for method, asked_ns, _ in self._pending:
            return method, (time.monotonic_ns() - asked_ns) // NS_PER_S
        return "", 0

    def fail(self, error: Exception) -> None:
        while self._pending:
            _, _, future = self._pending.popleft()
            future.set_exception(error)
        if self._transport is not None:
            self._transport.close()


class AbciClient:
    """Satisfies Application, WritesAhead, ChecksAhead and IsRemote. Made by `connect`; `close` once.

    params: in force, to which the application's updates are changes; it follows them itself.
    """

    def __init__(
        self, address: SocketAddress, lost: Callable[[ConsensusFailure], None], params: ConsensusParams
    ) -> None:
        self.remote_address = str(address)
        self.params = params
        self.calls: dict[str, Timing] = {}  # by method: from the request to its answer
        self._address, self._lost = address, lost
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="abci", daemon=True)
        self._links = {name: _Link(self, name) for name in CONNECTIONS}
        self._error: ConsensusFailure | None = None
        self._closing = False
        self._gate = threading.Lock()  # of what orders checks and commits
        self._committing: Future[Any] | None = None
        self._checked: dict[CheckTxRequest, CheckTxResponse] = {}
        self._committed: CommitResponse | None = None
        self._updated: ConsensusParams | None = None  # by the block that is finalized, not committed
        self._waits: Future[Any] | None = None  # of the slice just run

    @staticmethod
    async def connect(
        address: SocketAddress,
        *,
        lost: Callable[[ConsensusFailure], None] = lambda error: None,
        params: ConsensusParams = NO_PARAMS,
        retry_s: float = RETRY_S,
    ) -> AbciClient:
        """Try until it listens, as CometBFT does. lost: told once, in a thread, why there are no answers any more."""
        client = AbciClient(address, lost, params)
        client._thread.start()
        try:
            while True:
                try:
                    dialled = asyncio.run_coroutine_threadsafe(client._dial(), client._loop)
                    await asyncio.wrap_future(dialled)
                    log.info("connected to the application", address=str(address))
                    return client
                except OSError as error:
                    log.warning(
                        "the application does not listen; trying again", address=str(address), seconds=retry_s,
                        why=error.strerror or str(error),
                    )  # fmt: skip
                    await asyncio.sleep(retry_s)
        except BaseException:
            client.close()
            raise

    async def _dial(self) -> None:
        """In the thread of the sockets. All or none. Raises OSError."""
        links = {name: _Link(self, name) for name in CONNECTIONS}
        made: list[asyncio.BaseTransport] = []
        try:
            for link in links.values():
                made.append(await self._dial_one(link))
        except BaseException:
            self._closing = True
            for transport in made:
                transport.abort()  # type: ignore[attr-defined]  # of every stream's transport
            await asyncio.sleep(0)
            self._closing = False
            raise
        self._links = links
        self._loop.call_later(SLOW_S, self._look)

    def _look(self) -> None:
        """In the thread of the sockets, again and again."""
        for name, link in self._links.items():
            method, seconds = link.unanswered()
            if method and seconds >= SLOW_S:
                log.warning(
                    "the application has not answered yet", method=method, seconds=seconds, connection=name,
                    address=self.remote_address,
                )  # fmt: skip
        if self.is_connected:
            self._loop.call_later(SLOW_S, self._look)

    async def _dial_one(self, link: _Link) -> asyncio.BaseTransport:
        address = self._address
        if address.kind == UNIX:
            return (await self._loop.create_unix_connection(lambda: link, address.path))[0]
        return (await self._loop.create_connection(lambda: link, address.host, address.port))[0]

    def close(self) -> None:
        """Nothing is asked any more. From any thread but the sockets'."""
        self._closing = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._hang_up)
            self._thread.join()
        self._loop.close()

    def _hang_up(self) -> None:
        for link in self._links.values():
            link.fail(self.why_lost())
        self._loop.call_soon(self._loop.stop)

    def end(self, error: ConsensusFailure) -> None:
        """In the thread of the sockets: the first reason counts."""
        if self._error is None and not self._closing:
            self._error = error
            self._lost(error)
        for link in self._links.values():
            link.fail(self.why_lost())

    @property
    def is_connected(self) -> bool:
        return self._error is None and not self._closing

    def why_lost(self) -> ConsensusFailure:
        return self._error or ApplicationGone(f"the connection to {self.remote_address} was closed here")

    # ------------------------------------------------------------------------------------------------- asking

    def _submit(self, connection: str, *calls: Call) -> list[Future[Any]]:
        """Ask, and flush. From any thread."""
        now_ns = time.monotonic_ns()
        asked: list[tuple[str, int, Future[Any]]] = []
        for call in (*calls, FLUSH):
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel()  # so that nobody who gives up waiting takes an answer's place away
            asked.append((call.method, now_ns, future))
        data = b"".join(frame(encode_request(call)) for call in calls) + FLUSHED
        try:
            self._loop.call_soon_threadsafe(lambda: self._links[connection].write(data, asked))
        except RuntimeError:  # the loop is closed
            raise self.why_lost() from None
        return [future for _, _, future in asked]

    def _ask(self, connection: str, method: str, value: Any = None) -> Any:
        """Wait for the answer, holding the thread. Raises ApplicationGone, ApplicationFailed."""
        future = self._submit(connection, Call(method, value))[0]
        try:
            return future.result(HOLDS_LOOP_S if _is_in_loop() else None)
        except TimeoutError:
            why = f"did not answer {method} within {HOLDS_LOOP_S:g} s, for which all of the node waits"
            error = ApplicationFailed(f"the application at {self.remote_address} {why}")
            self._loop.call_soon_threadsafe(self.end, error)
            raise error from None

    def _sliced(self, method: str, request: Any) -> Slices[Any]:
        future = self._submit("consensus", Call(method, request))[0]
        while not future.done():
            self._waits = future
            yield
        return future.result()

    async def drive(self, slices: Slices[T]) -> T:
        """As consensus.execution.executor.drive: where a slice has asked the application, until that answers."""
        try:
            while True:
                next(slices)
                waits, self._waits = self._waits, None
                await (asyncio.sleep(0) if waits is None else _done(waits))
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        finally:
            slices.close()

    # -------------------------------------------------------------------------------------------- consensus

    def info(self, request: InfoRequest) -> InfoResponse:
        told: InfoResponse = self._ask("query", "info", request)
        return told

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        self.params = request.consensus_params
        began: InitChainResponse = self._ask("consensus", "init_chain", request)
        self.params = began.consensus_params or self.params
        return began

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        return self._sliced("prepare_proposal", request)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        judged: ProcessProposalResponse = yield from self._sliced("process_proposal", request)
        return judged if judged.accepted else ProcessProposalResponse(False, "its log says why")

    def extend_vote(self, request: ExtendVoteRequest) -> bytes:
        extension: bytes = self._ask("consensus", "extend_vote", request)
        return extension

    def verify_vote_extension(self, request: VerifyVoteExtensionRequest) -> bool:
        is_accepted: bool = self._ask("consensus", "verify_vote_extension", request)
        return is_accepted

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        response: FinalizeBlockResponse = yield from self._sliced("finalize_block", request)
        self._updated = response.consensus_param_updates
        return response

    def write_commit(self) -> None:
        """In a thread: it waits for the application's disk."""
        if self._committed is not None:
            return
        with self._gate:
            ended = self._committing = Future()
            flushed = self._submit("mempool")
        try:
            flushed[0].result()
            self._committed = self._ask("consensus", "commit")
            self._checked = {}
            self.params, self._updated = self._updated or self.params, None
        finally:
            self._committing = None
            ended.set_result(None)

    def commit(self) -> CommitResponse:
        self.write_commit()
        committed, self._committed = self._committed, None
        assert committed is not None
        return committed

    # ---------------------------------------------------------------------------------------------- the others

    async def check_ahead(self, requests: Sequence[CheckTxRequest]) -> None:
        """Raises ApplicationGone, ApplicationFailed."""
        futures = await self._between_commits(*(Call("check_tx", one) for one in requests))
        kept = self._checked = {}
        await _done(futures[-1])  # the flush: all before it are answered
        for request, future in zip(requests, futures, strict=False):
            kept[request] = future.result()

    async def _between_commits(self, *calls: Call) -> list[Future[Any]]:
        while True:
            with self._gate:
                committing = self._committing
                if committing is None:
                    return self._submit("mempool", *calls)
            await _done(committing)

    async def later(self, method: str, value: Any) -> Any:
        """The answer to info, query or check_tx, however late: neither the loop nor a thread is held. What nobody waits
        for any more is answered all the same: bound how many there are. Raises ApplicationGone, ApplicationFailed."""
        call = Call(method, value)
        future = (await self._between_commits(call) if method == "check_tx" else self._submit("query", call))[0]
        await _done(future)
        return future.result()

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        known = self._checked.pop(request, None)
        if known is None:
            known = self._ask("mempool", "check_tx", request)
        return known

    def query(self, request: QueryRequest) -> QueryResponse:
        found: QueryResponse = self._ask("query", "query", request)
        return found

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        found: tuple[Snapshot, ...] = self._ask("snapshot", "list_snapshots")
        return found

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        result: OfferSnapshotResult = self._ask("snapshot", "offer_snapshot", OfferSnapshot(snapshot, app_hash))
        return result

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        found: bytes = self._ask("snapshot", "load_snapshot_chunk", LoadChunk(height, format, chunk))
        return found

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        applied: ApplyChunkResponse = self._ask(
            "snapshot", "apply_snapshot_chunk", ApplyChunk(index, chunk, sender)
        )  # fmt: skip
        return applied


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _done(future: Future[Any]) -> None:
    """Wait until it has an answer, or failed. Raises nothing of it."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def tell(answered: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # who waited is gone, with its loop
            loop.call_soon_threadsafe(over.set)

    future.add_done_callback(tell)
    await over.wait()
