"""`dchat validator --proxy-app`: our engine with somebody else's application, in a process of its own.

    peers --- engine --- four connections --- the application
                |
        JSON-RPC, HTTP, metrics; gRPC says that this chain is not dchat's

The application has its own state and its own ways; this node has blocks, the engine's state and the validator's keys.
One that is not there yet is waited for, one that goes ends the node (exit code 69): started again, both are brought to
one height by the handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import structlog
import uvloop

from consensus.abci_socket.address import parse_address
from consensus.abci_socket.client import AbciClient
from consensus.documents.genesis import GenesisDoc, GenesisValidator
from consensus.execution.verifiers import HelperVerifiers
from consensus.node.commit_watch import SafeListener
from consensus.node.engine import Engine, Kept, Machine
from consensus.node.home import Settings
from consensus.node.node import Node
from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_key import NodeKey
from consensus.pruning.background import Pruner
from consensus.pruning.blocks import BlockPruning
from consensus.stores.state_store import StateStore
from consensus.system.clock import LoopClock, ThreadWorkers
from consensus.system.disk import OsDisk
from consensus.system.errors import EXIT_CONSENSUS_FAILURE, ConsensusFailure, EngineError, exit_code_of
from consensus.system.files import write_new
from consensus.system.machine import last_words
from consensus.types.params import ConsensusParams
from crypto.keys import PubKey
from dchat.abci.rpc import RpcDoor
from dchat.abci.views import ForeignViews
from dchat.config import Config, Loaded
from dchat.config.pages import example_toml
from dchat.doors.certificates import DoorCertificates
from dchat.doors.http.views import Me, host_name
from dchat.home import identity, logs
from dchat.home.errors import AlreadyRunning, HomeError
from dchat.home.home import Home, load_genesis, load_validator_key, make_keys, write_genesis
from dchat.home.home_lock import hold_home
from dchat.home.version import build_version
from dchat.node.doors import listening
from dchat.node.errors import CannotListen
from dchat.node.parts.options import choices_of
from dchat.node.process import EXIT_FAILED, EXIT_OK, EXIT_USAGE, SWITCH_INTERVAL_S
from dchat.node.runtime import check_belongs, find_peers, moniker_of, room_of, store_options, switch_of
from dchat.retention.retention import Policy
from dchat.retention.room import NoRoom
from dchat.statesync.doors import JoinDoors
from storage.errors import StorageError
from storage.kv import KeyValueStore
from storage.open import open_store

POWER = 10  # of the one validator of a new chain, as `cometbft init` gives it

log = structlog.get_logger(__name__)


def make_foreign_home(home: Home, config: Config, genesis_file: Path | None) -> None:
    """Make what is missing. A new chain has this node as its validator, and no app_state. Raises HomeError."""
    chain_id = config.validator.chain_id
    for option, is_set in (
        ("[state_sync] enable", config.state_sync.enable),
        ("[upgrade] binary", config.upgrade.binary),
    ):
        if is_set:
            raise HomeError(f"{option} is of dchat's own application, and [node] proxy_app names another")
    if not home.genesis.exists() and genesis_file is None and not chain_id:
        raise HomeError(f"{home.genesis} is missing: name the chain to begin with --chain-id, or copy a genesis")
    if not home.config_file.exists():
        write_new(home.config_file, example_toml())
    if not home.identity.exists():
        identity.generate().save(home.identity)
    make_keys(home)
    if home.genesis.exists():
        return
    if genesis_file is not None:
        write_genesis(home, genesis_file.read_text())
        return
    validators = (GenesisValidator(load_validator_key(home).pub_key, POWER, ""),)
    write_genesis(home, GenesisDoc(chain_id, time.time_ns(), 1, ConsensusParams(), validators).dumps())


def run_engine(home: Home, loaded: Loaded) -> int:
    """Until a signal or a failure; returns the exit code."""
    config = loaded.config
    name = config.validator.moniker or host_name()
    logs.configure(level=config.log.level, json_lines=config.log.json_lines, name=name)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    for warning in loaded.warnings:
        log.warning("an option was taken otherwise than it reads", option=warning)
    try:
        with hold_home(home):
            return uvloop.run(_Process(home, config).main())
    except AlreadyRunning as error:
        return logs.last_line(EXIT_FAILED, str(error))
    except (HomeError, CannotListen, P2PError, ValueError) as error:
        return logs.last_line(EXIT_USAGE, str(error))
    except (StorageError, EngineError, NoRoom, OSError) as error:
        return logs.last_line(exit_code_of(error), last_words(error))


class _Process:
    def __init__(self, home: Home, config: Config) -> None:
        self._home, self._config = home, config
        self._ended: asyncio.Future[tuple[int, str]] | None = None
        self._started_ns = time.monotonic_ns()

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        ended = self._ended = loop.create_future()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop_asked, name.name)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        async with contextlib.AsyncExitStack() as stack:
            work = asyncio.ensure_future(stack.enter_async_context(self._running()))
            waiting: set[asyncio.Future[Any]] = {work, ended}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            else:
                try:
                    work.result()
                except ConsensusFailure:
                    if not ended.done():
                        raise
            code, reason = await ended
        if code:
            return logs.last_line(code, reason)
        log.info("stopped", reason=reason)
        return int(code)

    def _lost(self, error: ConsensusFailure) -> None:
        """In the thread of the sockets."""
        assert self._ended is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: it ends already
            self._ended.get_loop().call_soon_threadsafe(self._end, exit_code_of(error), str(error))

    def _end(self, code: int, reason: str) -> None:
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result((code, reason))

    def _stop_asked(self, name: str) -> None:
        assert self._ended is not None
        if self._ended.done():
            os._exit(EXIT_FAILED)  # asked twice; every write that matters is synced
        log.info("stopping", signal=name)
        self._end(EXIT_OK, name)

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        home, config = self._home, self._config
        genesis, key, node_key = load_genesis(home), load_validator_key(home), NodeKey.load(home.node_key)
        room = room_of(home, config)
        room.check()
        workers = ThreadWorkers()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(workers.close)
            stores: dict[str, KeyValueStore] = {}
            for name in ("blocks", "state"):
                stores[name] = open_store(config.database.backend, home.databases / name, store_options(name, config))
                stack.callback(stores[name].close)
            check_belongs(stores["state"], genesis, home)
            known = StateStore(stores["state"]).load()
            client = await AbciClient.connect(
                parse_address(config.node.proxy_app), lost=self._lost,
                params=genesis.consensus_params if known is None else known.params,
            )  # fmt: skip
            stack.callback(client.close)
            chance, clock = random.Random(), LoopClock()
            switch = switch_of(config, node_key, genesis)
            engine = await Engine.open(
                client, genesis, key=key, switch=switch, software=build_version(), fatal=self._end,
                machine=Machine(
                    disk=OsDisk(), clock=clock, workers=workers, chance=chance, drive=client.drive,
                    verifiers=HelperVerifiers(workers),
                ),
                kept=Kept(
                    blocks=stores["blocks"], state=stores["state"], data=home.data, wal=home.wal,
                    sign_state=home.sign_state,
                ),
                choices=choices_of(home, config),
            )  # fmt: skip
            find_peers(switch, home, config, chance)
            pruner = self._pruner(engine, workers, clock)
            node = Node(
                engine, Settings(door=config.network.rpc_listen_address), genesis.chain_id,
                asyncio.get_running_loop().create_future(), workers,
            )  # fmt: skip
            engine.driver.add_saved_listener(SafeListener("pruning", pruner, node.faults))
            node.ended.add_done_callback(lambda done: self._end(EXIT_CONSENSUS_FAILURE, done.result()))
            stack.push_async_callback(pruner.stop)
            stack.push_async_callback(node.stop)
            me = Me(genesis.chain_id, moniker_of(config), node_key.id, lambda: key.pub_key.address, self._started_ns)
            await self._open_doors(stack, node, client, me, genesis, key.pub_key)
            with listening("peers", config.network.listen_address, "[network] listen_address"):
                await node.start()
            node.watch("room on the disk", lambda: room.watch(workers, node.faults, self._end))
            log.info(
                "started", version=build_version(), chain_id=genesis.chain_id, home=str(home.root), pid=os.getpid(),
                proxy_app=client.remote_address, height=node.height,
            )  # fmt: skip
            yield

    def _pruner(self, engine: Engine, workers: ThreadWorkers, clock: LoopClock) -> Pruner:
        """What the application's commits let go of."""
        executor, evidence = engine.executor, engine.evidence
        blocks = BlockPruning(
            engine.blocks, engine.states, retain_height=lambda: executor.retain_height,
            evidence_floor=lambda: evidence.floor,
        )  # fmt: skip
        return Pruner((blocks,), workers, clock, every=Policy.of(self._config).every)

    async def _open_doors(
        self, stack: contextlib.AsyncExitStack, node: Node, client: AbciClient, me: Me, genesis: GenesisDoc, key: PubKey
    ) -> None:
        """Raises CannotListen."""
        config = self._config
        rpc = config.network.rpc_listen_address
        views = ForeignViews(me, node, client, rpc=rpc, unhealthy_after_s=config.observability.unhealthy_after)
        doors = JoinDoors(self._home, config, views)
        await doors.start(listening)
        stack.push_async_callback(doors.stop)
        if not rpc:
            return
        tls = DoorCertificates.of(self._home.root, config).rpc
        door = RpcDoor(config, node, client, genesis, me, key, why=views.later(), tls=tls)
        with listening("JSON-RPC", rpc, "[network] rpc_listen_address"):
            await door.start()
        stack.push_async_callback(door.stop)
