"""Real processes whose genesis time is ahead."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from dchat.client.client import Client
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Pace, make_network

pytestmark = pytest.mark.network

AHEAD_S = 30  # past what the processes need to start on a busy machine
PACE = Pace(block_time=300, timeout_propose=800, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)


async def test_real_validators_wait_for_the_genesis_time_and_say_so(tmp_path: Path) -> None:
    """tendermint#2294: with a genesis time 60 s and more ahead two made block 1 at once, then stood still for good."""
    network = make_network(tmp_path, validators=2, pace=PACE, ports=free_ports(2))
    begins_ns = time.time_ns() + AHEAD_S * NS_PER_S
    for node in network.nodes:
        path = network.home_of(node) / "config" / "genesis.json"
        document = json.loads(path.read_text())
        document["genesis_time"] = format_rfc3339(begins_ns)
        path.write_text(json.dumps(document))
    try:
        await asyncio.gather(*(asyncio.to_thread(processes.start, network, node) for node in network.nodes))
        waiting = list(network.nodes)
        while waiting:
            assert time.time_ns() < begins_ns, f"{[node.name for node in waiting]} said nothing of the genesis time"
            waiting = [
                node
                for node in waiting
                if "waiting for the genesis time" not in processes.log_file(network, node).read_text()
            ]
            await asyncio.sleep(0.1)
        for node in network.nodes:
            async with Client(f"127.0.0.1:{node.ports.grpc}") as client:
                await client.wait_for_height(3, deadline_s=AHEAD_S + 60)
                first = await client.block(1)
        assert time.time_ns() > begins_ns
        assert first.block.header.height == 1
    finally:
        for node in network.nodes:
            if processes.running_pid(network, node) is not None:
                processes.kill(network, node)
