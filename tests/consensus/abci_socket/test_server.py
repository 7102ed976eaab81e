"""An application behind a socket: order, one call at a time, commits, and what ends a connection or the application."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.abci.interface import (
    BlockRequest,
    CheckTxRequest,
    CommitInfo,
    CommitResponse,
    FinalizeBlockResponse,
    HaltReason,
    HaltRequested,
    InfoRequest,
    PrepareProposalRequest,
    QueryRequest,
    QueryResponse,
    Slices,
)
from consensus.abci.requests import NO_EXTENDED_COMMIT
from consensus.abci_socket.address import SocketAddress
from consensus.abci_socket.codec import Call, LoadChunk
from consensus.abci_socket.frames import frame
from consensus.abci_socket.server import CONNECTIONS_MAX, AbciServer
from consensus.system.clock import ThreadWorkers
from crypto.hash import uvarint
from storage.memory import MemoryStore
from tests.support.engine.abci import Wire, wire_to
from tests.support.engine.kvapp import KeyValueApp


class Served(KeyValueApp):
    """gate: what finalize_block waits for, slice by slice."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), retain_blocks=2)
        self.gate = True
        self.halt: HaltRequested | None = None
        self.begun: list[str] = []
        self.chunk = b""

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        self.begun.append(f"finalize {request.height}")
        while not self.gate:
            yield
        if request.txs == (b"broken=1",):
            raise RuntimeError("a fault of the application")
        return (yield from super().finalize_block(request))

    def info(self, request: InfoRequest) -> Any:
        self.begun.append("info")
        return super().info(request)

    def halt_before(self, height: int) -> HaltRequested | None:
        return self.halt

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        self.begun.append("chunk")
        return self.chunk

    def query(self, request: QueryRequest) -> QueryResponse:
        if request.path == "/broken":
            raise RuntimeError("a fault")
        return super().query(request)


class Bench:
    def __init__(self, app: Served, server: AbciServer, address: SocketAddress, failures: list[Exception]) -> None:
        self.app, self.server, self.address, self.failures = app, server, address, failures
        self.commits: list[CommitResponse] = []


@contextlib.asynccontextmanager
async def served(address: str | Path = "", **how: Any) -> AsyncIterator[Bench]:
    app, workers, failures, commits = Served(), ThreadWorkers(), list[Exception](), list[CommitResponse]()
    server = AbciServer(app, workers=workers, fatal=failures.append, committed=commits.append, **how)
    where = SocketAddress("unix", path=str(address)) if address else SocketAddress("tcp", host="127.0.0.1", port=0)
    bench = Bench(app, server, await server.start(where), failures)
    bench.commits = commits
    try:
        yield bench
    finally:
        app.gate = True
        await server.stop()
        workers.close()


def block(height: int, *txs: bytes) -> BlockRequest:
    return BlockRequest(txs, CommitInfo(0, ()), (), b"%032d" % height, height, 0, b"", b"")


async def test_the_life_of_a_block() -> None:
    async with served() as bench, wire_to(bench.address) as wire:
        assert await wire.ask("echo", "hello") == "hello"
        assert (await wire.ask("info", InfoRequest("0.38.26", 11, 8))).last_block_height == 0
        prepare = PrepareProposalRequest(100, (b"a=1",), NO_EXTENDED_COMMIT, (), 1, 0, b"", b"")
        assert (await wire.ask("prepare_proposal", prepare)).txs == (b"a=1",)
        assert (await wire.ask("process_proposal", block(1, b"a=1"))).accepted
        assert not (await wire.ask("process_proposal", block(1, b"no pair"))).accepted
        assert (await wire.ask("finalize_block", block(1, b"a=1"))).app_hash == KeyValueApp.hash_of({"a": "1"})
        assert (await wire.ask("query", QueryRequest("/", b"a"))).value == b""  # nothing of it counts yet
        assert await wire.ask("commit") == CommitResponse()
        assert (await wire.ask("query", QueryRequest("/", b"a"))).value == b"1"
        assert (await wire.ask("info", InfoRequest("", 0, 0))).last_block_height == 1
        assert [one.retain_height for one in bench.commits] == [0]
        assert await wire.ask("list_snapshots") == ()
        assert bench.server.calls["commit"].count == 1


