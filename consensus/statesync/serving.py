"""Serving snapshots, chunks and light blocks: one answer at a time, in turn, for peers whose queue can take it.

Reading, hashing and encoding run in a thread and are charged to whom they are for. What a peer asks is remembered up to
a bound; an answer that its queue has no room for waits, one a peer, and nothing more is read for it meanwhile.
Source: CometBFT v0.38, statesync/reactor.go; of light blocks Tendermint v0.35, internal/statesync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import structlog

from consensus.abci.interface import Application
from consensus.channels.state_sync_messages import (
    CHUNK_CHANNEL,
    CHUNK_MESSAGE_BYTES_MAX,
    LIGHT_BLOCK_CHANNEL,
    SNAPSHOT_CHANNEL,
    SNAPSHOT_MESSAGE_BYTES_MAX,
    ChunkRequest,
    ChunkResponse,
    LightBlockRequest,
    LightBlockResponse,
    SnapshotsRequest,
    SnapshotsResponse,
)
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.base import Peer
from consensus.stores.interfaces import BlockStore, StateStore
from consensus.system.aside import Aside, Bill
from consensus.system.clock import Clock, Workers
from consensus.types.light import LightBlock, SignedHeader

SNAPSHOTS_TOLD_MAX: Final = 10  # the newest; as upstream
SNAPSHOTS_EVERY_NS: Final = NS_PER_S  # a peer that asks more often gets no answer
ASKED_MAX: Final = 32  # remembered per peer; who joins asks one peer for four chunks and one light block at a time

log = structlog.get_logger(__name__)
Asked: TypeAlias = ChunkRequest | LightBlockRequest | SnapshotsRequest


@dataclass(slots=True)
class ServingMetrics:
    snapshots_told: int = 0
    chunks_served: int = 0
    chunk_bytes_served: int = 0
    light_blocks_served: int = 0
    missing: int = 0  # answers that we have no such thing


@dataclass(slots=True, eq=False)
class _Reader:
    """asked: in order. ready: answers that found no room: (channel, message)."""

    peer: Peer
    asked: deque[Asked] = field(default_factory=deque)
    ready: deque[tuple[int, bytes]] = field(default_factory=deque)
    told_ns: int = -SNAPSHOTS_EVERY_NS


class SnapshotServer:
    def __init__(
        self, app: Application, light_block: Callable[[int], LightBlock | None], clock: Clock, workers: Workers
    ) -> None:
        """light_block: from our own stores; called in a thread."""
        self._app, self._light_block, self._clock, self._workers = app, light_block, clock, workers
        self._readers: dict[str, _Reader] = {}  # who was served longest ago first
        self._aside = Aside("serve snapshots", clock, self._next, self._serve)
        self.metrics = ServingMetrics()

    def add(self, peer: Peer) -> None:
        self._readers[peer.id] = _Reader(peer)

    def forget(self, peer: Peer) -> None:
        known = self._readers.get(peer.id)
        if known is not None and known.peer is peer:
            del self._readers[peer.id]

    def stop(self) -> None:
        self._aside.stop()

    def ask(self, peer: Peer, request: Asked) -> None:
        reader = self._readers.get(peer.id)
        if reader is None:
            return
        if isinstance(request, SnapshotsRequest):
            now = self._clock.monotonic_ns()
            if now - reader.told_ns < SNAPSHOTS_EVERY_NS:
                peer.useless("a question for snapshots too soon")
                return
            reader.told_ns = now
        if len(reader.asked) >= ASKED_MAX:
            peer.useless("more questions for chunks and light blocks than are remembered")
            return
        reader.asked.append(request)
        self._aside.wake()

    def writable(self, peer: Peer) -> None:
        reader = self._readers.get(peer.id)
        if reader is not None and self._flush(reader) and reader.asked:
            self._aside.wake()

    def _flush(self, reader: _Reader) -> bool:
        """Whether nothing waits for room any more."""
        while reader.ready:
            channel_id, message = reader.ready[0]
            if not reader.peer.try_send(channel_id, message):
                return False
            reader.ready.popleft()
        return True

    def _next(self) -> tuple[_Reader, Asked] | None:
        for id, reader in self._readers.items():
            if reader.asked and not reader.ready:
                del self._readers[id]
                self._readers[id] = reader  # its next turn is the last
                return reader, reader.asked.popleft()
        return None

    async def _serve(self, job: tuple[_Reader, Asked]) -> None:
        reader, request = job
        bill = Bill(self._workers)
        try:
            messages = await bill.run(lambda: self._answers(request))
        finally:
            reader.peer.spend_cpu(bill.spent_ns)
        if self._readers.get(reader.peer.id) is reader:
            reader.ready.extend(messages)
            self._flush(reader)

    def _answers(self, request: Asked) -> list[tuple[int, bytes]]:
        match request:
            case SnapshotsRequest():
                return self._snapshots()
            case ChunkRequest(height, format, index):
                return [(CHUNK_CHANNEL, self._chunk(height, format, index))]
            case LightBlockRequest(height):
                block = self._light_block(height)
                self.metrics.missing += block is None
                self.metrics.light_blocks_served += block is not None
                return [(LIGHT_BLOCK_CHANNEL, LightBlockResponse(block).encode())]

    def _snapshots(self) -> list[tuple[int, bytes]]:
        messages = []
        for snapshot in self._app.list_snapshots()[:SNAPSHOTS_TOLD_MAX]:
            message = SnapshotsResponse(snapshot).encode()
            if len(message) <= SNAPSHOT_MESSAGE_BYTES_MAX:
                messages.append((SNAPSHOT_CHANNEL, message))
                self.metrics.snapshots_told += 1
        return messages

    def _chunk(self, height: int, format: int, index: int) -> bytes:
        """As upstream, an empty chunk is none."""
        chunk = self._app.load_snapshot_chunk(height, format, index)
        message = ChunkResponse(height, format, index, chunk, missing=not chunk).encode()
        if chunk and len(message) <= CHUNK_MESSAGE_BYTES_MAX:
            self.metrics.chunks_served += 1
            self.metrics.chunk_bytes_served += len(chunk)
            return message
        self.metrics.missing += 1
        return ChunkResponse(height, format, index, missing=True).encode()


def light_block_of(blocks: BlockStore, states: StateStore, height: int) -> LightBlock | None:
    """A stored header with its commit and set; None: one of them is not here."""
    meta = blocks.load_meta(height)
    commit = blocks.load_commit(height) or blocks.load_seen_commit(height)
    validators = states.load_validators(height)
    if meta is None or commit is None or validators is None:
        return None
    return LightBlock(SignedHeader(meta.header, commit), validators)
