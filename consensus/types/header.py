"""Block headers and their hash.

Source: CometBFT v0.38, spec/core/data_structures.md (Header), types/block.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus.formats.chain_ids import CHAIN_ID_BYTES_MAX
from consensus.formats.errors import InvalidBlockId, InvalidHeader
from consensus.formats.timestamps import ZERO_TIME_NS, encode_timestamp, read_timestamp
from consensus.formats.wire import bytes_field, int_field, message_field, parse
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from crypto import merkle
from crypto.hash import ADDRESS_BYTES, HASH_BYTES, uvarint
from proto.tendermint.types import types_pb2 as pb

BLOCK_PROTOCOL: Final = 11  # CometBFT v0.38's
APP_HASH_BYTES_MAX: Final = 65_536  # ours: the format has no limit, a message needs one
_HEADER_BYTES_MAX: Final = APP_HASH_BYTES_MAX + 4_096


@dataclass(frozen=True, slots=True)
class Version:
    """Protocol versions: of blocks, and of the application."""

    block: int = BLOCK_PROTOCOL
    app: int = 0

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return _uint_field(b"\x08", self.block) + _uint_field(b"\x10", self.app)


def _uint_field(tag: bytes, value: int) -> bytes:
    return tag + uvarint(value) if value else b""


@dataclass(frozen=True, slots=True)
class Header:
    """What a block commits to. Hashes are empty or 32 bytes, app_hash is the application's own."""

    version: Version = Version()
    chain_id: str = ""
    height: int = 0
    time_ns: int = ZERO_TIME_NS
    last_block_id: BlockID = NIL_BLOCK_ID
    last_commit_hash: bytes = b""
    data_hash: bytes = b""
    validators_hash: bytes = b""
    next_validators_hash: bytes = b""
    consensus_hash: bytes = b""
    app_hash: bytes = b""
    last_results_hash: bytes = b""
    evidence_hash: bytes = b""
    proposer_address: bytes = b""
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def leaves(self) -> tuple[bytes, ...]:
        """The 14 leaves of the header's hash; `merkle.proofs` over them proves a field."""
        return (
            self.version.encode(),
            bytes_field(b"\x0a", self.chain_id.encode()),
            int_field(b"\x08", self.height),
            encode_timestamp(self.time_ns),
            self.last_block_id.encode(),
            bytes_field(b"\x0a", self.last_commit_hash),
            bytes_field(b"\x0a", self.data_hash),
            bytes_field(b"\x0a", self.validators_hash),
            bytes_field(b"\x0a", self.next_validators_hash),
            bytes_field(b"\x0a", self.consensus_hash),
            bytes_field(b"\x0a", self.app_hash),
            bytes_field(b"\x0a", self.last_results_hash),
            bytes_field(b"\x0a", self.evidence_hash),
            bytes_field(b"\x0a", self.proposer_address),
        )

    @property
    def hash(self) -> bytes:
        """The block's hash; empty while validators_hash is."""
        cached = self._hash
        if cached is None:
            cached = merkle.root(self.leaves()) if self.validators_hash else b""
            object.__setattr__(self, "_hash", cached)
        return cached

    def validate(self) -> None:
        """Check what can be said without a state. Raises InvalidHeader."""
        where = f"header {self.height}"
        if self.version.block != BLOCK_PROTOCOL:
            raise InvalidHeader(f"{where}: version.block is {self.version.block}, expected {BLOCK_PROTOCOL}")
        if len(self.chain_id.encode()) > CHAIN_ID_BYTES_MAX:
            raise InvalidHeader(f"{where}: chain_id has more than {CHAIN_ID_BYTES_MAX} bytes")
        if self.height <= 0:
            raise InvalidHeader(f"{where}: height must be above 0")
        try:
            self.last_block_id.validate()
        except InvalidBlockId as error:
            raise InvalidHeader(f"{where}: last_block_id: {error}") from error
        for name in _HASH_FIELDS:
            size = len(getattr(self, name))
            if size not in {0, HASH_BYTES}:
                raise InvalidHeader(f"{where}: {name} has {size} bytes, expected 0 or {HASH_BYTES}")
        if len(self.proposer_address) != ADDRESS_BYTES:
            raise InvalidHeader(f"{where}: proposer_address has {len(self.proposer_address)} bytes, expected 20")

    def encode(self) -> bytes:
        """Protobuf bytes."""
        encoded = self._encoded
        if encoded is None:
            encoded = b"".join(
                (
                    message_field(b"\x0a", self.version.encode()),
                    bytes_field(b"\x12", self.chain_id.encode()),
                    int_field(b"\x18", self.height),
                    message_field(b"\x22", encode_timestamp(self.time_ns)),
                    message_field(b"\x2a", self.last_block_id.encode()),
                    bytes_field(b"\x32", self.last_commit_hash),
                    bytes_field(b"\x3a", self.data_hash),
                    bytes_field(b"\x42", self.validators_hash),
                    bytes_field(b"\x4a", self.next_validators_hash),
                    bytes_field(b"\x52", self.consensus_hash),
                    bytes_field(b"\x5a", self.app_hash),
                    bytes_field(b"\x62", self.last_results_hash),
                    bytes_field(b"\x6a", self.evidence_hash),
                    bytes_field(b"\x72", self.proposer_address),
                )
            )
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def to_proto(self) -> pb.Header:
        return pb.Header.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.Header) -> Header:
        """Any content; `validate` judges it. Raises Malformed for a time out of range."""
        return Header(
            Version(message.version.block, message.version.app),
            message.chain_id,
            message.height,
            read_timestamp(message, "time"),
            BlockID.from_proto(message.last_block_id),
            message.last_commit_hash,
            message.data_hash,
            message.validators_hash,
            message.next_validators_hash,
            message.consensus_hash,
            message.app_hash,
            message.last_results_hash,
            message.evidence_hash,
            message.proposer_address,
        )

    @staticmethod
    def decode(data: bytes) -> Header:
        """Raises Malformed."""
        return Header.from_proto(parse(pb.Header, data, bytes_max=_HEADER_BYTES_MAX, what="header"))


_HASH_FIELDS: Final = (
    "last_commit_hash",
    "data_hash",
    "evidence_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "last_results_hash",
)
