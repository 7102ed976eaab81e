"""`dchat doctor`: a running node or network against the baseline of a healthy one (docs/doctor.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chain.tx.messages import Payment
from consensus.formats.units import MIB
from dchat.cli.commands.status_commands import context_of, own_url, url_said, why_of
from dchat.cli.debug.checkup import BAD, OK, Line, Seen, lines_of
from dchat.cli.terminal.ask import client_of, node_address, tls_options, tls_said
from dchat.cli.terminal.base import Command, Exit, Refusal, current_home, echo, own_node, show_json
from dchat.cli.terminal.times import Length
from dchat.client.client import ClientError
from dchat.client.wallet import Session, decoded
from dchat.devnet.network import DevnetError, load_network
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.shown.text import safe_line
from proto.dchat.v1.staking_service_pb2 import ListStakingValidatorsRequest

NODES_MAX: Final = 64
ASKED: Final = ("/ready", "/status", "/chain/blocks?limit=40")
REQUESTS: Final = 40  # whose times make the p95: two are above it
ANSWER_BYTES_MAX: Final = 4 * MIB
TIMEOUT_S: Final = 5.0
WINDOW_MAX_S: Final = 600
TX_WITHIN_S: Final = 30.0
SECTOR_FIELDS: Final = (3, 7)  # of a line of /proc/diskstats: reads and writes that were completed
_SAMPLE: Final = re.compile(r"^((?:dchat|process)_\w+)(?:\{[^}\n]*\})? (\S+)$", re.MULTILINE)
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("doctor", cls=Command)
@click.option("--url", "urls", multiple=True, help="A node's HTTP door, like http://10.0.0.2:8080; repeat for more.")
@click.option("--network", "folder", type=FOLDER, help="All nodes of a test network: its folder.")
@click.option("--for", "seconds", type=Length(), default="10s", show_default=True, help="How long to watch.")
@click.option(
    "--from", "payer", type=FILE, help="An identity file: time a payment of one udchat to a validator's operator."
)
@tls_options
def doctor(urls: tuple[str, ...], folder: Path | None, seconds: int, payer: Path | None) -> None:
    """Check running nodes against the baseline of a healthy network, and say what to do where one falls short.

    Without --url and --network it is this home's own node. Nothing is changed; with --from a transaction is sent, whose
    fee that account pays. Exit code 0: nothing fails; 1: something does; 4: no node answers.
    """
    if not 1 <= seconds <= WINDOW_MAX_S:
        raise click.UsageError(f"--for: {seconds} s; allowed: 1 to {WINDOW_MAX_S} s")
    places = _places(urls, folder)
    if len(places) > NODES_MAX:
        raise click.UsageError(f"{len(places)} nodes; allowed: {NODES_MAX}")
    nodes = asyncio.run(_watch(places, float(seconds)))
    if all(node.error for node in nodes):
        raise Refusal(f"no node answers: {nodes[0].url}: {nodes[0].error}", Exit.UNREACHABLE)
    took_s = None if payer is None else _time_payment(payer, None if folder is None else _grpc_of(folder))
    lines = list(lines_of(nodes, waiting_tx_s=took_s))
    failed = [line for line in lines if line.verdict == BAD]
    if sys.stdout.isatty():
        _show(lines)
    else:
        show_json({"healthy": not failed, "lines": [asdict(line) for line in lines]})
    if failed:
        click.get_current_context().exit(int(Exit.FAILED))


def _places(urls: Sequence[str], folder: Path | None) -> list[tuple[str, Path | None]]:
    """(HTTP door, its home where that is here), of all that are asked."""
    found: list[tuple[str, Path | None]] = [(url_said(url).rstrip("/"), None) for url in urls]
    if folder is not None:
        try:
            network = load_network(folder)
        except DevnetError as error:
            raise Refusal(str(error), Exit.USAGE) from None
        found += [(f"http://{network.host}:{node.ports.http}", network.home_of(node)) for node in network.nodes]
    if not found:
        config, (home, _) = own_node(), current_home()
        found = [(own_url(config), home.root)]
    return found


def _grpc_of(folder: Path) -> str:
    network = load_network(folder)
    return f"{network.host}:{network.nodes[0].ports.grpc}"


# ------------------------------------------------------------------------------------------------ watching


async def _watch(places: Sequence[tuple[str, Path | None]], seconds: float) -> list[Seen]:
    timeout, tls, asked = aiohttp.ClientTimeout(total=TIMEOUT_S), tls_said(), []
    async with contextlib.AsyncExitStack() as until:
        for url, home in places:  # our own door is known by the certificate that it has
            connector = aiohttp.TCPConnector(ssl=context_of(url, tls) or True)
            http = await until.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
            asked.append(_see(http, url, home, seconds))
        return list(await asyncio.gather(*asked))


async def _see(http: aiohttp.ClientSession, url: str, home: Path | None, seconds: float) -> Seen:
    try:
        began, first, io = time.monotonic(), await _metrics(http, url), _io_of(home)
        took = []
        for number in range(REQUESTS):
            asked = time.monotonic()
            await _get(http, f"{url}/status")
            took.append((time.monotonic() - asked) * 1_000)
            await asyncio.sleep(max(0.0, began + seconds * (number + 1) / REQUESTS - time.monotonic()))
        answers = {path.partition("?")[0]: json.loads(await _get(http, url + path)) for path in ASKED}
        window_s = time.monotonic() - began
        io_after = _io_of(home)
        iops = None if io is None or io_after is None else (io_after - io) / window_s
        return Seen(url, answers, (first, await _metrics(http, url)), window_s, took, iops)
    except (OSError, TimeoutError, ValueError, RecursionError, aiohttp.ClientError) as error:
        return Seen(url, error=_why(error))


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return why_of(error, TIMEOUT_S)
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return safe_line(str(error))[:200] or f"not whole within {TIMEOUT_S:g} s"


async def _get(http: aiohttp.ClientSession, url: str) -> bytes:
    """Whatever its status: /ready answers 503 with a reason. Raises ValueError: too much."""
    tls = tls_said()
    name = tls.server_name if tls is not None else ""
    async with http.get(url, allow_redirects=False, server_hostname=name or None) as answer:
        body = b""
        while piece := await answer.content.read(65_536):
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise ValueError(f"it answers with more than {ANSWER_BYTES_MAX} bytes")
        return body


async def _metrics(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """Raises ValueError."""
    return figures((await _get(http, f"{url}/metrics")).decode(errors="replace"))


def figures(page: str) -> dict[str, float]:
    """By name; with labels, the sum. Raises ValueError: one is no number."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(page):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def _io_of(home: Path | None) -> int | None:
    """Reads and writes that the disk under a home has completed; None: it is not here, or the system does not say."""
    if home is None:
        return None
    try:
        device = home.stat().st_dev
        place = [str(os.major(device)), str(os.minor(device))]
        rows = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
        return next((sum(int(row[field]) for field in SECTOR_FIELDS) for row in rows if row[:2] == place), None)
    except (OSError, ValueError, IndexError):
        return None


