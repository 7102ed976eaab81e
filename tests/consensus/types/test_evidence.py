"""Evidence: data sheet section 10."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from consensus.formats.errors import (
    BadSignature,
    EvidenceUnverifiable,
    InvalidBlock,
    InvalidEvidence,
    InvalidLightBlock,
    Malformed,
)
from consensus.formats.units import NS_PER_S
from consensus.state.validation import validate_block
from consensus.types.block import Block, BlockID, Header
from consensus.types.evidence import (
    DuplicateVoteEvidence,
    Evidence,
    LightClientAttackEvidence,
    check_evidence_list,
    decode_evidence,
    decode_evidence_list,
    encode_evidence_list,
    evidence_hash,
    is_expired,
    verify_evidence,
)
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.params import ConsensusParams, EvidenceParams
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PREVOTE
from crypto import merkle
from crypto.hash import sha256
from tests.support.types.blocks import KNOWN, rehashed
from tests.support.types.builders import CHAIN_ID, START_NS, Signers, block_id, two_blocks

SIGNERS = Signers.of(10, 20, 30, 40)
PARAMS = EvidenceParams(max_age_num_blocks=10, max_age_duration_ns=60 * NS_PER_S)


def header(height: int, *, time_ns: int | None = None, app: bytes = b"app", signers: Signers = SIGNERS) -> Header:
    return replace(
        KNOWN,
        version=replace(KNOWN.version, block=11),
        chain_id=CHAIN_ID,
        height=height,
        time_ns=START_NS + height * NS_PER_S if time_ns is None else time_ns,
        app_hash=app,
        validators_hash=signers.validators.hash,
        next_validators_hash=signers.validators.hash,
        proposer_address=signers.validators[0].address,
    )


def signed(head: Header, signers: Signers = SIGNERS, *, round: int = 0, absent: tuple[int, ...] = ()) -> SignedHeader:
    target = BlockID(head.hash, block_id().part_set_header)
    return SignedHeader(head, signers.commit(target, height=head.height, round=round, absent=absent))


@dataclass
class Node:
    """What a node has stored, heights 1 to latest_height, all signed by SIGNERS."""

    latest_height: int = 8
    missing: set[int] = field(default_factory=set)

    def header(self, height: int) -> Header | None:
        return header(height) if 0 < height <= self.latest_height and height not in self.missing else None

    def signed_header(self, height: int) -> SignedHeader | None:
        found = self.header(height)
        return found and signed(found)

    def validators(self, height: int) -> ValidatorSet | None:
        return SIGNERS.validators if self.header(height) else None


def verify(evidence: Evidence, node: Node | None = None, *, last_height: int | None = None) -> None:
    node = node or Node()
    last = node.latest_height if last_height is None else last_height
    verify_evidence(
        evidence,
        node,
        chain_id=CHAIN_ID,
        last_height=last,
        last_time_ns=START_NS + last * NS_PER_S,
        params=PARAMS,
    )


# --------------------------------------------------------------------------------------------- duplicate votes


def duplicate(**fields: object) -> DuplicateVoteEvidence:
    fields = {"height": 5, **fields}
    votes = [SIGNERS.vote(1, target, **fields) for target in (block_id("one"), block_id("two"))]
    found = header(5)
    return DuplicateVoteEvidence.from_votes(votes[0], votes[1], validators=SIGNERS.validators, time_ns=found.time_ns)


def test_duplicate_votes_are_proved() -> None:
    for evidence in (duplicate(), duplicate(type=PREVOTE), duplicate(round=3)):
        evidence.validate()
        verify(evidence)
        assert decode_evidence(evidence.encode_wrapped()) == evidence
        assert evidence.hash == sha256(evidence.encode())


def test_votes_come_in_one_order() -> None:
    first, second = SIGNERS.vote(1, block_id("one")), SIGNERS.vote(1, BlockID())
    made = [
        DuplicateVoteEvidence.from_votes(a, b, validators=SIGNERS.validators, time_ns=0)
        for a, b in ((first, second), (second, first))
    ]
    assert made[0] == made[1]
    assert made[0].vote_a.is_nil
    swapped = replace(made[0], vote_a=made[0].vote_b, vote_b=made[0].vote_a)
    for bad in (swapped, replace(made[0], vote_b=made[0].vote_a)):
        with pytest.raises(InvalidEvidence):
            bad.validate()


def other_vote(**fields: object) -> DuplicateVoteEvidence:
    evidence = duplicate()
    index = fields.pop("index", 1)
    assert isinstance(index, int)
    return replace(evidence, vote_b=SIGNERS.vote(index, evidence.vote_b.block_id, **{"height": 5, **fields}))


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(replace(duplicate(), timestamp_ns=START_NS), id="CVE-2021-21271: time is not the block's"),
        pytest.param(replace(duplicate(), validator_power=1), id="validator power"),
        pytest.param(replace(duplicate(), total_voting_power=1), id="total power"),
        pytest.param(other_vote(height=6), id="two heights"),
        pytest.param(other_vote(round=1), id="two rounds"),
        pytest.param(other_vote(type=PREVOTE), id="two types"),
        pytest.param(other_vote(index=2), id="two validators"),
        pytest.param(replace(duplicate(), vote_b=duplicate().vote_a), id="one block id"),
        pytest.param(replace(duplicate(), vote_a=replace(duplicate().vote_a, signature=bytes(64))), id="signature a"),
        pytest.param(replace(duplicate(), vote_b=replace(duplicate().vote_b, signature=bytes(64))), id="signature b"),
        pytest.param(
            replace(duplicate(), vote_a=replace(duplicate().vote_a, validator_address=bytes(20))), id="a stranger"
        ),
    ],
)
def test_duplicate_votes_that_prove_nothing(evidence: DuplicateVoteEvidence) -> None:
    with pytest.raises(InvalidEvidence):
        verify(evidence)


def test_a_header_that_is_not_stored_is_nobodys_fault() -> None:
    """Failure 20: evidence of a pruned height is refused, and stops nothing."""
    with pytest.raises(EvidenceUnverifiable):
        verify(duplicate(), Node(missing={5}))
    with pytest.raises(EvidenceUnverifiable):
        verify(duplicate(height=9))


@pytest.mark.parametrize(
    ("blocks", "age_s", "expired"),
    [(10, 1000, False), (11, 60, False), (11, 61, True), (1000, 60, False), (1000, 61, True)],
)
def test_evidence_expires_by_blocks_and_time_together(blocks: int, age_s: int, expired: bool) -> None:
    assert expired == is_expired(
        1, START_NS, last_height=1 + blocks, last_time_ns=START_NS + age_s * NS_PER_S, params=PARAMS
    )


def test_expired_evidence_is_refused() -> None:
    verify(duplicate(), last_height=65)
    with pytest.raises(InvalidEvidence, match="expired"):
        verify(duplicate(), last_height=66)


# ----------------------------------------------------------------------------------------- light client attacks


def attack(
    conflicting: SignedHeader, *, common: int, signers: Signers = SIGNERS, node: Node | None = None
) -> LightClientAttackEvidence:
    node = node or Node()
    block = LightBlock(conflicting, signers.validators)
    found = node.header(common)
    assert found is not None
    evidence = LightClientAttackEvidence(block, common, (), SIGNERS.validators.total_power, found.time_ns)
    trusted = node.signed_header(min(block.height, node.latest_height))
    assert trusted is not None
    return replace(evidence, byzantine_validators=evidence.offenders(SIGNERS.validators, trusted))


LUNATIC = attack(signed(header(6, app=b"lie"), absent=(3,)), common=4)
EQUIVOCATION = attack(signed(replace(header(6), data_hash=sha256(b"other")), absent=(3,)), common=6)
FORWARD = attack(signed(header(20, app=b"lie", time_ns=START_NS + 7 * NS_PER_S)), common=4)


@pytest.mark.parametrize(("evidence", "offenders"), [(LUNATIC, 3), (EQUIVOCATION, 3), (FORWARD, 4)])
def test_attacks_are_proved(evidence: LightClientAttackEvidence, offenders: int) -> None:
    evidence.validate()
    verify(evidence)
    assert len(evidence.byzantine_validators) == offenders
    powers = [member.voting_power for member in evidence.byzantine_validators]
    assert powers == sorted(powers, reverse=True)
    assert decode_evidence(evidence.encode_wrapped()) == evidence


def test_lunatics_may_bring_their_own_set() -> None:
    """A set of the attacker's making, of which one third of ours is part."""
    mixed = Signers.of(100, 40, names="evil")
    keys = {**mixed.keys, **SIGNERS.keys}
    changes = [(k.pub_key, 50) for k in SIGNERS.keys.values()][:4] + [(k.pub_key, 10) for k in mixed.keys.values()]
    signers = Signers(ValidatorSet.new(changes), keys)
    evidence = attack(signed(header(6, signers=signers), signers), common=4, signers=signers)
    verify(evidence)
    assert [m.voting_power for m in evidence.byzantine_validators] == [40, 30, 20, 10]


