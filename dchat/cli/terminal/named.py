"""`@NAME`: the account of a registered name, where a payment is told by it. The chain proves whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from crypto.bech32 import encode_address
from dchat.cli.terminal.ask import Address, run
from dchat.cli.terminal.base import Exit, Refusal, echo, named
from dchat.cli.terminal.trust import Signing
from dchat.client.client import SMALL_BYTES_MAX, Client
from dchat.client.proved import Proved
from dchat.client.verify import Verifier

MAX_AGE_S: Final = 600  # of the header that proves it; a name may change hands
OF_NAMES: Final = "a registered name has an @ before it, like @{}"


class Payee(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """What `Address` takes, or `@NAME`, which stays as it is until a node can be asked."""

    name = "ADDRESS|@NAME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes | str:
        if isinstance(value, bytes):
            return value
        text = str(value)
        return text if text.startswith("@") else Address(otherwise=OF_NAMES).convert(value, param, ctx)


def account_of(payee: bytes | str, options: Mapping[str, Any]) -> bytes:
    """The account. options: of a command that sends. Raises Refusal: nobody is called so."""
    if isinstance(payee, bytes):
        return payee
    name, signing = payee.removeprefix("@"), Signing.of(options)

    async def work(client: Client) -> bytes:
        if signing.trust is None:
            answer, by = await client.identity(name=name), "by this node's word"
        else:
            client.chain_id = signing.chain_id
            verifier = Verifier(client, signing.trust, chain_id=signing.chain_id)
            answer = await client.identity(name=name, height=await client.provable_height(), prove=True)
            checked = await Proved(verifier).named_identity(answer, name)
            verifier.check_age(checked.light, MAX_AGE_S)
            by = f"proved by header {checked.header['header_height']}"
        if not answer.HasField("identity"):
            raise Refusal(f"nobody is called {name!r}, {by}", Exit.ABSENT)
        address = bytes(answer.identity.address)
        named[address.hex()] = payee
        echo(f"{payee} is {encode_address(address)}, {by}", err=True)
        return address

    return run(work, options["node"], answer_bytes_max=SMALL_BYTES_MAX, waits_for="the header that proves the name")
