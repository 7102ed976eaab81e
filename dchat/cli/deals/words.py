"""How conditions, times, statements and escrows are said on a command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

import click

from chain.tx.messages.escrow import (
    Attested,
    BalanceAtLeast,
    Condition,
    EscrowReference,
    MemberOf,
    MessagePlace,
    Posted,
    TimeBefore,
    TimeFrom,
)
from crypto.hash import HASH_BYTES, sha256
from dchat.cli.chat.words import channel_of
from dchat.cli.terminal.ask import Address
from dchat.cli.terminal.sums import sum_of
from dchat.cli.terminal.times import time_of

_HASH = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
CONDITIONS = {  # what -> (needed, optional)
    "balance": ({"who", "amount"}, {"denom"}),
    "member": ({"who", "channel"}, set[str]()),
    "posted": ({"channel"}, {"text", "hash", "by"}),
    "attested": ({"by", "statement"}, set[str]()),
    "after": ({"time"}, set[str]()),
    "before": ({"time"}, set[str]()),
}
SAID = "balance who= amount= [denom=] | member who= channel= | posted channel= text=|hash= [by=] | "
SAID += "attested by= statement= | after time= | before time="


def hash_of(text: str) -> bytes:
    """64 hex characters, or the hash of the text."""
    return bytes.fromhex(text) if _HASH.fullmatch(text) else sha256(text.encode())


def condition_of(what: str, said: Mapping[str, str]) -> Condition:
    """Raises ValueError."""
    if what not in CONDITIONS:
        raise ValueError(f"unknown condition {what!r}; allowed: {SAID}")
    needed, optional = CONDITIONS[what]
    if not needed <= said.keys() <= needed | optional:
        raise ValueError(f"condition {what}: allowed: {SAID}")

    def address(name: str) -> bytes:
        return Address().convert(said[name], None, None)

    if what == "balance":
        return BalanceAtLeast(address("who"), *sum_of(said))
    if what == "member":
        return MemberOf(channel_of(said["channel"]), address("who"))
    if what == "attested":
        return Attested(address("by"), hash_of(said["statement"]))
    if what == "posted":
        if ("text" in said) == ("hash" in said):
            raise ValueError("condition posted: text= or hash=, one of them")
        content = said["text"].encode() if "text" in said else b""
        digest = sha256(content) if "text" in said else hash_of(said["hash"])
        return Posted(channel_of(said["channel"]), address("by") if "by" in said else b"", digest)
    return (TimeFrom if what == "after" else TimeBefore)(time_of(said["time"]))


class If(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """A condition: `member who=dchat1... channel=lobby`."""

    name = '"WHAT key=value ..."'

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Condition:
        try:
            what, *pairs = shlex.split(str(value)) or [""]
            return condition_of(what, dict(pair.partition("=")[::2] for pair in pairs))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def escrow_of(text: str) -> EscrowReference:
    """An escrow's id. Raises ValueError."""
    if not _HASH.fullmatch(text):
        raise ValueError(f"{text!r} is no escrow's id; expected {2 * HASH_BYTES} hex characters")
    return EscrowReference(bytes.fromhex(text))


def place_of(said: Mapping[str, str]) -> MessagePlace | None:
    """`message=INDEX`, or `message-leg=N`, the Nth leg of the bundle. Raises ValueError."""
    if "message" in said and "message-leg" in said:
        raise ValueError("message= or message-leg=, one of them")
    if "message-leg" in said:
        return MessagePlace(leg=int(said["message-leg"]))
    return MessagePlace(int(said["message"])) if "message" in said else None
