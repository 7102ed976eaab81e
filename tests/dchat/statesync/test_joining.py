"""A new node joins by a snapshot over real sockets, stops in between, and goes on; where its trust begins."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chain.state import snapshot
from consensus.p2p.conn.node_key import NodeKey
from consensus.statesync.chunks import ChunkFolder
from consensus.statesync.syncer import StateSyncFailed
from consensus.stores.block_store import BlockStore
from consensus.system.disk import OsDisk
from crypto.keys import Ed25519PrivKey
from dchat.app.snapshots import Restorer
from dchat.client.client import Client, NodeUnreachable
from dchat.config import Config, load
from dchat.devnet.leases import free_ports
from dchat.home.home import Home, load_genesis
from dchat.node import runtime
from dchat.node.errors import CannotListen
from dchat.node.runtime import Databases, Node, join_by_snapshot
from dchat.retention.room import NoRoom, RoomOnDisk
from dchat.statesync.joining import is_due
from tests.support.node.running import Running, running_node, until

SNAPSHOTS = "\n[snapshots]\ninterval = 5\nkeep_recent = 50\n"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHUNK_BYTES", 300)


class Joiner:
    """A home beside a running node, with that as its one peer."""

    def __init__(self, running: Running, folder: Path, *, trust: str = "", nodes: tuple[str, ...] = ()) -> None:
        peer = f"{running.node.switch.id}@127.0.0.1:{running.node.switch.listen_port}"
        (folder / "config").mkdir(parents=True)
        (folder / "data").mkdir()
        (folder / "config" / "genesis.json").write_bytes(running.node.home.genesis.read_bytes())
        options = [
            '[network]\nlisten_address = "127.0.0.1:0"\nrpc_listen_address = "127.0.0.1:0"',
            f"bootstrap_validators = {json.dumps([peer])}",
            '[grpc]\nlisten_address = "127.0.0.1:0"', "[observability]\nhealth_port = 0\nmetrics_port = 0",
            "[p2p]\naddress_book_strict = false\nallow_duplicate_ip = true",
            "[state_sync]\nenable = true\ndiscovery_time = 0", f"trust = {json.dumps(trust)}",
            f"trusted_nodes = {json.dumps(list(nodes))}",
        ]  # fmt: skip
        (folder / "validator-config.toml").write_text("\n".join(options) + "\n")
        self.config: Config = load(folder / "validator-config.toml", environment={}).config
        self.home = Home.of(folder, self.config)
        (self.ports,) = free_ports(1)
        self.config.observability.health_port, self.config.observability.metrics_port = (
            self.ports.http,
            self.ports.metrics,
        )
        self.config.grpc.listen_address = f"127.0.0.1:{self.ports.grpc}"
        self.key = NodeKey.generate()
        self.genesis = load_genesis(self.home)

    async def join(self) -> None:
        async with asyncio.timeout(60):
            await join_by_snapshot(self.home, self.config, self.genesis, node_key=self.key)

    async def start(self) -> Node:
        node = await Node.open(
            self.home, self.config, self.genesis, node_key=self.key, validator_key=Ed25519PrivKey.from_seed(bytes(32)),
            fatal=lambda code, line: pytest.fail(line),
        )  # fmt: skip
        await node.start()
        return node

    def databases(self) -> Databases:
        return Databases.open(self.home.databases, self.config)


async def ripe(running: Running) -> str:
    """Wait for a snapshot and the headers that prove it; returns the trust that a person would give."""
    await until(lambda: 0 < running.node.app.shelf.lowest_height <= running.node.views.answers.height - 3, timeout_s=30)  # type: ignore[union-attr]
    meta = running.node.views.answers.blocks.load_meta(2)
    assert meta is not None
    return f"2:{meta.block_id.hash.hex()}"


async def joins(joiner: Joiner) -> None:
    """All the way: the node starts from what it restored."""
    await joiner.join()
    node = await joiner.start()
    try:
        assert node.driver.state.last_block_height >= 5
    finally:
        await node.stop()


def scenario(folder: Path, work: Callable[[Running], Any]) -> None:
    async def run() -> None:
        async with running_node(folder / "network", options=SNAPSHOTS) as running:
            await work(running)
            assert running.failures == []

    asyncio.run(run())


def test_a_new_node_joins_follows_and_serves_what_it_has(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner", trust=await ripe(running))
        await joiner.join()
        assert not list(joiner.home.state_sync.iterdir())
        node = await joiner.start()
        try:
            restored = node.driver.state.last_block_height
            assert restored >= 5
            seen = running.node.driver.state.last_block_height
            await until(lambda: node.driver.state.last_block_height > seen + 2, timeout_s=30)
            height = node.driver.state.last_block_height
            assert node.app.queries.view(height).app_hash == running.node.app.queries.view(height).app_hash
            await until(lambda: node.gossip.backfill.metrics.lowest == 1, timeout_s=30)
            theirs, ours = running.node.views.answers, node.views.answers
            await until(lambda: ours.base > 0)
            assert ours.light_block(height - 1)[0].hash == theirs.light_block(height - 1)[0].hash
            assert all(holds for _, holds, _ in node.app.invariants())
        finally:
            await node.stop()
        await joiner.join()  # it has blocks: nothing is done
        assert running.node.gossip.snapshots.metrics.chunks_served

    scenario(tmp_path, work)


def test_a_trusted_node_that_is_nowhere_is_named() -> None:
    config = Config.model_validate({"state_sync": {"enable": True, "trusted_nodes": ["http://"]}})
    with pytest.raises(ValueError, match="trusted_nodes: a provider is 'http://'; expected http://HOST:PORT"):
        runtime.check_trust(config)


def test_trust_begins_with_ones_own_nodes(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await ripe(running)
        joiner = Joiner(running, tmp_path / "joiner", nodes=(running.grpc, running.rpc))  # gRPC, JSON-RPC
        await joiner.join()
        databases = joiner.databases()
        try:
            assert not is_due(
                ChunkFolder(OsDisk(), joiner.home.state_sync), databases.blocks, databases.state, wanted=True
            )
        finally:
            databases.close()

    scenario(tmp_path, work)


def test_a_snapshot_that_leaves_no_room_on_the_disk_ends_it_and_takes_what_it_fetched_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who offers true roots over false bytes says himself how many these are: a disk that is full to its end
    is the other nodes' of the machine, too."""

    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "new", trust=await ripe(running))
        with monkeypatch.context() as full:
            full.setattr(runtime, "room_of", lambda home, _: RoomOnDisk([home.data], floor_bytes=2, free=lambda _: 1))
            with pytest.raises(NoRoom, match="stops below"):
                await joiner.join()
        folder = ChunkFolder(OsDisk(), joiner.home.state_sync)
        assert folder.is_begun
        assert [file.name for file in joiner.home.state_sync.iterdir()] == ["begun"]
        await joiner.join()
        assert not folder.is_begun

    scenario(tmp_path, work)


