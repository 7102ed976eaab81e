"""Whether a node in consensus is so far behind that blocks have to be fetched again.

Consensus catches up by itself, a height after the other: a peer sends the parts of each and the votes that decided it.
That mends a few heights. More of them, which do not become fewer, are block sync's. Where that finds nothing to fetch
the claims were wrong, or nobody serves: then consensus is left alone for longer each time, since a validator that is
kept out of it by claims is what a liar would want.
"""

from __future__ import annotations

from typing import Final

from consensus.formats.units import NS_PER_S

BEHIND_HEIGHTS: Final = 20  # what consensus gossip mends in a second or two
PATIENCE_NS: Final = 6 * NS_PER_S  # in which it has to halve what is missing
REST_FIRST_NS: Final = 30 * NS_PER_S  # after a sync that fetched nothing; doubled each time
REST_MAX_NS: Final = 600 * NS_PER_S


class Lag:
    def __init__(self) -> None:
        self._since_ns = 0
        self._heights = 0  # that were missing then; 0: not far behind
        self._rest_ns = REST_FIRST_NS
        self._resting_until_ns = 0
        self._claimed = 0  # what block sync was begun for; 0: the start

    def synced(self, now_ns: int, *, applied: int) -> None:
        """Block sync has ended. Where most of what was claimed is nowhere, it was begun for nothing: the few blocks
        that the chain made meanwhile are not what was claimed."""
        self._heights, claimed, self._claimed = 0, self._claimed, 0
        if applied and 2 * applied >= claimed:
            self._rest_ns = REST_FIRST_NS
            return
        self._resting_until_ns = now_ns + self._rest_ns
        self._rest_ns = min(2 * self._rest_ns, REST_MAX_NS)

    def is_block_syncs(self, now_ns: int, *, height: int, target: int) -> bool:
        """Asked every second or two. target: where the network is, as far as that can be believed."""
        missing = target - height
        if missing < BEHIND_HEIGHTS or now_ns < self._resting_until_ns:
            self._heights = 0
            return False
        if not self._heights or 2 * missing <= self._heights:
            self._since_ns, self._heights = now_ns, missing
        if now_ns - self._since_ns < PATIENCE_NS:
            return False
        self._claimed = missing
        return True
