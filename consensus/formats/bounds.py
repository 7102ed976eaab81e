"""What a block of so many bytes may hold: looked at on its bytes, before any object is made of them.

A byte bound alone lets a block of 10 MiB carry a million pieces of evidence or five million empty transactions, each an
object that costs hundreds of bytes and microseconds. So the fields are counted first, by keys and lengths alone, and
what cannot be part of a valid block ends there. Every bound follows from the chain: its parameters, the size of a
validator set, the application's smallest transaction. Encodings that no implementation writes (a piece told twice,
groups, dozens of unknown fields or long ones) are refused too: they are the way around such a count.
Source: protobuf encoding specification; CometBFT v0.38, spec/core/data_structures.md, types/block.go (MaxDataBytes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from consensus.formats.errors import InvalidBlock, Malformed

HEADER: Final = 0x0A  # keys of a block's pieces: field number and wire type
DATA: Final = 0x12
EVIDENCE: Final = 0x1A
LAST_COMMIT: Final = 0x22
_TX: Final = 0x0A  # of Data
_EVIDENCE_ITEM: Final = 0x0A  # of EvidenceList
COMMIT_SIGNATURE: Final = 0x22  # of Commit and of ExtendedCommit

EVIDENCE_BYTES_MIN: Final = 128  # a valid one has two addresses, two signatures and a block id: some more than that
OTHER_FIELDS_MAX: Final = 64  # beside those that are counted: known ones, and what later versions may add
OTHER_BYTES_MAX: Final = 1_024  # of them together: nobody pays for them, and everybody stores them for ever
COMMIT_BYTES: Final = 94  # of a commit without signatures, at most
LAST_ONE_BYTE_LENGTH: Final = 127  # of a varint
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def commit_sig_bytes(signature_bytes: int) -> int:
    """What a slot of a commit takes at most, by the size of its signature: 111 with Ed25519's, 3,358 with ML-DSA-65's.

    Beside it are address, flag, time and their keys and lengths; a longer signature has a longer length, twice.
    """
    return signature_bytes + (47 if signature_bytes <= LAST_ONE_BYTE_LENGTH else 49)


@dataclass(frozen=True, slots=True)
class BlockBounds:
    """evidence_bytes: of the encoded list. signatures: of the last commit. tx_bytes_min: of any transaction, from 1.

    commit_bytes: of the last commit; 0: as many as with signatures of 64 bytes.
    """

    evidence_bytes: int
    signatures: int
    tx_bytes_min: int = 1
    commit_bytes: int = 0

    def check(self, data: bytes) -> None:
        """The work is proportional to what the bounds allow, not to `data`. Raises Malformed, InvalidBlock."""
        pieces = split(data)
        start, end = pieces.get(EVIDENCE, (0, 0))
        if end - start > self.evidence_bytes:
            raise InvalidBlock(f"block has {end - start} bytes of evidence, at most {self.evidence_bytes}")
        count_fields(data, (start, end), _EVIDENCE_ITEM, "pieces of evidence", size_min=EVIDENCE_BYTES_MIN)
        start, end = pieces.get(LAST_COMMIT, (0, 0))
        commit_bytes = self.commit_bytes or COMMIT_BYTES + commit_sig_bytes(64) * self.signatures
        if end - start > (most := commit_bytes + OTHER_BYTES_MAX):
            raise InvalidBlock(f"block has a last commit of {end - start} bytes, at most {most}")
        count_fields(data, (start, end), COMMIT_SIGNATURE, "signatures", count_max=self.signatures)
        count_fields(data, pieces.get(DATA, (0, 0)), _TX, "transactions", size_min=self.tx_bytes_min)


def split(data: bytes) -> dict[int, tuple[int, int]]:
    """Where the content of each piece of a block starts and ends, by key. Raises Malformed: a piece told twice."""
    pieces: dict[int, tuple[int, int]] = {}
    others = 0, 0
    for key, start, end in _fields(data, 0, len(data)):
        if key not in {HEADER, DATA, EVIDENCE, LAST_COMMIT}:
            others = _count_other(others, end - start)
        elif key in pieces:
            raise Malformed(f"block: field {key >> 3} is there twice")
        else:
            pieces[key] = start, end
    return pieces


def count_fields(
    data: bytes, span: tuple[int, int], key: int, what: str, *, count_max: int | None = None, size_min: int = 0
) -> int:
    """How many fields of `key` are in `span`. what: they are, in the plural.

    Raises InvalidBlock at the first that is one too many, or has less than `size_min` bytes; Malformed.
    """
    found, others = 0, (0, 0)
    position, end = span
    while position < end:
        if data[position] == key and position + 2 < end and (data[position + 1] < 0x80 or data[position + 2] < 0x80):
            size = data[position + 1]  # in one byte or two, as nearly all are: 0.2 µs instead of 1
            position += 2
            if size >= 0x80:
                size = (size & 0x7F) + (data[position] << 7)
                position += 1
            position += size
        else:
            got, start, position = next(_fields(data, position, end))
            size = position - start
            if got != key:
                others = _count_other(others, size)
                continue
        found += 1
        if size < size_min:
            raise InvalidBlock(f"there are {what} of {size} bytes, at least {size_min}")
        if count_max is not None and found > count_max:
            raise InvalidBlock(f"more than {count_max} {what} in {span[1] - span[0]} bytes")
    if position > end:
        raise Malformed(f"protobuf: field {key >> 3} runs past the end")
    return found


def _count_other(others: tuple[int, int], size: int) -> tuple[int, int]:
    """others: how many there are, and their bytes."""
    count, total = others[0] + 1, others[1] + size
    if count > OTHER_FIELDS_MAX or total > OTHER_BYTES_MAX:
        raise Malformed(
            f"protobuf: more than {OTHER_FIELDS_MAX} fields beside those that are known, or {OTHER_BYTES_MAX} bytes"
        )
    return count, total


def _fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Key, start and end of the content of each field; nothing is copied. Raises Malformed; groups are not read."""
    while position < end:
        key, position = _uvarint(data, position, end)
        wire_type = key & 7
        if wire_type == _BYTES:
            size, position = _uvarint(data, position, end)
        elif wire_type == _VARINT:
            _, after = _uvarint(data, position, end)
            size = after - position
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise Malformed(f"protobuf: field {key >> 3} has wire type {wire_type}")
        if position + size > end:
            raise Malformed(f"protobuf: field {key >> 3} runs past the end")
        yield key, position, position + size
        position += size


def _uvarint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Value, and where it ends."""
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise Malformed("protobuf: a varint that is cut off, or of more than ten bytes")