def test_the_published_hash() -> None:
    block = LightBlock(SignedHeader(KNOWN, SIGNERS.commit(block_id())), SIGNERS.validators)
    evidence = LightClientAttackEvidence(block, 4)
    assert evidence.hash.hex() == "1aa009f356adf41c6796f92c455e97ee782af5180954b4727023cc3e1a9ee23f"
    same = replace(evidence, conflicting_block=replace(block), total_voting_power=7)
    assert same.hash == evidence.hash


BAD_COMMIT = replace(LUNATIC.conflicting_block.commit, round=1)


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(replace(LUNATIC, timestamp_ns=1), id="time"),
        pytest.param(replace(LUNATIC, total_voting_power=1), id="total power"),
        pytest.param(replace(LUNATIC, byzantine_validators=()), id="nobody named"),
        pytest.param(replace(LUNATIC, byzantine_validators=LUNATIC.byzantine_validators[1:]), id="one left out"),
        pytest.param(replace(LUNATIC, byzantine_validators=LUNATIC.byzantine_validators[::-1]), id="order"),
        pytest.param(
            replace(
                LUNATIC,
                byzantine_validators=(
                    replace(LUNATIC.byzantine_validators[0], voting_power=1),
                    *LUNATIC.byzantine_validators[1:],
                ),
            ),
            id="a power",
        ),
        pytest.param(
            replace(
                LUNATIC,
                conflicting_block=replace(
                    LUNATIC.conflicting_block,
                    signed_header=replace(LUNATIC.conflicting_block.signed_header, commit=BAD_COMMIT),
                ),
            ),
            id="signatures",
        ),
        pytest.param(attack(signed(header(6, app=b"lie")), common=6), id="lunatic at the common height"),
        pytest.param(attack(signed(header(6)), common=6), id="our own block"),
        pytest.param(attack(signed(header(6)), common=4), id="our own block, seen from below"),
        pytest.param(
            attack(signed(header(6, app=b"lie"), absent=(0, 1)), common=4), id="less than two thirds of its own set"
        ),
        pytest.param(
            attack(signed(replace(header(6), data_hash=sha256(b"other")), round=1), common=6),
            id="amnesia, which the wire cannot carry",
        ),
    ],
)
def test_attacks_that_prove_nothing(evidence: LightClientAttackEvidence) -> None:
    verify(LUNATIC)
    with pytest.raises(InvalidBlock):
        verify(evidence)


