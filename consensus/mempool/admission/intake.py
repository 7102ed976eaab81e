"""Transactions on their way through admission: whose they are, and whose turn it is.

One transaction may be sent by many. It takes the share of one of them, and stands in the lane of each, so that it waits
for the first of their turns and does not go when one of them does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from consensus.mempool.admission.entry import OTHERS_MAX, Origin, Waiting
from consensus.mempool.admission.shares import Shares
from consensus.mempool.admission.turns import Turns


class Intake:
    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self.by_key: dict[bytes, Waiting] = {}
        self._turns = Turns()
        self._ready: deque[Waiting] = deque()  # held ones whose time may have come: read and verified already

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(list(self.by_key.values()))

    @property
    def has_work(self) -> bool:
        return bool(self._ready or self._turns)

    def push(self, origin: int, payer: str, batch: Sequence[Waiting]) -> None:
        """One source's, which are in `by_key` already: they take its share, and queue up in its lane."""
        self._shares.add(origin, payer, sum([len(waiting.tx) for waiting in batch]), txs=len(batch))
        self._turns.push(origin, payer, batch)

    def push_ready(self, held: Waiting) -> None:
        assert held.key not in self.by_key, held.key.hex()
        self.by_key[held.key] = held
        self._shares.add(held.origin, held.payer, len(held.tx))
        self._ready.append(held)

    def take(self, count: int) -> list[Waiting]:
        """The next ones, in turns."""
        batch: list[Waiting] = []
        while self._ready and 2 * len(batch) < count:
            waiting = self._ready.popleft()
            if self.by_key.get(waiting.key) is waiting:
                batch.append(waiting)
        by_key = self.by_key
        while len(batch) < count and (taken := self._turns.take(count - len(batch))):
            for waiting in taken:
                if waiting.is_queued and by_key.get(waiting.key) is waiting:  # else another's turn came first
                    waiting.is_queued = False
                    batch.append(waiting)
        return batch

    def leave(self, waiting: Waiting) -> bool:
        """It is refused: its share is free. False: it had left before."""
        if self.by_key.pop(waiting.key, None) is None:
            return False
        self._shares.remove(waiting.origin, waiting.payer, len(waiting.tx))
        return True

    def clear_turns(self) -> None:
        self._turns.clear()
        self._ready.clear()

    def can_join(self, waiting: Waiting, origin: int, payer: str) -> bool:
        """Whether it would gain a lane by another who sends it."""
        return waiting.is_queued and (origin, payer) not in waiting.senders and len(waiting.others) < OTHERS_MAX

    def join(self, waiting: Waiting, origin: int, payer: str) -> None:
        """Another sends it. What a client of ours or we ourselves send is ours from now on, and goes out as such."""
        waiting.others += ((origin, payer),)
        self._turns.push(origin, payer, (waiting,))
        if waiting.origin is Origin.PEER and origin is not Origin.PEER:
            self._pass_on(waiting, (origin, payer))

    def _pass_on(self, waiting: Waiting, to: tuple[int, str]) -> None:
        self._shares.remove(waiting.origin, waiting.payer, len(waiting.tx))
        waiting.others = (*(other for other in waiting.others if other != to), (waiting.origin, waiting.payer))
        waiting.origin, waiting.payer = to
        waiting.source = waiting.payer if waiting.origin is Origin.PEER else ""
        self._shares.add(waiting.origin, waiting.payer, len(waiting.tx))

    def drop_lane(self, origin: int, payer: str) -> list[Waiting]:
        """Empty one source's lane. Returns what nobody else sent."""
        gone, only = (origin, payer), []
        for waiting in self._turns.drop(origin, payer):
            if not waiting.is_queued or self.by_key.get(waiting.key) is not waiting:
                continue
            if (waiting.origin, waiting.payer) == gone:
                if not waiting.others:
                    only.append(waiting)
                    continue
                self._pass_on(waiting, waiting.others[0])
            waiting.others = tuple(other for other in waiting.others if other != gone)
        return only
