"""`dchat query`: look things up, and with --prove verify them against a root of trust that you name."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import click
from google.protobuf.message import DecodeError, Message

from chain.currency.ledger.records import EPOCHS
from chain.kernel.branch import RecordKind
from chain.tx.envelope.tx import decode
from chain.tx.errors import TxError
from chain.tx.messages import Message as Signed
from dchat.cli.terminal.ask import Address, Hash, height_option, node_option, run
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, common_option, echo
from dchat.cli.terminal.drafts import in_words
from dchat.cli.terminal.outcome import is_text, output_option, show_told, told_by
from dchat.cli.terminal.render import PROOF_FIELDS, absent, event_text
from dchat.cli.terminal.times import Length
from dchat.cli.terminal.trust import root_of_trust, trust_options
from dchat.client.client import Client, NotFound, quoted
from dchat.client.proved import Checked, Proved
from dchat.client.refusals import explain
from dchat.client.verify import ProofFailed, Verifier
from dchat.shown.messages import message_json
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

VOID = "it was made before the account was recovered: it lets, pays and orders nothing any more"
FORM = "dchat.query_form"
UNPROVED = ("log", "events")  # of a transaction: told by the node, under no hash


@click.group(cls=Group)
@output_option
@click.pass_context
def query(context: click.Context, form: str | None) -> None:
    """Look things up through a node's gRPC door. In JSON sums are udchat; as text they are said in DCHAT."""
    context.meta[FORM] = form


def is_for_people() -> bool:
    context = click.get_current_context(silent=True)
    return is_text(context.meta.get(FORM) if context is not None else None)


def show_answer(answer: dict[str, Any]) -> None:
    """As `show_told`, by what `dchat query --output` said."""
    context = click.get_current_context(silent=True)
    show_told(answer, context.meta.get(FORM) if context is not None else None)


