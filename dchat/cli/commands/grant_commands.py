"""`dchat tx` and `dchat query` of what an account lets others do: have their fees paid."""

from __future__ import annotations

import time
from typing import Any

import click

from chain.currency.grants.fee_grants import FEE_GRANTS
from chain.tx.messages.grants import NAMES, PERIOD_S_MAX, GrantFees, RevokeFeeGrant
from consensus.formats.errors import InvalidData
from consensus.formats.timestamps import parse_rfc3339
from consensus.formats.units import NS_PER_S
from dchat.cli.commands.query_commands import Age, ask_record, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, parse_amount
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.config.models import duration_s


def expiry_of(text: str) -> int:
    """Block time in ns, of `30d` (from now on, by this machine's clock) or an RFC 3339 time. Raises ValueError."""
    try:
        return parse_rfc3339(text)
    except InvalidData:
        pass
    try:
        seconds = duration_s(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; allowed: 30d, 12h, 2027-01-31T00:00:00Z") from None
    assert isinstance(seconds, int)
    return time.time_ns() + seconds * NS_PER_S


class Expiry(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `expiry_of`."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return expiry_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


grantee_option = click.option("--to", "grantee", type=Address(), required=True, help="The account that may.")
expiry_option = click.option(
    "--expires", "expiry_ns", type=Expiry(), required=True, help="30d, 12h, or a time: 2027-01-31T00:00:00Z."
)


@tx.command("grant-fees", cls=Command)
@grantee_option
@click.option("--limit", type=Amount(least=1), required=True, help="The most in all.")
@expiry_option
@click.option("--period", type=Age(), default=0, help="As 1d, with --period-limit: the most in each period.")
@click.option("--period-limit", type=Amount(), default=0)
@click.option("--kind", "kinds", type=click.Choice(sorted(NAMES)), multiple=True, help="Pays for these. Default: all.")
@sending
def grant_fees(
    grantee: bytes, limit: int, expiry_ns: int, period: int, period_limit: int, kinds: tuple[str, ...], **options: Any
) -> None:
    """Let another account's transactions be paid from yours: it names you as --fee-granter."""
    if bool(period) != bool(period_limit) or period > PERIOD_S_MAX:
        raise Refusal("--period and --period-limit: both or neither, and a period of ten years at most", Exit.USAGE)
    named = tuple(sorted(set(kinds)))
    send(lambda me: [GrantFees(me, grantee, limit, expiry_ns, period, period_limit, named)], options)


@tx.command("revoke-fee-grant", cls=Command)
@grantee_option
@sending
def revoke_fee_grant(grantee: bytes, **options: Any) -> None:
    """Pay another account's fees no more."""
    send(lambda me: [RevokeFeeGrant(me, grantee)], options)


@query.command("fee-grant", cls=Command)
@click.argument("granter", type=Address())
@click.argument("grantee", type=Address())
@proving
def query_fee_grant(granter: bytes, grantee: bytes, **how: Any) -> None:
    """What is left of a fee grant."""
    ask_record(FEE_GRANTS, granter + grantee, **how)


def _address(text: str) -> bytes:
    return Address().convert(text, None, None)


LEGS.update(
    {
        "grant-fees": (
            frozenset({"to", "limit", "expires"}),
            frozenset(),
            lambda me, leg: GrantFees(
                me, _address(leg["to"]), parse_amount(leg["limit"], least=1), expiry_of(leg["expires"])
            ),
        ),
        "revoke-fee-grant": (frozenset({"to"}), frozenset(), lambda me, leg: RevokeFeeGrant(me, _address(leg["to"]))),
    }
)
