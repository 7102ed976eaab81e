"""One node, wired: databases, application, engine, network, doors; how they start and in which order they stop.

    peers --- switch --- reactors --- driver --- executor --- application (three stores)
                            |           |           |
    clients -- doors --- mempool ------------- block store, state store

Starting: databases, handshake (which brings all of them to one height), doors, network, then consensus. Stopping:
doors, network, consensus, databases; nothing is left running. A failure of consensus ends the process.
Source: docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from chain.state.store import Stores
from chain.trail.kept import KeptTrails
from chain.upgrade.module import UpgradeOptions
from consensus.abci.interface import HaltRequested
from consensus.documents.genesis import GenesisDoc
from consensus.engine.driver import ConsensusDriver
from consensus.engine.interfaces import SavedListener
from consensus.engine.skew import ClockSkew
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor
from consensus.execution.verifiers import HelperVerifiers
from consensus.formats.units import MIB, NS_PER_S
from consensus.mempool.journal import Journal
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import CommitWatch, OnSaved, SafeListener, SafeRoundListener
from consensus.node.engine import Engine, Kept, Machine, set_block_limits
from consensus.node.gossip import Gossip
from consensus.p2p import pex
from consensus.p2p.addrbook import AddressBook
from consensus.p2p.conn.address import parse_listen_address
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.sockets import TcpSockets
from consensus.p2p.switch import Switch
from consensus.privval.channel import SignerAddress
from consensus.privval.errors import SignerLinkLost
from consensus.privval.remote import AwayKey, RemoteSigner
from consensus.privval.succession import SuccessiveKey
from consensus.statesync.chunks import ChunkFolder
from consensus.system.clock import Clock, LoopClock, ThreadWorkers, Workers, steady_clock
from consensus.system.disk import OsDisk
from consensus.system.handed import Handed, listening_sockets
from consensus.system.tasks import Faults, Tasks
from crypto.keys import PrivKey
from dchat.app.app import DchatApplication
from dchat.app.snapshots import Shelf
from dchat.autopsy.files import TrailFiles
from dchat.autopsy.own import OwnTrails
from dchat.backups.keeper import PART as BACKUPS
from dchat.backups.keeper import Keeper
from dchat.config import Config
from dchat.doors.http.lateness import Standing
from dchat.doors.http.views import Me, Thresholds, Views, host_name
from dchat.doors.jsonrpc.events import RoundEvents
from dchat.doors.jsonrpc.hub import Hub
from dchat.doors.reads.answers import Answers
from dchat.home.errors import HomeError
from dchat.home.home import Home
from dchat.home.version import ENGINE_VERSION, build_version
from dchat.node.doors import Chain, Doors, backfill_status, listening
from dchat.node.node_metrics import signer_metrics
from dchat.node.parts.options import choices_of, switch_config
from dchat.node.remembering import PART as RECORDS
from dchat.node.remembering import other_keys, remember, retired_in, traced
from dchat.retention.disk_use import DiskUse
from dchat.retention.retention import Policy, Retention, folders_of
from dchat.retention.room import NoRoom, RoomOnDisk
from dchat.sql import on_node
from dchat.sql.feed import SqlFeed
from dchat.statesync.doors import JoinDoors, JoinViews
from dchat.statesync.headers import (
    VerifiedHeaders,
    check_doors,
    pairs_of_peers,
    providers_of,
    root_of_nodes,
    root_of_text,
    trusted_doors,
)
from dchat.statesync.joining import Join, is_due
from dchat.statesync.maker import SnapshotMaker, is_ours
from dchat.upkeep.scrub import Scrubber
from dchat.upkeep.sign_record import MovedMark, watch_heights
from dchat.why.desk import WhyDesk
from genesis.digest import genesis_digest, rendered_digest
from light import Root
from light.provider import Provider
from proto.dchat.v1 import service_pb2 as pb
from storage.kv import KeyValueStore
from storage.leveldb import OnBroken
from storage.open import open_store, remove_store
from storage.options import StoreOptions

log = structlog.get_logger(__name__)

SIGNER = "signer"  # the name under which /ready tells of it
BEGINS_S = 10.0  # of a process that took over: for its doors, at most
VOTES_FIRST_S = 1.5  # at most, then, for two blocks: opening doors holds the loop, and the first votes are late already
LAST_BYTES_S = 0.1  # for what is queued for peers to leave before the next process may dial
MEMPOOL = "mempool"  # the task that admits transactions
SUBSCRIBERS = "JSON-RPC events"
ADMISSION = "admission"  # of one transaction, which this node could not judge
GENESIS_KEY = b"g"  # in the database `state`: the hash of the genesis
CACHE_SHARES = {"blocks": 1, "state": 1, "app": 2}  # execution reads `app` at random; the others go by height
DATABASES = tuple(CACHE_SHARES)
BEHIND_ALL = (b"\xff" * 64, b"\xff" * 65)  # keys that no database has: nothing is merged there


@dataclass
class Databases:
    """The three databases of a node."""

    blocks: KeyValueStore
    state: KeyValueStore
    app: KeyValueStore

    @staticmethod
    def open(
        folder: Path, config: Config, on_broken: OnBroken | None = None, *, side_by_side: bool = False
    ) -> Databases:
        """on_broken: told of each read that finds damage, and of a write that failed. side_by_side: all at once, which
        takes as long as the slowest. Raises StorageError."""

        def opened(name: str) -> KeyValueStore:
            options = store_options(name, config)
            return open_store(config.database.backend, folder / name, options, on_broken=on_broken)

        with ThreadPoolExecutor(len(DATABASES) if side_by_side else 1, "opens") as threads:
            tries = [threads.submit(opened, name) for name in DATABASES]
        if (failed := next(filter(None, (one.exception() for one in tries)), None)) is not None:
            for one in tries:
                if one.exception() is None:
                    one.result().close()
            raise failed
        return Databases(*(one.result() for one in tries))

    def put_into_tables(self) -> None:
        """What lies in logs, which the next to open them would read through."""
        for store in (self.blocks, self.state, self.app):
            store.compact(*BEHIND_ALL)

    def close(self) -> None:
        for store in (self.blocks, self.state, self.app):
            store.close()


def store_options(name: str, config: Config) -> StoreOptions:
    """Of one of the three: its share of `cache_size`, which is of all together."""
    options = config.database
    return StoreOptions(
        cache_bytes=options.cache_size * MIB * CACHE_SHARES[name] // sum(CACHE_SHARES.values()),
        write_buffer_bytes=options.write_buffer_size * MIB,
        max_open_files=options.max_open_files,
    )


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a node is made of, before any of its files is open; see `Node.open`."""

    home: Home
    config: Config
    genesis: GenesisDoc
    node_key: NodeKey
    validator_key: PrivKey | SuccessiveKey | AwayKey
    fatal: Callable[[int, str], None]
    upgrade_options: UpgradeOptions | None
    on_halt: Callable[[HaltRequested], None]
    on_broken: OnBroken
    handed: Handed | None = None
    switch: Switch | None = None


