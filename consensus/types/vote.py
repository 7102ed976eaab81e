"""Votes and proposals: what validators say to each other, signed.

Source: CometBFT v0.38, spec/core/data_structures.md (Vote, Proposal), types/vote.go, types/proposal.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from consensus.formats.errors import InvalidProposal, InvalidVote
from consensus.formats.timestamps import ZERO_TIME_NS, encode_timestamp, read_timestamp
from consensus.formats.units import MIB
from consensus.formats.wire import bytes_field, int_field, message_field, parse
from consensus.types import canonical
from consensus.types.canonical import PRECOMMIT, PREVOTE, PROPOSAL
from consensus.types.commit import (
    FLAG_COMMIT,
    FLAG_NIL,
    CommitSig,
    ExtendedCommitSig,
)
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from crypto.hash import ADDRESS_BYTES
from crypto.keys import SIGNATURE_BYTES_MAX, PubKey
from proto.tendermint.types import types_pb2 as pb

__all__ = ["PRECOMMIT", "PREVOTE", "PROPOSAL", "Proposal", "Vote"]

EXTENSION_BYTES_MAX: Final = MIB  # the format's
_VOTE_BYTES_MAX: Final = EXTENSION_BYTES_MAX + 16_384  # an extension, two signatures, the small fields
_PROPOSAL_BYTES_MAX: Final = 8_192


@dataclass(frozen=True, slots=True)
class Vote:
    """type: PREVOTE or PRECOMMIT. A zero block_id is a vote for nil."""

    type: int
    height: int
    round: int
    block_id: BlockID = NIL_BLOCK_ID
    timestamp_ns: int = ZERO_TIME_NS
    validator_address: bytes = b""
    validator_index: int = 0
    signature: bytes = b""
    extension: bytes = b""
    extension_signature: bytes = b""
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _signs: tuple[str, bytes] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def is_nil(self) -> bool:
        return self.block_id.is_zero

    def sign_bytes(self, chain_id: str) -> bytes:
        known = self._signs
        if known is None or known[0] != chain_id:
            signs = canonical.vote_sign_bytes(
                chain_id, self.type, self.height, self.round, self.block_id, self.timestamp_ns
            )
            known = chain_id, signs
            object.__setattr__(self, "_signs", known)
        return known[1]

    def extension_sign_bytes(self, chain_id: str) -> bytes:
        return canonical.extension_sign_bytes(chain_id, self.height, self.round, self.extension)

    def validate(self) -> None:
        """Check what can be said without a validator set. Raises InvalidVote."""
        where = f"vote {self.height}/{self.round}"
        if self.type not in {PREVOTE, PRECOMMIT}:
            raise InvalidVote(f"{where}: type is {self.type}; allowed: {PREVOTE} prevote, {PRECOMMIT} precommit")
        if self.height <= 0 or self.round < 0 or self.validator_index < 0:
            raise InvalidVote(
                f"{where}: height must be above 0, round and validator_index ({self.validator_index}) not negative"
            )
        if not (self.block_id.is_zero or self.block_id.is_complete):
            raise InvalidVote(f"{where}: block_id is neither zero nor complete: {self.block_id}")
        if len(self.validator_address) != ADDRESS_BYTES:
            raise InvalidVote(f"{where}: address has {len(self.validator_address)} bytes, expected {ADDRESS_BYTES}")
        if not 0 < len(self.signature) <= SIGNATURE_BYTES_MAX:
            raise InvalidVote(
                f"{where}: signature has {len(self.signature)} bytes; allowed: 1 to {SIGNATURE_BYTES_MAX}"
            )
        self._validate_extension(where)

    def _validate_extension(self, where: str) -> None:
        if (self.type != PRECOMMIT or self.block_id.is_zero) and (self.extension or self.extension_signature):
            raise InvalidVote(f"{where}: only a precommit for a block carries a vote extension")
        if len(self.extension) > EXTENSION_BYTES_MAX:
            raise InvalidVote(f"{where}: extension has {len(self.extension)} bytes, at most {EXTENSION_BYTES_MAX}")
        if len(self.extension_signature) > SIGNATURE_BYTES_MAX:
            raise InvalidVote(f"{where}: extension_signature has {len(self.extension_signature)} bytes")
        if self.extension and not self.extension_signature:
            raise InvalidVote(f"{where}: the extension is not signed")

    def validate_extension_use(self, *, enabled: bool) -> None:
        """Extensions on: a precommit for a block must carry a signed one. Off: none may. Raises InvalidVote."""
        where = f"vote {self.height}/{self.round}"
        if enabled and self.type == PRECOMMIT and not self.is_nil and not self.extension_signature:
            raise InvalidVote(f"{where}: a vote extension's signature is missing")
        if not enabled and (self.extension or self.extension_signature):
            raise InvalidVote(f"{where}: vote extensions are not enabled at this height")

    def verify(self, chain_id: str, pub_key: PubKey) -> bool:
        """Whether `pub_key` signed this vote and the vote names its address."""
        return self.validator_address == pub_key.address and pub_key.verify(self.sign_bytes(chain_id), self.signature)

    def verify_extension(self, chain_id: str, pub_key: PubKey) -> bool:
        """Whether `pub_key` signed the extension (which may be empty)."""
        return pub_key.verify(self.extension_sign_bytes(chain_id), self.extension_signature)

    def signed(self, signature: bytes, *, extension_signature: bytes = b"") -> Vote:
        return replace(self, signature=signature, extension_signature=extension_signature)

    def commit_sig(self) -> CommitSig:
        """This precommit as a slot of a commit for its own block."""
        flag = FLAG_NIL if self.is_nil else FLAG_COMMIT
        return CommitSig(flag, self.validator_address, self.timestamp_ns, self.signature)

    def extended_commit_sig(self) -> ExtendedCommitSig:
        return ExtendedCommitSig(
            self.commit_sig(), extension=self.extension, extension_signature=self.extension_signature
        )

    def encode(self) -> bytes:
        """Protobuf bytes."""
        encoded = self._encoded
        if encoded is None:
            encoded = b"".join(
                (
                    int_field(b"\x08", self.type),
                    int_field(b"\x10", self.height),
                    int_field(b"\x18", self.round),
                    message_field(b"\x22", self.block_id.encode()),
                    message_field(b"\x2a", encode_timestamp(self.timestamp_ns)),
                    bytes_field(b"\x32", self.validator_address),
                    int_field(b"\x38", self.validator_index),
                    bytes_field(b"\x42", self.signature),
                    bytes_field(b"\x4a", self.extension),
                    bytes_field(b"\x52", self.extension_signature),
                )
            )
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def to_proto(self) -> pb.Vote:
        return pb.Vote.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.Vote) -> Vote:
        """Any content; `validate` judges it. Raises Malformed for a time out of range."""
        return Vote(
            message.type,
            message.height,
            message.round,
            BlockID.from_proto(message.block_id),
            read_timestamp(message, "timestamp"),
            message.validator_address,
            message.validator_index,
            message.signature,
            message.extension,
            message.extension_signature,
        )

    @staticmethod
    def decode(data: bytes) -> Vote:
        """Raises Malformed."""
        return Vote.from_proto(parse(pb.Vote, data, bytes_max=_VOTE_BYTES_MAX, what="vote"))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposer's word on which block a round is about. pol_round -1: no polka is claimed."""

    height: int
    round: int
    pol_round: int
    block_id: BlockID
    timestamp_ns: int = ZERO_TIME_NS
    signature: bytes = b""
    type: int = PROPOSAL

    def sign_bytes(self, chain_id: str) -> bytes:
        return canonical.proposal_sign_bytes(
            chain_id, self.height, self.round, self.pol_round, self.block_id, self.timestamp_ns
        )

    def validate(self) -> None:
        """Raises InvalidProposal. That pol_round is below the round is for the round's rules to ask."""
        where = f"proposal {self.height}/{self.round}"
        if self.type != PROPOSAL:
            raise InvalidProposal(f"{where}: type is {self.type}, expected {PROPOSAL}")
        if self.height < 0 or self.round < 0:
            raise InvalidProposal(f"{where}: height and round must not be negative")
        if self.pol_round < -1:
            raise InvalidProposal(f"{where}: pol_round is {self.pol_round}, must be -1 or more")
        if not self.block_id.is_complete:
            raise InvalidProposal(f"{where}: block_id is not complete: {self.block_id}")
        if not 0 < len(self.signature) <= SIGNATURE_BYTES_MAX:
            raise InvalidProposal(
                f"{where}: signature has {len(self.signature)} bytes; allowed: 1 to {SIGNATURE_BYTES_MAX}"
            )

    def verify(self, chain_id: str, pub_key: PubKey) -> bool:
        return pub_key.verify(self.sign_bytes(chain_id), self.signature)

    def signed(self, signature: bytes) -> Proposal:
        return replace(self, signature=signature)

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return b"".join(
            (
                int_field(b"\x08", self.type),
                int_field(b"\x10", self.height),
                int_field(b"\x18", self.round),
                int_field(b"\x20", self.pol_round),
                message_field(b"\x2a", self.block_id.encode()),
                message_field(b"\x32", encode_timestamp(self.timestamp_ns)),
                bytes_field(b"\x3a", self.signature),
            )
        )

    def to_proto(self) -> pb.Proposal:
        return pb.Proposal.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.Proposal) -> Proposal:
        """Any content; `validate` judges it. Raises Malformed for a time out of range."""
        return Proposal(
            message.height,
            message.round,
            message.pol_round,
            BlockID.from_proto(message.block_id),
            read_timestamp(message, "timestamp"),
            message.signature,
            message.type,
        )

    @staticmethod
    def decode(data: bytes) -> Proposal:
        """Raises Malformed."""
        return Proposal.from_proto(parse(pb.Proposal, data, bytes_max=_PROPOSAL_BYTES_MAX, what="proposal"))
