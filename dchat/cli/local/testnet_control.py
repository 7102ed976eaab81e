"""What `scripts/testnet` does once its environment is there: run a network on this machine, and look after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dchat.cli.local.network_options import DEFAULT_HOST, DEFAULT_VALIDATORS, Wanted, network_options
from dchat.cli.terminal.base import Command, Exit, Refusal, echo
from dchat.cli.top import command as top
from dchat.devnet import processes
from dchat.devnet.network import NETWORK_FILE, DevnetError, Network, NodeEntry, Ports, load_network, make_network
from dchat.devnet.ports import require_free, wanted_by
from dchat.devnet.processes import ControlError
from dchat.shown.text import safe_line

ACTIONS = ("run", "status", "stop", "kill", "start", "logs")
REFRESH_S = 0.5
PLAIN_EVERY_S = 10.0  # without a terminal
FIRST_BLOCK_TIMEOUT_S = 120.0
PROGRAM = "scripts/testnet"


@dataclass(frozen=True)
class Row:
    """One node at one moment. status: the HTTP door's, None when it does not answer."""

    node: NodeEntry
    pid: int | None
    status: dict[str, Any] | None
    txs_per_s: float = 0.0


class Watcher:
    """Asks all nodes' HTTP doors and remembers enough for rates."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._seen: dict[int, tuple[float, int]] = {}  # node -> (when, transactions committed)
        self._rates: dict[int, float] = {}

    async def rows(self, session: aiohttp.ClientSession) -> list[Row]:
        statuses = await asyncio.gather(*(self._status(session, node) for node in self.network.nodes))
        return [
            Row(node, processes.running_pid(self.network, node), status, self._rate(node, status))
            for node, status in zip(self.network.nodes, statuses, strict=True)
        ]

    async def _status(self, session: aiohttp.ClientSession, node: NodeEntry) -> dict[str, Any] | None:
        url = f"http://{self.network.host}:{node.ports.http}/status"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with session.get(url) as answer:
                status: dict[str, Any] = await answer.json()
                return status if status.get("node_id") == node.node_id else None  # else another network's, at our port
        return None

    def _rate(self, node: NodeEntry, status: dict[str, Any] | None) -> float:
        """Transactions a second, smoothed over a few refreshes."""
        if status is None:
            self._seen.pop(node.index, None)
            self._rates.pop(node.index, None)
            return 0.0
        now, count = time.monotonic(), int(status["committed_transactions"])
        before = self._seen.get(node.index)
        self._seen[node.index] = (now, count)
        if before is None or now <= before[0] or count < before[1]:
            return self._rates.get(node.index, 0.0)
        latest = (count - before[1]) / (now - before[0])
        rate = 0.7 * self._rates.get(node.index, latest) + 0.3 * latest
        self._rates[node.index] = rate if rate >= 0.05 else 0.0
        return self._rates[node.index]


def usual_folder() -> Path:
    """Of a network that no --home names."""
    return Path(os.environ.get("DCHAT_TESTNET_HOME") or "testnet-home").expanduser().absolute()


def to_type(network: Network, action: str) -> str:
    """What to type for an action on this network, and no other."""
    named = "" if network.folder == usual_folder() else f" --home {shlex.quote(str(network.folder))}"
    return f"{PROGRAM} {action}{named}"


def table_of(network: Network, rows: list[Row], caption: str = "") -> Table:
    """Fits into 80 columns."""
    title = f"{network.chain_id} in {network.folder}"
    table = Table(title=Text(title), caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("node", "process", "height", "round", "step", "peers", "tx/s", "mempool", "app hash"):
        table.add_column(name, justify="left" if name in ("node", "step", "app hash") else "right", no_wrap=True)
    for row in rows:
        status = row.status
        if status is None:
            table.add_row(
                row.node.name, str(row.pid or "stopped"), *["-"] * 7, style="red" if row.pid is None else "yellow"
            )
            continue
        table.add_row(
            row.node.name,
            str(row.pid or "?"),
            _cell(status["latest_block_height"]),
            _cell(status["consensus_round"]),
            _cell(status["consensus_step"]),
            _cell(status["peer_count"]),
            f"{row.txs_per_s:.1f}",
            _cell(status["mempool_size"]),
            _cell(status["latest_app_hash"][:8].lower()),
        )
    return table


def _cell(value: object) -> Text:
    """What a node says of itself, as plain text: neither escape sequences nor rich's own markup."""
    return Text(safe_line(str(value)))


def _console() -> Console:
    """Wide enough for the table when it goes to a file."""
    return Console() if sys.stdout.isatty() else Console(width=110)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0))


async def _show_once(network: Network) -> list[Row]:
    async with _session() as session:
        rows = await Watcher(network).rows(session)
    _console().print(table_of(network, rows))
    return rows


