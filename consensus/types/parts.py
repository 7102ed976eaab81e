"""Blocks in parts, as they travel: 65,536 bytes each, every one proved against the part-set header.

Source: CometBFT v0.38, spec/core/data_structures.md (Part), types/part_set.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from consensus.formats.bits import BitArray
from consensus.formats.errors import InvalidPart
from consensus.formats.wire import bytes_field, int_field, message_field, parse
from consensus.types.ids import PartSetHeader
from crypto import merkle
from proto.tendermint.types import types_pb2 as pb

Bytes: TypeAlias = bytes  # Part has a field of that name

PART_BYTES: Final = 65_536  # the wire format's, not ours to choose
BLOCK_BYTES_MAX: Final = 104_857_600  # the format's: 100 MiB
PARTS_MAX: Final = BLOCK_BYTES_MAX // PART_BYTES + 1
_PART_MESSAGE_BYTES_MAX: Final = PART_BYTES + 4_096  # 100 aunts of 34 bytes, and the small fields


def parts_max(block_bytes_max: int) -> int:
    """The most parts a proposal may claim under `block_bytes_max` (-1: the format's limit)."""
    limit = BLOCK_BYTES_MAX if block_bytes_max == -1 else block_bytes_max
    return (limit - 1) // PART_BYTES + 1


@dataclass(frozen=True, slots=True)
class Part:
    index: int
    bytes: Bytes
    proof: merkle.Proof
    _encoded: Bytes | None = field(default=None, init=False, repr=False, compare=False)
    _header: PartSetHeader | None = field(default=None, init=False, repr=False, compare=False)

    def validate(self) -> None:
        """What can be said without the part-set header. Raises InvalidPart."""
        size = len(self.bytes)
        if size > PART_BYTES:
            raise InvalidPart(f"part {self.index} has {size} bytes, at most {PART_BYTES}")
        if not size:  # who keeps a block's bytes could never cut them again into the set that was decided
            raise InvalidPart(f"part {self.index} is empty")
        if self.index != self.proof.index:
            raise InvalidPart(f"part {self.index}: its proof is of index {self.proof.index}")
        if not 0 <= self.index < self.proof.total:
            raise InvalidPart(f"part {self.index} is outside a set of {self.proof.total}")
        if self.index < self.proof.total - 1 and size != PART_BYTES:
            raise InvalidPart(f"part {self.index} has {size} bytes; all but the last have {PART_BYTES}")
        try:
            self.proof.validate()
        except merkle.InvalidProof as error:
            raise InvalidPart(f"part {self.index}: {error}") from error

    @property
    def set_header(self) -> PartSetHeader:
        """Of the set that it claims to be a part of: its proof leads there. Nothing is said of its bytes.

        Raises InvalidPart when the proof leads nowhere.
        """
        header = self._header
        if header is None:
            try:
                header = PartSetHeader(self.proof.total, self.proof.compute_root())
            except merkle.InvalidProof as error:
                raise InvalidPart(f"part {self.index}: {error}") from error
            object.__setattr__(self, "_header", header)
        return header

    def encode(self) -> Bytes:
        """Protobuf bytes; kept, since a part goes to every peer."""
        encoded = self._encoded
        if encoded is None:
            encoded = b"".join(
                (
                    int_field(b"\x08", self.index),
                    bytes_field(b"\x12", self.bytes),
                    message_field(b"\x1a", self.proof.encode()),
                )
            )
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    @staticmethod
    def from_proto(message: pb.Part) -> Part:
        """Valid by itself. Raises InvalidPart."""
        proof = message.proof
        part = Part(
            message.index, message.bytes, merkle.Proof(proof.total, proof.index, proof.leaf_hash, tuple(proof.aunts))
        )
        part.validate()
        return part

    @staticmethod
    def decode(data: Bytes) -> Part:
        """Raises Malformed, InvalidPart."""
        return Part.from_proto(parse(pb.Part, data, bytes_max=_PART_MESSAGE_BYTES_MAX, what="part"))


class PartSet:
    """The parts of one block, of which some may be missing. What it holds has been proved.

    bytes_max: the most bytes that the gathered parts may have together.
    """

    __slots__ = ("_data", "_parts", "byte_size", "bytes_max", "header", "mask")

    def __init__(self, header: PartSetHeader, *, bytes_max: int = BLOCK_BYTES_MAX) -> None:
        if not 0 <= header.total <= PARTS_MAX:
            raise InvalidPart(f"part set claims {header.total} parts, at most {PARTS_MAX}")
        self.header = header
        self.bytes_max = BLOCK_BYTES_MAX if bytes_max == -1 else bytes_max
        self.byte_size = 0
        self.mask = 0  # bit i: part i is here
        self._parts: list[Part | None] = [None] * header.total
        self._data: bytes | None = None

    @staticmethod
    def from_bytes(data: bytes) -> PartSet:
        """All parts of a block's protobuf bytes."""
        chunks = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
        root, proofs = merkle.proofs(chunks)
        parts = PartSet(PartSetHeader(len(chunks), root))
        parts._parts = [Part(i, chunk, proof) for i, (chunk, proof) in enumerate(zip(chunks, proofs, strict=True))]
        parts.mask = (1 << len(chunks)) - 1
        parts.byte_size = len(data)
        parts._data = data
        return parts

    @property
    def total(self) -> int:
        return self.header.total

    @property
    def count(self) -> int:
        return self.mask.bit_count()

    @property
    def is_complete(self) -> bool:
        return self.mask == (1 << self.header.total) - 1

    def __contains__(self, index: int) -> bool:
        return index >= 0 and bool(self.mask >> index & 1)

    def get(self, index: int) -> Part | None:
        return self._parts[index] if 0 <= index < len(self._parts) else None

    def bit_array(self) -> BitArray:
        return BitArray(self.header.total, self.mask)

    def add(self, part: Part) -> bool:
        """Take a part in once it is proved. False: it is here already.

        Raises InvalidPart: another set's, no proof, or too many bytes together.
        """
        if not 0 <= part.index < self.header.total:
            raise InvalidPart(f"part {part.index} is outside this set of {self.header.total}")
        if self._parts[part.index] is not None:
            return False
        part.validate()
        if part.proof.total != self.header.total:
            raise InvalidPart(f"part {part.index}: its proof is of {part.proof.total} parts, not {self.header.total}")
        if self.byte_size + len(part.bytes) > self.bytes_max:
            raise InvalidPart(f"part {part.index} makes the block larger than {self.bytes_max} bytes")
        try:
            part.proof.verify(self.header.hash, part.bytes)
        except merkle.InvalidProof as error:
            raise InvalidPart(f"part {part.index}: {error}") from error
        self._parts[part.index] = part
        self.mask |= 1 << part.index
        self.byte_size += len(part.bytes)
        return True

    def to_bytes(self) -> bytes:
        """The block's protobuf bytes. Only of a complete set."""
        if self._data is None:
            assert self.is_complete, self.header
            self._data = b"".join(part.bytes for part in self._parts if part is not None)
        return self._data
