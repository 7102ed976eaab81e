"""Applications behind a socket for a real CometBFT node: served in this process, or by `dchat abci`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from consensus.abci.interface import (
    Application,
    BlockRequest,
    FinalizeBlockResponse,
    InfoRequest,
    InfoResponse,
    PrepareProposalRequest,
    PrepareProposalResponse,
    ProcessProposalResponse,
    Slices,
    Snapshot,
)
from consensus.abci_socket.address import UNIX, SocketAddress
from consensus.abci_socket.server import AbciServer
from consensus.state.results import ExecTxResult
from consensus.system.clock import ThreadWorkers
from crypto.hash import sha256
from storage.memory import MemoryStore
from tests.support.engine.kvapp import KeyValueApp

STOP_S = 60.0
START_S = 180.0  # of a busy machine


@contextlib.asynccontextmanager
async def serving(app: Application, socket: Path) -> AsyncIterator[str]:
    """In this process. Gives the address for `--proxy_app`. Raises what the application raised."""
    workers, failures = ThreadWorkers(), list[Exception]()
    server = AbciServer(app, workers=workers, fatal=failures.append)
    try:
        yield str(await server.start(SocketAddress(UNIX, path=str(socket))))
    finally:
        await server.stop()
        workers.close()
    for failure in failures:
        raise failure


class AbciProcess:
    """`dchat abci` on a home: `running` runs it; `kill` and `stop` end it within."""

    def __init__(self, home: Path, *, options: str = "") -> None:
        self.home, self.socket, self.log_path = home, home / "app.sock", home / "abci.log"
        home.mkdir(parents=True, exist_ok=True)
        if options:
            (home / "validator-config.toml").write_text(options)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, *flags: str) -> None:
        starts = self.log.count("serving the application")
        command = [sys.executable, "-m", "dchat", "abci", "--home", str(self.home), "--listen", self.address, *flags]
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        async with asyncio.timeout(START_S):
            while self.log.count("serving the application") == starts:
                assert self._process.returncode is None, self.log[-2_000:]
                await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Returns its exit code."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        return await self.ended()

    async def ended(self) -> int:
        assert self._process is not None
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self._process.kill()
            raise

    @contextlib.asynccontextmanager
    async def running(self, *flags: str) -> AsyncIterator[None]:
        await self.start(*flags)
        try:
            yield
        finally:
            if self.is_running:
                await self.end()


class EmptyStates(KeyValueApp):
    """A chain whose state after a block is its height. Each `interval` heights a snapshot; it serves the last three."""

    def __init__(self, *, interval: int, chunks: int, chunk_bytes: int) -> None:
        super().__init__(MemoryStore())
        self._interval, self._count, self._bytes = interval, chunks, chunk_bytes
        self.served = 0

    def chunk(self, height: int, number: int) -> bytes:
        return (sha256(b"%d %d" % (height, number)) * (self._bytes // 32 + 1))[: self._bytes]

    def snapshot(self, height: int) -> Snapshot:
        """metadata: the hash of each chunk."""
        metadata = b"".join(sha256(self.chunk(height, number)) for number in range(self._count))
        return Snapshot(height, 1, self._count, sha256(metadata), metadata)

    @staticmethod
    def state_hash(height: int) -> bytes:
        return sha256(b"the state after %d" % height)

    def info(self, request: InfoRequest) -> InfoResponse:
        return InfoResponse("", "", 0, self.height, self.state_hash(self.height) if self.height else b"")

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        yield
        return PrepareProposalResponse(request.txs)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        yield
        return ProcessProposalResponse(True)

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        results = tuple(ExecTxResult() for _ in request.txs)
        response = FinalizeBlockResponse(results, self.state_hash(request.height))
        self._pending = request, {}, response
        yield
        return response

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        newest = self.height - self.height % self._interval
        heights = range(newest, max(0, newest - 3 * self._interval), -self._interval)
        return tuple(self.snapshot(one) for one in heights)

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        self.served += 1
        return self.chunk(height, chunk)
