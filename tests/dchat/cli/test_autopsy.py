"""Must be shown 8 of "nothing is lost": four real processes, one of a build that executes a payment otherwise; what it
differs in is named, from what it left and from its home alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chain.currency.ledger.records import ACCOUNT
from chain.tx.messages import Payment
from crypto.bech32 import encode_address
from dchat.client.client import Client, NodeUnreachable
from dchat.client.wallet import Session
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.live import metrics_of
from dchat.devnet.network import Network, NodeEntry, make_network
from dchat.home import identity
from tests.support.cli.network import DCHAT, PACE
from tests.support.node import differs

pytestmark = pytest.mark.network
NAMED_WITHIN_S = 10.0


def address_of(network: Network, node: NodeEntry) -> str:
    return f"{network.host}:{node.ports.grpc}"


def debug(folder: Path, *words: str) -> tuple[int, Any]:
    """(exit code, what it told). Bounded by its own work, since the machine may have other; both times are printed."""
    started = time.monotonic()
    out = folder / f"{words[0]}-{len(words)}.json"
    with out.open("wb") as told:
        process = subprocess.Popen([sys.executable, "-m", "dchat", "debug", *words], stdout=told)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    worked_s, took_s = usage.ru_utime + usage.ru_stime, time.monotonic() - started
    print(f"debug {words[0]} ({len(words)} words): {took_s:.2f} s, {worked_s:.2f} s of work")  # noqa: T201 - the figure
    assert process.returncode in (0, 1), words
    assert worked_s < NAMED_WITHIN_S
    return process.returncode, json.loads(out.read_bytes())


def executed_otherwise(network: Network, node: NodeEntry) -> float:
    return metrics_of(f"{network.host}:{node.ports.http}")["dchat_chain_executed_otherwise"]


async def has_begun(client: Client) -> bool:
    try:
        return (await client.status()).latest_block_height > 1
    except NodeUnreachable:
        return False


async def paid(network: Network) -> tuple[int, bytes]:
    """Some payments, one of them to the address that the other build pays more to: its height and hash."""
    wallet = identity.load(network.folder / network.accounts["alice"]).wallet
    async with Client(address_of(network, network.nodes[0])) as client:
        async with asyncio.timeout(60):
            while not await has_begun(client):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        session = Session(client, wallet)
        for number in range(3):
            await session.send([Payment(wallet.address, bytes([number + 1]) * 20, DCHAT)])
        made = await session.send([Payment(wallet.address, differs.RECIPIENT, 5 * DCHAT)])
        await client.wait_for_height(made.height + 2)
        return made.height, made.hash


async def test_the_transaction_that_one_of_four_executes_otherwise_is_named(tmp_path: Path) -> None:
    """Known failure 7."""
    network = make_network(tmp_path / "net", validators=4, pace=PACE, ports=free_ports(4))
    *good, other = network.nodes
    home, first = str(network.home_of(other)), str(network.home_of(good[0]))
    modules = {node.index: "dchat" for node in good} | {other.index: "tests.support.node.differs"}
    try:
        starting = [
            asyncio.to_thread(processes.start, network, node, module=modules[node.index]) for node in network.nodes
        ]
        await asyncio.gather(*starting)
        height, tx = await paid(network)
        assert processes.wait_for(lambda: executed_otherwise(network, other) == 1, 60.0), "monitors see why"
        assert {executed_otherwise(network, node) for node in good} == {0}
        assert processes.ask_to_stop(network, other), "its doors are open for a while"
        assert processes.wait_for(lambda: processes.running_pid(network, other) is None, 20.0)
        assert f"dchat debug autopsy --home {home}" in processes.tail(network, other, 1)
        peers = [address_of(network, node) for node in good]
        code, told = debug(tmp_path, "autopsy", "--home", home, *peers)
        check(told, height, tx, name=home)
        assert (code, told["alone"]) == (1, [home])
        code, told = debug(tmp_path, "autopsy", "--node", peers[0], *peers[1:])
        assert (code, told["difference"]) == (0, "none"), "of nodes that run and are alike"
        processes.stop(network, tuple(good))
        _, told = debug(tmp_path, "bisect", first, home)
        check(told, height, tx, name=home)
        assert told["alone"] == [home], "the other is as this build executes it"
        _, told = debug(tmp_path, "autopsy", "--home", home)
        check(told, height, tx, name=home)
    finally:
        processes.stop(network, network.nodes)


def check(told: Any, height: int, tx: bytes, *, name: str) -> None:
    assert (told["difference"], told["height"], told["tx"]) == ("execution", height, tx.hex())
    [key] = told["keys"]
    assert key["key"] == (ACCOUNT + differs.RECIPIENT).hex()
    assert (key["store"], key["kind"], key["name"]) == ("currency", "Account (ua)", encode_address(differs.RECIPIENT))
    values = key["fields"]["balance"]
    assert values.pop(name) == str(5 * DCHAT + 1)
    assert set(values.values()) == {str(5 * DCHAT)}
