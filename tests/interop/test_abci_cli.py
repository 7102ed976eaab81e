"""Our engine with somebody else's application: CometBFT's key-value store, served over ABCI 2.0 by its `abci-cli`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.system.errors import EXIT_APPLICATION
from dchat.devnet.leases import free_ports
from tests.support.interop.cometbft import VERSION, abci_cli
from tests.support.interop.rows import row

pytestmark = [pytest.mark.go, pytest.mark.network]

WAIT_S = 60.0


class World:
    """The store, and `dchat validator --proxy-app` over it, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = free_ports(1)[0]
        self.socket, self.store_home, self.home = folder / "kv.sock", folder / "kv", folder / "node"
        self.log_path = folder / "node.log"

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[asyncio.subprocess.Process]:
        self.socket.unlink(missing_ok=True)
        command = [str(abci_cli()), "kvstore", "--address", f"unix://{self.socket}", "--persist", str(self.store_home)]
        with (self.folder / "kv.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        async with ending(process):
            yield process

    @contextlib.asynccontextmanager
    async def node(self) -> AsyncIterator[asyncio.subprocess.Process]:
        ports = self.ports
        options = {
            "DCHAT_GRPC__LISTEN_ADDRESS": f"127.0.0.1:{ports.grpc}",
            "DCHAT_OBSERVABILITY__HEALTH_PORT": str(ports.http),
            "DCHAT_OBSERVABILITY__METRICS_PORT": str(ports.metrics),
            "DCHAT_CONSENSUS__BLOCK_TIME": "200ms",
        }
        command = [
            sys.executable, "-m", "dchat", "validator", "--home", str(self.home), "--chain-id", "kv-chain",
            "--proxy-app", f"unix://{self.socket}", "--listen", f"127.0.0.1:{ports.p2p}",
            "--rpc-listen", f"127.0.0.1:{ports.rpc}",
        ]  # fmt: skip
        with self.log_path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=os.environ | options)
        async with ending(process):
            yield process

    async def get(self, url: str) -> Any:
        """JSON, whatever the status. Raises OSError while nobody listens."""

        def read() -> Any:
            try:
                with urllib.request.urlopen(url, timeout=20) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                return json.load(error)

        return await asyncio.to_thread(read)

    async def rpc(self, path: str) -> Any:
        return (await self.get(f"http://127.0.0.1:{self.ports.rpc}/{path}"))["result"]

    async def wait_height(self, least: int) -> int:
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    with contextlib.suppress(OSError):
                        height = int((await self.rpc("status"))["sync_info"]["latest_block_height"])
                        if height >= least:
                            return height
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(self.log[-3_000:]) from None

    async def send(self, text: str) -> Any:
        return await self.rpc(f"broadcast_tx_commit?tx={urllib.parse.quote(json.dumps(text))}")

    async def value(self, key: str) -> str:
        found = (await self.rpc(f"abci_query?data={urllib.parse.quote(json.dumps(key))}"))["response"]
        return base64.b64decode(found["value"] or "").decode()


@contextlib.asynccontextmanager
async def ending(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), WAIT_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def test_our_engine_runs_cometbfts_key_value_store(tmp_path: Path) -> None:
    await asyncio.to_thread(abci_cli)
    world = World(tmp_path)
    async with world.node() as node:  # before there is an application: it waits
        async with asyncio.timeout(WAIT_S):
            while "does not listen" not in world.log:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        async with world.store() as store:
            await world.wait_height(2)
            done = await world.send("name=satoshi")
            assert (done["check_tx"]["code"], done["tx_result"]["code"]) == (0, 0), done
            assert await world.value("name") == "satoshi"
            assert (await world.send("no pair at all==="))["check_tx"]["code"] != 0
            sent = await asyncio.gather(*(world.send(f"k{number}={number}") for number in range(30)))
            assert {one["tx_result"]["code"] for one in sent} == {0}
            assert (await world.rpc("abci_info"))["response"]["data"].startswith("{")  # the store tells its size
            assert (await world.rpc("block?height=1"))["block"]["header"]["chain_id"] == "kv-chain"
            assert (await world.rpc("validators"))["total"] == "1"
            found = await world.rpc("tx_search?query=" + urllib.parse.quote("\"app.creator='Cosmoshi Netowoko'\""))
            assert int(found["total_count"]) > 30
            http = f"http://127.0.0.1:{world.ports.http}"
            assert (await world.get(f"{http}/ready"))["ready"]
            assert "another application" in (await world.get(f"{http}/v1/upgrade"))["error"]
            assert (await world.get(f"{http}/status"))["proxy_app"] == f"unix://{world.socket}"
            # the application goes: the node cannot go on, and says so
            store.send_signal(signal.SIGKILL)
            assert await asyncio.wait_for(node.wait(), WAIT_S) == EXIT_APPLICATION
    assert f"dchat: the application at unix://{world.socket} is gone" in world.log
    async with world.store():
        async with world.node() as node:
            at = await world.wait_height(4)
            assert await world.value("k7") == "7"
            node.send_signal(signal.SIGKILL)
            await node.wait()
        async with world.node() as node:
            at = await world.wait_height(at + 2)
            node.terminate()
            assert await asyncio.wait_for(node.wait(), WAIT_S) == 0
    # an application that lost everything is handed the genesis and all blocks
    shutil.rmtree(world.store_home)
    async with world.store(), world.node():
        await world.wait_height(at + 2)
        assert await world.value("k29") == "29"
        assert (await world.send("name=again"))["tx_result"]["code"] == 0
    assert "replayed blocks through the application" in world.log
    row(
        "abci-cli",
        VERSION,
        "our engine runs its key-value store, over ABCI 2.0 (`dchat validator --proxy-app`)",
        "blocks, transactions, queries; kill -9 of each; a store that lost everything is handed all blocks again",
    )