class ValidatorEnded(ControlError):
    """A validator ended while the network came up: which, and the last lines of its log."""

    def __init__(self, network: Network, node: NodeEntry) -> None:
        log = processes.log_file(network, node)
        super().__init__(f"{node.name} ended; the end of {log}:\n{processes.tail(network, node)}")


def has_come_up(network: Network, rows: list[Row]) -> bool:
    """Whether every node has a block. Raises ValidatorEnded."""
    for row in rows:
        if row.pid is None:
            raise ValidatorEnded(network, row.node)
    return all(row.status is not None and row.status["latest_block_height"] > 0 for row in rows)


async def _wait_for_blocks(network: Network) -> None:
    """Until every node has a block. Raises ControlError when one ends or nothing happens."""
    watcher, deadline = Watcher(network), time.monotonic() + FIRST_BLOCK_TIMEOUT_S
    async with _session() as session:
        while True:
            if has_come_up(network, await watcher.rows(session)):
                return
            if time.monotonic() > deadline:
                raise ControlError(f"no block within {FIRST_BLOCK_TIMEOUT_S:g} s; see `{to_type(network, 'logs')}`")
            await asyncio.sleep(0.2)


async def _watch(network: Network, *, until_up: bool = False) -> None:
    """The live table until SIGINT or SIGTERM; until_up: or until all nodes have a block. Raises ValidatorEnded,
    KeyboardInterrupt (until_up, and it was asked to end)."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    console, watcher, is_up = _console(), Watcher(network), False
    caption = f"Ctrl-C stops all; logs: {to_type(network, 'logs')}"
    async with _session() as session:
        first = table_of(network, await watcher.rows(session), caption)
        if not console.is_terminal:
            console.print(first)
        with (
            Live(first, console=console, auto_refresh=False)
            if console.is_terminal
            else contextlib.nullcontext() as live
        ):
            while not asked.is_set():
                pause = REFRESH_S if live is not None or not is_up else PLAIN_EVERY_S
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asked.wait(), pause)
                rows = await watcher.rows(session)
                is_up = is_up or asked.is_set() or has_come_up(network, rows)
                if live is None and not is_up:
                    continue
                table = table_of(network, rows, caption)
                if live is not None:
                    live.update(table, refresh=True)
                elif not asked.is_set():
                    console.print(table)
                if until_up and is_up:
                    break
    if until_up and asked.is_set():
        raise KeyboardInterrupt


def _start_all(network: Network) -> list[NodeEntry]:
    """Which it started: those that did not run. Raises PortsTaken: nothing was started; ControlError: one did not
    start, and those before it were stopped."""
    started: list[NodeEntry] = []
    waiting = [node for node in network.nodes if processes.running_pid(network, node) is None]
    _require_ports(network.folder, network.host, [(node.name, node.ports) for node in waiting], made=True)
    try:
        for node in waiting:
            started.append(node)
            processes.start(network, node)
    except (ControlError, KeyboardInterrupt):
        with processes.undisturbed():
            processes.stop(network, tuple(started))
        raise
    return started


def _tell_started(network: Network, started: Sequence[NodeEntry]) -> None:
    count = len(network.nodes)
    if not started:
        echo(f"{'its validator runs' if count == 1 else f'its {count} validators run'} already: nothing was started")
    elif len(started) < count:
        echo(f"started {', '.join(node.name for node in started)}; the others ran already")
    else:
        echo(f"started {count} validators" if count > 1 else f"started {started[0].name}")


def _require_ports(folder: Path, host: str, nodes: Sequence[tuple[str, Ports]], *, made: bool) -> None:
    """made: the network's ports stand in its files. Raises PortsTaken."""
    other = f"--home {folder}-2 " if made else ""
    require_free(
        host, [one for name, ports in nodes for one in wanted_by(name, ports)],
        what_to_do=f"stop what has them, or use others: scripts/testnet {other}--base-port 20000 (or --host 127.0.0.2)",
    )  # fmt: skip


def _run(network: Network, *, detach: bool) -> None:
    processes.end_as_by_interrupt()
    started = _start_all(network)
    if detach:
        _tell_started(network, started)
        try:
            asyncio.run(_wait_for_blocks(network))
            asyncio.run(_show_once(network))
        except (
            KeyboardInterrupt,
            OSError,
            ValidatorEnded,
        ):  # who gives up waiting wants no processes that nobody has seen
            with processes.undisturbed():
                processes.stop(network, tuple(started))
            raise
        _tell_how_to_go_on(network)
        return
    try:
        if sys.stdout.isatty() and sys.stdin.isatty() and top.has_textual():
            asyncio.run(_watch(network, until_up=True))
            asyncio.run(top.watch(top.watched_of(network), caption=f"q stops all; logs: {to_type(network, 'logs')}"))
        else:
            asyncio.run(_watch(network))
    except KeyboardInterrupt:
        pass  # it is how the table is left
    finally:
        with contextlib.suppress(OSError):  # the terminal may be what has ended
            echo("stopping all validators")
        with processes.undisturbed():  # impatience must not leave half of them running
            processes.stop(network, network.nodes)


