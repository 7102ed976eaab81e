"""By which of its keys a validator signed votes, at which heights: by the log of a node that received them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from tests.campaigns.logs import signatures
from tests.support.docs.machines import Machine

AGAIN_S: Final = 0.2


def heights_of(home: Path) -> dict[str, set[int]]:
    """Heights of the votes in a node's log, by their signer's address (lower-case hex)."""
    found: dict[str, set[int]] = {}
    for (_, who, height, _), _signature in signatures(home):
        found.setdefault(who, set()).add(height)
    return found


def address_in(file: Path) -> str:
    return str(json.loads(file.read_text())["address"]).lower()


def until_it_votes(machine: Machine, seen_by: Machine, *, timeout_s: float) -> int:
    """A height above all that the other knows now, for which this validator's key signed. Raises AssertionError."""
    key = address_in(machine.home / "config" / "priv_validator_key.json")
    known = max(height for heights in heights_of(seen_by.home).values() for height in heights)
    deadline = time.monotonic() + timeout_s
    while not (voted := [height for height in heights_of(seen_by.home).get(key, ()) if height > known]):
        assert time.monotonic() < deadline, f"{machine.name} signed no vote above {known}: {machine.log[-3_000:]}"
        time.sleep(AGAIN_S)
    return min(voted)


def change_of_key(machine: Machine, seen_by: Machine) -> tuple[int, int]:
    """The last height for which its one retired key signed, and the first of the key that it has. Raises
    AssertionError where they overlap, or one of them signed nothing."""
    (retired,) = [address_in(file) for file in (machine.home / "config" / "retired").glob("*.json")]
    now, voted = address_in(machine.home / "config" / "priv_validator_key.json"), heights_of(seen_by.home)
    assert voted.get(retired), f"{machine.name}: {retired} signed nothing"
    assert voted.get(now), f"{machine.name}: {now} signed nothing"
    last, first = max(voted[retired]), min(voted[now])
    assert last < first, f"{machine.name}: {retired} signed up to {last}, {now} from {first} on"
    return last, first
