"""Serving blocks to peers that sync: a block is read only for a peer whose queue can take it, one at a time, in turn.

A slow reader costs a few remembered heights: nothing is read, and nothing waits in memory, that it does not take. One
answer always fits, so what all readers hold has a bound of its own: past it nothing is read, and the slowest goes.
Reading and encoding run in a thread, and are charged to whom they are for.
Source: CometBFT v0.38, blocksync/reactor.go; mintlayer-core#1314.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL, BlockResponse, NoBlockResponse
from consensus.formats.units import MIB, NS_PER_S
from consensus.p2p.conn.base import Peer
from consensus.stores.interfaces import BlockStore
from consensus.system.aside import Aside, Bill
from consensus.system.clock import Clock, Timer, Workers

REQUESTS_MAX: Final = 64  # remembered per peer: three times what a syncing node asks one peer for
BLOCK_RESPONSE: Final = b"\x1a"  # the first byte of one on the wire
QUEUE_BYTES_MAX: Final = 2 * MIB  # of a peer's channel: two usual blocks; one always fits
HELD_BYTES_MAX: Final = 128 * MIB  # of answers that all readers have not taken yet: twelve of the largest usual blocks
PATIENCE_NS: Final = 10 * NS_PER_S
SLOW_BYTES_PER_S: Final = 131_072
LOOK_S: Final = 1.0  # between two looks while too much is held


@dataclass(slots=True, eq=False)
class _Taker:
    """given: bytes, since something of it waited."""

    peer: Peer
    since_ns: int
    given: int = 0

    @property
    def queued(self) -> int:
        return self.peer.queued_bytes(BLOCK_SYNC_CHANNEL)

    def rate(self, now_ns: int) -> float:
        """Bytes a second that it took."""
        return (self.given - self.queued) * NS_PER_S / max(1, now_ns - self.since_ns)


class Backlog:
    """Answers that were queued and not taken yet, of all readers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._takers: dict[str, _Taker] = {}

    def gave(self, peer: Peer, size: int) -> None:
        taker = self._takers.get(peer.id)
        if taker is None or taker.peer is not peer:
            taker = self._takers[peer.id] = _Taker(peer, self._clock.monotonic_ns())
        taker.given += size

    def forget(self, peer: Peer) -> None:
        taker = self._takers.get(peer.id)
        if taker is not None and taker.peer is peer:
            del self._takers[peer.id]

    @property
    def bytes(self) -> int:
        self._takers = {id: taker for id, taker in self._takers.items() if taker.queued}
        return sum(taker.queued for taker in self._takers.values())

    def slowest(self) -> Peer | None:
        """Whoever took least a second, had the time to, and is slow; one that we chose only where no other is."""
        now_ns = self._clock.monotonic_ns()
        slow = [
            taker
            for taker in self._takers.values()
            if now_ns - taker.since_ns >= PATIENCE_NS and taker.rate(now_ns) < SLOW_BYTES_PER_S
        ]
        worst = min(slow, key=lambda taker: (taker.peer.is_persistent, taker.rate(now_ns)), default=None)
        return None if worst is None else worst.peer


@dataclass(slots=True, eq=False)
class _Reader:
    """asked: heights, in order. ready: an answer that found no room, to be tried first when there is (`is_full`)."""

    peer: Peer
    asked: dict[int, None] = field(default_factory=dict)
    ready: bytes | None = None
    is_full: bool = False


