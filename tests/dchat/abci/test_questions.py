"""What strangers ask somebody else's application through the JSON-RPC door, where that is slow or hangs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from consensus.abci.interface import (
    CheckTxRequest,
    CheckTxResponse,
    InfoRequest,
    InfoResponse,
    QueryRequest,
    QueryResponse,
)
from consensus.abci_socket.address import SocketAddress
from consensus.abci_socket.client import AbciClient
from consensus.abci_socket.server import AbciServer
from consensus.system.clock import ThreadWorkers
from dchat.abci.rpc import QUESTIONS_MAX, Questions
from dchat.doors.reads.errors import Busy
from storage.memory import MemoryStore
from tests.support.engine.kvapp import KeyValueApp
from tests.support.patience import PATIENCE_S


class Slow(KeyValueApp):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.let = threading.Event()

    def info(self, request: InfoRequest) -> InfoResponse:
        assert self.let.wait(PATIENCE_S)
        return super().info(request)

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        assert self.let.wait(PATIENCE_S)
        return super().check_tx(request)

    def query(self, request: QueryRequest) -> QueryResponse:
        assert self.let.wait(PATIENCE_S)
        return super().query(request)


class Elsewhere:
    """An application in a loop and a thread of its own, as in a process of its own."""

    def __init__(self, app: KeyValueApp, path: Path) -> None:
        self._app, self._path = app, path
        self.loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._is_open = threading.Event()
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._serve()))

    async def _serve(self) -> None:
        workers = ThreadWorkers()
        server = AbciServer(self._app, workers=workers, fatal=lambda error: None)
        await server.start(SocketAddress("unix", path=str(self._path)))
        self._is_open.set()
        await self._stop.wait()
        await server.stop()
        workers.close()

    def __enter__(self) -> SocketAddress:
        self._thread.start()
        assert self._is_open.wait(PATIENCE_S)
        return SocketAddress("unix", path=str(self._path))

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.loop.close()


@pytest.mark.parametrize("what", ["info", "query", "check"])
async def test_an_application_that_hangs_holds_neither_the_loop_nor_more_than_a_share(
    tmp_path: Path, what: str
) -> None:
    """Audit 63: a stranger's abci_info or check_tx held the whole engine for as long as the application took."""
    app = Slow()
    with Elsewhere(app, tmp_path / "s") as address:
        client = await AbciClient.connect(address, retry_s=0.05)
        try:
            questions = Questions(client)

            async def ask(who: str) -> object:
                async with asyncio.timeout(0.05):  # given up, as the door does
                    if what == "info":
                        return await questions.info(InfoRequest("", 0, 0), who)
                    if what == "query":
                        return await questions.query(QueryRequest("", b"a"), who)
                    return await questions.check(b"a=1", who)

            told = await asyncio.gather(*(ask("203.0.113.1") for _ in range(30)), return_exceptions=True)
            share = QUESTIONS_MAX // 4
            assert [type(one) for one in told] == [TimeoutError] * share + [Busy] * (30 - share)
            assert questions.places.used == share  # the application has them still
            assert [type(one) for one in await asyncio.gather(ask("203.0.113.2"), return_exceptions=True)] == [
                TimeoutError
            ]
            app.let.set()
            async with asyncio.timeout(PATIENCE_S):
                while questions.places.used:  # noqa: ASYNC110 - plain data
                    await asyncio.sleep(0.01)
                assert await asyncio.shield(asyncio.ensure_future(client.later("check_tx", CheckTxRequest(b"a=1"))))
        finally:
            app.let.set()
            await asyncio.to_thread(client.close)
