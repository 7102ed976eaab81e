"""In which order the transactions of a lane are offered to a block: what pays most first, a sender's in their order.

Of those that may go next the one of the highest priority goes, of equal ones the oldest. One may go once all that came
before it and touch what it touches (its signers' records, and what else its admission rests on) have gone: who pays
much for a later one waits for his earlier ones, and the fee of one never lifts another. A lane whose transactions all
pay the same is in order of admission, and costs what reading it costs. Else each one that is looked at costs the
number of keys it touches, and a place in a heap: a cheap one with a thousand dear ones behind it is looked at with
them once.
Source: go-ethereum v1.14, core/types/transaction.go, TransactionsByPriceAndNonce; here with several senders each.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from consensus.mempool.admission.entry import Entry
from consensus.mempool.admission.index import Index


def ranked(index: Index, name: str) -> Iterator[Entry]:
    """The entries of lane `name`. Nothing may be admitted or leave meanwhile."""
    lane = index.lanes[name]
    if len(lane.priorities) == 1:
        return iter(lane.levels[lane.priorities[0]].values())
    return _by_priority(index, name)


class _Heads:
    """Of each touched key, the first of a lane's entries that has not gone."""

    def __init__(self, index: Index, name: str) -> None:
        self._touching, self._name = index.touching, name
        self._rest: dict[bytes, Iterator[Entry]] = {}
        self._first: dict[bytes, Entry | None] = {}

    def _next(self, touched: bytes) -> Entry | None:
        for entry in self._rest[touched]:
            if entry.facts.lane == self._name:
                return entry
        return None

    def may_go(self, entry: Entry) -> bool:
        first = self._first
        for touched in entry.facts.touches:
            if touched not in first:
                self._rest[touched] = iter(self._touching[touched].values())
                first[touched] = self._next(touched)
            if first[touched] is not entry:
                return False
        return True

    def gone(self, entry: Entry) -> Iterator[Entry]:
        """Those that have come to the head of one of their keys."""
        first = self._first
        for touched in entry.facts.touches:
            if first[touched] is entry:  # else the application named it twice
                head = first[touched] = self._next(touched)
                if head is not None:
                    yield head


def _by_priority(index: Index, name: str) -> Iterator[Entry]:
    lane, heads = index.lanes[name], _Heads(index, name)
    behind: dict[bytes, int] = {}  # looked at, and waiting for what is before them: the older, the lower of one price
    early: set[bytes] = set()  # gone before the search came to them
    freed: list[tuple[int, int, Entry]] = []
    for priority in reversed(lane.priorities):
        for entry in lane.levels[priority].values():
            if entry.key in early:
                continue
            if not heads.may_go(entry):
                behind[entry.key] = len(behind)
                continue
            yield entry
            going = entry
            while True:
                for head in heads.gone(going):
                    if head.key in behind and heads.may_go(head):
                        heapq.heappush(freed, (-head.facts.priority, behind[head.key], head))
                if not freed:
                    break
                going = heapq.heappop(freed)[2]
                early.add(going.key)
                yield going
