"""`dchat tx` and `dchat query` of allowance: what is bought, lent for locked DCHAT, set aside by a channel's owner."""

from __future__ import annotations

from typing import Any

import click

from bridge.lending import LOCKS
from chain.chat.channels.pots import POTS
from chain.tx.messages.allowance import (
    EndChannelAllowance,
    GrantChannelAllowance,
    LockForAllowance,
    UnlockAllowance,
)
from dchat.cli.chat.words import channel_of, channel_option
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, height_option, node_option
from dchat.cli.terminal.base import Command
from dchat.client.front.amounts import parse_amount
from proto.dchat.v1 import bridge_service_pb2 as pb

COUNT_MAX = (1 << 64) - 1


NUMBER = click.IntRange(0, COUNT_MAX)
SHARE = click.IntRange(1, COUNT_MAX)


@tx.command("lock-for-allowance", cls=Command)
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def lock_for_allowance(amount: int, **options: Any) -> None:
    """Lock DCHAT: as long as it is, you have more messages and bytes in every period. It earns and votes nothing."""
    send(lambda me: [LockForAllowance(me, amount)], options)


@tx.command("unlock-allowance", cls=Command)
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def unlock_allowance(amount: int, **options: Any) -> None:
    """Unlock DCHAT. What was lent for it ends at once; the DCHAT comes back after the chain's delay."""
    send(lambda me: [UnlockAllowance(me, amount)], options)


@tx.command("grant-channel-allowance", cls=Command)
@channel_option
@click.option("--messages", type=NUMBER, default=0, help="Taken of what you have bought, now.")
@click.option("--bytes", "size", type=NUMBER, default=0, help="Taken of what you have bought, now.")
@click.option("--member-messages", type=SHARE, required=True, help="Of each member in a period.")
@click.option("--member-bytes", type=SHARE, required=True, help="Of each member in a period.")
@click.option("--period-messages", type=NUMBER, default=0, help="Of all members in a period; 0: as many as there are.")
@click.option("--period-bytes", type=NUMBER, default=0, help="Of all members in a period; 0: as many as there are.")
@sending
def grant_channel_allowance(
    channel: str,
    messages: int,
    size: int,
    member_messages: int,
    member_bytes: int,
    period_messages: int,
    period_bytes: int,
    **options: Any,
) -> None:
    """Set some of your allowance aside for posts of your channel's members. Again: adds to it, with these terms."""
    terms = (member_messages, member_bytes, period_messages, period_bytes)
    send(lambda me: [GrantChannelAllowance(me, channel_of(channel), messages, size, *terms)], options)


@tx.command("end-channel-allowance", cls=Command)
@channel_option
@sending
def end_channel_allowance(channel: str, **options: Any) -> None:
    """Take back what is left of what you set aside for a channel."""
    send(lambda me: [EndChannelAllowance(me, channel_of(channel))], options)


LEGS["lock-for-allowance"] = (
    frozenset({"amount"}),
    frozenset(),
    lambda me, leg: LockForAllowance(me, parse_amount(leg["amount"], least=1)),
)
LEGS["unlock-allowance"] = (
    frozenset({"amount"}),
    frozenset(),
    lambda me, leg: UnlockAllowance(me, parse_amount(leg["amount"], least=1)),
)
LEGS["grant-channel-allowance"] = (
    frozenset({"channel", "member-messages", "member-bytes"}),
    frozenset({"messages", "bytes", "period-messages", "period-bytes"}),
    lambda me, leg: GrantChannelAllowance(
        me, channel_of(leg["channel"]), int(leg.get("messages", "0")), int(leg.get("bytes", "0")),
        int(leg["member-messages"]), int(leg["member-bytes"]), int(leg.get("period-messages", "0")),
        int(leg.get("period-bytes", "0")),
    ),
)  # fmt: skip
LEGS["end-channel-allowance"] = (
    frozenset({"channel"}),
    frozenset(),
    lambda me, leg: EndChannelAllowance(me, channel_of(leg["channel"])),
)


@query.command("allowance", cls=Command)
@click.argument("account", type=Address())
@click.option("--channel", help="Also what this channel would pay for.")
@height_option
@node_option
def query_allowance(account: bytes, channel: str | None, height: int, node: str | None) -> None:
    """What an account may do on the chat chain: bought, in this period, locked for it."""
    request = pb.GetAllowanceRequest(
        address=account, channel_id=channel_of(channel) if channel else b"", height=height
    )  # fmt: skip
    plain(lambda client: client.call(client.bridge.GetAllowance, request), node)


@query.command("allowance-lock", cls=Command)
@click.argument("account", type=Address())
@proving
def query_allowance_lock(account: bytes, **how: Any) -> None:
    """What an account has locked for allowance, and what of it comes back when."""
    ask_record(LOCKS, account, **how)


@query.command("channel-allowance", cls=Command)
@click.argument("channel")
@proving
def query_channel_allowance(channel: str, **how: Any) -> None:
    """What a channel's owner has set aside for its members, and on which terms."""
    ask_record(POTS, channel_of(channel), **how)
