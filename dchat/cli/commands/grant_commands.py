"""`dchat tx` and `dchat query` of what an account lets others do: have their fees paid, act in its name; and of what it
promises them, which vests with time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from chain.currency.grants.authorisations import AUTHORISATIONS, name_of
from chain.currency.grants.fee_grants import FEE_GRANTS
from chain.currency.vesting.vesting import VESTING_KIND, Vesting
from chain.currency.vesting.vesting import name_of as name_of_vesting
from chain.tx.messages import KIND_OF
from chain.tx.messages.grants import (
    INNER,
    INNER_MAX,
    INNER_OF,
    NAMES,
    PERIOD_S_MAX,
    RECIPIENTS_MAX,
    SPENDING,
    Authorise,
    Exec,
    GrantFees,
    RevokeAuthorisation,
    RevokeFeeGrant,
)
from chain.tx.messages.payments import ClaimVested, ClawBack, CreateVesting
from consensus.formats.timestamps import format_rfc3339
from dchat.cli.commands.denomination_commands import CURSOR, Cursor
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, parse_leg, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, height_option, limit_option, node_option
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.cli.terminal.times import Length, Time, length_of, time_of
from dchat.client.front.amounts import parse_amount
from proto.dchat.v1 import payment_service_pb2 as pb

grantee_option = click.option("--to", "grantee", type=Address(), required=True, help="The account that may.")
expiry_option = click.option(
    "--expires", "expiry_ns", type=Time(), required=True, help="30d, 12h, or a time: 2027-01-31T00:00:00Z."
)


@tx.command("grant-fees", cls=Command)
@grantee_option
@click.option("--limit", type=Amount(least=1), required=True, help="The most in all.")
@expiry_option
@click.option("--period", type=Length(), default=0, help="As 1d, with --period-limit: the most in each period.")
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
    ask_record(FEE_GRANTS, granter + grantee, word_of=granter, **how)


kind_option = click.option("--kind", type=click.Choice(sorted(INNER)), required=True, help="Of message.")


@tx.command(cls=Command)
@grantee_option
@kind_option
@click.option("--limit", type=Amount(), default=0, help=f"The most in all, of {', '.join(sorted(SPENDING))}.")
@click.option("--recipient", "recipients", type=Address(), multiple=True, help="Whom it may pay. Default: anybody.")
@expiry_option
@sending
def authorise(
    grantee: bytes, kind: str, limit: int, recipients: tuple[bytes, ...], expiry_ns: int, **options: Any
) -> None:
    """Let another account send messages of a kind in your name, by dchat tx exec."""
    if bool(limit) != (kind in SPENDING):
        raise Refusal(f"--limit: {'needed' if kind in SPENDING else 'not taken'} with --kind {kind}", Exit.USAGE)
    named = tuple(sorted(set(recipients)))
    if len(named) > RECIPIENTS_MAX or (named and kind != "payment"):
        raise Refusal(f"--recipient: of --kind payment, {RECIPIENTS_MAX} at most", Exit.USAGE)
    send(lambda me: [Authorise(me, grantee, kind, expiry_ns, limit, named)], options)


@tx.command("revoke-authorisation", cls=Command)
@grantee_option
@kind_option
@sending
def revoke_authorisation(grantee: bytes, kind: str, **options: Any) -> None:
    """Let another account no longer act in your name."""
    send(lambda me: [RevokeAuthorisation(me, grantee, kind)], options)


@tx.command("exec", cls=Command)
@click.option("--for", "granter", type=Address(), required=True, help="Who let you.")
@click.option("--leg", "legs", multiple=True, required=True, metavar='"KIND key=value ..."')
@sending
def exec_(granter: bytes, legs: tuple[str, ...], **options: Any) -> None:
    """Act in the name of an account that authorised you: legs as in dchat tx bundle.

    \b
    dchat tx exec --for dchat1... --leg "pay to=dchat1... amount=5"
    """
    messages = tuple(parse_leg(leg, granter) for leg in legs)
    strange = [KIND_OF[type(message)].name for message in messages if type(message) not in INNER_OF]
    if strange or len(messages) > INNER_MAX:
        raise Refusal(f"--leg: 1 to {INNER_MAX}, of {', '.join(sorted(INNER))}", Exit.USAGE)
    send(lambda me: [Exec(me, granter, messages)], options)


@query.command("authorisation", cls=Command)
@click.argument("granter", type=Address())
@click.argument("grantee", type=Address())
@click.argument("kind", type=click.Choice(sorted(INNER)))
@proving
def query_authorisation(granter: bytes, grantee: bytes, kind: str, **how: Any) -> None:
    """What an account lets another do, and what is left of it."""
    ask_record(AUTHORISATIONS, name_of(granter, grantee, kind), word_of=granter, **how)


def parse_part(text: str) -> tuple[int, int]:
    """(seconds, udchat) of `30d=5`. Raises ValueError."""
    length, found, amount = text.partition("=")
    seconds = length_of(length) if found else 0
    if not seconds:
        raise ValueError(f"{text!r} is no part; expected LENGTH=AMOUNT, as 30d=5")
    return seconds, parse_amount(amount, least=1)


class Part(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `parse_part`."""

    name = "LENGTH=AMOUNT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            return parse_part(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


