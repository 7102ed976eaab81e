"""`dchat validator recover`: why no block is made, whom it waits for, and what can be done without harm.

It asks and shows. A leader is elected in each round by itself, nodes dial their peers by themselves, and no record of
signatures, validator set or state is ever touched for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consensus.p2p.conn.address import NodeAddress, parse_address
from consensus.p2p.conn.errors import P2PError
from dchat.cli.commands.status_commands import get_json, own_url
from dchat.cli.terminal.ask import tls_options
from dchat.cli.terminal.base import Command, Exit, Refusal, echo, own_node, show_json
from dchat.cli.terminal.times import Length
from dchat.client.stall import NO_BLOCK, Asked, Seat, Stall, diagnose
from dchat.config import Config
from dchat.shown.text import safe_line

STALLED_AFTER_S = 30
DIAL_S = 2.0
URLS_MAX = 64
PAGES_MAX = 10  # of a hundred validators each
LATE_MAX = 256  # of a node's reason
UNWELL = 503
TIME_MAX_S = 1 << 40  # of a clock
VOTES_SHOWN = 3  # rounds, at a terminal
HASH_SHOWN = 8
CONNECTED = "connected"


@click.command("recover", cls=Command)
@click.option(
    "--url", "urls", multiple=True, help="Another node's HTTP door, like http://10.0.0.2:8080; repeat for more."
)
@click.option(
    "--after",
    type=Length(),
    help="No block for so long is a stall. Default: when the node says so on /ready, by the chain's own pace, and "
    f"{STALLED_AFTER_S}s at most.",
)
@click.option(
    "--initiate-leader-election", is_flag=True, help="Accepted: each round elects a leader by itself; it is named."
)
@tls_options
@click.option("--min-validators", type=click.IntRange(min=1), help="Say also whether so many validators vote.")
def recover(
    urls: tuple[str, ...], after: int | None, initiate_leader_election: bool, min_validators: int | None
) -> None:
    """Say why a network makes no blocks: who is missing, what each has voted, how much power a block needs.

    It asks this home's running node, and others whose doors are named, and changes nothing: no record of signatures, no
    set of validators, no state. Where the own node is down it says so, and the others are heard alone. Exit code 0:
    nothing to recover; 1: the network stands; 4: no node answers.
    """
    if len(urls) > URLS_MAX:
        raise click.UsageError(f"--url: {len(urls)} nodes; allowed: {URLS_MAX}")
    config = own_node()
    own = own_url(config)
    asked = [_ask(url.rstrip("/")) for url in (own, *urls)]
    heard = [one for one in asked if not one.error]
    if not heard:
        others = f"; nor did any of the {len(urls)} others" if urls else ""
        raise Refusal(f"{asked[0].error}{others}", Exit.UNREACHABLE)
    if asked[0].error:  # who is furthest speaks for it
        heard.sort(key=lambda one: -one.height)
    stall = diagnose(
        heard, _monikers(heard[0].url), since_s=_age(heard[0]), after_s=STALLED_AFTER_S if after is None else after,
        is_late=after is None and bool(heard[0].late),
        waits_for_txs=not config.consensus.create_empty_blocks, own_is_away=bool(asked[0].error),
    )  # fmt: skip
    peers = asyncio.run(_reached(config, asked[0]))
    _show(stall, asked, peers, leader=initiate_leader_election, waits=_waits(heard[0], stall, after))
    there = stall.voters
    if stall.is_stalled:
        raise Refusal(f"the network stands at height {stall.height}: {stall.causes[0]}")
    if min_validators is not None and there < min_validators:
        raise Refusal(f"{there} validators vote, fewer than {min_validators}")


# ------------------------------------------------------------------------------------------------ asking


def _ask(url: str) -> Asked:
    """One that does not answer, or otherwise than a node of ours, keeps no other from being heard."""
    try:
        before = time.time()
        _, health = get_json(f"{url}/health")
        ours = (before + time.time()) / 2
        _, status = get_json(f"{url}/status")
        _, consensus = get_json(f"{url}/chain/consensus-status")
        late = _late(url)
        if not all(isinstance(answer, dict) for answer in (health, status, consensus)):
            raise Refusal(f"{url} answers otherwise than a node of ours", Exit.UNREACHABLE)
    except Refusal as error:
        return Asked(url, {}, {}, error=error.format_message())
    told = health.get("timestamp")
    is_time = isinstance(told, int) and 0 <= told < TIME_MAX_S  # a number of JSON may have thousands of digits
    return Asked(url, status, consensus, told + 0.5 - ours if is_time else None, late=safe_line(late[:LATE_MAX]))


def _late(url: str) -> str:
    """Why the node says that a block is late, by the pace of its chain; empty: it does not."""
    status, ready = get_json(f"{url}/ready")
    reason = ready.get("reason") if isinstance(ready, dict) and status == UNWELL else None
    return reason if isinstance(reason, str) and reason.startswith(NO_BLOCK) else ""


def _waits(one: Asked, stall: Stall, after: int | None) -> str:
    """What is said of a node whose block is late, where the person who asks waits longer; empty: nothing."""
    return f"no stall yet: {one.late}; counted as one after {after} s" if one.late and not stall.is_stalled else ""


def _monikers(url: str) -> dict[str, str]:
    """By consensus address, as the chain has them; what cannot be had is not shown."""
    found: dict[str, str] = {}
    after = ""
    try:
        for _ in range(PAGES_MAX):
            _, answer = get_json(f"{url}/v1/validators?limit=100{after}")
            rows = answer.get("validators", []) if isinstance(answer, dict) else []
            for row in rows:
                for address in (row["consensus_address"], *[key["address"] for key in row.get("rotations", [])]):
                    found[str(address).upper()] = str(row.get("moniker", ""))
            if len(rows) < 100:
                break
            after = f"&after={rows[-1]['operator']}"
    except (Refusal, KeyError, TypeError, AttributeError):
        pass
    return found


def _age(one: Asked) -> float | None:
    told = one.status.get("latest_block_time")
    try:
        return max(0.0, time.time() - datetime.fromisoformat(str(told)[:19] + "+00:00").timestamp())
    except ValueError:
        return None


async def _reached(config: Config, own: Asked) -> list[tuple[str, str]]:
    """The peers that the options name: whether this node has them, or else whether they answer from here."""
    rows = own.status.get("peers")
    ids = {str(row.get("id")) for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()
    return list(await asyncio.gather(*(_reach(text, ids) for text in config.network.bootstrap_validators[:URLS_MAX])))


async def _reach(text: str, ids: set[str]) -> tuple[str, str]:
    try:
        address: NodeAddress = parse_address(text, id_required=False)
    except P2PError as error:
        return text, str(error)
    if address.id and address.id in ids:
        return text, CONNECTED
    try:
        async with asyncio.timeout(DIAL_S):
            _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
    except (OSError, TimeoutError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else f"nothing within {DIAL_S:g} s"
        return text, f"not connected, and its port does not answer: {why}"
    return text, "not connected to this node by that name, and its port answers"


# ------------------------------------------------------------------------------------------------ showing


def _show(stall: Stall, asked: Sequence[Asked], peers: Sequence[tuple[str, str]], *, leader: bool, waits: str) -> None:
    if not sys.stdout.isatty():
        show_json({**_as_json(stall, asked, peers), "note": waits or None})
        return
    if asked[0].error:
        echo(f"this home's own node is down, and the others are heard alone: {asked[0].error}")
    if not stall.is_stalled:
        age = "no block yet" if stall.since_s is None else f"the last block is {stall.since_s:.0f} s old"
        echo(waits or f"nothing to recover: chain {stall.chain_id} decides height {stall.height}, {age}")
        for name, state in peers:
            if state != CONNECTED:
                echo(f"peer {name}: {state}")
        return
    since = "since it began" if stall.since_s is None else f"for {stall.since_s:.0f} s"
    echo(f"chain {stall.chain_id} has made no block {since}: height {stall.height} round {stall.round} {stall.step}")
    echo(f"power that votes: {stall.there} of {stall.total}; a block needs {stall.needed}")
    console = Console()
    console.print(_table(stall))
    if leader:
        echo(f"leader of round {stall.round}: {_who(stall, stall.proposer)}; the next round elects the next by itself")
    for name, state in peers:
        echo(f"peer {name}: {state}")
    for one in asked[1:]:
        echo(one.error or f"{one.url}: {one.name} at height {one.height}")
    for number, cause in enumerate(stall.causes):
        echo(f"{'likely' if not number else 'also  '}: {cause}")
    for line in stall.advice:
        echo(f"do    : {line}")


def _table(stall: Stall) -> Table:
    """Who is missing first."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("validator", "power", "votes", "connected", "address"):
        table.add_column(name, justify="right" if name == "power" else "left", no_wrap=name != "votes")
    for seat in (*stall.missing, *(seat for seat in stall.seats if seat.is_there)):
        table.add_row(
            _cell(seat.moniker or "?"), str(seat.power), _cell(_votes_of(seat)), "yes" if seat.is_connected else "no",
            _cell(seat.address[:12].lower()), style="" if seat.is_there else "red",
        )  # fmt: skip
    return table