async def test_answers_come_in_the_order_of_the_requests() -> None:
    async with served() as bench, wire_to(bench.address) as wire:
        checks = [CheckTxRequest(b"k%d%s" % (n, b"=" if n % 3 else b"")) for n in range(200)]
        wire.send(
            Call("echo", "first"), *(Call("check_tx", one) for one in checks), Call("flush"), Call("echo", "last")
        )
        assert await wire.receive() == Call("echo", "first")
        answers = [await wire.receive() for _ in checks]
        assert [one.value.code for one in answers if one] == [0 if n % 3 else 1 for n in range(200)]
        assert (await wire.receive(), await wire.receive()) == (Call("flush"), Call("echo", "last"))


async def test_connections_go_on_beside_each_other_and_calls_one_at_a_time() -> None:
    """While a block is executed, checks and queries are answered; info waits, because it tells of the block."""
    async with served() as bench, contextlib.AsyncExitStack() as stack:
        consensus, mempool, query, other = [await stack.enter_async_context(wire_to(bench.address)) for _ in range(4)]
        bench.app.gate = False
        consensus.send(Call("finalize_block", block(1, b"a=1")), Call("commit"))
        async with asyncio.timeout(10):
            while not bench.app.begun:  # noqa: ASYNC110 - plain data of the application
                await asyncio.sleep(0.001)
        assert (await mempool.ask("check_tx", CheckTxRequest(b"b=1"))).code == 0
        assert (await query.ask("query", QueryRequest("/", b"a"))).height == 0
        other.send(Call("info", InfoRequest("", 0, 0)))
        assert await query.ask("echo", "meanwhile") == "meanwhile"
        assert bench.app.begun == ["finalize 1"]
        bench.app.gate = True
        told = await other.receive()
        assert told is not None
        assert [(await consensus.receive() or Call("")).method for _ in range(2)] == ["finalize_block", "commit"]


async def closed(wire: Wire) -> tuple[str, bool]:
    """(the exception that came, whether the connection was closed behind it)."""
    answer = await wire.receive()
    assert answer is not None
    assert answer.method == "exception", answer
    return answer.value, await wire.receive() is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(uvarint(1_001) + b"a", "a message of 1001 bytes; at most 1000 are allowed", id="too large"),
        pytest.param(frame(b"\xff\xff"), "not protobuf", id="no protobuf"),
        pytest.param(frame(b""), "no method", id="nothing asked"),
    ],
)
async def test_bad_bytes_end_their_connection_alone(data: bytes, why: str) -> None:
    async with served(bytes_max=1_000) as bench, wire_to(bench.address) as good, wire_to(bench.address) as bad:
        bad.writer.write(data)
        text, is_closed = await closed(bad)
        assert why in text
        assert is_closed
        assert await good.ask("echo", "still here") == "still here"
        assert (bench.server.refused, bench.failures) == (1, [])


async def test_a_commit_without_a_block_is_refused() -> None:
    async with served() as bench, wire_to(bench.address) as wire:
        wire.send(Call("commit"))
        assert "no block was finalized" in (await closed(wire))[0]
        assert bench.failures == []


async def test_of_two_engines_neither_commits_the_others_block() -> None:
    """Audit 64: a commit made durable whichever block had been finalized last, over whichever connection."""
    async with served() as bench, wire_to(bench.address) as one, wire_to(bench.address) as other:
        ours = await one.ask("finalize_block", block(1, b"a=1"))
        theirs = await other.ask("finalize_block", block(1, b"a=2"))
        assert ours.app_hash != theirs.app_hash
        one.send(Call("commit"))
        assert "one engine" in (await closed(one))[0]
        assert bench.app.height == 0
        await other.ask("commit")
        assert bench.app.pairs == {"a": "2"}
        # an engine that was killed between the two comes again, and its last connection is not seen to be gone
        await other.ask("finalize_block", block(2, b"b=1"))
        async with wire_to(bench.address) as again:
            await again.ask("finalize_block", block(2, b"b=2"))
            await again.ask("commit")
        assert bench.app.pairs == {"a": "2", "b": "2"}
        assert bench.failures == []


