"""A node of the product on a simulated disk, network and clock: wired as dchat.node.runtime does, without its doors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chain.state.store import Stores
from consensus.abci.interface import Snapshot
from consensus.documents.genesis import GenesisDoc
from consensus.engine.driver import ConsensusDriver
from consensus.engine.interfaces import SavedBlock, SavedListener
from consensus.execution.executor import BlockExecutor
from consensus.formats.units import NS_PER_MS
from consensus.mempool.journal import Journal
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import OnSaved, SafeListener
from consensus.node.engine import Choices, Engine, Kept, Machine
from consensus.node.gossip import Gossip
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from consensus.privval.held import HeldKey
from consensus.privval.remote import RemoteKey, RemoteSigner
from consensus.privval.signer import FileSigner, Signer
from consensus.privval.succession import SuccessiveKey
from consensus.simulation.clock import Delays, SimClock, SimWorkers, Wall
from consensus.simulation.home import DATA, SimHome, Strike
from consensus.simulation.loop import Life, VirtualLoop
from consensus.simulation.network import Network
from consensus.statesync.chunks import ChunkFolder
from consensus.system.tasks import Tasks
from consensus.types.ids import NIL_BLOCK_ID
from consensus.types.vote import PREVOTE, Proposal, Vote
from crypto.keys import PrivKey, PubKey
from dchat.app.app import DchatApplication
from dchat.app.snapshots import Shelf
from dchat.node.runtime import MEMPOOL
from dchat.retention.retention import Policy, Retention
from dchat.simulation import side
from dchat.simulation.held import SimHolder
from dchat.simulation.laws import Judge
from dchat.simulation.plan import HOURS_MS, Plan
from dchat.simulation.side import PLANTED, Bystander, Injected, WatchedFaults
from dchat.simulation.successions import PLACES, open_key
from dchat.statesync.headers import VerifiedHeaders, pairs_of_peers
from dchat.statesync.joining import Join, is_due
from dchat.statesync.maker import SnapshotMaker
from light import Root

PORT = 26_656
SNAPSHOTS, CHUNKS = DATA / "snapshots", DATA / "state_sync"
SNAPSHOTS_KEPT = 2
JOIN_DISCOVERY_S = 1.0
TRUST_POLL_S = 0.5
FALSE_EVERY = 3  # chunks of which one is false
SIGN_STATE, WAL_FOLDER, JOURNAL = PLACES.state, DATA / "cs.wal", DATA / "journal"
PRUNING = Policy("custom", blocks=1, versions=10, every=5)  # one more writer beside the commits


class FalseShelf(Shelf):
    """Offers a snapshot of no height of the chain beside its own, and serves false chunks now and then."""

    _asked = 0

    def offers(self) -> tuple[Snapshot, ...]:
        own = super().offers()
        return (*(replace(one, height=one.height + 10**6) for one in own[:1]), *own)

    def chunk(self, height: int, number: int) -> bytes:
        self._asked += 1
        chunk = super().chunk(height, number)
        return chunk if self._asked % FALSE_EVERY else chunk[:-1] + bytes([chunk[-1] ^ 1]) if chunk else b"false"


class WatchedSigner:
    """A file signer whose signatures the judge sees. A liar's prevotes are for nil, whatever they should be."""

    def __init__(self, inner: FileSigner, node: str, judge: Judge, *, lies: bool) -> None:
        self._inner, self._node, self._judge, self._lies = inner, node, judge, lies

    @property
    def pub_key(self) -> PubKey:
        return self._inner.pub_key

    @property
    def last_height(self) -> int:
        return self._inner.last_height

    @property
    def last_position(self) -> tuple[int, int, int]:
        return self._inner.last_position

    def last_vote(self, chain_id: str) -> Vote | None:
        return self._inner.last_vote(chain_id)

    def raise_floor(self, height: int) -> None:
        self._inner.raise_floor(height)

    def sign_vote(self, chain_id: str, vote: Vote, *, with_extension: bool) -> Vote:
        if self._lies and vote.type == PREVOTE:
            vote = replace(vote, block_id=NIL_BLOCK_ID)
        signed = self._inner.sign_vote(chain_id, vote, with_extension=with_extension)
        self._judge.signed(
            self._node, self.pub_key.address, kind="prevote" if vote.type == PREVOTE else "precommit",
            height=vote.height, round=vote.round, content=vote.block_id.hash.hex() or "nil",
        )  # fmt: skip
        return signed

    def sign_proposal(self, chain_id: str, proposal: Proposal) -> Proposal:
        signed = self._inner.sign_proposal(chain_id, proposal)
        self._judge.signed(
            self._node, self.pub_key.address, kind="proposal", height=proposal.height, round=proposal.round,
            content=f"{proposal.block_id.hash.hex()} pol {proposal.pol_round}",
        )  # fmt: skip
        return signed


