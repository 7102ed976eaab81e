"""docs/operators/runbooks.md, by alert: what is typed to check, and what to mend it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tests.support.docs.pages import DOCS, Typed, typed_in

PAGE: Final = DOCS / "operators" / "runbooks.md"
_PLACE = re.compile(r"^(?:## (?P<alert>\w[\w ]*)|\*\*(?P<part>Check|Remedy)\.\*\*.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Runbook:
    """One alert's page."""

    alert: str
    check: tuple[Typed, ...]
    remedy: tuple[Typed, ...]


def runbooks() -> dict[str, Runbook]:
    """By their headings."""
    text = PAGE.read_text()
    places: list[tuple[int, str, str]] = []  # from this line on: whose, and which part
    alert = ""
    for found in _PLACE.finditer(text):
        alert = found["alert"] or alert
        places.append((text[: found.start()].count("\n") + 1, alert, found["part"] or ""))
    typed: dict[str, dict[str, list[Typed]]] = {name: {"Check": [], "Remedy": []} for _, name, _ in places}
    for one in typed_in(PAGE):
        _, name, part = max(place for place in places if place[0] <= one.line)
        if part:
            typed[name][part].append(one)
    return {name: Runbook(name, tuple(parts["Check"]), tuple(parts["Remedy"])) for name, parts in typed.items()}
