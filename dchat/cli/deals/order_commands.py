"""`dchat tx order`, and how standing orders are looked up. docs/payments.md shows what they are for."""

from __future__ import annotations

from typing import Any

import click

from chain.currency.payments.standing import ORDERS, order_name
from chain.tx.messages.payments import (
    EVERY_BLOCKS_MAX,
    EVERY_BLOCKS_MIN,
    ORDER_TIMES_MAX,
    ORDER_UDCHAT_MIN,
    CancelStandingOrder,
    CreateStandingOrder,
)
from dchat.cli.commands.denomination_commands import CURSOR, Cursor
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.deals.request_commands import Reference
from dchat.cli.terminal.ask import Address, Amount, height_option, limit_option, node_option, parse_amount
from dchat.cli.terminal.base import Command, Exit, Group, Refusal
from dchat.cli.terminal.sums import Sum, sum_of, sum_option
from proto.dchat.v1 import payment_service_pb2 as pb

HEIGHT_MAX = (1 << 63) - 1


@tx.group("order", cls=Group)
def order_group() -> None:
    """Pay somebody every so many blocks."""


@order_group.command("create", cls=Command)
@click.argument("reference", type=Reference())
@click.option("--to", "recipient", type=Address(), required=True, help="Whom: an address or an identity file.")
@sum_option()
@click.option(
    "--every", type=click.IntRange(EVERY_BLOCKS_MIN, EVERY_BLOCKS_MAX), required=True, metavar="BLOCKS",
    help=f"{EVERY_BLOCKS_MIN} blocks and more between two payments.",
)  # fmt: skip
@click.option("--times", type=click.IntRange(1, ORDER_TIMES_MAX), default=None, help="It is paid so often, and over.")
@click.option("--until-height", type=click.IntRange(1, HEIGHT_MAX), default=None, help="The last block that may pay.")
@click.option(
    "--first-height", type=click.IntRange(1, HEIGHT_MAX), default=None,
    help="The block that pays first. Default: --every blocks from now.",
)  # fmt: skip
@click.option(
    "--max-turn-fee", type=Amount(least=1), default=None,
    help="A turn is missed whose own fee is above it. Default: it costs what it costs.",
)  # fmt: skip
@sending
def create(
    reference: str,
    recipient: bytes,
    paid: Sum,
    every: int,
    times: int | None,
    until_height: int | None,
    first_height: int | None,
    max_turn_fee: int | None,
    **options: Any,
) -> None:
    """Pay --to the amount every so many blocks, by a REFERENCE of yours."""
    if times is None and until_height is None:
        raise Refusal("--times or --until-height: an order has an end", Exit.USAGE)
    try:
        _check_large(paid)
    except ValueError as error:
        raise Refusal(f"--amount: {error}", Exit.USAGE) from None
    terms = (every, first_height or 0, times or 0, until_height or 0, max_turn_fee or 0)
    send(lambda me: [CreateStandingOrder(me, reference, recipient, paid.denom, paid.amount, *terms)], options)


def _check_large(paid: Sum) -> None:
    """Raises ValueError."""
    if paid.denom is None and paid.amount < ORDER_UDCHAT_MIN:
        raise ValueError(f"{paid.amount} udchat is too little; allowed: {ORDER_UDCHAT_MIN} udchat and more")


@order_group.command("cancel", cls=Command)
@click.argument("reference", type=Reference())
@sending
def cancel(reference: str, **options: Any) -> None:
    """Pay no more, from the block on that has this."""
    send(lambda me: [CancelStandingOrder(me, reference)], options)


def _order_leg(me: bytes, leg: dict[str, str]) -> CreateStandingOrder:
    terms = [int(leg.get(word, 0)) for word in ("first-height", "times", "until-height")]
    terms.append(parse_amount(leg["max-turn-fee"], least=1) if "max-turn-fee" in leg else 0)
    recipient = Address().convert(leg["to"], None, None)
    paid, every = sum_of(leg), int(leg["every"])
    _check_large(paid)
    return CreateStandingOrder(me, leg["reference"], recipient, paid.denom, paid.amount, every, *terms)


LEGS["order"] = (
    frozenset({"reference", "to", "amount", "every"}),
    frozenset({"denom", "first-height", "times", "until-height", "max-turn-fee"}),
    _order_leg,
)
LEGS["cancel-order"] = (
    frozenset({"reference"}),
    frozenset(),
    lambda me, leg: CancelStandingOrder(me, leg["reference"]),
)


@query.command("order", cls=Command)
@click.argument("owner", type=Address())
@click.argument("reference", type=Reference())
@proving
def query_order(owner: bytes, reference: str, **how: Any) -> None:
    """A standing order that is not over."""
    ask_record(ORDERS, order_name(owner, reference), **how)


@query.command("orders", cls=Command)
@click.option("--owner", type=Address(), help="Those of somebody.")
@click.option("--recipient", type=Address(), help="Those that pay somebody.")
@click.option("--after", type=Cursor(), default=b"", help=CURSOR)
@limit_option(100)
@height_option
@node_option
def query_orders(
    owner: bytes | None, recipient: bytes | None, after: bytes, limit: int, height: int, node: str | None
) -> None:
    """Standing orders that are not over, of an owner or to a recipient."""
    if (owner is None) == (recipient is None):
        raise Refusal("--owner or --recipient: one of them", Exit.USAGE)
    request = pb.ListStandingOrdersRequest(
        owner=owner or b"", recipient=recipient or b"", after=after, limit=limit, height=height
    )
    plain(lambda client: client.call(client.payments.ListStandingOrders, request), node)