number_option = click.option(
    "--number", type=click.IntRange(0), default=0, show_default=True, help="Of this funder's for this recipient."
)


@tx.command("vest", cls=Command)
@click.option("--to", "recipient", type=Address(), required=True)
@click.option("--amount", type=Amount(), default=0, help="With --over or --after.")
@click.option("--over", type=Length(), default=0, help="Vests evenly for so long: 365d.")
@click.option("--after", type=Length(), default=0, help="Vests whole after so long.")
@click.option("--part", "parts", type=Part(), multiple=True, help="One after another, as 30d=5: 5 DCHAT after 30 days.")
@click.option("--start", "start_ns", type=Time(), default=0, help="A time, or in 30d. Default: with the block.")
@click.option("--clawback", is_flag=True, help="You may take back what has not vested.")
@number_option
@sending
def vest(
    recipient: bytes, amount: int, over: int, after: int, parts: tuple[tuple[int, int], ...], start_ns: int,
    clawback: bool, number: int, **options: Any,
) -> None:  # fmt: skip
    """Promise an amount that becomes the recipient's with time."""
    if sum(map(bool, (over, after, parts))) != 1 or bool(amount) == bool(parts):
        raise Refusal("give --amount with --over or --after, or else --part, once for each part", Exit.USAGE)
    periods = parts or ((over or after, amount),)
    total = sum(part for _, part in periods)
    send(
        lambda me: [CreateVesting(me, recipient, number, total, start_ns, bool(over), clawback, tuple(periods))],
        options,
    )


@tx.command("claim-vested", cls=Command)
@click.option("--funder", type=Address(), required=True, help="Who promised it.")
@click.option("--recipient", type=Address(), help="Whom it goes to. Default: you.")
@number_option
@sending
def claim_vested(funder: bytes, recipient: bytes | None, number: int, **options: Any) -> None:
    """Have paid what has vested. Anybody may, for anybody."""
    send(lambda me: [ClaimVested(me, recipient or me, funder, number)], options)


@tx.command("claw-back", cls=Command)
@click.option("--recipient", type=Address(), required=True)
@number_option
@sending
def claw_back(recipient: bytes, number: int, **options: Any) -> None:
    """Take back what has not vested; what has is paid."""
    send(lambda me: [ClawBack(me, recipient, number)], options)


@query.command("vesting", cls=Command)
@click.argument("recipient", type=Address())
@click.argument("funder", type=Address())
@click.argument("number", type=click.IntRange(0), default=0)
@click.option("--at", "time_ns", type=Time(), help="A time, or in 30d. Default: now, by this machine's clock.")
@proving
def query_vesting(recipient: bytes, funder: bytes, number: int, time_ns: int | None, **how: Any) -> None:
    """A vesting: what of it has vested, is locked and can be claimed, at a time."""
    at_ns = time.time_ns() if time_ns is None else time_ns

    def amounts(record: Any) -> dict[str, Any]:
        vesting = Vesting.decode(record.SerializeToString())
        vested = vesting.vested_at(at_ns)
        shown = {"time": format_rfc3339(at_ns), "vested": vested, "locked": vesting.amount - vested}
        return {"at": {**shown, "paid": vesting.paid, "claimable": vested - vesting.paid}}

    ask_record(VESTING_KIND, name_of_vesting(recipient, funder, number), derived=amounts, **how)