async def test_who_does_not_read_is_not_answered_without_end() -> None:
    """Audit 65: all that came in one piece was answered before anything was read: 256 KiB asked for gigabytes."""
    asked = 2_000
    async with served() as bench, wire_to(bench.address) as wire:
        bench.app.chunk = b"c" * 200_000
        wire.send(*[Call("load_snapshot_chunk", LoadChunk(1, 1, 0))] * asked)
        async with asyncio.timeout(10):
            while len(bench.app.begun) < 2:  # noqa: ASYNC110 - plain data of the application
                await asyncio.sleep(0.001)
        asked_by_others = 400
        async with wire_to(bench.address) as other:
            for _ in range(asked_by_others):
                await other.ask("load_snapshot_chunk", LoadChunk(1, 1, 0))
        answered = len(bench.app.begun) - asked_by_others
        assert answered < 100, answered  # some megabytes, which fit in the sockets' buffers
        assert await wire.receive() == Call("load_snapshot_chunk", bench.app.chunk)


async def test_a_connection_whose_engine_is_gone_without_a_word_is_seen() -> None:
    """Audit 66: each took a place for ever, and after four losses of power no engine had one."""
    async with served() as bench, wire_to(bench.address) as wire:
        await wire.ask("echo", "")
        assert bench.server._server is not None
        for listening in bench.server._server.sockets:  # what it accepts has these from it
            assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60


async def test_what_the_application_raises_ends_it() -> None:
    async with served() as bench, wire_to(bench.address) as wire, wire_to(bench.address) as other:
        wire.send(Call("finalize_block", block(1, b"broken=1")))
        assert "RuntimeError: a fault of the application" in (await closed(wire))[0]
        assert [str(error) for error in bench.failures] == ["a fault of the application"]
        other.send(Call("info", InfoRequest("", 0, 0)))
        assert "has failed" in (await closed(other))[0]


async def test_a_query_that_fails_is_answered() -> None:
    async with served() as bench, wire_to(bench.address) as wire:
        assert (await wire.ask("query", QueryRequest("/broken"))).code == 1
        assert await wire.ask("echo", "on") == "on"
        assert bench.failures == []


async def test_a_halt_is_told_to_the_engine_and_ends_the_application() -> None:
    async with served() as bench, wire_to(bench.address) as wire:
        bench.app.halt = HaltRequested("upgrade wanted", height=1, reason=HaltReason.UPGRADE_NEEDED)
        wire.send(Call("process_proposal", block(1)))
        assert await closed(wire) == ("process_proposal: upgrade wanted", True)
        assert bench.failures == [bench.app.halt]


async def test_an_engine_may_come_again_but_not_without_end() -> None:
    async with served() as bench, contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(wire_to(bench.address)) for _ in range(CONNECTIONS_MAX)]
        for wire in wires:
            await wire.ask("echo", "")
        async with wire_to(bench.address) as one_more:
            assert await one_more.receive() is None


async def test_a_socket_file_that_a_stop_left_is_taken_and_a_used_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    async with served(path) as bench:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(FileExistsError, match="another process listens"):
            await bench.server.start(bench.address)
        os.link(path, tmp_path / "left.sock")
    assert not path.exists()
    async with served(tmp_path / "left.sock") as bench, wire_to(bench.address) as wire:
        assert await wire.ask("echo", "anew") == "anew"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="is no socket"):
        async with served(path):
            pass
    assert path.read_text() == "precious"
