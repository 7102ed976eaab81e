"""`dchat light ibc`: what a chain with IBC is given to read this one (docs/ibc.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import click

from chain.state.roots import STORE_NAMES
from consensus.formats.errors import InvalidData
from dchat.cli.light import ibc as forms
from dchat.cli.light.session import Span, light_options, session_of
from dchat.cli.light.verified import BadParams, CannotProve, Nodes, Verified, hex_bytes
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, show_json
from dchat.client.client import ClientError, NodeUnreachable


@click.group(cls=Group)
def ibc() -> None:
    """Have a chain with IBC read this one: a client for it, headers, and proofs, in the JSON that ibc-go takes.

    Everything is verified first, from --trust or the genesis on, as `dchat light follow` does.
    """


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except (BadParams, forms.NoRevision) as error:
        raise Refusal(str(error), Exit.USAGE) from None
    except InvalidData as error:
        raise Refusal(f"what was told cannot be believed: {error}", Exit.PROOF) from None
    except NodeUnreachable as error:
        raise Refusal(str(error), Exit.UNREACHABLE) from None
    except (CannotProve, ClientError) as error:
        raise Refusal(str(error)) from None


@ibc.command("client", cls=Command)
@light_options
@click.option("--height", type=click.IntRange(1), default=None, help="Where its trust begins. Default: the latest.")
@click.option(
    "--unbonding-period", type=Span(), default="336h", show_default=True,
    help="The chain's: staking.unbonding_s of `dchat query params`.",
)  # fmt: skip
def client(height: int | None, unbonding_period: int, **options: Any) -> None:
    """The client state and the consensus state of a new client: the two files of `tx ibc client create`.

    The trust level, trusting period and clock drift that are given here become the client's.
    """
    trusting = options["trusting_period"]
    if not 0 < trusting < unbonding_period:
        raise Refusal(
            "--trusting-period must be above 0 and below --unbonding-period, which is the chain's own", Exit.USAGE
        )
    if not options["clock_drift"]:
        raise Refusal("--clock-drift is 0; IBC asks for more", Exit.USAGE)
    made = forms.Client(options["trust_level"], trusting, unbonding_period, options["clock_drift"])

    async def work() -> forms.Document:
        async with session_of(options) as session:
            block = await (session.light.verify_at(height) if height is not None else session.light.update())
            return {"client_state": made.state(block), "consensus_state": forms.consensus_state(block)}

    with _refused():
        show_json(asyncio.run(work()))


@ibc.command("header", cls=Command)
@light_options
@click.option("--trusted", type=click.IntRange(1), required=True, help="A height that the client has.")
@click.option("--to", type=click.IntRange(2), default=None, help="The header. Default: the latest.")
def header(trusted: int, to: int | None, **options: Any) -> None:
    """A header that moves a client on: the file of `tx ibc client update`."""
    if to is not None and to <= trusted:
        raise Refusal(f"--to {to} is not above --trusted {trusted}", Exit.USAGE)

    async def work() -> forms.Document:
        async with session_of(options) as session:
            block = await (session.light.verify_at(to) if to is not None else session.light.update())
            if block.height <= trusted:
                raise Refusal(f"the latest header is {block.height}: there is none above --trusted {trusted} yet")
            after = await session.light.verify_at(trusted + 1)
            return forms.header(block, trusted_height=trusted, trusted=after.validators)

    with _refused():
        show_json(asyncio.run(work()))


@ibc.command("proof", cls=Command)
@click.argument("place", metavar="STORE", type=click.Choice(STORE_NAMES))
@click.argument("key")
@light_options
@click.option("--height", type=click.IntRange(2), default=None, help="Proved by this header. Default: the latest.")
@click.option("--client-id", default="07-tendermint-0", show_default=True, help="The other chain's name of its client.")
def proof(place: str, key: str, height: int | None, client_id: str, **options: Any) -> None:
    """What stands under a key (hex) of a store, as the request of IBC's query VerifyMembership.

    The client must have the header of `proof_height`. Without `value` it is a proof that there is nothing.
    """

    async def work() -> forms.Document:
        asked = hex_bytes({"KEY": key}, "KEY")
        async with session_of(options) as session:
            verified = Verified(session.light, Nodes(session.light, session.nodes))
            block = await (session.light.verify_at(height) if height is not None else session.light.update())
            found = await verified.record(place, asked, after=block.height - 1)
            return forms.membership(
                found.ops, found.proved_by, client_id=client_id, store=place, key=asked, value=found.value
            )

    with _refused():
        show_json(asyncio.run(work()))
