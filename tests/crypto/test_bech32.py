"""Addresses as text: BIP-173 and its own examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import bech32
from crypto.bech32 import InvalidAddress


@pytest.mark.parametrize(
    ("text", "prefix", "data"),
    [
        ("A12UEL5L", "a", ""),
        ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef", "00443214c74254b635cf84653a56d7c675be77df"),
        (
            "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
            "split",
            "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d",
        ),
    ],
)
def test_examples_of_the_proposal(text: str, prefix: str, data: str) -> None:
    assert bech32.decode(text) == (prefix, bytes.fromhex(data))
    assert bech32.encode(prefix, bytes.fromhex(data)) == text.lower()


@given(st.binary(min_size=20, max_size=20))
def test_addresses_read_back(address: bytes) -> None:
    text = bech32.encode_address(address)
    assert text == bech32.encode("dchat", address)
    assert len(text) == 44
    assert bech32.decode_address(text) == address
    assert bech32.decode_address(text.upper()) == address


GOOD = bech32.encode_address(bytes(range(20)))


@given(st.integers(6, len(GOOD) - 1), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_wrong_character_is_found(position: int, char: str) -> None:
    changed = GOOD[:position] + char + GOOD[position + 1 :]
    if changed != GOOD:
        with pytest.raises(InvalidAddress):
            bech32.decode_address(changed)


@given(st.integers(0, len(GOOD) - 1), st.one_of(st.sampled_from("_ +-1ibo0QP\u0663\uff11"), st.characters()))
def test_the_short_way_takes_nothing_that_the_general_way_refuses(position: int, char: str) -> None:
    """What `int` reads as digits of its own (signs, spaces, underscores, other alphabets) is no address."""
    changed = GOOD[:position] + char + GOOD[position + 1 :]
    if changed != GOOD:
        with pytest.raises(InvalidAddress):
            bech32.decode_address(changed)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("dchat", id="no separator"),
        pytest.param("1" + GOOD[6:], id="no prefix"),
        pytest.param(GOOD[:6] + GOOD[6:].upper(), id="mixed case"),
        pytest.param(GOOD.replace("1", "2", 1), id="other separator"),
        pytest.param(GOOD[:-1] + "b", id="outside the alphabet"),
        pytest.param(GOOD + " ", id="space"),
        pytest.param("dchat1" + "q" * 90, id="too long"),
        pytest.param("pzry9x0s0muk", id="example: no separator"),
        pytest.param("A1G7SGD8", id="example: checksum of the upper-case prefix"),
        pytest.param(bech32.encode("cosmos", bytes(20)), id="another chain's"),
        pytest.param(bech32.encode("dchat", bytes(32)), id="another size"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        bech32.decode_address(text)
