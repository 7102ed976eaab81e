"""`dchat query`: look things up, and with --prove verify them against a root of trust that you name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click
from google.protobuf.message import Message

from dchat.cli.commands.tx_commands import channel_of
from dchat.cli.terminal.ask import Address, Hash, height_option, limit_option, node_option, run
from dchat.cli.terminal.base import Command, Group, Refusal, echo, show_json
from dchat.cli.terminal.render import PROOF_FIELDS, message_json, says_nothing
from dchat.cli.terminal.trust import root_of_trust, trust_options
from dchat.client.client import Client
from dchat.client.proved import Checked, Proved
from dchat.client.verify import ProofFailed, Verifier
from dchat.config.models import duration_s

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
    **how: Any,
) -> None:
    """Look something up; with --prove, check the answer and say against what.

    look: client, whether to prove, height. of_state: the next header proves the latest state, and is waited for.
    """
    if not how["prove"]:
        plain(lambda client: look(client, False, 0), how["node"])
        return
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
    shown = message_json(answer)
    for name in PROOF_FIELDS:
        shown.pop(name, None)
    verified: dict[str, Any] = {"what": checked.what, **checked.header, "age_seconds": age_s, "trusted": str(trust)}
    if not_covered := [name for name in UNPROVED if shown.get(name)]:
        verified["not_covered"] = not_covered
    show_json({**shown, "verified": verified})
    by = f"header {checked.header['header_height']}, {age_s} s old"
    echo(f"verified: {checked.what}, by {by}, from {trust}", err=True)


def plain(look: Callable[[Client], Awaitable[Message]], node: str | None) -> None:
    """Look something up and show it. What is not there is no error: the answer is its height alone, and a note."""
    answer = run(look, node)
    show_json(message_json(answer))
    if says_nothing(answer):
        echo("dchat: there is none", err=True)


@query.command("tx", cls=Command)
@click.argument("tx_hash", type=Hash())
@proving
def query_tx(tx_hash: bytes, **how: Any) -> None:
    """A transaction and what became of it, by its hash."""
    ask(lambda c, prove, _: c.tx(tx_hash, prove=prove), lambda p, a: p.tx(a, tx_hash), of_state=False, **how)


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


@query.command("identity", cls=Command)
@click.argument("who")
@proving
def query_identity(who: str, **how: Any) -> None:
    """An identity of the chat chain, by address or name."""
    if who.startswith("dchat1") or who.endswith(".json"):
        address = Address().convert(who, None, None)
        ask(
            lambda c, prove, at: c.identity(address, height=at, prove=prove), lambda p, a: p.identity(a, address), **how
        )
    else:
        ask(
            lambda c, prove, at: c.identity(name=who, height=at, prove=prove),
            lambda p, a: p.named_identity(a, who),
            **how,
        )


@query.command("channel", cls=Command)
@click.argument("channel")
@proving
def query_channel(channel: str, **how: Any) -> None:
    """A channel, by name or id."""
    cid = channel_of(channel)
    ask(lambda c, prove, at: c.channel(cid, height=at, prove=prove), lambda p, a: p.channel(a, cid), **how)


@query.command("channels", cls=Command)
@limit_option(20)
@node_option
def query_channels(limit: int, node: str | None) -> None:
    """Channels."""
    plain(lambda c: c.channels(limit=limit), node)


@query.command("message", cls=Command)
@click.argument("channel")
@click.argument("index", type=click.IntRange(0))
@proving
def query_message(channel: str, index: int, **how: Any) -> None:
    """A message of a channel."""
    cid = channel_of(channel)
    ask(
        lambda c, prove, at: c.message(cid, index, height=at, prove=prove), lambda p, a: p.message(a, cid, index), **how
    )


@query.command("messages", cls=Command)
@click.argument("channel")
@click.option("--from-index", type=click.IntRange(0), default=0, show_default=True)
@limit_option(100)
@proving
def query_messages(channel: str, from_index: int, limit: int, **how: Any) -> None:
    """Messages of a channel, in order."""
    cid = channel_of(channel)
    ask(
        lambda c, prove, at: c.messages(cid, from_index=from_index, limit=limit, height=at, prove=prove),
        lambda p, a: p.messages(a, cid, from_index),
        **how,
    )


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
