"""`dchat tx escrow`, `dchat tx attest`, and how they are looked up. docs/escrows.md shows what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
from google.protobuf.message import DecodeError

from bridge.escrow_records import AHEAD_NS_MAX, ATTESTATIONS, ESCROWED, ESCROWS, Escrow
from chain.currency.denominations.records import name_of
from chain.tx.errors import TxError
from chain.tx.messages import LANE_BRIDGE, PostMessage
from chain.tx.messages.escrow import (
    Attest,
    Condition,
    EscrowReference,
    EscrowShare,
    MessagePlace,
    OpenEscrow,
    OpenSharedEscrow,
    PayShare,
    Posted,
    ReleaseEscrow,
    Require,
)
from chain.tx.messages.payments import Denom
from consensus.formats.units import NS_PER_S
from crypto.hash import sha256
from dchat.cli.chat.words import channel_of
from dchat.cli.commands.query_commands import ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.deals.words import CONDITIONS, SAID, If, condition_of, escrow_of, hash_of, place_of
from dchat.cli.terminal.ask import Address, Hash, height_option, limit_option, node_option, run
from dchat.cli.terminal.base import Command, Exit, Group, Refusal
from dchat.cli.terminal.sums import sum_of, sum_option
from dchat.cli.terminal.times import Time, time_of
from dchat.client.client import Client
from dchat.client.front.amounts import Sum, parse_sum
from proto.dchat.v1 import bridge_service_pb2 as pb

DEADLINE: Final = "When what is left goes back: 2h, 7d from now, or 2027-01-31T12:00:00Z. At most 366 days."
UNTIL: Final = Time(most_s=AHEAD_NS_MAX // NS_PER_S)


@tx.group("escrow", cls=Group)
def escrow() -> None:
    """Pay into an escrow, say your word on one, and what is built of them."""


@escrow.command("open", cls=Command)
@click.option("--to", "recipient", type=Address(), help="Who is paid. Without it: whom the release names.")
@sum_option()
@click.option("--deadline", type=UNTIL, required=True, help=DEADLINE)
@click.option("--share", "others", multiple=True, metavar="WHO=AMOUNT", help="What another pays into it; repeat.")
@click.option(
    "--pay-until",
    type=UNTIL,
    help="When shares are missing then, all goes back. Needed with --share.",
)
@click.option("--party", "parties", type=Address(), multiple=True, help="Whose word pays; repeat for several.")
@click.option("--threshold", type=click.IntRange(1), help="How many of them must say the same. Default: all.")
@click.option("--arbiter", type=Address(), help="Who decides alone, either way.")
@click.option("--if", "conditions", type=If(), multiple=True, help=f"When all hold, anybody releases all of it: {SAID}")
@sending
def open_escrow(
    recipient: bytes | None,
    paid: Sum,
    deadline: int,
    others: tuple[str, ...],
    pay_until: int | None,
    parties: tuple[bytes, ...],
    threshold: int | None,
    arbiter: bytes | None,
    conditions: tuple[Condition, ...],
    **options: Any,
) -> None:
    """Pay into an escrow. What is left of it at the deadline comes back by itself."""
    try:
        shares = shares_of(others, paid)
    except ValueError as error:
        raise Refusal(f"--share: {error}", Exit.USAGE) from None
    whose = tuple(sorted(set(parties)))
    if not (whose or arbiter or conditions):
        raise Refusal("say --party, --arbiter or --if: otherwise nobody could release it", Exit.USAGE)
    needed = threshold or len(whose)
    if needed > len(whose):
        raise Refusal(f"--threshold is {needed}; there are {len(whose)} parties", Exit.USAGE)
    if conditions and recipient is None:
        raise Refusal("--if releases to somebody: say --to", Exit.USAGE)
    if bool(others) != (pay_until is not None):
        raise Refusal("--share and --pay-until: both or neither", Exit.USAGE)
    terms = (recipient or b"", paid.amount, deadline, whose, needed, arbiter or b"", conditions, paid.denom)
    send(lambda me: [_opening(OpenEscrow(me, *terms), shares, pay_until)], options)


def shares_of(said: Sequence[str], paid: Sum) -> tuple[EscrowShare, ...]:
    """Of `WHO=SUM`, of what is paid beside them. Raises ValueError."""
    found = []
    for text in said:
        who, equals, amount = text.rpartition("=")
        if not equals:
            raise ValueError(f"{text!r} is not WHO=AMOUNT")
        share = parse_sum(amount, paid.denom)
        if share.denom != paid.denom:
            raise ValueError(f"{text!r} is of a denomination, and the escrow of DCHAT")
        found.append(EscrowShare(Address().convert(who, None, None), share.amount))
    return tuple(sorted(found))


def _opening(
    terms: OpenEscrow, shares: tuple[EscrowShare, ...], pay_until: int | None
) -> OpenEscrow | OpenSharedEscrow:
    return OpenSharedEscrow(terms.sender, terms, shares, pay_until or 0) if shares else terms


@escrow.command("pay", cls=Command)
@click.argument("escrow_id", type=Hash())
@sum_option()
@sending
def pay_share(escrow_id: bytes, paid: Sum, **options: Any) -> None:
    """Pay your share of an escrow. Say what it is: if the escrow names another, nothing is paid."""
    require_of_it(escrow_id, paid, options["node"])
    send(lambda me: [PayShare(me, EscrowReference(escrow_id), paid.denom, paid.amount)], options)


def require_of_it(escrow_id: bytes, paid: Sum, node: str | None) -> None:
    """Say that an escrow holds something else before anything is signed, where the node says so. The chain sees to it
    whatever the node says. Raises Refusal."""

    async def look(client: Client) -> Escrow | None:
        answer = await client.record(ESCROWS, escrow_id, height=0, prove=False)
        return Escrow.decode(answer.value) if answer.HasField("value") else None

    try:
        found = run(look, node)
    except (TxError, DecodeError):
        return  # what is no escrow tells nothing
    if found is not None and found.denom != paid.denom:
        of = "DCHAT" if found.denom is None else name_of(found.denom)
        raise Refusal(
            f"the escrow holds {_shown(found.left, found.denom)}, and --amount is {_shown(*paid)}: "
            f'say --amount "5 {of}"',
            Exit.USAGE,
        )


def _shown(amount: int, denom: Denom | None) -> str:
    return f"{amount} udchat" if denom is None else f"{amount} {name_of(denom)}"


@escrow.command("release", cls=Command)
@click.argument("escrow_id", type=Hash())
@sum_option(required=False, what="Default: all that is left. A part of it:")
@click.option(
    "--to", "recipient", type=Address(), help="Default: the escrow's recipient. Who opened it: back, to all who paid."
)
@click.option("--message", "messages", type=click.IntRange(0), multiple=True, help="Where a posted message stands.")
@sending
def release(
    escrow_id: bytes,
    paid: Sum | None,
    recipient: bytes | None,
    messages: tuple[int, ...],
    **options: Any,
) -> None:
    """Say your word on an escrow, or release it where its conditions hold."""
    if paid is not None:
        require_of_it(escrow_id, paid, options["node"])
    amount, denom = paid or Sum(0)
    places = tuple(map(MessagePlace, messages))
    send(lambda me: [ReleaseEscrow(me, EscrowReference(escrow_id), amount, recipient or b"", places, denom)], options)


# ------------------------------------------------------------------------------ made ready


@escrow.command("pay-on-delivery", cls=Command)
@click.option("--to", "recipient", type=Address(), required=True, help="Who posts it, and is paid.")
@sum_option()
@click.option("--deadline", type=UNTIL, required=True, help=DEADLINE)
@click.option("--channel", required=True, help="Name or id: where it is posted.")
@click.option("--text", help="What is posted.")
@click.option("--hash", "digest", type=Hash(), help="Instead of --text: its SHA-256.")
@sending
def pay_on_delivery(
    recipient: bytes,
    paid: Sum,
    deadline: int,
    channel: str,
    text: str | None,
    digest: bytes | None,
    **options: Any,
) -> None:
    """Pay for a message that somebody will post: on delivery he is paid, otherwise it comes back."""
    if (text is None) == (digest is None):
        raise Refusal("--text or --hash: one of them", Exit.USAGE)
    content = digest or sha256((text or "").encode())
    condition = Posted(channel_of(channel), recipient, content)
    send(
        lambda me: [OpenEscrow(me, recipient, paid.amount, deadline, conditions=(condition,), denom=paid.denom)],
        options,
    )


@escrow.command("deliver", cls=Command)
@click.argument("escrow_id", type=Hash())
@click.option("--channel", required=True, help="Name or id; you are a member.")
@click.option("--text", required=True)
@sending
def deliver(escrow_id: bytes, channel: str, text: str, **options: Any) -> None:
    """Post the message that an escrow pays for and be paid for it, both or neither."""
    posted = (MessagePlace(leg=1),)
    send(
        lambda me: [
            PostMessage(me, channel_of(channel), text.encode(), 0),
            ReleaseEscrow(me, EscrowReference(escrow_id), messages=posted),
        ],
        options,
        lane=LANE_BRIDGE,
    )


@escrow.command("bounty", cls=Command)
@sum_option()
@click.option("--deadline", type=UNTIL, required=True, help=DEADLINE)
@sending
def bounty(paid: Sum, deadline: int, **options: Any) -> None:
    """Set an amount aside for whoever does something; you say who did: `dchat tx escrow release ID --to WHO`."""
    send(lambda me: [OpenEscrow(me, b"", paid.amount, deadline, (me,), 1, denom=paid.denom)], options)


# ------------------------------------------------------------------------------ attestations


@tx.command("attest", cls=Command)
@click.option("--statement", required=True, help="A text, of which the hash is kept; or its SHA-256.")
@click.option(
    "--until",
    type=UNTIL,
    help="How long you stand for it: 30d from now, or a time. At most 366 days.",
)
@click.option("--withdraw", is_flag=True, help="Stand for it no more.")
@sending
def attest(statement: str, until: int | None, withdraw: bool, **options: Any) -> None:
    """Say on chain that you stand for a statement, for others' conditions to go by."""
    if (until is None) != withdraw:
        raise Refusal("--until or --withdraw: one of them", Exit.USAGE)
    send(lambda me: [Attest(me, hash_of(statement), until or 0)], options)


