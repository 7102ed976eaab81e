"""An open loop: transactions arrive by a schedule, whether or not those before them were answered.

Latency counts from the time that the schedule named, so that what waits because the network is slow is not forgotten.
A closed loop, whose clients send as fast as they are answered, finds the most that is committed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.load.stock import Stock
from dchat.client.client import Client, NodeUnreachable
from dchat.devnet.live import Load, cpu_s
from dchat.devnet.load import Commits, Sent, send_all

TICK_S: Final = 0.02  # a door's arrivals of so long go in one call
CALLS_MAX: Final = 64  # of one door under way; what is due then waits, and its clock runs
BATCH_MAX: Final = 100
AGAIN_S: Final = 0.05  # after "try later"
COMMITTED_S: Final = 60.0  # after the last was sent
POSTED: Final = "post_message"


@dataclass
class Arrivals:
    """What came of a schedule. times: id -> when it was due, of those admitted, monotonic seconds.

    keeps_trying: what is told to try later is sent again, and its clock runs on; else it goes back to the stock, and a
    later arrival takes it: an offer that was refused.
    """

    keeps_trying: bool = True
    times: dict[bytes, float] = field(default_factory=dict)
    doors: dict[bytes, int] = field(default_factory=dict)  # id -> door
    offered: int = 0
    later: int = 0
    lost_calls: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass
class _Door:
    client: Client
    number: int
    shelf: deque[bytes]
    told: Arrivals
    again: deque[tuple[bytes, float]] = field(default_factory=deque)
    calls: set[asyncio.Task[None]] = field(default_factory=set)
    free_at: float = 0.0  # what was refused is not tried before

    async def run(self, rate: float, seconds: float, begin: float) -> None:
        """rate: of this door."""
        handed, end = 0, begin + seconds
        due: deque[float] = deque()
        while True:
            now = time.monotonic()
            until = int((min(now, end) - begin) * rate)
            due.extend(begin + n / rate for n in range(handed, until))
            handed = max(handed, until)
            if self.told.keeps_trying and now >= self.free_at:
                while self.again and len(self.calls) < CALLS_MAX:
                    self._send([self.again.popleft() for _ in range(min(BATCH_MAX, len(self.again)))])
            while due and self.shelf and len(self.calls) < CALLS_MAX:
                size = min(BATCH_MAX, len(due), len(self.shelf))
                self.told.offered += size
                self._send([(self.shelf.popleft(), due.popleft()) for _ in range(size)])
            if now >= end and not due and not self.again and not self.calls:
                return
            if now >= end + COMMITTED_S or (now >= end and not self.shelf and not self.again and not self.calls):
                return
            await asyncio.sleep(TICK_S - (time.monotonic() - begin) % TICK_S)

    def _send(self, batch: list[tuple[bytes, float]]) -> None:
        task = asyncio.create_task(self._call(batch))
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)

    async def _call(self, batch: list[tuple[bytes, float]]) -> None:
        try:
            results = await self.client.broadcast_many([tx for tx, _ in batch])
        except NodeUnreachable:
            self.told.lost_calls += 1
            self._later(batch)
            return
        later = []
        for (tx, due), result in zip(batch, results, strict=True):
            if result.code == 0 or "already" in result.log:
                self.told.times.setdefault(result.hash, due)
                self.told.doors[result.hash] = self.number
            elif "try later" in result.log or "sequence" in result.log:  # the one before it is to be tried again
                later.append((tx, due))
            else:
                self.told.refused[f"{result.codespace} {result.code}: {result.log}"[:120]] += 1
        if later:
            self._later(later)

    def _later(self, batch: list[tuple[bytes, float]]) -> None:
        self.told.later += len(batch)
        if self.told.keeps_trying:
            self.again.extend(batch)
            self.free_at = time.monotonic() + AGAIN_S
        else:
            self.shelf.extendleft(tx for tx, _ in reversed(batch))


class Sight:
    """What one node's subscribers see: all blocks with results, or, as `posts`, the events of posts alone."""

    def __init__(self, address: str, *, posts: bool) -> None:
        self._client, self._posts = Client(address), posts
        self._commits = Commits(self._client)
        self.seen = self._commits.seen

    async def follow(self) -> None:
        if not self._posts:
            await self._commits.follow()
            return
        async for told in self._client.stream_events(types=[POSTED]):
            if told.tx_hash:
                self.seen.setdefault(told.tx_hash, time.monotonic())

    @property
    def blocks(self) -> list[tuple[float, int, int]]:
        return self._commits.blocks

    async def wait_for(self, hashes: Sequence[bytes]) -> list[bytes]:
        return await self._commits.wait_for(hashes, timeout_s=COMMITTED_S)

    async def live(self) -> None:
        height = (await self._client.status()).latest_block_height
        await self._client.wait_for_height(height + 2)

    async def close(self) -> None:
        await self._client.close()


