"""A node of a chain of one's own: an application on the engine, over real sockets, files and keys.

    async with running(NodeHome(Path("my-home")), MyApplication) as node:
        done = await node.submit(b"key=value")
        print(done.height, node.query(b"key").value)

It is wired of the same parts as dchat's validators (`engine.py`), with a door small enough to be read (`door.py`): no
state sync, no pruning, no metrics page. Whatever makes it impossible to go on ends `Node.ended`.
Source: docs/your-own-chain.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from consensus.abci.interface import Application, HaltRequested, IsRemote, QueryRequest, QueryResponse
from consensus.core.events import CoreConfig
from consensus.execution.executor import Drive, drive
from consensus.node.commit_watch import CommitWatch, OnSaved, SafeListener
from consensus.node.engine import Choices, Engine, Kept, Machine, set_block_limits
from consensus.node.errors import TransactionRefused
from consensus.node.home import NodeHome, Settings
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from consensus.state.results import ExecTxResult
from consensus.system.clock import LoopClock, ThreadWorkers, Workers, steady_clock
from consensus.system.disk import OsDisk
from consensus.system.tasks import Faults, Tasks, Work
from crypto.hash import sha256
from storage.kv import KeyValueStore
from storage.open import open_store

VERSION: Final = "0.38.26"  # of the protocol that peers are told
SUBMIT_S: Final = 30.0  # for a transaction to be committed
CALM: Final = CoreConfig(timeout_commit_ms=200, create_empty_blocks_interval_ms=1_000)
DATABASES: Final = ("blocks", "state", "app")

MakeApplication = Callable[[KeyValueStore], Application]  # of a database of its own

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a transaction stands, and what came of it."""

    height: int
    index: int
    result: ExecTxResult


class Node:
    """Made by `running`."""

    def __init__(
        self, engine: Engine, settings: Settings, chain_id: str, ended: asyncio.Future[str], workers: Workers
    ) -> None:
        self._workers = workers
        self.engine, self.settings, self.chain_id, self.ended = engine, settings, chain_id, ended
        self.faults = Faults()
        self.commits = CommitWatch(lambda tx_hash: engine.states.find_tx(tx_hash) is not None)
        self._tasks = Tasks(lambda code, line: end(ended, line), self.faults)
        engine.switch.children.on_failed = self.faults.failed
        engine.switch.children.on_recovered = self.faults.recovered
        engine.pool.on_dropped(self.commits.dropped)
        limits = OnSaved(lambda saved: set_block_limits(engine.pool, saved.state))  # the application may change them
        for name, listener in (("waits for commits", self.commits), ("block limits", limits)):
            engine.driver.add_saved_listener(SafeListener(name, listener, self.faults, needed=True))

    # ---------------------------------------------------------------------------------------------------- reading

    @property
    def height(self) -> int:
        """Of the last block that is saved with all that it did."""
        return self.engine.driver.state.last_block_height

    @property
    def app_hash(self) -> bytes:
        """After that block."""
        return self.engine.driver.state.app_hash

    @property
    def peers(self) -> tuple[str, ...]:
        """Ids of the nodes that are connected."""
        return tuple(peer.id for peer in self.engine.switch.peers)

    def query(self, data: bytes, *, path: str = "", height: int = 0, prove: bool = False) -> QueryResponse:
        """What the application answers, after the last block."""
        return self.engine.app.query(QueryRequest(path, data, height, prove))

    async def ask(self, data: bytes, *, path: str = "") -> QueryResponse:
        """`query`, of an application that is elsewhere in a thread."""
        work = self._workers.run if isinstance(self.engine.app, IsRemote) else None
        return self.query(data, path=path) if work is None else await work(lambda: self.query(data, path=path))

    def find(self, tx: bytes) -> Committed | None:
        """What came of a transaction that is in a saved block."""
        place = self.engine.states.find_tx(sha256(tx))
        results = None if place is None else self.engine.states.load_results(place[0])
        return None if place is None or results is None else Committed(*place, results[place[1]])

    async def wait_for_height(self, height: int) -> None:
        while True:
            next_block = self.commits.next_block()
            if self.height >= height:
                return
            await next_block.wait()

    # ---------------------------------------------------------------------------------------------------- writing

    async def submit(self, tx: bytes, *, client: str = "here", timeout_s: float = SUBMIT_S) -> Committed:
        """Have `tx` committed by the network, whatever it then does: `result.code` tells.

        client: in whose name, for the mempool's shares. Raises TransactionRefused (not admitted, or dropped),
        TimeoutError (it may be committed later: `find` tells).
        """
        key = sha256(tx)
        waiting = self.commits.expect(key)
        try:
            answer = await self.engine.pool.submit(tx, client=client)
            if answer.code:
                raise TransactionRefused.of(answer)
            async with asyncio.timeout(timeout_s):
                dropped = await waiting
            if dropped is not None:
                raise TransactionRefused.of(dropped)
        finally:
            self.commits.forget(key, waiting)
        done = self.find(tx)
        assert done is not None, key.hex()  # that is what it waited for
        return done

    # ---------------------------------------------------------------------------------------------- start and stop

    async def start(self) -> None:
        """Begin to listen, and to take part. Raises OSError: the address is taken."""
        self._tasks.watch_loop(asyncio.get_running_loop())
        self._tasks.side("mempool", self.engine.pool.run, needed=True)
        await self.engine.switch.start()
        self._tasks.vital("p2p", self.engine.switch.ended)
        await self.engine.gossip.start()

    def watch(self, name: str, work: Work) -> None:
        """A task beside the chain, until `stop`: one that fails begins anew, and is told."""
        self._tasks.side(name, work)

    async def stop(self) -> None:
        """Every step is tried; the first error is raised at the end."""
        errors: list[Exception] = []
        await self._tasks.stop("p2p")
        for part in (self.engine.gossip, self.engine.switch, self.engine.driver):
            try:
                await part.stop()
            except Exception as error:
                log.error("a part did not stop cleanly", part=type(part).__name__, error=repr(error))
                errors.append(error)
        await self._tasks.stop()
        self.engine.close()
        if errors:
            raise errors[0]


