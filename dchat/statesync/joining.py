"""A node that is new joins by a snapshot: what happens before it starts, on a network of its own channels alone.

The databases are emptied (they have no block yet), the application is restored, the engine's state is saved beside it;
then the node starts as after any stop, and block sync goes on from there. While the folder of chunks is there none of
it has ended, and the next start takes it up again, whatever was written.
Source: docs/state-sync.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from consensus.documents.genesis import GenesisDoc
from consensus.p2p.switch import Switch
from consensus.statesync import bootstrap
from consensus.statesync.chunks import ChunkFolder
from consensus.statesync.progress import Progress, Stage
from consensus.statesync.reactor import StateSyncReactor
from consensus.statesync.syncer import LightSource, Restored, StateSync, StateSyncMetrics
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import Clock, Workers
from dchat.app.app import DchatApplication
from dchat.retention.room import NoRoom
from storage.kv import KeyValueStore

log = structlog.get_logger(__name__)


def is_due(folder: ChunkFolder, blocks: KeyValueStore, state: KeyValueStore, *, wanted: bool) -> bool:
    """Whether this node is to join by a snapshot: it is `wanted`, and there is nothing yet; or it was begun."""
    if BlockStore(blocks).height:
        folder.clear()  # it ended: blocks come after
        return False
    saved = StateStore(state).load()
    return folder.is_begun or (wanted and (saved is None or not saved.last_block_height))


@dataclass(kw_only=True)
class Join:
    """Made by `Join.of`, which empties the databases; `run`, then close the switch."""

    genesis: GenesisDoc
    app: DchatApplication
    blocks: BlockStore
    states: StateStore
    folder: ChunkFolder
    switch: Switch
    reactor: StateSyncReactor
    clock: Clock
    workers: Workers
    sync: StateSync | None = None

    @staticmethod
    def of(
        genesis: GenesisDoc, app: DchatApplication, blocks_db: KeyValueStore, state_db: KeyValueStore, *,
        folder: ChunkFolder, switch: Switch, clock: Clock, workers: Workers,
    ) -> Join:  # fmt: skip
        assert not BlockStore(blocks_db).height, "a node that has blocks is not new"
        app.stores.clear()
        for db in (blocks_db, state_db):
            bootstrap.forget(db)
        blocks, states = BlockStore(blocks_db), StateStore(state_db)
        reactor = StateSyncReactor(app, blocks, states, clock, workers)
        switch.add_reactor(reactor)
        return Join(
            genesis=genesis, app=app, blocks=blocks, states=states, folder=folder, switch=switch, reactor=reactor,
            clock=clock, workers=workers,
        )  # fmt: skip

    async def run(
        self, light: LightSource, *, discovery_s: float, check_room: Callable[[], None] = lambda: None
    ) -> StateSyncMetrics:
        """Until the node can start. The switch runs. check_room: raises NoRoom.

        Raises StateSyncFailed, NoRoom: then what was fetched is gone again, else no start would find room for less;
        what the application made of it is for who opened its database to remove.
        """
        sync = StateSync(
            self.app, light, self.folder, self.switch, self.clock, self.workers,
            discovery_s=discovery_s, check_room=check_room,
        )  # fmt: skip
        self.sync = self.reactor.sync = sync
        try:
            restored = await sync.run()
        except NoRoom:
            await self.workers.run_disk(self.folder.forget)
            raise
        finally:
            self.reactor.sync = None
            self.reactor.stop()
        sync.metrics.stage = Stage.SAVES
        await self.workers.run_disk(lambda: self._save(restored))
        sync.metrics.stage = Stage.DONE
        return sync.metrics

    @property
    def progress(self) -> Progress:
        return Progress() if self.sync is None else self.sync.progress

    @property
    def metrics(self) -> StateSyncMetrics:
        return StateSyncMetrics() if self.sync is None else self.sync.metrics

    def _save(self, restored: Restored) -> None:
        state = bootstrap.state_of(restored, self.genesis, self.app.consensus_params)
        bootstrap.save(state, restored, self.blocks, self.states)
        self.folder.clear()
        log.info("joined by a snapshot", height=restored.height, app_hash=state.app_hash.hex())
