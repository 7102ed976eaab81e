"""`dchat tx` and `dchat query` of messages: what is posted, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chain.chat.messages.records import STATES
from chain.tx.codec import height_bytes
from chain.tx.messages import Attachment, PostMessage, Tip
from chain.tx.messages.chat.channels import PinMessage
from chain.tx.messages.chat.messages import REACTIONS, EditMessage, MarkRead, React, RetractMessage
from crypto.hash import sha256
from dchat.cli.chat.words import channel_of, channel_option
from dchat.cli.commands.query_commands import ask, ask_record, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Amount, limit_option
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.cli.terminal.times import Length, length_of
from dchat.client.front.amounts import parse_amount


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--text", required=True)
@click.option("--reply-to", type=int, help="Index of the message answered.")
@click.option(
    "--epoch", type=int, default=0, help="Of an encrypted channel's key; then --text is its sealed body in hex."
)
@click.option("--ttl", "ttl_s", type=Length(), default=0, help="As 1h, until the chain forgets the body.")
@click.option("--attach", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, help="Its hash.")
@click.option("--by-channel", is_flag=True, help="Of what the channel's owner set aside for members, not of your own.")
@sending
def post(
    channel: str,
    text: str,
    reply_to: int | None,
    epoch: int,
    ttl_s: int,
    attach: tuple[Path, ...],
    by_channel: bool,
    **options: Any,
) -> None:
    """Post a message to a channel you are a member of. Files that are attached stay where they are."""
    answered = 0 if reply_to is None else reply_to + 1
    attached = tuple([_attachment(file.read_bytes()) for file in attach])
    body = _body(text, epoch)
    if by_channel:
        options["fee_granter"] = channel_of(channel)
    send(lambda me: [PostMessage(me, channel_of(channel), body, answered, ttl_s, epoch, attachments=attached)], options)


def _body(text: str, epoch: int) -> bytes:
    """Raises Refusal."""
    if not epoch:
        return text.encode()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refusal("--text: with --epoch it is what was sealed, in hex", Exit.USAGE) from None


def _attachment(content: bytes) -> Attachment:
    return Attachment(sha256(content), len(content), "application/octet-stream")


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--index", type=int, required=True, help="Of the message.")
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def tip(channel: str, index: int, amount: int, **options: Any) -> None:
    """Pay the author of a message."""
    send(lambda me: [Tip(me, channel_of(channel), index, amount)], options)


@tx.command(cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message.")
@click.option("--unpin", is_flag=True)
@sending
def pin(channel: str, index: int, unpin: bool, **options: Any) -> None:
    """Pin a message of a channel, or take the pin away."""
    send(lambda me: [PinMessage(me, channel_of(channel), index, unpin)], options)


@tx.command("edit-message", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message as it was posted first.")
@click.option("--text", required=True)
@click.option("--epoch", type=int, default=0, help="As with post.")
@sending
def edit_message(channel: str, index: int, text: str, epoch: int, **options: Any) -> None:
    """Give a message of yours another body, within a day; the one before is dropped."""
    body = _body(text, epoch)
    send(lambda me: [EditMessage(me, channel_of(channel), index, body, epoch)], options)


@tx.command("retract", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message as it was posted first.")
@sending
def retract(channel: str, index: int, **options: Any) -> None:
    """Have a message forgotten: yours, or one that you moderate. Whoever has a copy keeps it."""
    send(lambda me: [RetractMessage(me, channel_of(channel), index)], options)


@tx.command("react", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message as it was posted first.")
@click.option("--reaction", type=click.Choice(["none", *REACTIONS]), required=True)
@sending
def react(channel: str, index: int, reaction: str, **options: Any) -> None:
    """React to a message; another reaction takes the place of the one before."""
    send(lambda me: [React(me, channel_of(channel), index, ["none", *REACTIONS].index(reaction))], options)


@tx.command("mark-read", cls=Command)
@channel_option
@click.option("--count", type=click.IntRange(1), required=True, help="How many messages, from the first on.")
@sending
def mark_read(channel: str, count: int, **options: Any) -> None:
    """Say how far you have read a channel, for your other devices."""
    send(lambda me: [MarkRead(me, channel_of(channel), count)], options)


@query.command("message-state", cls=Command)
@click.argument("channel")
@click.argument("index", type=click.IntRange(0))
@proving
def query_message_state(channel: str, index: int, **how: Any) -> None:
    """What became of a message: its edits, how many reacted, whether it was retracted."""
    ask_record(STATES, channel_of(channel) + height_bytes(index), **how)


@query.command("message", cls=Command)
@click.argument("channel")
@click.argument("index", type=click.IntRange(0))
@proving
def query_message(channel: str, index: int, **how: Any) -> None:
    """A message of a channel."""
    cid = channel_of(channel)
    ask(
        lambda c, prove, at: c.message(cid, index, height=at, prove=prove), lambda p, a: p.message(a, cid, index), **how
    )


@query.command("messages", cls=Command)
@click.argument("channel")
@click.option("--from-index", type=click.IntRange(0), default=0, show_default=True)
@limit_option(100)
@proving
def query_messages(channel: str, from_index: int, limit: int, **how: Any) -> None:
    """Messages of a channel, in order."""
    cid = channel_of(channel)
    ask(
        lambda c, prove, at: c.messages(cid, from_index=from_index, limit=limit, height=at, prove=prove),
        lambda p, a: p.messages(a, cid, from_index),
        **how,
    )


LEGS.update(
    {
        "post": (
            frozenset({"channel", "text"}),
            frozenset({"reply-to", "ttl"}),
            lambda me, leg: PostMessage(
                me,
                channel_of(leg["channel"]),
                leg["text"].encode(),
                int(leg["reply-to"]) + 1 if "reply-to" in leg else 0,
                length_of(leg.get("ttl", "0")),
            ),
        ),
        "tip": (
            frozenset({"channel", "index", "amount"}),
            frozenset(),
            lambda me, leg: Tip(
                me, channel_of(leg["channel"]), int(leg["index"]), parse_amount(leg["amount"], least=1)
            ),
        ),
        "pin": (
            frozenset({"channel", "index"}),
            frozenset(),
            lambda me, leg: PinMessage(me, channel_of(leg["channel"]), int(leg["index"])),
        ),
        "edit-message": (
            frozenset({"channel", "index", "text"}),
            frozenset(),
            lambda me, leg: EditMessage(me, channel_of(leg["channel"]), int(leg["index"]), leg["text"].encode()),
        ),
        "retract": (
            frozenset({"channel", "index"}),
            frozenset(),
            lambda me, leg: RetractMessage(me, channel_of(leg["channel"]), int(leg["index"])),
        ),
        "react": (
            frozenset({"channel", "index", "reaction"}),
            frozenset(),
            lambda me, leg: React(
                me, channel_of(leg["channel"]), int(leg["index"]), ["none", *REACTIONS].index(leg["reaction"])
            ),
        ),
        "mark-read": (
            frozenset({"channel", "count"}),
            frozenset(),
            lambda me, leg: MarkRead(me, channel_of(leg["channel"]), int(leg["count"])),
        ),
    }
)