def proving(command: Callable[..., Any]) -> Callable[..., Any]:
    """--prove and where trust begins."""
    options = (
        common_option("--prove", is_flag=True, help="Ask for a proof and verify it here."),
        trust_options,
        common_option(
            "--max-age",
            type=Length(),
            default="10m",
            show_default=True,
            help="Refuse a state whose header is older, by this machine's clock. 0: any age.",
        ),
        node_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def ask(
    look: Callable[[Client, bool, int], Awaitable[Message]],
    check: Callable[[Proved, Any], Awaitable[Checked]],
    *,
    of_state: bool = True,
    show: Callable[[Any], dict[str, Any]] = message_json,
    what: str = "",
    **how: Any,
) -> None:
    """Look something up; with --prove, check the answer and say against what. Raises Refusal: it is not there.

    look: client, whether to prove, height. show: the answer, for people. of_state: the next header proves the latest
    state, and is waited for. what: its name, as `the account`; of an answer's own field else.
    """
    if not how["prove"]:
        plain(lambda client: look(client, False, 0), how["node"], show, what)
        return
    trust = root_of_trust(how["trust"], how["genesis_file"])

    async def work(client: Client) -> tuple[Message, Checked, int]:
        client.chain_id = trust.genesis.chain_id if trust.genesis is not None else ""
        verifier = Verifier(client, trust, chain_id=client.chain_id)
        return await client.at_each(lambda: once(client, verifier))

    async def once(client: Client, verifier: Verifier) -> tuple[Message, Checked, int]:
        height = await client.provable_height() if of_state else 0
        answer: Any = await found(look(client, True, height))
        if of_state and answer.height != height:  # an old state has proofs too
            raise ProofFailed(f"asked for the state after block {height}, got it after {answer.height}")
        checked = await check(Proved(verifier), answer)
        if of_state:  # what was in a block is so for ever
            verifier.check_age(checked.light, how["max_age"])
        return answer, checked, int(verifier.age_s(checked.light))

    answer, checked, age_s = run(work, how["node"], waits_for="the header that proves it")
    shown = show(answer) | absent(answer)
    for name in PROOF_FIELDS:
        shown.pop(name, None)
    verified: dict[str, Any] = {"what": checked.what, **checked.header, "age_seconds": age_s, "trusted": str(trust)}
    if not_covered := [name for name in UNPROVED if shown.get(name)]:
        verified["not_covered"] = not_covered
    show_answer({**shown, "verified": verified})
    by = f"header {checked.header['header_height']}, {age_s} s old"
    echo(f"verified: {checked.what}, by {by}, from {trust}", err=True)
    refuse_absent(answer, what)


class Word:
    """Of what rests on an account's word: whether that is void, since the account is in a later epoch than it was."""

    def __init__(self) -> None:
        self._epochs: list[tuple[bytes, pb.GetRecordResponse]] = []

    async def look(self, client: Client, whose: bytes, *, height: int, prove: bool) -> None:
        self._epochs.append((whose, await client.stored(*EPOCHS.place(whose), height=height, prove=prove)))

    async def check(self, proved: Proved, *, height: int) -> None:
        """Raises: ProofFailed."""
        for whose, epoch in self._epochs:
            await proved.epoch(epoch, whose, height=height)

    def void(self, given: int, why: str = VOID) -> dict[str, Any]:
        """For people. given: the epoch that it was given in."""
        is_void = any(given != int.from_bytes(epoch.value[:8], "big") for _, epoch in self._epochs)
        return {"void": is_void, "why": why} if is_void else {"void": False}


def ask_record(
    kind: RecordKind, name: bytes, *, derived: Callable[[Any], dict[str, Any]] | None = None, word_of: bytes = b"",
    **how: Any,
) -> None:  # fmt: skip
    """Look a record of any kind up, whose key is the kind's prefix and `name`; with --prove, check it.

    derived: what follows from the record (of the kind's schema), to be shown with it. word_of: on whose word it rests,
    given in the epoch that the record has: whether it is void is shown.
    """
    word = Word()

    async def look(client: Client, prove: bool, at: int) -> pb.GetRecordResponse:
        answer = await client.record(kind, name, height=at, prove=prove)
        if word_of and answer.HasField("value"):
            await word.look(client, word_of, height=answer.height, prove=prove)
        return answer

    async def check(proved: Proved, answer: pb.GetRecordResponse) -> Checked:
        await word.check(proved, height=answer.height)
        return await proved.record(answer, kind, name)

    def show(answer: pb.GetRecordResponse) -> dict[str, Any]:
        shown = message_json(answer)
        if answer.HasField("value"):
            value: Any = kind.schema.FromString(answer.value)
            shown["value"] = message_json(value) | (derived(value) if derived is not None else {})
            if word_of:
                shown["value"] |= word.void(value.epoch)
        return shown

    ask(look, check, show=show, what=kind.what, **how)


def plain(
    look: Callable[[Client], Awaitable[Message]],
    node: str | None,
    show: Callable[[Any], dict[str, Any]] = message_json,
    what: str = "",
) -> Message:
    """Look something up, show and return it. Raises Refusal: it is not there."""
    answer = run(lambda client: found(look(client)), node)
    show_answer(show(answer) | absent(answer))
    refuse_absent(answer, what)
    return answer


async def found(looking: Awaitable[Message]) -> Message:
    """The answer. Raises Refusal: the node says that it has no such thing."""
    try:
        return await looking
    except NotFound as error:
        raise Refusal(str(error), Exit.ABSENT) from None


def refuse_absent(answer: Any, what: str = "") -> None:
    """Raises Refusal: what was asked for is not there. what: its name, as `the account`."""
    if missing := absent(answer):
        what = what.removeprefix("the ") or " or ".join(missing).replace("_", " ")
        raise Refusal(f"there is no {what} after block {answer.height}", Exit.ABSENT)


@query.command("tx", cls=Command)
@click.argument("tx_hash", type=Hash())
@proving
def query_tx(tx_hash: bytes, **how: Any) -> None:
    """A transaction and what became of it, by its hash."""
    ask(
        lambda client, prove, _: client.tx(tx_hash, prove=prove),
        lambda proved, answer: proved.tx(answer, tx_hash),
        of_state=False,
        show=_tx_json,
        **how,
    )


def _tx_json(answer: pb.GetTxResponse) -> dict[str, Any]:
    """With what it is, in words as of a draft, read from its bytes; and what its code means, where it failed."""
    shown = {"in_words": in_words(answer.tx), **message_json(answer)}
    if answer.code:
        shown["meaning"] = explain(quoted(answer.codespace), answer.code, quoted(answer.log))
    return _in_words(answer, shown) if is_for_people() else shown


def _in_words(answer: pb.GetTxResponse, shown: dict[str, Any]) -> dict[str, Any]:
    """Without the bytes that a person reads nothing of, and with what they say."""
    messages = tuple[Signed, ...]()
    with contextlib.suppress(TxError):
        messages = decode(answer.tx).messages
    del shown["tx"]
    return outcome_in_words(answer, shown, messages)


def outcome_in_words(
    outcome: pb.GetTxResponse | pb.TxOutcome, shown: dict[str, Any], messages: Sequence[Signed] = ()
) -> dict[str, Any]:
    """What was done and what it cost in place of the receipt's bytes, and events as lines."""
    receipt = state_pb2.Receipt()
    with contextlib.suppress(DecodeError):  # of a node that lies
        receipt = state_pb2.Receipt.FromString(outcome.data)
    rest = {name: value for name, value in shown.items() if name != "data"}
    return {**rest, **told_by(receipt, messages), "events": events_in_words(outcome.events)}


def events_in_words(events: Iterable[pb.Event]) -> list[str]:
    return [event_text(one.type, ((each.key, each.value) for each in one.attributes)) for one in events]


def receipt_in_words(receipt: state_pb2.Receipt, shown: dict[str, Any]) -> dict[str, Any]:
    """With what was done and what it cost in place of numbers."""
    return {name: value for name, value in shown.items() if name not in ("legs", "fee_paid")} | told_by(receipt)


@query.command(cls=Command)
@click.argument("height", type=click.IntRange(0), default=0)
@node_option
def block(height: int, node: str | None) -> None:
    """A block; without HEIGHT the latest."""
    plain(lambda c: c.block(height), node)


@query.command(cls=Command)
@click.argument("height", type=click.IntRange(1))
@node_option
def commit(height: int, node: str | None) -> None:
    """A header, the commit that signs it and the set that signed."""
    plain(lambda c: c.commit(height), node)


@query.command(cls=Command)
@click.argument("height", type=click.IntRange(0), default=0)
@node_option
def validators(height: int, node: str | None) -> None:
    """The validators of a height."""
    plain(lambda c: c.validators(height), node)


@query.command(cls=Command)
@click.argument("address", type=Address())
@proving
def account(address: bytes, **how: Any) -> None:
    """An account of the currency chain."""
    ask(lambda c, prove, at: c.account(address, height=at, prove=prove), lambda p, a: p.account(a, address), **how)


@query.command("bundle", cls=Command)
@click.argument("replay_id", type=Hash())
@proving
def query_bundle(replay_id: bytes, **how: Any) -> None:
    """The receipt of a bridge transaction, by its replay id."""
    ask(
        lambda c, prove, at: c.bundle(replay_id, height=at, prove=prove),
        lambda p, a: p.bundle(a, replay_id),
        show=_bundle_json,
        **how,
    )


def _bundle_json(answer: pb.GetBundleResponse) -> dict[str, Any]:
    shown = message_json(answer)
    if is_for_people() and answer.HasField("receipt"):
        shown["receipt"] = receipt_in_words(answer.receipt, shown["receipt"])
    return shown


@query.command("params", cls=Command)
@height_option
@node_option
def query_params(height: int, node: str | None) -> None:
    """The chain's parameters."""
    plain(lambda c: c.params(height), node)


@query.command("invariants", cls=Command)
@height_option
@node_option
def query_invariants(height: int, node: str | None) -> None:
    """What must always hold of the state; exit code 1 when something does not."""
    answer = run(lambda client: client.invariants(height), node)
    show_answer(message_json(answer))
    broken = [invariant.name for invariant in answer.invariants if not invariant.holds]
    if broken:
        raise Refusal(f"does not hold: {', '.join(broken)}")
    echo(f"{len(answer.invariants)} invariants hold at height {answer.height}", err=True)
