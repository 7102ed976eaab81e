"""Headers, blocks, parts and their hashes: data sheet sections 2 to 4 and 9."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.formats.bits import BitArray
from consensus.formats.errors import (
    BadSignature,
    InvalidBits,
    InvalidBlock,
    InvalidCommit,
    InvalidHeader,
    InvalidPart,
    Malformed,
)
from consensus.formats.timestamps import ZERO_TIME_NS, format_rfc3339, parse_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.state.results import Event, EventAttribute, ExecTxResult, TxResult, result_proof, results_hash
from consensus.state.validation import make_block, validate_block
from consensus.types.block import (
    Block,
    BlockID,
    BlockMeta,
    Commit,
    CommitSig,
    Data,
    Header,
    PartSetHeader,
    Version,
    max_data_bytes,
    txs_proto_bytes,
)
from consensus.types.commit import ABSENT_SIG, commit_bytes_max
from consensus.types.commits import verify_commit, verify_commit_light
from consensus.types.params import ConsensusParams
from consensus.types.parts import PART_BYTES, PARTS_MAX, Part, PartSet, parts_max
from crypto import merkle
from crypto.hash import EMPTY_HASH, sha256
from crypto.keys import Ed25519PubKey
from proto.tendermint.libs.bits import types_pb2 as bits_pb
from proto.tendermint.types import types_pb2
from tests.support.types.blocks import KNOWN, rehashed
from tests.support.types.builders import CHAIN_ID, START_NS, Signers, block_id, genesis_state, key, two_blocks


def test_the_published_header() -> None:
    assert KNOWN.hash.hex() == "f740121f553b5418c3efbd343c2dbfe9e007bb67b0d020a0741374bab65242a4"
    zeros = bytes(32).hex()
    assert [leaf.hex() for leaf in KNOWN.leaves()[:6]] == [
        "08011002",
        "0a07636861696e4964",
        "0803",
        "08f49a8ded05",
        f"0a20{zeros}122408061220{zeros}",
        "0a20" + sha256(b"last_commit_hash").hex(),
    ]


def test_an_empty_header_has_no_hash_and_empty_leaves() -> None:
    assert Header().hash == b""
    assert Block(replace(KNOWN), last_commit=None).hash == b""
    leaves = Header().leaves()
    assert leaves[4].hex() == "1200"
    assert leaves[1] == leaves[2] == leaves[5] == leaves[13] == b""


def test_a_header_field_is_proved_by_its_leaf() -> None:
    root, proofs = merkle.proofs(KNOWN.leaves())
    assert root == KNOWN.hash
    proofs[10].verify(KNOWN.hash, b"\x0a\x20" + KNOWN.app_hash)


def test_published_hashes() -> None:
    assert Data((b"a", b"b", b"c")).hash.hex() == "cac3d448d4e20a2ad5eae1f500e63c2a7f9217cd14572ba7fd22e26dc1ec2648"
    assert Data().hash == EMPTY_HASH
    assert ABSENT_SIG.encode().hex() == "08011a0b088092b8c398feffffff01"
    assert Commit(signatures=(ABSENT_SIG,)).hash.hex() == (
        "6fb51a82c8bfeb9e3583c87e8fbaa5b527cf46a815c9bfbb3eff934175058117"
    )
    assert Commit().hash == EMPTY_HASH
    assert ConsensusParams().hash.hex() == "048091bc7ddc283f77bfbf91d73c44da58c3df8a9cbc867405d8b7f3daada22f"
    validators = Signers.of(10).validators
    assert validators.hash == merkle.leaf_hash(bytes.fromhex("0a220a20") + key("val0").pub_key.bytes + b"\x10\x0a")


def test_results_are_cut_down_to_what_every_node_shares() -> None:
    result = ExecTxResult(1, b"\x01\x02", "log", "info", 5, 3, (Event("e", (EventAttribute("k", "v"),)),), "space")
    assert result.deterministic_bytes().hex() == "08011202010228053003"
    assert ExecTxResult(log="log", info="info", codespace="c").deterministic_bytes() == b""
    results = [result, ExecTxResult()]
    assert results_hash(results) == merkle.root([result.deterministic_bytes(), b""])
    assert results_hash([]) == EMPTY_HASH
    result_proof(results, 0).verify(results_hash(results), result.deterministic_bytes())
    stored = TxResult(7, 1, b"tx", result)
    assert TxResult.decode(stored.encode()) == stored
    assert result.to_proto().SerializeToString() == result.encode()


# ------------------------------------------------------------------------------------------------------- parts


def test_the_published_part_set() -> None:
    parts = PartSet.from_bytes(b"hello")
    assert parts.header.total == 1
    assert parts.header.hash.hex() == "8a2a5c9b768827de5a9552c38a044c66959c68f6d2f21b5260af54d2f87db827"


BIG = b"".join(bytes([number]) * PART_BYTES for number in range(3)) + b"tail"


@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 4])
def test_parts_travel_and_make_the_bytes_again(size: int) -> None:
    data = BIG[:size]
    sent = PartSet.from_bytes(data)
    assert sent.total == (size - 1) // PART_BYTES + 1
    assert sent.is_complete
    got = PartSet(sent.header)
    assert not got.is_complete
    for index in reversed(range(sent.total)):
        part = sent.get(index)
        assert part is not None
        assert got.add(Part.decode(part.encode()))
        assert not got.add(part)
        assert index in got
    assert got.is_complete
    assert got.to_bytes() == data
    assert got.byte_size == size
    assert got.bit_array().is_full
    assert got.get(sent.total) is None
    assert got.get(-1) is None


def part_at(index: int) -> Part:
    part = PartSet.from_bytes(BIG).get(index)
    assert part is not None
    return part


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(replace(part_at(1), index=2), id="ASA-2025-002: index is not its proof's"),
        pytest.param(
            replace(part_at(1), index=2, proof=replace(part_at(1).proof, index=2)),
            id="ASA-2025-002: both indices moved",
        ),
        pytest.param(replace(part_at(1), bytes=part_at(2).bytes), id="another part's bytes"),
        pytest.param(replace(part_at(1), bytes=part_at(1).bytes[:-1]), id="short, not the last"),
        pytest.param(replace(part_at(1), bytes=part_at(1).bytes + b"x"), id="too large"),
        pytest.param(replace(part_at(1), proof=replace(part_at(1).proof, total=5)), id="another total"),
        pytest.param(
            replace(part_at(0), proof=replace(part_at(0).proof, total=3)),
            id="another total with a path of the same shape",
        ),
        pytest.param(replace(part_at(1), proof=replace(part_at(1).proof, aunts=())), id="no aunts"),
        pytest.param(replace(part_at(1), proof=replace(part_at(1).proof, leaf_hash=b"x")), id="bad leaf"),
        pytest.param(replace(part_at(3), index=4, proof=replace(part_at(3).proof, index=4)), id="outside"),
        pytest.param(replace(part_at(3), index=-1, proof=replace(part_at(3).proof, index=-1)), id="negative"),
    ],
)
def test_parts_that_are_refused(bad: Part) -> None:
    parts = PartSet(PartSet.from_bytes(BIG).header)
    assert parts.add(part_at(1))
    parts = PartSet(PartSet.from_bytes(BIG).header)
    with pytest.raises(InvalidPart):
        parts.add(bad)
    assert parts.count == 0


def test_no_set_has_an_empty_part() -> None:
    """audit 26: the bytes of such a block, cut again, are another set than the one that was decided."""
    root, proofs = merkle.proofs([BIG[:PART_BYTES], b""])
    parts = PartSet(PartSetHeader(2, root))
    assert parts.add(Part(0, BIG[:PART_BYTES], proofs[0]))
    with pytest.raises(InvalidPart, match="part 1 is empty"):
        parts.add(Part(1, b"", proofs[1]))


def test_gathered_bytes_and_parts_are_bounded() -> None:
    parts = PartSet(PartSet.from_bytes(BIG).header, bytes_max=PART_BYTES + 4)
    parts.add(part_at(0))
    parts.add(part_at(3))
    with pytest.raises(InvalidPart):
        parts.add(part_at(1))
    with pytest.raises(InvalidPart):
        PartSet(PartSetHeader(PARTS_MAX + 1, bytes(32)))
    with pytest.raises(Malformed):
        Part.decode(bytes(80_000))
    assert PARTS_MAX == 1601
    assert [parts_max(n) for n in (1, 65_536, 65_537, 104_857_600, -1)] == [1, 1, 2, 1600, 1600]


# -------------------------------------------------------------------------------------------------------- bits


@given(st.integers(0, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, (1 << size) - 1))))
def test_bit_arrays_read_back(case: tuple[int, int]) -> None:
    bits = BitArray(*case)
    assert BitArray.from_proto(bits.to_proto()) == bits
    assert BitArray.of(bits.size, bits) == bits
    assert len(bits) == len(list(bits)) == str(bits).count("x")
    assert (bits - bits) == BitArray(bits.size)
    assert (bits | BitArray.full(bits.size)).is_full
    assert all(index in bits for index in bits)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        pytest.param(65, [1], id="a word too few"),
        pytest.param(64, [1, 2], id="a word too many"),
        pytest.param(0, [1], id="words and no bits"),
        pytest.param(10_000_000, [], id="huge and no words"),
        pytest.param(-1, [], id="negative"),
        pytest.param(10_001, [0] * 157, id="more than any set has"),
    ],
)
def test_bit_arrays_that_contradict_themselves_are_refused(size: int, words: list[int]) -> None:
    """ASA-2025-003: a size that the words do not carry made readers run past their end."""
    with pytest.raises(InvalidBits):
        BitArray.from_proto(bits_pb.BitArray(bits=size, elems=words))


def test_bits_past_the_size_are_dropped() -> None:
    assert BitArray.from_proto(bits_pb.BitArray(bits=2, elems=[0b111])) == BitArray(2, 0b11)


# ------------------------------------------------------------------------------------------------------ blocks

HASHES = st.one_of(st.just(b""), st.binary(min_size=32, max_size=32))
TIMES = st.integers(ZERO_TIME_NS, 253402300799 * NS_PER_S)
IDS = st.builds(lambda h, t, p: BlockID(h, PartSetHeader(t, p)), HASHES, st.integers(0, 2**32 - 1), HASHES)
HEADERS = st.builds(
    Header,
    st.builds(Version, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    st.text(max_size=60),
    st.integers(-(2**63), 2**63 - 1),
    TIMES,
    IDS,
    *[st.binary(max_size=33)] * 9,
)
SLOTS = st.builds(CommitSig, st.integers(0, 5), st.binary(max_size=20), TIMES, st.binary(max_size=64))
COMMITS = st.builds(
    Commit,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    IDS,
    st.lists(SLOTS, max_size=4).map(tuple),
)


@given(HEADERS, st.lists(st.binary(max_size=20), max_size=4), st.one_of(st.none(), COMMITS))
def test_blocks_read_back_and_are_written_as_a_protobuf_library_does(
    header: Header, txs: list[bytes], commit: Commit | None
) -> None:
    block = Block(header, Data(tuple(txs)), (), commit)
    encoded = block.encode()
    assert Block.decode(encoded) == block
    assert block.to_proto().SerializeToString() == encoded
    assert Header.decode(header.encode()) == header
    meta = BlockMeta.of(block, block.part_set())
    assert BlockMeta.decode(meta.encode()) == meta
    assert txs_proto_bytes(txs) == len(block.data.encode())
    if commit is not None:
        assert Commit.decode(commit.encode()) == commit


def test_the_first_block_still_carries_the_empty_commit() -> None:
    assert Block(KNOWN).encode().endswith(bytes.fromhex("22041a021200"))


@given(st.binary(max_size=200))
def test_junk_is_refused_with_our_errors_only(data: bytes) -> None:
    for decode in (Block.decode, Header.decode, Commit.decode, Part.decode, BlockMeta.decode):
        try:
            decode(data)
        except ValueError as error:
            assert type(error).__module__ == "consensus.formats.errors", error  # noqa: PT017


SIGNERS = Signers.of(10, 20, 30, 40)
STATE, BLOCK = two_blocks(SIGNERS)


def test_a_made_block_is_valid() -> None:
    validate_block(STATE, BLOCK)
    assert Block.decode(BLOCK.encode()).block_id == BLOCK.block_id


@pytest.mark.parametrize(
    "changes",
    [
        {"version": Version(10)},
        {"chain_id": "x" * 51},
        {"height": 0},
        {"height": -1},
        {"last_block_id": BlockID(b"x")},
        {"last_block_id": BlockID(b"", PartSetHeader(1, b"x"))},
        {"last_commit_hash": b"x"},
        {"data_hash": b"x" * 31},
        {"evidence_hash": b"x" * 33},
        {"validators_hash": b"x"},
        {"next_validators_hash": b"x"},
        {"consensus_hash": b"x"},
        {"last_results_hash": b"x"},
        {"proposer_address": b"x" * 19},
    ],
    ids=str,
)
def test_headers_that_break_a_rule(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidHeader):
        replace(BLOCK.header, **changes).validate()


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(replace(BLOCK, last_commit=None), id="no last commit"),
        pytest.param(replace(BLOCK, data=Data((b"other",))), id="data hash"),
        pytest.param(replace(BLOCK, last_commit=Commit()), id="last commit hash"),
        pytest.param(rehashed(BLOCK, evidence_hash=sha256(b"x")), id="evidence hash"),
        pytest.param(rehashed(BLOCK, proposer_address=bytes(20)), id="proposer is no validator"),
        pytest.param(rehashed(BLOCK, height=3), id="height"),
        pytest.param(rehashed(BLOCK, next_validators_hash=sha256(b"x")), id="next validators"),
        pytest.param(rehashed(BLOCK, time_ns=BLOCK.header.time_ns + 1), id="time is not the median"),
        pytest.param(rehashed(BLOCK, time_ns=STATE.last_block_time_ns), id="time does not advance"),
        pytest.param(
            rehashed(replace(BLOCK, last_commit=SIGNERS.commit(block_id()))), id="last commit of another block"
        ),
        pytest.param(
            rehashed(replace(BLOCK, last_commit=SIGNERS.commit(STATE.last_block_id, absent=(0, 1)))),
            id="last commit with too little power",
        ),
        pytest.param(
            rehashed(replace(BLOCK, last_commit=SIGNERS.commit(STATE.last_block_id, height=2))),
            id="last commit of another height",
        ),
    ],
)
def test_blocks_that_do_not_follow(block: Block) -> None:
    with pytest.raises(InvalidBlock):
        validate_block(STATE, block)


def test_time_advances_even_where_the_median_does_not() -> None:
    late = replace(STATE, last_block_time_ns=BLOCK.header.time_ns)
    with pytest.raises(InvalidHeader, match="not after"):
        validate_block(late, BLOCK)


def test_the_first_block_has_the_genesis_time_and_no_signatures() -> None:
    state = genesis_state(SIGNERS)
    first = make_block(state, txs=(), last_commit=Commit(), evidence=(), proposer_address=SIGNERS.validators[0].address)
    validate_block(state, first)
    with pytest.raises(InvalidHeader):
        validate_block(state, rehashed(first, time_ns=state.last_block_time_ns + 1))
    with pytest.raises(InvalidCommit):
        validate_block(state, rehashed(replace(first, last_commit=Commit(signatures=(ABSENT_SIG,)))))


def forged_slots() -> list[tuple[str, int, dict[str, object]]]:
    """Slots of a last commit that carry a time nobody signed."""
    later = START_NS + 3600 * NS_PER_S
    return [
        ("another time", 3, {"timestamp_ns": later}),
        ("a nil vote's time", 3, {"timestamp_ns": later, "block_id_flag": 3}),
        ("another validator's address", 0, {"validator_address": SIGNERS.validators[1].address}),
        ("a stranger's address", 0, {"validator_address": bytes(20), "timestamp_ns": later}),
        ("an unknown flag", 3, {"block_id_flag": 4}),
    ]


@pytest.mark.parametrize(("name", "index", "changes"), forged_slots(), ids=lambda value: str(value)[:40])
def test_the_time_comes_from_verified_signatures_only(name: str, index: int, changes: dict[str, object]) -> None:
    """CSA-2026-001 Tachyon: signatures were checked by index, the median's powers found by address."""
    assert BLOCK.last_commit is not None
    slots = list(BLOCK.last_commit.signatures)
    slots[index] = replace(slots[index], **changes)
    commit = replace(BLOCK.last_commit, signatures=tuple(slots))
    for time_ns in {slot.timestamp_ns for slot in slots}:
        with pytest.raises(InvalidBlock):
            validate_block(STATE, rehashed(replace(BLOCK, last_commit=commit), time_ns=time_ns))


