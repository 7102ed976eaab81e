"""cometbft-load-test against our JSON-RPC door, by a client factory outside its tree (examples/load_test): a Go program
that makes its keys from a seed and signs our payments itself. What it says it sent is in blocks, none of it twice.
"""

from __future__ import annotations

import asyncio
import csv
import os
from pathlib import Path

import pytest

from chain.tx.envelope.build import Wallet
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.support.interop.rows import row
from tests.support.interop.tools import build, built, copied, found
from tests.support.node.running import QUICK, Running, running_node

pytestmark = [pytest.mark.go, pytest.mark.network]

PROGRAM = Path(__file__).parents[2] / "examples" / "load_test"
MODULE = "github.com/cometbft/cometbft-load-test"
SEED = "a seed"
CONNECTIONS = 2
EACH = 30  # transactions of a connection
PERIOD_S = 4  # the tool leaves so long after what it sent last: a slow machine's time to take it
FUNDS = 10_000_000  # udchat
RUN_TIMEOUT_S = 60
WAIT_S = 60


def program() -> tuple[str, str]:
    """(its path, the version of what it is built on)"""
    tool, folder = found("go", f"install Go to build {MODULE}"), copied(PROGRAM, "load_test")
    path = built(folder / "dchat-load-test", [tool, "build", "-o", "dchat-load-test", "."], folder=folder)
    return str(path), build([tool, "list", "-m", "-f", "{{.Version}}", MODULE], folder=folder)


def account(name: str) -> bytes:
    """As the program makes it."""
    return Wallet.from_seed(sha256(f"dchat load test/{SEED}/{name}".encode())).address


async def run(path: str, *words: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        path, *words, env=os.environ | {"DCHAT_LOAD_SEED": SEED} | environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, out.decode()[-3_000:]
    return out.decode()


async def load(path: str, endpoint: str, how: str, stats: Path, *, first: int) -> int:
    """Sends by a call from accounts of the seed, from `first` on. Returns how many transactions it says it sent."""
    await run(
        path, "--connections", str(CONNECTIONS), "--time", "60", "--rate", str(EACH), "--count", str(EACH),
        "--send-period", str(PERIOD_S), "--broadcast-tx-method", how, "--endpoints", endpoint, "--stats-output",
        str(stats), DCHAT_LOAD_FIRST=str(first),
    )  # fmt: skip
    text = await asyncio.to_thread(stats.read_text)
    told = {name: value for name, value, _ in csv.reader(text.splitlines())}
    return int(told["total_txs"])


async def received(running: Running, least: int) -> int:
    """udchat of the recipient, once it has `least`."""
    async with running.client() as client, asyncio.timeout(WAIT_S):
        while True:
            told = await client.account(account("recipient"))
            if told.account.balance >= least:
                return int(told.account.balance)
            await asyncio.sleep(0.1)


async def test_it_sends_payments_that_it_signs_itself(tmp_path: Path) -> None:
    path, version = await asyncio.to_thread(program)
    payers = [account(str(number)) for number in range(2 * CONNECTIONS)]
    assert (await run(path, "addresses", str(len(payers)))).split() == [encode_address(one) for one in payers]

    funds = dict.fromkeys(payers, FUNDS)
    make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1), more_balances=funds)
    async with running_node(tmp_path / "net") as running:
        endpoint = running.rpc.replace("http", "ws") + "/websocket"
        sent = sum(
            await asyncio.gather(
                *(
                    load(path, endpoint, how, tmp_path / f"{how}.csv", first=number * CONNECTIONS)
                    for number, how in enumerate(("sync", "async"))
                )
            )
        )
        assert sent == len(payers) * EACH
        assert await received(running, sent) == sent
    row(
        "cometbft-load-test", version,
        "a client factory outside its tree, with keys from a seed, that signs payments in Go (examples/load_test)",
        f"{sent} payments over {len(payers)} WebSockets, by broadcast_tx_sync and _async: all of them in blocks, once",
    )  # fmt: skip
