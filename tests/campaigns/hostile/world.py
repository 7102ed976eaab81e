"""What an attack is given: its targets, a budget of bytes, chance, and something to count with."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaigns.hostile.wire import ALL_CHANNELS, Target, Wire, faults, new_key, plain_info

RECONNECT_S = 0.1  # after a connection was refused or dropped; ids are free
BATCH_BYTES = 32_768  # of one write
AGAIN_S = 0.05


class Budget:
    """Bytes a second; `take` waits until there are so many."""

    def __init__(self, per_s: int) -> None:
        self._per_s, self._began, self._taken = per_s, time.monotonic(), 0

    async def take(self, size: int) -> None:
        self._taken += size
        ahead = self._taken / self._per_s - (time.monotonic() - self._began)
        if ahead > 0:
            await asyncio.sleep(ahead)
        elif ahead < -0.2:  # what was not used is gone: a burst later is no rate
            self._began = time.monotonic() - self._taken / self._per_s


@dataclass
class World:
    """args: the case's own. recorded: (channel, message) of honest traffic, empty when none was recorded."""

    targets: list[Target]
    chain_id: str
    rng: random.Random
    budget: Budget
    args: dict[str, Any]
    recorded: list[tuple[int, bytes]] = field(default_factory=list)
    validator_home: Path | None = None  # of the validator whose key is ours
    sources: tuple[str, ...] = ("",)  # addresses to come from, in turn
    count: Counter[str] = field(default_factory=Counter)
    _source: int = 0

    def source(self) -> str:
        self._source += 1
        return self.sources[self._source % len(self.sources)]

    @contextlib.asynccontextmanager
    async def peer(
        self, target: Target, *, listen: bool = True, channels: bytes = bytes(ALL_CHANNELS)
    ) -> AsyncIterator[Wire]:
        """A new identity that shook hands."""
        wire = Wire(new_key())
        try:
            await wire.open(target, plain_info(wire.key, self.chain_id, channels=channels), source=self.source())
            self.count["connected"] += 1
            if listen:
                wire.listen()
            yield wire
        finally:
            self.count["bytes"] += wire.sent
            wire.close()

    async def keep(
        self, act: Callable[[Wire, Target], Awaitable[None]], *, connections: int = 1, listen: bool = True
    ) -> None:
        """Until cancelled: so many connections to each target, each acting; who is dropped comes back as another."""

        async def one(target: Target) -> None:
            while True:
                try:
                    async with self.peer(target, listen=listen) as wire:
                        await act(wire, target)
                except faults():
                    self.count["dropped or refused"] += 1
                await asyncio.sleep(RECONNECT_S)

        await together(one(target) for target in self.targets for _ in range(connections))

    async def pour(self, wire: Wire, pieces: Iterable[bytes]) -> None:
        """Send pieces of the stream as fast as the budget allows, many in a write. Raises OSError when dropped."""
        batch: list[bytes] = []
        size = 0
        for piece in pieces:
            batch.append(piece)
            size += len(piece)
            self.count["messages"] += 1
            if size >= BATCH_BYTES:
                await self._write(wire, b"".join(batch))
                batch, size = [], 0
        if batch:
            await self._write(wire, b"".join(batch))

    async def _write(self, wire: Wire, data: bytes) -> None:
        await self.budget.take(len(data))
        wire.stream(data)
        await wire.drain()


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once, until cancelled or one fails.

    What a work awaits may end in the same turn as it is cancelled, and `asyncio.wait_for` of Python 3.11 then forgets
    the cancellation: so each is cancelled until it ends. A TaskGroup does so once.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        while left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # this one is ending already
                await asyncio.wait(left, timeout=AGAIN_S)


Attack = Callable[[World], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    """Register under the function's name, with dashes."""
    ATTACKS[function.__name__.replace("_", "-")] = function  # type: ignore[attr-defined]
    return function
