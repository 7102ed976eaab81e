"""`dchat tx denom`, and how denominations and holdings are looked up. docs/payments.md shows what they are for."""

from __future__ import annotations

from typing import Any, Final

import click

from chain.currency.denominations.records import DENOMINATIONS, HOLDINGS
from chain.tx.errors import InvalidField
from chain.tx.messages.payments import (
    BurnDenomination,
    CreateDenomination,
    Denom,
    FreezeHolding,
    MintDenomination,
    PayDenomination,
    TransferDenomination,
    check_sub,
)
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, height_option, limit_option, node_option
from dchat.cli.terminal.base import Command, Exit, Group, Refusal
from dchat.cli.terminal.sums import DenomName
from dchat.client.front.amounts import UNITS_MAX, denom_named, units_of
from proto.dchat.v1 import payment_service_pb2 as pb

CURSOR: Final = "Go on behind this: the answer's `next`, in hex."


class Cursor(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """Hex, of any length."""

    name = "HEX"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return bytes.fromhex(str(value))
        except ValueError:
            self.fail(f"{value!r} is not hex", param, ctx)


units_option = click.option(
    "--amount", type=click.IntRange(1, UNITS_MAX), required=True, help="Whole units of the denomination."
)
denom_argument = click.argument("denom", type=DenomName())


@tx.group("denom", cls=Group)
def denom_group() -> None:
    """Denominations of your own, and payments in them. Amounts are whole units; a name is factory/CREATOR/NAME."""


@denom_group.command("create", cls=Command)
@click.argument("name")
@click.option("--supply-max", type=click.IntRange(1, UNITS_MAX), help="There are never more units. Default: no limit.")
@click.option("--freezable", is_flag=True, help="Its owner may freeze what an account holds. For good, as the rest.")
@sending
def create(name: str, supply_max: int | None, freezable: bool, **options: Any) -> None:
    """Make a denomination factory/YOU/NAME, of which you are the owner."""
    try:
        check_sub("NAME", name)
    except InvalidField as error:
        raise Refusal(str(error), Exit.USAGE) from None
    send(lambda me: [CreateDenomination(me, name, supply_max or 0, freezable)], options)


@denom_group.command("mint", cls=Command)
@denom_argument
@click.option("--to", "recipient", type=Address(), help="Default: you.")
@units_option
@sending
def mint(denom: Denom, recipient: bytes | None, amount: int, **options: Any) -> None:
    """Make units of a denomination that you own."""
    send(lambda me: [MintDenomination(me, denom, recipient or me, amount)], options)


@denom_group.command("burn", cls=Command)
@denom_argument
@units_option
@sending
def burn(denom: Denom, amount: int, **options: Any) -> None:
    """Destroy units that you hold."""
    send(lambda me: [BurnDenomination(me, denom, amount)], options)


@denom_group.command("pay", cls=Command)
@denom_argument
@click.option("--to", "recipient", type=Address(), required=True)
@units_option
@sending
def pay(denom: Denom, recipient: bytes, amount: int, **options: Any) -> None:
    """Pay an account in a denomination."""
    send(lambda me: [PayDenomination(me, denom, recipient, amount)], options)


@denom_group.command("freeze", cls=Command)
@denom_argument
@click.option("--holder", type=Address(), required=True)
@click.option("--release", is_flag=True, help="Freeze it no more.")
@sending
def freeze(denom: Denom, holder: bytes, release: bool, **options: Any) -> None:
    """Freeze what an account holds of a denomination that you own and that was made freezable."""
    send(lambda me: [FreezeHolding(me, denom, holder, not release)], options)


@denom_group.command("give", cls=Command)
@denom_argument
@click.option("--to", "new_owner", type=Address(), help="Who owns it from now on.")
@click.option("--renounce", is_flag=True, help="Nobody owns it from now on: nobody mints or freezes, for ever.")
@sending
def give(denom: Denom, new_owner: bytes | None, renounce: bool, **options: Any) -> None:
    """Give a denomination that you own to somebody, or up."""
    if (new_owner is None) != renounce:
        raise Refusal("--to or --renounce: one of them", Exit.USAGE)
    send(lambda me: [TransferDenomination(me, denom, new_owner or b"")], options)


# ------------------------------------------------------------------------------ legs


def _who(leg: dict[str, str], name: str, other: bytes) -> bytes:
    return Address().convert(leg[name], None, None) if name in leg else other


_OWN = frozenset({"denom", "amount"})
LEGS["denom-pay"] = (
    _OWN | {"to"},
    frozenset(),
    lambda me, leg: PayDenomination(me, denom_named(leg["denom"]), _who(leg, "to", me), units_of(leg["amount"])),
)
LEGS["denom-mint"] = (
    _OWN,
    frozenset({"to"}),
    lambda me, leg: MintDenomination(me, denom_named(leg["denom"]), _who(leg, "to", me), units_of(leg["amount"])),
)
LEGS["denom-burn"] = (
    _OWN,
    frozenset(),
    lambda me, leg: BurnDenomination(me, denom_named(leg["denom"]), units_of(leg["amount"])),
)


# ------------------------------------------------------------------------------ looking


@query.command("denomination", cls=Command)
@denom_argument
@proving
def query_denomination(denom: Denom, **how: Any) -> None:
    """A denomination by its name: its owner, how many units there are and may be."""
    ask_record(DENOMINATIONS, denom.key, **how)


@query.command("holding", cls=Command)
@click.argument("account", type=Address())
@denom_argument
@proving
def query_holding(account: bytes, denom: Denom, **how: Any) -> None:
    """What an account has of a denomination."""
    ask_record(HOLDINGS, account + denom.key, **how)


@query.command("denominations", cls=Command)
@click.argument("creator", type=Address(), required=False)
@click.option("--after", type=Cursor(), default=b"", help=CURSOR)
@limit_option(100)
@height_option
@node_option
def query_denominations(creator: bytes | None, after: bytes, limit: int, height: int, node: str | None) -> None:
    """Denominations, of all or of one CREATOR."""
    request = pb.ListDenominationsRequest(creator=creator or b"", after=after, limit=limit, height=height)
    plain(lambda client: client.call(client.payments.ListDenominations, request), node)


@query.command("holdings", cls=Command)
@click.argument("account", type=Address())
@click.option("--after", type=Cursor(), default=b"", help=CURSOR)
@limit_option(100)
@height_option
@node_option
def query_holdings(account: bytes, after: bytes, limit: int, height: int, node: str | None) -> None:
    """What an account has, of each denomination."""
    request = pb.ListHoldingsRequest(address=account, after=after, limit=limit, height=height)
    plain(lambda client: client.call(client.payments.ListHoldings, request), node)
