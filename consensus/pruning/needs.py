"""Which heights must stay: whoever needs old ones names the lowest; from the lowest of these on nothing is pruned."""

from __future__ import annotations

from typing import Final, NamedTuple

from consensus.abci.interface import Slices
from consensus.stores.interfaces import BlockStore

BLOCKS_KEPT_MIN: Final = 1_000  # the last: a start looks back so far for our own signatures (consensus.privval.guards),
# and peers that were away for a while are served blocks without any snapshot


class Need(NamedTuple):
    """height: from there on all is needed. why: for whom, in words."""

    height: int
    why: str


class Holds:
    """Heights that somebody beside the rules needs for a while, like a snapshot that is served. For the loop.

    A hold counts in rounds of pruning that begin after it: hold what is recent, then use it.
    """

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def hold(self, name: str, height: int) -> None:
        """Keep all from `height` on until `release`, or until `name` holds another height."""
        self._held[name] = height

    def release(self, name: str) -> None:
        self._held.pop(name, None)

    def needs(self) -> list[Need]:
        return [Need(height, f"held: {name}") for name, height in self._held.items()]


def first_since(blocks: BlockStore, low: int, high: int, time_ns: int) -> Slices[int]:
    """The lowest of the stored heights `low` to `high` whose block is of `time_ns` or later; `high` when none is.
    Found by halving, since time rises."""
    while low < high:
        middle = (low + high) // 2
        meta = blocks.load_meta(middle)
        if meta is None or meta.header.time_ns < time_ns:
            low = middle + 1
        else:
            high = middle
        yield
    return low
