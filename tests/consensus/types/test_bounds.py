"""A block's bytes cost what its bounds allow, whatever is in them: nothing is made before they are looked at."""

from __future__ import annotations

import contextlib
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.formats.bounds import (
    DATA,
    EVIDENCE,
    EVIDENCE_BYTES_MIN,
    HEADER,
    LAST_COMMIT,
    OTHER_FIELDS_MAX,
    count_fields,
)
from consensus.formats.errors import InvalidBlock, InvalidData, Malformed
from consensus.formats.wire import message_field
from consensus.types import block as block_module
from consensus.types.block import Block, BlockBounds, Data
from consensus.types.evidence import DuplicateVoteEvidence, encode_evidence_list
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.vote import PREVOTE, Vote
from tests.support.types.recorded_chain import chain

SIZE = 1_000_000
BOUNDS = BlockBounds(evidence_bytes=100_000, signatures=4, tx_bytes_min=128)
HELD_PER_BYTE = 2  # of memory, where a byte became 80
EMPTY_VOTES = b"\x0a\x06\x0a\x04\x0a\x00\x12\x00"  # evidence of two votes that say nothing
HEADER_PIECE = message_field(b"\x0a", b"")


def piece(key: int, content: bytes) -> bytes:
    return message_field(bytes([key]), content)


def nested(keys: bytes, content: bytes) -> bytes:
    for key in reversed(keys):
        content = piece(key, content)
    return content


def light_attack(signatures: bytes) -> bytes:
    """An evidence list with one piece, whose conflicting block has these slots of no validators."""
    signed = piece(0x0A, piece(0x0A, b"") + piece(0x12, signatures))
    return nested(b"\x0a\x12\x0a", signed + piece(0x12, b""))


