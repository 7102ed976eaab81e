"""The process around a node: event loop, signals, the pid file, and how it ends.

SIGTERM and SIGINT stop cleanly (a second one at once), SIGHUP loads the options again. Whatever makes it impossible
to go on ends the process with a code above 0 and one clear last line (failure 19).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

import structlog
import uvloop

from chain.genesis import InvalidAppState
from consensus.engine.errors import EngineError
from node import logs
from node.config import Config, Loaded
from node.home import Home, HomeError, load_genesis, load_validator_key
from node.runtime import Node
from node.version import build_version
from node.views import host_name
from p2p.errors import P2PError
from p2p.node_key import NodeKey
from storage.errors import StorageError

log = structlog.get_logger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
STOP_TIMEOUT_S = 15.0  # a stop that takes longer is cut: supervisors wait 20 to 90 s
DOORS_LOG_TEXT = "the JSON-RPC door is not opened by this build; its address is kept for later"


class AlreadyRunning(Exception):
    """Another process holds this home."""


def run_validator(home: Home, loaded: Loaded, *, reload: Callable[[], Loaded]) -> int:
    """Run until a signal or a failure; returns the exit code."""
    config = loaded.config
    logs.configure(
        level=config.log.level, json_lines=config.log.json_lines, name=config.validator.moniker or host_name()
    )
    try:
        with _lock(home):
            return uvloop.run(_Process(home, loaded, reload).main())
    except AlreadyRunning as error:
        return _last_line(EXIT_FAILED, str(error))
    except (HomeError, InvalidAppState, P2PError, ValueError) as error:
        return _last_line(EXIT_USAGE, str(error))
    except (StorageError, EngineError, OSError) as error:
        return _last_line(EXIT_FAILED, f"{type(error).__name__}: {error}")


def _last_line(code: int, text: str) -> int:
    sys.stderr.write(f"dchat: {text}\n")
    sys.stderr.flush()
    return code


@contextlib.contextmanager
def _lock(home: Home) -> Iterator[None]:
    """One process per home: two would sign with one key. The file holds the pid for people and for the testnet."""
    home.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with home.pid_file.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = file.read().strip()
            raise AlreadyRunning(f"{home.pid_file}: process {pid} runs on this home already") from None
        _write_pid(file)
        yield
        # the name stays: removing it would let a third process lock another file of the same name
        file.truncate(0)


def _write_pid(file: TextIO) -> None:
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()


class _Process:
    def __init__(self, home: Home, loaded: Loaded, reload: Callable[[], Loaded]) -> None:
        self._home, self._loaded, self._reload = home, loaded, reload
        self._ended: asyncio.Future[tuple[int, str]] | None = None

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self._stop_asked, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._stop_asked, "SIGINT")
        loop.add_signal_handler(signal.SIGHUP, self._load_again)
        home, config = self._home, self._loaded.config
        for warning in self._loaded.warnings:
            log.warning("an option was taken otherwise than it reads", option=warning)
        genesis = load_genesis(home)
        log.info(
            "started",
            version=build_version(),
            chain_id=genesis.chain_id,
            home=str(home.root),
            pid=os.getpid(),
        )
        log.info(DOORS_LOG_TEXT, rpc_listen_address=config.network.rpc_listen_address)
        node = await Node.open(
            home,
            config,
            genesis,
            node_key=NodeKey.load(home.node_key),
            validator_key=load_validator_key(home),
            fatal=self._end,
        )
        _warn_about_genesis(config, node)
        try:
            await node.start()
            code, reason = await self._ended
        finally:
            await self._stop(node)
        if code:
            return _last_line(code, reason)
        log.info("stopped", reason=reason)
        return code

    async def _stop(self, node: Node) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await node.stop()
        except TimeoutError:
            log.error("stopping took too long and was cut", seconds=STOP_TIMEOUT_S)

    def _end(self, code: int, reason: str) -> None:
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result((code, reason))

    def _stop_asked(self, name: str) -> None:
        assert self._ended is not None
        if self._ended.done():
            os._exit(EXIT_FAILED)  # asked twice: somebody is in a hurry, and every write that matters is synced
        log.info("stopping", signal=name)
        self._end(EXIT_OK, name)

    def _load_again(self) -> None:
        """SIGHUP: log options take effect, other changes are told to need a restart."""
        try:
            loaded = self._reload()
        except Exception as error:  # a broken file must not stop a validator
            log.error("options were not loaded again", error=str(error))
            return
        new, old = loaded.config, self._loaded.config
        logs.configure(level=new.log.level, json_lines=new.log.json_lines)
        changed = [name for name in type(new).model_fields if getattr(new, name) != getattr(old, name)]
        self._loaded = Loaded(old.model_copy(update={"log": new.log}), loaded.origins, loaded.warnings, loaded.file)
        log.info(
            "loaded the options again",
            level=new.log.level,
            needs_restart=",".join(name for name in changed if name != "log") or None,
        )


def _warn_about_genesis(config: Config, node: Node) -> None:
    """What every node must agree on is the chain's; a differing option is told, with the chain's value."""
    on_chain = node.driver.state.params.block.max_bytes
    if config.consensus.max_block_size != on_chain:
        log.warning(
            "an option differs from the chain's value, which counts",
            option="[consensus] max_block_size",
            option_value=config.consensus.max_block_size,
            chain_value=on_chain,
        )
    if not node.driver.state.validators.by_address(node.views.me.validator_address):
        log.warning("this node's key is not in the validator set: it follows without voting")
