"""The command of a chain of one's own: `run(MyApplication)` at the end of a script.

    python my_chain.py                                  one validator, its home in ./my-chain
    python my_chain.py --validators 4                   four of them, each a process; Ctrl-C stops all
    python my_chain.py --home my-chain/node2            one of the four, by itself

What is missing is made (keys, a genesis, addresses from --base-port on); what is there is taken up where it stopped.
Source: docs/your-own-chain.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import structlog
import uvloop

from consensus.formats.errors import InvalidGenesis
from consensus.node.door import Door
from consensus.node.errors import UnusableHome
from consensus.node.home import HOST, PORTS_EACH, NodeHome, make_network
from consensus.node.node import MakeApplication, running
from consensus.system.errors import EXIT_CONSENSUS_FAILURE, EngineError
from storage.errors import StorageError, StoreUnavailable

EXIT_UNUSABLE: Final = 1
VALIDATORS_MAX: Final = 20  # processes on one machine
STOP_S: Final = 20.0
BASE_PORT: Final = 26_656

log = structlog.get_logger(__name__)


def run(make_application: MakeApplication, arguments: list[str] | None = None) -> None:
    """Run the command, and end the process."""
    script = Path(sys.argv[0])
    name = re.sub(r"[^a-z0-9]+", "-", script.stem.lower()).strip("-") or "chain"
    parser = argparse.ArgumentParser(description=f"A validator of {name}, or several.")
    parser.add_argument("--home", type=Path, default=Path(name), help="of the node, or of all (default: ./%(default)s)")
    parser.add_argument("--validators", type=int, default=1, help=f"of a new chain (1 to {VALIDATORS_MAX})")
    parser.add_argument(
        "--base-port", type=int, default=BASE_PORT, help="of a new chain: two ports a node from there on"
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.validators <= VALIDATORS_MAX:
        parser.error(f"--validators is {options.validators}; allowed: 1 to {VALIDATORS_MAX}")
    _log_to_stderr()
    try:
        homes = homes_of(options.home, options.validators, chain_id=name, base_port=options.base_port)
        work = one(homes[0], make_application) if len(homes) == 1 else several(script, homes)
        sys.exit(uvloop.run(work))
    except StoreUnavailable as error:
        sys.exit(f"{error} (does another process run on this home?)")
    except (UnusableHome, InvalidGenesis, EngineError, StorageError, OSError) as error:
        sys.exit(f"{options.home}: {error}")


def _log_to_stderr() -> None:
    """A traceback has no values, which structlog would show where `rich` is installed: a key may stand in a variable,
    and to draw them takes seconds, in which the node that failed does not end. A line and its end are written at once:
    several nodes write to one pipe, and Python buffers nothing where PYTHONUNBUFFERED says so."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def homes_of(root: Path, validators: int, *, chain_id: str, base_port: int) -> list[NodeHome]:
    """The homes that are in `root`, or new ones. Raises UnusableHome, InvalidGenesis, OSError."""
    if NodeHome(root).genesis.exists():
        return [NodeHome(root)]
    there = sorted(root.glob("node*/config/genesis.json"))
    if there:
        return [NodeHome(path.parents[1]) for path in there]
    if root.exists() and any(root.iterdir()):
        raise UnusableHome(f"{root} holds something else than nodes: give an empty or a new folder to --home")
    check_free(base_port, PORTS_EACH * validators)
    roots = [root] if validators == 1 else [root / f"node{number}" for number in range(1, validators + 1)]
    return make_network(roots, chain_id=chain_id, base_port=base_port)


def check_free(first: int, count: int) -> None:
    """That a new chain's nodes can listen, before any file is made. Raises UnusableHome."""
    for port in range(first, first + count):
        try:
            with socket.create_server((HOST, port)):
                pass
        except (OSError, OverflowError) as error:
            raise UnusableHome(
                f"nothing can listen on {HOST}:{port} ({error}); no chain was made: --base-port gives it {count} ports "
                "from another one on"
            ) from None


def stop_asked() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


async def one(home: NodeHome, make_application: MakeApplication) -> int:
    """Run a node until a signal, or until it cannot go on. Returns the exit code."""
    asked = stop_asked()
    structlog.contextvars.bind_contextvars(node=home.root.name)
    async with running(home, make_application) as node:
        door = Door(node, node.settings.door)
        await door.start()
        log.info("started", pid=os.getpid(), home=str(home.root), p2p=node.settings.p2p, door=door.address)
        signalled = asyncio.ensure_future(asked.wait())
        try:
            await asyncio.wait((signalled, node.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            signalled.cancel()
            await door.stop()
        if node.ended.done():
            sys.stderr.write(f"{node.ended.result()}\n")
            return EXIT_CONSENSUS_FAILURE
    return 0


async def several(script: Path, homes: list[NodeHome]) -> int:
    """Run each as a process of its own, until a signal. One that ends is told; the others go on."""
    asked = stop_asked()
    processes = {
        home.root.name: await asyncio.create_subprocess_exec(
            sys.executable, str(script), "--home", str(home.root), start_new_session=True
        )
        for home in homes
    }
    waits = [asyncio.ensure_future(told_end(name, process)) for name, process in processes.items()]
    signalled = asyncio.ensure_future(asked.wait())
    await asyncio.wait((signalled, asyncio.ensure_future(asyncio.wait(waits))), return_when=asyncio.FIRST_COMPLETED)
    for process in processes.values():
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    await asyncio.wait(waits, timeout=STOP_S)
    return 0 if asked.is_set() else EXIT_UNUSABLE


async def told_end(name: str, process: asyncio.subprocess.Process) -> None:
    code = await process.wait()
    sys.stderr.write(f"{name} ended with {code}\n")
