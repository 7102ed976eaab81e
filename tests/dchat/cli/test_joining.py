"""A full node joins a running network as a validator by one command: `dchat validator --stake N`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain.tx.messages import Payment
from consensus.p2p.conn.node_key import NodeKey
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.config import Config
from dchat.config.models import StakingSection
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, NodeEntry, make_network, node_config
from dchat.home import identity
from dchat.home.home import Home, make_keys
from dchat.node.joining import FILE
from proto.dchat.v1 import staking_service_pb2 as staking
from proto.dchat.v1 import state_pb2
from tests.support.cli.network import DCHAT, PACE

pytestmark = pytest.mark.network

STAKE = 600_000


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    options = Config(staking=StakingSection(initial_stake=STAKE - 100_000))
    made = make_network(tmp_path / "net", validators=1, pace=PACE, ports=free_ports(1), options=options)
    try:
        processes.start(made, made.node(1))
        yield made
    finally:
        if processes.running_pid(made, made.node(1)) is not None:
            processes.kill(made, made.node(1))


def newcomer(network: Network, folder: Path) -> tuple[Home, list[str]]:
    """A home that follows `network`, and the command that runs it."""
    home = Home.of(folder)
    make_keys(home)
    identity.generate().save(home.identity)
    known = Home.of(network.home_of(network.node(1)))
    entry = NodeEntry(2, "newcomer", str(folder), NodeKey.load(home.node_key).id, "", free_ports(1)[0])
    both = replace(network, nodes=(*network.nodes, entry))
    home.config_file.write_text(node_config(both, entry, PACE))
    command = [sys.executable, "-m", "dchat", "--home", str(folder), "validator", "--stake", str(STAKE)]
    command += ["--genesis-file", str(known.genesis)]
    return home, command


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """SIGTERM at the end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with log.open("a") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


async def until_logged(log: Path, text: str) -> None:
    deadline = time.monotonic() + 40
    while text not in written(log):
        assert time.monotonic() < deadline, written(log)[-3_000:]
        await asyncio.sleep(0.1)


def written(log: Path) -> str:
    return log.read_text()


async def bonded(client: Client) -> dict[str, staking.ValidatorInfo]:
    request = staking.ListStakingValidatorsRequest(status=state_pb2.BOND_STATUS_BONDED)
    answer = await client.call(client.staking.ListStakingValidators, request)
    return {row.moniker: row for row in answer.validators}


async def until_bonded(client: Client, name: str, log: Path) -> staking.ValidatorInfo:
    deadline = time.monotonic() + 40
    while name not in (found := await bonded(client)):
        assert time.monotonic() < deadline, written(log)[-3_000:]
        await asyncio.sleep(0.1)
    return found[name]


async def test_a_node_joins_by_one_command(network: Network, tmp_path: Path) -> None:
    """It waits for funds, stakes once, signs, and a restart stakes nothing more."""
    home, command = newcomer(network, tmp_path / "newcomer")
    operator = identity.load(home.identity)
    alice = identity.load(network.folder / network.accounts["alice"])
    log = tmp_path / "newcomer.log"
    async with Client(f"127.0.0.1:{network.node(1).ports.grpc}") as client:
        with running(command, log):
            await until_logged(log, "cannot pay the stake yet")
            await Session(client, alice.wallet).send([Payment(alice.address, operator.address, (STAKE + 1) * DCHAT)])
            found = await until_bonded(client, "newcomer", log)
            assert (found.operator, found.tokens) == (operator.address, STAKE * DCHAT)
            at = (await client.status()).latest_block_height
            await client.wait_for_height(at + 6)
            commit = (await client.commit(at + 5)).light_block.signed_header.commit
            assert [signature.block_id_flag for signature in commit.signatures] == [2, 2]
            await until_logged(log, "became a validator")
            assert (home.data / FILE).exists()
        # Without it there is no two thirds: blocks go on when it is back.
        with running(command, log):
            at = (await client.status()).latest_block_height
            await client.wait_for_height(at + 5, deadline_s=60)
            assert (await bonded(client))["newcomer"].tokens == STAKE * DCHAT
            assert written(log).count("handed in the transaction") == 1
