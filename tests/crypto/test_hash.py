"""Hashes against published values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hash import EMPTY_HASH, ripemd160, ripemd160_portable, uvarint


def test_the_hash_of_nothing() -> None:
    assert EMPTY_HASH.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "12a053384a9c0c88e405a06c27dcf49ada62eb2b"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
    ],
)
def test_ripemd160_as_its_authors_print_it(data: bytes, digest: str) -> None:
    assert ripemd160_portable(data).hex() == digest
    assert ripemd160(data).hex() == digest


@given(st.integers(0, 2**64 - 1))
def test_uvarint_reads_back(value: int) -> None:
    encoded = uvarint(value)
    assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(encoded)) == value
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80
    assert len(encoded) == max(1, -(-value.bit_length() // 7))
