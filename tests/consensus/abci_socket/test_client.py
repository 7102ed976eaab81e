"""An application elsewhere, asked by our engine: blocks, checks beside commits, and what ends the node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.abci.interface import (
    BlockRequest,
    CheckTxRequest,
    CheckTxResponse,
    CheckTxType,
    CommitInfo,
    CommitResponse,
    ExtendVoteRequest,
    FinalizeBlockResponse,
    InfoRequest,
    InfoResponse,
    QueryRequest,
    Slices,
)
from consensus.abci_socket.address import SocketAddress
from consensus.abci_socket.client import AbciClient
from consensus.abci_socket.codec import Call, encode_response
from consensus.abci_socket.errors import ApplicationFailed, ApplicationGone
from consensus.abci_socket.frames import frame
from consensus.abci_socket.server import AbciServer
from consensus.node.errors import TransactionRefused
from consensus.node.home import NodeHome, make_network
from consensus.node.node import Node, running
from consensus.system.clock import ThreadWorkers
from consensus.system.errors import EXIT_APPLICATION, ConsensusFailure, exit_code_of
from consensus.types.params import BlockParams, ConsensusParams, EvidenceParams
from storage.memory import MemoryStore
from tests.support.engine.kvapp import KeyValueApp
from tests.support.patience import PATIENCE_S

INFO = InfoRequest("", 0, 0)


@contextlib.asynccontextmanager
async def served(app: KeyValueApp, path: Path) -> AsyncIterator[SocketAddress]:
    workers = ThreadWorkers()
    server = AbciServer(app, workers=workers, fatal=lambda error: None)
    try:
        yield await server.start(SocketAddress("unix", path=str(path)))
    finally:
        await server.stop()
        workers.close()


@contextlib.asynccontextmanager
async def connected(address: SocketAddress, lost: list[ConsensusFailure] | None = None) -> AsyncIterator[AbciClient]:
    client = await AbciClient.connect(address, lost=(lost if lost is not None else []).append, retry_s=0.05)
    try:
        yield client
    finally:
        client.close()


def block(height: int, *txs: bytes) -> BlockRequest:
    return BlockRequest(txs, CommitInfo(0, ()), (), b"%032d" % height, height, 0, b"", b"")


async def test_a_block_and_what_reads_it(tmp_path: Path) -> None:
    app = KeyValueApp(MemoryStore())
    async with served(app, tmp_path / "s") as address, connected(address) as client:
        assert (await asyncio.to_thread(client.info, INFO)).data == "kv"
        judged = await client.drive(client.process_proposal(block(1, b"no pair")))
        assert not judged.accepted
        done = await client.drive(client.finalize_block(block(1, b"a=1")))
        assert done.app_hash == KeyValueApp.hash_of({"a": "1"})
        assert [one.events[0].type for one in done.tx_results] == ["pair"]
        await asyncio.to_thread(client.write_commit)
        assert client.commit() == CommitResponse(0)
        found = await asyncio.to_thread(client.query, QueryRequest("", b"a"))
        assert (found.value, found.height) == (b"1", 1)
        assert client.calls["commit"].count == 1


class Counting(KeyValueApp):
    """Tells which checks came, and before which commit."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.seen: list[tuple[bytes, CheckTxType] | str] = []

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        self.seen.append((request.tx, request.type))
        return super().check_tx(request)

    def commit(self) -> CommitResponse:
        self.seen.append("commit")
        return super().commit()


async def test_checks_are_asked_once_until_a_commit(tmp_path: Path) -> None:
    app = Counting()
    async with served(app, tmp_path / "s") as address, connected(address) as client:
        good, bad = CheckTxRequest(b"a=1"), CheckTxRequest(b"a")
        await client.check_ahead([good, bad])
        assert [client.check_tx(one).code for one in (good, bad)] == [0, 1]
        assert app.seen == [(b"a=1", CheckTxType.NEW), (b"a", CheckTxType.NEW)]
        await client.check_ahead([good])
        await client.drive(client.finalize_block(block(1)))
        await asyncio.gather(asyncio.to_thread(client.commit), client.check_ahead([bad]))
        assert app.seen.count("commit") == 1
        assert (await asyncio.to_thread(client.check_tx, good)).code == 0  # what was known is of before the block


async def test_it_waits_until_the_application_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    waiting = asyncio.create_task(AbciClient.connect(SocketAddress("unix", path=str(path)), retry_s=0.02))
    await asyncio.sleep(0)
    async with served(KeyValueApp(MemoryStore()), path):
        client = await asyncio.wait_for(waiting, PATIENCE_S)
        client.close()
    waiting = asyncio.create_task(AbciClient.connect(SocketAddress("unix", path=str(path)), retry_s=0.02))
    await asyncio.sleep(0)
    waiting.cancel()  # by whoever stops the node meanwhile
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_application_that_goes_is_told_once_and_fails_all_calls(tmp_path: Path) -> None:
    lost: list[ConsensusFailure] = []
    async with contextlib.AsyncExitStack() as stack:
        server = contextlib.AsyncExitStack()
        address = await server.enter_async_context(served(KeyValueApp(MemoryStore()), tmp_path / "s"))
        client = await stack.enter_async_context(connected(address, lost))
        await asyncio.to_thread(client.info, INFO)
        await server.aclose()
        with pytest.raises(ApplicationGone, match="is gone"):
            await asyncio.to_thread(client.info, INFO)
        with pytest.raises(ApplicationGone):
            await client.drive(client.finalize_block(block(1)))
    assert len(lost) == 1
    assert exit_code_of(lost[0]) == EXIT_APPLICATION


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(frame(encode_response(Call("exception", "out of luck"))), "out of luck", id="an exception"),
        pytest.param(frame(encode_response(Call("commit", CommitResponse()))), "info was asked", id="another answer"),
        pytest.param(frame(b"\xff\xff"), "not protobuf", id="no protobuf"),
        pytest.param(b"\xff\xff\xff\xff\x7f", "at most", id="too large"),
    ],
)
async def test_what_is_no_answer_ends_the_node(tmp_path: Path, answer: bytes, why: str) -> None:
    lost: list[ConsensusFailure] = []

    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(wrong, str(tmp_path / "s"))
    async with server, connected(SocketAddress("unix", path=str(tmp_path / "s")), lost) as client:
        with pytest.raises(ApplicationFailed, match=why):
            await asyncio.to_thread(client.info, INFO)
    assert [type(error) for error in lost] == [ApplicationFailed]


