"""The reactors of a node: consensus, mempool, evidence, block sync, and how consensus begins, and begins again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from consensus.abci.interface import HaltRequested, tx_bytes_min
from consensus.channels.extension import ExtensionReactor
from consensus.engine.driver import ConsensusDriver
from consensus.evidence.pool import EvidencePool
from consensus.evidence.reactor import EvidenceReactor
from consensus.execution.executor import BlockExecutor
from consensus.gossip.reactor import ConsensusReactor
from consensus.mempool.pool import Pool
from consensus.mempool.reactor import MempoolReactor
from consensus.p2p.conn.base import Network
from consensus.p2p.switch import Switch
from consensus.statesync.backfill import Backfill
from consensus.statesync.reactor import StateSyncReactor
from consensus.sync.blocks import BlockSyncReactor
from consensus.sync.claims import Claim, believed_height, is_level
from consensus.sync.lag import Lag
from consensus.sync.progress import SyncProgress
from consensus.system.clock import Clock, Workers
from consensus.system.errors import exit_code_of, traced
from consensus.system.machine import last_words

LOOK_S = 2.0  # between two looks at how far behind this node is

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Gossip:
    """What talks to peers, and how consensus begins: block sync first, then consensus, until that falls behind by more
    than it can mend; then block sync again."""

    driver: ConsensusDriver
    extension: ExtensionReactor
    consensus: ConsensusReactor
    mempool: MempoolReactor
    evidence: EvidenceReactor
    sync: BlockSyncReactor
    snapshots: StateSyncReactor
    backfill: Backfill
    network: Network
    clock: Clock
    fatal: Callable[[int, str], None]
    _begins: asyncio.Task[None] | None = None
    _at_once: bool = False
    _lag: Lag = field(default_factory=Lag)
    more_counters: dict[str, Any] = field(default_factory=dict)  # of others', to be told with its own
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # caught up, and in consensus

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
        our_address: Callable[[], bytes],
        fatal: Callable[[int, str], None],
    ) -> Gossip:
        """Make the reactors and give them to the switch.

        extra_channel: speak 0x70 with our own kind. our_address: this validator's consensus address.
        fatal: ends the process when block sync shows that this node cannot go on (exit code, last line).
        """
        extension = ExtensionReactor(clock)
        consensus = ConsensusReactor(
            driver, executor.blocks, extension=extension, network=switch, clock=clock, random=random, workers=workers
        )
        mempool = MempoolReactor(pool, extension, clock, random)
        evidence_reactor = EvidenceReactor(
            evidence, heights=consensus, driver=driver, network=switch, clock=clock, workers=workers
        )
        consensus.on_peer_advanced(evidence_reactor.peer_advanced)
        sync = BlockSyncReactor(
            driver,
            executor.blocks,
            switch,
            clock,
            verifier=executor.signatures.verify_many,
            our_address=our_address,
            workers=workers,
            verifiers=executor.verifiers,
            tx_bytes_min=tx_bytes_min(executor.app),
        )
        snapshots = StateSyncReactor(executor.app, executor.blocks, executor.states, clock, workers)
        backfill = Backfill(
            executor.blocks, executor.states, snapshots.light_blocks, switch, clock, workers,
            executor.signatures.verify_many,
        )  # fmt: skip
        # The extension first: the others ask it who is ours.
        if extra_channel:
            switch.add_reactor(extension)
        switch.add_reactor(consensus)
        for reactor in (mempool, evidence_reactor, sync, snapshots):
            switch.add_reactor(reactor)
        return Gossip(
            driver=driver, extension=extension, consensus=consensus, mempool=mempool, evidence=evidence_reactor,
            sync=sync, snapshots=snapshots, backfill=backfill, network=switch, clock=clock, fatal=fatal,
        )  # fmt: skip

    async def start(self, *, at_once: bool = False) -> None:
        """Begin to take part: in a task, since catching up may take long. The switch runs already.

        at_once: nothing is fetched first; who is behind after all shows it, and fetches then.
        """
        self._at_once = at_once
        self.mempool.set_receiving(False)
        self._begins = asyncio.get_running_loop().create_task(self._begin(), name="block sync")

    async def _begin(self) -> None:
        try:
            while self.driver.failure is None and self.driver.halted is None:
                applied = 0 if self._at_once else await self.sync.run()
                self._at_once = False
                self._lag.synced(self.clock.monotonic_ns(), applied=applied)
                self.mempool.set_receiving(True)
                await self.driver.start()
                self.consensus.start()
                self.begun.set()
                await self._fall_behind()
                self.mempool.set_receiving(False)
                self.consensus.stop()
                await self.driver.leave()
        except HaltRequested as halt:
            self.driver.halt(halt)
        except Exception as error:
            log.critical("could not begin consensus", why=last_words(error), exc_info=traced(error))
            self.fatal(exit_code_of(error), f"could not begin consensus: {last_words(error)}")

    async def _fall_behind(self) -> None:
        """Returns when consensus has fallen behind by more than it can mend."""
        while True:
            due = asyncio.Event()
            timer = self.clock.call_later(LOOK_S, due.set)
            try:
                await due.wait()
            finally:
                timer.cancel()
            height, target = self.driver.state.last_block_height, self.highest_peer()
            if self._lag.is_block_syncs(self.clock.monotonic_ns(), height=height, target=target):
                log.warning("fell behind: fetches blocks again", height=height, target=target)
                return

    async def stop(self) -> None:
        if self._begins is not None:
            self._begins.cancel()
            await asyncio.gather(self._begins, return_exceptions=True)
        self.extension.stop()
        self.consensus.stop()
        self.evidence.stop()
        self.sync.stop()
        self.snapshots.stop()

    def is_catching_up(self) -> bool:
        """Blocks are synced, or are about to be, or peers are more than a height ahead: what they say is fetched, not
        decided here."""
        if not self.begun.is_set() and self.driver.halted is None:
            return True
        return self.sync.metrics.syncing or self.highest_peer() > self.driver.state.last_block_height + 2

    def highest_peer(self) -> int:
        """The height of the last block of the network, as far as peers can be believed; 0: none known."""
        state = self.driver.state
        if not self.sync.metrics.syncing and is_level(state.last_block_time_ns, self.clock.now_ns()):
            return state.last_block_height
        claims = self.sync.claims()
        running = self.consensus.peer_heights
        for peer in self.network.peers:
            if peer.id in running:
                height = max(running[peer.id][0] - 1, claims[peer.id].height if peer.id in claims else 0)
                claims[peer.id] = Claim(height, is_chosen=peer.is_outbound or peer.is_persistent)
        return believed_height(claims.values())

    def waits_for(self) -> str:
        """What keeps block sync from going on; empty: nothing."""
        return self.sync.waits_for

    def sync_progress(self) -> SyncProgress | None:
        """None: no blocks are synced now."""
        return self.sync.progress()

    def counters(self) -> Mapping[str, Any]:
        """Name -> a dataclass of plain counters."""
        return {
            "gossip": self.consensus.metrics,
            "tx_gossip": self.mempool.metrics,
            "block_sync": self.sync.measured(),
            "snapshots_served": self.snapshots.metrics,
            "backfill": self.backfill.metrics,
            **self.more_counters,
        }
