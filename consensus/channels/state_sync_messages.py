"""The messages of state sync: channels 0x60 (snapshots), 0x61 (chunks) and, among our own kind, 0x62 (light blocks).

What they carry is checked as far as it can be without knowing the chain, sizes first.
Source: CometBFT v0.38, statesync/messages.go; of 0x62 Tendermint v0.35, internal/statesync.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from consensus.abci.interface import Snapshot
from consensus.channels.peer_messages import InvalidMessage
from consensus.formats.errors import InvalidData
from consensus.formats.wire import bytes_field, int_field, message_field, parse
from consensus.types.light import LightBlock
from proto.tendermint.statesync import types_pb2 as pb

SNAPSHOT_CHANNEL: Final = 0x60
CHUNK_CHANNEL: Final = 0x61
LIGHT_BLOCK_CHANNEL: Final = 0x62

SNAPSHOT_MESSAGE_BYTES_MAX: Final = 4_000_000  # as upstream
CHUNK_MESSAGE_BYTES_MAX: Final = 16_000_000  # as upstream
LIGHT_BLOCK_MESSAGE_BYTES_MAX: Final = 10_000_000  # as Tendermint v0.35
HASH_BYTES_MAX: Final = 64  # of a snapshot's hash, whose form is the application's
HEIGHT_MAX: Final = 2**63 - 2


@dataclass(frozen=True, slots=True)
class SnapshotsRequest:
    def encode(self) -> bytes:
        return b"\x0a\x00"


@dataclass(frozen=True, slots=True)
class SnapshotsResponse:
    """One snapshot that the sender has."""

    snapshot: Snapshot

    def encode(self) -> bytes:
        it = self.snapshot
        body = int_field(b"\x08", it.height) + int_field(b"\x10", it.format) + int_field(b"\x18", it.chunks)
        return message_field(b"\x12", body + bytes_field(b"\x22", it.hash) + bytes_field(b"\x2a", it.metadata))


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    height: int
    format: int
    index: int

    def encode(self) -> bytes:
        return message_field(b"\x1a", _place(self.height, self.format, self.index))


@dataclass(frozen=True, slots=True)
class ChunkResponse:
    """missing: the sender has no such chunk; then there are no bytes."""

    height: int
    format: int
    index: int
    chunk: bytes = b""
    missing: bool = False

    def encode(self) -> bytes:
        body = _place(self.height, self.format, self.index)
        if self.missing:
            return message_field(b"\x22", body + b"\x28\x01")
        return message_field(b"\x22", body + message_field(b"\x22", self.chunk))


@dataclass(frozen=True, slots=True)
class LightBlockRequest:
    height: int

    def encode(self) -> bytes:
        return message_field(b"\x2a", int_field(b"\x08", self.height))


@dataclass(frozen=True, slots=True)
class LightBlockResponse:
    """light_block: None where the sender has none of the height that was asked for."""

    light_block: LightBlock | None

    def encode(self) -> bytes:
        body = b"" if self.light_block is None else message_field(b"\x0a", self.light_block.encode())
        return message_field(b"\x32", body)


StateSyncMessage: TypeAlias = (
    SnapshotsRequest | SnapshotsResponse | ChunkRequest | ChunkResponse | LightBlockRequest | LightBlockResponse
)


def _place(height: int, format: int, index: int) -> bytes:
    return int_field(b"\x08", height) + int_field(b"\x10", format) + int_field(b"\x18", index)


_BYTES_MAX: Final = {
    SNAPSHOT_CHANNEL: SNAPSHOT_MESSAGE_BYTES_MAX,
    CHUNK_CHANNEL: CHUNK_MESSAGE_BYTES_MAX,
    LIGHT_BLOCK_CHANNEL: LIGHT_BLOCK_MESSAGE_BYTES_MAX,
}


def decode_state_sync(channel_id: int, data: bytes) -> StateSyncMessage:
    """A message of one of the three channels. Raises InvalidData: drop the peer."""
    message = parse(pb.Message, data, bytes_max=_BYTES_MAX[channel_id], what="state sync message")
    match channel_id, message.WhichOneof("sum"):
        case 0x60, "snapshots_request":
            return SnapshotsRequest()
        case 0x60, "snapshots_response":
            return _snapshots_response(message.snapshots_response)
        case 0x61, "chunk_request":
            request = message.chunk_request
            return ChunkRequest(_height("ChunkRequest", request.height), request.format, request.index)
        case 0x61, "chunk_response":
            return _chunk_response(message.chunk_response)
        case 0x62, "light_block_request":
            return LightBlockRequest(_height("LightBlockRequest", message.light_block_request.height))
        case 0x62, "light_block_response":
            answer = message.light_block_response
            if not answer.HasField("light_block"):
                return LightBlockResponse(None)
            try:
                return LightBlockResponse(LightBlock.from_proto(answer.light_block))
            except InvalidData:
                raise
            except ValueError as error:  # a key that is none
                raise InvalidMessage(f"LightBlockResponse: {error}") from error
    raise InvalidMessage(f"state sync message: none of the kinds of channel {channel_id:#04x}")


def _snapshots_response(it: pb.SnapshotsResponse) -> SnapshotsResponse:
    """As upstream: a height, a hash and chunks there must be."""
    height = _height("SnapshotsResponse", it.height)
    if not 0 < len(it.hash) <= HASH_BYTES_MAX:
        raise InvalidMessage(f"SnapshotsResponse: a hash of {len(it.hash)} bytes; allowed: 1 to {HASH_BYTES_MAX}")
    if not it.chunks:
        raise InvalidMessage("SnapshotsResponse: no chunks")
    return SnapshotsResponse(Snapshot(height, it.format, it.chunks, it.hash, it.metadata))


def _chunk_response(it: pb.ChunkResponse) -> ChunkResponse:
    height = _height("ChunkResponse", it.height)
    if it.missing and it.chunk:
        raise InvalidMessage("ChunkResponse: a missing chunk has bytes")
    return ChunkResponse(height, it.format, it.index, it.chunk, it.missing)


def _height(what: str, height: int) -> int:
    if not 0 < height <= HEIGHT_MAX:
        raise InvalidMessage(f"{what}: height {height}; allowed: 1 to {HEIGHT_MAX}")
    return height
