"""What a running node keeps: the numbers of `[database] pruning`, the two jobs of its pruner, and what is told of them.

The application tells the engine with each commit below which height it needs no blocks (ABCI's retain_height): that is
where the operator's number goes in. All else that needs blocks bounds it (consensus.pruning). Old versions of the state
are the application's own, and go by their number. Nothing of this is seen by the chain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.currency.ledger.economic_params import staking_of
from chain.state.store import Stores
from consensus.abci.interface import Slices
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor
from consensus.formats.units import NS_PER_S
from consensus.pruning.background import Pruner
from consensus.pruning.blocks import BlockPruning, PruningMetrics
from consensus.pruning.needs import Holds
from consensus.state.state import State
from consensus.system.clock import Clock, Workers
from dchat.app.app import DchatApplication
from dchat.config import Config
from dchat.retention.disk_use import EVERY_S, DiskUse
from proto.dchat.v1 import service_pb2 as pb

DEFAULT_BLOCKS: Final = 1_000_000  # 35 days of calm blocks
DEFAULT_VERSIONS: Final = 100
LEAST_BLOCKS: Final = 1  # what else needs blocks keeps more
LEAST_VERSIONS: Final = 10  # doors read and prove a few versions back while the next block is saved


@dataclass(frozen=True, slots=True)
class Policy:
    """blocks, versions: how many are kept; 0: all. every: heights between two rounds."""

    name: str
    blocks: int
    versions: int
    every: int

    @staticmethod
    def of(config: Config) -> Policy:
        options = config.database
        blocks, versions = {
            "nothing": (0, 0),
            "everything": (LEAST_BLOCKS, LEAST_VERSIONS),
        }.get(options.pruning, (DEFAULT_BLOCKS, DEFAULT_VERSIONS))
        if options.blocks_kept >= 0:
            blocks = options.blocks_kept
        if options.versions_kept >= 0:
            versions = options.versions_kept
        return Policy(options.pruning, blocks, versions, options.pruning_interval)


class VersionPruning:
    """A job of the pruner: the application's state at old heights. kept: 0 is all."""

    def __init__(self, stores: Stores, metrics: PruningMetrics, *, kept: int) -> None:
        self._stores, self._metrics, self._kept = stores, metrics, kept
        self.holds = Holds()

    def begin(self, state: State) -> Slices[bool]:
        below = state.last_block_height - self._kept if self._kept else 0
        return self._prune(min([below, *(need.height for need in self.holds.needs())]))

    def _prune(self, below: int) -> Slices[bool]:
        self._metrics.versions += yield from self._stores.prune_steps(below)
        return False


class Retention:
    """`pruner` hears of saved blocks, `watch_disk` is a task. Others hold heights: `blocks.holds`, `versions.holds`."""

    def __init__(
        self,
        policy: Policy,
        executor: BlockExecutor,
        evidence: EvidencePool,
        app: DchatApplication,
        *,
        workers: Workers,
        clock: Clock,
        disk: DiskUse | None = None,
    ) -> None:
        """disk: None: nothing to measure, as of databases in memory."""
        self.policy, self.disk, self._stores, self._workers = policy, disk, app.stores, workers
        self.metrics = PruningMetrics()
        self._blocks_base: Callable[[], int] = lambda: executor.blocks.base
        self._height: Callable[[], int] = lambda: executor.blocks.height
        self.blocks = BlockPruning(
            executor.blocks,
            executor.states,
            retain_height=lambda: executor.retain_height,
            evidence_floor=lambda: evidence.floor,
            keep_ns=lambda: unbonding_ns(app),
            metrics=self.metrics,
        )
        self.versions = VersionPruning(app.stores, self.metrics, kept=policy.versions)
        self.pruner = Pruner((self.blocks, self.versions), workers, clock, every=policy.every, on_failed=self._failed)

    def _failed(self) -> None:
        self.metrics.failures += 1

    async def watch_disk(self) -> None:
        disk = self.disk
        if disk is None:
            return
        while True:
            await self._workers.run(lambda: disk.measure(at_s=time.monotonic(), height=self._height()))
            await asyncio.sleep(EVERY_S)

    def status(self) -> pb.StorageStatus:
        limit, disk = self.blocks.limit, self.disk
        told = pb.StorageStatus(
            pruning=self.policy.name,
            earliest_block_height=self._blocks_base(),
            earliest_state_height=max(0, self._stores.earliest_version),
            kept_for="" if limit is None else limit.why,
        )
        if disk is not None:
            for name, size in disk.sizes.items():
                told.databases.add(name=name, bytes=size)
            told.free_bytes = disk.free_bytes
            if (forecast := disk.forecast()) is not None:
                told.bytes_per_block = forecast.bytes_per_block
                told.full_in_seconds = forecast.full_in_s or 0
        return told


def unbonding_ns(app: DchatApplication) -> int:
    """How long stake can be punished for what it did."""
    return staking_of(app.base).unbonding_s * NS_PER_S


def folders_of(databases: Path, wal: Path) -> dict[str, Path]:
    return {**{name: databases / name for name in ("blocks", "state", "app")}, "log": wal}
