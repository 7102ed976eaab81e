"""`dchat tx` and `dchat query` of reputation and of reports to moderators: docs/reputation.md says what for."""

from __future__ import annotations

from typing import Any

import click

from chain.chat.reputation.records import REPORTS, REPUTATIONS, about_member, about_message
from chain.tx.messages import Message
from chain.tx.messages.chat.reputation import (
    REASON_NAMES,
    VERDICT_NAMES,
    EndorseAuthor,
    HonourAuthor,
    ReportMember,
    ReportMessage,
    ResolveReport,
)
from dchat.cli.chat.words import channel_of, channel_option
from dchat.cli.commands.denomination_commands import CURSOR, Cursor
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, height_option, limit_option, node_option
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.client.front.amounts import parse_amount
from proto.dchat.v1 import reputation_service_pb2 as pb

REASONS = {name: number for number, name in REASON_NAMES.items()}
VERDICTS = {name: number for number, name in VERDICT_NAMES.items()}

index_option = click.option("--index", type=click.IntRange(0), required=True, help="Of the message.")


def _place(index: int | None, member: bytes | None) -> tuple[int, bytes]:
    """Raises Refusal."""
    if (index is None) == (member is None):
        raise Refusal("--index of a message, or --member: one of them", Exit.USAGE)
    return index or 0, member or b""


@tx.command(cls=Command)
@channel_option
@index_option
@sending
def endorse(channel: str, index: int, **options: Any) -> None:
    """Give a message's author a share of your budget of the day: it costs you nothing else."""
    send(lambda me: [EndorseAuthor(me, channel_of(channel), index)], options)


@tx.command(cls=Command)
@channel_option
@index_option
@click.option("--amount", type=Amount(least=1), required=True, help="What is burnt.")
@sending
def honour(channel: str, index: int, amount: int, **options: Any) -> None:
    """Burn udchat in favour of a message's author, whose score grows by as many: nobody gets them."""
    send(lambda me: [HonourAuthor(me, channel_of(channel), index, amount)], options)


@tx.command(cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), help="A message.")
@click.option("--member", type=Address(), help="Or a member.")
@click.option("--reason", type=click.Choice(list(REASONS)), required=True)
@sending
def report(channel: str, index: int | None, member: bytes | None, reason: str, **options: Any) -> None:
    """Report a message or a member of a channel to those who moderate it. It weighs what your score is."""
    at, whom = _place(index, member)

    def make(me: bytes) -> list[Message]:
        if whom:
            return [ReportMember(me, channel_of(channel), whom, REASONS[reason])]
        return [ReportMessage(me, channel_of(channel), at, REASONS[reason])]

    send(make, options)


@tx.command("resolve-report", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), help="Of a message.")
@click.option("--member", type=Address(), help="Or of a member.")
@click.option("--verdict", type=click.Choice(list(VERDICTS)), required=True)
@sending
def resolve_report(channel: str, index: int | None, member: bytes | None, verdict: str, **options: Any) -> None:
    """Uphold or dismiss what was reported in a channel that you moderate."""
    at, whom = _place(index, member)
    send(lambda me: [ResolveReport(me, channel_of(channel), at, whom, VERDICTS[verdict])], options)


def _number(names: dict[str, int], said: str) -> int:
    """Raises ValueError."""
    if said not in names:
        raise ValueError(f"{said!r}; allowed: {', '.join(names)}")
    return names[said]


def _about(leg: dict[str, str]) -> tuple[int, bytes]:
    """Raises ValueError."""
    if ("index" in leg) == ("member" in leg):
        raise ValueError("index or member: one of them")
    return int(leg.get("index", "0")), Address().convert(leg["member"], None, None) if "member" in leg else b""


def _report_leg(me: bytes, leg: dict[str, str]) -> Message:
    (at, whom), reason = _about(leg), _number(REASONS, leg["reason"])
    channel = channel_of(leg["channel"])
    return ReportMember(me, channel, whom, reason) if whom else ReportMessage(me, channel, at, reason)


LEGS.update(
    {
        "endorse": (
            frozenset({"channel", "index"}),
            frozenset(),
            lambda me, leg: EndorseAuthor(me, channel_of(leg["channel"]), int(leg["index"])),
        ),
        "honour": (
            frozenset({"channel", "index", "amount"}),
            frozenset(),
            lambda me, leg: HonourAuthor(
                me, channel_of(leg["channel"]), int(leg["index"]), parse_amount(leg["amount"], least=1)
            ),
        ),
        "report": (frozenset({"channel", "reason"}), frozenset({"index", "member"}), _report_leg),
        "resolve-report": (
            frozenset({"channel", "verdict"}),
            frozenset({"index", "member"}),
            lambda me, leg: ResolveReport(
                me, channel_of(leg["channel"]), *_about(leg), _number(VERDICTS, leg["verdict"])
            ),
        ),
    }
)


@query.command("score", cls=Command)
@click.argument("who", type=Address())
@height_option
@node_option
def query_score(who: bytes, height: int, node: str | None) -> None:
    """An identity's score after a block, by that block's time, and what is left of its budget of the day."""
    request = pb.GetScoreRequest(address=who, height=height)
    plain(lambda client: client.call(client.reputation.GetScore, request), node)


@query.command("reputation", cls=Command)
@click.argument("who", type=Address())
@proving
def query_reputation(who: bytes, **how: Any) -> None:
    """The record of an identity's reputation: its score as it was in a period."""
    ask_record(REPUTATIONS, who, **how)


@query.command("report", cls=Command)
@click.argument("channel")
@click.option("--index", type=click.IntRange(0), help="Of a message.")
@click.option("--member", type=Address(), help="Or of a member.")
@proving
def query_report(channel: str, index: int | None, member: bytes | None, **how: Any) -> None:
    """Who reported a message or a member of a channel, and what became of it."""
    at, whom = _place(index, member)
    about = about_member(channel_of(channel), whom) if whom else about_message(channel_of(channel), at)
    ask_record(REPORTS, about, **how)


@query.command("reports", cls=Command)
@click.argument("channel")
@click.option("--after", type=Cursor(), default=b"", help=CURSOR)
@limit_option(100)
@height_option
@node_option
def query_reports(channel: str, after: bytes, limit: int, height: int, node: str | None) -> None:
    """The open reports of a channel, the heaviest first."""
    request = pb.ListReportsRequest(channel_id=channel_of(channel), after=after, limit=limit, height=height)
    plain(lambda client: client.call(client.reputation.ListReports, request), node)
