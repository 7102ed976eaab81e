"""The reactors of a node: consensus, mempool, evidence, block sync, and how consensus begins."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consensus.engine.clock import Clock, Workers
from consensus.engine.driver import ConsensusDriver
from consensus.engine.executor import BlockExecutor
from consensus.engine.extension import ExtensionReactor
from consensus.engine.interfaces import BlockStore, EvidencePool, StateStore
from consensus.engine.reactor import ConsensusReactor
from consensus.types.evidence import Evidence
from consensus.types.state import State
from consensus.types.vote import Vote
from mempool.pool import Pool
from mempool.reactor import MempoolReactor
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
    """What talks to peers, and how consensus begins."""

    driver: ConsensusDriver
    consensus: ConsensusReactor
    mempool: MempoolReactor

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
        """Make the reactors and give them to the switch. extra_channel: speak 0x70 with our own kind."""
        extension = ExtensionReactor()
        consensus = ConsensusReactor(driver, executor.blocks, extension, switch, clock, random)
        mempool = MempoolReactor(pool, extension, clock, random)
        # The extension first: peers' other reactors ask it who is ours.
        if extra_channel:
            switch.add_reactor(extension)
        switch.add_reactor(consensus)
        switch.add_reactor(mempool)
        return Gossip(driver, consensus, mempool)

    async def start(self) -> None:
        """Take part in consensus."""
        await self.driver.start()
        self.consensus.start()

    async def stop(self) -> None:
        self.consensus.stop()

    def is_catching_up(self) -> bool:
        """Peers are more than a height ahead: what they say is fetched, not decided here."""
        return self.highest_peer() > self.driver.state.last_block_height + 2

    def highest_peer(self) -> int:
        """The highest height that peers have finished; 0: none known."""
        return max((height - 1 for height, _, _ in self.consensus.peer_heights.values()), default=0)

    def counters(self) -> Mapping[str, Any]:
        """Name -> a dataclass of plain counters."""
        return {"gossip": self.consensus.metrics, "tx_gossip": self.mempool.metrics}
