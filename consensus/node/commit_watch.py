"""Who waits for what the chain saves: transactions for their block, streams for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from consensus.abci.interface import CheckTxResponse
from consensus.core.events import Elapsed
from consensus.engine.interfaces import RoundListener, SavedBlock, SavedListener
from consensus.system.errors import traced
from consensus.system.tasks import Faults
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Proposal, Vote

FAILURES_MAX: Final = 10  # in a row: then a listener is switched off, and its lines in the log with it

log = structlog.get_logger(__name__)


class SafeListener:
    """Keeps what a listener raises from consensus, which calls it in the middle of its work: the driver is given no
    listener of the node but inside of one of these.

    A failure is logged, counted, and told by /ready until the listener hears of a block without one; after
    FAILURES_MAX in a row it is switched off. needed: this node is not ready for clients while it fails.
    """

    def __init__(self, name: str, listener: SavedListener, faults: Faults, *, needed: bool = False) -> None:
        self.name, self._listener, self._faults, self._needed = name, listener, faults, needed
        self._in_a_row = 0

    @property
    def is_off(self) -> bool:
        return self._in_a_row >= FAILURES_MAX

    def block_saved(self, saved: SavedBlock) -> None:
        if self.is_off:
            return
        try:
            self._listener.block_saved(saved)
        except Exception as error:
            self._in_a_row += 1
            self._faults.failed(self.name, error, needed=self._needed)
            log.error(
                "a listener failed; the chain goes on", listener=self.name, height=saved.height,
                in_a_row=self._in_a_row, switched_off=self.is_off, exc_info=traced(error),
            )  # fmt: skip
            return
        if self._in_a_row:
            self._in_a_row = 0
            self._faults.recovered(self.name)


class SafeRoundListener:
    """The same of one that hears of the running height. A failure is told until a step passes without one."""

    def __init__(self, name: str, listener: RoundListener, faults: Faults) -> None:
        self.name, self._listener, self._faults = name, listener, faults
        self._in_a_row = 0

    def _tell(self, work: Callable[[], None], *, recovers: bool = False) -> None:
        if self._in_a_row >= FAILURES_MAX:
            return
        try:
            work()
        except Exception as error:
            self._in_a_row += 1
            self._faults.failed(self.name, error)
            is_off = self._in_a_row >= FAILURES_MAX
            log.error(
                "a listener failed; the chain goes on", listener=self.name, switched_off=is_off, exc_info=traced(error)
            )
            return
        if recovers and self._in_a_row:
            self._in_a_row = 0
            self._faults.recovered(self.name)

    def step_changed(self) -> None:
        self._tell(self._listener.step_changed, recovers=True)

    def proposal_set(self, proposal: Proposal) -> None:
        self._tell(lambda: self._listener.proposal_set(proposal))

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        self._tell(lambda: self._listener.part_set_opened(header, is_commit=is_commit))

    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None:
        self._tell(lambda: self._listener.valid_block_set(block_id, is_commit=is_commit))

    def part_added(self, height: int, round: int, index: int) -> None:
        self._tell(lambda: self._listener.part_added(height, round, index))

    def vote_added(self, vote: Vote) -> None:
        self._tell(lambda: self._listener.vote_added(vote))

    def timed_out(self, elapsed: Elapsed) -> None:
        self._tell(lambda: self._listener.timed_out(elapsed))


class OnSaved:
    """Tells somebody else of saved blocks."""

    def __init__(self, tell: Callable[[SavedBlock], None]) -> None:
        self._tell = tell

    def block_saved(self, saved: SavedBlock) -> None:
        self._tell(saved)


class CommitWatch:
    """Wakes who waits when a height is on disk.

    is_saved: whether a saved block has the transaction of that hash. Asked for each that somebody waits for, whose
    number the door bounds: the block is not read."""

    def __init__(self, is_saved: Callable[[bytes], bool]) -> None:
        self._is_saved = is_saved
        self._waiting: dict[bytes, list[asyncio.Future[CheckTxResponse | None]]] = {}
        self._next_block = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Transactions that somebody waits for."""
        return len(self._waiting)

    def expect(self, tx_hash: bytes) -> asyncio.Future[CheckTxResponse | None]:
        """Done when a saved height holds the transaction (None), or when the mempool let it go (why). Give it to
        `forget` when done."""
        future: asyncio.Future[CheckTxResponse | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tx_hash, []).append(future)
        return future

    def forget(self, tx_hash: bytes, future: asyncio.Future[CheckTxResponse | None]) -> None:
        future.cancel()
        left = [other for other in self._waiting.get(tx_hash, ()) if other is not future]
        if left:
            self._waiting[tx_hash] = left
        else:
            self._waiting.pop(tx_hash, None)

    def next_block(self) -> asyncio.Event:
        """Set when the next height is saved. Take it before looking at the height: then none is missed."""
        return self._next_block

    def block_saved(self, saved: SavedBlock) -> None:
        event, self._next_block = self._next_block, asyncio.Event()
        event.set()
        if not self._waiting:
            return
        for tx_hash in [waiting for waiting in self._waiting if self._is_saved(waiting)]:
            for future in self._waiting.pop(tx_hash):
                if not future.done():
                    future.set_result(None)

    def dropped(self, tx_hash: bytes, why: CheckTxResponse) -> None:
        """The mempool let it go without a block: nobody need wait for it here."""
        for future in self._waiting.pop(tx_hash, ()):
            if not future.done():
                future.set_result(why)
