"""Addresses of accounts as text: bech32 with the prefix `dchat`.

The checksum finds any four wrong characters; mixed case is refused, and encoding is always lower case.
Source: BIP-173.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from typing import Final

from crypto.errors import CryptoError
from crypto.hash import ADDRESS_BYTES

ADDRESS_PREFIX: Final = "dchat"
TEXT_CHARS_MAX: Final = 90  # BIP-173's: beyond it the checksum's promise does not hold

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARS: Final = 6


class InvalidAddress(CryptoError):
    """Text that is no address of ours."""


def encode_address(address: bytes) -> str:
    """20 bytes as `dchat1...`: `encode`, by tables, since every payment's event names two."""
    assert len(address) == ADDRESS_BYTES, len(address)
    check = _CHECK_OF_ZEROS
    for table, byte in zip(_CHECK_OF_BYTE, address, strict=True):
        check ^= table[byte]
    number = int.from_bytes(address, "big") << 5 * _CHECKSUM_CHARS | check
    return _ADDRESS_START + "".join([_TWO_CHARS[number >> shift & 0x3FF] for shift in _TWO_CHARS_AT])


def decode_address(text: str) -> bytes:
    """The 20 bytes of a `dchat1...` address. Raises InvalidAddress."""
    address = _as_written(text)
    if address is not None:
        return address
    prefix, data = decode(text)
    if prefix != ADDRESS_PREFIX:
        raise InvalidAddress(f"address {text!r} starts with {prefix!r}, expected {ADDRESS_PREFIX!r}")
    if len(data) != ADDRESS_BYTES:
        raise InvalidAddress(f"address {text!r} holds {len(data)} bytes, expected {ADDRESS_BYTES}")
    return data


def _as_written(text: str) -> bytes | None:
    """The address that is written just so; None: it is none, or is written otherwise. In a third of `decode`'s time."""
    if len(text) != _ADDRESS_CHARS or not text.startswith(_ADDRESS_START):
        return None
    try:
        address = int(text[len(_ADDRESS_START) : -_CHECKSUM_CHARS].translate(_DIGITS), 32).to_bytes(
            ADDRESS_BYTES, "big"
        )
    except (ValueError, OverflowError):
        return None
    return address if encode_address(address) == text else None


def encode(prefix: str, data: bytes) -> str:
    """Bech32 of `data` under a lower-case ASCII prefix."""
    groups = _to_groups(data)
    check = _polymod([*_expand(prefix), *groups, *(0,) * _CHECKSUM_CHARS]) ^ 1
    groups += [check >> 5 * (_CHECKSUM_CHARS - 1 - i) & 31 for i in range(_CHECKSUM_CHARS)]
    return prefix + "1" + "".join(_ALPHABET[group] for group in groups)


def decode(text: str) -> tuple[str, bytes]:
    """Prefix and data. Raises InvalidAddress: case, length, alphabet, checksum or padding."""
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidAddress(f"address has {len(text)} characters, at most {TEXT_CHARS_MAX}")
    if not all(33 <= ord(char) <= 126 for char in text):
        raise InvalidAddress(f"address {text!r} has characters outside printable ASCII")
    if text != text.lower() and text != text.upper():
        raise InvalidAddress(f"address {text!r} mixes upper and lower case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < _CHECKSUM_CHARS:
        raise InvalidAddress(f"address {text!r} has no prefix, separator '1' and checksum")
    unknown = [char for char in rest if char not in _VALUES]
    if unknown:
        raise InvalidAddress(f"address {text!r} has {unknown[0]!r}, which bech32 does not use")
    groups = [_VALUES[char] for char in rest]
    if _polymod([*_expand(prefix), *groups]) != 1:
        raise InvalidAddress(f"address {text!r}: the checksum does not match")
    return prefix, _from_groups(groups[:-_CHECKSUM_CHARS], text)


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        check = (check & 0x1FFFFFF) << 5 ^ value ^ _FOLDED[check >> 25]
    return check


def _folded(top: int) -> int:
    """What the generator adds for the five bits that are shifted out."""
    return functools.reduce(operator.xor, [_GENERATOR[bit] for bit in range(5) if top >> bit & 1], 0)


_FOLDED: Final = tuple(_folded(top) for top in range(32))


def _expand(prefix: str) -> list[int]:
    return [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]


def _to_groups(data: bytes) -> list[int]:
    """8-bit bytes to 5-bit groups, the last one padded with zero bits."""
    padding = -8 * len(data) % 5
    number = int.from_bytes(data, "big") << padding
    count = (8 * len(data) + padding) // 5
    return [number >> 5 * (count - 1 - i) & 31 for i in range(count)]


def _from_groups(groups: Sequence[int], text: str) -> bytes:
    number = 0
    for group in groups:
        number = number << 5 | group
    padding = 5 * len(groups) % 8
    if padding >= 5 or number & (1 << padding) - 1:
        raise InvalidAddress(f"address {text!r}: padding is not zero bits, fewer than 5")
    return (number >> padding).to_bytes(5 * len(groups) // 8, "big")


# ------------------------------------------------------------------------------ tables of an address
#
# The checksum is linear: that of an address is that of 20 zero bytes, with what each bit changes added by xor.


def _check_of(address: bytes) -> int:
    return _polymod([*_expand(ADDRESS_PREFIX), *_to_groups(address), *(0,) * _CHECKSUM_CHARS]) ^ 1


def _table_of(position: int) -> list[int]:
    """What each value of the byte at `position` changes."""
    table = [0] * 256
    for bit in range(8):
        changes = _check_of(bytes(position) + bytes((1 << bit,)) + bytes(ADDRESS_BYTES - 1 - position))
        for byte in range(1 << bit, 2 << bit):
            table[byte] = table[byte - (1 << bit)] ^ changes ^ _CHECK_OF_ZEROS
    return table


_ADDRESS_START: Final = ADDRESS_PREFIX + "1"
_ADDRESS_CHARS: Final = len(_ADDRESS_START) + 8 * ADDRESS_BYTES // 5 + _CHECKSUM_CHARS
_DIGITS: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # as `int` reads them
_CHECK_OF_ZEROS: Final = _check_of(bytes(ADDRESS_BYTES))
_CHECK_OF_BYTE: Final = tuple(_table_of(position) for position in range(ADDRESS_BYTES))
_TWO_CHARS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_TWO_CHARS_AT: Final = tuple(range(8 * ADDRESS_BYTES + 5 * _CHECKSUM_CHARS - 10, -1, -10))