async def test_what_holds_the_loop_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audit 68: an application that hung over a vote's extension left a node that no signal could stop."""
    monkeypatch.setattr("consensus.abci_socket.client.HOLDS_LOOP_S", 0.1)
    lost: list[ConsensusFailure] = []
    async with served(KeyValueApp(MemoryStore()), tmp_path / "s") as address, connected(address, lost) as client:
        with pytest.raises(ApplicationFailed, match="did not answer extend_vote within"):
            client.extend_vote(ExtendVoteRequest(b"", 1, 0, ()))  # in the loop that the application needs, too
        with pytest.raises(ApplicationFailed, match="did not answer extend_vote"):
            await asyncio.to_thread(client.info, INFO)
    assert [exit_code_of(error) for error in lost] == [EXIT_APPLICATION]


async def test_an_application_that_takes_long_is_waited_for_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consensus.abci_socket.client.SLOW_S", 0)
    let_go = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            await let_go.wait()
        writer.write(frame(encode_response(Call("info", InfoResponse("late", "", 0, 0, b"")))))
        writer.write(frame(encode_response(Call("flush"))))
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(slow, str(tmp_path / "s"))
    with capture_logs() as lines:
        async with server, connected(SocketAddress("unix", path=str(tmp_path / "s"))) as client:
            asking = asyncio.create_task(asyncio.to_thread(client.info, INFO))
            async with asyncio.timeout(PATIENCE_S):
                while not any(one["event"] == "the application has not answered yet" for one in lines):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            asked = {one["method"] for one in lines if one["event"] == "the application has not answered yet"}
            let_go.set()
            assert (await asyncio.wait_for(asking, PATIENCE_S)).data == "late"
    assert asked == {"info"}


class Unreasonable(KeyValueApp):
    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        done = yield from super().finalize_block(request)
        return replace(done, app_hash=b"h" * 100_000) if request.height == 2 else done


async def test_an_app_hash_that_no_header_can_have_ends_the_node(tmp_path: Path) -> None:
    """Audit 69: each header, and each line of the log, had it: no proposal fitted any more, and nothing said so."""
    [home] = make_network([tmp_path / "node"], chain_id="elsewhere", base_port=0)
    lost: list[ConsensusFailure] = []
    async with served(Unreasonable(MemoryStore()), tmp_path / "s") as address:
        with capture_logs() as lines:
            async with engine(home, address, lost) as node:
                why = await asyncio.wait_for(asyncio.shield(node.ended), PATIENCE_S)
    assert "the app hash has 100000 bytes; allowed: 256" in why
    # it is not ours: a line says all, and its way is for who asks for everything
    assert not any(one.get("exc_info") for one in lines if one["log_level"] != "debug")


async def test_a_tiny_block_size_leaves_a_mempool_that_knows_it(tmp_path: Path) -> None:
    class Tiny(KeyValueApp):
        def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
            done = yield from super().finalize_block(request)
            params = ConsensusParams(block=BlockParams(1, -1), evidence=EvidenceParams(max_bytes=0))
            return replace(done, consensus_param_updates=params) if request.height == 1 else done

    [home] = make_network([tmp_path / "node"], chain_id="elsewhere", base_port=0)
    async with served(Tiny(MemoryStore()), tmp_path / "s") as address, engine(home, address, []) as node:
        await asyncio.wait_for(node.wait_for_height(4), PATIENCE_S)
        assert node.faults.down == {}
        with pytest.raises(TransactionRefused, match="a block takes 0"):
            await node.submit(b"a=1")


@contextlib.asynccontextmanager
async def engine(home: NodeHome, address: SocketAddress, lost: list[ConsensusFailure]) -> AsyncIterator[Node]:
    async with connected(address, lost) as client, running(home, lambda db: client, drive=client.drive) as node:
        yield node


async def test_our_engine_runs_it(tmp_path: Path) -> None:
    """Transactions through the mempool, blocks, a stop of each side."""
    [home] = make_network([tmp_path / "node"], chain_id="elsewhere", base_port=0)
    app, lost = KeyValueApp(MemoryStore()), list[ConsensusFailure]()
    async with served(app, tmp_path / "s") as address:
        async with engine(home, address, lost) as node:
            done = await asyncio.gather(*(node.submit(b"k%d=%d" % (n, n)) for n in range(100)))
            assert {one.result.code for one in done} == {0}
            height = node.height
        async with engine(home, address, lost) as node:
            await asyncio.wait_for(node.wait_for_height(height + 2), PATIENCE_S)
            assert (await asyncio.to_thread(node.query, b"k7")).value == b"7"
    assert lost == []
    begins_anew = KeyValueApp(MemoryStore())
    async with served(begins_anew, tmp_path / "s") as address, engine(home, address, lost) as node:
        assert begins_anew.height >= height
        assert begins_anew.pairs == app.pairs
        await asyncio.wait_for(node.wait_for_height(height + 5), PATIENCE_S)
    assert lost == []
