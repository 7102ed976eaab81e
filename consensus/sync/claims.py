"""What may be believed of the heights that peers claim: nothing that a few of them could invent.

A claim costs its sender nothing, so the highest one says nothing. The median does, as long as most of those who speak
are honest; peers that this node chose itself (it dialled them, or its configuration names them) are heard alone where
there are any, since anybody can open connections to us by the dozen. And a last block that is seconds old needs no
claim at all: its time is what +2/3 of the power voted, so the network is not far beyond it.
Source: known failures 14, ASA-2025-001; audit 12.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from consensus.formats.units import NS_PER_S

LEVEL_NS: Final = 10 * NS_PER_S  # a last block this young: nobody can be far ahead of us
PACE_NS: Final = 10 * NS_PER_S  # as often as peers are asked where they are
PACE_TIMES: Final = (5, 4)  # as fast as blocks are made, at most: then what is claimed beyond is nowhere


@dataclass(frozen=True, slots=True)
class Claim:
    """height: of the last block that a peer says it has. is_chosen: we dialled it, or configured it."""

    height: int
    is_chosen: bool


def believed_height(claims: Iterable[Claim]) -> int:
    """The median of the claims, the lower of two; 0 without any."""
    known = list(claims)
    heights = sorted(claim.height for claim in known if claim.is_chosen) or sorted(claim.height for claim in known)
    return heights[(len(heights) - 1) // 2] if heights else 0


def is_level(last_block_time_ns: int, now_ns: int) -> bool:
    """The last block is so young that we are where the network is. With a wrong clock it is not: then claims count."""
    return abs(now_ns - last_block_time_ns) < LEVEL_NS


class Pace:
    """Whether blocks come no faster than they are made, by their own times: with a wrong clock too. Over a span from
    one that was applied to another, so that whoever holds some back gains nothing by it in the next."""

    def __init__(self) -> None:
        self._since: tuple[int, int] | None = None
        self.is_theirs = False  # of who makes them, in the last whole span

    def applied(self, now_ns: int, block_time_ns: int) -> None:
        """now_ns: monotonic."""
        if self._since is None:
            self._since = now_ns, block_time_ns
            return
        passed_ns, made_ns = now_ns - self._since[0], block_time_ns - self._since[1]
        if passed_ns >= PACE_NS:
            self.is_theirs = PACE_TIMES[1] * made_ns <= PACE_TIMES[0] * passed_ns
            self._since = now_ns, block_time_ns
