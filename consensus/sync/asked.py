"""Who is asked for which blocks, and what each of them said that it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.base import Peer

REQUESTS_PER_PEER_MAX: Final = 20  # as upstream
LATE_MAX: Final = 4 * REQUESTS_PER_PEER_MAX  # heights whose answer may still come, after we gave up on it
USED_NS: Final = 5 * NS_PER_S  # after its last block
STATUS_MIN_NS: Final = NS_PER_S  # stock peers ask for our heights every 10 s


@dataclass(slots=True, eq=False)
class SyncPeer:
    """reported: it has said which heights it serves."""

    peer: Peer
    reported: bool = False
    base: int = 0
    height: int = 0
    pruned: int = 0  # it said of this height, which it had claimed, that it has no block
    asked: set[int] = field(default_factory=set)
    late: dict[int, None] = field(default_factory=dict)  # asked for, and given up; the oldest first
    decoding: int = 0  # its blocks that wait for the thread
    active_ns: int = 0  # when it was first asked, or last delivered
    is_slow: bool = False  # it let a time pass in which it was asked
    delivered: int = 0
    status_owed: int = 1  # statuses that we may be sent: one on connection, one for each question
    status_ns: int = -STATUS_MIN_NS  # when it last asked for ours

    def has(self, height: int) -> bool:
        return max(self.base, self.pruned + 1) <= height <= self.height

    def is_used(self, now_ns: int) -> bool:
        """It is asked for blocks, or sent one lately."""
        return bool(self.asked) or (self.delivered > 0 and now_ns - self.active_ns < USED_NS)

    def give_up(self) -> list[int]:
        """It is slow, or its way is: no reason to lose it. What it sends late is still of use. Returns the heights."""
        self.is_slow = True
        return self.ask_no_more()

    def ask_no_more(self) -> list[int]:
        """What it was asked for may still come. Returns the heights."""
        heights = sorted(self.asked)
        self.asked.clear()
        for height in heights:
            self.late[height] = None
        while len(self.late) > LATE_MAX:
            del self.late[next(iter(self.late))]
        return heights


@dataclass(slots=True, eq=False)
class Wanted:
    """A height that was asked for. asked: peer ids, in order."""

    asked: list[str]
    since_ns: int


def choose(peers: Iterable[SyncPeer], height: int, asked: Iterable[str]) -> SyncPeer | None:
    """Of those that claim the height the least busy; slow ones last. A second one must have delivered before."""
    before = list(asked)
    able = [
        known
        for known in peers
        if known.has(height) and len(known.asked) < REQUESTS_PER_PEER_MAX and known.peer.id not in before
    ]
    return min(able, key=lambda it: (it.is_slow, bool(before) and not it.delivered, len(it.asked)), default=None)
