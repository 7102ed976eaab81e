"""Headers with the commit that signs them, and with the set that the commit is checked against.

Source: CometBFT v0.38, spec/core/data_structures.md (LightBlock), spec/light-client/verification, types/light.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.formats.errors import InvalidLightBlock
from consensus.formats.units import MIB
from consensus.formats.wire import message_field, parse
from consensus.types.commit import Commit
from consensus.types.header import Header
from consensus.types.validators import ValidatorSet
from proto.tendermint.types import types_pb2 as pb

_LIGHT_BLOCK_BYTES_MAX = 64 * MIB  # a commit of 10,000 slots of the longest signatures, and their set


@dataclass(frozen=True, slots=True)
class SignedHeader:
    header: Header
    commit: Commit

    def validate(self, chain_id: str) -> None:
        """The commit is this header's, and the chain is `chain_id`. Signatures are not looked at.

        Raises InvalidBlock.
        """
        self.header.validate()
        self.commit.validate()
        if self.header.chain_id != chain_id:
            raise InvalidLightBlock(
                f"header {self.header.height} is of chain {self.header.chain_id!r}, not {chain_id!r}"
            )
        if self.commit.height != self.header.height:
            raise InvalidLightBlock(f"header {self.header.height} has a commit of height {self.commit.height}")
        if self.commit.block_id.hash != self.header.hash:
            raise InvalidLightBlock(
                f"header {self.header.height} hashes to {self.header.hash.hex()}, "
                f"its commit is for {self.commit.block_id.hash.hex()}"
            )

    def encode(self) -> bytes:
        return message_field(b"\x0a", self.header.encode()) + message_field(b"\x12", self.commit.encode())

    @staticmethod
    def from_proto(message: pb.SignedHeader) -> SignedHeader:
        """Raises Malformed, InvalidLightBlock (a piece is absent)."""
        if not message.HasField("header") or not message.HasField("commit"):
            raise InvalidLightBlock("signed header lacks its header or its commit")
        return SignedHeader(Header.from_proto(message.header), Commit.from_proto(message.commit))


@dataclass(frozen=True, slots=True)
class LightBlock:
    signed_header: SignedHeader
    validators: ValidatorSet

    @property
    def header(self) -> Header:
        return self.signed_header.header

    @property
    def commit(self) -> Commit:
        return self.signed_header.commit

    @property
    def height(self) -> int:
        return self.signed_header.header.height

    @property
    def hash(self) -> bytes:
        return self.signed_header.header.hash

    def validate(self, chain_id: str) -> None:
        """The signed header is whole and the set is the one it names. Raises InvalidBlock."""
        self.signed_header.validate(chain_id)
        if not len(self.validators):
            raise InvalidLightBlock(f"light block {self.height} has no validators")
        if self.validators.hash != self.header.validators_hash:
            raise InvalidLightBlock(
                f"light block {self.height}: its set hashes to {self.validators.hash.hex()}, "
                f"the header says {self.header.validators_hash.hex()}"
            )

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return message_field(b"\x0a", self.signed_header.encode()) + message_field(b"\x12", self.validators.encode())

    @staticmethod
    def from_proto(message: pb.LightBlock) -> LightBlock:
        """Raises Malformed, InvalidLightBlock, InvalidValidators."""
        if not message.HasField("signed_header") or not message.HasField("validator_set"):
            raise InvalidLightBlock("light block lacks its signed header or its validator set")
        slots, members = len(message.signed_header.commit.signatures), len(message.validator_set.validators)
        if slots > members:  # before any is read: a slot can be two bytes, a validator can not
            raise InvalidLightBlock(f"light block has {slots} signatures of {members} validators")
        return LightBlock(
            SignedHeader.from_proto(message.signed_header), ValidatorSet.from_proto(message.validator_set)
        )

    @staticmethod
    def decode(data: bytes) -> LightBlock:
        """Raises Malformed, InvalidLightBlock, InvalidValidators."""
        return LightBlock.from_proto(parse(pb.LightBlock, data, bytes_max=_LIGHT_BLOCK_BYTES_MAX, what="light block"))
