"""Who waits for what the chain saves: transactions for their block, streams for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from consensus.core.events import VoteKind
from consensus.types.block import BlockID, PartSetHeader
from consensus.types.vote import Proposal, Vote


class SavedListener:
    """A Listener of the driver that cares for saved heights alone."""

    def block_saved(self, height: int) -> None:
        raise NotImplementedError

    def step_changed(self) -> None: ...
    def proposal_set(self, proposal: Proposal) -> None: ...
    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None: ...
    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None: ...
    def part_added(self, height: int, round: int, index: int) -> None: ...
    def vote_added(self, vote: Vote) -> None: ...
    def majority_seen(self, kind: VoteKind, round: int) -> None: ...


class OnSaved(SavedListener):
    """Tells somebody else of saved heights."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def block_saved(self, height: int) -> None:
        self._tell(height)


class CommitWatch(SavedListener):
    """Wakes who waits when a height is on disk."""

    def __init__(self, tx_hashes_of: Callable[[int], Sequence[bytes]]) -> None:
        self._tx_hashes_of = tx_hashes_of
        self._waiting: dict[bytes, list[asyncio.Future[int]]] = {}
        self._next_block = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Transactions that somebody waits for."""
        return len(self._waiting)

    def expect(self, tx_hash: bytes) -> asyncio.Future[int]:
        """A future of the height that holds the transaction. Give it to `forget` when done."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tx_hash, []).append(future)
        return future

    def forget(self, tx_hash: bytes, future: asyncio.Future[int]) -> None:
        future.cancel()
        left = [other for other in self._waiting.get(tx_hash, ()) if other is not future]
        if left:
            self._waiting[tx_hash] = left
        else:
            self._waiting.pop(tx_hash, None)

    def next_block(self) -> asyncio.Event:
        """Set when the next height is saved. Take it before looking at the height: then none is missed."""
        return self._next_block

    def block_saved(self, height: int) -> None:
        event, self._next_block = self._next_block, asyncio.Event()
        event.set()
        if not self._waiting:
            return
        for tx_hash in self._tx_hashes_of(height):
            for future in self._waiting.pop(tx_hash, ()):
                if not future.done():
                    future.set_result(height)
