"""`dchat tx exchange`, what two people give each other, and `dchat tx subscribe`, several periods: each one bundle."""

from __future__ import annotations

from typing import Any, Final

import click

from chain.tx.messages import LANE_BRIDGE, Message, PayToJoin
from crypto.bech32 import encode_address
from dchat.cli.chat.words import channel_of
from dchat.cli.commands.tx_commands import parse_leg, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.cli.terminal.sums import EXAMPLES, SumSaid
from dchat.cli.terminal.times import Length
from dchat.client.front.amounts import Sum, paying

PERIODS_MAX: Final = 24  # legs of one bundle


@tx.command("exchange", cls=Command)
@click.option("--with", "other", type=Address(), required=True, help="With whom; who signs it too.")
@click.option("--give", type=SumSaid(), help=f"What you pay: {EXAMPLES}.")
@click.option("--take", type=SumSaid(), help="What the other pays you.")
@click.option("--your-leg", "mine", multiple=True, metavar='"KIND key=value ..."', help="What else you do.")
@click.option("--their-leg", "theirs", multiple=True, metavar='"KIND key=value ..."', help="What else the other does.")
@sending
def exchange(
    other: bytes,
    give: Sum | None,
    take: Sum | None,
    mine: tuple[str, ...],
    theirs: tuple[str, ...],
    **options: Any,
) -> None:
    """Draft what you and somebody else give each other, all of it or nothing. Both sign it, then anybody hands it in.

    \b
    dchat tx exchange --with bob.json --give 5 --their-leg "post channel=poems text='a rose'" > deal.json
    dchat tx sign deal.json --from alice.json
    dchat tx sign deal.json --from bob.json
    dchat tx broadcast deal.json
    """
    if not (give or mine) or not (take or theirs):
        raise Refusal("say what each of you gives: --give or --your-leg, and --take or --their-leg", Exit.USAGE)

    def make(me: bytes) -> list[Message]:
        if me == other:
            raise Refusal(f"--with {encode_address(other)}: that is you", Exit.USAGE)
        yours: list[Message] = [paying(me, other, give)] if give else []
        yours += [parse_leg(leg, me) for leg in mine]
        others: list[Message] = [paying(other, me, take)] if take else []
        return [*yours, *others, *[parse_leg(leg, other) for leg in theirs]]

    send(make, {**options, "generate_only": True}, lane=LANE_BRIDGE)


@tx.command("subscribe", cls=Command)
@click.option("--channel", required=True, help="Name or id; one whose price buys a time.")
@click.option(
    "--periods", type=click.IntRange(1, PERIODS_MAX), default=1, show_default=True, help="How many to pay for."
)
@click.option("--max-price", type=Amount(), required=True, help="The most that you would pay for each.")
@click.option("--min-period", "min_period_s", type=Length(least=1), required=True, help="As 30d, the least of each.")
@sending
def subscribe(channel: str, periods: int, max_price: int, min_period_s: int, **options: Any) -> None:
    """Join a channel for several periods, or go on for so many, all of them paid or none."""
    send(lambda me: [PayToJoin(me, channel_of(channel), max_price, min_period_s)] * periods, options)
