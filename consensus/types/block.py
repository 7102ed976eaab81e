"""Blocks: header, transactions, evidence, and the commit of the block before.

Promises: immutable; hashes and encodings are computed once.
Source: CometBFT v0.38, spec/core/data_structures.md (Block), types/block.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from consensus.formats.bounds import HEADER, BlockBounds, split
from consensus.formats.errors import InvalidBlock
from consensus.formats.wire import int_field, message_field, parse
from consensus.types.commit import EMPTY_COMMIT, Commit, CommitSig, ExtendedCommit, ExtendedCommitSig
from consensus.types.evidence import (
    Evidence,
    check_evidence_list,
    encode_evidence_list,
    evidence_from_proto,
    evidence_hash,
)
from consensus.types.header import Header, Version
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.parts import BLOCK_BYTES_MAX, PartSet
from crypto import merkle
from crypto.hash import sha256, uvarint
from proto.tendermint.types import block_pb2 as block_pb
from proto.tendermint.types import types_pb2 as pb

__all__ = [
    "NIL_BLOCK_ID",
    "Block",
    "BlockBounds",
    "BlockID",
    "BlockMeta",
    "Commit",
    "CommitSig",
    "Data",
    "ExtendedCommit",
    "ExtendedCommitSig",
    "Header",
    "PartSetHeader",
    "Version",
    "max_data_bytes",
    "tx_proto_bytes",
]

# What a block's other pieces may take, at most, beside its transactions.
BLOCK_OVERHEAD_BYTES: Final = 11
HEADER_BYTES_MAX: Final = 626

_META_BYTES_MAX: Final = 131_072


@dataclass(frozen=True, slots=True)
class Data:
    """A block's transactions, in order."""

    txs: tuple[bytes, ...] = ()
    _tx_hashes: tuple[bytes, ...] | None = field(default=None, init=False, repr=False, compare=False)
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def tx_hashes(self) -> tuple[bytes, ...]:
        """SHA-256 of each: a transaction's id."""
        cached = self._tx_hashes
        if cached is None:
            cached = tuple(sha256(tx) for tx in self.txs)
            object.__setattr__(self, "_tx_hashes", cached)
        return cached

    @property
    def hash(self) -> bytes:
        """data_hash: over the transactions' hashes."""
        cached = self._hash
        if cached is None:
            cached = merkle.root(self.tx_hashes)
            object.__setattr__(self, "_hash", cached)
        return cached

    def proof(self, index: int) -> merkle.Proof:
        """That transaction `index` (its hash) is under `hash`."""
        return merkle.proofs(self.tx_hashes)[1][index]

    def encode(self) -> bytes:
        """Protobuf bytes."""
        pieces: list[bytes] = []
        for tx in self.txs:
            pieces += (b"\x0a", uvarint(len(tx)), tx)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Block:
    """last_commit None: cannot be, in a block that was made right; `validate` says so."""

    header: Header
    data: Data = Data()
    evidence: tuple[Evidence, ...] = ()
    last_commit: Commit | None = EMPTY_COMMIT
    _parts: PartSet | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def hash(self) -> bytes:
        """The header's; empty without a last_commit."""
        return b"" if self.last_commit is None else self.header.hash

    @property
    def height(self) -> int:
        return self.header.height

    @property
    def txs(self) -> tuple[bytes, ...]:
        return self.data.txs

    def part_set(self) -> PartSet:
        """All parts of the block's encoding; made once."""
        parts = self._parts
        if parts is None:
            parts = PartSet.from_bytes(self.encode())
            object.__setattr__(self, "_parts", parts)
        return parts

    @property
    def block_id(self) -> BlockID:
        return BlockID(self.hash, self.part_set().header)

    def validate(self) -> None:
        """The block by itself: header, last commit, hashes of the pieces, evidence. Raises InvalidBlock."""
        self.header.validate()
        if self.last_commit is None:
            raise InvalidBlock(f"block {self.height} has no last_commit")
        self.last_commit.validate()
        for name, got, expected in (
            ("last_commit_hash", self.header.last_commit_hash, self.last_commit.hash),
            ("data_hash", self.header.data_hash, self.data.hash),
            ("evidence_hash", self.header.evidence_hash, evidence_hash(self.evidence)),
        ):
            if got != expected:
                raise InvalidBlock(f"block {self.height}: {name} is {got.hex()}, expected {expected.hex()}")
        check_evidence_list(self.evidence)

    def hash_pieces(self) -> None:
        """Compute what `validate` compares with the header; it is kept. For a thread, where there are many pieces."""
        assert self.data.hash
        for item in self.evidence:
            item.encode()

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return b"".join(
            (
                message_field(b"\x0a", self.header.encode()),
                message_field(b"\x12", self.data.encode()),
                message_field(b"\x1a", encode_evidence_list(self.evidence)),
                b"" if self.last_commit is None else message_field(b"\x22", self.last_commit.encode()),
            )
        )

    def to_proto(self) -> block_pb.Block:
        return block_pb.Block.FromString(self.encode())

    @staticmethod
    def from_proto(message: block_pb.Block) -> Block:
        """Any content that can be held; `validate` judges it. Raises Malformed, InvalidBlock, InvalidValidators."""
        return Block(
            Header.from_proto(message.header),
            Data(tuple(message.data.txs)),
            tuple(evidence_from_proto(item) for item in message.evidence.evidence),
            Commit.from_proto(message.last_commit) if message.HasField("last_commit") else None,
        )

    @staticmethod
    def decode(data: bytes, *, bounds: BlockBounds | None = None) -> Block:
        """bounds: none only for what was judged before. Raises Malformed, InvalidBlock, InvalidValidators."""
        if bounds is not None:
            bounds.check(data)
        return Block.from_proto(parse(block_pb.Block, data, bytes_max=BLOCK_BYTES_MAX, what="block"))

    @staticmethod
    def decode_header(data: bytes) -> Header:
        """The header of a block's bytes, of which no more is read. Raises Malformed."""
        start, end = split(data).get(HEADER, (0, 0))
        return Header.decode(data[start:end])


