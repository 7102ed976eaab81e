"""Our light client follows a real CometBFT node over its JSON-RPC: skipping, one by one, as a command, by the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from dchat.cli.light.proxy import Proxy
from dchat.cli.light.session import session_of
from dchat.cli.main import dchat
from light import LightClient, Options, Root
from light.errors import HeightTooHigh, NoWitness
from light.rpc import RpcProvider
from tests.support.interop.cometbft import VERSION, CometNode
from tests.support.interop.rows import row

pytestmark = [pytest.mark.go, pytest.mark.network]

CHAIN_ID = "followed-chain"
HEIGHT = 12
START_S = 60


async def until_height(node: CometNode, height: int) -> dict[str, Any]:
    """The commit of `height`, as soon as the node has it."""
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(OSError, KeyError):
                told = await node.rpc(f"commit?height={height}")
                if told.get("signed_header"):
                    return told
            await asyncio.sleep(0.1)


async def test_a_real_node_is_followed(tmp_path: Path) -> None:
    node = CometNode(tmp_path / "home", chain_id=CHAIN_ID)
    node.set_config({"consensus.timeout_commit": "100ms"})
    url = f"http://127.0.0.1:{node.rpc_port}"
    async with node.running():
        first = await until_height(node, 1)
        root = Root(1, bytes.fromhex(first["signed_header"]["commit"]["block_id"]["hash"]))
        last = await until_height(node, HEIGHT)
        for options in (Options(), Options(sequential=True)):
            async with RpcProvider(url) as primary, RpcProvider(url) as witness:
                client = LightClient(root, primary, [witness], options=options)
                block = await client.verify_at(HEIGHT)
                assert block.hash.hex().upper() == last["signed_header"]["commit"]["block_id"]["hash"]
                assert client.chain_id == CHAIN_ID
                assert (await client.update()).height >= HEIGHT
                with pytest.raises(HeightTooHigh, match="must be less than or equal to the current blockchain height"):
                    await client.verify_at(10**6)
        async with RpcProvider(url) as primary, RpcProvider("http://127.0.0.1:1") as nobody:
            with pytest.raises(NoWitness, match="did not answer commit"):
                await LightClient(root, primary, [nobody]).verify_at(HEIGHT)
        trust = f"1:{root.hash.hex() if root.hash else ''}"
        line = ["light", "follow", "--trust", trust, "--primary", url, "--witness", url, "--to", str(HEIGHT)]
        done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout.splitlines()[-1])["chain_id"] == CHAIN_ID
        await through_the_proxy(node, url, trust)
    row(
        "CometBFT",
        VERSION,
        "our light client follows its headers over its JSON-RPC",
        f"verified to height {HEIGHT}, skipping and one by one; dchat light proxy gives its answers",
    )


async def through_the_proxy(node: CometNode, url: str, trust: str) -> None:
    """The node's own answers, where they can be verified; the key-value store has no proofs, and that is said."""
    how: dict[str, Any] = {
        "trust": trust, "genesis_file": None, "primary": url, "witnesses": (url,), "sequential": False,
        "trust_level": (1, 3), "trusting_period": 10**15, "clock_drift": 10**10, "store": None,
    }  # fmt: skip
    async with session_of(how) as session, aiohttp.ClientSession() as http:
        proxy = await Proxy.of(session)
        port = await proxy.start("127.0.0.1", 0)
        try:
            for call in ("block", "commit", "header"):
                async with http.get(f"http://127.0.0.1:{port}/{call}?height={HEIGHT - 2}") as answer:
                    told = (await answer.json())["result"]
                assert told == await node.rpc(f"{call}?height={HEIGHT - 2}"), call
            async with http.get(f"http://127.0.0.1:{port}/validators?height={HEIGHT}") as answer:
                assert (await answer.json())["result"] == await node.rpc(f"validators?height={HEIGHT}")
            async with http.get(f"http://127.0.0.1:{port}/abci_query?path=/store/main/key&data=6162") as answer:
                said = (await answer.json())["error"]["data"]
            assert "the node has no answer about this key" in said or "verified are ics23:smt" in said
        finally:
            await proxy.stop()
