"""What a kept backup is called, and which of them go.

    CHAIN.NODE.HEIGHT.TIME.backup    mychain.1f0e9a3c.0000004711.20261129T170000Z.backup

Nodes may share a folder or a bucket: each lists all, and removes what is its own. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

DAY_S: Final = 86_400
ENDING: Final = ".backup"
NODE_CHARS: Final = 8  # of its id, in hex
_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"([0-9A-Za-z_-]{1,50}\.[0-9a-f]{8})\.([0-9]{10,19})\.([0-9]{8}T[0-9]{6}Z)\.backup")
_UNPLAIN = re.compile(r"[^0-9A-Za-z_-]")


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """A backup at a target. time_s: unix time at which it was begun."""

    time_s: int
    height: int
    name: str
    bytes: int

    @property
    def series(self) -> str:
        """Whose it is: chain and node."""
        return self.name.removesuffix(ENDING).rsplit(".", 2)[0]


def series_of(chain_id: str, node_id: str) -> str:
    """How the names of one node's backups begin."""
    return f"{_UNPLAIN.sub('_', chain_id)[:50] or '_'}.{node_id[:NODE_CHARS].lower()}"


def name_of(series: str, *, height: int, time_s: int) -> str:
    return f"{series}.{height:010d}.{datetime.fromtimestamp(time_s, UTC).strftime(_TIME)}{ENDING}"


def kept_of(name: str, size: int) -> Kept | None:
    """None: something else lies there, which is not ours to touch."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        time = datetime.strptime(match[3], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Kept(int(time.timestamp()), int(match[2]), name, size)


def which_go(kept: Iterable[Kept], series: str, *, now_s: int, days: int, at_least: int) -> list[Kept]:
    """Those of `series` that are older than `days` (0: none is), the oldest first; the newest `at_least` stay,
    however old a clock that jumped makes them."""
    assert at_least >= 1, at_least
    own = sorted(one for one in kept if one.series == series)
    return [one for one in own[:-at_least] if days and one.time_s < now_s - days * DAY_S]
