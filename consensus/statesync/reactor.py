"""The reactor of state sync: channels 0x60 and 0x61, wire-compatible with CometBFT v0.38, and 0x62 among our own kind.

It serves whoever asks, always. Where this node itself is new, a `StateSync` is attached, and hears what peers offer.
Source: CometBFT v0.38, statesync/reactor.go, spec/p2p/legacy-docs/messages/state-sync.md.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from consensus.abci.interface import Application
from consensus.channels.state_sync_messages import (
    CHUNK_CHANNEL,
    CHUNK_MESSAGE_BYTES_MAX,
    LIGHT_BLOCK_CHANNEL,
    LIGHT_BLOCK_MESSAGE_BYTES_MAX,
    SNAPSHOT_CHANNEL,
    SNAPSHOT_MESSAGE_BYTES_MAX,
    ChunkRequest,
    ChunkResponse,
    LightBlockRequest,
    LightBlockResponse,
    SnapshotsRequest,
    SnapshotsResponse,
    decode_state_sync,
)
from consensus.formats.errors import InvalidData
from consensus.formats.units import MIB
from consensus.p2p.conn.base import ChannelDescriptor, Peer, PeerFault
from consensus.statesync.light_blocks import BAN_S, PeerLightBlocks
from consensus.statesync.serving import SnapshotServer, light_block_of
from consensus.statesync.syncer import StateSync
from consensus.stores.interfaces import BlockStore, StateStore
from consensus.system.clock import Clock, Workers

SMALL_BYTES_MAX: Final = 4_096  # a question; nobody begins a larger message that was not asked for
QUEUE_BYTES_MAX: Final = 2 * MIB  # of a peer's channel: two usual chunks; one always fits


class StateSyncReactor:
    """Implements consensus.p2p.conn.base.Reactor."""

    def __init__(
        self, app: Application, blocks: BlockStore, states: StateStore, clock: Clock, workers: Workers
    ) -> None:
        self._server = SnapshotServer(app, partial(light_block_of, blocks, states), clock, workers)
        self.light_blocks = PeerLightBlocks()
        self.sync: StateSync | None = None  # while this node itself restores
        self.metrics = self._server.metrics

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        small, queue = SMALL_BYTES_MAX, QUEUE_BYTES_MAX
        return tuple(
            ChannelDescriptor(id, name, priority, 10, size, unasked_bytes_max=small, send_queue_bytes=queue)
            for id, name, priority, size in (
                (SNAPSHOT_CHANNEL, "snapshots", 5, SNAPSHOT_MESSAGE_BYTES_MAX),
                (CHUNK_CHANNEL, "chunks", 3, CHUNK_MESSAGE_BYTES_MAX),
                (LIGHT_BLOCK_CHANNEL, "light blocks", 5, LIGHT_BLOCK_MESSAGE_BYTES_MAX),
            )
        )

    def stop(self) -> None:
        self._server.stop()

    def add_peer(self, peer: Peer) -> None:
        self._server.add(peer)
        self.light_blocks.add_peer(peer)
        if self.sync is not None:
            self.sync.add_peer(peer)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        self._server.forget(peer)
        self.light_blocks.remove_peer(peer)
        if self.sync is not None:
            self.sync.remove_peer(peer)

    def writable(self, channel_id: int, peer: Peer) -> None:
        self._server.writable(peer)

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """Raises PeerFault."""
        try:
            decoded = decode_state_sync(channel_id, message)
        except InvalidData as error:
            raise PeerFault(f"state sync: {error}", ban_s=BAN_S) from error
        match decoded:
            case SnapshotsRequest() | ChunkRequest() | LightBlockRequest():
                self._server.ask(peer, decoded)
            case LightBlockResponse(block):
                self.light_blocks.take(peer, block)
            case SnapshotsResponse() | ChunkResponse() if self.sync is None:
                peer.useless("a snapshot, or a piece of one, that was not asked for")
            case SnapshotsResponse(snapshot):
                assert self.sync is not None
                self.sync.take_offer(peer, snapshot)
            case ChunkResponse():
                assert self.sync is not None
                self.sync.take_chunk(peer, decoded)
