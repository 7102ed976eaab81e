"""`dchat tx` and `dchat query` of the chat chain: identities, channels, messages, and what is paid for them.

What is sent and what is looked up stand beside each other here: a new message of the chat adds to this file alone.
"""

from __future__ import annotations

from typing import Any

import click

from chain.chat.channels.records import MEMBERS
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from dchat.cli.commands.query_commands import ask, ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, limit_option, node_option, parse_amount
from dchat.cli.terminal.base import Command, named


def channel_of(text: str) -> bytes:
    """A channel's name, or its id in 40 hex characters."""
    if len(text) == 40:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    found = channel_id(text)
    named[found.hex()] = text
    return found


@tx.command(cls=Command)
@click.option("--name", required=True, help="3 to 32 of a-z 0-9 _ -; unique.")
@click.option("--display", default="", help="Up to 64 bytes.")
@sending
def register(name: str, display: str, **options: Any) -> None:
    """Create the chat identity of your account, with a starter allowance."""
    send(lambda me: [RegisterIdentity(me, name, display)], options)


@tx.command("create-channel", cls=Command)
@click.option("--name", required=True)
@click.option("--topic", default="")
@click.option("--join-price", type=Amount(), default=0, help="What joining costs; 0: nothing.")
@sending
def create_channel(name: str, topic: str, join_price: int, **options: Any) -> None:
    """Create a channel, and be its first member."""
    send(lambda me: [CreateChannel(me, name, join_price, topic)], options)


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@sending
def join(channel: str, **options: Any) -> None:
    """Join a channel that costs nothing."""
    send(lambda me: [JoinChannel(me, channel_of(channel))], options)


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--text", required=True)
@click.option("--reply-to", type=int, help="Index of the message answered.")
@sending
def post(channel: str, text: str, reply_to: int | None, **options: Any) -> None:
    """Post a message to a channel you are a member of."""
    answered = 0 if reply_to is None else reply_to + 1
    send(lambda me: [PostMessage(me, channel_of(channel), text.encode(), answered)], options)


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--index", type=int, required=True, help="Of the message.")
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def tip(channel: str, index: int, amount: int, **options: Any) -> None:
    """Pay the author of a message."""
    send(lambda me: [Tip(me, channel_of(channel), index, amount)], options)


@tx.command("pay-to-join", cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--max-price", type=Amount(), required=True, help="The most that you would pay.")
@sending
def pay_to_join(channel: str, max_price: int, **options: Any) -> None:
    """Pay a channel's price to its owner and join, both or neither."""
    send(lambda me: [PayToJoin(me, channel_of(channel), max_price)], options)


@tx.command("buy-allowance", cls=Command)
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def buy_allowance(amount: int, **options: Any) -> None:
    """Turn DCHAT into messages and bytes on the chat chain."""
    send(lambda me: [BuyAllowance(me, amount)], options)


LEGS.update(
    {
        "register": (
            frozenset({"name"}),
            frozenset({"display"}),
            lambda me, leg: RegisterIdentity(me, leg["name"], leg.get("display", "")),
        ),
        "create-channel": (
            frozenset({"name"}),
            frozenset({"topic", "join-price"}),
            lambda me, leg: CreateChannel(
                me, leg["name"], parse_amount(leg.get("join-price", "0")), leg.get("topic", "")
            ),
        ),
        "join": (frozenset({"channel"}), frozenset(), lambda me, leg: JoinChannel(me, channel_of(leg["channel"]))),
        "post": (
            frozenset({"channel", "text"}),
            frozenset({"reply-to"}),
            lambda me, leg: PostMessage(
                me,
                channel_of(leg["channel"]),
                leg["text"].encode(),
                int(leg["reply-to"]) + 1 if "reply-to" in leg else 0,
            ),
        ),
        "tip": (
            frozenset({"channel", "index", "amount"}),
            frozenset(),
            lambda me, leg: Tip(
                me, channel_of(leg["channel"]), int(leg["index"]), parse_amount(leg["amount"], least=1)
            ),
        ),
        "pay-to-join": (
            frozenset({"channel", "max-price"}),
            frozenset(),
            lambda me, leg: PayToJoin(me, channel_of(leg["channel"]), parse_amount(leg["max-price"])),
        ),
        "buy-allowance": (
            frozenset({"amount"}),
            frozenset(),
            lambda me, leg: BuyAllowance(me, parse_amount(leg["amount"], least=1)),
        ),
    }
)


@query.command("identity", cls=Command)
@click.argument("who")
@proving
def query_identity(who: str, **how: Any) -> None:
    """An identity of the chat chain, by address or name."""
    if who.startswith("dchat1") or who.endswith(".json"):
        address = Address().convert(who, None, None)
        ask(
            lambda c, prove, at: c.identity(address, height=at, prove=prove), lambda p, a: p.identity(a, address), **how
        )
    else:
        ask(
            lambda c, prove, at: c.identity(name=who, height=at, prove=prove),
            lambda p, a: p.named_identity(a, who),
            **how,
        )


@query.command("channel", cls=Command)
@click.argument("channel")
@proving
def query_channel(channel: str, **how: Any) -> None:
    """A channel, by name or id."""
    cid = channel_of(channel)
    ask(lambda c, prove, at: c.channel(cid, height=at, prove=prove), lambda p, a: p.channel(a, cid), **how)


@query.command("channels", cls=Command)
@limit_option(20)
@node_option
def query_channels(limit: int, node: str | None) -> None:
    """Channels."""
    plain(lambda c: c.channels(limit=limit), node)


@query.command("member", cls=Command)
@click.argument("channel")
@click.argument("who", type=Address())
@proving
def query_member(channel: str, who: bytes, **how: Any) -> None:
    """Whether an account is a member of a channel, and since which block."""
    ask_record(MEMBERS, channel_of(channel) + who, **how)


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