def test_room_that_ends_while_the_trees_are_built_ends_it_and_leaves_nothing_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees and what they are built from take as much of the disk again as the chunks, when these are all here."""

    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "new", trust=await ripe(running))
        applied, builds = Restorer.apply, list[int]()

        def apply(self: Restorer, index: int, data: bytes, sender: str) -> Any:
            if self._manifest is not None and index == len(self._manifest.chunk_hashes) - 1:
                builds.append(index)
            return applied(self, index, data, sender)

        free = lambda _: 1 if builds else 3  # noqa: E731 - bytes
        with monkeypatch.context() as full:
            full.setattr(Restorer, "apply", apply)
            full.setattr(runtime, "room_of", lambda home, _: RoomOnDisk([home.data], floor_bytes=2, free=free))
            with pytest.raises(NoRoom, match="stops below"):
                await joiner.join()
        assert len(builds) == 1
        assert [file.name for file in joiner.home.state_sync.iterdir()] == ["begun"]
        assert not (joiner.home.databases / "app").exists()
        await joins(joiner)

    scenario(tmp_path, work)


def test_a_header_that_is_not_the_chains_is_told_and_nothing_is_restored(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await ripe(running)
        joiner = Joiner(running, tmp_path / "joiner", trust=f"2:{'00' * 32}")
        task = asyncio.ensure_future(joiner.join())
        await asyncio.wait({task}, timeout=4)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        databases = joiner.databases()
        try:
            assert list(databases.app.scan()) == []
        finally:
            databases.close()

    scenario(tmp_path, work)


def test_a_node_of_ones_own_that_does_not_answer_is_named(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner", nodes=("127.0.0.1:1",))
        with pytest.raises(StateSyncFailed, match=r"127\.0\.0\.1:1"):
            await joiner.join()

    scenario(tmp_path, work)


@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_a_stop_while_it_restores_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Also where the process ends with half a state in the database: nobody takes it for a whole one."""

    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner", trust=await ripe(running))
        applied = Restorer.apply

        class Killed(Exception):
            pass

        def stops(self: Restorer, index: int, data: bytes, sender: str) -> Any:
            if index == chunk:
                raise Killed
            return applied(self, index, data, sender)

        monkeypatch.setattr(Restorer, "apply", stops)
        with pytest.raises(Killed):
            await joiner.join()
        monkeypatch.setattr(Restorer, "apply", applied)
        assert ChunkFolder(OsDisk(), joiner.home.state_sync).is_begun
        joiner.config.state_sync.enable = False  # a start without the flag takes it up, too
        await joins(joiner)

    scenario(tmp_path, work)