# ------------------------------------------------------------------------------ legs


def _open_leg(me: bytes, leg: dict[str, str]) -> OpenEscrow | OpenSharedEscrow:
    def who(name: str) -> bytes:
        return Address().convert(leg[name], None, None) if name in leg else b""

    parties = tuple(sorted({Address().convert(one, None, None) for one in leg["parties"].split(",")}))
    threshold = int(leg.get("threshold", len(parties)))
    paid, deadline = sum_of(leg), time_of(leg["deadline"])
    if ("shares" in leg) != ("pay-until" in leg):
        raise ValueError("shares= and pay-until=, both or neither")
    shares = shares_of(leg["shares"].split(","), paid) if "shares" in leg else ()
    until = time_of(leg["pay-until"]) if "pay-until" in leg else None
    terms = OpenEscrow(me, who("to"), paid.amount, deadline, parties, threshold, who("arbiter"), denom=paid.denom)
    return _opening(terms, shares, until)


def _named(leg: dict[str, str]) -> EscrowReference:
    if ("escrow" in leg) == ("leg" in leg):
        raise ValueError("escrow= or leg=, one of them")
    return escrow_of(leg["escrow"]) if "escrow" in leg else EscrowReference(leg=int(leg["leg"]))


def _share_leg(me: bytes, leg: dict[str, str]) -> PayShare:
    paid = sum_of(leg)
    return PayShare(me, _named(leg), paid.denom, paid.amount)


