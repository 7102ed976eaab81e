"""`dchat query events`, `block-results`, `txs` and `blocks`: what blocks did, and which did something."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consensus.formats.timestamps import format_rfc3339, timestamp_ns
from consensus.state.cursors import Cursor
from dchat.cli.commands.query_commands import events_in_words, is_for_people, outcome_in_words, plain, query
from dchat.cli.terminal.ask import node_option, run
from dchat.cli.terminal.base import Command, common_option, echo, show_json
from dchat.client.client import Client, ClientError
from dchat.doors.reads.event_feed import parse_where, placed_json
from dchat.shown.messages import message_json
from dchat.shown.text import safe_line
from proto.dchat.v1 import service_pb2 as pb
from proto.tendermint.types import types_pb2

PAGE: Final = 100
WIDE: Final = 110  # columns: whole hashes have room


class CursorType(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """Where an event stands."""

    name = "HEIGHT:INDEX"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Cursor:
        if isinstance(value, Cursor):
            return value
        try:
            return Cursor.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Where(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """An attribute that an event has."""

    name = "KEY=VALUE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        try:
            return parse_where(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass
class Reading:
    """What `dchat query events` was asked for, and how far it has come. limit 0: none."""

    after: Cursor | None
    from_height: int
    types: tuple[str, ...]
    where: tuple[tuple[str, str], ...]
    follow: bool
    limit: int
    asked: str = ""  # the heights in which nothing was found

    async def read(self, client: Client) -> None:
        """Print matches. Raises ClientError, which says where to go on."""
        to_height = 0
        if not self.follow:
            status = await client.status()
            to_height = status.latest_block_height
            if self.after is None:
                self.from_height = self.from_height or status.earliest_block_height
            if (self.after.height if self.after is not None else self.from_height) > to_height:
                self.asked = f"after {self.after}" if self.after is not None else f"from block {self.from_height}"
                self.asked += f"; the node's latest is {to_height}"
                return
            begin = f"after {self.after}" if self.after is not None else f"in blocks {self.from_height}"
            self.asked = f"{begin} to {to_height}"
        began = self.after
        try:
            await self._print(client, to_height)
        except ClientError as error:
            if self.after == began:
                raise
            raise type(error)(f"{error}; go on with --after {self.after}", status=error.status) from None

    async def _print(self, client: Client, to_height: int) -> None:
        printed = 0
        stream = client.stream_events(
            after=self.after,
            from_height=self.from_height,
            to_height=to_height,
            types=self.types,
            where=self.where,
        )
        async with aclosing(stream):
            async for told in stream:
                self.after = Cursor(told.cursor.height, told.cursor.index)
                if not told.HasField("event"):
                    continue
                self.asked = ""
                echo(json.dumps(placed_json(told), ensure_ascii=False))
                printed += 1
                if printed == self.limit:
                    return


@query.command("events", cls=Command)
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only of this type. May be given several times.")
@click.option("--where", multiple=True, type=Where(), help="Only with this attribute. Given several times: with all.")
@click.option("--from-height", type=click.IntRange(min=1), help="Begin with this block.")
@click.option("--after", type=CursorType(), help="Begin after this event: its cursor, as it was printed.")
@click.option("--follow", is_flag=True, help="Go on with new blocks. Begins with the next one, unless told otherwise.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after as many events.")
@node_option
def query_events(
    types: tuple[str, ...],
    where: tuple[tuple[str, str], ...],
    from_height: int | None,
    after: Cursor | None,
    follow: bool,
    limit: int | None,
    node: str | None,
) -> None:
    """What blocks did, one JSON line for each event, in the chain's order.

    Begins with the earliest block that the node has and ends with the latest. On standard error: the cursor to go on
    from, with --after, so that no event is missed and none comes twice.
    """
    if after is not None and from_height:
        raise click.UsageError("--after and --from-height are both given; allowed: one of them")
    reading = Reading(after, from_height or 0, types, where, follow, limit or 0)
    stopped = False
    try:
        run(reading.read, node)
    except KeyboardInterrupt:  # how following ends
        stopped = True
    if reading.asked:
        echo(f"dchat: no such event {reading.asked}", err=True)
    if reading.after is not None:
        echo(f"to go on: --after {reading.after}", err=True)
    if stopped and not follow:
        raise click.Abort


@query.command("block-results", cls=Command)
@click.argument("height", type=click.IntRange(0), default=0)
@node_option
def query_block_results(height: int, node: str | None) -> None:
    """What a block did: its transactions' outcomes, its own events, changes of validators. Default: the latest."""
    plain(lambda c: c.block_results(height), node, show=_results_json)


def _results_json(answer: pb.GetBlockResultsResponse) -> dict[str, Any]:
    shown = message_json(answer)
    if is_for_people():
        pairs = zip(answer.results, shown["results"], strict=True)
        shown["results"] = [outcome_in_words(one, told) for one, told in pairs]
        shown["events"] = events_in_words(answer.events)
    return shown