def end(ended: asyncio.Future[str], line: str) -> None:
    """The first reason counts."""
    if not ended.done():
        ended.set_result(line)


def switch_of(settings: Settings, node_key: NodeKey, chain_id: str, name: str) -> Switch:
    """Raises BadAddress, ValueError."""
    config = SwitchConfig(
        listen_address=settings.p2p, persistent_peers=settings.peers, allow_duplicate_ip=True, address_book_strict=False
    )
    info = NodeInfo(node_key.id, "", chain_id, VERSION, b"", name)
    return Switch(config, node_key=node_key, node_info=info, clock=steady_clock())


@contextlib.asynccontextmanager
async def running(
    home: NodeHome,
    make_application: MakeApplication,
    *,
    core: CoreConfig = CALM,
    settings: Settings | None = None,
    drive: Drive = drive,
) -> AsyncIterator[Node]:
    """A node from its home until the block is left. make_application: given a database of its own, which is closed
    last; an application that keeps its state elsewhere leaves it alone. settings: other than the home's. drive: of its
    sliced calls.

    Raises UnusableHome, StorageError, EngineError, SignerError, P2PError, OSError, and what the application raises.
    """
    genesis, node_key, key, own = home.load()
    settings = own if settings is None else settings
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    workers = ThreadWorkers()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(workers.close)
        stores = {}
        for name in DATABASES:
            stores[name] = open_store("leveldb", home.data / name)
            stack.callback(stores[name].close)
        engine = await Engine.open(
            make_application(stores["app"]), genesis, key=key, software=VERSION,
            switch=switch_of(settings, node_key, genesis.chain_id, home.root.name),
            machine=Machine(disk=OsDisk(), clock=LoopClock(), workers=workers, chance=random.Random(), drive=drive),
            kept=Kept(
                blocks=stores["blocks"], state=stores["state"], data=home.data, wal=home.wal,
                sign_state=home.sign_state,
            ),
            choices=Choices(core=core), fatal=lambda code, line: end(ended, line),
            on_halt=lambda halt: end(ended, _halted(halt)),
        )  # fmt: skip
        node = Node(engine, settings, genesis.chain_id, ended, workers)
        stack.push_async_callback(node.stop)
        await node.start()
        yield node


def _halted(halt: HaltRequested) -> str:
    return f"halted before height {halt.height}: {halt}"
