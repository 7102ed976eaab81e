"""What became of a transaction: a few lines for whoever sits at a terminal, JSON for programs."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click
from google.protobuf.message import DecodeError

from chain.tx.messages import Message
from chain.tx.units import in_dchat
from dchat.cli.terminal.base import common_option, echo, show_json, with_names
from dchat.cli.terminal.render import inner_of, lines_of, times_of, unit_of
from dchat.client.client import quoted
from dchat.client.wallet import Outcome
from dchat.shown.messages import message_json
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

TEXT: Final = "text"
JSON: Final = "json"

output_option = common_option(
    "--output", "form", type=click.Choice([TEXT, JSON]), help="Default: text at a terminal, json where it is piped."
)


def is_text(form: str | None) -> bool:
    """form: what was said, if anything was."""
    return form == TEXT or (form is None and sys.stdout.isatty())


def show_told(answer: Mapping[str, Any], form: str | None = None) -> None:
    """An answer on standard output: lines for people, or one JSON document."""
    if not is_text(form):
        show_json(answer)
        return
    for line in lines_of(answer, shutil.get_terminal_size().columns):
        echo(line)


def show_outcome(outcome: Outcome, form: str | None) -> None:
    """Why it failed is said elsewhere too, as a command's last word on standard error."""
    if is_text(form):
        show_rows(_title(outcome), _rows(outcome))
    else:
        show_json(outcome_json(outcome))


def show_trial(answer: pb.SimulateResponse, form: str | None) -> None:
    """What a transaction would do."""
    receipt = None
    with contextlib.suppress(DecodeError):  # of a node that lies
        receipt = state_pb2.Receipt.FromString(answer.data) if answer.data else None
    if is_text(form):
        would = "it would be done" if not answer.code else "it would fail"
        rows = [*_done(receipt)] if not answer.code else []
        cost = _cost(answer.fee, answer.gas_used)
        show_rows(
            f"{would}, by this node's word, after block {answer.height}; nothing was sent", [*rows, ("cost", cost)]
        )
        return
    shown = message_json(answer)
    shown.pop("data")
    show_json({**shown, "receipt": message_json(receipt) if receipt is not None else None})


def show_rows(title: str, rows: list[tuple[str, str]]) -> None:
    echo(title)
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        echo(f"  {name:<{width}}  {with_names(text)}")


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """log: the node's words, for programs. meaning: what was broken and what to do, where it failed."""
    shown: dict[str, Any] = {
        "hash": outcome.hash.hex(),
        "replay_id": outcome.replay_id.hex(),
        "code": outcome.code,
        "codespace": outcome.codespace,
        "log": outcome.log,
        "height": outcome.height,
        "index": outcome.index,
        "gas_used": outcome.gas_used,
        "sequence": outcome.sequence,
        "expiry_height": outcome.expiry_height,
        "proved_by_header": outcome.proved_by or None,
    }
    if outcome.code:
        shown["meaning"] = outcome.meaning
    if outcome.receipt is not None:
        shown["receipt"] = message_json(outcome.receipt)
    return shown


def _title(outcome: Outcome) -> str:
    if not outcome.height:
        until = f" until block {outcome.expiry_height}" if outcome.expiry_height else ""
        return "refused" if outcome.code else f"taken by the node, and in no block yet; it may be executed{until}"
    proof = f"proved by header {outcome.proved_by}" if outcome.proved_by else "by this node's word"
    return f"{'failed' if outcome.code else 'done'} in block {outcome.height}, {proof}"


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    rows = [] if outcome.code else [*_done(outcome.receipt, outcome.messages)]
    if outcome.receipt is not None:
        rows.append(("cost", _cost(outcome.receipt.fee_paid, outcome.gas_used)))
    if not outcome.hash:
        return rows
    rows.append(("id", outcome.hash.hex()))
    if outcome.height:
        is_bundle = outcome.sequence is None and outcome.receipt is not None and outcome.receipt.fee_paid
        look = f"dchat query bundle {outcome.replay_id.hex()}" if is_bundle else f"dchat query tx {outcome.hash.hex()}"
        return [*rows, ("look", f"{look} --prove")]
    return rows if outcome.code else [*rows, ("look", f"dchat query tx {outcome.hash.hex()} --prove")]


def told_by(receipt: state_pb2.Receipt, messages: Sequence[Message] = ()) -> dict[str, Any]:
    """What was done and what it cost, in words."""
    return {
        "did": [text for _, text in _done(receipt, messages)], "cost": _cost(receipt.fee_paid, receipt.gas_used),
    }  # fmt: skip


def _done(receipt: state_pb2.Receipt | None, messages: Sequence[Message] = ()) -> Iterator[tuple[str, str]]:
    """messages: what was signed; it says of what the amounts are, and until when what was done lasts."""
    inner = [inner_of(message) for message in messages]
    legs = receipt.legs if receipt is not None else ()
    by = inner if len(inner) == len(legs) else [None] * len(legs)
    for leg, said in zip(legs, by, strict=True):
        shown = message_json(leg)
        words = [quoted(leg.kind).replace("_", " ")]
        if leg.amount:
            words.append(unit_of(leg, said))
        if shown["subject"] and shown["subject"] not in words[-1]:
            words.append(str(shown["subject"]))
        if leg.index or leg.kind == "post_message":
            words.append(f"number {shown['index']}" if isinstance(shown["index"], int) else str(shown["index"]))
        words += times_of(said) if said is not None else []
        yield "did", ", ".join(words)


def _cost(fee: int, gas: int) -> str:
    return f"{in_dchat(fee)}, {gas:,} gas" if fee else f"no fee, but of the allowance; {gas:,} gas"
