"""`dchat network`: the peers of a running node; connecting it to one, or across a partition."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import is_node_id
from dchat.cli.network.calling import admin_options, administer, may_administer, read, url_option
from dchat.cli.terminal.ask import tls_options
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, echo, show_json
from dchat.cli.terminal.outcome import show_told
from dchat.cli.top.tables import FOLDED, PEER_COLUMNS, Cells, cell, peer_cells, plain
from dchat.doors.admin.peers import AWAY, HERE

WITH_IDS = 120  # columns of a terminal in which whole ids have room, too: an id cut short can be looked up nowhere


class NodeId(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """40 hex characters."""

    name = "NODE-ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not is_node_id(text):
            self.fail(f"{text!r} is no node id; expected 40 hex characters in lower case", param, ctx)
        return text


@click.group(cls=Group)
def network() -> None:
    """The peers of a running node: who they are, and connecting to more.

    What changes the node, and what only its operator may know, goes through the socket in its home, or by an API key.
    """


@network.command("peer-list", cls=Command)
@url_option
@tls_options
def peer_list(url: str | None) -> None:
    """Who is connected, how far away, and what went in and out: a table at a terminal, JSON with more otherwise."""
    answer = read(url, "/peers")
    if not sys.stdout.isatty():
        show_json(answer)
        return
    peers, console = _mappings(answer.get("peers")), Console()
    is_wide = console.width >= WITH_IDS
    rows = [(*_row(peer), *([cell(peer.get("id"))] if is_wide else [])) for peer in peers]
    columns = (*PEER_COLUMNS, *(["id"] if is_wide else []))
    title = f"{len(rows)} peers" if len(rows) != 1 else "1 peer"
    console.print(plain(columns, rows, title, folded=FOLDED))
    if rows and not is_wide:
        echo(f"with ids, for peer-lookup: in a terminal of {WITH_IDS} columns, or | cat")


@network.command("peer-lookup", cls=Command)
@click.option("--peer-id", required=True, type=NodeId(), help="The node's id, as `dchat show-node-id` says it there.")
@admin_options
def peer_lookup(peer_id: str, url: str | None, key_file: Path | None) -> None:
    """What a node knows of another: its connection, else, for who administers, where it was last and why it is away."""
    answer = read(url, "/peers")
    found = next((peer for peer in _mappings(answer.get("peers")) if peer.get("id") == peer_id), None)
    if found is not None:
        show_told({"partition": HERE, "connected": True, **found})
        return
    if may_administer(url, key_file):
        known = _mappings(administer(url, key_file, "/admin/peers").get("peers"))
        away = next((peer for peer in known if peer.get("id") == peer_id), None)
        if away is not None:
            show_told({"connected": False, **away})
            return
    if not sys.stdout.isatty():
        echo("null")  # a document for who reads one
    more = "" if may_administer(url, key_file) else "; whom a node knows beside its peers it tells who administers it"
    raise Refusal(f"{peer_id} is no peer of this node, and not known to it{more}", Exit.ABSENT)


@network.command("stats", cls=Command)
@url_option
@tls_options
def stats(url: str | None) -> None:
    """The node's connections in numbers, and whether it hears enough of the chain's validators."""
    told = summary(
        _mappings(read(url, "/peers").get("peers")), read(url, "/chain/consensus-status"), read(url, "/ready")
    )
    if not sys.stdout.isatty():
        show_json(told)
        return
    Console().print(plain(("", "now"), _rows_of(told), "network"))


def _rows_of(told: Mapping[str, Any]) -> list[Cells]:
    """Of `summary`, with units. What is useless is forgiven in time: what counts now is told beside it."""
    shown = {name: "-" if value is None else cell(value) for name, value in told.items()}
    for name in ("bytes_in", "bytes_out"):
        shown[name.removeprefix("bytes_")] = bytes_text(told[name])
        del shown[name]
    for name in ("round_trip_seconds_median", "round_trip_seconds_most"):
        value = told[name]
        shown[name.replace("_seconds", "")] = "-" if value is None else f"{value * 1_000:.1f} ms"
        del shown[name]
    shown["useless_messages"] = f"{told['useless_messages']} in all, of which {shown.pop('useless_now')} count now"
    order = [name.removeprefix("bytes_").replace("_seconds", "") for name in told if name != "useless_now"]
    return [(name.replace("_", " "), shown[name]) for name in order]


def bytes_text(count: int) -> str:
    """`512 B`, `5.2 kB`, `1.3 GB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def summary(
    peers: Sequence[Mapping[str, Any]], consensus: Mapping[str, Any], ready: Mapping[str, Any]
) -> dict[str, Any]:
    """Of the door's answers; what is not told counts as none."""
    trips = sorted(value for peer in peers if isinstance(value := peer.get("round_trip_seconds"), int | float))

    def total(name: str) -> int:
        return sum(value for peer in peers if isinstance(value := peer.get(name), int))

    return {
        "peers": len(peers),
        "outbound": sum(peer.get("direction") == "outbound" for peer in peers),
        "inbound": sum(peer.get("direction") == "inbound" for peer in peers),
        "named": sum(bool(peer.get("persistent")) for peer in peers),
        "bytes_in": total("bytes_in"),
        "bytes_out": total("bytes_out"),
        "useless_messages": total("useless_messages"),
        "useless_now": total("useless_now"),
        "round_trip_seconds_median": trips[len(trips) // 2] if trips else None,
        "round_trip_seconds_most": trips[-1] if trips else None,
        "validators": consensus.get("validators"),
        "validators_in_last_commit": consensus.get("last_commit_votes"),
        "ready": ready.get("ready") is True,
        "reason": ready.get("reason"),
    }


@network.command("connect", cls=Command)
@click.option("--peer-id", type=NodeId(), help="Whose address it is, where the address does not say so.")
@click.option("--address", required=True, help="/ip4/HOST/tcp/PORT[/p2p/ID], /dns4/..., ID@HOST:PORT or HOST:PORT.")
@click.option("--keep", is_flag=True, help="Redial it when it is gone, until the node loads its options again.")
@admin_options
def connect(peer_id: str | None, address: str, keep: bool, url: str | None, key_file: Path | None) -> None:
    """Let the node dial another now, whatever its own choice would be. Exit code 1: there is no connection."""
    try:
        found = parse_address(address, id_required=False)
    except BadAddress as error:
        raise Refusal(f"--address: {error}", Exit.USAGE) from None
    if not (peer_id or found.id):
        raise Refusal(
            f"--address {found.host_port} does not say whose it is: give --peer-id ID beside it, or ID@HOST:PORT, or "
            "/ip4/HOST/tcp/PORT/p2p/ID",
            Exit.USAGE,
        )
    answer = administer(
        url, key_file, "/admin/peers/connect", {"peer_id": peer_id or "", "address": address, "keep": keep}
    )
    show_told(answer)
    if answer.get("connected") is not True:
        again = "; it is tried again" if answer.get("kept") is True else ""
        raise Refusal(f"not connected: {answer.get('reason')}{again}")


@network.command("activate-bridge", cls=Command)
@click.option(
    "--partition-id", "partitions", multiple=True, required=True, metavar="PARTITION",
    help=f"{HERE}: this node and its peers. {AWAY}: all nodes that it knows and does not hear. Or a node of a side: "
    "its id, or ID@HOST:PORT, which need not be known. Two or more.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Redial them when they are gone, until the node loads its options again.")
@admin_options
def activate_bridge(partitions: tuple[str, ...], keep: bool, url: str | None, key_file: Path | None) -> None:
    """Connect the node to nodes of another side of a partition, which healed or is suspected.

    It dials those of the named that it does not hear. Nothing to dial is no fault: there is no partition to be seen.
    Exit code 1: none of them could be reached.
    """
    answer = administer(url, key_file, "/admin/peers/bridge", {"partitions": list(partitions), "keep": keep})
    show_told(answer)
    dialed = _mappings(answer.get("dialed"))
    if not dialed:
        echo("nothing was dialed: this node hears all that were named, so it sees no partition", err=True)
    if dialed and not answer.get("connected"):
        raise Refusal(f"no bridge: none of {len(dialed)} could be reached; the first: {dialed[0].get('reason')}")


def _row(peer: Mapping[str, Any]) -> Cells:
    """By PEER_COLUMNS, with what went in and out in all."""
    sums = [peer.get(name) for name in ("bytes_in", "bytes_out")]
    return (*peer_cells(peer), *[bytes_text(count) if isinstance(count, int) else "-" for count in sums])


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