@dataclass(kw_only=True)
class Node:
    """Made by `Node.open` at rest; `start`, then `stop` once."""

    home: Home
    config: Config
    genesis: GenesisDoc
    databases: Databases
    app: DchatApplication
    pool: Pool
    executor: BlockExecutor
    engine: Engine
    driver: ConsensusDriver
    switch: Switch
    gossip: Gossip
    workers: ThreadWorkers
    views: Views
    doors: Doors
    retention: Retention
    snapshots: SnapshotMaker
    journal: Journal
    fatal: Callable[[int, str], None]
    scrubber: Scrubber
    feed: SqlFeed | None  # into SQL
    keeper: Keeper | None  # of backups, where they are scheduled
    room: RoomOnDisk
    why: WhyDesk
    tasks: Tasks
    next_block: Callable[[], asyncio.Event]
    _leaving: asyncio.Task[None] | None = None

    @staticmethod
    async def open(
        home: Home,
        config: Config,
        genesis: GenesisDoc,
        *,
        node_key: NodeKey,
        validator_key: PrivKey | SuccessiveKey | AwayKey,
        fatal: Callable[[int, str], None],
        upgrade_options: UpgradeOptions | None = None,
        on_halt: Callable[[HaltRequested], None] = lambda halt: None,
        on_broken: OnBroken = lambda error: None,
        handed: Handed | None = None,
        switch: Switch | None = None,
    ) -> Node:
        """Open the databases and bring them to one height.

        on_halt: the application wants no more blocks; consensus was left. on_broken: what was read from the disk is
        not what was written, or a write failed; told in the thread that did. handed: from the process before, where
        this one takes over. switch: one that dials already (`Switch.hold`). Raises StorageError, HomeError,
        EngineError, SignerError, HaltRequested (this build is not for this state).
        """
        given = Given(
            home=home, config=config, genesis=genesis, node_key=node_key, validator_key=validator_key, fatal=fatal,
            upgrade_options=upgrade_options, on_halt=on_halt, on_broken=on_broken, handed=handed,
            switch=switch,
        )  # fmt: skip
        databases = Databases.open(home.databases, config, on_broken, side_by_side=handed is not None)
        workers = ThreadWorkers()
        try:
            node = await _wire(given, databases, workers)
        except BaseException:
            workers.close()
            databases.close()
            raise
        node.gossip.more_counters["snapshots"] = node.snapshots.metrics
        return node

    async def start(self, *, at_once: bool = False) -> None:
        """Open the doors, join the network, begin consensus. at_once: no blocks are fetched first (takeover.py). Raises
        CannotListen."""
        self.tasks.watch_loop(asyncio.get_running_loop())
        self.tasks.side(MEMPOOL, self.pool.run, needed=True)
        if not at_once:  # else votes go first, and who asks is served a moment later
            self._begin_watches()
            await self.doors.start()
        with listening("peers", self.config.network.listen_address, "[network] listen_address"):
            await self.switch.start()
        self.tasks.vital("p2p", self.switch.ended)
        if isinstance(self.engine.signer, RemoteSigner):
            with listening(
                "the signer", self.config.validator.priv_validator_laddr, "[validator] priv_validator_laddr"
            ):
                await self.engine.signer.door.listen()
        await self.gossip.start(at_once=at_once)
        if at_once:
            with contextlib.suppress(TimeoutError):  # where it cannot begin it ends the process
                async with asyncio.timeout(BEGINS_S):
                    await self.gossip.begun.wait()
                async with asyncio.timeout(VOTES_FIRST_S):  # the one that went by, and the one that waits for us
                    await self.next_block().wait()
                    await self.next_block().wait()
            self._begin_watches()
            await self.doors.start()
        self.tasks.side("restore journal", self._restore)
        self.tasks.side("look through the databases", self.scrubber.run)
        self.tasks.side("remember the state", self._remember_state)
        self.tasks.side("backfill headers", self._backfill)
        if self.feed is not None:
            self.tasks.side(on_node.TASK, self.feed.run)
        if self.keeper is not None:
            self.tasks.side(BACKUPS, self._keep_backups)
        if self.doors.tracing is not None:
            self.tasks.side("tracing", self.doors.tracing.run)

    def _begin_watches(self) -> None:
        self.tasks.side("loop lag", self.doors.lag.run)
        self.tasks.side("late blocks", Standing(self.views.why_standing, lambda: self.views.answers.height).watch)
        self.tasks.side(RECORDS, self.why.run)
        self.tasks.side("disk use", self.retention.watch_disk)
        self.tasks.side("room on the disk", self._watch_room)
        self.tasks.side(SUBSCRIBERS, self.doors.hub.run)

    async def _remember_state(self) -> None:
        """Else blocks among a million accounts read thousands of pages, long after a start. A step a job: the loop
        goes on in between."""
        steps = self.app.stores.warm_steps()
        while await self.workers.run(lambda: next(steps, True)) is None:
            pass

    async def _watch_room(self) -> None:
        await self.room.watch(self.workers, self.views.faults, self.fatal)

    async def _backfill(self) -> None:
        """After a state sync: what evidence may need is fetched while the node runs."""
        await self.gossip.begun.wait()
        await self.gossip.backfill.run()

    async def _keep_backups(self) -> None:
        """Once this node is where the others are: what it has before that, they have too."""
        assert self.keeper is not None
        await self.gossip.begun.wait()
        await self.keeper.run()

    async def _restore(self) -> None:
        """What was promised before the last stop is admitted again, once nothing older can be missing; and later what
        the mempool loses."""
        await self.gossip.begun.wait()
        await self.journal.run()

    async def close_at_rest(self) -> None:
        """Of a node that was not started."""
        await self.doors.stop()
        await self.journal.close()
        self._close_files()

    async def prepare_to_leave(self) -> None:
        """So that the next process opens what is here in moments; this one goes on."""
        await self.workers.run(self.databases.put_into_tables)
        await self.workers.run_disk(self.engine.wal.begin_file)

    def listening(self) -> list[socket.socket]:
        """Duplicates of the sockets on which the next process can go on: the library of gRPC takes none, and a signer
        is to come anew."""
        own = {self.doors.grpc.port if self.doors.grpc is not None else 0}
        if isinstance(self.engine.signer, RemoteSigner):
            own.add(SignerAddress.parse(self.config.validator.priv_validator_laddr).port)
        found = listening_sockets()
        kept = [one for one in found if one.getsockname()[1] not in own]
        for one in found:
            if one not in kept:
                one.close()
        return kept

    async def leave_peers(self) -> None:
        """First of all: the next process is here as the same node, and can connect once these connections have ended.
        Whoever does not take his last bytes in time has them cut by `stop`."""
        await self.tasks.stop("p2p")
        self._leaving = asyncio.create_task(self.switch.stop(), name="peers' last bytes")
        await asyncio.wait((self._leaving,), timeout=LAST_BYTES_S)

    async def leave(self, why: str) -> None:
        """After `leave_peers`. Everything that uses a file of the home stops, and the files are closed: every
        millisecond is one in which this validator does not vote. `stop` ends what is left: the clients, who are told
        `why`. Raises what a part failed with: the home is not free then."""
        names = self.tasks.names - {MEMPOOL}
        await asyncio.gather(*(self.tasks.stop(name) for name in names))
        await asyncio.gather(self.doors.leave(why), self.gossip.stop(), self.driver.stop())
        await asyncio.gather(self.retention.pruner.stop(), self.snapshots.stop())
        if isinstance(self.engine.signer, RemoteSigner):
            await self.engine.signer.door.close()
        await self.tasks.stop()
        await self.journal.close()
        self._close_files()

    def _close_files(self) -> None:
        self.workers.close()
        self.why.close()
        self.engine.close()
        self.databases.close()

    async def stop(self) -> None:
        """Stop in the order of the docstring; every step is tried, the first error is raised at the end. After `leave`:
        what that left."""
        if self._leaving is not None:
            await asyncio.gather(self.doors.stop(), self._leaving)
            return
        errors: list[Exception] = []
        for name in sorted(self.tasks.names - {MEMPOOL}):  # whom the doors serve waits for the mempool
            await self.tasks.stop(name)
        parts = (self.doors, self.gossip, self.switch, self.driver, self.retention.pruner, self.snapshots)
        steps: list[Callable[[], Awaitable[object]]] = [part.stop for part in parts]
        if isinstance(self.engine.signer, RemoteSigner):
            steps.append(self.engine.signer.door.close)
        for step in steps:
            with _telling(getattr(step, "__qualname__", ""), errors):
                await step()
        await self.tasks.stop()
        await self.journal.close()
        self.workers.close()
        with _telling(RECORDS, errors):
            self.why.close()
        self.engine.close()
        self.databases.close()
        if errors:
            raise errors[0]

    def save_trails(self) -> None:
        """What the last blocks did, for whoever examines why this node ended; a fault of this is logged."""
        try:
            saved = TrailFiles(self.home.trails).save(self.doors.trails.newest())
            log.info("saved what the last blocks did, for an autopsy", heights=saved, folder=str(self.home.trails))
        except Exception as error:
            log.error("what the last blocks did could not be saved", error=repr(error))

    async def close_admission(self) -> None:
        """Take no more transactions; reading goes on."""
        await self.tasks.stop(MEMPOOL)


