"""The share of the event loop that readers have: work on the loop, in slices, one slice a turn of the loop.

Two hundred streams that wake up with a block, or look through the whole past, would hold the loop for as long as two
hundred slices take. Here they are let in one after the other, clients in turn, and together they use at most SHARE of
the time (short work, as at the tip of the chain, is let in at once: BURST_NS is saved up).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, TypeVar

from consensus.abci.interface import Slices
from consensus.formats.units import NS_PER_MS

SHARE: Final = 0.15
BURST_NS: Final = 100 * NS_PER_MS

T = TypeVar("T")


class LoopShare:
    """now_ns: a monotonic clock."""

    def __init__(self, *, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now_ns = now_ns
        self._credit_ns, self._credited_at = float(BURST_NS), now_ns()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._began: int | None = None
        self._next: asyncio.Handle | None = None
        self.slices = self.waited = 0

    @property
    def waiting(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    async def turn(self, client: str) -> None:
        """Wait for it; then a slice may run until the next await. Tell `did` afterwards what it took."""
        self.slices += 1
        if self._next is None and self._credit() > 0:
            self._next = asyncio.get_running_loop().call_soon(self._let_in)  # the next one in the loop's next turn
            return
        self.waited += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        if self._next is None:
            self._again()
        await turn

    def did(self, took_ns: int) -> None:
        self._credit_ns -= took_ns

    async def drive(self, slices: Slices[T], client: str) -> T:
        """Run a sliced call to its answer."""
        try:
            while True:
                await self.turn(client)
                began = self._now_ns()
                try:
                    next(slices)
                finally:
                    self.did(self._now_ns() - began)
        except StopIteration as done:
            answer: T = done.value
            return answer
        finally:
            slices.close()

    def _credit(self) -> float:
        now = self._now_ns()
        self._credit_ns = min(float(BURST_NS), self._credit_ns + (now - self._credited_at) * SHARE)
        self._credited_at = now
        return self._credit_ns

    def _again(self) -> None:
        """Let in the next one when it is due."""
        loop, credit = asyncio.get_running_loop(), self._credit()
        if credit > 0:
            self._next = loop.call_soon(self._let_in)
        else:
            self._next = loop.call_later(-credit / SHARE / 1e9 + 0.001, self._let_in)

    def _let_in(self) -> None:
        self._next = None
        while self._waiting:
            client, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[client] = queue  # behind the others
            if not turn.done():  # else its reader has left
                turn.set_result(None)
                self._again()
                return
