"""A mesh of mempools in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionReactor
from consensus.channels.peer_messages import MEMPOOL_CHANNEL
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.pool import Pool
from consensus.mempool.reactor import MempoolReactor
from consensus.system.clock import InlineWorkers
from tests.support.gossip.network import FakeHost, FakeNetwork, ManualClock
from tests.support.mempool.pool import SequenceApp

OURS = frozenset({MEMPOOL_CHANNEL, EXTENSION_CHANNEL})


STOCK = frozenset({MEMPOOL_CHANNEL})


class TxNode:
    def __init__(
        self, host: FakeHost, clock: ManualClock, seed: int, *, ours: bool, config: PoolConfig, app: SequenceApp
    ) -> None:
        self.host = host
        self.pool = Pool(app, clock, InlineWorkers(), config)
        self.extension = ExtensionReactor(clock)
        self.reactor = MempoolReactor(self.pool, self.extension, clock, random.Random(seed))
        host.install(*([self.extension] if ours else []), self.reactor)


class TxMesh:
    """Advancing lets the pools' tasks run between any two events."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.network = FakeNetwork(self.clock)
        self.nodes: list[TxNode] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add(
        self, count: int = 1, *, ours: bool = True, config: PoolConfig | None = None, app: SequenceApp | None = None
    ) -> None:
        for _ in range(count):
            index = len(self.nodes)
            host = self.network.host(f"{index:040x}")
            node = TxNode(
                host, self.clock, index, ours=ours, config=config or PoolConfig(), app=app or SequenceApp()
            )  # fmt: skip
            self.nodes.append(node)
            self._tasks.append(asyncio.create_task(self.nodes[-1].pool.run()))

    def link(self, first: int, second: int) -> None:
        self.network.connect(self.nodes[first].host.id, self.nodes[second].host.id)

    async def advance(self, seconds: float) -> None:
        until = self.clock.monotonic_ns() + round(seconds * 10**9)
        while True:
            await self._settle()
            if not self.clock.fire_next(until):
                return

    async def _settle(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)
            if not any(node.pool.queued for node in self.nodes):
                return

    async def submit(self, node: int, txs: list[bytes]) -> None:
        assert {answer.code for answer in await self.nodes[node].pool.submit_many(txs)} == {0}

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def sizes(self) -> list[int]:
        return [node.pool.size for node in self.nodes]

    def copies_per_tx(self, txs: int) -> float:
        """Bodies received per transaction and node that did not make it."""
        return sum(node.reactor.metrics.received for node in self.nodes) / (txs * (len(self.nodes) - 1))


@pytest.fixture
async def mesh() -> AsyncIterator[TxMesh]:
    mesh = TxMesh()
    yield mesh
    mesh.close()


def some_txs(count: int, tag: str = "") -> list[bytes]:
    return [f"{tag}s{index}:0".encode() for index in range(count)]
