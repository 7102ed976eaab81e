"""Evidence of misbehaviour: its form, its hash, and whether it proves what it says.

Verification is pure: what a node has stored comes in as `EvidenceSource`.
Source: CometBFT v0.38, spec/consensus/evidence.md, types/evidence.go, evidence/verify.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from consensus.formats.errors import EvidenceUnverifiable, InvalidBlock, InvalidEvidence, InvalidVote
from consensus.formats.timestamps import ZERO_TIME_NS, encode_timestamp, read_timestamp
from consensus.formats.units import MIB
from consensus.formats.wire import int_field, message_field, parse
from consensus.types.commits import Verifier, verify_commit_light, verify_commit_light_trusting
from consensus.types.header import Header
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.params import EvidenceParams
from consensus.types.validators import Validator, ValidatorSet
from consensus.types.vote import Vote
from crypto import merkle
from crypto.batch import verify_many
from crypto.hash import HASH_BYTES, sha256, uvarint
from proto.tendermint.types import evidence_pb2 as pb

_EVIDENCE_BYTES_MAX: Final = 64 * MIB  # a light block of the largest set


@dataclass(frozen=True, slots=True)
class DuplicateVoteEvidence:
    """Two votes of one validator that contradict each other; vote_a is the lesser by block id (nil first)."""

    vote_a: Vote
    vote_b: Vote
    total_voting_power: int
    validator_power: int
    timestamp_ns: int = ZERO_TIME_NS
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @staticmethod
    def from_votes(first: Vote, second: Vote, *, validators: ValidatorSet, time_ns: int) -> DuplicateVoteEvidence:
        """validators, time_ns: the set and the block time of the votes' height. The votes come in any order."""
        vote_a, vote_b = sorted((first, second), key=lambda vote: vote.block_id.key())
        offender = validators.by_address(first.validator_address)
        assert offender is not None, first
        return DuplicateVoteEvidence(vote_a, vote_b, validators.total_power, offender.voting_power, time_ns)

    @property
    def height(self) -> int:
        return self.vote_a.height

    @property
    def offence(self) -> bytes:
        """What was done, whoever tells it and however: who signed twice, where. Only what signatures cover."""
        vote = self.vote_a
        return b"v%d/%d/%d/" % (vote.height, vote.round, vote.type) + vote.validator_address

    @property
    def accused(self) -> tuple[bytes, ...]:
        """Addresses."""
        return (self.vote_a.validator_address,)

    def canonical(self, validators: ValidatorSet) -> DuplicateVoteEvidence:
        """The same offence without what no signature of the votes covers: the set's own index, no extension.

        validators: the set of the votes' height. Raises InvalidEvidence: the offender was no member.
        """
        index = validators.index_of(self.vote_a.validator_address)
        if index is None:
            raise InvalidEvidence(f"{self.vote_a.validator_address.hex()} was no validator at height {self.height}")
        votes = (self.vote_a, self.vote_b)
        plain = [replace(v, validator_index=index, extension=b"", extension_signature=b"") for v in votes]
        return self if plain == list(votes) else replace(self, vote_a=plain[0], vote_b=plain[1])

    @property
    def hash(self) -> bytes:
        cached = self._hash
        if cached is None:
            cached = sha256(self.encode())
            object.__setattr__(self, "_hash", cached)
        return cached

    def validate(self) -> None:
        """What can be said without a set. Raises InvalidEvidence."""
        for name, vote in (("vote_a", self.vote_a), ("vote_b", self.vote_b)):
            try:
                vote.validate()
            except InvalidVote as error:
                raise InvalidEvidence(f"duplicate vote evidence: {name}: {error}") from error
        if not self.vote_a.block_id.key() < self.vote_b.block_id.key():
            raise InvalidEvidence("duplicate vote evidence: vote_a's block id must be below vote_b's")

    def encode(self) -> bytes:
        """Protobuf bytes of the concrete message."""
        encoded = self._encoded
        if encoded is None:
            encoded = b"".join(
                (
                    message_field(b"\x0a", self.vote_a.encode()),
                    message_field(b"\x12", self.vote_b.encode()),
                    int_field(b"\x18", self.total_voting_power),
                    int_field(b"\x20", self.validator_power),
                    message_field(b"\x2a", encode_timestamp(self.timestamp_ns)),
                )
            )
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def encode_wrapped(self) -> bytes:
        """Protobuf bytes of the Evidence that holds it."""
        return message_field(b"\x0a", self.encode())

    @staticmethod
    def from_proto(message: pb.DuplicateVoteEvidence) -> DuplicateVoteEvidence:
        """Raises Malformed, InvalidEvidence (a vote is absent)."""
        if not message.HasField("vote_a") or not message.HasField("vote_b"):
            raise InvalidEvidence("duplicate vote evidence lacks a vote")
        return DuplicateVoteEvidence(
            Vote.from_proto(message.vote_a),
            Vote.from_proto(message.vote_b),
            message.total_voting_power,
            message.validator_power,
            read_timestamp(message, "timestamp"),
        )