@dataclass
class Parts:
    """Of one life."""

    app: DchatApplication
    executor: BlockExecutor
    pool: Pool
    journal: Journal
    driver: ConsensusDriver
    switch: Switch
    gossip: Gossip
    tasks: Tasks
    bystander: Bystander
    retention: Retention
    engine: Engine
    snapshots: SnapshotMaker
    is_started: bool = False


@dataclass
class SimNode:
    """`boot` makes the parts from the home and starts them; it runs within a life of its own each time."""

    name: str
    place: int
    key: PrivKey
    lies: bool
    shares_its_key: bool  # it and its twin have one, and neither stops for that
    loop: VirtualLoop
    network: Network
    genesis: GenesisDoc
    plan: Plan
    judge: Judge
    rng: random.Random
    peers: tuple[str, ...]
    strike: Strike
    give_up: Callable[[str], None]
    home: SimHome
    wall: Wall
    life: Life | None = None  # None while it is down
    parts: Parts | None = None  # None until the handshake is done
    dead_since_s: float = 0.0  # when its disk was last seen to work
    starts: int = 0
    probe: bytes = b""  # a transaction that it admitted after the faults
    is_calm: bool = False  # no more faults: its disk is fast
    neighbours: frozenset[str] = frozenset()  # ids of peers that no limit of their number turns away
    holds_stake: bool = False  # a validator's, or its twin
    remote: RemoteKey | None = None  # its consensus key is with a signer elsewhere
    on_wired: Callable[[SimNode, SimClock], None] = lambda node, clock: None  # its parts are there and did not start

    @property
    def host(self) -> str:
        return f"20.0.0.{self.place + 1}"

    @property
    def node_key(self) -> NodeKey:
        return NodeKey.from_seed(bytes([100 + self.place]) * 32)

    @property
    def address(self) -> str:
        return f"{self.node_key.id}@{self.host}:{PORT}"

    @property
    def where(self) -> str:
        """height/round step, for a report."""
        if self.parts is None:
            return "is down"
        state = self.parts.driver.round_state
        running = "" if self.parts.driver.is_running else " (not in consensus)"
        return f"{state.height}/{state.round} {state.step.name}{running}"

    async def boot(self) -> None:
        try:
            await self._boot()
        except Exception as error:
            if self.strike.failed or isinstance(error, Injected):
                self.give_up(f"could not start: {error}")
                return
            self.judge.breaks("a node can start again", f"{self.name}: {type(error).__name__}: {error}")

    async def _boot(self) -> None:
        assert self.life is not None
        self.starts += 1
        skew_ms = self.plan.skew_ms[self.place]
        clock = SimClock(self.loop, self.wall, self.rng.randint(-skew_ms, skew_ms))
        late = self.plan.late[self.place] if self.plan.late else None
        delays = Delays(late, random.Random(f"late {self.name} {self.starts} {self.plan.seed}"))
        workers = SimWorkers(self.rng, lambda: 0 if self.is_calm else self.plan.slow_ms[self.place], delays)
        home, disk = self.home, self.home.disk
        home.watch(self.strike.touch)
        if self.place == self.plan.joiner:
            await self._join(clock, workers)
        stores = Stores(home.app)
        shelf = self._shelf()
        app = DchatApplication(stores, retain_blocks=PRUNING.blocks, shelf=shelf)
        switch = self._switch(clock)
        key = self._signing_key()
        engine = await Engine.open(
            app, self.genesis, key=key, switch=switch, software="simulation", fatal=self._fatal,
            on_halt=lambda halt: self._fatal(0, f"halted: {halt}"),
            machine=Machine(
                disk=disk, clock=clock, workers=workers, chance=self.rng, drive=delays.drive,
                fail_point=self.strike.touch,
            ),
            kept=Kept(
                blocks=home.blocks, state=home.state, data=DATA, wal=WAL_FOLDER, sign_state=SIGN_STATE,
                wal_limits={
                    "head_bytes_max": self.plan.wal_head_bytes, "restate_bytes_min": self.plan.wal_head_bytes // 2
                },
            ),
            choices=Choices(
                core=self.plan.config, sign=lambda signer: WatchedSigner(signer, self.name, self.judge, lies=self.lies)
            ),
        )  # fmt: skip
        pool, evidence, executor = engine.pool, engine.evidence, engine.executor
        driver, gossip, state = engine.driver, engine.gossip, engine.driver.state
        self.judge.started(self.name, engine.blocks, state.last_block_height, state.app_hash)
        if self.shares_its_key:
            self._look_away(driver)
            if isinstance(key, SuccessiveKey):
                key.told = lambda pub_key: self._look_away(driver)
        journal = Journal(disk, JOURNAL, pool, workers)
        driver.add_saved_listener(OnSaved(self._saved))
        faults, bystander = WatchedFaults(self.judge, self.name, lambda: bool(self.strike.failed)), Bystander()
        switch.children.on_failed, switch.children.on_recovered = faults.failed, faults.recovered
        retention = Retention(PRUNING, executor, evidence, app, workers=workers, clock=clock)
        tell = OnSaved(lambda saved: journal.block_saved(saved.height))  # it may be replaced: side.py
        maker = SnapshotMaker(
            stores, shelf, clock, workers, interval=self.plan.snapshot_every, kept=SNAPSHOTS_KEPT,
            hold=lambda height: retention.blocks.holds.hold("snapshots", height),
        )  # fmt: skip
        listeners: list[tuple[str, SavedListener]] = [("pruning", retention.pruner), ("journal", tell)]
        listeners.append(("metrics", bystander))
        if self.plan.snapshot_every:
            listeners.append(("snapshots", maker))
        for name, listener in listeners:
            driver.add_saved_listener(SafeListener(name, listener, faults))
        tasks = Tasks(self._fatal, faults)
        self.parts = Parts(
            app, executor, pool, journal, driver, switch, gossip, tasks, bystander, retention, engine, maker
        )
        self.on_wired(self, clock)
        await self._start()

    @staticmethod
    def _look_away(driver: ConsensusDriver) -> None:
        """Liars do not stop when they see each other."""
        driver._own.watch.address = b""

    @property
    def rotates(self) -> bool:
        """Its key lies in its home, and is another one day."""
        return self.plan.rotates and self.holds_stake

    def _signing_key(self) -> PrivKey | SuccessiveKey | HeldKey | RemoteKey:
        """Of this life."""
        if self.remote is not None:
            return self.remote
        if self.rotates:
            return open_key(self.home.disk)
        if self.place not in self.plan.held:
            return self.key
        rng = random.Random(f"held {self.name} {self.starts} {self.plan.seed}")
        return SimHolder(
            self.key, self.name, self.judge, rng, now_s=lambda: self.loop.now_s, is_calm=lambda: self.is_calm
        ).key

    def _shelf(self) -> Shelf:
        kind = FalseShelf if self.place in self.plan.false_shelves else Shelf
        return kind(self.home.disk, SNAPSHOTS, chunk_bytes=self.plan.chunk_bytes)

    async def _join(self, clock: SimClock, workers: SimWorkers) -> None:
        """As dchat.node.runtime.join_by_snapshot; trust begins with the first block."""
        home = self.home
        folder = ChunkFolder(home.disk, CHUNKS)
        if not is_due(folder, home.blocks, home.state, wanted=True):
            return
        while 1 not in self.judge.chain:  # noqa: ASYNC110 - plain data of the judge; before it nobody can give a trust
            await asyncio.sleep(TRUST_POLL_S)
        switch = self._switch(clock)
        join = Join.of(
            self.genesis, DchatApplication(Stores(home.app), check_build=False), home.blocks, home.state,
            folder=folder, switch=switch, clock=clock, workers=workers,
        )  # fmt: skip
        light = VerifiedHeaders(
            Root(1, self.judge.chain[1][0]), pairs_of_peers(join.reactor.light_blocks),
            chain_id=self.genesis.chain_id, trust_period_ns=HOURS_MS * NS_PER_MS, now_ns=clock.now_ns,
        )  # fmt: skip
        await switch.start()
        try:
            await join.run(light, discovery_s=JOIN_DISCOVERY_S)
        finally:
            await switch.stop()
        self.judge.joined(self.name, join.app.stores.latest_version, join.app.stores.app_hash)

    def _switch(self, clock: SimClock) -> Switch:
        assert self.life is not None
        config = SwitchConfig(
            listen_address=f"{self.host}:{PORT}", persistent_peers=self.peers, address_book_strict=False,
            unconditional_peer_ids=self.neighbours,
        )  # fmt: skip
        info = NodeInfo(self.node_key.id, "", self.genesis.chain_id, "0.38.26", b"", self.name)
        return Switch(
            config, node_key=self.node_key, node_info=info, sockets=self.network.door(self.host, self.life),
            clock=clock.now_ns, rng=self.rng, work_ns=lambda: 0, slice_ns=lambda: 0,
        )  # fmt: skip

    async def _start(self) -> None:
        """As dchat.node.runtime.Node.start."""
        parts = self.parts
        assert parts is not None
        parts.tasks.side(MEMPOOL, parts.pool.run, needed=True)
        await parts.switch.start()
        parts.tasks.vital("p2p", parts.switch.ended)
        if isinstance(parts.engine.signer, RemoteSigner):
            await parts.engine.signer.door.listen()
        await parts.gossip.start()
        parts.tasks.side("restore journal", self._restore)
        parts.is_started = True

    async def _restore(self) -> None:
        assert self.parts is not None
        await self.parts.gossip.begun.wait()
        await self.parts.journal.run()

    async def stop(self) -> None:
        """As dchat.node.runtime.Node.stop: in its order, without the doors."""
        parts = self.parts
        assert parts is not None
        for name in sorted(parts.tasks.names - {MEMPOOL}):
            await parts.tasks.stop(name)
        errors: list[Exception] = []
        for step in (
            parts.gossip.stop,
            parts.switch.stop,
            parts.driver.stop,
            parts.retention.pruner.stop,
            parts.snapshots.stop,
        ):
            try:
                await step()
            except Exception as error:
                errors.append(error)
        if isinstance(parts.engine.signer, RemoteSigner):
            await parts.engine.signer.door.close()
        await parts.tasks.stop()
        await parts.journal.close()
        parts.engine.close()
        if errors:
            raise errors[0]

    def plant(self, rng: random.Random) -> None:
        """Let one call of one part raise."""
        parts = self.parts
        assert parts is not None
        where = side.plant(
            rng, bystander=parts.bystander, driver=parts.driver, executor=parts.executor, gossip=parts.gossip,
            journal=parts.journal, pool=parts.pool, switch=parts.switch,
        )  # fmt: skip
        self.judge.note(f"{self.name}: {where} will raise")

    def _saved(self, saved: SavedBlock) -> None:
        assert self.parts is not None
        block = self.parts.executor.blocks.load_block(saved.height)
        assert block == saved.block, saved.height
        self.judge.saved(self.name, saved.block, saved.state.app_hash)

    def _fatal(self, code: int, line: str) -> None:
        if self.strike.failed or (code and PLANTED in line):
            self.give_up(f"ended itself: {line}")
            return
        self.judge.breaks("no node ends itself", f"{self.name}: exit code {code}: {line}")


if TYPE_CHECKING:
    _signer: type[Signer] = WatchedSigner
