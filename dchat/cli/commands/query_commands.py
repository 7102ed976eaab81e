"""`dchat query`: look things up, and with --prove verify them against a root of trust that you name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click
from google.protobuf.message import Message

from chain.kernel.branch import RecordKind
from dchat.cli.terminal.ask import Address, Hash, height_option, limit_option, node_option, run
from dchat.cli.terminal.base import Command, Group, Refusal, echo, show_json
from dchat.cli.terminal.render import PROOF_FIELDS, message_json, says_nothing
from dchat.cli.terminal.trust import root_of_trust, trust_options
from dchat.client.client import Client, quoted
from dchat.client.proved import Checked, Proved
from dchat.client.refusals import explain
from dchat.client.verify import ProofFailed, Verifier
from dchat.config.models import duration_s
from proto.dchat.v1 import service_pb2 as pb

UNPROVED = ("log", "events")  # of a transaction: told by the node, under no hash


@click.group(cls=Group)
def query() -> None:
    """Look things up through a node's gRPC door. Answers are JSON."""


class Age(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """Seconds of `600`, `600s`, `10m`, `1h`."""

    name = "AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            seconds = duration_s(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        assert isinstance(seconds, int)
        return seconds


def proving(command: Callable[..., Any]) -> Callable[..., Any]:
    """--prove and where trust begins."""
    options = (
        click.option("--prove", is_flag=True, help="Ask for a proof and verify it here."),
        trust_options,
        click.option(
            "--max-age",
            type=Age(),
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
    **how: Any,
) -> Message:
    """Look something up; with --prove, check the answer and say against what. Returns the answer.

    look: client, whether to prove, height. show: the answer, for people. of_state: the next header proves the latest
    state, and is waited for.
    """
    if not how["prove"]:
        return plain(lambda client: look(client, False, 0), how["node"], show)
    trust = root_of_trust(how["trust"], how["genesis_file"])

    async def work(client: Client) -> tuple[Message, Checked, int]:
        chain_id = trust.genesis.chain_id if trust.genesis is not None else ""
        height = await client.provable_height() if of_state else 0
        answer: Any = await look(client, True, height)
        if of_state and answer.height != height:  # an old state has proofs too
            raise ProofFailed(f"asked for the state after block {height}, got it after {answer.height}")
        verifier = Verifier(client, trust, chain_id=chain_id)
        checked = await check(Proved(verifier), answer)
        if of_state:  # what was in a block is so for ever
            verifier.check_age(checked.light, how["max_age"])
        return answer, checked, int(verifier.age_s(checked.light))

    answer, checked, age_s = run(work, how["node"])
    shown = show(answer)
    for name in PROOF_FIELDS:
        shown.pop(name, None)
    verified: dict[str, Any] = {"what": checked.what, **checked.header, "age_seconds": age_s, "trusted": str(trust)}
    if not_covered := [name for name in UNPROVED if shown.get(name)]:
        verified["not_covered"] = not_covered
    show_json({**shown, "verified": verified})
    by = f"header {checked.header['header_height']}, {age_s} s old"
    echo(f"verified: {checked.what}, by {by}, from {trust}", err=True)
    return answer


def ask_record(
    kind: RecordKind, name: bytes, *, derived: Callable[[Any], dict[str, Any]] | None = None, **how: Any
) -> bool:
    """Look a record of any kind up, whose key is the kind's prefix and `name`; with --prove, check it. Whether there
    is one.

    derived: what follows from the record (of the kind's schema), to be shown with it.
    """

    def show(answer: pb.GetRecordResponse) -> dict[str, Any]:
        shown = message_json(answer)
        if answer.HasField("value"):
            value = kind.schema.FromString(answer.value)
            shown["value"] = message_json(value) | (derived(value) if derived is not None else {})
        return shown

    answer = ask(
        lambda client, prove, at: client.record(kind, name, height=at, prove=prove),
        lambda proved, answer: proved.record(answer, kind, name),
        show=show,
        **how,
    )
    return answer.HasField("value")


def plain(
    look: Callable[[Client], Awaitable[Message]],
    node: str | None,
    show: Callable[[Any], dict[str, Any]] = message_json,
) -> Message:
    """Look something up, show and return it. What is not there is no error: the answer is its height, and a note."""
    answer = run(look, node)
    show_json(show(answer))
    if says_nothing(answer):
        echo("dchat: there is none", err=True)
    return answer


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
    """With what its code means, where it failed."""
    shown = message_json(answer)
    if answer.code:
        shown["meaning"] = explain(quoted(answer.codespace), answer.code, quoted(answer.log))
    return shown


@query.command(cls=Command)
@click.argument("height", type=click.IntRange(0), default=0)
@node_option
def block(height: int, node: str | None) -> None:
    """A block; without HEIGHT the latest."""
    plain(lambda c: c.block(height), node)


@query.command(cls=Command)
@limit_option(10)
@node_option
def blocks(limit: int, node: str | None) -> None:
    """The latest blocks' headers, newest first."""
    plain(lambda c: c.blocks(limit=limit), node)


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
    ask(lambda c, prove, at: c.bundle(replay_id, height=at, prove=prove), lambda p, a: p.bundle(a, replay_id), **how)


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
    show_json(message_json(answer))
    broken = [invariant.name for invariant in answer.invariants if not invariant.holds]
    if broken:
        raise Refusal(f"does not hold: {', '.join(broken)}")
    echo(f"{len(answer.invariants)} invariants hold at height {answer.height}", err=True)
