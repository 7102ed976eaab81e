"""Consensus parameters: what a chain's application may tune about its blocks.

Source: CometBFT v0.38, spec/core/data_structures.md (ConsensusParams), types/params.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus.formats.errors import InvalidParams
from consensus.formats.timestamps import duration_ns, duration_proto
from consensus.formats.units import DAY_NS, MIB
from consensus.formats.wire import INT64_MAX, int_field, parse
from consensus.types.parts import BLOCK_BYTES_MAX
from crypto.hash import sha256
from crypto.keys import ED25519, KEY_TYPES
from proto.tendermint.types import params_pb2 as pb

PUB_KEY_TYPES: Final = tuple(KEY_TYPES)
_PARAMS_BYTES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class BlockParams:
    max_bytes: int = 22_020_096  # 21 MiB; -1: the format's limit
    max_gas: int = -1  # -1: no limit


@dataclass(frozen=True, slots=True)
class EvidenceParams:
    """Evidence is expired when it is both older than the duration and further back than the blocks."""

    max_age_num_blocks: int = 100_000
    max_age_duration_ns: int = 2 * DAY_NS
    max_bytes: int = MIB


@dataclass(frozen=True, slots=True)
class ValidatorParams:
    pub_key_types: tuple[str, ...] = (ED25519,)


@dataclass(frozen=True, slots=True)
class VersionParams:
    app: int = 0


@dataclass(frozen=True, slots=True)
class ABCIParams:
    vote_extensions_enable_height: int = 0  # 0: never

    def extensions_enabled(self, height: int) -> bool:
        """Whether precommits of `height` carry vote extensions."""
        return 0 < self.vote_extensions_enable_height <= height


@dataclass(frozen=True, slots=True)
class ConsensusParams:
    """All sections. An update replaces whole sections."""

    block: BlockParams = BlockParams()
    evidence: EvidenceParams = EvidenceParams()
    validator: ValidatorParams = ValidatorParams()
    version: VersionParams = VersionParams()
    abci: ABCIParams = ABCIParams()
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def hash(self) -> bytes:
        """consensus_hash: it covers max_bytes and max_gas alone."""
        cached = self._hash
        if cached is None:
            cached = sha256(int_field(b"\x08", self.block.max_bytes) + int_field(b"\x10", self.block.max_gas))
            object.__setattr__(self, "_hash", cached)
        return cached

    @property
    def block_bytes_max(self) -> int:
        """The most bytes a block may have."""
        return BLOCK_BYTES_MAX if self.block.max_bytes == -1 else self.block.max_bytes

    def validate(self) -> None:
        """Raises InvalidParams, naming field and allowed range."""
        block, evidence = self.block, self.evidence
        if block.max_bytes != -1 and not 0 < block.max_bytes <= BLOCK_BYTES_MAX:
            _refuse("block.max_bytes", block.max_bytes, f"-1, or 1 to {BLOCK_BYTES_MAX}")
        if block.max_gas < -1:
            _refuse("block.max_gas", block.max_gas, "-1 or more")
        if evidence.max_age_num_blocks <= 0:
            _refuse("evidence.max_age_num_blocks", evidence.max_age_num_blocks, "1 or more")
        if evidence.max_age_duration_ns <= 0:
            _refuse("evidence.max_age_duration", evidence.max_age_duration_ns, "1 or more (nanoseconds)")
        if not 0 <= evidence.max_bytes <= self.block_bytes_max:
            _refuse("evidence.max_bytes", evidence.max_bytes, f"0 to {self.block_bytes_max} (block.max_bytes)")
        if self.abci.vote_extensions_enable_height < 0:
            _refuse("abci.vote_extensions_enable_height", self.abci.vote_extensions_enable_height, "0 or more")
        if not self.validator.pub_key_types:
            _refuse("validator.pub_key_types", [], f"at least one of {', '.join(PUB_KEY_TYPES)}")
        for name in self.validator.pub_key_types:
            if name not in PUB_KEY_TYPES:
                _refuse("validator.pub_key_types", name, ", ".join(PUB_KEY_TYPES))

    def validate_update(self, updated: ConsensusParams, height: int) -> None:
        """Check a change that the application asks for at `height`. Raises InvalidParams.

        Vote extensions may be announced for a later height only, and are never touched once active.
        """
        updated.validate()
        old, new = self.abci.vote_extensions_enable_height, updated.abci.vote_extensions_enable_height
        if old == new:
            return
        if self.abci.extensions_enabled(height):
            _refuse("abci.vote_extensions_enable_height", new, f"{old} (active since that height)")
        if new != 0 and new <= height:
            _refuse("abci.vote_extensions_enable_height", new, f"0, or {height + 1} to {INT64_MAX}")

    def to_proto(self) -> pb.ConsensusParams:
        message = pb.ConsensusParams(
            block=pb.BlockParams(max_bytes=self.block.max_bytes, max_gas=self.block.max_gas),
            evidence=pb.EvidenceParams(
                max_age_num_blocks=self.evidence.max_age_num_blocks,
                max_age_duration=duration_proto(self.evidence.max_age_duration_ns),
                max_bytes=self.evidence.max_bytes,
            ),
            validator=pb.ValidatorParams(pub_key_types=self.validator.pub_key_types),
            version=pb.VersionParams(app=self.version.app),
            abci=pb.ABCIParams(vote_extensions_enable_height=self.abci.vote_extensions_enable_height),
        )
        message.version.SetInParent()
        message.abci.SetInParent()
        return message

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return self.to_proto().SerializeToString()

    def updated(self, message: pb.ConsensusParams) -> ConsensusParams:
        """These parameters with the sections that `message` has. Raises Malformed."""
        return ConsensusParams(
            BlockParams(message.block.max_bytes, message.block.max_gas) if message.HasField("block") else self.block,
            EvidenceParams(
                message.evidence.max_age_num_blocks,
                duration_ns(message.evidence.max_age_duration),
                message.evidence.max_bytes,
            )
            if message.HasField("evidence")
            else self.evidence,
            ValidatorParams(tuple(message.validator.pub_key_types))
            if message.HasField("validator")
            else self.validator,
            VersionParams(message.version.app) if message.HasField("version") else self.version,
            ABCIParams(message.abci.vote_extensions_enable_height) if message.HasField("abci") else self.abci,
        )

    @staticmethod
    def from_proto(message: pb.ConsensusParams) -> ConsensusParams:
        """Absent sections have their defaults. Raises Malformed."""
        return ConsensusParams().updated(message)

    @staticmethod
    def decode(data: bytes) -> ConsensusParams:
        """Raises Malformed."""
        return ConsensusParams.from_proto(
            parse(pb.ConsensusParams, data, bytes_max=_PARAMS_BYTES_MAX, what="consensus parameters")
        )


def _refuse(name: str, got: object, allowed: str) -> None:
    raise InvalidParams(f"consensus_params.{name} is {got}; allowed: {allowed}")
