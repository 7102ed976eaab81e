"""The methods of the door: what each takes, what it costs, whether its answer may be kept. Others add theirs by a row.
And what of their answers is kept here.

Source: CometBFT v0.38, rpc/core/routes.go.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from consensus.formats.json_text import Json
from consensus.formats.units import MIB
from dchat.doors.jsonrpc.params import Arg
from dchat.doors.jsonrpc.protocol import Id, failed

PER_PAGE_DEFAULT = 30
PER_PAGE_MAX = 100
KEPT_BYTES_MAX: Final = 16 * MIB
KEPT_SHARE: Final = 16  # one answer has at most one part in so many


class Caching(Enum):
    """Whether whoever passes an answer on may keep it for a day."""

    NEVER = 0
    ALWAYS = 1
    WITH_HEIGHT = 2  # only of a height that was named


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls. client: whom it counts to. remote: its `address:port`. socket: of a call over WebSocket."""

    client: str
    remote: str
    id: Id
    socket: Any = None


# Takes a call and its arguments; the result may hold `Many`. Raises RpcError, Unanswered.
Run: TypeAlias = Callable[[Call, Mapping[str, Any]], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Method:
    """cost: in plain requests of its client's rate. waits: it lasts until a block comes, and takes no place of those
    who ask. of_socket: over WebSocket alone. writes: what it is given is handed to the network."""

    name: str
    run: Run
    args: tuple[Arg, ...] = ()
    caching: Caching = Caching.NEVER
    cost: int = 1
    waits: bool = False
    of_socket: bool = False
    writes: bool = False

    def may_be_kept(self, arguments: Mapping[str, Any]) -> bool:
        if self.caching is Caching.WITH_HEIGHT:
            return bool(arguments["height"])
        return self.caching is Caching.ALWAYS


def table_of(*rows: Method) -> dict[str, Method]:
    table = {row.name: row for row in rows}
    assert len(table) == len(rows), "a method stands there twice"
    return table


# ------------------------------------------------------------------------------------------- what was written before


class Kept:
    """Answers about saved blocks, which never change: the JSON of those asked for last, of `bytes_max` together.

    Explorers, wallets and monitors ask for the same few blocks; what is written once costs the next one a look. One
    who asks for many others puts them out, and has each made as without it.
    """

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max, self._held = bytes_max, 0
        self._texts: OrderedDict[Hashable, tuple[int, str]] = OrderedDict()  # (height, text), longest unused first
        self.hits = self.misses = 0

    @property
    def held_bytes(self) -> int:
        return self._held

    def get(self, key: Hashable, *, base: int) -> str | None:
        """base: the lowest height that is not pruned; of one below nothing is told."""
        height, text = self._texts.get(key, (0, ""))
        if not text or height < base:
            self.misses += 1
            return None
        self._texts.move_to_end(key)
        self.hits += 1
        return text

    def put(self, key: Hashable, height: int, text: str) -> None:
        """One that is large beside all of them is not kept."""
        size = sys.getsizeof(text)
        if size > self._bytes_max // KEPT_SHARE:
            return
        _, before = self._texts.pop(key, (0, ""))
        self._held += size - (sys.getsizeof(before) if before else 0)
        self._texts[key] = height, text
        while self._held > self._bytes_max:
            _, (_, oldest) = self._texts.popitem(last=False)
            self._held -= sys.getsizeof(oldest)


# -------------------------------------------------------------------------------------------------- heights and pages


def chosen_height(given: int | None, *, latest: int, base: int) -> int:
    """Raises RpcError."""
    if given is None:
        return latest
    if given <= 0:
        raise failed(f"height must be greater than 0, but got {given}")
    if given > latest:
        raise failed(f"height {given} must be less than or equal to the current blockchain height {latest}")
    if given < base:
        raise failed(f"height {given} is not available, lowest height is {base}")
    return given


def per_page_of(given: int | None) -> int:
    if given is None or given < 1:
        return PER_PAGE_DEFAULT
    return min(given, PER_PAGE_MAX)


def page_of(page: int | None, per_page: int | None, total: int) -> tuple[int, int]:
    """Where a page of a list starts and ends. Raises RpcError."""
    size = per_page_of(per_page)
    pages = max(1, -(-total // size))
    if page is not None and not 0 < page <= pages:
        raise failed(f"page should be within [1, {pages}] range, given {page}")
    start = ((page or 1) - 1) * size
    return start, min(start + size, total)
