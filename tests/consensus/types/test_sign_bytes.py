"""Canonical sign-bytes: the vectors of data sheet section 5, and their checks of votes and proposals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf.internal.decoder import _DecodeVarint32
from hypothesis import given
from hypothesis import strategies as st

from consensus.formats.errors import InvalidProposal, InvalidVote, Malformed
from consensus.formats.timestamps import ZERO_TIME_NS, parse_rfc3339
from consensus.types.canonical import extension_sign_bytes, proposal_sign_bytes, vote_sign_bytes
from consensus.types.commits import commit_from_votes, votes_from_commit
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.vote import EXTENSION_BYTES_MAX, PRECOMMIT, PREVOTE, Proposal, Vote
from crypto.hash import sha256
from proto.tendermint.types import canonical_pb2, types_pb2
from tests.support.types.builders import CHAIN_ID, Signers, block_id, key

FULL = BlockID(sha256(b"blockID_hash"), PartSetHeader(1_000_000, sha256(b"blockID_part_set_header_hash")))
AMINO = b"--June_15_2020_amino_was_removed"


@pytest.mark.parametrize(
    ("vote", "chain_id", "expected"),
    [
        pytest.param(Vote(0, 0, 0), "", "0d2a0b088092b8c398feffffff01", id="zero"),
        pytest.param(
            Vote(PRECOMMIT, 1, 1),
            "",
            "2108021101000000000000001901000000000000002a0b088092b8c398feffffff01",
            id="precommit",
        ),
        pytest.param(
            Vote(PREVOTE, 1, 1),
            "",
            "2108011101000000000000001901000000000000002a0b088092b8c398feffffff01",
            id="prevote: only the type differs",
        ),
        pytest.param(
            Vote(0, 1, 1),
            "test_chain_id",
            "2e1101000000000000001901000000000000002a0b088092b8c398feffffff01320d746573745f636861696e5f6964",
            id="no type",
        ),
        pytest.param(
            Vote(0, 1, 1, extension=b"extension"),
            "test_chain_id",
            "2e1101000000000000001901000000000000002a0b088092b8c398feffffff01320d746573745f636861696e5f6964",
            id="an extension is not signed with the vote",
        ),
        pytest.param(
            Vote(PRECOMMIT, 12345, 2, FULL, parse_rfc3339("2017-12-25T03:00:01.234Z")),
            "test_chain_id",
            "7c080211393000000000000019020000000000000022"
            "4a0a208b01023386c371778ecb6368573e539afc3cc860ec3a2f614e54fe5652f4fc80122608c0843d122072db3d959635dff1bb567bed"
            "aa70573392c5159666a3f8caf11e413aac52207a"
            "2a0b08b1d381d20510809dca6f320d746573745f636861696e5f6964",
            id="precommit of a block",
        ),
    ],
)
def test_votes(vote: Vote, chain_id: str, expected: str) -> None:
    assert vote.sign_bytes(chain_id).hex() == expected


@pytest.mark.parametrize(
    ("height", "round", "extension", "expected"),
    [
        (
            12345,
            2,
            b"extension",
            "2c0a09657874656e73696f6e113930000000000000190200000000000000220d746573745f636861696e5f6964",
        ),
        (1, 0, b"", "18110100000000000000220d746573745f636861696e5f6964"),
    ],
)
def test_extensions(height: int, round: int, extension: bytes, expected: str) -> None:
    assert extension_sign_bytes("test_chain_id", height, round, extension).hex() == expected


def test_proposal() -> None:
    proposal = Proposal(
        12345, 23456, -1, BlockID(AMINO, PartSetHeader(111, AMINO)), parse_rfc3339("2018-02-11T07:09:22.765Z")
    )
    x = AMINO.hex()
    assert proposal.sign_bytes("test_chain_id").hex() == (
        "8601082011393000000000000019a05b00000000000020ffffffffffffffffff01"
        f"2a480a20{x}1224086f1220{x}320c08a2d8ffd30510c0f2e3ec023a0d746573745f636861696e5f6964"
    )


HEIGHTS = st.integers(0, 2**63 - 1)
ROUNDS = st.integers(0, 2**31 - 1)
TIMES = st.integers(ZERO_TIME_NS, 253402300799 * 10**9)
BLOCK_IDS = st.one_of(
    st.just(NIL_BLOCK_ID),
    st.builds(
        lambda h, t, p: BlockID(h, PartSetHeader(t, p)),
        st.binary(min_size=32, max_size=32),
        st.integers(1, 1601),
        st.binary(min_size=32, max_size=32),
    ),
)
CHAIN_IDS = st.text(max_size=50)


def canonical_id(block: BlockID) -> canonical_pb2.CanonicalBlockID | None:
    if block.is_zero:
        return None
    parts = canonical_pb2.CanonicalPartSetHeader(total=block.part_set_header.total, hash=block.part_set_header.hash)
    return canonical_pb2.CanonicalBlockID(hash=block.hash, part_set_header=parts)


@given(CHAIN_IDS, st.sampled_from([PREVOTE, PRECOMMIT]), HEIGHTS, ROUNDS, BLOCK_IDS, TIMES)
def test_vote_sign_bytes_are_what_a_protobuf_library_writes(
    chain_id: str, kind: int, height: int, round: int, block: BlockID, time_ns: int
) -> None:
    message = canonical_pb2.CanonicalVote(
        type=kind, height=height, round=round, block_id=canonical_id(block), chain_id=chain_id
    )
    message.timestamp.seconds, message.timestamp.nanos = divmod(time_ns, 10**9)
    message.timestamp.SetInParent()
    got = vote_sign_bytes(chain_id, kind, height, round, block, time_ns)
    length, start = _DecodeVarint32(got, 0)
    assert length == len(got) - start
    assert got[start:] == message.SerializeToString()


@given(CHAIN_IDS, HEIGHTS, ROUNDS, st.integers(-1, 2**31 - 1), BLOCK_IDS, TIMES, st.binary(max_size=40))
def test_proposal_and_extension_sign_bytes_are_what_a_protobuf_library_writes(
    chain_id: str, height: int, round: int, pol: int, block: BlockID, time_ns: int, extension: bytes
) -> None:
    message = canonical_pb2.CanonicalProposal(
        type=32, height=height, round=round, pol_round=pol, block_id=canonical_id(block), chain_id=chain_id
    )
    message.timestamp.seconds, message.timestamp.nanos = divmod(time_ns, 10**9)
    message.timestamp.SetInParent()
    got = proposal_sign_bytes(chain_id, height, round, pol, block, time_ns)
    assert got[_DecodeVarint32(got, 0)[1] :] == message.SerializeToString()
    extended = canonical_pb2.CanonicalVoteExtension(extension=extension, height=height, round=round, chain_id=chain_id)
    got = extension_sign_bytes(chain_id, height, round, extension)
    assert got[_DecodeVarint32(got, 0)[1] :] == extended.SerializeToString()


VOTES = st.builds(
    Vote,
    st.integers(0, 3),
    HEIGHTS,
    ROUNDS,
    BLOCK_IDS,
    TIMES,
    st.binary(max_size=20),
    ROUNDS,
    st.binary(max_size=64),
    st.binary(max_size=64),
    st.binary(max_size=64),
)


@given(VOTES)
def test_votes_read_back_and_are_written_as_a_protobuf_library_does(vote: Vote) -> None:
    assert Vote.decode(vote.encode()) == vote
    message = vote.to_proto()
    assert message.SerializeToString() == vote.encode()
    assert message.HasField("block_id")
    assert message.HasField("timestamp")


@given(HEIGHTS, ROUNDS, st.integers(-1, 2**31 - 1), BLOCK_IDS, TIMES, st.binary(max_size=64))
def test_proposals_read_back(height: int, round: int, pol: int, block: BlockID, time_ns: int, sig: bytes) -> None:
    proposal = Proposal(height, round, pol, block, time_ns, sig)
    assert Proposal.decode(proposal.encode()) == proposal
    assert proposal.to_proto().SerializeToString() == proposal.encode()


def test_absent_and_empty_timestamps_differ() -> None:
    """Absent means year 1, present and empty 1970."""
    message = types_pb2.Vote(type=1, height=1)
    assert Vote.decode(message.SerializeToString()).timestamp_ns == ZERO_TIME_NS
    message.timestamp.SetInParent()
    assert Vote.decode(message.SerializeToString()).timestamp_ns == 0
    assert b"\x2a\x00" in Vote(1, 1, 0, timestamp_ns=0).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff", id="junk"),
        pytest.param(b"\x2a\x02\x10\xff", id="torn"),
        pytest.param(b"\x2a\x06\x10\x80\x94\xeb\xdc\x03", id="10**9 nanoseconds"),
        pytest.param(b"\x2a\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="negative nanoseconds"),
        pytest.param(b"\x2a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="after year 9999"),
        pytest.param(bytes(2_000_000), id="too large"),
    ],
)
def test_bytes_that_are_no_vote(data: bytes) -> None:
    with pytest.raises(Malformed):
        Vote.decode(data)


GOOD = Signers.of(10).vote(0, block_id())


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 0},
        {"type": 32},
        {"height": 0},
        {"height": -1},
        {"round": -1},
        {"validator_index": -1},
        {"validator_address": b"x" * 19},
        {"signature": b""},
        {"signature": b"x" * 3310},
        {"block_id": BlockID(sha256(b"x"))},
        {"block_id": BlockID(b"", PartSetHeader(1, sha256(b"x")))},
        {"extension": b"x"},
        {"extension": b"x" * (EXTENSION_BYTES_MAX + 1), "extension_signature": b"s"},
        {"type": PREVOTE, "extension_signature": b"s"},
        {"block_id": NIL_BLOCK_ID, "extension_signature": b"s"},
    ],
    ids=str,
)
def test_votes_that_break_a_rule(changes: dict[str, object]) -> None:
    GOOD.validate()
    with pytest.raises(InvalidVote):
        replace(GOOD, **changes).validate()


def test_extensions_when_on_and_off() -> None:
    signed = replace(GOOD, extension=b"", extension_signature=b"s" * 64)
    signed.validate()
    signed.validate_extension_use(enabled=True)
    GOOD.validate_extension_use(enabled=False)
    replace(GOOD, block_id=NIL_BLOCK_ID).validate_extension_use(enabled=True)
    for vote, enabled in ((GOOD, True), (signed, False)):
        with pytest.raises(InvalidVote):
            vote.validate_extension_use(enabled=enabled)


def test_signatures_bind_the_vote_the_chain_and_the_address() -> None:
    signer = key("val0")
    assert GOOD.verify(CHAIN_ID, signer.pub_key)
    assert not GOOD.verify("other", signer.pub_key)
    assert not GOOD.verify(CHAIN_ID, key("val1").pub_key)
    assert not replace(GOOD, timestamp_ns=GOOD.timestamp_ns + 1).verify(CHAIN_ID, signer.pub_key)
    assert not replace(GOOD, validator_address=bytes(20)).verify(CHAIN_ID, signer.pub_key)
    extended = replace(
        GOOD, extension=b"e", extension_signature=signer.sign(extension_sign_bytes(CHAIN_ID, 1, 0, b"e"))
    )
    assert extended.verify_extension(CHAIN_ID, signer.pub_key)
    assert not replace(extended, extension=b"f").verify_extension(CHAIN_ID, signer.pub_key)


PROPOSAL = Proposal(1, 0, -1, block_id(), 0, b"s" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 1},
        {"height": -1},
        {"round": -1},
        {"pol_round": -2},
        {"block_id": NIL_BLOCK_ID},
        {"signature": b""},
        {"signature": b"x" * 3310},
    ],
    ids=str,
)
def test_proposals_that_break_a_rule(changes: dict[str, object]) -> None:
    PROPOSAL.validate()
    with pytest.raises(InvalidProposal):
        replace(PROPOSAL, **changes).validate()


def test_a_commit_gives_its_votes_back() -> None:
    signers = Signers.of(10, 10, 10, 10)
    target, other = block_id(), block_id("other")
    votes = [signers.vote(0, target), None, signers.vote(2, NIL_BLOCK_ID), signers.vote(3, other)]
    commit = commit_from_votes(1, 0, target, votes)
    assert [slot.block_id_flag for slot in commit.signatures] == [2, 1, 3, 1]
    assert votes_from_commit(commit) == [votes[0], None, votes[2], None]
    assert [commit.sign_bytes(CHAIN_ID, i) for i in (0, 2)] == [
        votes[0].sign_bytes(CHAIN_ID),
        votes[2].sign_bytes(CHAIN_ID),
    ]  # type: ignore[union-attr]
