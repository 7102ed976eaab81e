"""A validator that is a chain of its own, in this process, for tests of the doors and the client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from consensus.p2p.conn.node_key import NodeKey
from dchat.app.genesis_params import Changes
from dchat.client.client import Client
from dchat.config import load
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, Pace, make_network
from dchat.home import identity
from dchat.home.home import Home, load_genesis
from dchat.home.identity import Identity
from dchat.node.runtime import Node
from dchat.signer.choice import node_key_of
from tests.support.patience import PATIENCE_S

QUICK = Pace(block_time=100, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)


VERSIONS = "\n[database]\nversions_kept = 10000\n"  # a slow machine asks about one that is seconds of quick blocks old


@dataclass
class Running:
    network: Network
    node: Node
    failures: list[tuple[int, str]]

    @property
    def ports(self) -> tuple[int, int, int]:
        """gRPC, HTTP, metrics."""
        ports = self.network.nodes[0].ports
        return ports.grpc, ports.http, ports.metrics

    @property
    def rpc(self) -> str:
        """The JSON-RPC door's URL."""
        return f"http://127.0.0.1:{self.network.nodes[0].ports.rpc}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    def account(self, name: str) -> Identity:
        return identity.load(self.network.folder / self.network.accounts[name])

    def channel(self) -> grpc.aio.Channel:
        """A connection to its gRPC door that says what it is told to: what no client would."""
        return grpc.aio.insecure_channel(self.grpc)

    def client(self) -> Client:
        return Client(self.grpc)


async def until(condition: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - plain data of the node
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running_node(
    folder: Path,
    *,
    options: str = "",
    grpc: str = "",
    http: str = "",
    observability: str = "",
    pace: Pace = QUICK,
    params: Changes | None = None,
    upgrade_authority: str = "",
) -> AsyncIterator[Running]:
    """Made new in `folder`, or taken up where it stopped. options: more TOML for its file; grpc, http,
    observability: of a section.

    params, upgrade_authority: of a new chain, see make_network.
    """
    if (folder / "network.json").exists():
        from dchat.devnet.network import load_network

        network = load_network(folder)
    else:
        network = make_network(
            folder, validators=1, pace=pace, ports=free_ports(1), params=params, upgrade_authority=upgrade_authority
        )
    root = network.home_of(network.nodes[0])
    with (root / "validator-config.toml").open("a") as file:
        file.write(options)
    if "[database]" not in (root / "validator-config.toml").read_text():
        with (root / "validator-config.toml").open("a") as file:
            file.write(VERSIONS)
    for section, lines in (("[grpc]\n", grpc), ("[http]\n", http), ("[observability]\n", observability)):
        file_text = (root / "validator-config.toml").read_text()
        assert section in file_text or not lines, section
        (root / "validator-config.toml").write_text(file_text.replace(section, section + lines, 1))
    config = load(root / "validator-config.toml", environment={}).config
    home = Home.of(root, config)
    failures: list[tuple[int, str]] = []
    node_key = NodeKey.load(home.node_key)
    node = await Node.open(
        home,
        config,
        load_genesis(home),
        node_key=node_key,
        validator_key=node_key_of(home, config, node_key),
        fatal=lambda code, line: failures.append((code, line)),
    )
    await node.start()
    try:
        await until(lambda: node.views.answers.height > 0)
        yield Running(network, node, failures)
    finally:
        await node.stop()
