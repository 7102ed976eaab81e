"""Signatures of blocks that wait for their turn, verified while earlier ones are executed.

A signature is valid or not whoever sends it, so nothing here rests on a block that is not proved: what is found valid
is remembered, and execution asks for it in its turn. A block's commit goes first, and its transactions follow where it
is the known validators': what a liar can cost is a commit's signatures.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Final

from consensus.sync.fetched import Fetched
from consensus.system.aside import Aside
from consensus.system.clock import Clock

BLOCKS_MAX: Final = 32
TXS_MAX: Final = 4_000  # a quarter of a second of a core; what is found valid and not yet used is kept for 50,000
LANES: Final = 2  # while one waits for its answer, the next is decoded


class Ahead:
    def __init__(
        self,
        clock: Clock,
        *,
        verify: Callable[[Fetched, Fetched], Awaitable[None]],
        waiting: Callable[[int], tuple[Fetched, Fetched] | None],
        on_done: Callable[[], None],
    ) -> None:
        """waiting: the block that is `n` heights after the next, and its successor, where both are here."""
        self._verify, self._waiting, self._on_done = verify, waiting, on_done
        self._begun: set[Fetched] = set()
        self._done: set[Fetched] = set()
        self._lanes = [Aside(f"verify ahead {lane}", clock, self._next, self._work) for lane in range(LANES)]

    def wake(self) -> None:
        """There may be another block."""
        for lane in self._lanes:
            lane.wake()

    def is_done(self, fetched: Fetched) -> bool:
        return fetched in self._done

    def forget(self, fetched: Fetched) -> None:
        self._begun.discard(fetched)
        self._done.discard(fetched)

    def clear(self) -> None:
        self._begun.clear()
        self._done.clear()

    def stop(self) -> None:
        for lane in self._lanes:
            lane.stop()

    def _next(self) -> tuple[Fetched, Fetched] | None:
        """The first that was not begun, as long as the first of all is among them."""
        txs = 0
        for after in itertools.count():
            pair = self._waiting(after)
            if pair is None or after >= BLOCKS_MAX or txs > TXS_MAX:
                return None
            first = pair[0]
            if first not in self._begun:
                self._begun.add(first)
                return pair
            txs += len(first.block.txs)
        raise AssertionError("counts without end")

    async def _work(self, pair: tuple[Fetched, Fetched]) -> None:
        first, second = pair
        try:
            await self._verify(first, second)
        finally:
            if first in self._begun:
                self._done.add(first)
            self._on_done()
