"""Commits: a slot per validator, in set order, of one height and round.

Source: CometBFT v0.38, spec/core/data_structures.md (Commit, ExtendedCommit), types/block.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from consensus.formats.bounds import COMMIT_BYTES, commit_sig_bytes
from consensus.formats.errors import InvalidBlockId, InvalidCommit
from consensus.formats.timestamps import ZERO_TIME_NS, encode_timestamp, read_timestamp
from consensus.formats.units import MIB
from consensus.formats.wire import bytes_field, int_field, message_field, parse
from consensus.types.canonical import PRECOMMIT, vote_sign_bytes
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from crypto import merkle
from crypto.hash import ADDRESS_BYTES
from crypto.keys import SIGNATURE_BYTES_MAX, PubKey, signature_bytes
from proto.tendermint.types import types_pb2 as pb

FLAG_ABSENT: Final = 1
FLAG_COMMIT: Final = 2
FLAG_NIL: Final = 3

SIGNATURES_MAX: Final = 10_000  # one per validator of the largest set
EXTENSION_BYTES_MAX: Final = MIB  # the format's
_COMMIT_BYTES_MAX: Final = 256 + SIGNATURES_MAX * (SIGNATURE_BYTES_MAX + 64)


def commit_bytes_max(keys: Iterable[PubKey]) -> int:
    """What a commit of these validators takes at most, encoded."""
    return COMMIT_BYTES + sum(commit_sig_bytes(signature_bytes(key)) for key in keys)


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One slot. Absent: no address, no signature, zero time."""

    block_id_flag: int
    validator_address: bytes = b""
    timestamp_ns: int = ZERO_TIME_NS
    signature: bytes = b""
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def is_absent(self) -> bool:
        return self.block_id_flag == FLAG_ABSENT

    @property
    def is_commit(self) -> bool:
        """Signed for the commit's block."""
        return self.block_id_flag == FLAG_COMMIT

    def validate(self) -> None:
        """Raises InvalidCommit."""
        if self.block_id_flag == FLAG_ABSENT:
            if self.validator_address or self.signature or self.timestamp_ns != ZERO_TIME_NS:
                raise InvalidCommit("an absent commit signature must have no address, time or signature")
            return
        if self.block_id_flag not in {FLAG_COMMIT, FLAG_NIL}:
            raise InvalidCommit(f"commit signature's block_id_flag is {self.block_id_flag}; allowed: 1, 2, 3")
        if len(self.validator_address) != ADDRESS_BYTES:
            raise InvalidCommit(f"commit signature's address has {len(self.validator_address)} bytes, expected 20")
        if not 0 < len(self.signature) <= SIGNATURE_BYTES_MAX:
            raise InvalidCommit(
                f"commit signature has {len(self.signature)} bytes; allowed: 1 to {SIGNATURE_BYTES_MAX}"
            )

    def encode(self) -> bytes:
        """Protobuf bytes."""
        encoded = self._encoded
        if encoded is None:
            encoded = b"".join(
                (
                    int_field(b"\x08", self.block_id_flag),
                    bytes_field(b"\x12", self.validator_address),
                    message_field(b"\x1a", encode_timestamp(self.timestamp_ns)),
                    bytes_field(b"\x22", self.signature),
                )
            )
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    @staticmethod
    def from_proto(message: pb.CommitSig | pb.ExtendedCommitSig) -> CommitSig:
        """Any content; `validate` judges it. Raises Malformed for a time out of range."""
        flag = message.block_id_flag
        signature = CommitSig(flag, message.validator_address, read_timestamp(message, "timestamp"), message.signature)
        return ABSENT_SIG if flag == FLAG_ABSENT and signature == ABSENT_SIG else signature


ABSENT_SIG: Final = CommitSig(FLAG_ABSENT)


@dataclass(frozen=True, slots=True)
class Commit:
    """+2/3 precommits for `block_id`, or, before the first block, the empty commit."""

    height: int = 0
    round: int = 0
    block_id: BlockID = NIL_BLOCK_ID
    signatures: tuple[CommitSig, ...] = ()
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def hash(self) -> bytes:
        """last_commit_hash of the next block: over the signatures alone."""
        cached = self._hash
        if cached is None:
            cached = merkle.root([signature.encode() for signature in self.signatures])
            object.__setattr__(self, "_hash", cached)
        return cached

    def block_id_of(self, index: int) -> BlockID:
        """The block id that slot `index` signed: the commit's, or none for nil. Not of an absent slot."""
        signature = self.signatures[index]
        assert not signature.is_absent, index
        return self.block_id if signature.is_commit else NIL_BLOCK_ID

    def sign_bytes(self, chain_id: str, index: int) -> bytes:
        """What slot `index` signed, with its own timestamp."""
        return vote_sign_bytes(
            chain_id,
            PRECOMMIT,
            self.height,
            self.round,
            self.block_id_of(index),
            self.signatures[index].timestamp_ns,
        )

    def validate(self) -> None:
        """Raises InvalidCommit."""
        if self.height < 0 or self.round < 0:
            raise InvalidCommit(f"commit's height {self.height} and round {self.round} must not be negative")
        if len(self.signatures) > SIGNATURES_MAX:
            raise InvalidCommit(f"commit {self.height} has {len(self.signatures)} signatures, at most {SIGNATURES_MAX}")
        if not self.height:
            return
        if self.block_id.is_zero:
            raise InvalidCommit(f"commit {self.height} is for nil")
        try:
            self.block_id.validate()
        except InvalidBlockId as error:
            raise InvalidCommit(f"commit {self.height}: {error}") from error
        if not self.signatures:
            raise InvalidCommit(f"commit {self.height} has no signatures")
        for index, signature in enumerate(self.signatures):
            try:
                signature.validate()
            except InvalidCommit as error:
                raise InvalidCommit(f"commit {self.height}: signatures[{index}]: {error}") from error

    def encode(self) -> bytes:
        """Protobuf bytes."""
        encoded = self._encoded
        if encoded is None:
            pieces = [
                int_field(b"\x08", self.height),
                int_field(b"\x10", self.round),
                message_field(b"\x1a", self.block_id.encode()),
            ]
            pieces += [message_field(b"\x22", signature.encode()) for signature in self.signatures]
            encoded = b"".join(pieces)
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def to_proto(self) -> pb.Commit:
        return pb.Commit.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.Commit) -> Commit:
        """Any content; `validate` judges it. Raises Malformed, InvalidCommit (too many signatures)."""
        _check_count(len(message.signatures))
        signatures = tuple(CommitSig.from_proto(signature) for signature in message.signatures)
        return Commit(message.height, message.round, BlockID.from_proto(message.block_id), signatures)

    @staticmethod
    def decode(data: bytes) -> Commit:
        """Raises Malformed, InvalidCommit."""
        return Commit.from_proto(parse(pb.Commit, data, bytes_max=_COMMIT_BYTES_MAX, what="commit"))


