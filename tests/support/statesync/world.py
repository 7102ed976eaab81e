"""Peers that serve snapshots, honestly or not, and one that restores: in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    InfoRequest,
    InfoResponse,
    OfferSnapshotResult,
    Snapshot,
)
from consensus.simulation.disk import SimulatedDisk
from consensus.statesync.chunks import ChunkFolder
from consensus.statesync.reactor import StateSyncReactor
from consensus.statesync.syncer import HeaderUnknown, Restored, StateSync
from consensus.system.clock import InlineWorkers, Timer
from consensus.types.light import LightBlock
from crypto.hash import sha256
from tests.support.gossip.network import FakeHost, FakeNetwork
from tests.support.light.chains import Chain, make_chain
from tests.support.p2p.peers import VirtualLoop

FOLDER = Path("/home/data/state_sync")
HEIGHT = 30
CHAIN = make_chain([{"a": 10, "b": 10, "c": 10, "d": 10}] * 40)


class LoopTime:
    """The virtual loop's time as consensus.system.clock.Clock."""

    def now_ns(self) -> int:
        return self.monotonic_ns()

    def monotonic_ns(self) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.time_ns()

    def work_ns(self) -> int:
        return 0

    def wanted_ns(self) -> int:
        return 0

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay_s, callback)


def chunks_of(height: int, count: int) -> list[bytes]:
    return [b"chunk %d of %d" % (index, height) for index in range(count)]


def snapshot_of(height: int, count: int = 12, *, format: int = 1) -> Snapshot:
    """metadata: the hashes of its chunks."""
    metadata = b"".join(map(sha256, chunks_of(height, count)))
    return Snapshot(height, format, count, sha256(metadata), metadata)


class SnapApp:
    """The snapshot calls of an application. `applied` is its state; it is whole when `height` is set."""

    def __init__(self, *snapshots: Snapshot, chain: Chain = CHAIN) -> None:
        self.snapshots, self.chain = list(snapshots), chain
        self.offered: list[Snapshot] = []
        self.offer_result = OfferSnapshotResult.ACCEPT
        self.offer_results: dict[Snapshot, OfferSnapshotResult] = {}
        self.applied: list[bytes] = []
        self.senders: list[str] = []
        self.served: Counter[int] = Counter()  # by chunk
        self.height = 0
        self.last_result = ApplyChunkResult.ACCEPT  # of a whole snapshot
        self._at: Snapshot | None = None

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        return tuple(self.snapshots)

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        found = next((it for it in self.snapshots if (it.height, it.format) == (height, format)), None)
        if found is None or chunk >= found.chunks:
            return b""
        self.served[chunk] += 1
        return chunks_of(height, found.chunks)[chunk]

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        assert app_hash == self.chain.blocks[snapshot.height + 1].header.app_hash
        self.offered.append(snapshot)
        result = self.offer_results.get(snapshot, self.offer_result)
        if result is OfferSnapshotResult.ACCEPT:
            self._at, self.applied, self.senders, self.height = snapshot, [], [], 0
        return result

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        assert self._at is not None
        assert index == len(self.applied)
        if sha256(chunk) != self._at.metadata[32 * index : 32 * index + 32]:
            return ApplyChunkResponse(ApplyChunkResult.RETRY, (index,), (sender,))
        self.applied.append(chunk)
        self.senders.append(sender)
        if index < self._at.chunks - 1:
            return ApplyChunkResponse(ApplyChunkResult.ACCEPT)
        if self.last_result is not ApplyChunkResult.ACCEPT:
            result, self.last_result = self.last_result, ApplyChunkResult.ACCEPT
            return ApplyChunkResponse(result)
        self.height = self._at.height
        return ApplyChunkResponse(ApplyChunkResult.ACCEPT)

    def info(self, request: InfoRequest) -> InfoResponse:
        app_hash = self.chain.blocks[self.height + 1].header.app_hash if self.height else b""
        return InfoResponse("", "", 1, self.height, app_hash)


class Headers:
    """A light source over the chain, up to `latest`."""

    def __init__(self, chain: Chain = CHAIN, latest: int = 0) -> None:
        self.chain, self.latest = chain, latest or chain.height
        self.fails: Exception | None = None
        self.asked: list[int] = []

    async def verify_at(self, height: int) -> LightBlock:
        self.asked.append(height)
        if self.fails is not None:
            raise self.fails
        if height > self.latest:
            raise HeaderUnknown(f"the latest is {self.latest}")
        return self.chain.blocks[height]


class FromChain:
    """The reads of block store and state store that light blocks are made of."""

    def __init__(self, chain: Chain = CHAIN) -> None:
        self.chain = chain
        self.lies: dict[int, LightBlock] = {}
        self.read: list[int] = []

    def _at(self, height: int) -> LightBlock | None:
        return self.lies.get(height) or self.chain.blocks.get(height)

    def load_meta(self, height: int) -> Any:
        self.read.append(height)
        return self._at(height) and self._at(height)

    def load_commit(self, height: int) -> Any:
        block = self._at(height)
        return None if block is None else block.commit

    load_seen_commit = load_commit

    def load_validators(self, height: int) -> Any:
        block = self._at(height)
        return None if block is None else block.validators


class World:
    """`server` adds a peer that serves; `syncing` the one that restores, connected to all of them."""

    def __init__(self) -> None:
        self.clock = LoopTime()
        time: Any = self.clock
        self.network = FakeNetwork(time)
        self.disk = SimulatedDisk()
        self.app = SnapApp()
        self.light = Headers()
        self.servers: dict[str, SnapApp] = {}
        self.reactors: dict[str, StateSyncReactor] = {}
        self.host: FakeHost | None = None
        self._lives = 0

    def server(self, letter: str, *snapshots: Snapshot, app: SnapApp | None = None) -> SnapApp:
        app = self.servers[letter * 40] = app or SnapApp(*snapshots)
        self._add(letter * 40, app, FromChain())
        return app

    def _add(self, id: str, app: SnapApp, stores: Any) -> FakeHost:
        host = self.network.host(id)
        as_app: Any = app
        self.reactors[id] = StateSyncReactor(as_app, stores, stores, self.clock, InlineWorkers())
        host.install(self.reactors[id])
        return host

    def new(self, *, discovery_s: float = 1.0) -> StateSync:
        """The node that restores, after a start: with what is on its disk."""
        self._lives += 1
        id = f"{self._lives:040x}"
        self.host = self._add(id, self.app, FromChain())
        as_app: Any = self.app
        network: Any = self.host
        folder = ChunkFolder(self.disk, FOLDER)
        sync = StateSync(as_app, self.light, folder, network, self.clock, InlineWorkers(), discovery_s=discovery_s)
        self.reactors[id].sync = sync
        for other in self.servers:
            self.network.connect(id, other)
        return sync

    @property
    def banned(self) -> list[str]:
        assert self.host is not None
        return [id for id, _, ban_s in self.host.dropped if ban_s]


def restore(world: World, sync: StateSync | None = None, *, within_s: float = 600.0) -> Coroutine[Any, Any, Restored]:
    async def run() -> Restored:
        async with asyncio.timeout(within_s):
            return await (sync or world.new()).run()

    return run()


def play(scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """In virtual time; whatever reaches the loop's exception handler fails."""
    from tests.support.p2p.peers import simulate

    simulate(lambda _: scenario(World()))
