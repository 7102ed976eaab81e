"""How a command that pays, asks or holds a sum takes one: as programs say it (`dchat.client.front.amounts`), or `20`
with `--denom factory/dchat1.../gold`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from chain.tx.messages.payments import Denom
from dchat.client.front.amounts import Sum, denom_named, parse_sum

_DENOM = "dchat.denom"
EXAMPLES: Final = '5, "5.25 DCHAT", 5000udchat, or units of a denomination: "20 factory/CREATOR/NAME"'


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
