"""Protobuf bytes written by hand, where a message is encoded often or its pieces are already encoded.

Promises: fields in the order written, zero scalars and empty bytes omitted, negative integers as ten-byte varints,
as every protobuf encoder does. A tag is the field's literal key byte. Reading is left to the protobuf library.
Source: protobuf encoding specification; CometBFT v0.38, spec/core/encoding.md.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from consensus.formats.errors import Malformed
from crypto.hash import SHORT_UVARINTS, uvarint

M = TypeVar("M", bound=Message)

_UINT64: Final = 1 << 64
LENGTH_DELIMITED: Final = 2  # a wire type: bytes, text, a message
FIXED_BYTES: Final = {1: 8, 5: 4}  # by wire type
SLICE_BYTES: Final = 131_072  # parsed in a row: 1 ms
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)


def varint(value: int) -> bytes:
    """A signed integer as protobuf's int32/int64 varint."""
    return uvarint(value if value >= 0 else value + _UINT64)


def int_field(tag: bytes, value: int) -> bytes:
    """Nothing for 0."""
    if 0 < value < 0x4000:
        return tag + SHORT_UVARINTS[value]
    return tag + varint(value) if value else b""


def bytes_field(tag: bytes, value: bytes) -> bytes:
    """Nothing when empty."""
    return tag + (SHORT_UVARINTS[n] if (n := len(value)) < 0x4000 else uvarint(n)) + value if value else b""


def message_field(tag: bytes, encoded: bytes) -> bytes:
    """Always written, also when empty."""
    return tag + (SHORT_UVARINTS[n] if (n := len(encoded)) < 0x4000 else uvarint(n)) + encoded


def parse_ours(message: M, data: bytes, start: int = 0, end: int | None = None) -> Generator[None, None, M]:
    """Parse into `message` what we encoded or checked ourselves, in slices: fields that are whole, and no groups.

    Not all are known: a block's proposer may have added some (`consensus.formats.bounds`).
    """
    end = len(data) if end is None else end
    at = begun = start
    while at < end:
        wire_type = data[at] & 7
        while data[at] >= 0x80:
            at += 1
        at += 1
        if wire_type in FIXED_BYTES:
            at += FIXED_BYTES[wire_type]
        else:
            size = shift = 0
            while (byte := data[at]) >= 0x80:
                size |= (byte & 0x7F) << shift
                shift += 7
                at += 1
            at += 1
            if wire_type == LENGTH_DELIMITED:
                at += size | byte << shift
        if at - begun >= SLICE_BYTES and at < end:
            message.MergeFromString(data[begun:at])
            begun = at
            yield
    message.MergeFromString(data[begun:end])
    return message


def parse(message_type: type[M], data: bytes, *, bytes_max: int, what: str) -> M:
    """Parse `data`, at most `bytes_max` of it. Raises Malformed."""
    if len(data) > bytes_max:
        raise Malformed(f"{what}: {len(data)} bytes, at most {bytes_max}")
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise Malformed(f"{what}: not protobuf of its type: {error}") from error