@asynccontextmanager
async def watched(address: str, *, posts: bool = False) -> AsyncIterator[Sight]:
    sight = Sight(address, posts=posts)
    task = asyncio.create_task(sight.follow())
    try:
        await sight.live()
        yield sight
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await sight.close()


@dataclass
class Outcome:
    """A load, when each transaction was due, and when subscribers of other nodes saw its post, in seconds."""

    load: Load
    offered: int
    seen: list[float]
    admitted: list[bytes]


async def run_open(
    doors: Sequence[str], stock: Stock, *, rate: float, seconds: float, pids: dict[str, int],
    keeps_trying: bool = True, posts: bool = False,
) -> Outcome:  # fmt: skip
    """Arrivals at `rate` a second over all doors. posts: two subscribers look for what other nodes took in."""
    told = Arrivals(keeps_trying)
    clients = [Client(address) for address in doors]
    try:
        async with watched(doors[0]) as sight, _subscribers(doors, posts) as subscribers:
            before = {name: cpu_s(pid) for name, pid in pids.items()}
            begin = time.monotonic()
            gates = [_Door(c, n, stock.shelves[n], told) for n, c in enumerate(clients)]
            await asyncio.gather(
                *(gate.run(rate / len(gates), seconds, begin + TICK_S * n / len(gates)) for n, gate in enumerate(gates))
            )
            lost = await sight.wait_for(list(told.times))
            used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
            seen = _seen_elsewhere(told, subscribers)
    finally:
        for client in clients:
            await client.close()
    return Outcome(_load(told.times, sight, begin, used, told.later, told.refused, lost), told.offered, seen,
                   list(told.times))  # fmt: skip


async def run_closed(doors: Sequence[str], stock: Stock, count: int, *, pids: dict[str, int]) -> Load:
    """`count` as fast as they are taken; each door's clients send one call after the other."""
    clients, sent = [Client(address) for address in doors], Sent()
    try:
        async with watched(doors[0]) as sight:
            before = {name: cpu_s(pid) for name, pid in pids.items()}
            begin, shares = time.monotonic(), stock.take(count)
            await asyncio.gather(*(send_all(c, share, sent) for c, share in zip(clients, shares, strict=True)))
            lost = await sight.wait_for(list(sent.times))
            used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
    finally:
        for client in clients:
            await client.close()
    return _load(sent.times, sight, begin, used, sent.retries, sent.refused, lost)


def _load(
    times: dict[bytes, float], sight: Sight, begin: float, used: dict[str, float], later: int, refused: Counter[str],
    lost: list[bytes],
) -> Load:  # fmt: skip
    done = [key for key in times if key in sight.seen]
    last = max((sight.seen[key] for key in done), default=begin + 1e-9)
    return Load(
        committed=len(done), seconds=last - begin, latencies=[sight.seen[key] - times[key] for key in done], cpu=used,
        blocks=[(when, txs) for when, _, txs in sight.blocks if begin <= when <= last and txs], retries=later,
        refused=dict(refused), lost=len(lost),
    )  # fmt: skip


@asynccontextmanager
async def _subscribers(doors: Sequence[str], posts: bool) -> AsyncIterator[list[Sight]]:
    if not posts or len(doors) < 2:
        yield []
        return
    async with watched(doors[0], posts=True) as first, watched(doors[1], posts=True) as second:
        yield [first, second]


def _seen_elsewhere(told: Arrivals, subscribers: list[Sight]) -> list[float]:
    """Of each post: at the first subscriber, or at the second where the first one's node had taken it in."""
    if not subscribers:
        return []
    found = []
    for key, due in told.times.items():
        when = subscribers[1 if told.doors[key] == 0 else 0].seen.get(key)
        if when is not None:
            found.append(when - due)
    return found
