"""The process around a served application: its database, its snapshots, signals, and how it ends.

SIGTERM and SIGINT finish what is under way and stop; kill -9 at any moment is mended by the engine's handshake, because
a commit is on the disk before it is answered. A halt (an upgrade that this build does not know) and whatever the
application cannot go on from are answered to the engine, which ends, and end this process with a code and a last line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
import uvloop

from chain.state.store import Stores
from consensus.abci.interface import CommitResponse, HaltReason, HaltRequested
from consensus.abci_socket.address import SocketAddress
from consensus.abci_socket.server import AbciServer
from consensus.execution.verifiers import HelperVerifiers
from consensus.formats.errors import InvalidData
from consensus.formats.units import MIB
from consensus.system.clock import LoopClock, ThreadWorkers
from consensus.system.disk import OsDisk
from consensus.system.errors import EngineError, exit_code_of
from consensus.system.machine import last_words
from consensus.system.tasks import Faults, Tasks
from dchat.abci.application import ServedApplication
from dchat.app.snapshots import Shelf
from dchat.config import Config
from dchat.home import logs
from dchat.home.errors import AlreadyRunning, HomeError
from dchat.home.home import Home
from dchat.home.home_lock import hold_home
from dchat.home.version import build_version
from dchat.node.doors import listening
from dchat.node.errors import CannotListen
from dchat.node.process import EXIT_FAILED, EXIT_OK, EXIT_USAGE, SWITCH_INTERVAL_S
from dchat.node.runtime import store_options
from dchat.node.upgrade import EXIT_UPGRADE, options_of, write_info
from dchat.retention.retention import Policy
from dchat.retention.room import NoRoom, RoomOnDisk
from dchat.statesync.maker import SnapshotMaker
from storage.errors import StorageError
from storage.kv import KeyValueStore
from storage.open import open_store

APP: str = "app"

log = structlog.get_logger(__name__)


class NotForServing(HomeError):
    """A home that another process of ours lives from."""


def serve(home: Home, config: Config, address: SocketAddress) -> int:
    """Until a signal or a failure; returns the exit code."""
    try:
        if (home.databases / "blocks").exists():
            raise NotForServing(
                f"{home.databases} holds a validator's blocks: its application cannot go ahead of them. Give another "
                "--home; the engine hands it the genesis, and the blocks that it lacks"
            )
        logs.configure(level=config.log.level, json_lines=config.log.json_lines, name="abci")
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        with hold_home(home):
            return uvloop.run(_Process(home, config, address).main())
    except AlreadyRunning as error:
        return logs.last_line(EXIT_FAILED, str(error))
    except (HomeError, CannotListen, ValueError) as error:
        return logs.last_line(EXIT_USAGE, str(error))
    except HaltRequested as halt:
        return logs.last_line(EXIT_UPGRADE, str(halt))
    except (StorageError, EngineError, NoRoom, OSError) as error:
        return logs.last_line(exit_code_of(error), last_words(error))


class _Process:
    def __init__(self, home: Home, config: Config, address: SocketAddress) -> None:
        self._home, self._config, self._address = home, config, address
        self._ended: asyncio.Future[tuple[int, str]] | None = None

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        ended = self._ended = loop.create_future()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop_asked, name.name)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def broke(error: Exception) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it ends already
                loop.call_soon_threadsafe(self._end, exit_code_of(error), last_words(error))

        path = self._home.databases / APP
        database = open_store(self._config.database.backend, path, store_options(APP, self._config), on_broken=broke)
        workers = ThreadWorkers()
        try:
            served = Served(self._home, self._config, database, workers, self._failed)
            try:
                await served.start(self._address, self._end)
                code, reason = await ended
            finally:
                await served.stop()
        finally:
            workers.close()
            database.close()
        if code:
            return logs.last_line(code, reason)
        log.info("stopped", reason=reason)
        return int(code)

    def _failed(self, error: Exception, app: ServedApplication) -> None:
        """What the application raised: the engine has been told."""
        match error:
            case HaltRequested(reason=HaltReason.CONFIGURED):
                self._end(EXIT_OK, str(error))
            case HaltRequested():
                if error.reason is HaltReason.UPGRADE_NEEDED and app.plan is not None:
                    write_info(self._home, app.plan, error.height)
                self._end(EXIT_UPGRADE, str(error))
            case InvalidData() | ValueError():  # as a genesis that this application cannot begin with
                self._end(EXIT_USAGE, str(error))
            case _:
                self._end(exit_code_of(error), last_words(error))

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


class Served:
    """The application with what keeps it: snapshots are taken, old versions go, the room on the disk is watched."""

    def __init__(
        self, home: Home, config: Config, database: KeyValueStore, workers: ThreadWorkers,
        failed: Callable[[Exception, ServedApplication], None],
    ) -> None:  # fmt: skip
        """failed: what the application raised. Raises HaltRequested: this build is not for what is stored."""
        policy, shelf = Policy.of(config), Shelf(OsDisk(), home.snapshots)
        stores = Stores(database, cache_bytes=config.database.state_cache_size * MIB)
        self.app = ServedApplication(
            stores, retain_blocks=policy.blocks, upgrade_options=options_of(config, None), shelf=shelf
        )
        self._room = RoomOnDisk([home.data, home.databases], floor_bytes=config.database.min_free * MIB)
        self._verifiers = HelperVerifiers(workers)
        self._workers, self._policy, self._clock = workers, policy, LoopClock()
        self.server = AbciServer(
            self.app, workers=workers, fatal=lambda error: failed(error, self.app), committed=self._committed,
            verifiers=self._verifiers,
        )  # fmt: skip
        self._maker = SnapshotMaker(
            self.app.stores, shelf, self._clock, workers, interval=config.snapshots.interval,
            kept=config.snapshots.keep_recent, hold=self._hold, check_room=self._room.check_spare,
        )  # fmt: skip
        self._pruning: asyncio.Task[None] | None = None
        self._tasks: Tasks | None = None

    def _hold(self, height: int) -> None:
        self.app.held_height = height

    async def start(self, address: SocketAddress, fatal: Callable[[int, str], None]) -> None:
        """Raises CannotListen, NoRoom."""
        self._room.check()
        faults = Faults()
        self._tasks = Tasks(fatal, faults)
        self._tasks.side("room on the disk", lambda: self._room.watch(self._workers, faults, fatal))
        with listening("an engine", str(address), "--listen"):
            at = await self.server.start(address)
        log.info(
            "serving the application over ABCI 2.0", address=str(at), version=build_version(),
            height=self.app.last_height, app_hash=self.app.stores.app_hash.hex() if self.app.last_height else "",
            pid=os.getpid(),
        )  # fmt: skip

    def _committed(self, response: CommitResponse) -> None:
        """In the loop, after the commit is durable."""
        height = self.app.last_height
        self._maker.height_saved(height)
        every, kept = self._policy.every, self._policy.versions
        if kept and height % every == 0 and (self._pruning is None or self._pruning.done()):
            self._pruning = asyncio.get_running_loop().create_task(self._prune(height - kept), name="prune versions")

    async def _prune(self, below: int) -> None:
        steps = self.app.stores.prune_steps(below)
        try:
            while await self._workers.run(lambda: next(steps, 0) is None):
                pass
        except Exception as error:
            log.error("failed to prune old versions; the chain goes on", below=below, error=last_words(error))

    async def stop(self) -> None:
        await self.server.stop()
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
        await self._maker.stop()
        if self._tasks is not None:
            await self._tasks.stop()
        self._verifiers.end()


def default_socket(home: Home) -> Path:
    """Where it listens when nobody says."""
    return home.data / "abci.sock"
