"""Any application, served to another engine over ABCI 2.0's socket protocol.

Each connection is answered in the order of its requests. Calls that change the application, and info, are answered
one at a time whatever connection they come by, sliced ones in slices, so that the others go on meanwhile; checks run
between slices, with the signatures of what came together verified together, beside the loop; queries and snapshots
are read in threads. A commit is answered when it is durable, and a block is finalized before it is committed, over
the same connection: of two engines neither commits the other's block.
Who connects is trusted, as CometBFT trusts an application's peer: bind to a socket file or a loopback address. Even so
each message has a limit, and bytes that are no message end that connection with a line that says why.
What the application raises is answered as an exception, which ends the engine, and is told to `fatal`: after it the
application is not to be asked again.
Source: CometBFT v0.38, spec/abci/abci++_client_server.md, abci/server/socket_server.go; docs/abci.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import structlog

from consensus.abci.interface import (
    Application,
    ChecksSignatures,
    CheckTxRequest,
    CheckTxResponse,
    CommitResponse,
    HaltRequested,
    HaltsAhead,
    QueryRequest,
    QueryResponse,
    SignatureCheck,
    WritesAhead,
)
from consensus.abci_socket.address import UNIX, SocketAddress
from consensus.abci_socket.codec import (
    EXCEPTION,
    ApplyChunk,
    Call,
    LoadChunk,
    decode_request,
    encode_response,
    finalized,
)
from consensus.abci_socket.errors import WrongCall
from consensus.abci_socket.frames import MESSAGE_BYTES_MAX, Frames, frame
from consensus.execution.executor import drive, passed
from consensus.execution.metrics import Timing
from consensus.execution.verifiers import ThreadVerifiers, Verifiers
from consensus.formats.errors import InvalidData
from consensus.mempool.admission.entry import PoolMetrics
from consensus.mempool.admission.signatures import Verifier
from consensus.stores.state_store import encode_response as encode_finalized
from consensus.system.clock import Workers
from consensus.system.machine import last_words

CONNECTIONS_MAX: Final = 16  # an engine has four; it may begin anew before the old ones are seen to be gone
READ_BYTES: Final = 262_144  # at a time: some hundreds of payments
SLICE_NS: Final = 2_000_000  # checked in a row
TXS_PER_SLICE: Final = 64  # asked at once which signatures they need
CODE_FAILED: Final = 1  # of what this application failed to judge
CODESPACE: Final = "abci"
SOCKET_MODE: Final = 0o660  # of a socket file: its owner and group
# Of connections whose engine's machine is gone without a word: they are closed after about two minutes.
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
STOP_S: Final = 10.0  # what is under way when a stop is asked for

log = structlog.get_logger(__name__)


class AbciServer:
    """`start`, then `stop` once. fatal: told of what ends the application, in the loop.

    committed: told after each commit, when it is durable. verifiers: of signatures of blocks; else threads.
    """

    def __init__(
        self,
        app: Application,
        *,
        workers: Workers,
        fatal: Callable[[Exception], None],
        committed: Callable[[CommitResponse], None] = lambda response: None,
        verifiers: Verifiers | None = None,
        bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self._app, self._workers, self._fatal, self._committed = app, workers, fatal, committed
        self._verifiers = verifiers or ThreadVerifiers(workers)
        self._checks = Verifier(app, workers, PoolMetrics()) if isinstance(app, ChecksSignatures) else None
        self._bytes_max = bytes_max
        self._lock = asyncio.Lock()
        self._finalizer: asyncio.Task[None] | None = None  # the connection whose block waits for its commit
        self._failed = False
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._socket: Path | None = None
        self.calls: dict[str, Timing] = {}  # by method: how long each took, with its wait for others
        self.refused = 0  # connections that were ended for what they sent

    # ---------------------------------------------------------------------------------------------- connections

    async def start(self, address: SocketAddress) -> SocketAddress:
        """Listen; returns where (the port that the system chose). Raises OSError."""
        if address.kind == UNIX:
            path = self._socket = Path(address.path)
            _clear_away(path)
            self._server = await asyncio.start_unix_server(self._connected, str(path))
            os.chmod(path, SOCKET_MODE)
            return address
        self._server = await asyncio.start_server(self._connected, address.host, address.port)
        for listening in self._server.sockets:  # what it accepts has its options
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                listening.setsockopt(socket.IPPROTO_TCP, option, value)
        port = self._server.sockets[0].getsockname()[1]
        return SocketAddress(address.kind, host=address.host, port=port)

    async def stop(self) -> None:
        """What is under way is finished first, so that a block is committed or was not begun."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S), self._lock:
                pass
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            log.warning("refused a connection: there are as many as an engine may have", most=CONNECTIONS_MAX)
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Frames(bytes_max=self._bytes_max)
        while data := await reader.read(READ_BYTES):
            try:
                calls = [decode_request(one, bytes_max=self._bytes_max) for one in frames.feed(data)]
            except InvalidData as error:
                self.refused += 1
                log.warning("ended a connection: what came is no message of ABCI 2.0", why=str(error))
                _send(writer, Call(EXCEPTION, f"dchat abci: {error}"))
                return
            for method, group in groupby(calls, key=lambda call: call.method):
                some = list(group)
                if method == "check_tx":
                    for checked in await self._checked([call.value for call in some]):
                        _send(writer, Call("check_tx", checked))
                    await writer.drain()
                    continue
                for call in some:
                    answer = await self._answer(call)
                    writer.write(frame(await _encoded(answer)))
                    await writer.drain()  # who does not read is asked for nothing more: a chunk may have megabytes
                    if answer.method == EXCEPTION:
                        return
        if not frames.is_between:
            log.warning("a connection ended within a message")

    # -------------------------------------------------------------------------------------------------- answers

    async def _answer(self, call: Call) -> Call:
        began = time.monotonic_ns()
        try:
            return Call(call.method, await self._value(call))
        except HaltRequested as halt:
            return self._failure(call, halt, str(halt))
        except WrongCall as error:
            log.error("refused a call", method=call.method, why=str(error))
            return Call(EXCEPTION, f"{call.method}: {error}")
        except Exception as error:
            log.error("a call failed", method=call.method, exc_info=error)
            return self._failure(call, error, last_words(error))
        finally:
            self.calls.setdefault(call.method, Timing()).add(time.monotonic_ns() - began)

    def _failure(self, call: Call, error: Exception, text: str) -> Call:
        if not self._failed:
            self._failed = True
            asyncio.get_running_loop().call_soon(self._fatal, error)
        return Call(EXCEPTION, f"{call.method}: {text}")

    async def _value(self, call: Call) -> Any:
        match call.method, call.value:
            case (("echo" | "flush"), value):
                return value
            case "query", request:
                return await self._workers.run(lambda: self._query(request))
            case "list_snapshots", _:
                return await self._workers.run(self._app.list_snapshots)
            case "load_snapshot_chunk", LoadChunk(height, format, chunk):
                return await self._workers.run(lambda: self._app.load_snapshot_chunk(height, format, chunk))
            case (("prepare_proposal" | "process_proposal" | "finalize_block"), request):
                await self._verify_ahead(request.txs)
        async with self._lock:
            if self._failed:
                raise WrongCall("the application has failed, and is asked no more")
            return await self._ordered(call)

    async def _ordered(self, call: Call) -> Any:
        """What changes the application, or must not be asked while it changes: the caller holds the lock."""
        app, request = self._app, call.value
        match call.method:
            case "info":
                return app.info(request)
            case "init_chain":
                self._finalizer = None
                return app.init_chain(request)
            case "prepare_proposal":
                self._check_halt(request.height)
                return await drive(app.prepare_proposal(request))
            case "process_proposal":
                self._check_halt(request.height)
                return await self._judged(request)
            case "extend_vote":
                return app.extend_vote(request)
            case "verify_vote_extension":
                return app.verify_vote_extension(request)
            case "finalize_block":
                self._check_halt(request.height)
                response = await drive(app.finalize_block(request))
                self._finalizer = asyncio.current_task()
                return response
            case "commit":
                return await self._commit()
            case "offer_snapshot":
                return app.offer_snapshot(request.snapshot, request.app_hash)
            case "apply_snapshot_chunk":
                assert isinstance(request, ApplyChunk)
                return app.apply_snapshot_chunk(request.index, request.chunk, request.sender)
        raise AssertionError(call.method)  # the codec knows no other

    async def _judged(self, request: Any) -> Any:
        response = await drive(self._app.process_proposal(request))
        if not response.accepted:
            log.warning("refused a proposal", height=request.height, why=response.reason)
        return response

    async def _commit(self) -> CommitResponse:
        if self._finalizer is None:
            raise WrongCall("a commit, and no block was finalized since the last one")
        if self._finalizer is not asyncio.current_task():
            raise WrongCall("a commit, and another connection finalized the block: an application has one engine")
        self._finalizer = None
        if isinstance(self._app, WritesAhead):
            await self._workers.run_disk(self._app.write_commit)
        response = self._app.commit()
        self._committed(response)
        return response

    def _check_halt(self, height: int) -> None:
        if isinstance(self._app, HaltsAhead) and (halt := self._app.halt_before(height)) is not None:
            raise halt

    def _query(self, request: QueryRequest) -> QueryResponse:
        """In a thread. What a question sets off ends neither the application nor the connection."""
        try:
            return self._app.query(request)
        except Exception as error:
            log.error("a query failed", path=request.path, exc_info=error)
            return QueryResponse(CODE_FAILED, f"the application failed to answer: {type(error).__name__}", CODESPACE)

    # --------------------------------------------------------------------------------------------------- checks

    async def _checked(self, requests: Sequence[CheckTxRequest]) -> list[CheckTxResponse]:
        """In their order, which is that of the engine's pool."""
        answers: list[CheckTxResponse] = []
        for start in range(0, len(requests), TXS_PER_SLICE):
            batch = requests[start : start + TXS_PER_SLICE]
            began = time.monotonic_ns()
            answers += await self._checked_batch(batch)
            self.calls.setdefault("check_tx", Timing()).add(time.monotonic_ns() - began)
        return answers

    async def _checked_batch(self, batch: Sequence[CheckTxRequest]) -> list[CheckTxResponse]:
        bad: set[SignatureCheck] = set()
        if self._checks is not None:
            bad, _ = await self._checks.bad_of([one.tx for one in batch], is_doubtful=False)
        answers: list[CheckTxResponse] = []
        began = time.monotonic_ns()
        for request in batch:
            refused = self._checks.refusal(request.tx, bad) if bad and self._checks is not None else None
            answers.append(self._check(request) if refused is None else refused)
            if time.monotonic_ns() - began >= SLICE_NS:
                await asyncio.sleep(0)
                began = time.monotonic_ns()
        return answers

    def _check(self, request: CheckTxRequest) -> CheckTxResponse:
        try:
            return self._app.check_tx(request)
        except Exception as error:  # what one transaction sets off shall not end all others
            log.error("failed to judge a transaction", exc_info=error)
            return CheckTxResponse(CODE_FAILED, "the application failed to judge the transaction", CODESPACE)

    async def _verify_ahead(self, txs: Sequence[bytes]) -> None:
        """Verify the signatures that a block's execution will ask for, beside the loop."""
        app = self._app
        if not txs or not isinstance(app, ChecksSignatures):
            return
        wanted = []
        for start in range(0, len(txs), TXS_PER_SLICE):
            wanted += app.signature_checks(txs[start : start + TXS_PER_SLICE])
            await asyncio.sleep(0)
        app.remember_verified(passed(wanted, await self._verifiers.verify(wanted)))


async def _encoded(answer: Call) -> bytes:
    if answer.method == "finalize_block":
        return finalized(await drive(encode_finalized(answer.value)))
    return encode_response(answer)


def _send(writer: asyncio.StreamWriter, answer: Call) -> None:
    writer.write(frame(encode_response(answer)))


def _clear_away(path: Path) -> None:
    """A socket file that a stop left. Raises OSError: somebody listens on it, or it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is there, and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(f"{path}: another process listens there")