@dataclass(frozen=True, slots=True)
class BlockMeta:
    """What is kept of a block beside its parts. block_size in bytes of its encoding."""

    block_id: BlockID
    block_size: int
    header: Header
    num_txs: int

    @staticmethod
    def of(block: Block, parts: PartSet) -> BlockMeta:
        return BlockMeta(BlockID(block.hash, parts.header), parts.byte_size, block.header, len(block.data.txs))

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return b"".join(
            (
                message_field(b"\x0a", self.block_id.encode()),
                int_field(b"\x10", self.block_size),
                message_field(b"\x1a", self.header.encode()),
                int_field(b"\x20", self.num_txs),
            )
        )

    @staticmethod
    def decode(data: bytes) -> BlockMeta:
        """Raises Malformed."""
        message = parse(pb.BlockMeta, data, bytes_max=_META_BYTES_MAX, what="block meta")
        return BlockMeta(
            BlockID.from_proto(message.block_id),
            message.block_size,
            Header.from_proto(message.header),
            message.num_txs,
        )


def beside_data_bytes(commit_bytes: int) -> int:
    """What header and last commit take at most."""
    return BLOCK_OVERHEAD_BYTES + HEADER_BYTES_MAX + commit_bytes


def max_data_bytes(block_bytes_max: int, *, commit_bytes: int, evidence_bytes: int = 0) -> int:
    """How many bytes of Data fit in a block beside header, commit and evidence. commit_bytes: `commit_bytes_max`.

    Raises InvalidBlock when not even those fit: the block size is set too small for this network.
    """
    rest = block_bytes_max - beside_data_bytes(commit_bytes) - evidence_bytes
    if rest < 0:
        raise InvalidBlock(
            f"block.max_bytes is {block_bytes_max}: {-rest} too few for the header, "
            f"{commit_bytes} bytes of signatures and {evidence_bytes} bytes of evidence"
        )
    return rest


def tx_proto_bytes(tx: bytes) -> int:
    """What a transaction takes in Data."""
    return 1 + len(uvarint(len(tx))) + len(tx)


def txs_proto_bytes(txs: Sequence[bytes]) -> int:
    """What `txs` take in Data."""
    return sum(tx_proto_bytes(tx) for tx in txs)
