"""`dchat tx order`, and how standing orders are looked up. docs/payments.md shows what they are for."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

import click

from chain.app_state.document import RANGES
from chain.currency.payments.standing import ORDERS, order_name
from chain.tx.gas import GAS_ORDER
from chain.tx.messages.payments import (
    EVERY_BLOCKS_MAX,
    EVERY_BLOCKS_MIN,
    ORDER_MISSES_MAX,
    ORDER_TIMES_MAX,
    ORDER_UDCHAT_MIN,
    CancelStandingOrder,
    CreateStandingOrder,
)
from chain.tx.units import fee_of
from crypto.bech32 import encode_address
from dchat.cli.commands.denomination_commands import CURSOR, Cursor
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.deals.request_commands import Reference
from dchat.cli.terminal.ask import Address, Amount, height_option, limit_option, node_option, run
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, echo
from dchat.cli.terminal.sums import sum_of, sum_option
from dchat.client.client import Client, quoted, whole_param
from dchat.client.front.amounts import Sum, parse_amount
from dchat.client.refusals import explain
from dchat.config.units import duration_ms
from proto.dchat.v1 import payment_service_pb2 as pb
from proto.dchat.v1 import service_pb2 as pb_service

HEIGHT_MAX = (1 << 63) - 1
HOUR_MS: Final = 3_600_000
PACE_BLOCKS: Final = 20
LOOK_BACK_BLOCKS: Final = 50_000  # some seconds of a node's reading: two days at the usual pace
REASONS: Final = {
    "done": "as it was to be",
    "missed": f"for {ORDER_MISSES_MAX} turns in a row could not be paid",
    "cancelled": "cancelled by its owner",
    "over": "for its last height passed while it waited",
    "void": "for its owner's account was recovered",
}


@tx.group("order", cls=Group)
def order_group() -> None:
    """Pay somebody every so many blocks."""


@order_group.command("create", cls=Command)
@click.argument("reference", type=Reference())
@click.option("--to", "recipient", type=Address(), required=True, help="Whom: an address or an identity file.")
@sum_option()
@click.option(
    "--every", required=True, metavar="BLOCKS", help=f"{EVERY_BLOCKS_MIN} blocks and more between two payments."
)
@click.option("--times", type=click.IntRange(1, ORDER_TIMES_MAX), default=None, help="It is paid so often, and over.")
@click.option("--until-height", type=click.IntRange(1, HEIGHT_MAX), default=None, help="The last block that may pay.")
@click.option(
    "--first-height", type=click.IntRange(1, HEIGHT_MAX), default=None,
    help="The block that pays first. Default: --every blocks from now.",
)  # fmt: skip
@click.option(
    "--max-turn-fee", type=Amount(least=1), default=None,
    help=f"A turn is missed whose own fee, of {GAS_ORDER} gas, is above it. Default: it costs what it costs.",
)  # fmt: skip
@click.option("--accept-misses", is_flag=True, help="Order it though a turn costs more than --max-turn-fee today.")
@sending
def create(
    reference: str,
    recipient: bytes,
    paid: Sum,
    every: str,
    times: int | None,
    until_height: int | None,
    first_height: int | None,
    max_turn_fee: int | None,
    accept_misses: bool,
    **options: Any,
) -> None:
    """Pay --to the amount every so many blocks, by a REFERENCE of yours."""
    if times is None and until_height is None:
        raise Refusal("--times or --until-height: an order has an end", Exit.USAGE)
    try:
        _check_large(paid)
    except ValueError as error:
        raise Refusal(f"--amount: {error}", Exit.USAGE) from None
    blocks = blocks_of(every, options["node"])
    if max_turn_fee is not None and not accept_misses:
        require_affordable(max_turn_fee, options["node"])
    terms = (blocks, first_height or 0, times or 0, until_height or 0, max_turn_fee or 0)
    send(lambda me: [CreateStandingOrder(me, reference, recipient, paid.denom, paid.amount, *terms)], options)


def blocks_of(said: str, node: str | None) -> int:
    """Of --every. Raises Refusal: none; of a time, it says how many blocks that is of late."""
    try:
        return _blocks(said)
    except ValueError as error:
        wrong, wanted_ms = f"--every: {error}", 0
    with contextlib.suppress(ValueError):
        wanted_ms = 0 if said.strip().isdigit() else cast("int", duration_ms(said))
    if wanted_ms:
        with contextlib.suppress(Refusal):
            block_ms = max(run(pace, node), 1)
            wrong += (
                f"; at the pace of the latest blocks an hour is about {HOUR_MS // block_ms} of them, and {said} is "
            )
            wrong += f"--every {max(wanted_ms // block_ms, EVERY_BLOCKS_MIN)}"
    raise Refusal(wrong, Exit.USAGE)


def _blocks(said: str) -> int:
    """Raises ValueError."""
    if said.isascii() and said.isdigit() and EVERY_BLOCKS_MIN <= int(said[:20]) <= EVERY_BLOCKS_MAX:
        return int(said)
    raise ValueError(f'"{said}"; it counts blocks, no time; allowed: {EVERY_BLOCKS_MIN} to {EVERY_BLOCKS_MAX}')


async def pace(client: Client) -> int:
    """Milliseconds between the latest blocks, by the node's word; 0: there are too few."""
    headers = [block.header for block in (await client.blocks(limit=PACE_BLOCKS)).blocks]
    times = [header.time.ToMilliseconds() for header in headers]
    return (max(times) - min(times)) // (len(times) - 1) if len(times) > 1 else 0


