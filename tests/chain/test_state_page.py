"""docs/state.md names every kind of record: what can grow has a price or an end."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bridge
import chain
import governance
from chain.kernel.branch import SPACES, Key
from tests.support.economy.life import Life

PAGE = Path(__file__).parents[2] / "docs" / "state.md"
PREFIX_BYTES = 2
BLOCKS = 120


def listed() -> list[str]:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [prefix for row in rows for prefix in re.findall(r"`([a-zA-Z]{2})`", row.split("|")[1])]


def keys_of(value: Any, depth: int = 2) -> Iterator[str]:
    if isinstance(value, Key):
        yield value[:PREFIX_BYTES].decode()
    elif depth and type(value).__module__.partition(".")[0] in ("chain", "bridge", "governance"):
        names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
        for name in names | set(getattr(value, "__dict__", ())):
            part = getattr(value, name, None)
            if name == "prefix" and type(part) is bytes and part.isalpha():  # a queue's: no record lies under it
                yield part[:PREFIX_BYTES].decode()
            yield from keys_of(part, depth - 1)


def declared() -> set[str]:
    """The first bytes of all keys that the machines, the bridge and governance state."""
    found: set[str] = set()
    for package in (chain, bridge, governance):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(info.name)).values():
                found.update(keys_of(value))
    return found


def test_the_page_names_every_kind_of_record_once() -> None:
    rows = listed()
    assert len(rows) == len(set(rows)), "named twice"
    assert set(rows) >= declared(), "what stays has a price, what goes an end: say which in docs/state.md"


def test_every_row_says_who_pays_and_when_it_goes() -> None:
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line
            assert len(line.strip("|").split("|")) == 4, line


def test_what_a_chain_writes_is_on_the_page() -> None:
    life = Life(31, twin=False)
    for _ in range(BLOCKS):
        life.step()
    rows, written = set(listed()), set()
    for tag, (store, beside) in SPACES.items():
        scan = life.app.stores.scan_side if beside else life.app.stores.scan
        written |= {chr(tag) + chr(key[0]) for key, _ in scan(store) if key[:1].isalpha()}
    assert written - rows == set()
    assert rows - declared() == set(), "no such record"
