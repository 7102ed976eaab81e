"""Large old blocks for peers that catch up: cut into parts in a thread, one block at a time, before any part is sent.

Only the last few stay cut (`BlockStore.has_parts`). With more peers at as many heights each is cut for again and again:
that is done only where the peer's queue takes many parts at once, and charged to it.
Source: docs/architecture.md, What others can and cannot do to a node.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from consensus.channels.peer_messages import DATA_CHANNEL
from consensus.gossip.peer_state import PeerState
from consensus.stores.interfaces import BlockStore
from consensus.system.aside import Aside, Bill
from consensus.system.clock import Clock, Workers

ROOM_MIN: Final = 48  # parts, half of what a peer's queue takes: 3 MB for a block that is cut


class OldBlocks:
    """push: called for the peer once its block is cut. failed: called where the store failed for it."""

    def __init__(
        self,
        blocks: BlockStore,
        clock: Clock,
        workers: Workers,
        *,
        push: Callable[[PeerState], None],
        failed: Callable[[PeerState, Exception], None],
    ) -> None:
        self._blocks, self._workers, self._push, self._failed = blocks, workers, push, failed
        self._waiting: dict[str, PeerState] = {}
        self._aside = Aside("cut an old block", clock, self._next, self._cut)

    def stop(self) -> None:
        self._waiting.clear()
        self._aside.stop()

    def is_cut(self, state: PeerState) -> bool:
        """Whether the block of the peer's height is; else it is in its turn, if the peer can take parts of it."""
        if self._blocks.has_parts(state.height):
            return True
        if state.peer.queue_room(DATA_CHANNEL) >= ROOM_MIN:
            self._waiting[state.peer.id] = state
            self._aside.wake()
        return False

    def _next(self) -> PeerState | None:
        return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    async def _cut(self, state: PeerState) -> None:
        bill = Bill(self._workers)
        try:
            parts = await bill.run(partial(self._blocks.load_parts, state.height))
        except Exception as error:
            self._failed(state, error)
            return
        finally:
            state.peer.spend_cpu(bill.spent_ns)
        if parts is not None:  # else it was pruned meanwhile
            self._push(state)
