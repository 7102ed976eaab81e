"""`dchat why`: why this validator missed a vote or a proposal (docs/why.md)."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consensus.system.disk import OsDisk
from dchat.cli.commands.status_commands import get_json
from dchat.cli.terminal.ask import tls_options
from dchat.cli.terminal.base import Command, Exit, Refusal, current_home, echo, own_node, show_json
from dchat.shown.text import safe_line
from dchat.why.desk import answer_of
from dchat.why.files import Kept

DIGITS_MAX: Final = 19  # of a height
SHOWN_MAX: Final = 400  # characters of a sentence that another node tells


class Height(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """Of a block. What begins with a minus comes here too, so that it is not taken for an unknown option."""

    name = "HEIGHT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        said = str(value)
        if said.startswith("-") and not said[1:].isdecimal():
            raise click.NoSuchOption(said, ctx=ctx)
        if not (said.isascii() and said.isdecimal() and len(said) <= DIGITS_MAX and int(said)):
            self.fail(
                f"{said[:DIGITS_MAX]!r} is no height: a whole number from 1 on, or none at all for the last that was "
                "missed", param, ctx,
            )  # fmt: skip
        return int(said)


@click.command("why", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("height", type=Height(), required=False)
@click.option("--url", help="Another node's HTTP door (health_port), like http://10.0.0.2:8080. Default: this home.")
@tls_options
def why(height: int | None, url: str | None) -> None:
    """Say why this validator missed a vote or a proposal at a height; without one, at the last that it missed.

    It reads the records that the node keeps of each height in its home, whether it runs or not. Exit code 0: answered,
    also where nothing was missed; 3: there is no record of that height, or of any that was missed.
    """
    if url is None:
        own_node()
        home, _ = current_home()
        answer = answer_of(Kept.read(OsDisk(), home.why), height or 0)
    else:
        status, answer = get_json(f"{url.rstrip('/')}/why?height={height or 0}")
        if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("missed"), list):
            raise Refusal(f"{url} answers {status}, otherwise than a node of ours that keeps records", Exit.UNREACHABLE)
    if sys.stdout.isatty():
        _show(answer)
    else:
        show_json(answer)
    if answer.get("record") is None:
        raise Refusal(_absent(answer, height), Exit.ABSENT)


def _absent(answer: dict[str, Any], height: int | None) -> str:
    kept = answer.get("kept")
    if not isinstance(kept, dict):
        return "there are no records of heights: the node writes them while it runs ([observability] why_heights)"
    span = f"{kept.get('lowest')} to {kept.get('highest')}"
    if height is None and (unrecorded := answer.get("missed_unrecorded")) is not None:
        return f"height {_safe(unrecorded)} was missed, and there is no record of it; remembered: {span}"
    if height is None:
        return (
            f"nothing was missed at the heights that are remembered ({span}); whether the next one stands says "
            "`dchat validator recover`"
        )
    return f"there is no record of height {height}; remembered: {span}"


def _show(answer: dict[str, Any]) -> None:
    """For people. What another node tells is made safe for a terminal."""
    record = answer.get("record")
    if not isinstance(record, dict):
        return
    missed = [_safe(text) for text in answer["missed"]]
    height = _safe(answer.get("height"))
    if (unrecorded := answer.get("missed_unrecorded")) is not None:
        echo(f"height {_safe(unrecorded)} was missed, too, and there is no record of it; the last that has one:")
    if not missed:
        echo(f"height {height}: nothing was missed")
    else:
        echo(f"height {height}: {'; '.join(missed)}")
        echo(f"why : {_safe(answer.get('why'))} [{_safe(answer.get('cause'))}]")
        for other in _mappings(answer.get("causes"))[1:]:
            echo(f"also: {_safe(other.get('says'))} [{_safe(other.get('cause'))}]")
        echo(f"do  : {_safe(answer.get('do'))}")
    if rounds := _mappings(record.get("rounds")):
        Console().print(_table(record, rounds))


def _table(record: dict[str, Any], rounds: list[dict[str, Any]]) -> Table:
    """What came when, in milliseconds from the height's first round on."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("round", "began", "proposer", "proposal", "block", "prevotes", "precommits", "ours"):
        table.add_column(name)
    own = _mappings(record.get("own"))
    for one in rounds:
        cells = [
            one.get("round"), one.get("began_ms"), one.get("proposer_name") or str(one.get("proposer"))[:12].lower(),
            "-" if one.get("proposal_ms") is None else one["proposal_ms"],
            "-" if one.get("block_ms") is None else one["block_ms"],
            _power(one.get("prevotes")), _power(one.get("precommits")),
            ", ".join(_own(mine) for mine in own if mine.get("round") == one.get("round")) or "-",
        ]  # fmt: skip
        table.add_row(*(Text(_safe(cell)) for cell in cells))
    return table


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _power(told: Any) -> str:
    return f"{told.get('block')} block, {told.get('nil')} nil" if isinstance(told, dict) else "-"


def _own(mine: dict[str, Any]) -> str:
    took = "never signed" if mine.get("took_ms") is None else f"{mine['took_ms']} ms"
    nil = f" nil ({mine['nil_why']})" if mine.get("nil_why") else ""
    return f"{mine.get('kind')}{nil} at {mine.get('asked_ms')}, {took}"


def _safe(value: Any) -> str:
    return safe_line(str(value))[:SHOWN_MAX]
