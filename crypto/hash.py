"""The hash functions of the protocol, under one name each.

Promises: pure; equal input, equal output on every platform. RIPEMD-160 is computed here when the OpenSSL under
Python does not offer it (OpenSSL 3 without its legacy provider).
Source: FIPS 180-4; the RIPEMD-160 paper by Dobbertin, Bosselaers and Preneel.
"""

from __future__ import annotations

import hashlib
from typing import Final

HASH_BYTES: Final = 32
ADDRESS_BYTES: Final = 20


def sha256(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


EMPTY_HASH: Final = sha256(b"")  # the Merkle root of an empty list


def uvarint(value: int) -> bytes:
    """Base-128 little-endian encoding of an unsigned integer (protobuf's and Go's `Uvarint`)."""
    if value < 0x4000:
        assert value >= 0, value
        return SHORT_UVARINTS[value]
    out = _MORE[value & 0x3FFF]
    value >>= 14
    while value >= 0x4000:
        out += _MORE[value & 0x3FFF]
        value >>= 14
    return out + SHORT_UVARINTS[value]


# Fourteen bits at a time, which takes half as long as seven: what ends a number, in one byte or two, and what stands
# before that. Who writes many fields looks a short number up here.
SHORT_UVARINTS: Final = tuple(bytes((v,)) if v < 0x80 else bytes((v & 0x7F | 0x80, v >> 7)) for v in range(0x4000))
_MORE: Final = tuple(bytes((v & 0x7F | 0x80, v >> 7 | 0x80)) for v in range(0x4000))

# Message word orders, rotations and constants of the two lines, five rounds of 16 steps each.
_LEFT_WORDS: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8),
    (3, 10, 14, 4, 9, 15, 8, 1, 2, 7, 0, 6, 13, 11, 5, 12),
    (1, 9, 11, 10, 0, 8, 12, 4, 13, 3, 7, 15, 14, 5, 6, 2),
    (4, 0, 5, 9, 7, 12, 2, 10, 14, 1, 3, 8, 11, 6, 15, 13),
)
_RIGHT_WORDS: Final = (
    (5, 14, 7, 0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12),
    (6, 11, 3, 7, 0, 13, 5, 10, 14, 15, 8, 12, 4, 9, 1, 2),
    (15, 5, 1, 3, 7, 14, 6, 9, 11, 8, 12, 2, 10, 0, 4, 13),
    (8, 6, 4, 1, 3, 11, 15, 0, 5, 12, 2, 13, 9, 7, 10, 14),
    (12, 15, 10, 4, 1, 5, 8, 7, 6, 2, 13, 14, 0, 3, 9, 11),
)
_LEFT_SHIFTS: Final = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (7, 6, 8, 13, 11, 9, 7, 15, 7, 12, 15, 9, 11, 7, 13, 12),
    (11, 13, 6, 7, 14, 9, 13, 15, 14, 8, 13, 6, 5, 12, 7, 5),
    (11, 12, 14, 15, 14, 15, 9, 8, 9, 14, 5, 6, 8, 6, 5, 12),
    (9, 15, 5, 11, 6, 8, 13, 12, 5, 12, 13, 14, 11, 8, 5, 6),
)
_RIGHT_SHIFTS: Final = (
    (8, 9, 9, 11, 13, 15, 15, 5, 7, 7, 8, 11, 14, 14, 12, 6),
    (9, 13, 15, 7, 12, 8, 9, 11, 7, 7, 12, 7, 6, 15, 13, 11),
    (9, 7, 15, 11, 8, 6, 6, 14, 12, 13, 5, 14, 13, 13, 7, 5),
    (15, 5, 8, 11, 14, 14, 6, 14, 6, 9, 12, 9, 12, 5, 15, 8),
    (8, 5, 12, 9, 12, 5, 14, 6, 8, 13, 6, 5, 15, 13, 11, 11),
)
_LEFT_CONSTANTS: Final = (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_CONSTANTS: Final = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000)
_MASK: Final = 0xFFFFFFFF


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160 of `data`, 20 bytes."""
    try:
        return hashlib.new("ripemd160", data).digest()
    except ValueError:
        return ripemd160_portable(data)


def ripemd160_portable(data: bytes) -> bytes:
    """RIPEMD-160 without OpenSSL."""
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + (8 * len(data)).to_bytes(8, "little")
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
    for start in range(0, len(padded), 64):
        block = tuple(int.from_bytes(padded[i : i + 4], "little") for i in range(start, start + 64, 4))
        left = _ripemd_line(state, block, _LEFT_WORDS, _LEFT_SHIFTS, _LEFT_CONSTANTS, (0, 1, 2, 3, 4))
        right = _ripemd_line(state, block, _RIGHT_WORDS, _RIGHT_SHIFTS, _RIGHT_CONSTANTS, (4, 3, 2, 1, 0))
        state = (
            (state[1] + left[2] + right[3]) & _MASK,
            (state[2] + left[3] + right[4]) & _MASK,
            (state[3] + left[4] + right[0]) & _MASK,
            (state[4] + left[0] + right[1]) & _MASK,
            (state[0] + left[1] + right[2]) & _MASK,
        )
    return b"".join(word.to_bytes(4, "little") for word in state)


_State = tuple[int, int, int, int, int]
_Table = tuple[tuple[int, ...], ...]


def _ripemd_line(
    state: _State,
    block: tuple[int, ...],
    words: _Table,
    shifts: _Table,
    constants: tuple[int, ...],
    functions: tuple[int, ...],
) -> _State:
    a, b, c, d, e = state
    for number in range(5):
        for word, shift in zip(words[number], shifts[number], strict=True):
            mixed = a + _ripemd_function(functions[number], b, c, d) + block[word] + constants[number]
            a, b, c, d, e = e, (_rotate(mixed & _MASK, shift) + e) & _MASK, b, _rotate(c, 10), d
    return a, b, c, d, e


def _ripemd_function(number: int, x: int, y: int, z: int) -> int:
    match number:
        case 0:
            return x ^ y ^ z
        case 1:
            return x & y | ~x & _MASK & z
        case 2:
            return (x | ~y & _MASK) ^ z
        case 3:
            return x & z | y & ~z & _MASK
        case _:
            return x ^ (y | ~z & _MASK)


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _MASK
