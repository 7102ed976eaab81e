"""docs/operators/alerts.md: what was caused, and what came of it. `scripts/campaign runbooks --write` fills it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.support.docs.pages import DOCS
from tests.support.runbooks.carry import Row
from tests.support.runbooks.rules import alerts, factor_of

PAGE: Final = DOCS / "operators" / "alerts.md"
HEAD: Final = (
    "| alert | what was done | fired after | typed, of its page | over, after the remedy began | scale |\n"
    "|---|---|---|---|---|---|\n"
)
_ROWS: Final = re.compile(re.escape(HEAD) + r"(?:\|.*\n)*")


def line(row: Row) -> str:
    typed = "<br>".join(f"`{command}`" for command in row.commands)
    return (
        f"| [{row.alert}](runbooks.md#{row.alert.lower()}) | {row.injected} | {row.fired_s:.0f} s | {typed} | "
        f"{row.cleared_s:.0f} s | 1/{factor_of(row.alert)} |"
    )


def written(text: str, rows: Iterable[Row]) -> str:
    """The page with these rows, in the order of the rules; those of alerts that are not among them stay."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        lines.setdefault(row.alert, []).append(line(row))
    lines = told(text) | lines
    table = HEAD + "".join(f"{one}\n" for name in alerts() for one in lines.get(name, []))
    found = _ROWS.sub(lambda _: table, text)
    assert found.count(HEAD) == 1, f"{PAGE.name} has lost its table's head"
    return found


def write(rows: Iterable[Row], page: Path = PAGE) -> None:
    page.write_text(written(page.read_text(), rows))


def told(text: str) -> dict[str, list[str]]:
    """The table's lines, by alert."""
    found: dict[str, list[str]] = {}
    for row in re.finditer(r"^\| \[(\w+)\]\(runbooks\.md#.*$", text, re.MULTILINE):
        found.setdefault(row[1], []).append(row[0])
    return found
