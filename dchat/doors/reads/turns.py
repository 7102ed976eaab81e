"""Whose turn it is to read: among clients, who used least, so that one who asks for much waits behind those who ask for
little; and one client's waiting reads have a bound.

Source: Goyal, Vin and Cheng, Start-time fair queuing (1996).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator
from typing import Final

from dchat.doors.reads.errors import Busy
from dchat.doors.reads.limits import share_of

REMEMBERED_MAX: Final = 1_024  # clients whose use is known while they do not wait


class Use:
    """How much each client used, in ns. A client that comes anew begins at what the last one that was let in had used:
    it has saved up nothing, and owes nothing."""

    def __init__(self) -> None:
        self._used_ns: dict[str, int] = {}
        self._now_ns = 0  # what the last one that was let in had used

    def __len__(self) -> int:
        return len(self._used_ns)

    def came(self, client: str, waiting: Container[str]) -> None:
        """It asks. waiting: who is not forgotten."""
        used = max(self._used_ns.pop(client, 0), self._now_ns)
        self._used_ns[client] = used
        if len(self._used_ns) > REMEMBERED_MAX:
            forgotten = next((one for one in self._used_ns if one not in waiting), client)
            del self._used_ns[forgotten]

    def least(self, clients: Iterable[str]) -> str:
        return min(clients, key=lambda one: self._used_ns.get(one, 0))

    def let_in(self, client: str) -> None:
        self._now_ns = max(self._now_ns, self._used_ns.get(client, 0))

    def add(self, client: str, took_ns: int) -> None:
        self._used_ns[client] = self._used_ns.get(client, self._now_ns) + took_ns


class Waiting:
    """How many calls of each client wait for a read; of one client no more than its share of `calls_max`."""

    def __init__(self, name: str, calls_max: int) -> None:
        self._name, self._calls_max = name, calls_max
        self._by_client: Counter[str] = Counter()

    @contextlib.contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Raises Busy."""
        share = share_of(self._calls_max, client)
        if self._by_client[client] >= share:
            raise Busy(f"{share} {self._name} that wait are the limit of one client; try later")
        self._by_client[client] += 1
        try:
            yield
        finally:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]


class Turns:
    """So many at once, and then the client that used least; of one client first come, first served.

    Who leaves while it waits leaves nothing.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self.use = Use()

    async def enter(self, client: str) -> None:
        self.use.came(client, self._waiting)
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come
                self.leave()
            else:
                self._forget(client, turn)
            raise

    def _forget(self, client: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(client)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[client]

    def leave(self) -> None:
        while self._waiting:
            client = self.use.least(self._waiting)
            queue = self._waiting[client]
            turn = queue.popleft()
            if not queue:
                del self._waiting[client]
            if not turn.done():
                self.use.let_in(client)
                turn.set_result(None)
                return
        self._free += 1