def test_a_proposer_cannot_add_signatures_of_another_block() -> None:
    """CVE-2020-15091: signatures for another block id in a commit halted those who re-verified it."""
    other = SIGNERS.vote(0, block_id("other"))
    commit = SIGNERS.commit(STATE.last_block_id)
    forged = replace(commit, signatures=(other.commit_sig(), *commit.signatures[1:]))
    with pytest.raises(BadSignature):
        verify_commit(CHAIN_ID, STATE.last_validators, forged, block_id=STATE.last_block_id, height=1)
    with pytest.raises(BadSignature):
        verify_commit_light(
            CHAIN_ID, STATE.last_validators, forged, block_id=STATE.last_block_id, height=1, all_signatures=True
        )


def test_decoding_bounds_what_it_takes() -> None:
    crowd = types_pb2.Commit(signatures=[types_pb2.CommitSig()] * 10_001)
    with pytest.raises(InvalidCommit):
        Commit.decode(crowd.SerializeToString())
    with pytest.raises(Malformed):
        Header.decode(bytes(100_000))


@pytest.mark.parametrize(
    ("limit", "validators", "evidence", "rest"), [(842, 1, 0, 0), (954, 2, 0, 1), (1053, 2, 100, 0)]
)
def test_room_for_transactions(limit: int, validators: int, evidence: int, rest: int) -> None:
    commit_bytes = commit_bytes_max([Ed25519PubKey(bytes([at]) * 32) for at in range(validators)])
    assert max_data_bytes(limit, commit_bytes=commit_bytes, evidence_bytes=evidence) == rest
    with pytest.raises(InvalidBlock):
        max_data_bytes(limit - rest - 1, commit_bytes=commit_bytes, evidence_bytes=evidence)


# ------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("0001-01-01T00:00:00Z", ZERO_TIME_NS),
        ("1970-01-01T00:00:00Z", 0),
        ("2020-01-01T00:00:00.005Z", 1577836800005000000),
        ("9999-12-31T23:59:59.999999999Z", 253402300799999999999),
        ("1969-12-31T23:59:59.9Z", -100000000),
    ],
)
def test_times_as_text(text: str, time_ns: int) -> None:
    assert parse_rfc3339(text) == time_ns
    assert format_rfc3339(time_ns) == text


@given(TIMES)
def test_times_read_back(time_ns: int) -> None:
    assert parse_rfc3339(format_rfc3339(time_ns)) == time_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2020-01-01",
        "2020-01-01T00:00:00",
        "2020-01-01T00:00:00+00:00",
        "2020-02-30T00:00:00Z",
        "2020-01-01T24:00:00Z",
        "٢020-01-01T00:00:00Z",
    ],
)
def test_texts_that_are_no_times(text: str) -> None:
    with pytest.raises(Malformed):
        parse_rfc3339(text)