@dataclass(frozen=True, slots=True)
class LightClientAttackEvidence:
    """A light block that a third of a set signed and that is not of our chain. Its height is `common_height`."""

    conflicting_block: LightBlock
    common_height: int
    byzantine_validators: tuple[Validator, ...] = ()
    total_voting_power: int = 0
    timestamp_ns: int = ZERO_TIME_NS
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def height(self) -> int:
        return self.common_height

    @property
    def offence(self) -> bytes:
        """The conflicting block: told of with any common height, it was signed once."""
        return b"l" + self.conflicting_block.hash

    @property
    def accused(self) -> tuple[bytes, ...]:
        """Addresses, as the evidence names them."""
        return tuple(validator.address for validator in self.byzantine_validators)

    def canonical(self, validators: ValidatorSet) -> LightClientAttackEvidence:
        """As it is: `verify_light_client_attack` derives all that it names."""
        return self

    @property
    def hash(self) -> bytes:
        """Over the first 31 bytes of the conflicting hash (the format's quirk), a zero byte, the common height."""
        height = self.common_height
        zigzag = height << 1 if height >= 0 else (-height << 1) - 1
        head = self.conflicting_block.hash[: HASH_BYTES - 1].ljust(HASH_BYTES, b"\x00")
        return sha256(head + uvarint(zigzag))

    def validate(self) -> None:
        """What can be said without a trusted header. Raises InvalidBlock."""
        if self.total_voting_power <= 0:
            raise InvalidEvidence(f"light client attack: total_voting_power is {self.total_voting_power}")
        if not 0 < self.common_height <= self.conflicting_block.height:
            raise InvalidEvidence(
                f"light client attack: common_height is {self.common_height}; "
                f"allowed: 1 to {self.conflicting_block.height} (the conflicting block's)"
            )
        self.conflicting_block.validate(self.conflicting_block.header.chain_id)

    def is_lunatic(self, trusted: Header) -> bool:
        """Whether the conflicting header has fields that no correct execution gives at its height."""
        header = self.conflicting_block.header
        return (
            header.validators_hash != trusted.validators_hash
            or header.next_validators_hash != trusted.next_validators_hash
            or header.consensus_hash != trusted.consensus_hash
            or header.app_hash != trusted.app_hash
            or header.last_results_hash != trusted.last_results_hash
        )

    def offenders(self, common: ValidatorSet, trusted: SignedHeader) -> tuple[Validator, ...]:
        """Who provably misbehaved, in set order: liars, or signers of both blocks; of amnesia nobody is proved."""
        commit = self.conflicting_block.commit
        if self.is_lunatic(trusted.header):
            members = [common.by_address(slot.validator_address) for slot in commit.signatures if slot.is_commit]
        elif trusted.commit.round == commit.round:
            both = zip(commit.signatures, trusted.commit.signatures, strict=False)
            members = [
                self.conflicting_block.validators.by_address(ours.validator_address)
                for ours, theirs in both
                if ours.is_commit and theirs.is_commit
            ]
        else:
            members = []
        found = [member for member in members if member is not None]
        return tuple(sorted(found, key=lambda member: (-member.voting_power, member.address)))

    def encode(self) -> bytes:
        """Protobuf bytes of the concrete message."""
        encoded = self._encoded
        if encoded is None:
            encoded = b"".join(
                (
                    message_field(b"\x0a", self.conflicting_block.encode()),
                    int_field(b"\x10", self.common_height),
                    *(message_field(b"\x1a", validator.encode()) for validator in self.byzantine_validators),
                    int_field(b"\x20", self.total_voting_power),
                    message_field(b"\x2a", encode_timestamp(self.timestamp_ns)),
                )
            )
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def encode_wrapped(self) -> bytes:
        """Protobuf bytes of the Evidence that holds it."""
        return message_field(b"\x12", self.encode())

    @staticmethod
    def from_proto(message: pb.LightClientAttackEvidence) -> LightClientAttackEvidence:
        """Raises Malformed, InvalidEvidence, InvalidLightBlock, InvalidValidators."""
        if not message.HasField("conflicting_block"):
            raise InvalidEvidence("light client attack evidence lacks its conflicting block")
        named, slots = len(message.byzantine_validators), len(message.conflicting_block.signed_header.commit.signatures)
        if named > slots:  # before any is read: whoever misbehaved signed the block
            raise InvalidEvidence(f"light client attack evidence names {named} validators; {slots} signed, or less")
        return LightClientAttackEvidence(
            LightBlock.from_proto(message.conflicting_block),
            message.common_height,
            tuple(Validator.from_proto(validator) for validator in message.byzantine_validators),
            message.total_voting_power,
            read_timestamp(message, "timestamp"),
        )


