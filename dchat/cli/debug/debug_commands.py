"""`dchat debug`: `bisect` and `autopsy` (docs/autopsy.md), `dump` and `bundle` (docs/operators/debug.md)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from dchat.autopsy.errors import AutopsyError
from dchat.cli.database.group import copied, plainly
from dchat.cli.debug.dump_commands import bundle, dump
from dchat.cli.debug.examine import alone, between
from dchat.cli.debug.report import lines_of, names_apart
from dchat.cli.terminal.ask import client_of, host_port, node_address, node_option
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, current_home, echo, home_root, load_config, show_json
from dchat.client.client import NodeUnreachable
from dchat.client.trails import Peer
from dchat.home import logs
from dchat.home.errors import AlreadyRunning
from dchat.home.home import Home
from dchat.home.home_lock import hold_home
from dchat.upkeep.examined import HomeWitness
from storage.errors import StoreCorrupted

ANSWER_BYTES_MAX = 8 * 1024 * 1024  # of an answer about a trail; the largest honest one has a megabyte


@click.group("debug", cls=Group)
def debug() -> None:
    """Look into a fault: what a node is doing, and where nodes that should be alike are not."""


debug.add_command(bundle)
debug.add_command(dump)


@debug.command("bisect", cls=Command)
@click.argument("home_a", type=click.Path(file_okay=False, path_type=Path))
@click.argument("home_b", type=click.Path(file_okay=False, path_type=Path))
def bisect(home_a: Path, home_b: Path) -> None:
    """Find the first height, transaction and key in which two homes differ.

    The homes of stopped nodes, or copies of them; both are only read. At a terminal it is for people, piped it is JSON.
    Exit code 0: they do not differ; 1: they do.
    """
    if home_a.resolve() == home_b.resolve():
        raise Refusal(f"{home_a} and {home_b} are one home", Exit.USAGE)

    def work() -> dict[str, Any]:
        with home_witness(home_a) as one, home_witness(home_b) as other:
            return asyncio.run(between((one, other), (one, other)))

    tell(work)


@debug.command("autopsy", cls=Command)
@click.argument("peers", metavar="[PEER]...", nargs=-1)
@node_option
def autopsy(peers: tuple[str, ...], node: str | None) -> None:
    """Find the first height, transaction and key in which this node differs from others, and who is alone.

    PEER: gRPC addresses of other nodes. This node is asked by gRPC while it runs; the home (--home) of one that has
    ended is read. Without PEER such a home is compared with what this build makes of its blocks. Exit code 0: they do
    not differ; 1: they do; 4: one that was named did not answer.
    """
    addresses = [host_port("PEER", peer) for peer in peers]
    home = None if node else stopped_home()
    if home is None and not peers:
        raise Refusal("this node runs: name at least one other to compare it with (PEER, a gRPC address)", Exit.USAGE)
    own = None if home is not None else node_address(node)
    if twice := names_apart([*addresses, *([own] if own else [])]):
        raise Refusal(f"{twice[0]} is named twice, or is this node itself", Exit.USAGE)

    async def ask(witness: HomeWitness | None) -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as until:
            asked = [own] if own else []
            clients = [
                await until.enter_async_context(client_of(address, answer_bytes_max=ANSWER_BYTES_MAX))
                for address in (*asked, *addresses)
            ]
            peers = [Peer(client) for client in clients]
            return await between([*([witness] if witness else []), *peers], [witness] if witness else [])

    def work() -> dict[str, Any]:
        if home is None:
            return asyncio.run(ask(None))
        with home_witness(home) as witness:
            return asyncio.run(ask(witness)) if addresses else alone(witness)

    tell(work)


def stopped_home() -> Path | None:
    """The home, where no node runs on it; None: one does. Raises Refusal: there is none."""
    home, _ = current_home()
    if not home.databases.is_dir():
        raise Refusal(
            f"{home.databases} does not exist: name the home (--home), or a node that runs (--node)", Exit.USAGE
        )
    with plainly():
        try:
            with hold_home(home):
                return home_root()
        except AlreadyRunning:
            return None


@contextlib.contextmanager
def home_witness(root: Path) -> Iterator[HomeWitness]:
    """A copy of the home's databases. Raises Refusal."""
    config = load_config(root).config
    home = Home.of(root, config)
    logs.configure(level=config.log.level, json_lines=config.log.json_lines)
    if config.database.backend != "leveldb":
        raise Refusal(f"{root}: [database] backend is memory: there is nothing on disk", Exit.USAGE)
    if not home.databases.is_dir():
        raise Refusal(f"{root} is no node's home: {home.databases} does not exist", Exit.USAGE)
    with plainly(), copied(home, config) as copy:
        yield HomeWitness(str(root), copy, home)


def tell(work: Callable[[], dict[str, Any]]) -> None:
    """Do it, tell what was found, and end with its code."""
    try:
        told = work()
    except AutopsyError as error:
        raise Refusal(str(error), _code_of(error)) from None
    if sys.stdout.isatty():
        for line in lines_of(told):
            echo(line)
    else:
        show_json(told)
    if told["difference"] != "none":
        click.get_current_context().exit(int(Exit.FAILED))


def _code_of(error: BaseException) -> Exit:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StoreCorrupted):
            return Exit.DISK
        if isinstance(cause, NodeUnreachable):
            return Exit.UNREACHABLE
        cause = cause.__cause__
    return Exit.FAILED
