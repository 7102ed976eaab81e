"""Protobuf's wire format for records that are written often: the same bytes as the generated code, by concatenation.

Canonical: fields in order, defaults left out. A test compares each record with its generated class.
Source: the protobuf encoding specification.
"""

from __future__ import annotations

from typing import Final

from crypto.hash import uvarint

UINT64_MAX: Final = (1 << 64) - 1

_SHORT: Final = tuple(uvarint(value) for value in range(0x4000))  # lengths and small counters: one or two bytes


def varint(value: int) -> bytes:
    """value: 0 to 2**64 - 1."""
    return _SHORT[value] if value < 0x4000 else uvarint(value)


def uint_field(tag: bytes, value: int) -> bytes:
    """tag: the field's key with wire type 0. Nothing for 0."""
    return tag + varint(value) if value else b""


def bytes_field(tag: bytes, value: bytes) -> bytes:
    """tag: the field's key with wire type 2. Nothing for empty bytes."""
    return tag + varint(len(value)) + value if value else b""


def message_field(tag: bytes, value: bytes) -> bytes:
    """A sub-message that is present, empty or not."""
    return tag + varint(len(value)) + value


def height_bytes(height: int) -> bytes:
    """8 bytes, big-endian: keys of heights and indices sort as numbers."""
    return height.to_bytes(8, "big")