@contextlib.contextmanager
def _telling(part: str, errors: list[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        log.error("a part did not stop cleanly", part=part, error=repr(error))
        errors.append(error)


async def _wire(given: Given, databases: Databases, workers: ThreadWorkers) -> Node:
    started_ns = time.monotonic_ns()
    home, config, genesis, validator_key = given.home, given.config, given.genesis, given.validator_key
    clock, disk, chance, address = LoopClock(), OsDisk(), random.Random(), lambda: validator_key.pub_key.address
    check_belongs(databases.state, genesis, home)
    stores = Stores(databases.app, cache_bytes=config.database.state_cache_size * MIB, on_corrupted=given.on_broken)
    app = application(given, stores, Shelf(disk, home.snapshots))
    switch = given.switch or switch_of(config, given.node_key, genesis, given.handed)
    engine = await Engine.open(
        app, genesis, key=validator_key, switch=switch, software=build_version(), fatal=given.fatal,
        on_halt=given.on_halt, choices=choices_of(home, config),
        machine=Machine(
            disk=disk, clock=clock, workers=workers, chance=chance, verifiers=HelperVerifiers(workers)
        ),
        kept=Kept(
            blocks=databases.blocks, state=databases.state, data=home.data, wal=home.wal, sign_state=home.sign_state,
            on_broken=given.on_broken,
        ),
    )  # fmt: skip
    blocks, states, pool, evidence = engine.blocks, engine.states, engine.pool, engine.evidence
    executor, driver, gossip = engine.executor, engine.driver, engine.gossip
    book = find_peers(switch, home, config, chance)
    answers = Answers(blocks, states, app.queries)
    watch = CommitWatch(answers.is_saved)
    faults = Faults()
    switch.children.on_failed, switch.children.on_recovered = faults.failed, faults.recovered
    pool.on_failure(lambda error: faults.failures.update([ADMISSION]))
    driver.add_saved_listener(SafeListener("waits for commits", watch, faults, needed=True))
    pool.on_dropped(watch.dropped)
    retention = _retention(given, executor, evidence, app, clock, workers)
    maker = snapshots_of(given, executor, app, clock, workers, retention, faults)
    journal = Journal(disk, home.journal, pool, workers)
    skew = ClockSkew(clock, address, faults, is_behind=gossip.is_catching_up)
    keeper = Keeper(home, config, faults) if config.backup.enable else None
    feed = on_node.feed_of(config, genesis, answers, retention, workers)
    _listen(driver, faults, told_of(given, pool, skew, retention, maker, journal) | on_node.listeners_of(feed))
    keys = partial(other_keys, answers, retired_in(home), address)
    me = Me(genesis.chain_id, moniker_of(config), given.node_key.id, address, started_ns, keys)
    views = Views(
        me=me, answers=answers, driver=driver, pool=pool, switch=switch, faults=faults,
        is_catching_up=gossip.is_catching_up, sync_target=gossip.highest_peer, sync_waits_for=gossip.waits_for,
        thresholds=Thresholds(config.observability.unhealthy_after), backfill=lambda: backfill_status(gossip),
        known_upgrades=tuple(sorted(app.upgrader.handlers)), storage=storage_of(retention, keeper),
        block_sync=gossip.sync_progress, sql=lambda: on_node.status_of(feed),
    )  # fmt: skip
    desk = WhyDesk(disk, home.why, config.observability.why_heights, workers)
    doors = Doors(
        home, config, views, watch=watch, gossip=gossip, journal=journal, evidence=evidence,
        block_events=lambda: app.block_events, retention=retention, skew=skew, trails=trails_of(home, executor, app),
        feed=feed, keeper=keeper, chain=Chain(genesis, lambda: validator_key.pub_key, app), why=desk, book=book,
        tracing=traced(config, driver, pool, me=me, clock=clock, faults=faults),
    )  # fmt: skip
    if given.handed is not None:
        doors.take_from(given.handed)
    driver.add_saved_listener(SafeListener("metrics", doors.metrics, faults))
    remember(
        desk, driver, me=me, clock=clock, switch=switch, gossip=gossip, skew=skew,
        signer=engine.signer, staked=doors.metrics, lag=doors.lag, faults=faults,
    )  # fmt: skip
    if isinstance(engine.signer, RemoteSigner):
        watch_signer(engine.signer, faults, doors)
    tell_subscribers(driver, doors.hub, faults)
    return Node(
        home=home, config=config, genesis=genesis, databases=databases, app=app, pool=pool, executor=executor,
        engine=engine, driver=driver, switch=switch, gossip=gossip, workers=workers, views=views, doors=doors,
        retention=retention, snapshots=maker, journal=journal, fatal=given.fatal,
        feed=feed, keeper=keeper, room=room_of(home, config), why=desk, tasks=Tasks(given.fatal, faults),
        next_block=watch.next_block,
        scrubber=Scrubber([home.databases / name for name in DATABASES], workers, given.on_broken),
    )  # fmt: skip


def tell_subscribers(driver: ConsensusDriver, hub: Hub, faults: Faults) -> None:
    """Of the JSON-RPC door's WebSockets."""
    driver.add_saved_listener(SafeListener(SUBSCRIBERS, hub, faults))
    rounds = RoundEvents(driver.round_state, driver.core, is_wanted=hub.is_wanted, tell=hub.tell)
    driver.add_round_listener(SafeRoundListener(SUBSCRIBERS, rounds, faults))


def watch_signer(signer: RemoteSigner, faults: Faults, doors: Doors) -> None:
    """Whether the signer elsewhere is here: in /ready and the metrics."""

    def told(is_here: bool) -> None:
        if is_here:
            faults.recovered(SIGNER)
        else:
            faults.failed(SIGNER, SignerLinkLost("no signer is connected: this validator misses votes"))

    signer.door.on_change = told
    told(False)
    doors.registry.add(partial(signer_metrics, signer.door))


def moniker_of(config: Config) -> str:
    return config.validator.moniker or host_name()


def switch_of(config: Config, node_key: NodeKey, genesis: GenesisDoc, handed: Handed | None = None) -> Switch:
    at = config.network.rpc_listen_address
    told = f"tcp://{parse_listen_address(at).host_port}" if at else ""
    tx_index = "on" if config.index.tx_index == "kv" else "off"
    info = NodeInfo(
        node_key.id, "", genesis.chain_id, ENGINE_VERSION, b"", moniker_of(config), tx_index=tx_index,
        rpc_address=told, genesis_hash=genesis_digest(genesis),
    )  # fmt: skip
    sockets = TcpSockets(handed)
    return Switch(switch_config(config), node_key=node_key, node_info=info, sockets=sockets, clock=steady_clock())


def find_peers(switch: Switch, home: Home, config: Config, chance: random.Random) -> AddressBook:
    book = AddressBook(home.address_book, strict=config.p2p.address_book_strict, clock=switch.clock, rng=chance)
    pex.install(switch, book, exchange=config.p2p.pex)
    return book


def told_of(
    given: Given, pool: Pool, skew: ClockSkew, retention: Retention, maker: SnapshotMaker, journal: Journal
) -> dict[str, SavedListener]:
    """Who hears of each saved block, beside the doors."""
    return {
        "clock": skew, "pruning": retention.pruner, "snapshots": maker,
        "block limits": OnSaved(lambda saved: set_block_limits(pool, saved.state)),  # governance may change them
        "sign state that was moved": MovedMark(given.home, watch_heights(given.home, given.config)),
        "journal": OnSaved(lambda saved: journal.block_saved(saved.height)),
    }  # fmt: skip


def _listen(driver: ConsensusDriver, faults: Faults, told: Mapping[str, SavedListener]) -> None:
    for what, listener in told.items():
        driver.add_saved_listener(SafeListener(what, listener, faults))


def _retention(
    given: Given, executor: BlockExecutor, evidence: EvidencePool, app: DchatApplication, clock: Clock, workers: Workers
) -> Retention:
    in_memory = given.config.database.backend == "memory"
    disk_use = None if in_memory else DiskUse(folders_of(given.home.databases, given.home.wal))
    return Retention(Policy.of(given.config), executor, evidence, app, workers=workers, clock=clock, disk=disk_use)


def storage_of(retention: Retention, keeper: Keeper | None) -> Callable[[], pb.StorageStatus]:
    def told() -> pb.StorageStatus:
        status = retention.status()
        if keeper is not None:
            status.backups.CopyFrom(keeper.status())
        return status

    return told


def check_belongs(db: KeyValueStore, genesis: GenesisDoc, home: Home) -> None:
    """That the genesis is the one with which the databases began; noted by the first start. Raises HomeError."""
    digest, known = genesis_digest(genesis), db.get(GENESIS_KEY)
    if known == digest:
        return
    if known is None or known == rendered_digest(genesis):  # or an older build noted it
        db.write([(GENESIS_KEY, digest)], sync=True)
    else:
        raise HomeError(
            f"{home.genesis}: its hash is {digest.hex()}, and the databases in {home.databases} began with "
            f"{known.hex()}: the file was changed or damaged, or is another chain's. Copy the chain's own there"
        )


def application(given: Given, stores: Stores, shelf: Shelf) -> DchatApplication:
    blocks = Policy.of(given.config).blocks
    return DchatApplication(
        stores, retain_blocks=blocks, upgrade_options=given.upgrade_options, shelf=shelf,
        trails=KeptTrails(given.config.database.trail_blocks),
    )  # fmt: skip


def trails_of(home: Home, executor: BlockExecutor, app: DchatApplication) -> OwnTrails:
    files = TrailFiles(home.trails)
    return OwnTrails(executor.blocks, executor.states, app.stores, kept=app.trails, files=files)


def room_of(home: Home, config: Config) -> RoomOnDisk:
    """Where this node writes."""
    folders = [home.data, home.databases, home.address_book.parent, *(home.databases / name for name in DATABASES)]
    return RoomOnDisk([*folders, home.wal, home.snapshots, home.state_sync], floor_bytes=config.database.min_free * MIB)


def snapshots_of(
    given: Given, executor: BlockExecutor, app: DchatApplication, clock: Clock, workers: Workers, retention: Retention,
    faults: Faults,
) -> SnapshotMaker:  # fmt: skip
    """Who restores one needs the blocks after it: they are held. Where there is little room none is taken."""
    assert app.shelf is not None
    app.shelf.keep_those(is_ours(app.stores, executor.blocks, executor.states))
    options, holds = given.config.snapshots, retention.blocks.holds
    return SnapshotMaker(
        app.stores, app.shelf, clock, workers, interval=options.interval, kept=options.keep_recent, faults=faults,
        hold=lambda height: holds.hold("the lowest snapshot that is served", height),
        check_room=room_of(given.home, given.config).check_spare,
    )  # fmt: skip


def check_trust(config: Config) -> None:
    """Raises ValueError: nothing says where the trust of a state sync begins, or a node cannot be where it is said."""
    options = config.state_sync
    if options.enable and not options.trust and not options.trusted_nodes:
        raise ValueError(
            "a state sync is held against a header that you trust: --trust HEIGHT:HASH ([state_sync] trust), or the "
            "addresses of your own nodes ([state_sync] trusted_nodes)"
        )
    check_doors(options.trusted_nodes)


async def join_by_snapshot(
    home: Home, config: Config, genesis: GenesisDoc, *, node_key: NodeKey, our_address: bytes = b""
) -> None:
    """Where this node is new and is to be restored from a snapshot, or that was begun: do it, before it starts.

    Meanwhile its doors tell how far it is. our_address: of this node's consensus key.
    Raises StorageError, EngineError (NoRoom: what was fetched and made of it is gone again), P2PError, ValueError,
    CannotListen.
    """
    databases = Databases.open(home.databases, config)
    workers = ThreadWorkers()
    try:
        folder, options = ChunkFolder(OsDisk(), home.state_sync), config.state_sync
        if not is_due(folder, databases.blocks, databases.state, wanted=options.enable):
            return
        check_trust(config.model_copy(update={"state_sync": options.model_copy(update={"enable": True})}))
        switch = switch_of(config, node_key, genesis)
        me = Me(genesis.chain_id, moniker_of(config), node_key.id, lambda: our_address, time.monotonic_ns())
        views = JoinViews(me=me, switch=switch)
        doors = JoinDoors(home, config, views)
        await doors.start(listening)
        try:
            async with trusted_doors(options.trusted_nodes) as nodes:
                root = await root_of_nodes(nodes, chain_id=genesis.chain_id) if nodes else root_of_text(options.trust)
                await _join(
                    home, config, genesis, switch, databases, workers, views, folder=folder, root=root, nodes=nodes
                )
        finally:
            await doors.stop()
    except NoRoom:  # half a state of a node without a block: its next start would find no room for it
        databases.close()
        remove_store(home.databases / "app")
        raise
    finally:
        workers.close()
        databases.close()


async def _join(
    home: Home, config: Config, genesis: GenesisDoc, switch: Switch, databases: Databases, workers: Workers,
    views: JoinViews, *, folder: ChunkFolder, root: Root, nodes: Sequence[Provider],
) -> None:  # fmt: skip
    clock, chance = LoopClock(), random.Random()
    find_peers(switch, home, config, chance)
    room = room_of(home, config)
    app = DchatApplication(Stores(databases.app), check_build=False, check_room=room.check)
    join = Join.of(
        genesis, app, databases.blocks, databases.state, folder=folder, switch=switch, clock=clock, workers=workers
    )
    views.progress, views.metrics = lambda: join.progress, lambda: join.metrics
    headers = VerifiedHeaders(
        root, providers_of(nodes) if nodes else pairs_of_peers(join.reactor.light_blocks),
        chain_id=genesis.chain_id, trust_period_ns=config.state_sync.trust_period * NS_PER_S,
    )  # fmt: skip
    with listening("peers", config.network.listen_address, "[network] listen_address"):
        await switch.start()
    try:
        await join.run(headers, discovery_s=config.state_sync.discovery_time, check_room=room.check)
    finally:
        await switch.stop()