Evidence: TypeAlias = DuplicateVoteEvidence | LightClientAttackEvidence


def evidence_from_proto(message: pb.Evidence) -> Evidence:
    """Raises Malformed, InvalidBlock, InvalidValidators."""
    which = message.WhichOneof("sum")
    if which == "duplicate_vote_evidence":
        return DuplicateVoteEvidence.from_proto(message.duplicate_vote_evidence)
    if which == "light_client_attack_evidence":
        return LightClientAttackEvidence.from_proto(message.light_client_attack_evidence)
    raise InvalidEvidence("evidence is of no known kind")


def claims(message: pb.Evidence) -> tuple[int, int]:
    """Height and time that it says it is of, before anything else of it is read; height 0: none. Raises Malformed."""
    if message.WhichOneof("sum") == "light_client_attack_evidence":
        attack = message.light_client_attack_evidence
        return attack.common_height, read_timestamp(attack, "timestamp")
    votes = message.duplicate_vote_evidence
    return votes.vote_a.height, read_timestamp(votes, "timestamp")


def decode_evidence(data: bytes) -> Evidence:
    """One wrapped Evidence. Raises Malformed, InvalidBlock, InvalidValidators."""
    return evidence_from_proto(parse(pb.Evidence, data, bytes_max=_EVIDENCE_BYTES_MAX, what="evidence"))


def encode_evidence_list(evidence: Sequence[Evidence]) -> bytes:
    """Protobuf bytes of an EvidenceList: its length is what evidence.max_bytes bounds."""
    return b"".join(message_field(b"\x0a", item.encode_wrapped()) for item in evidence)


def parse_evidence_list(data: bytes, *, items_max: int) -> list[pb.Evidence]:
    """The items, none of them read. Raises Malformed, InvalidEvidence (too many, or none)."""
    message = parse(pb.EvidenceList, data, bytes_max=_EVIDENCE_BYTES_MAX, what="evidence list")
    if not 0 < len(message.evidence) <= items_max:
        raise InvalidEvidence(f"{len(message.evidence)} items in an evidence list; allowed: 1 to {items_max}")
    return list(message.evidence)


