"""State sync with a real CometBFT node, both ways: channels 0x60 and 0x61, and each one's light client on the other.

1. A CometBFT node that is new ([statesync] enable) finds the snapshots of a node of ours, verifies our headers with its
   own light client, which asks two `dchat light proxy` doors over our node, fetches the chunks and hands them to our
   application behind a socket, which then executes the blocks that follow: the node fetches them from ours, and gets
   the same app hashes. The parameters of consensus, which the proxy does not tell, come from the test.
2. A node of ours finds the snapshots of an application behind a CometBFT node, verifies its headers with our light
   client over its JSON-RPC, fetches the chunks and makes the engine's state.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chain.state import snapshot as snapshots
from chain.state.store import Stores
from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    InfoRequest,
    InfoResponse,
    OfferSnapshotResult,
    Snapshot,
)
from consensus.documents.genesis import parse_genesis
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from consensus.statesync import bootstrap
from consensus.statesync.chunks import ChunkFolder
from consensus.statesync.reactor import StateSyncReactor
from consensus.statesync.syncer import StateSync
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.system.disk import OsDisk
from crypto.hash import sha256
from dchat.abci.application import ServedApplication
from dchat.cli.light.proxy import Proxy
from dchat.cli.light.session import session_of
from dchat.statesync.headers import VerifiedHeaders
from light import Root
from light.rpc import RpcProvider
from storage.memory import MemoryStore
from tests.support.interop.cometbft import VERSION, CometNode
from tests.support.interop.rows import row
from tests.support.interop.served import EmptyStates, serving
from tests.support.node.running import Running, running_node, until

pytestmark = [pytest.mark.go, pytest.mark.network]

CHAIN_ID = "synced-chain"
WAIT_S = 90
OPTIONS = "\n[snapshots]\ninterval = 5\nkeep_recent = 50\n"


@contextlib.asynccontextmanager
async def doors_over(running: Running, trust: str) -> AsyncIterator[list[str]]:
    """Two light proxies over our node, as JSON-RPC servers; they tell the parameters of consensus, too."""
    how: dict[str, Any] = {
        "trust": trust, "genesis_file": None, "primary": running.grpc, "witnesses": (running.grpc,),
        "sequential": False, "trust_level": (1, 3), "trusting_period": 10**15, "clock_drift": 10**10,
        "store": None,
    }  # fmt: skip
    params = json.loads(running.node.home.genesis.read_bytes())["consensus_params"]

    async def consensus_params(asked: Any) -> Any:
        return {"block_height": str(asked.get("height", 1)), "consensus_params": params}

    async with contextlib.AsyncExitStack() as stack:
        addresses = []
        for _ in range(2):
            proxy = await Proxy.of(await stack.enter_async_context(session_of(how)))
            proxy._verified.methods["consensus_params"] = consensus_params
            addresses.append(f"http://127.0.0.1:{await proxy.start('127.0.0.1', 0)}")
            stack.push_async_callback(proxy.stop)
        yield addresses


class Restoring(ServedApplication):
    """chunks: (number, sender) of those that were applied."""

    def __init__(self) -> None:
        super().__init__(Stores(MemoryStore()))
        self.offered: list[Snapshot] = []
        self.chunks: list[tuple[int, str]] = []

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        self.offered.append(snapshot)
        return super().offer_snapshot(snapshot, app_hash)

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        self.chunks.append((index, sender))
        return super().apply_snapshot_chunk(index, chunk, sender)


async def test_a_cometbft_node_restores_from_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 300)
    comet = await asyncio.to_thread(CometNode, tmp_path / "comet", chain_id=CHAIN_ID)
    async with running_node(tmp_path / "ours", options=OPTIONS) as running:
        node = running.node
        shelf = node.app.shelf
        assert shelf is not None
        await until(lambda: 0 < shelf.lowest_height <= node.views.answers.height - 3, timeout_s=WAIT_S)
        meta = node.views.answers.blocks.load_meta(2)
        assert meta is not None
        trust = meta.block_id.hash.hex()
        (comet.home / "config" / "genesis.json").write_bytes(node.home.genesis.read_bytes())
        app = Restoring()
        async with doors_over(running, f"2:{trust}") as doors, serving(app, tmp_path / "app.sock") as address:
            comet.set_config({
                "statesync.enable": True, "statesync.rpc_servers": ",".join(doors), "statesync.trust_height": 2,
                "statesync.trust_hash": trust, "statesync.trust_period": "168h0m0s", "statesync.discovery_time": "5s",
                "p2p.persistent_peers": f"{node.switch.id}@127.0.0.1:{node.switch.listen_port}",
            })  # fmt: skip
            async with comet.running(address):
                try:
                    await until(lambda: "Snapshot restored" in comet.log, timeout_s=WAIT_S)
                    restored = app.offered[-1]
                    await until(lambda: app.last_height >= restored.height + 5, timeout_s=WAIT_S)
                except TimeoutError:
                    raise AssertionError(comet.log[-6_000:]) from None
        assert "Verified ABCI app" in comet.log
        assert restored.chunks > 3
        applied = [number for number, _ in app.chunks[-restored.chunks :]]
        assert applied == list(range(restored.chunks))
        assert {sender for _, sender in app.chunks} == {node.switch.id}
        told = app.info(InfoRequest("", 0, 0))
        assert told.last_block_height >= restored.height + 5
        await until(lambda: node.views.answers.height >= told.last_block_height, timeout_s=WAIT_S)
        assert told.last_block_app_hash == node.app.queries.view(told.last_block_height).app_hash
        assert all(holds for _, holds, _ in app.invariants())
        served = node.gossip.snapshots.metrics
        assert served.chunks_served >= restored.chunks
        assert running.failures == []
    row(
        "CometBFT",
        VERSION,
        "it restores our application by state sync, verifying our headers with its light client",
        f"{restored.chunks} chunks, the same app hash, and the same after 5 blocks more that it executes",
    )


class Taking:
    """An application that is restored from Serving's snapshots."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.app_hash, self.chunks = b"", list[bytes]()

    def info(self, request: InfoRequest) -> InfoResponse:
        done = self.snapshot is not None and len(self.chunks) == self.snapshot.chunks
        height = self.snapshot.height if self.snapshot is not None and done else 0
        return InfoResponse("", "", 0, height, self.app_hash if done else b"")

    def offer_snapshot(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        assert sha256(snapshot.metadata) == snapshot.hash
        self.snapshot, self.app_hash, self.chunks = snapshot, app_hash, []
        return OfferSnapshotResult.ACCEPT

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        assert self.snapshot is not None
        assert sha256(chunk) == self.snapshot.metadata[32 * index : 32 * index + 32]
        self.chunks.append(chunk)
        return ApplyChunkResponse(ApplyChunkResult.ACCEPT)


async def first_hash(comet: CometNode) -> bytes:
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(OSError, KeyError):
                told = await comet.rpc("commit?height=1")
                if told.get("signed_header"):
                    return bytes.fromhex(told["signed_header"]["commit"]["block_id"]["hash"])
            await asyncio.sleep(0.1)


async def test_ours_restores_from_a_cometbft_node(tmp_path: Path) -> None:
    comet = await asyncio.to_thread(CometNode, tmp_path / "comet", chain_id=CHAIN_ID)
    comet.set_config({"consensus.timeout_commit": "300ms"})
    served = EmptyStates(interval=10, chunks=6, chunk_bytes=300_000)
    url = f"http://127.0.0.1:{comet.rpc_port}"
    async with serving(served, tmp_path / "app.sock") as address, comet.running(address):
        root = Root(1, await first_hash(comet))
        await until(lambda: served.height >= 12, timeout_s=WAIT_S)
        key, app, clock, workers = NodeKey.generate(), Taking(), LoopClock(), InlineWorkers()
        switch = Switch(
            SwitchConfig(
                listen_address="127.0.0.1:0", persistent_peers=(comet.address,), address_book_strict=False,
                allow_duplicate_ip=True,
            ),
            node_key=key, node_info=NodeInfo(key.id, "", CHAIN_ID, "0.38.26", b"", "new"),
        )  # fmt: skip
        blocks, states = BlockStore(MemoryStore()), StateStore(MemoryStore())
        reactor = StateSyncReactor(app, blocks, states, clock, workers)  # type: ignore[arg-type]
        switch.add_reactor(reactor)
        await switch.start()
        try:
            async with RpcProvider(url) as primary, RpcProvider(url) as witness:
                light = VerifiedHeaders(
                    root, lambda attempt: (primary, witness), chain_id=CHAIN_ID, trust_period_ns=10**15
                )
                folder = ChunkFolder(OsDisk(), tmp_path / "chunks")
                sync = StateSync(app, light, folder, switch, clock, workers, discovery_s=1.0)  # type: ignore[arg-type]
                reactor.sync = sync
                async with asyncio.timeout(WAIT_S):
                    restored = await sync.run()
                assert "Stopping peer for error" not in comet.log
        finally:
            await switch.stop()
        height = restored.height
        assert height % 10 == 0
        assert app.app_hash == served.state_hash(height)
        assert app.chunks == [served.chunk(height, number) for number in range(6)]
        assert (sync.metrics.bad_chunks, sync.metrics.bytes_fetched) == (0, 6 * 300_000)
        genesis = parse_genesis((comet.home / "config" / "genesis.json").read_bytes())
        state = bootstrap.state_of(restored, genesis, genesis.consensus_params)
        bootstrap.save(state, restored, blocks, states)
        told = (await comet.rpc(f"commit?height={height}"))["signed_header"]["commit"]["block_id"]["hash"]
        loaded = states.load()
        assert loaded is not None
        assert (loaded.last_block_height, loaded.last_block_id.hash.hex().upper()) == (height, told)
    row(
        "CometBFT",
        VERSION,
        "a node of ours restores from its snapshots, verifying its headers with our light client",
        "6 chunks, the same app hash, the same last block",
    )
