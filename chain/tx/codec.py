"""Protobuf's wire format for records that are written often: the same bytes as the generated code, by concatenation.

Canonical: fields in order, defaults left out. A test compares each record with its generated class. A number that its
field cannot hold is refused where it is written: a decoder would cut it, and a node that restarts would hold another
number than one that did not. So are negative ones.
Source: the protobuf encoding specification.
"""

from __future__ import annotations

from typing import Final

from chain.tx.errors import NumberTooWide
from consensus.formats.wire import bytes_field, message_field
from crypto.hash import SHORT_UVARINTS, uvarint

__all__ = [
    "UINT32_MAX",
    "UINT64_MAX",
    "bytes_field",
    "height_bytes",
    "message_field",
    "uint32_field",
    "uint_field",
    "varint",
]

UINT32_MAX: Final = (1 << 32) - 1
UINT64_MAX: Final = (1 << 64) - 1


def varint(value: int) -> bytes:
    """value: 0 to 2**64 - 1. Raises: NumberTooWide."""
    if not 0 <= value <= UINT64_MAX:
        raise NumberTooWide(f"{value}, allowed: 0 to {UINT64_MAX}")
    return uvarint(value)


def uint_field(tag: bytes, value: int) -> bytes:
    """tag: the field's key with wire type 0. Nothing for 0. Raises: NumberTooWide."""
    if 0 < value < 0x4000:
        return tag + SHORT_UVARINTS[value]
    if 0 <= value <= UINT64_MAX:
        return tag + uvarint(value) if value else b""
    raise NumberTooWide(f"{value}, allowed: 0 to {UINT64_MAX}")


def uint32_field(tag: bytes, value: int) -> bytes:
    """As `uint_field`, of a field of 32 bits."""
    if value > UINT32_MAX:
        raise NumberTooWide(f"{value}, allowed: 0 to {UINT32_MAX}")
    return uint_field(tag, value)


def height_bytes(height: int) -> bytes:
    """8 bytes, big-endian: keys of heights and indices sort as numbers."""
    return height.to_bytes(8, "big")