def test_every_signature_of_the_conflicting_commit_counts() -> None:
    """More than enough good ones do not excuse a bad one: it would name somebody who did nothing."""
    conflicting = signed(header(6, app=b"lie"))
    slots = conflicting.commit.signatures
    slots = (*slots[:-1], replace(slots[-1], signature=bytes(64)))
    forged = replace(conflicting, commit=replace(conflicting.commit, signatures=slots))
    with pytest.raises(BadSignature):
        verify(attack(forged, common=4))


def test_what_lies_ahead_of_us_cannot_be_judged_yet() -> None:
    with pytest.raises(EvidenceUnverifiable, match="earlier"):
        verify(attack(signed(header(20, app=b"lie")), common=4))


@pytest.mark.parametrize(
    "changes",
    [{"total_voting_power": 0}, {"common_height": 0}, {"common_height": 7}],
    ids=str,
)
def test_attacks_that_break_a_rule(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidEvidence):
        replace(LUNATIC, **changes).validate()


def test_light_blocks_fit_together() -> None:
    block = LUNATIC.conflicting_block
    block.validate(CHAIN_ID)
    assert LightBlock.decode(block.encode()) == block
    other = Signers.of(1, 1, names="x")
    commit = block.commit
    for bad in (
        replace(block, validators=other.validators),
        replace(block, signed_header=replace(block.signed_header, commit=replace(commit, height=7))),
        replace(block, signed_header=replace(block.signed_header, commit=replace(commit, block_id=block_id()))),
    ):
        with pytest.raises(InvalidLightBlock):
            bad.validate(CHAIN_ID)
    with pytest.raises(InvalidLightBlock):
        block.validate("other")
    with pytest.raises(InvalidLightBlock):
        LightBlock.decode(b"")


# ----------------------------------------------------------------------------------------------------- in blocks


def test_lists_read_back_and_hash_over_the_concrete_bytes() -> None:
    items: tuple[Evidence, ...] = (duplicate(), LUNATIC)
    assert decode_evidence_list(encode_evidence_list(items)) == items
    assert evidence_hash(items) == merkle.root([item.encode() for item in items])
    check_evidence_list(items)
    with pytest.raises(InvalidEvidence, match="twice"):
        check_evidence_list((*items, duplicate()))
    with pytest.raises(InvalidEvidence, match=r"evidence\[1\]"):
        check_evidence_list((items[0], replace(LUNATIC, total_voting_power=0)))


@pytest.mark.parametrize("data", [b"", b"\x0a\x00", b"\x12\x00", b"\x0a\x02\x0a\x00", b"\x12\x02\x0a\x00", b"\xff"])
def test_bytes_that_are_no_evidence(data: bytes) -> None:
    with pytest.raises((InvalidBlock, Malformed)):
        decode_evidence(data)


def with_evidence(evidence: Evidence) -> tuple[Block, Callable[[int], None]]:
    state, block = two_blocks(SIGNERS)
    block = rehashed(replace(block, evidence=(evidence,)), evidence_hash=evidence_hash((evidence,)))

    def check(max_bytes: int) -> None:
        params = ConsensusParams(evidence=replace(state.params.evidence, max_bytes=max_bytes))
        validate_block(replace(state, params=params), block)

    return block, check


def test_a_block_carries_evidence_up_to_its_share() -> None:
    block, check = with_evidence(duplicate())
    assert Block.decode(block.encode()) == block
    size = len(encode_evidence_list(block.evidence))
    check(size)
    with pytest.raises(InvalidBlock, match="bytes of evidence"):
        check(size - 1)
