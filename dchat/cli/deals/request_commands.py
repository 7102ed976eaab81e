"""`dchat tx request`, and how requests for payment are looked up. docs/payments.md shows what they are for."""

from __future__ import annotations

from typing import Any, Final

import click

from chain.currency.payments.requests import REQUESTS, WAIT_NS_MAX, request_name
from chain.tx.errors import InvalidField
from chain.tx.messages.payments import (
    REQUEST_MEMO_BYTES_MAX,
    CancelRequest,
    FulfilRequest,
    RequestPayment,
    check_reference,
)
from consensus.formats.units import NS_PER_S
from dchat.cli.commands.denomination_commands import CURSOR, Cursor
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, height_option, limit_option, node_option
from dchat.cli.terminal.base import Command, Exit, Group, Refusal
from dchat.cli.terminal.sums import sum_of, sum_option
from dchat.cli.terminal.times import Time, time_of
from dchat.client.front.amounts import Sum
from proto.dchat.v1 import payment_service_pb2 as pb

EXPIRES: Final = Time(most_s=WAIT_NS_MAX // NS_PER_S)


class Reference(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """As INV-2026/7."""

    name = "REFERENCE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            check_reference("it", str(value))
        except InvalidField as error:
            self.fail(str(error), param, ctx)
        return str(value)


@tx.group("request", cls=Group)
def request_group() -> None:
    """Ask to be paid, and pay what others ask for."""


@request_group.command("create", cls=Command)
@click.argument("reference", type=Reference())
@sum_option()
@click.option("--payer", type=Address(), help="Who may pay it. Default: anybody.")
@click.option("--for", "purpose", default="", help=f"What it is for: up to {REQUEST_MEMO_BYTES_MAX} bytes, public.")
@click.option(
    "--expires",
    "expiry_ns",
    type=EXPIRES,
    required=True,
    help="30d, 12h, or a time. At most 366 days.",
)
@sending
def create(
    reference: str,
    paid: Sum,
    payer: bytes | None,
    purpose: str,
    expiry_ns: int,
    **options: Any,
) -> None:
    """Ask to be paid, by a REFERENCE of yours as an invoice's number."""
    if len(purpose.encode()) > REQUEST_MEMO_BYTES_MAX:
        raise Refusal(f"--for has {len(purpose.encode())} bytes; allowed: {REQUEST_MEMO_BYTES_MAX}", Exit.USAGE)
    send(lambda me: [RequestPayment(me, reference, payer or b"", paid.denom, paid.amount, purpose, expiry_ns)], options)


@request_group.command("fulfil", cls=Command)
@click.argument("payee", type=Address())
@click.argument("reference", type=Reference())
@sum_option()
@sending
def fulfil(payee: bytes, reference: str, paid: Sum, **options: Any) -> None:
    """Pay what a request asks for; say what that is: if it asks for something else, nothing is paid."""
    send(lambda me: [FulfilRequest(me, payee, reference, paid.denom, paid.amount)], options)


@request_group.command("cancel", cls=Command)
@click.argument("reference", type=Reference())
@sending
def cancel(reference: str, **options: Any) -> None:
    """Ask no more."""
    send(lambda me: [CancelRequest(me, reference)], options)


def _fulfil_leg(me: bytes, leg: dict[str, str]) -> FulfilRequest:
    paid, payee = sum_of(leg), Address().convert(leg["payee"], None, None)
    return FulfilRequest(me, payee, leg["reference"], paid.denom, paid.amount)


def _request_leg(me: bytes, leg: dict[str, str]) -> RequestPayment:
    payer = Address().convert(leg["payer"], None, None) if "payer" in leg else b""
    asked, memo = sum_of(leg), leg.get("for", "")
    return RequestPayment(me, leg["reference"], payer, asked.denom, asked.amount, memo, time_of(leg["expires"]))


LEGS["request"] = (
    frozenset({"reference", "amount", "expires"}),
    frozenset({"denom", "payer", "for"}),
    _request_leg,
)
LEGS["fulfil"] = (frozenset({"payee", "reference", "amount"}), frozenset({"denom"}), _fulfil_leg)
LEGS["cancel-request"] = (
    frozenset({"reference"}),
    frozenset(),
    lambda me, leg: CancelRequest(me, leg["reference"]),
)


@query.command("request", cls=Command)
@click.argument("payee", type=Address())
@click.argument("reference", type=Reference())
@proving
def query_request(payee: bytes, reference: str, **how: Any) -> None:
    """A request for payment that is open."""
    ask_record(REQUESTS, request_name(payee, reference), **how)


@query.command("requests", cls=Command)
@click.option("--payee", type=Address(), help="Those that somebody made.")
@click.option("--payer", type=Address(), help="Those that ask somebody by name.")
@click.option("--after", type=Cursor(), default=b"", help=CURSOR)
@limit_option(100)
@height_option
@node_option
def query_requests(
    payee: bytes | None, payer: bytes | None, after: bytes, limit: int, height: int, node: str | None
) -> None:
    """Requests for payment that are open, of a payee or to a payer."""
    if (payee is None) == (payer is None):
        raise Refusal("--payee or --payer: one of them", Exit.USAGE)
    request = pb.ListPaymentRequestsRequest(
        payee=payee or b"", payer=payer or b"", after=after, limit=limit, height=height
    )
    plain(lambda client: client.call(client.payments.ListPaymentRequests, request), node)
