"""Which block: its hash and its part set's header.

A BlockID is zero (a vote for nil), complete (a block), or, in data from outside only, something between.
Source: CometBFT v0.38, spec/core/data_structures.md (BlockID, PartSetHeader), types/block.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus.formats.errors import InvalidBlockId
from consensus.formats.wire import bytes_field, int_field, message_field
from crypto.hash import HASH_BYTES
from proto.tendermint.types import types_pb2 as pb


def check_hash(what: str, value: bytes) -> None:
    """Empty or 32 bytes. Raises InvalidBlockId."""
    if value and len(value) != HASH_BYTES:
        raise InvalidBlockId(f"{what} has {len(value)} bytes, expected 0 or {HASH_BYTES}")


@dataclass(frozen=True, slots=True)
class PartSetHeader:
    """How many parts, and the Merkle root over them."""

    total: int = 0
    hash: bytes = b""

    @property
    def is_zero(self) -> bool:
        return not self.total and not self.hash

    def validate(self) -> None:
        """Raises InvalidBlockId."""
        check_hash("part set hash", self.hash)

    def encode(self) -> bytes:
        """Protobuf bytes (the canonical form has the same)."""
        return int_field(b"\x08", self.total) + bytes_field(b"\x12", self.hash)

    def to_proto(self) -> pb.PartSetHeader:
        return pb.PartSetHeader(total=self.total, hash=self.hash)

    @staticmethod
    def from_proto(message: pb.PartSetHeader) -> PartSetHeader:
        return PartSetHeader(message.total, message.hash)


@dataclass(frozen=True, slots=True)
class BlockID:
    """Equal ids are equal blocks in equal parts."""

    hash: bytes = b""
    part_set_header: PartSetHeader = PartSetHeader()
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.hash)  # a bytes object remembers its hash; two ids of one block hash are as good as unheard of

    def __str__(self) -> str:
        """For people: the block's hash."""
        return self.hash.hex() or "nil"

    @property
    def is_zero(self) -> bool:
        """Stands for nil."""
        return not self.hash and self.part_set_header.is_zero

    @property
    def is_complete(self) -> bool:
        """Names a block."""
        header = self.part_set_header
        return len(self.hash) == HASH_BYTES and header.total > 0 and len(header.hash) == HASH_BYTES

    def validate(self) -> None:
        """Each hash empty or 32 bytes. Raises InvalidBlockId."""
        check_hash("block id hash", self.hash)
        self.part_set_header.validate()

    def key(self) -> bytes:
        """What conflicting votes are ordered by: the hash, then the part-set header's protobuf bytes."""
        return self.hash + self.part_set_header.encode()

    def encode(self) -> bytes:
        """Protobuf bytes (the canonical form has the same)."""
        encoded = self._encoded
        if encoded is None:
            encoded = bytes_field(b"\x0a", self.hash) + message_field(b"\x12", self.part_set_header.encode())
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def to_proto(self) -> pb.BlockID:
        return pb.BlockID(hash=self.hash, part_set_header=self.part_set_header.to_proto())

    @staticmethod
    def from_proto(message: pb.BlockID) -> BlockID:
        """Any content; `validate` judges it."""
        parts = message.part_set_header
        total, parts_hash, block_hash = parts.total, parts.hash, message.hash
        if not total and not parts_hash and not block_hash:
            return NIL_BLOCK_ID
        return BlockID(block_hash, PartSetHeader(total, parts_hash))


NIL_BLOCK_ID: Final = BlockID()