def listing(first: str, second: str, *, helps: tuple[str, str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options of what lies under two accounts: whose, which page, and where it is asked."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            node_option, height_option, limit_option(100),
            click.option("--after", type=Cursor(), default=b"", help=CURSOR),
            click.option(f"--{second}", type=Address(), help=helps[1]),
            click.option(f"--{first}", type=Address(), help=helps[0]),
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


def one_of(**named: bytes | None) -> dict[str, Any]:
    """Raises Refusal."""
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) != 1:
        raise Refusal(f"{' or '.join(f'--{name}' for name in named)}: one of them", Exit.USAGE)
    return given


@query.command("fee-grants", cls=Command)
@listing("granter", "grantee", helps=("What somebody grants.", "What somebody is granted."))
def query_fee_grants(granter: bytes | None, grantee: bytes | None, node: str | None, **page: Any) -> None:
    """Fee grants of an account, or to it."""
    request = pb.ListFeeGrantsRequest(**one_of(granter=granter, grantee=grantee), **page)
    plain(lambda client: client.call(client.payments.ListFeeGrants, request), node)


@query.command("authorisations", cls=Command)
@listing("granter", "grantee", helps=("What somebody lets others do.", "What somebody is let do."))
def query_authorisations(granter: bytes | None, grantee: bytes | None, node: str | None, **page: Any) -> None:
    """What an account lets others do, or what it may do in their names."""
    request = pb.ListAuthorisationsRequest(**one_of(granter=granter, grantee=grantee), **page)
    plain(lambda client: client.call(client.payments.ListAuthorisations, request), node)


@query.command("vestings", cls=Command)
@listing("recipient", "funder", helps=("What somebody was promised.", "What somebody promised."))
def query_vestings(recipient: bytes | None, funder: bytes | None, node: str | None, **page: Any) -> None:
    """What was promised to an account, or by it, and is not all paid."""
    request = pb.ListVestingsRequest(**one_of(recipient=recipient, funder=funder), **page)
    plain(lambda client: client.call(client.payments.ListVestings, request), node)


def _address(text: str) -> bytes:
    return Address().convert(text, None, None)


LEGS.update(
    {
        "grant-fees": (
            frozenset({"to", "limit", "expires"}),
            frozenset(),
            lambda me, leg: GrantFees(
                me, _address(leg["to"]), parse_amount(leg["limit"], least=1), time_of(leg["expires"])
            ),
        ),
        "revoke-fee-grant": (frozenset({"to"}), frozenset(), lambda me, leg: RevokeFeeGrant(me, _address(leg["to"]))),
        "authorise": (
            frozenset({"to", "kind", "expires"}),
            frozenset({"limit"}),
            lambda me, leg: Authorise(
                me, _address(leg["to"]), leg["kind"], time_of(leg["expires"]), parse_amount(leg.get("limit", "0"))
            ),
        ),
        "vest": (
            frozenset({"to", "amount", "over"}),
            frozenset({"number"}),
            lambda me, leg: CreateVesting(
                me,
                _address(leg["to"]),
                int(leg.get("number", "0")),
                parse_amount(leg["amount"], least=1),
                0,
                True,
                False,
                (parse_part(f"{leg['over']}={leg['amount']}"),),
            ),
        ),
        "claim-vested": (
            frozenset({"funder"}),
            frozenset({"recipient", "number"}),
            lambda me, leg: ClaimVested(
                me,
                _address(leg["recipient"]) if "recipient" in leg else me,
                _address(leg["funder"]),
                int(leg.get("number", "0")),
            ),
        ),
        "claw-back": (
            frozenset({"recipient"}),
            frozenset({"number"}),
            lambda me, leg: ClawBack(me, _address(leg["recipient"]), int(leg.get("number", "0"))),
        ),
        "revoke-authorisation": (
            frozenset({"to", "kind"}),
            frozenset(),
            lambda me, leg: RevokeAuthorisation(me, _address(leg["to"]), leg["kind"]),
        ),
    }
)
