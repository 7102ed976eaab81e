"""`dchat top`: the dashboard on a terminal; elsewhere, or with --once, one look."""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
import sys
from pathlib import Path

import click
from rich.console import Console

from dchat.cli.commands.status_commands import context_of, own_url
from dchat.cli.terminal.ask import tls_options, tls_said
from dchat.cli.terminal.base import Command, Exit, Refusal, own_node, show_json
from dchat.cli.top import tables
from dchat.cli.top.readings import Reading, Watch, Watched
from dchat.devnet import processes
from dchat.devnet.network import DevnetError, Network, load_network

NODES_MAX = 32
NO_TEXTUAL = "the dashboard needs textual: pip install 'textual>=6,<9'; until then: dchat top --once"


def has_textual() -> bool:
    return importlib.util.find_spec("textual") is not None


def watched_of(network: Network) -> list[Watched]:
    """The nodes of a test network."""
    return [
        Watched(
            node.name,
            f"http://{network.host}:{node.ports.http}",
            node.node_id,
            lambda node=node: processes.running_pid(network, node),  # type: ignore[misc]  # its default is its type
        )
        for node in network.nodes
    ]


async def watch(
    nodes: list[Watched], *, tls: ssl.SSLContext | None = None, tls_name: str = "", caption: str = ""
) -> None:
    """The dashboard, until it is left. textual must be there."""
    from dchat.cli.top.screen import Top

    await Top(Watch(nodes, tls=tls, tls_name=tls_name), caption=caption).run_async()


async def look(
    nodes: list[Watched], *, tls: ssl.SSLContext | None = None, tls_name: str = ""
) -> tuple[list[Reading], Watch]:
    """Once, with what was heard of names."""
    async with Watch(nodes, tls=tls, tls_name=tls_name) as opened:
        return await opened.read(), opened


@click.command(cls=Command)
@click.option(
    "--url", "urls", multiple=True, metavar="URL",
    help="A node's HTTP door (health_port), like http://10.0.0.2:8080; or several. Default: the home's own node.",
)  # fmt: skip
@click.option(
    "--testnet", type=click.Path(path_type=Path), metavar="DIR", help="All nodes of a test network on this machine."
)
@click.option("--once", is_flag=True, help="One look as tables, or as JSON where the output is no terminal.")
@tls_options
def top(urls: tuple[str, ...], testnet: Path | None, once: bool) -> None:
    """Nodes, votes, blocks and peers, live.

    Arrows, n and p choose a node, about which the tables below tell; tab goes through them, space holds, q leaves.
    """
    nodes = _nodes(urls, testnet)
    tls, name = _tls(nodes)
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    if is_terminal and not once:
        if not has_textual():
            raise Refusal(NO_TEXTUAL, Exit.USAGE)
        asyncio.run(watch(nodes, tls=tls, tls_name=name))
        return
    readings, opened = asyncio.run(look(nodes, tls=tls, tls_name=name))
    away = all(one.fault for one in readings)
    if sys.stdout.isatty():
        if not away or len(readings) > 1:  # of one node that is away the last word says all
            show_tables(readings, opened.monikers)
    else:
        show_json([{
            "node": one.node.name, "url": one.node.url, "fault": one.fault or None, "status": dict(one.status),
            "consensus": dict(one.consensus), "blocks": [dict(block) for block in one.blocks],
        } for one in readings])  # fmt: skip
    if away:
        raise Refusal(f"{readings[0].node.url}: {readings[0].fault}; --url URL names another", Exit.UNREACHABLE)


def show_tables(readings: list[Reading], monikers: dict[str, str]) -> None:
    console = Console()
    columns, rows = tables.node_columns(console.width), tables.nodes_in(readings, console.width)
    console.print(tables.plain(columns, rows, tables.summary(readings)))
    for one in [one for one in readings if not one.fault][:1]:
        console.print(
            tables.plain(tables.VOTE_COLUMNS, tables.votes_of(one, monikers), f"votes, as {one.node.name} has them")
        )
        title = f"peers of {one.node.name}"
        console.print(tables.plain(tables.PEER_COLUMNS, tables.peers_of(one), title, folded=tables.FOLDED))


def _nodes(urls: tuple[str, ...], testnet: Path | None) -> list[Watched]:
    """Raises Refusal."""
    if urls and testnet is not None:
        raise Refusal("--url and --testnet exclude each other", Exit.USAGE)
    if testnet is not None:
        try:
            return watched_of(load_network(testnet.expanduser().absolute()))
        except DevnetError as error:
            raise Refusal(str(error), Exit.USAGE) from None
    if not urls:
        config = own_node()
        url = own_url(config)
        return [Watched(config.validator.moniker or url.partition("://")[2], url)]
    if len(urls) > NODES_MAX:
        raise Refusal(f"--url names {len(urls)} nodes; allowed: {NODES_MAX}", Exit.USAGE)
    found = [url if "://" in url else f"http://{url}" for url in urls]
    for url in found:
        if not url.startswith(("http://", "https://")):
            raise Refusal(f"--url {url!r} is no http(s) address; allowed: like http://10.0.0.2:8080", Exit.USAGE)
    return [Watched(url.partition("://")[2].rstrip("/"), url.rstrip("/")) for url in found]


def _tls(nodes: list[Watched]) -> tuple[ssl.SSLContext | None, str]:
    """Raises Refusal."""
    said = tls_said()
    if said is None:  # our own door is known by the certificate that it has
        return (context_of(nodes[0].url, None) if len(nodes) == 1 else None), ""
    if not any(node.url.startswith("https://") for node in nodes):
        raise Refusal("the --tls options are for https: --url https://HOST:PORT", Exit.USAGE)
    try:
        context = ssl.create_default_context(cafile=said.root)
        if said.cert is not None:
            context.load_cert_chain(said.cert, said.key)
    except (OSError, ssl.SSLError) as error:
        raise Refusal(f"a TLS file cannot be used: {error}", Exit.USAGE) from None
    return context, said.server_name