def _cell(text: str) -> Text:
    return Text(safe_line(text))


def _votes_of(seat: Seat) -> str:
    """Like `r4 prevote 3f0a91cc precommit nil`."""
    told = []
    for round, prevote, precommit in seat.votes[:VOTES_SHOWN]:
        pairs = (("prevote", prevote), ("precommit", precommit))
        if parts := [f"{kind} {vote[:HASH_SHOWN].lower()}" for kind, vote in pairs if vote]:
            told.append(f"r{round} {' '.join(parts)}")
    return ", ".join(told) or "none: missing"


def _who(stall: Stall, address: str) -> str:
    names: Iterator[str] = (seat.moniker for seat in stall.seats if seat.address == address and seat.moniker)
    return next(names, address[:12].lower())


def _as_json(stall: Stall, asked: Sequence[Asked], peers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "stalled": stall.is_stalled,
        "own_node_error": asked[0].error or None,
        "chain_id": stall.chain_id,
        "height": stall.height,
        "round": stall.round,
        "step": stall.step,
        "last_block_age_s": None if stall.since_s is None else round(stall.since_s, 1),
        "last_commit_votes": stall.last_votes,
        "power": {"total": stall.total, "needed": stall.needed, "voting": stall.there},
        "proposer": {"address": stall.proposer, "moniker": _who(stall, stall.proposer)},
        "missing": [] if stall.is_between else [seat.moniker or seat.address for seat in stall.missing],
        "validators": [
            {
                "moniker": seat.moniker, "address": seat.address, "power": seat.power, "there": seat.is_there,
                "connected": seat.is_connected, "seen_by": list(seat.seen_by),
                "votes": [
                    {"round": round, "prevote": prevote, "precommit": precommit}
                    for round, prevote, precommit in seat.votes
                ],
            }
            for seat in stall.seats
        ],
        "causes": list(stall.causes),
        "advice": list(stall.advice),
        "peers": [{"address": name, "state": state} for name, state in peers],
        "nodes": [
            {
                "url": one.url, "moniker": one.name, "height": one.height, "version": one.status.get("version"),
                "clock_skew_s": None if one.skew_s is None else round(one.skew_s, 1), "error": one.error or None,
            }
            for one in asked
        ],
    }  # fmt: skip
