"""`dchat query events` and `dchat query block-results`: what blocks did."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass

import click

from consensus.state.cursors import Cursor
from dchat.cli.commands.query_commands import plain, query
from dchat.cli.terminal.ask import node_option, run
from dchat.cli.terminal.base import Command, echo
from dchat.client.client import Client, ClientError
from dchat.doors.reads.event_feed import parse_where, placed_json


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
    plain(lambda c: c.block_results(height), node)
