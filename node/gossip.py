"""The reactors of a node: consensus, mempool, evidence, block sync, and how consensus begins."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consensus.engine.clock import Clock, Workers
from consensus.engine.driver import ConsensusDriver
from consensus.engine.executor import BlockExecutor
from consensus.engine.interfaces import BlockStore, EvidencePool, StateStore
from consensus.types.evidence import Evidence
from consensus.types.state import State
from consensus.types.vote import Vote
from mempool.pool import Pool
from p2p.switch import Switch
from storage.kv import KeyValueStore


class _NoEvidence:
    """Until the evidence pool is wired."""

    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        return [], 0

    def check(self, evidence: Sequence[Evidence], state: State) -> None: ...
    def update(self, state: State, evidence: Sequence[Evidence]) -> None: ...
    def report_conflicting_votes(self, first: Vote, second: Vote) -> None: ...


@dataclass
class Gossip:
    """What talks to peers."""

    driver: ConsensusDriver

    @staticmethod
    def evidence_pool(db: KeyValueStore, blocks: BlockStore, states: StateStore) -> EvidencePool:
        return _NoEvidence()

    @staticmethod
    def join(
        switch: Switch,
        *,
        driver: ConsensusDriver,
        executor: BlockExecutor,
        pool: Pool,
        evidence: EvidencePool,
        clock: Clock,
        workers: Workers,
        random: random.Random,
        extra_channel: bool,
    ) -> Gossip:
        return Gossip(driver)

    async def start(self) -> None:
        await self.driver.start()

    async def stop(self) -> None: ...

    def is_catching_up(self) -> bool:
        return False

    def counters(self) -> Mapping[str, Any]:
        """Name -> a dataclass of plain counters."""
        return {}

    def highest_peer(self) -> int:
        return 0
