"""Snapshots every so many heights, taken beside everything else.

When a block is saved the state is pinned (a LevelDB snapshot: no copy), and written to the shelf in slices of about a
millisecond, in a thread, with a rest after each: at most one slice in `REST_S`, 5 % of a core, however large the state.
A height that comes while one is still written is passed over.
Source: docs/state-sync.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Final

import structlog

from chain.state.store import Stores
from chain.state.view import View
from consensus.engine.interfaces import SavedBlock
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import Clock, Workers
from consensus.system.machine import plain_words
from consensus.system.tasks import Faults
from dchat.app.snapshots import Shelf, ShelfMetrics

REST_S: Final = 0.02
PART: Final = "snapshots"  # the name under which /ready tells of it

log = structlog.get_logger(__name__)


def is_ours(stores: Stores, blocks: BlockStore, states: StateStore) -> Callable[[int, bytes], bool]:
    """Whether a snapshot of a height, with an app hash, may be offered: what was rolled back, restored or brought in
    leaves others on the disk, and who offers a state that no header has is taken for a liar. Of a pruned height
    nothing can be said, and it stays. Raises StorageError."""
    last = states.load()

    def judge(height: int, app_hash: bytes) -> bool:
        if height > stores.latest_version:
            return False
        above = blocks.load_meta(height + 1)
        if above is not None:
            return above.header.app_hash == app_hash
        return last is None or last.last_block_height != height or last.app_hash == app_hash

    return judge


class SnapshotMaker:
    """Satisfies SavedListener. interval: heights; 0: none are made. kept: so many of the newest stay.

    hold: told the lowest height of a snapshot that is served, whenever it changes: from there on blocks are needed by
    who restores it. check_room: raises where the disk has none to spare; asked all the while, in a thread.
    faults: told of one that failed, until another is taken.
    """

    def __init__(
        self, stores: Stores, shelf: Shelf, clock: Clock, workers: Workers, *, interval: int, kept: int,
        hold: Callable[[int], None] = lambda height: None, check_room: Callable[[], None] = lambda: None,
        faults: Faults | None = None,
    ) -> None:  # fmt: skip
        self._stores, self._shelf, self._clock, self._workers = stores, shelf, clock, workers
        self._interval, self._kept, self._hold, self._check_room = interval, kept, hold, check_room
        self._faults = faults or Faults()
        self._running: asyncio.Task[None] | None = None
        if shelf.lowest_height:
            hold(shelf.lowest_height)

    def block_saved(self, saved: SavedBlock) -> None:
        self.height_saved(saved.height)

    def height_saved(self, height: int) -> None:
        """The state after block `height` is the latest."""
        if not self._interval or height % self._interval:
            return
        if self._running is not None:
            log.warning("the snapshot before is still being written; this one is left out", height=height)
            return
        view = self._stores.at()
        assert view.version == height, (view.version, height)
        self._running = asyncio.get_running_loop().create_task(self._make(view), name="take a snapshot")

    async def _make(self, view: View) -> None:
        began_ns = self._clock.monotonic_ns()
        work = self._shelf.make(view)
        try:
            while await self._workers.run(lambda: self._step(work)):
                await self._rest()
            await self._workers.run(lambda: self._shelf.keep_newest(self._kept))
            self._hold(self._shelf.lowest_height)
            self._faults.recovered(PART)
            made = self._shelf.metrics
            log.info(
                "took a snapshot", height=view.version, chunks=made.chunks, bytes=made.bytes,
                took_s=round((self._clock.monotonic_ns() - began_ns) / 1e9, 1),
            )  # fmt: skip
        except Exception as error:  # the next height tries again
            self._shelf.metrics.failed += 1
            self._faults.failed(PART, error)
            log.error("failed to take a snapshot; the chain goes on", height=view.version, error=plain_words(error))
        finally:
            work.close()
            self._running = None

    def _step(self, work: Generator[None, None, None]) -> bool:
        """For a thread. Whether there is more."""
        self._check_room()
        try:
            next(work)
        except StopIteration:
            return False
        return True

    async def _rest(self) -> None:
        over = asyncio.Event()
        timer = self._clock.call_later(REST_S, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    @property
    def metrics(self) -> ShelfMetrics:
        return self._shelf.metrics

    async def stop(self) -> None:
        """One that is being written is left; the next start clears it away."""
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._running = None