def decode_evidence_list(data: bytes) -> tuple[Evidence, ...]:
    """Raises Malformed, InvalidBlock, InvalidValidators."""
    message = parse(pb.EvidenceList, data, bytes_max=_EVIDENCE_BYTES_MAX, what="evidence list")
    return tuple(evidence_from_proto(item) for item in message.evidence)


def evidence_hash(evidence: Sequence[Evidence]) -> bytes:
    """The header's evidence_hash: over each evidence's concrete bytes."""
    return merkle.root([item.encode() for item in evidence])


# ------------------------------------------------------------------------------------------------ verification


class EvidenceSource(Protocol):
    """What a node has stored. Each answers None for what it does not have."""

    @property
    def latest_height(self) -> int: ...

    def header(self, height: int) -> Header | None: ...

    def signed_header(self, height: int) -> SignedHeader | None: ...

    def validators(self, height: int) -> ValidatorSet | None: ...


def is_expired(
    evidence_height: int, evidence_time_ns: int, *, last_height: int, last_time_ns: int, params: EvidenceParams
) -> bool:
    """Too old in both blocks and time, seen from the last block: a validator may have unbonded by now."""
    return (
        last_height - evidence_height > params.max_age_num_blocks
        and last_time_ns - evidence_time_ns > params.max_age_duration_ns
    )


def verify_evidence(
    evidence: Evidence,
    source: EvidenceSource,
    *,
    chain_id: str,
    last_height: int,
    last_time_ns: int,
    params: EvidenceParams,
    verifier: Verifier = verify_many,
) -> None:
    """Check `evidence` against our chain; last_height, last_time_ns: the last block's.

    That it was not committed before is the pool's to know. Raises InvalidBlock, EvidenceUnverifiable.
    """
    age = {"last_height": last_height, "last_time_ns": last_time_ns}
    if is_expired(evidence.height, evidence.timestamp_ns, **age, params=params):  # also where its header is gone
        raise InvalidEvidence(f"evidence of height {evidence.height} is expired at height {last_height}")
    header = source.header(evidence.height)
    if header is None:
        raise EvidenceUnverifiable(f"evidence is of height {evidence.height}, whose header is not stored here")
    if evidence.timestamp_ns != header.time_ns:
        raise InvalidEvidence(
            f"evidence's time is {evidence.timestamp_ns}, block {evidence.height}'s is {header.time_ns}"
        )
    validators = source.validators(evidence.height)
    if validators is None:
        raise EvidenceUnverifiable(f"the validators of height {evidence.height} are not stored here")
    match evidence:
        case DuplicateVoteEvidence():
            verify_duplicate_vote(evidence, chain_id=chain_id, validators=validators, verifier=verifier)
        case LightClientAttackEvidence():
            verify_light_client_attack(
                evidence,
                chain_id=chain_id,
                common=validators,
                trusted=_trusted_header(evidence, source),
                verifier=verifier,
            )


def _trusted_header(evidence: LightClientAttackEvidence, source: EvidenceSource) -> SignedHeader:
    """Ours at the conflicting height; where we have not got so far, our latest if it is not earlier in time."""
    conflicting = evidence.conflicting_block.header
    trusted = source.signed_header(conflicting.height)
    if trusted is None and conflicting.height <= source.latest_height:
        raise EvidenceUnverifiable(f"the header of height {conflicting.height} is not stored here to compare with")
    if trusted is None:
        trusted = source.signed_header(source.latest_height)
        if trusted is None:
            raise EvidenceUnverifiable(f"no header is stored to compare with height {conflicting.height}")
        if trusted.header.time_ns < conflicting.time_ns:
            raise EvidenceUnverifiable(
                f"our latest block {trusted.header.height} is earlier than the conflicting one of {conflicting.height}"
            )
    return trusted