def _time_payment(payer: Path, address: str | None) -> float:
    """Seconds from handing it in until a block has it. Raises Refusal."""
    try:
        wallet = identity.load(payer).wallet
    except HomeError as error:
        raise Refusal(str(error), Exit.USAGE) from None

    async def pay() -> float:
        async with client_of(address or node_address(None)) as client:
            asked = ListStakingValidatorsRequest(limit=2)
            staked = (await client.call(client.staking.ListStakingValidators, asked)).validators
            recipient = next((one.operator for one in staked if one.operator != wallet.address), None)
            if recipient is None:
                raise ClientError("there is no validator's operator, to whom one udchat could be paid")
            session = Session(client, wallet)
            raw = await session.build([Payment(wallet.address, recipient, 1)])
            began = time.monotonic()
            await session.hand_in(decoded(raw), wait_commit=True, within_s=TX_WITHIN_S)
            return time.monotonic() - began

    try:
        return asyncio.run(pay())
    except ClientError as error:
        raise Refusal(f"the payment of {payer}: {error}") from None


# ------------------------------------------------------------------------------------------------ showing


def _show(lines: Sequence[Line]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("", "check", "node", "figure", "baseline"):
        table.add_column(name)
    styles: dict[str, str] = {BAD: "red", OK: ""}
    for line in lines:
        cells: list[Any] = [line.verdict, line.check, line.node, line.figure, line.baseline]
        table.add_row(*(Text(safe_line(str(cell))) for cell in cells), style=styles.get(line.verdict, "dim"))
    Console().print(table)
    for line in lines:
        if line.verdict == BAD:
            echo(f"do: {line.check} of {safe_line(line.node)}: {line.do}")
    failed, passed = (sum(line.verdict == verdict for line in lines) for verdict in (BAD, OK))
    echo(f"{passed} pass, {failed} fail, {len(lines) - passed - failed} are not known")