EMPTY_COMMIT: Final = Commit()  # what the first block carries


def _check_count(count: int) -> None:
    if count > SIGNATURES_MAX:
        raise InvalidCommit(f"commit has {count} signatures, at most {SIGNATURES_MAX}")


@dataclass(frozen=True, slots=True)
class ExtendedCommitSig:
    """A slot with the vote extension that came with the precommit."""

    commit_sig: CommitSig
    extension: bytes = b""
    extension_signature: bytes = b""

    def validate(self) -> None:
        """Raises InvalidCommit."""
        self.commit_sig.validate()
        if not self.commit_sig.is_commit and (self.extension or self.extension_signature):
            raise InvalidCommit("only a signature for the block carries a vote extension")
        if len(self.extension) > EXTENSION_BYTES_MAX:
            raise InvalidCommit(f"vote extension has {len(self.extension)} bytes, at most {EXTENSION_BYTES_MAX}")
        if len(self.extension_signature) > SIGNATURE_BYTES_MAX:
            raise InvalidCommit(f"extension signature has {len(self.extension_signature)} bytes")
        if self.extension and not self.extension_signature:
            raise InvalidCommit("the vote extension is not signed")

    def encode(self) -> bytes:
        """Protobuf bytes: the plain slot's fields, then two more."""
        return b"".join(
            (
                self.commit_sig.encode(),
                bytes_field(b"\x2a", self.extension),
                bytes_field(b"\x32", self.extension_signature),
            )
        )

    @staticmethod
    def from_proto(message: pb.ExtendedCommitSig) -> ExtendedCommitSig:
        return ExtendedCommitSig(CommitSig.from_proto(message), message.extension, message.extension_signature)


@dataclass(frozen=True, slots=True)
class ExtendedCommit:
    """A commit with extensions: kept beside the seen commit, never in a block."""

    height: int
    round: int
    block_id: BlockID
    signatures: tuple[ExtendedCommitSig, ...]

    def commit(self) -> Commit:
        """Without the extensions, as blocks carry it."""
        return Commit(self.height, self.round, self.block_id, tuple(slot.commit_sig for slot in self.signatures))

    def validate(self, *, extensions_enabled: bool) -> None:
        """Raises InvalidCommit. Enabled: every slot for the block has a signed extension; else none has."""
        self.commit().validate()
        for index, slot in enumerate(self.signatures):
            slot.validate()
            wanted = extensions_enabled and slot.commit_sig.is_commit
            if bool(slot.extension_signature) != wanted:
                state = "is missing" if wanted else "must not be there"
                raise InvalidCommit(f"commit {self.height}: signatures[{index}]: an extension's signature {state}")

    def encode(self) -> bytes:
        """Protobuf bytes."""
        pieces: Iterable[bytes] = (message_field(b"\x22", slot.encode()) for slot in self.signatures)
        return b"".join(
            (
                int_field(b"\x08", self.height),
                int_field(b"\x10", self.round),
                message_field(b"\x1a", self.block_id.encode()),
                *pieces,
            )
        )

    def to_proto(self) -> pb.ExtendedCommit:
        return pb.ExtendedCommit.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.ExtendedCommit) -> ExtendedCommit:
        """Any content; `validate` judges it. Raises Malformed, InvalidCommit (too many signatures)."""
        _check_count(len(message.extended_signatures))
        slots = tuple(ExtendedCommitSig.from_proto(slot) for slot in message.extended_signatures)
        return ExtendedCommit(message.height, message.round, BlockID.from_proto(message.block_id), slots)

    @staticmethod
    def decode(data: bytes, *, bytes_max: int = 2**31 - 1) -> ExtendedCommit:
        """Raises Malformed, InvalidCommit. The protobuf library's own limit is 2 GiB."""
        return ExtendedCommit.from_proto(parse(pb.ExtendedCommit, data, bytes_max=bytes_max, what="extended commit"))