def test_a_stop_before_the_engines_state_is_saved_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application is whole by then, and the engine knows nothing of it."""

    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner", trust=await ripe(running))
        saved = BlockStore.save_header

        def stops(self: BlockStore, *args: Any, **kwargs: Any) -> None:
            raise OSError("the machine stopped")

        monkeypatch.setattr(BlockStore, "save_header", stops)
        with pytest.raises(OSError, match="stopped"):
            await joiner.join()
        monkeypatch.setattr(BlockStore, "save_header", saved)
        await joins(joiner)

    scenario(tmp_path, work)


def test_nothing_to_trust_in_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner")
        with pytest.raises(ValueError, match="--trust HEIGHT:HASH"):
            await joiner.join()
        assert not joiner.home.state_sync.exists()

    scenario(tmp_path, work)


async def get(port: int, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as answer:
        text = await answer.text()
        return answer.status, text if path == "/metrics" else json.loads(text)


def test_the_doors_tell_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phase, chunks, bytes and peers, in each door; whatever else is asked is told to come later."""

    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner", trust=await ripe(running))
        applied, reached, goes_on = Restorer.apply, threading.Event(), threading.Event()

        def waits(self: Restorer, index: int, data: bytes, sender: str) -> Any:
            if index == 2:
                reached.set()
                assert goes_on.wait(60)
            return applied(self, index, data, sender)

        monkeypatch.setattr(Restorer, "apply", waits)
        joining = asyncio.ensure_future(joiner.join())
        try:
            await until(reached.is_set, timeout_s=30)
            await tells_progress(joiner)
        finally:
            goes_on.set()
        await joining
        node = await joiner.start()  # its own doors, at the same addresses
        try:
            status, told = await get(joiner.ports.http, "/status")
            assert (status, told["consensus_step"] != "joining") == (200, True)
            assert "state_sync" not in told
        finally:
            await node.stop()

    scenario(tmp_path, work)


async def tells_progress(joiner: Joiner) -> None:
    port = joiner.ports.http
    status, told = await get(port, "/ready")
    progress = told["state_sync"]
    assert (status, told["ready"], told["connected_peers"]) == (503, False, 1)
    assert (progress["phase"], progress["chunks_applied"], progress["peers"]) == ("fetching a snapshot", 2, 1)
    height, chunks = progress["snapshot_height"], progress["chunks"]
    assert height % 5 == 0
    assert progress["bytes_fetched"] > 3 * snapshot.CHUNK_BYTES
    assert told["reason"].startswith(f"fetching a snapshot: 2 of {chunks} chunks of height {height}, ")
    status, told = await get(port, "/health")
    assert (status, told["status"], told["state_sync"]["chunks"]) == (200, "ok", chunks)
    status, told = await get(port, "/status")
    assert (status, told["catching_up"], told["latest_block_height"], len(told["peers"])) == (200, True, 0, 1)
    for at in (port, joiner.ports.metrics):
        status, page = await get(at, "/metrics")
        for line in ("stage 3.0", f"height {height}.0", f"chunks {chunks}.0", "chunks_applied 2.0", "peers 1.0"):
            assert f"\ndchat_state_sync_{line}\n" in page
    for path in ("/chain/blocks", "/v1/tx/00", "/nothing"):
        status, told = await get(port, path)
        assert status == 503
        assert told["error"].startswith(
            "this node joins by a snapshot and serves nothing yet: fetching a snapshot: 2 of"
        )
    async with Client(joiner.config.grpc.listen_address) as client:
        answer = await client.status()
        assert (answer.state_sync.phase, answer.state_sync.chunks_applied) == ("fetching a snapshot", 2)
        assert (answer.chain_id, answer.node_id) == (joiner.genesis.chain_id, joiner.key.id)
        await client.upgrade()
        with pytest.raises(NodeUnreachable, match="joins by a snapshot"):
            await client.commit(1)
        with pytest.raises(NodeUnreachable, match="joins by a snapshot"):
            async for _ in client.stream_blocks(1):
                pass


def test_a_port_that_is_taken_is_told_before_anything_is_written(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        joiner = Joiner(running, tmp_path / "joiner", trust=await ripe(running))
        joiner.config.observability.health_port = running.ports[1]
        with pytest.raises(CannotListen, match=r"cannot listen for HTTP at .*the port is in use"):
            await joiner.join()
        assert not joiner.home.state_sync.exists()
        joiner.config.observability.health_port = joiner.ports.http
        await joiner.join()  # nothing was left open

    scenario(tmp_path, work)
