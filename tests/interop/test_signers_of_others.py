"""Signers that others wrote, for a node of ours: CometBFT's own, and TMKMS."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home
from tests.support.interop.cometbft import VERSION
from tests.support.interop.rows import row
from tests.support.interop.signers import server_command, signing, tmkms_command
from tests.support.node.remote import down, move_key
from tests.support.node.running import QUICK, running_node, until

pytestmark = [pytest.mark.network]

KILLS = 3
BLOCKS = "blocks go on each time that it is started again, of 3 that it was killed"


@pytest.mark.parametrize("whose", ["CometBFT", "TMKMS"])
async def test_a_node_of_ours_is_signed_for_and_the_signer_killed_meanwhile(tmp_path: Path, whose: str) -> None:
    command = server_command if whose == "CometBFT" else tmkms_command
    ports, node_ports = free_ports(2)
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=[node_ports])
    address, folder = f"tcp://127.0.0.1:{ports.p2p}", tmp_path / "signer"
    files = move_key(network, folder, address)
    options = Home.of(network.home_of(network.nodes[0])).config_file  # theirs have connection keys of their own
    options.write_text(re.sub(r'priv_validator_signer_id = "[0-9a-f]+"\n', "", options.read_text()))
    words = await asyncio.to_thread(command, folder, files, address, network.chain_id)
    with capture_logs():
        async with contextlib.AsyncExitStack() as until_end:
            begun = await until_end.enter_async_context(contextlib.AsyncExitStack())
            await begun.enter_async_context(signing(words, folder / "log"))
            running = await until_end.enter_async_context(running_node(tmp_path / "net"))
            driver = running.node.driver
            await begun.aclose()
            for _ in range(KILLS):
                await until(lambda: "signer" in down(running))
                async with signing(words, folder / "log"):
                    await until(lambda past=driver.state.last_block_height + 3: driver.state.last_block_height > past)
            assert not running.failures, (folder / "log").read_text()[-2_000:]
    if whose == "CometBFT":
        row("CometBFT", VERSION, "its `priv_val_server` signs for a node of ours over TCP", BLOCKS)
    else:
        done = await asyncio.to_thread(
            subprocess.run, [words[0], "version"], capture_output=True, text=True, check=True
        )
        row("TMKMS", done.stdout, "its softsign provider signs for a node of ours over TCP", BLOCKS)
