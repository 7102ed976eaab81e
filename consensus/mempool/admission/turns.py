"""Whose transaction is looked at next: origins in turn, sources of one origin in turn, by bytes (deficit round robin).

Reading, hashing and verifying cost about as much as a transaction has bytes, a signature's included; so each source has
its share of admission's work, whatever the others send. Within a source the order is that of arrival.
Source: Shreedhar and Varghese, Efficient fair queuing using deficit round robin (1995).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from consensus.mempool.admission.entry import Waiting

TURN_BYTES: Final = 4_096  # about fifteen payments
OVERHEAD_BYTES: Final = 64  # of each: an empty one costs something too


class _Source:
    __slots__ = ("credit", "waiting")

    def __init__(self) -> None:
        self.credit = 0
        self.waiting: deque[Waiting] = deque()


class _Part:
    __slots__ = ("credit", "sources")

    def __init__(self) -> None:
        self.credit = 0
        self.sources: OrderedDict[str, _Source] = OrderedDict()


class Turns:
    """A queue with a lane per source. Its length is bounded by the shares of who fills it."""

    def __init__(self) -> None:
        self._parts: OrderedDict[int, _Part] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def push(self, origin: int, payer: str, waiting: Iterable[Waiting]) -> None:
        part = self._parts.get(origin)
        if part is None:
            part = self._parts[origin] = _Part()
        source = part.sources.get(payer)
        if source is None:
            source = part.sources[payer] = _Source()
        source.waiting.extend(waiting)

    def drop(self, origin: int, payer: str) -> list[Waiting]:
        """Take all of one source out of its lane."""
        part = self._parts.get(origin)
        source = part.sources.pop(payer, None) if part is not None else None
        if part is not None and not part.sources:
            del self._parts[origin]
        return list(source.waiting) if source is not None else []

    def take(self, count: int) -> list[Waiting]:
        """The next ones, `count` at most."""
        parts = self._parts
        taken: list[Waiting] = []
        while parts and len(taken) < count:
            origin, part = next(iter(parts.items()))
            source = _whose_turn(part.sources)
            lane, spent = source.waiting, 0
            credit = min(part.credit, source.credit)
            room = count - len(taken)
            while lane and room:
                cost = len(lane[0].tx) + OVERHEAD_BYTES
                if spent + cost > credit:
                    break
                spent += cost
                room -= 1
                taken.append(lane.popleft())
            part.credit -= spent
            source.credit -= spent
            if not lane:  # who has nothing to send saves nothing up
                part.sources.popitem(last=False)
                if not part.sources:
                    del parts[origin]
            elif len(taken) < count and part.credit < _cost(lane[0]):
                part.credit += TURN_BYTES
                parts.move_to_end(origin)
        return taken

    def clear(self) -> None:
        self._parts.clear()


def _cost(waiting: Waiting) -> int:
    return len(waiting.tx) + OVERHEAD_BYTES


def _whose_turn(sources: OrderedDict[str, _Source]) -> _Source:
    """The source that can pay for its next one; it is first in the order then."""
    while True:
        payer, source = next(iter(sources.items()))
        if source.credit >= _cost(source.waiting[0]):
            return source
        source.credit += TURN_BYTES
        sources.move_to_end(payer)