def verify_duplicate_vote(
    evidence: DuplicateVoteEvidence,
    *,
    chain_id: str,
    validators: ValidatorSet,
    verifier: Verifier = verify_many,
) -> None:
    """validators: the set of the votes' height. Raises InvalidEvidence."""
    a, b = evidence.vote_a, evidence.vote_b
    offender = validators.by_address(a.validator_address)
    if offender is None:
        raise InvalidEvidence(f"{a.validator_address.hex()} was no validator at height {a.height}")
    if (a.height, a.round, a.type) != (b.height, b.round, b.type):
        raise InvalidEvidence(
            f"votes differ in height, round or type: {a.height}/{a.round}/{a.type} and {b.height}/{b.round}/{b.type}"
        )
    if a.validator_address != b.validator_address:
        raise InvalidEvidence(f"votes are of {a.validator_address.hex()} and {b.validator_address.hex()}")
    if a.block_id == b.block_id:
        raise InvalidEvidence("the votes are for one block id: no conflict")
    if evidence.validator_power != offender.voting_power:
        raise InvalidEvidence(f"validator_power is {evidence.validator_power}, expected {offender.voting_power}")
    if evidence.total_voting_power != validators.total_power:
        raise InvalidEvidence(f"total_voting_power is {evidence.total_voting_power}, expected {validators.total_power}")
    checks = [(offender.pub_key, vote.sign_bytes(chain_id), vote.signature) for vote in (a, b)]
    for name, good in zip(("vote_a", "vote_b"), verifier(checks), strict=True):
        if not good:
            raise InvalidEvidence(f"{name}'s signature does not verify")


def verify_light_client_attack(
    evidence: LightClientAttackEvidence,
    *,
    chain_id: str,
    common: ValidatorSet,
    trusted: SignedHeader,
    verifier: Verifier = verify_many,
) -> None:
    """common: the set of the common height; trusted: our header at (or, short of it, before) the conflicting height.

    Raises InvalidBlock.
    """
    block = evidence.conflicting_block
    if evidence.common_height != block.height:
        verify_commit_light_trusting(chain_id, common, block.commit, all_signatures=True, verifier=verifier)
    elif evidence.is_lunatic(trusted.header):
        raise InvalidEvidence(
            "the conflicting block is of the common height, so its header had to be derived correctly"
        )
    verify_commit_light(
        chain_id,
        block.validators,
        block.commit,
        block_id=block.commit.block_id,
        height=block.height,
        all_signatures=True,
        verifier=verifier,
    )
    if evidence.total_voting_power != common.total_power:
        raise InvalidEvidence(f"total_voting_power is {evidence.total_voting_power}, expected {common.total_power}")
    if block.height > trusted.header.height:
        if block.header.time_ns > trusted.header.time_ns:
            raise InvalidEvidence("the conflicting block is above our latest and not earlier in time: no attack yet")
    elif block.hash == trusted.header.hash:
        raise InvalidEvidence(f"the conflicting block is our own block {block.height}")
    _check_offenders(evidence, evidence.offenders(common, trusted))


def _check_offenders(evidence: LightClientAttackEvidence, expected: tuple[Validator, ...]) -> None:
    """Raises InvalidEvidence unless the evidence names exactly `expected`.

    Nobody to name means amnesia: every node that read such evidence from the wire refuses it, so do we.
    """
    if not expected:
        raise InvalidEvidence("amnesia: no validator's fault can be proved, and the wire format cannot carry it")
    got = [(member.address, member.voting_power) for member in evidence.byzantine_validators]
    wanted = [(member.address, member.voting_power) for member in expected]
    if got != wanted:
        names = [(address.hex(), power) for address, power in wanted]
        raise InvalidEvidence(f"byzantine_validators must be exactly {names}")


def check_evidence_list(evidence: Sequence[Evidence]) -> None:
    """Valid each, and none twice. Raises InvalidBlock."""
    seen: set[bytes] = set()
    for index, item in enumerate(evidence):
        try:
            item.validate()
        except InvalidBlock as error:
            raise InvalidEvidence(f"evidence[{index}]: {error}") from error
        if item.hash in seen:
            raise InvalidEvidence(f"evidence[{index}] is in the block twice: {item.hash.hex()}")
        seen.add(item.hash)