class BlockServer:
    """on_served: called for each block that went into a queue. drop: ends the connection of a slow reader, which is no
    offence."""

    def __init__(
        self,
        blocks: BlockStore,
        clock: Clock,
        workers: Workers,
        on_served: Callable[[], None],
        drop: Callable[[Peer, str], None],
    ) -> None:
        self._blocks, self._clock, self._workers = blocks, clock, workers
        self._on_served, self._drop = on_served, drop
        self._backlog = Backlog(clock)
        self._look: Timer | None = None
        self._readers: dict[str, _Reader] = {}  # who waits, the next to be served first
        self._aside = Aside("serve blocks", clock, self._next, self._serve)

    @property
    def waiting(self) -> int:
        """Requests that are remembered, of all peers."""
        return sum(len(reader.asked) for reader in self._readers.values())

    def ask(self, peer: Peer, height: int) -> None:
        """A height twice is asked once; what can't be served is said at once, without a look at the disk."""
        if not self._blocks.base <= height <= self._blocks.height:
            peer.try_send(BLOCK_SYNC_CHANNEL, NoBlockResponse(height).encode())
            return
        reader = self._readers.get(peer.id)
        if reader is None or reader.peer is not peer:
            reader = self._readers[peer.id] = _Reader(peer)
        if height in reader.asked or len(reader.asked) >= REQUESTS_MAX:
            peer.useless("a block request too many")
            return
        reader.asked[height] = None
        self._aside.wake()

    def writable(self, peer: Peer) -> None:
        reader = self._readers.get(peer.id)
        if reader is not None:
            reader.is_full = False
            self._aside.wake()

    def forget(self, peer: Peer) -> None:
        self._backlog.forget(peer)
        reader = self._readers.get(peer.id)
        if reader is not None and reader.peer is peer:
            del self._readers[peer.id]

    def stop(self) -> None:
        self._readers.clear()
        if self._look is not None:
            self._look.cancel()
        self._aside.stop()

    def _next(self) -> _Reader | None:
        """The first in turn whose queue has room, which goes to the end of the line; None: `writable` will follow, or
        another look at what all of them hold."""
        if self._readers and self._is_too_much_held():
            return None
        for id, reader in list(self._readers.items()):
            if not reader.is_full and reader.peer.queue_room(BLOCK_SYNC_CHANNEL):
                del self._readers[id]
                self._readers[id] = reader
                return reader
        return None

    def _is_too_much_held(self) -> bool:
        while self._backlog.bytes + sum(len(r.ready or b"") for r in self._readers.values()) > HELD_BYTES_MAX:
            slow = self._backlog.slowest()
            if slow is None:
                if self._look is None:
                    self._look = self._clock.call_later(LOOK_S, self._look_again)
                return True
            self.forget(slow)
            self._drop(slow, "took too little of the blocks that it asked for, while others wait")
        return False

    def _look_again(self) -> None:
        self._look = None
        self._aside.wake()

    async def _serve(self, reader: _Reader) -> None:
        try:
            await self._answer(reader)
        finally:  # also where the store failed: a reader that waits for nothing has no turn
            if not reader.asked and reader.ready is None and self._readers.get(reader.peer.id) is reader:
                del self._readers[reader.peer.id]

    async def _answer(self, reader: _Reader) -> None:
        peer = reader.peer
        answer, reader.ready = reader.ready or b"", None
        if not answer:
            height = next(iter(reader.asked))
            del reader.asked[height]
            bill = Bill(self._workers)
            try:
                answer = await bill.run(partial(self._read, height))
            finally:
                peer.spend_cpu(bill.spent_ns)
        if self._readers.get(peer.id) is not reader:
            return  # it left meanwhile
        if not peer.try_send(BLOCK_SYNC_CHANNEL, answer):
            reader.ready, reader.is_full = answer, True
            self._backlog.gave(peer, 0)
            return
        self._backlog.gave(peer, len(answer))
        if answer[:1] == BLOCK_RESPONSE:
            self._on_served()

    def _read(self, height: int) -> bytes:
        """The encoded answer. For a thread."""
        data = self._blocks.load_block_bytes(height)
        if data is None:  # pruned meanwhile
            return NoBlockResponse(height).encode()
        extended = self._blocks.load_extended_commit(height)
        return BlockResponse(data, b"" if extended is None else extended.encode()).encode()
