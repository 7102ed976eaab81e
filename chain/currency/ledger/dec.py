"""Fixed point: a Dec is an int in units of 10^-18. Each rounding has its name: consensus rests on which is used.

`mul` and `quo` round half to even at the last digit; `*_trunc` towards 0; `*_up` away from it. A Dec times an int is
plain `*` and exact; a Dec by an int is plain `//` for what is not negative.
Source: cosmossdk.io/math v1.5.0, LegacyDec.
"""

from __future__ import annotations

from typing import Final

DIGITS: Final = 18
ONE: Final = 10**DIGITS


def mul(a: int, b: int) -> int:
    """a * b, half to even."""
    return _half_even(a * b, ONE)


def mul_trunc(a: int, b: int) -> int:
    """a * b, towards 0."""
    product = a * b
    return product // ONE if product >= 0 else -(-product // ONE)


def quo(a: int, b: int) -> int:
    """a / b: cut at 36 digits, then half to even at 18."""
    return _half_even(_cut(a * ONE * ONE, b), ONE)


def quo_trunc(a: int, b: int) -> int:
    """a / b, towards 0."""
    return _cut(a * ONE, b)


def quo_up(a: int, b: int) -> int:
    """a / b of what is not negative: cut at 36 digits, then upwards at 18."""
    assert a >= 0, a
    assert b > 0, b
    return -(-(a * ONE * ONE // b) // ONE)


def half_even(a: int) -> int:
    """The nearest whole number, of two the even one."""
    return _half_even(a, ONE)


def _cut(a: int, b: int) -> int:
    return a // b if (a >= 0) == (b > 0) else -(-a // b) if b > 0 else -(a // -b)


def _half_even(a: int, b: int) -> int:
    """a / b for b above 0."""
    whole, rest = divmod(abs(a), b)
    twice = rest * 2
    if twice > b or (twice == b and whole & 1):
        whole += 1
    return whole if a >= 0 else -whole


def parse(text: str) -> int:
    """From digits with at most one point and 18 places. Raises: ValueError."""
    whole, point, places = text.partition(".")
    digits = whole + places
    well_formed = 0 < len(digits) <= 60 and all("0" <= char <= "9" for char in digits)
    if not well_formed or not whole or (point and not places) or len(places) > DIGITS:
        raise ValueError(f"{text[:80]!r}; allowed: digits with at most {DIGITS} places after a point")
    return int(whole) * ONE + int((places + "0" * DIGITS)[:DIGITS])


def text(a: int) -> str:
    """The shortest that `parse` reads back: 0.05, 12, 1.5."""
    sign, a = ("-", -a) if a < 0 else ("", a)
    whole, places = divmod(a, ONE)
    shown = str(places).zfill(DIGITS)
    while shown and shown[-1] == "0":
        shown = shown[:-1]
    return f"{sign}{whole}.{shown}" if shown else f"{sign}{whole}"


def to_bytes(a: int) -> bytes:
    """As records keep it: big-endian, without leading zeros; empty for 0."""
    return a.to_bytes((a.bit_length() + 7) // 8, "big")


def from_bytes(stored: bytes) -> int:
    return int.from_bytes(stored, "big")