def _tell_how_to_go_on(network: Network) -> None:
    """Of a network that runs without this terminal."""
    first = network.nodes[0]
    http = f"http://{network.host}:{first.ports.http}"
    echo(f"gRPC {network.host}:{first.ports.grpc}  HTTP {http}/status  explorer {http}/explorer")
    echo(f"logs: {to_type(network, 'logs')}  (all of them: {processes.log_file(network, first)}, ...)")
    echo(f"stop all: {to_type(network, 'stop')}")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Network]:
    """The network in `folder`, made if there is none; where no validator of it runs, it runs meanwhile.

    In one that is made, alice may plan upgrades. Raises DevnetError, OSError.
    """
    if not (folder / NETWORK_FILE).exists():
        usual = [(f"validator{index}", Ports.of(index)) for index in range(1, DEFAULT_VALIDATORS + 1)]
        _require_ports(folder, DEFAULT_HOST, usual, made=False)
        make_network(folder, upgrade_authority="alice")
    network = load_network(folder)
    if any(processes.running_pid(network, node) is not None for node in network.nodes):
        yield network
        return
    echo(f"no network runs in {folder}: {len(network.nodes)} validators are started for this", err=True)
    processes.end_as_by_interrupt()
    _start_all(network)
    try:
        asyncio.run(_wait_for_blocks(network))
        yield network
    finally:
        with processes.undisturbed():
            processes.stop(network, network.nodes)


def _network(folder: Path, wanted: Wanted) -> Network:
    """The one in `folder`, made if there is none. Options that would change one that exists are refused."""
    if not (folder / NETWORK_FILE).exists():
        listed = [(f"validator{index}", ports) for index, ports in enumerate(wanted.ports, start=1)]
        _require_ports(folder, wanted.address, listed, made=False)
        network = wanted.make(folder)
        echo(f"made a network of {len(network.nodes)} validators in {folder}")
        return network
    network = load_network(folder)
    if wanted.validators == len(network.nodes):
        wanted = wanted._replace(validators=None)
    if wanted.said:
        raise Refusal(
            f"there is a network in {folder} already: start it without {', '.join(wanted.said)}, or choose another "
            f"--home, or remove it: rm -r {folder}",
            Exit.USAGE,
        )
    return network


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("action", type=click.Choice(ACTIONS), default="run")
@click.argument("number", type=int, required=False)
@network_options
@click.option("--detach", is_flag=True, help="Return when the network makes blocks.")
@click.option("--lines", type=int, default=20, show_default=True, help="Of each log.")
@click.pass_context
def control(context: click.Context, action: str, number: int | None, wanted: Wanted, detach: bool, lines: int) -> None:
    """Run a network of validators on this machine.

    Without ACTION: make it if need be, start it, show a live table; Ctrl-C stops all. With NUMBER, kill, stop and
    start are about that validator.
    """
    said = context.meta.get("dchat.home")
    folder = Path(said).expanduser().absolute() if said else usual_folder()
    try:
        if action == "run":
            _run(_network(folder, wanted), detach=detach)
            return
        network = load_network(folder)
        _act(network, action, number, lines)
    except DevnetError as error:
        raise Refusal(str(error)) from None


next(
    option for option in control.params if option.name == "home"
).help = "The network's folder. Default: DCHAT_TESTNET_HOME, else testnet-home in the repository."


def _act(network: Network, action: str, number: int | None, lines: int) -> None:
    chosen = network.nodes if number is None else (network.node(number),)
    match action:
        case "status":
            rows = asyncio.run(_show_once(network))
            if any(row.status is None for row in rows):
                raise SystemExit(int(Exit.FAILED))
        case "logs":
            for node in chosen:
                echo(f"--- {processes.log_file(network, node)}")
                echo(processes.tail(network, node, lines))
        case "stop":
            stopped = processes.stop(network, chosen)
            echo(f"stopped {', '.join(node.name for node in stopped) or 'nothing: none ran'}")
        case "start" if number is None:
            _tell_started(network, _start_all(network))
            _tell_how_to_go_on(network)
        case "start":
            (one,) = chosen
            if processes.running_pid(network, one) is None:
                _require_ports(network.folder, network.host, [(one.name, one.ports)], made=True)
            echo(f"started {chosen[0].name} as process {processes.start(network, chosen[0])}")
        case "kill":
            if number is None:
                raise Refusal("kill needs the number of a validator", Exit.USAGE)
            processes.kill(network, chosen[0])
            echo(f"killed {chosen[0].name}")


if __name__ == "__main__":
    if not __debug__:
        sys.exit(f"{PROGRAM}: python -O removes checks that keep a validator safe")
    control(prog_name=PROGRAM)
