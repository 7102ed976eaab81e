"""Fixed point: each rounding by its definition, on exact fractions. Staking sheet, section 0."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE

DECS = st.integers(-(10**40), 10**40)
POSITIVE = st.integers(1, 10**40)


def nearest_even(exact: Fraction) -> int:
    return round(exact)  # Python's own: half to even on exact fractions


def towards_zero(exact: Fraction) -> int:
    return int(exact)


@given(DECS, DECS)
def test_products(a: int, b: int) -> None:
    exact = Fraction(a * b, ONE)
    assert dec.mul(a, b) == nearest_even(exact)
    assert dec.mul_trunc(a, b) == towards_zero(exact)


@given(DECS, st.one_of(POSITIVE, st.integers(-(10**40), -1)))
def test_quotients(a: int, b: int) -> None:
    assert dec.quo(a, b) == nearest_even(Fraction(towards_zero(Fraction(a * ONE * ONE, b)), ONE))
    assert dec.quo_trunc(a, b) == towards_zero(Fraction(a * ONE, b))


@given(st.integers(0, 10**40), POSITIVE)
def test_quotient_upwards(a: int, b: int) -> None:
    exact = Fraction(a * ONE * ONE // b, ONE)
    assert dec.quo_up(a, b) == -(-exact.numerator // exact.denominator)


@given(DECS)
def test_whole_numbers(a: int) -> None:
    assert dec.half_even(a) == nearest_even(Fraction(a, ONE))


@given(st.integers(0, 10**40))
def test_text_and_bytes_come_back(a: int) -> None:
    assert dec.parse(dec.text(a)) == a
    assert dec.from_bytes(dec.to_bytes(a)) == a


@pytest.mark.parametrize(("text", "value"), [
    ("0", 0), ("1", ONE), ("0.05", ONE // 20), ("00.5", ONE // 2), ("12.000000000000000001", 12 * ONE + 1),
])  # fmt: skip
def test_parsed(text: str, value: int) -> None:
    assert dec.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "-1", "1e3", "1_0", " 1", "1.0000000000000000001", "١", "1" * 70]
)
def test_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        dec.parse(text)


def test_shown_short() -> None:
    assert [dec.text(a) for a in (0, ONE, ONE // 20, -ONE // 2, 1)] == [
        "0",
        "1",
        "0.05",
        "-0.5",
        "0.000000000000000001",
    ]
