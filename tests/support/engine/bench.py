"""One node of the engine, put together from its parts on simulated or real disks. What survives a stop: `Home`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from consensus.core.events import CoreConfig
from consensus.documents.genesis import GenesisDoc, GenesisValidator
from consensus.engine.driver import ConsensusDriver
from consensus.engine.interfaces import Alarms
from consensus.execution.executor import BlockExecutor
from consensus.execution.handshake import handshake
from consensus.privval.guards import open_file_signer
from consensus.pruning.background import Pruner
from consensus.pruning.blocks import BlockPruning
from consensus.simulation.disk import SimulatedDisk, Stopped
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.stores.wal import Wal
from consensus.system.clock import Clock, InlineWorkers, LoopClock, Workers
from consensus.system.disk import Disk
from consensus.system.failpoints import FailPoint, no_fail_point
from consensus.types.params import ConsensusParams
from crypto.keys import Ed25519PrivKey
from storage.kv import KeyValueStore
from storage.memory import MemoryStore
from tests.support.engine.kvapp import KeyValueApp, ListPool, NoEvidence
from tests.support.patience import PATIENCE_S

FAST = CoreConfig(
    timeout_propose_ms=500,
    timeout_prevote_ms=100,
    timeout_precommit_ms=100,
    timeout_commit_ms=0,
    create_empty_blocks_interval_ms=0,
)
SLOW_PROPOSER = replace(FAST, timeout_propose_ms=60, timeout_propose_delta_ms=20)
DATA = Path("/home/data")


def key_of(index: int) -> Ed25519PrivKey:
    return Ed25519PrivKey.from_seed(bytes([index + 1]) * 32)


def genesis_of(
    validators: int,
    *,
    params: ConsensusParams | None = None,
    initial_height: int = 1,
    powers: Sequence[int] | None = None,
) -> GenesisDoc:
    return GenesisDoc(
        chain_id="bench",
        genesis_time_ns=time.time_ns() - 10**9,
        initial_height=initial_height,
        consensus_params=params or ConsensusParams(),
        validators=tuple(
            GenesisValidator(key_of(index).pub_key, power) for index, power in enumerate(powers or [10] * validators)
        ),
    )


@dataclass
class Home:
    """What a node has on disk."""

    disk: Disk = field(default_factory=SimulatedDisk)
    blocks: KeyValueStore = field(default_factory=lambda: MemoryStore(models_crashes=True))
    state: KeyValueStore = field(default_factory=lambda: MemoryStore(models_crashes=True))
    app: KeyValueStore = field(default_factory=lambda: MemoryStore(models_crashes=True))
    data: Path = DATA

    def crash(self, kept_tail_bytes: int = 0) -> Home:
        """The home after the machine stopped: what was not synced is gone."""
        assert isinstance(self.disk, SimulatedDisk)
        stores = {}
        for name in ("blocks", "state", "app"):
            db = getattr(self, name)
            assert isinstance(db, MemoryStore)
            stores[name] = db.crash()
        return replace(self, disk=self.disk.crashed(kept_tail_bytes), **stores)


@dataclass
class Node:
    driver: ConsensusDriver
    executor: BlockExecutor
    app: KeyValueApp
    pool: ListPool
    evidence: NoEvidence
    wal: Wal
    home: Home
    fatal: list[tuple[int, str]]
    pruning: BlockPruning
    pruner: Pruner

    @property
    def height(self) -> int:
        return self.driver.state.last_block_height

    async def reach(self, height: int, *, timeout_s: float = PATIENCE_S) -> None:
        await until(lambda: self.height >= height or bool(self.fatal), timeout_s=timeout_s)
        assert not self.fatal, self.fatal


async def until(condition: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> None:
    """Wait for `condition`. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is plain data of the engine
            await asyncio.sleep(0.002)


async def make_node(
    genesis: GenesisDoc,
    index: int | None,
    home: Home,
    *,
    config: CoreConfig = FAST,
    fail_point: FailPoint = no_fail_point,
    clock: Clock | None = None,
    workers: Workers | None = None,
    retain_blocks: int = 0,
    on_fault: Callable[[str, str], None] = lambda peer_id, reason: None,
    app: KeyValueApp | None = None,
    late_precommit_wait_ms: int = 50,
    watch_before_signing_ns: int = 0,
    watch_heights: int = 0,
    wal_limits: Mapping[str, int] = MappingProxyType({}),
) -> Node:
    """A node at rest, after its handshake. index: of its validator key; None observes."""
    clock, workers = clock or LoopClock(), workers or InlineWorkers()
    app = app or KeyValueApp(home.app, retain_blocks=retain_blocks)
    pool, evidence = ListPool(), NoEvidence()
    blocks = BlockStore(home.blocks)
    executor = BlockExecutor(
        app,
        blocks,
        StateStore(home.state),
        pool=pool,
        evidence=evidence,
        workers=workers,
        clock=clock,
        fail_point=fail_point,
    )
    state = await handshake(genesis, executor, software="test")
    wal = Wal(home.disk, home.data / "cs.wal", now_ns=clock.now_ns, **wal_limits)
    signer = None
    if index is not None:
        signer = open_file_signer(home.disk, key_of(index), home.data / "priv_validator_state.json", blocks)
    fatal: list[tuple[int, str]] = []
    driver = ConsensusDriver(
        config,
        state,
        executor,
        wal=wal,
        signer=signer,
        clock=clock,
        workers=workers,
        alarms=Alarms(lambda code, line: fatal.append((code, line)), fault=on_fault),
        fail_point=fail_point,
        late_precommit_wait_ms=late_precommit_wait_ms,
        watch_before_signing_ns=watch_before_signing_ns,
        watch_heights=watch_heights,
    )
    pruning = BlockPruning(
        blocks,
        executor.states,
        retain_height=lambda: executor.retain_height,
        evidence_floor=lambda: 1 << 62,
        kept_min=1,
    )
    pruner = Pruner((pruning,), workers, clock, every=1)
    if app.retain_blocks:
        driver.add_saved_listener(pruner)
    return Node(driver, executor, app, pool, evidence, wal, home, fatal, pruning, pruner)


class StopAt:
    """A fail point that stops at its n-th passage."""

    def __init__(self, point: str, passage: int = 1) -> None:
        self.point, self.left = point, passage
        self.stopped = asyncio.Event()

    def __call__(self, name: str) -> None:
        if name == self.point:
            self.left -= 1
            if self.left == 0:
                self.stopped.set()
                raise Stopped(name)


async def power_off(node: Node) -> None:
    """As a machine stops: nothing is finished, nothing is said."""
    driver = node.driver
    driver._is_running = False
    driver._timers.cancel_all()
    tasks = [*driver._tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await node.executor.close()
    if driver._consensus is not None and not driver._consensus.cancelled():
        driver._consensus.exception()  # looked at, so that asyncio does not complain of it later


def chain_of(node: Node) -> list[bytes]:
    """Block hashes from the base up."""
    blocks = node.executor.blocks
    hashes: list[bytes] = []
    for height in range(blocks.base, blocks.height + 1):
        meta = blocks.load_meta(height)
        assert meta is not None
        hashes.append(meta.block_id.hash)
    return hashes


def assert_equal_chains(nodes: Sequence[Node]) -> None:
    shortest = min(nodes, key=lambda node: node.height)
    for node in nodes:
        assert chain_of(node)[: len(chain_of(shortest))] == chain_of(shortest)
