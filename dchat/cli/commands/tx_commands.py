"""`dchat tx`: build, sign and send transactions.

For which chain, and what is believed of the node: `dchat.cli.terminal.trust`. One command signs one transaction
(`dchat.client.wallet`).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from chain.tx.envelope.build import Shared, Wallet
from chain.tx.errors import TxError
from chain.tx.messages import LANE_BRIDGE, Message, Output, PayMany
from chain.tx.policies import read_policy
from chain.tx.units import in_dchat
from crypto.bech32 import encode_address
from dchat.cli.terminal.ask import Address, Amount, ChainId, account_from, node_option, run
from dchat.cli.terminal.base import Command, Exit, Group, InputFile, Refusal, common_option, echo, show_json
from dchat.cli.terminal.drafts import Draft
from dchat.cli.terminal.named import Payee, account_of
from dchat.cli.terminal.outcome import output_option, show_outcome, show_trial
from dchat.cli.terminal.sums import sum_of, sum_option
from dchat.cli.terminal.trust import Signing, trust_options
from dchat.client.client import SMALL_BYTES_MAX, Client, ClientError
from dchat.client.front.amounts import Sum, parse_amount, paying
from dchat.client.front.kept import KeepFailed, keep, read_kept
from dchat.client.wallet import (
    EXPIRY_BLOCKS,
    FEE_MAX,
    ORDERED_EXPIRY_BLOCKS,
    Outcome,
    Session,
    TxRefused,
    open_until,
    standing_still,
)
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import tx_pb2

WAITS = ("proof", "commit", "admission")
BUILDING = ("unordered", "expiry_blocks", "fee", "gas_limit", "memo", "sequence", "fee_granter")  # options of `build`


@click.group(cls=Group)
def tx() -> None:
    """Send a transaction. Amounts are DCHAT (5, 5.25) unless they say udchat."""


def handing_in(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that gives a transaction to a node."""
    options = (
        node_option,
        common_option(
            "--wait",
            type=click.Choice(WAITS),
            help="Return when the next header proves what became of it (the default), when it is in a block by the "
            "node's word, or when the node has admitted it.",
        ),
        trust_options,
        output_option,
        common_option("--chain-id", type=ChainId(), default="", help="Default: of what trust begins with."),
        common_option(
            "--believe-node", is_flag=True, help="Check nothing that the node says: only for a node of your own."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def sending(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that sends."""
    options = (
        common_option("--from", "sender", type=InputFile(), help="Identity or account file. Default: home's."),
        handing_in,
        common_option("--memo", default="", help="Up to 256 bytes, public."),
        common_option("--fee", type=Amount(), help="Default: the least that the chain takes, by the node's word."),
        common_option("--max-fee", type=Amount(), default=FEE_MAX, help="Of the default fee. Default: 1 DCHAT."),
        common_option(
            "--fee-granter",
            type=Address(),
            default=b"",
            help="Whose fee grant pays (dchat tx grant-fees). Default: you.",
        ),
        common_option("--gas-limit", type=int, help="Default: an estimate that is enough."),
        common_option("--unordered", is_flag=True, help="With a replay mark and an expiry instead of a sequence."),
        common_option(
            "--expiry-blocks",
            type=click.IntRange(0),
            default=0,
            help=f"No block takes it after so many. Default: {ORDERED_EXPIRY_BLOCKS}, unordered {EXPIRY_BLOCKS}.",
        ),
        common_option(
            "--sequence", type=click.IntRange(0), help="Of an earlier attempt: of both only one can be executed."
        ),
        common_option(
            "--keep",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write what is signed to this file first; given again with it, hand in the same: it is executed once.",
        ),
        common_option(
            "--estimate", is_flag=True, help="Take the gas limit that the node finds by running it, by its word."
        ),
        common_option("--dry-run", is_flag=True, help="Sign and send nothing: ask the node what it would do."),
        common_option(
            "--generate-only", is_flag=True, help="Sign and send nothing: show the draft for `dchat tx sign`, as JSON."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class Refused(Refusal):
    """The chain's answer to a transaction, by code."""

    def __init__(self, error: TxRefused) -> None:
        super().__init__(str(error))
        self.codespace, self.code = error.outcome.codespace, error.outcome.code


def send(
    make: Callable[[bytes], Sequence[Message]], options: dict[str, Any], *, lane: int | None = None, rare: bool = False
) -> None:
    """Build the messages for the sender's address, send them, show what became of them.

    rare: it is of those that a chain refuses for long (once a day, once in an unbonding time), so that it is tried
    first also where nobody can be asked, and what would fail is not sent, and not paid for.
    """
    who = account_from(options["sender"])
    messages = make(who.address)  # what makes no sense is said before anything is asked for
    signing = Signing.of(options)
    file: Path | None = options["keep"]
    said = {name: options[name] for name in BUILDING}
    account = Shared(who.wallet.policy, who.wallet.public_key, who.address)
    if options["generate_only"] or options["dry_run"]:
        if file is not None or options["wait"] is not None:
            raise Refusal("--generate-only and --dry-run send nothing: leave out --keep and --wait", Exit.USAGE)
        (try_out if options["dry_run"] else generate)(messages, account, signing, options, lane=lane)
        return
    if not isinstance(who.wallet, Wallet):
        raise Refusal(
            "the account has several keys: give --generate-only, then dchat tx sign by each, and dchat tx broadcast",
            Exit.USAGE,
        )
    if any(message[0] != who.address for message in messages):
        raise Refusal(
            "others act in it too: give --generate-only, then dchat tx sign by each, and dchat tx broadcast", Exit.USAGE
        )
    try:
        kept = read_kept(file, messages, who.address) if file is not None else None
    except KeepFailed as error:
        raise Refusal(f"--keep {error}", Exit.USAGE) from None

    async def work(session: Session, how: dict[str, bool]) -> Outcome:
        if kept is not None:
            return await session.hand_in(kept, **how)
        signed = partial(keep, file) if file is not None else None
        if options["estimate"]:
            trial = signing.session(session.client, account)
            said["gas_limit"] = would_do(await trial.simulate(messages, lane=lane, **said), who.address).gas_limit
        elif at_terminal():
            trial = signing.session(session.client, account, fee_max=options["max_fee"])
            warn_if_in_vain(await tried(trial, messages, lane=lane, said=said), who.address)
        elif rare and (found := await tried(signing.session(session.client, account), messages, lane=lane, said=said)):
            would_do(found, who.address)
        return await session.send(messages, **how, signed=signed, lane=lane, **said)

    hand_in(work, who.wallet, signing, options)


def at_terminal() -> bool:
    """Whether somebody sits there who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def tried(
    trial: Session, messages: Sequence[Message], *, lane: int | None, said: Mapping[str, Any]
) -> pb.SimulateResponse | None:
    """What the node says that it would do; None: it does not say, and whoever sends it will hear."""
    try:
        return await trial.simulate(messages, lane=lane, **said)
    except (ClientError, ValueError):
        return None


def warn_if_in_vain(answer: pb.SimulateResponse | None, signer: bytes) -> None:
    """A transaction that is admitted and fails in its block is paid for. signer: whose it is. Raises Refusal: it is not
    to be sent."""
    if answer is None or not answer.code:
        return
    failed = Outcome.of_trial(answer, signer)
    echo(f"By this node's word it would fail: {failed.meaning}{failed.caveat}.", err=True)
    if answer.fee:  # 0: no block would take it
        echo(f"Its fee of {in_dchat(answer.fee)} may be paid all the same.", err=True)
    if not click.confirm("Send it?", err=True):
        raise Refusal("nothing was sent; --dry-run tries without a question")


def would_do(answer: pb.SimulateResponse, signer: bytes) -> pb.SimulateResponse:
    """signer: whose it is. Raises TxRefused: by the node's word no block would execute it."""
    if answer.code:
        raise TxRefused(Outcome.of_trial(answer, signer))
    return answer


def try_out(
    messages: Sequence[Message], account: Shared, signing: Signing, options: dict[str, Any], *, lane: int | None
) -> None:
    """Show what a transaction that nobody has signed would do."""

    async def work(client: Client) -> pb.SimulateResponse:
        session = signing.session(client, account, fee_max=options["max_fee"])
        return await session.simulate(messages, lane=lane, **{name: options[name] for name in BUILDING})

    try:
        answer = run(work, options["node"], answer_bytes_max=SMALL_BYTES_MAX)
        show_trial(answer, options["form"])
        would_do(answer, account.address)
    except TxRefused as error:
        raise Refused(error) from None
    except ValueError as error:  # a number that no field holds
        raise Refusal(f"this cannot be a transaction: {error}", Exit.USAGE) from None


def generate(
    messages: Sequence[Message], account: Shared, signing: Signing, options: dict[str, Any], *, lane: int | None
) -> None:
    """Show the draft of a transaction that nobody has signed."""
    others = sorted({message[0] for message in messages} - {account.address})

    async def work(client: Client) -> tuple[bytes, list[Shared]]:
        session = signing.session(client, account, fee_max=options["max_fee"])
        signers = [await _known(client, address) for address in others]
        said = {name: options[name] for name in BUILDING}
        return await session.build(messages, lane=lane, others=signers, **said), signers

    try:
        raw, signers = run(work, options["node"], answer_bytes_max=SMALL_BYTES_MAX)
        policies = (account.policy, *[signer.policy for signer in signers])
        show_json(Draft(tx_pb2.Tx.FromString(raw).body, policies, {}).document())
    except ValueError as error:  # a number that no field holds
        raise Refusal(f"this cannot be a transaction: {error}", Exit.USAGE) from None
    except TxError as error:
        raise Refusal(f"this cannot be a transaction: {error.log}", Exit.USAGE) from None


async def _known(client: Client, address: bytes) -> Shared:
    """Another account that must sign, by the policy that the node says it has: a wrong one only makes a draft that it
    cannot sign. Raises Refusal: none is on record.
    """
    found = (await client.account(address)).account
    if not found.HasField("policy"):
        raise Refusal(f"{encode_address(address)} must sign too, and has signed nothing yet: it must do so once first")
    return Shared(read_policy("policy", found.policy), address=address)


def hand_in(
    give: Callable[[Session, dict[str, bool]], Awaitable[Outcome]], wallet: Wallet | Shared, signing: Signing,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Give a transaction to a node, and show what became of it. give: with the session, and how long it waits."""
    wait = options["wait"] or ("proof" if signing.trust is not None else "commit")
    if wait == "proof" and signing.trust is None:
        raise Refusal("--wait proof, and --believe-node: one of them", Exit.USAGE)
    how = {"wait_commit": wait != "admission", "prove": wait == "proof"}
    sessions: list[Session] = []

    async def work(client: Client) -> Outcome:
        sessions.append(signing.session(client, wallet, fee_max=options.get("max_fee", FEE_MAX)))
        return await give(sessions[0], how)

    try:
        show_outcome(run_sending(work, options["node"]), options["form"])
    except TxRefused as error:
        show_outcome(error.outcome, options["form"])
        raise Refused(error) from None
    except KeyboardInterrupt:
        tx = sessions[0].handed if sessions else None
        raise Refusal(f"stopped; {open_until(tx) if tx else 'nothing was handed in'}") from None
    except ValueError as error:  # a number that no field holds
        raise Refusal(f"this cannot be a transaction: {error}", Exit.USAGE) from None


async def none_comes(client: Client) -> str:
    """That the chain stands, for who waits; empty: it does not."""
    stands = await standing_still(client)
    if stands is None:
        return ""
    return (
        f"no block since block {stands.height}, {stands.age_s} s ago: the chain stands. `dchat validator recover` on a "
        "node's home says why, `dchat health` whether that node is well"
    )


def run_sending(work: Callable[[Client], Any], node: str | None) -> Outcome:
    """As `run`, with a refusal of the chain passed on for its outcome."""
    refused: list[TxRefused] = []

    async def guarded(client: Client) -> Outcome | None:
        try:
            outcome = await work(client)
        except TxRefused as error:
            refused.append(error)
            return None
        assert isinstance(outcome, Outcome)
        return outcome

    outcome = run(
        guarded, node, answer_bytes_max=SMALL_BYTES_MAX, waits_for="the block with it, and for the next",
        why_long=none_comes,
    )  # fmt: skip
    if outcome is None:
        raise refused[0]
    return outcome


@tx.command(cls=Command)
@click.option("--to", "payee", type=Payee(), required=True, help="@NAME is whose registered name that is.")
@sum_option()
@sending
def pay(payee: bytes | str, paid: Sum, **options: Any) -> None:
    """Pay an account, in DCHAT or in a denomination."""
    recipient = account_of(payee, options)
    send(lambda me: [paying(me, recipient, paid)], options)


def parse_output(text: str) -> Output:
    """`ADDRESS=AMOUNT`. Raises ValueError."""
    who, separator, amount = text.rpartition("=")
    if not separator:
        raise ValueError(f"{text!r} is not ADDRESS=AMOUNT")
    return Output(Address().convert(who, None, None), parse_amount(amount, least=1))


def paying_many(me: bytes, outputs: Sequence[Output]) -> PayMany:
    return PayMany(me, tuple(outputs), sum(output.amount for output in outputs))


class PaidOutput(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `parse_output`."""

    name = "ADDRESS=AMOUNT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Output:
        if isinstance(value, Output):
            return value
        try:
            return parse_output(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@tx.command("pay-many", cls=Command)
@click.option("--to", "outputs", type=PaidOutput(), multiple=True, required=True, help="Up to 64 of them.")
@sending
def pay_many(outputs: tuple[Output, ...], **options: Any) -> None:
    """Pay several accounts, all of them or none."""
    send(lambda me: [paying_many(me, outputs)], options)


# kind -> (needed keys, optional keys, message of the sender's address and the given texts); a file of commands adds its
LEGS: dict[str, tuple[frozenset[str], frozenset[str], Callable[[bytes, dict[str, str]], Message]]] = {
    "pay": (
        frozenset({"to", "amount"}),
        frozenset({"denom"}),
        lambda me, leg: paying(me, Address().convert(leg["to"], None, None), sum_of(leg)),
    ),
    "pay-many": (
        frozenset({"to"}),
        frozenset(),
        lambda me, leg: paying_many(me, [parse_output(text) for text in leg["to"].split(",")]),
    ),
}


def parse_leg(text: str, me: bytes) -> Message:
    """`KIND key=value ...`, quoted as in a shell; `as=WHO`: somebody else does it, and signs too. Raises Refusal."""
    kind, *pairs = shlex.split(text) or [""]
    if kind not in LEGS:
        raise Refusal(f"unknown leg {kind!r}; allowed: {', '.join(LEGS)}", Exit.USAGE)
    needed, optional, make = LEGS[kind]
    given = dict(pair.partition("=")[::2] for pair in pairs)
    who = Address().convert(given.pop("as"), None, None) if "as" in given else me
    if not needed <= given.keys() <= needed | optional:
        raise Refusal(
            f"leg {kind}: needs {', '.join(sorted(needed))}"
            + (f"; may have {', '.join(sorted(optional))}" if optional else "")
            + f"; got {', '.join(given) or 'nothing'}",
            Exit.USAGE,
        )
    try:
        return make(who, given)
    except ValueError as error:
        raise Refusal(f"leg {kind}: {error}", Exit.USAGE) from None


@tx.command(cls=Command)
@click.option("--leg", "legs", multiple=True, required=True, metavar='"KIND key=value ..."')
@sending
def bundle(legs: tuple[str, ...], **options: Any) -> None:
    """Do several things on both chains, all of them or none.

    \b
    dchat tx bundle --leg "pay to=dchat1... amount=5" --leg "post channel=lobby text='paid you'"

    A leg with as=ACCOUNT is somebody else's, who must sign too: give --generate-only, as for any draft.
    """
    send(lambda me: [parse_leg(leg, me) for leg in legs], options, lane=LANE_BRIDGE)