# ----------------------------------------------------------------------------------------------------------- searches


EXAMPLES: Final = ("--query \"transfer.recipient='dchat1...'\"", '--query "tx.height=7"', '--query "tip EXISTS"')


def searching(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both searches take, beside the query."""
    options = (
        common_option("--oldest-first", is_flag=True, help="Begin with the oldest; else with the newest."),
        common_option("--after", type=CursorType(), help="Go on after this: the cursor of an earlier answer."),
        common_option(
            "--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="At most as many."
        ),
        node_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@query.command("txs", cls=Command)
@common_option("--query", "asked", metavar="QUERY", help="In CometBFT's language: docs/search.md.  [required]")
@searching
def query_txs(node: str | None, asked: str | None, **how: Any) -> None:
    """Search transactions by the events that they told.

    As a table on a terminal, else as JSON. On standard error: the cursor to go on from, with --after, where there is
    more.
    """
    if asked is None:
        raise click.UsageError(f"--query says which, like {', or '.join(EXAMPLES)}. More: docs/search.md")
    told = pb.SearchTxsResponse()
    run(lambda client: _search(client.search_txs, told, told.txs, asked=asked, **how), node)
    _show(told, told.txs, _txs_table)


@query.command("blocks", cls=Command)
@common_option("--query", "asked", metavar="QUERY", help="In CometBFT's language: docs/search.md. Default: the latest.")
@searching
def query_blocks(node: str | None, asked: str | None, **how: Any) -> None:
    """The latest blocks' headers, or, with --query, those of blocks that did something at their begin or their end.

    What is found: as a table on a terminal, else as JSON; on standard error, the cursor to go on from, with --after,
    where there is more.
    """
    if asked is None:
        if how["after"] is not None or how["oldest_first"]:
            raise click.UsageError("--after and --oldest-first go with --query")
        plain(lambda client: client.blocks(limit=how["limit"]), node)
        return
    told = pb.SearchBlocksResponse()
    run(lambda client: _search(client.search_blocks, told, told.blocks, asked=asked, **how), node)
    _show(told, told.blocks, _blocks_table)


async def _search(
    search: Callable[..., Awaitable[Any]], told: Any, found: Any, *, asked: str, oldest_first: bool,
    after: Cursor | None, limit: int,
) -> None:  # fmt: skip
    """Gather answers in `told`, whose `found` grows, until there are `limit` or no more."""
    cursor = "" if after is None else str(after)
    while len(found) < limit:
        wanted = min(PAGE, limit - len(found))
        told.MergeFrom(await search(asked, after=cursor, oldest_first=oldest_first, limit=wanted))
        if told.cursor == cursor:
            return
        cursor, told.cursor = told.cursor, ""
        if not cursor:
            return
    told.cursor = cursor


def _show(told: Any, found: Any, table: Callable[[Any, Callable[[bytes], str]], Table]) -> None:
    """found: what `told` has. table: made of an answer, and of how a hash is written."""
    if not sys.stdout.isatty():
        show_json(message_json(told))
    else:
        console = Console()
        is_narrow = console.width < WIDE
        console.print(table(told, lambda data: f"{data.hex()[:16]}…" if is_narrow else data.hex()))
        echo(f"searched: blocks {told.from_height} to {told.to_height}{'; whole hashes: | cat' if is_narrow else ''}")
    if told.cursor:
        echo(f"to go on: --after {told.cursor}", err=True)
    elif not found:
        echo(
            f"nothing found in the blocks {told.from_height} to {told.to_height}. "
            "Tags are spelled as in docs/events.md, and = compares the whole text: '5000000udchat', not 5000000",
            err=True,
        )


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in names:
        table.add_column(
            name, justify="right" if name in ("height", "index", "txs") else "left", no_wrap=name != "events"
        )
    return table


def _txs_table(told: pb.SearchTxsResponse, hash_of: Callable[[bytes], str]) -> Table:
    table = _table("height", "index", "hash", "result", "events")
    for tx in told.txs:
        result = "ok" if not tx.code else f"{tx.codespace} {tx.code}"
        kinds = ", ".join(dict.fromkeys(event.type for event in tx.events))
        table.add_row(str(tx.height), str(tx.index), hash_of(tx.hash), _cell(result), _cell(kinds))
    return table


def _blocks_table(told: pb.SearchBlocksResponse, hash_of: Callable[[bytes], str]) -> Table:
    table = _table("height", "time", "txs", "hash")
    for meta in told.blocks:
        table.add_row(str(meta.header.height), _time(meta), str(meta.num_txs), hash_of(meta.block_id.hash))
    return table


def _time(meta: types_pb2.BlockMeta) -> str:
    return f"{format_rfc3339(timestamp_ns(meta.header.time))[:19]}Z"


def _cell(text: str) -> Text:
    return Text(safe_line(text))
