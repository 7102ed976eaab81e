"""A node whose key is on another machine: it makes blocks while its signer is there, and goes on when it is killed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.privval.record import read_record
from consensus.system.disk import OsDisk
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home
from tests.support.node.remote import down, move_key, signing
from tests.support.node.running import QUICK, running_node, until

KILLS = 3


@pytest.mark.network
async def test_its_signer_is_killed_again_and_again_and_blocks_go_on_whenever_it_is_there(tmp_path: Path) -> None:
    """Failure 11."""
    (ports, node_ports) = free_ports(2)
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=[node_ports])
    address = f"tcp://127.0.0.1:{ports.p2p}"
    files = move_key(network, tmp_path / "signer", address)
    with capture_logs():
        async with contextlib.AsyncExitStack() as until_end:
            first = await until_end.enter_async_context(signing(files, address, network.chain_id))
            running = await until_end.enter_async_context(running_node(tmp_path / "net"))
            driver = running.node.driver
            assert "signer" not in down(running)
            for _ in range(KILLS):
                with contextlib.suppress(ProcessLookupError):
                    first.kill()
                await until(lambda: "signer" in down(running))
                async with signing(files, address, network.chain_id):
                    await until(
                        lambda height=driver.state.last_block_height: driver.state.last_block_height > height + 2
                    )
                    assert "signer" not in down(running)
            assert not running.failures
            height = driver.state.last_block_height
        ours = read_record(OsDisk(), Home.of(network.home_of(network.nodes[0])).sign_state)
    theirs = read_record(OsDisk(), files.state)
    assert height <= theirs.height <= ours.height <= height + 1