HOSTILE: dict[str, bytes] = {
    "evidence": piece(EVIDENCE, EMPTY_VOTES * (SIZE // 8)),
    "a little evidence, within its bytes": piece(EVIDENCE, EMPTY_VOTES * (BOUNDS.evidence_bytes // 8)),
    "pieces of evidence that are empty": piece(EVIDENCE, b"\x0a\x00" * (SIZE // 2)),
    "empty transactions": piece(DATA, b"\x0a\x00" * (SIZE // 2)),
    "short transactions": piece(DATA, b"\x0a\x01x" * (SIZE // 3)),
    "short transactions behind a long one": piece(DATA, piece(0x0A, bytes(SIZE // 2)) + b"\x0a\x01x" * (SIZE // 6)),
    "transactions with long lengths": piece(DATA, b"\x0a\x80\x80\x00" * (SIZE // 4)),
    "signatures": piece(LAST_COMMIT, b"\x22\x00" * (SIZE // 2)),
    "signatures in evidence": piece(EVIDENCE, light_attack(b"\x22\x00" * 45_000)),
    "unknown fields": b"\x28\x00" * (SIZE // 2),
    "unknown fields among transactions": piece(DATA, b"\x28\x00" * (SIZE // 2)),
    "unknown fields in a commit": piece(LAST_COMMIT, b"\x38\x00" * (SIZE // 2)),
    "a long unknown field": piece(0x2A, bytes(SIZE)),
    "a long unknown field among transactions": piece(DATA, piece(0x2A, bytes(SIZE))),
    "a long unknown field beside evidence": piece(EVIDENCE, piece(0x2A, bytes(BOUNDS.evidence_bytes - 10))),
    "a long unknown field in a commit": piece(LAST_COMMIT, piece(0x2A, bytes(SIZE))),
    "a long unknown field in a signature": piece(LAST_COMMIT, piece(0x22, piece(0x2A, bytes(SIZE)))),
    "empty groups": b"\x2b\x2c" * (SIZE // 2),
    "groups in groups": b"\x2b" * SIZE,
    "the header again and again": piece(HEADER, b"") * (SIZE // 2),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_no_valid_block_holds_is_refused_at_a_cost_in_proportion_to_its_bytes(content: bytes) -> None:
    """audit 21: a byte of a proposed block became 80 bytes of objects, and a microsecond and a half of the loop."""
    raw = content if content.startswith(HEADER_PIECE) else HEADER_PIECE + content
    tracemalloc.start()
    try:
        with pytest.raises(InvalidData):
            Block.decode(raw, bounds=BOUNDS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= HELD_PER_BYTE * len(raw)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "signatures in evidence"])
def test_it_is_not_even_parsed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: the library makes 36 bytes of a byte before anybody can count."""

    def never(*args: object, **options: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(block_module, "parse", never)
    with pytest.raises(InvalidData):
        Block.decode(HEADER_PIECE * (not HOSTILE[name].startswith(HEADER_PIECE)) + HOSTILE[name], bounds=BOUNDS)


def test_the_slots_of_a_light_block_are_no_more_than_its_validators() -> None:
    """audit 21: a slot can be two bytes long, in evidence too."""
    with pytest.raises(InvalidBlock, match="signatures of 0 validators"):
        Block.decode(HEADER_PIECE + HOSTILE["signatures in evidence"], bounds=BOUNDS)


def test_the_least_evidence_that_is_valid_fits_however_much_of_it() -> None:
    def evidence(height: int) -> DuplicateVoteEvidence:
        first = Vote(PREVOTE, height, 0, NIL_BLOCK_ID, 0, bytes(20), 0, b"s")
        second = replace(first, block_id=BlockID(b"h" * 32, PartSetHeader(1, b"p" * 32)))
        return DuplicateVoteEvidence(first, second, 1, 1, 0)

    items = [evidence(height) for height in range(1, 101)]
    for item in items:
        item.validate()
    listed = encode_evidence_list(items)
    assert len(listed) > 100 * EVIDENCE_BYTES_MIN
    raw = HEADER_PIECE + piece(EVIDENCE, listed)
    assert len(Block.decode(raw, bounds=replace(BOUNDS, evidence_bytes=len(listed))).evidence) == 100
    with pytest.raises(InvalidBlock, match="bytes of evidence, at most"):
        Block.decode(raw, bounds=replace(BOUNDS, evidence_bytes=len(listed) - 1))


def test_a_block_full_of_the_smallest_transactions_fits() -> None:
    data = Data((bytes(128),) * 5_000)
    assert Block.decode(HEADER_PIECE + piece(DATA, data.encode()), bounds=BOUNDS).data == data


def test_every_recorded_block_of_cometbft_is_within_its_bounds() -> None:
    for h in chain().heights:
        raw = h.block.encode()
        assert Block.decode(raw, bounds=h.before.block_bounds(1)) == h.block
        assert Block.decode_header(raw) == h.block.header


@given(st.lists(st.binary(max_size=300)), st.integers(0, 3))
def test_fields_are_counted_as_protobuf_does(items: list[bytes], others: int) -> None:
    data = Data(tuple(items)).encode() + b"\x28\x01" * others
    span = (0, len(data))
    assert count_fields(data, span, 0x0A, "items", count_max=len(items)) == len(items)
    if items:
        with pytest.raises(InvalidBlock, match=r"more than \d+ items"):
            count_fields(data, span, 0x0A, "items", count_max=len(items) - 1)
        with pytest.raises(Malformed):
            count_fields(data, (0, len(data) - 1 - 2 * others), 0x0A, "items")


def test_each_has_its_least_size_however_few_there_are() -> None:
    for key, size in ((DATA, BOUNDS.tx_bytes_min), (EVIDENCE, EVIDENCE_BYTES_MIN)):
        BOUNDS.check(HEADER_PIECE + piece(key, piece(0x0A, bytes(size))))
        for less in (0, 1, size - 1):
            with pytest.raises(InvalidBlock, match=f"of {less} bytes, at least {size}"):
                BOUNDS.check(HEADER_PIECE + piece(key, piece(0x0A, bytes(size)) + piece(0x0A, bytes(less))))


@given(st.binary(max_size=200))
def test_noise_is_refused_or_counted(noise: bytes) -> None:
    with contextlib.suppress(InvalidData):
        Block.decode_header(noise)
    with contextlib.suppress(InvalidData):
        Block.decode(noise, bounds=BOUNDS)


def test_a_few_fields_of_later_versions_are_read_over() -> None:
    later = b"\x28\x01" + b"\x35" + bytes(4) + b"\x39" + bytes(8) + piece(0x42, b"x")
    assert Block.decode(HEADER_PIECE + later, bounds=BOUNDS) == Block.decode(HEADER_PIECE)
    with pytest.raises(Malformed, match="beside those that are known"):
        Block.decode(HEADER_PIECE + b"\x28\x01" * (OTHER_FIELDS_MAX + 1), bounds=BOUNDS)