def require_affordable(max_turn_fee: int, node: str | None) -> None:
    """Raises Refusal: at the gas price that the node states each turn would be missed, and the third ends the order."""

    async def look(client: Client) -> int:
        return whole_param(await client.params(), "currency", "gas_price", most=RANGES["gas_price"][1])

    cost = fee_of(GAS_ORDER, run(look, node))
    if cost > max_turn_fee:
        raise Refusal(
            f"--max-turn-fee is {max_turn_fee} udchat, and a turn costs {cost} udchat today: each would be missed, and "
            f"the third in a row ends the order. Give {cost}udchat or more, or --accept-misses",
            Exit.USAGE,
        )


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
    paid, every = sum_of(leg), _blocks(leg["every"])
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
    """A standing order that is not over; of one that is over, when it ended and why, by the node's events."""
    try:
        ask_record(ORDERS, order_name(owner, reference), word_of=owner, **how)
    except Refusal as refused:
        if refused.exit_code == Exit.ABSENT:
            tell_end(owner, reference, how["node"])
        raise


def tell_end(owner: bytes, reference: str, node: str | None) -> None:
    """Say on standard error how the last order of this reference ended, where the node's events tell."""
    where = (("owner", encode_address(owner)), ("reference", reference))

    async def look(client: Client) -> tuple[int, list[pb_service.StreamEventsResponse]]:
        status = await client.status()
        latest = status.latest_block_height
        begin = max(status.earliest_block_height, latest - LOOK_BACK_BLOCKS, 1)
        stream = client.stream_events(
            from_height=begin, to_height=latest, types=("miss_standing_order", "end_standing_order"), where=where
        )
        async with aclosing(stream):
            last: deque[pb_service.StreamEventsResponse] = deque(maxlen=ORDER_MISSES_MAX + 1)  # it may stream for long
            async for told in stream:
                if told.HasField("event"):
                    last.append(told)
            return begin, list(last)

    begin, told = run(look, node)
    said = told_end(told) or f"none of this reference has ended since block {begin}"
    echo(f"dchat: {said}, by this node's events", err=True)


def told_end(told: Sequence[pb_service.StreamEventsResponse]) -> str | None:
    """How the last of these events says that the order ended. None: it does not."""
    events = [(one.cursor.height, one.event.type, {a.key: a.value for a in one.event.attributes}) for one in told]
    if not events or events[-1][1] != "end_standing_order":
        return None
    height, _, said = events[-1]
    reason = said.get("reason", "")
    why = REASONS.get(reason, quoted(reason))
    if reason == "missed" and len(events) > 1:
        missed = events[-2][2]
        why += f" ({quoted(missed.get('codespace', ''))} {quoted(missed.get('code', ''))}: {quoted(wrong_of(missed))})"
    return f"it ended in block {height}, {why}; paid {quoted(said.get('paid', '?'))} times"


def wrong_of(missed: Mapping[str, str]) -> str:
    """What was the case, of a `miss_standing_order`."""
    code = missed.get("code", "")
    number = int(code) if code.isascii() and code.isdigit() else 0
    return explain(missed.get("codespace", ""), number, "").partition("; what to do")[0]


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
    answer: Any = plain(lambda client: client.call(client.payments.ListStandingOrders, request), node)
    if owner is not None and not answer.orders:
        echo("dchat: how one ended: dchat query order OWNER REFERENCE", err=True)
