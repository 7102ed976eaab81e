"""A home whose node was stopped, for tests that damage its files or carry them elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain.currency.ledger.records import ACCOUNT
from chain.state.audit import audit
from chain.tx.messages import Payment
from consensus.p2p.conn.node_key import NodeKey
from dchat.client.wallet import Session
from dchat.config import load
from dchat.home.home import Home, load_genesis, load_validator_key
from dchat.node.process import code_of
from dchat.node.runtime import Node
from storage.errors import StoreCorrupted
from tests.support.node.running import running_node, until

PAID = 5
_shared: list[Stopped] = []


@dataclass(frozen=True)
class Stopped:
    """A network of one whose node stopped. older: the same home, some heights before."""

    home: Path
    older: Path
    recipient: bytes
    balances: tuple[int, int]  # of the recipient, before and now

    def copy(self, target: Path) -> Path:
        """The home, to be damaged."""
        shutil.copytree(self.home, target)
        return target


@dataclass
class Ending:
    """What became of a start. code 0: it went on, and `balance` is the recipient's."""

    code: int
    text: str
    height: int = 0
    balance: int = 0


def home_at(root: Path) -> Home:
    return Home.of(root, load(root / "validator-config.toml", environment={}).config)


def make_stopped(folder: Path) -> Stopped:
    """Two runs of a chain, a payment in each. Blocks: it runs a loop of its own."""
    return asyncio.run(_make(folder))


def shared_stopped(factory: pytest.TempPathFactory) -> Stopped:
    """One for all tests of this process that take nothing but copies of it, each of its own. Not for two processes at
    once: nodes that are started on copies listen on the same ports."""
    if not _shared:
        _shared.append(make_stopped(factory.mktemp("shared-network")))
    return _shared[0]


async def _make(folder: Path) -> Stopped:
    older, home = folder / "older", Path()
    balances: list[int] = []
    for number in range(2):
        async with running_node(folder) as running, running.client() as client:
            home = running.network.home_of(running.network.nodes[0])
            sender, recipient = running.account("alice"), running.account("bob").address
            paid = await Session(client, sender.wallet).send([Payment(sender.address, recipient, PAID)])
            await client.wait_for_height(paid.height + 3)
            balances.append(balance_of(running.node, recipient))
        if not number:
            shutil.copytree(home, older)
    return Stopped(home, older, recipient, (balances[0], balances[1]))


def balance_of(node: Node, address: bytes) -> int:
    queries = node.app.queries
    return int(queries.base_of(queries.view()).get(ACCOUNT + address).balance)


async def _until_it_ends_or_goes_on(node: Node, condition: Callable[[], bool]) -> None:
    """Or until it stands still, for what it signed already."""
    with contextlib.suppress(TimeoutError):
        await until(condition, timeout_s=5.0)


async def start(root: Path, recipient: bytes) -> Ending:
    """Start a node on the home, let it make two blocks, stop it; or tell why it does not."""
    lied: list[StoreCorrupted] = []
    failures: list[tuple[int, str]] = []
    try:
        home = home_at(root)
        node = await Node.open(
            home,
            load(root / "validator-config.toml", environment={}).config,
            load_genesis(home),
            node_key=NodeKey.load(home.node_key),
            validator_key=load_validator_key(home),
            fatal=lambda code, text: failures.append((code, text)),
            on_broken=lied.append,
        )
    except Exception as error:
        return Ending(code_of(error), str(error))
    try:
        before = node.driver.state.last_block_height
        await node.start()
        await _until_it_ends_or_goes_on(node, lambda: bool(failures or lied) or node.views.answers.height > before + 1)
        if lied:
            return Ending(74, str(lied[0]))
        if failures:
            return Ending(*failures[0])
        assert not list(filter(None, audit(node.databases.app.snapshot())))
        return Ending(0, "", node.views.answers.height, balance_of(node, recipient))
    finally:
        await node.stop()