def _release_leg(me: bytes, leg: dict[str, str]) -> ReleaseEscrow:
    at = _named(leg)
    to = Address().convert(leg["to"], None, None) if "to" in leg else b""
    place = place_of(leg)
    paid = sum_of(leg) if "amount" in leg else Sum(0)
    return ReleaseEscrow(me, at, paid.amount, to, (place,) if place else (), paid.denom)


def _require_leg(me: bytes, leg: dict[str, str]) -> Require:
    said = {key: value for key, value in leg.items() if key not in ("what", "message", "message-leg")}
    return Require(me, condition_of(leg["what"], said), place_of(leg))


_SAYS = frozenset[str]().union(*[needed | optional for needed, optional in CONDITIONS.values()])

LEGS["open-escrow"] = (
    frozenset({"amount", "deadline", "parties"}),
    frozenset({"to", "threshold", "arbiter", "denom", "shares", "pay-until"}),
    _open_leg,
)
LEGS["pay-share"] = (frozenset({"amount"}), frozenset({"escrow", "leg", "denom"}), _share_leg)
LEGS["release-escrow"] = (
    frozenset(),
    frozenset({"escrow", "leg", "amount", "denom", "to", "message", "message-leg"}),
    _release_leg,
)
LEGS["require"] = (frozenset({"what"}), _SAYS | {"message", "message-leg"}, _require_leg)
LEGS["attest"] = (
    frozenset({"statement", "until"}),
    frozenset(),
    lambda me, leg: Attest(me, hash_of(leg["statement"]), time_of(leg["until"])),
)


# ------------------------------------------------------------------------------ looking


@query.command("escrow", cls=Command)
@click.argument("escrow_id", type=Hash())
@proving
def query_escrow(escrow_id: bytes, **how: Any) -> None:
    """An escrow that is open, by its id."""
    ask_record(ESCROWS, escrow_id, **how)


@query.command("escrows", cls=Command)
@click.option("--party", type=Address(), help="Only those of whoever pays, is paid, has a word or decides.")
@click.option("--after", type=Hash(), help="Go on behind this id.")
@limit_option(100)
@height_option
@node_option
def query_escrows(party: bytes | None, after: bytes | None, limit: int, height: int, node: str | None) -> None:
    """Escrows that are open, ascending by id."""
    request = pb.ListEscrowsRequest(party=party or b"", after=after or b"", limit=limit, height=height)
    plain(lambda client: client.call(client.bridge.ListEscrows, request), node)


@query.command("escrow-totals", cls=Command)
@proving
def query_escrow_totals(**how: Any) -> None:
    """How many escrows are open, what they hold, and what was paid out of escrows since genesis."""
    ask_record(ESCROWED, b"", **how)


@query.command("attestation", cls=Command)
@click.argument("who", type=Address())
@click.argument("statement")
@proving
def query_attestation(who: bytes, statement: str, **how: Any) -> None:
    """Whether somebody stands for a statement (a text, or its SHA-256), and until when."""
    ask_record(ATTESTATIONS, who + hash_of(statement), **how)
