"""How a sum is said, in every command that pays, asks or holds one: `5`, `"5 DCHAT"`, `5000udchat`, or units of a
denomination, `"20 factory/dchat1.../gold"`, which are also `20` with `--denom factory/dchat1.../gold`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import click

from chain.currency.denominations.records import name_of
from chain.tx.errors import InvalidField
from chain.tx.messages import Message, Payment
from chain.tx.messages.payments import Denom, PayDenomination, check_sub
from crypto.bech32 import InvalidAddress, decode_address
from dchat.cli.terminal.ask import parse_amount

UNITS_MAX: Final = (1 << 64) - 1
_UNITS = re.compile(r"(\d{1,20})(?:\s*(factory/\S+))?", re.ASCII)
_DENOM = "dchat.denom"
EXAMPLES: Final = '5, "5.25 DCHAT", 5000udchat, or units of a denomination: "20 factory/CREATOR/NAME"'


class Sum(NamedTuple):
    """amount: udchat, or units of the denomination."""

    amount: int
    denom: Denom | None = None


def denom_named(text: str) -> Denom:
    """Of `factory/dchat1.../name`. Raises ValueError."""
    first, _, rest = text.partition("/")
    creator, _, sub = rest.partition("/")
    if first != "factory":
        raise ValueError(f"{text!r} is no denomination; expected factory/dchat1.../NAME")
    try:
        check_sub("its name", sub)
        return Denom(decode_address(creator), sub)
    except (InvalidAddress, InvalidField) as error:
        raise ValueError(f"{text!r} is no denomination: {error}") from None


class DenomName(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `denom_named`."""

    name = "DENOM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Denom:
        if isinstance(value, Denom):
            return value
        try:
            return denom_named(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def units_of(text: str) -> int:
    """Raises ValueError."""
    amount = int(text)
    if not 1 <= amount <= UNITS_MAX:
        raise ValueError(f"amount is {text}; allowed: 1 to {UNITS_MAX}")
    return amount


def parse_sum(text: str, denom: Denom | None = None) -> Sum:
    """denom: whose units they are where the text does not say. Raises ValueError: none, or nothing."""
    found = _UNITS.fullmatch(text.strip())
    if found is None or (denom is None and found[2] is None):
        if denom is not None:
            raise ValueError(f'"{text}" is no whole number of units of {name_of(denom)}; allowed: 20')
        try:
            return Sum(parse_amount(text, least=1))
        except ValueError as error:
            raise ValueError(f'{error}; or units of a denomination: "20 factory/CREATOR/NAME"') from None
    said = denom if found[2] is None else denom_named(found[2])
    if denom is not None and said != denom:
        raise ValueError(f'"{text}" is of another denomination than --denom says, {name_of(denom)}')
    return Sum(units_of(found[1]), said)


class SumSaid(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `parse_sum`. Of a command with --denom, which is read before."""

    name = "SUM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Sum:
        if isinstance(value, Sum):
            return value
        try:
            return parse_sum(str(value), ctx.meta.get(_DENOM) if ctx is not None else None)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _remember_denom(context: click.Context, _: click.Parameter, value: Denom | None) -> None:
    if value is not None:
        context.meta[_DENOM] = value


def sum_option(
    name: str = "--amount", *, required: bool = True, what: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--amount, which the command gets as `paid`, and --denom."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--denom", type=DenomName(), is_eager=True, expose_value=False, callback=_remember_denom,
            help=f"factory/CREATOR/NAME: {name} is units of it then, and need not say so.",
        )(command)  # fmt: skip
        said = f"{what} {EXAMPLES}.".strip()
        return click.option(name, "paid", type=SumSaid(), required=required, help=said)(command)

    return add


def sum_of(leg: Mapping[str, str]) -> Sum:
    """Of a leg's `amount=`, and `denom=` where it has one. Raises ValueError."""
    return parse_sum(leg["amount"], denom_named(leg["denom"]) if "denom" in leg else None)


def paying(sender: bytes, recipient: bytes, paid: Sum) -> Message:
    """The message that pays a sum."""
    if paid.denom is None:
        return Payment(sender, recipient, paid.amount)
    return PayDenomination(sender, paid.denom, recipient, paid.amount)
