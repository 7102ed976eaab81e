"""Asking queries of events at hand.

`CASES`: from CometBFT v0.38.26, libs/pubsub/query/query_test.go (Apache 2.0), and the rules of its matching that the
reference sheet names.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.queries.matching import Query, number


def events(*texts: str) -> dict[str, list[str]]:
    """From `type|key=value|key=value`."""
    made: dict[str, list[str]] = {}
    for text in texts:
        kind, *attributes = text.split("|")
        for attribute in attributes:
            key, _, value = attribute.partition("=")
            made.setdefault(f"{kind}.{key}", []).append(value)
    return made


PAYMENTS = events("tm|event=Tx", "transfer|sender=ann|amount=8.045stake", "transfer|sender=bob|amount=20udchat")
HUGE = events("big|value=99999999999999999999", "big|fraction=18446744073709551615.6")

CASES = [
    ("tm.events.type='NewBlock'", events("tm|events.type=NewBlock"), True),
    ("tx.gas > 7", events("tx|gas=8"), True),
    ("tx.gas > 7", events("tx|gas=8stake"), True),
    ("tx.gas > 7", events("tx|gas=8.045"), True),
    ("tx.gas > 7.043", events("tx|gas=8.045stake"), True),
    ("tx.gas > 8.045", events("tx|gas=8.045stake"), False),
    ("tx.gas > 7 AND tx.gas < 9", events("tx|gas=8"), True),
    ("body.weight >= 3.5", events("body|weight=3.5"), True),
    ("account.balance < 1000.0", events("account|balance=900"), True),
    ("apples.kg <= 4", events("apples|kg=4.0"), True),
    ("oranges.kg < 4 AND melons.kg > 10", events("oranges|kg=3", "melons|kg=12"), True),
    ("peaches.kg < 4", events("peaches|kg=5"), False),
    ("peaches.kg = 5", events("peaches|kg=05.0kg"), True),
    ("peaches.kg = '5'", events("peaches|kg=5kg"), False),
    ("peaches.kg > 0", events("peaches|kg=-5"), False),
    ("peaches.kg > 0", events("peaches|kg=+5"), False),
    ("peaches.kg > 0", events("peaches|kg=.5"), False),
    ("peaches.kg > 0", events("peaches|kg="), False),
    ("tx.date > DATE 2017-01-01", events("tx|date=2026-01-01"), True),
    ("tx.date = DATE 2017-01-01", events("tx|date=2017-01-01"), True),
    ("tx.date = DATE 2018-01-01", events("tx|date=2017-01-01"), False),
    ("tx.date = DATE 2018-05-03", events("tx|date=2018-05-03T00:00:00Z"), False),
    ("tx.time >= TIME 2013-05-03T14:45:00Z", events("tx|time=2018-05-03T14:45:00.25+02:00"), True),
    ("tx.time = TIME 2013-05-03T14:45:00Z", events("tx|time=2013-05-03T16:45:00+02:00"), True),
    ("tx.time = TIME 2013-05-03T14:45:00Z", events("tx|time=2018-05-03T14:45:00Z"), False),
    ("abci.owner.name CONTAINS 'Igor'", events("abci|owner.name=Igor|owner.name=Ivan"), True),
    ("abci.owner.name CONTAINS 'Igor'", events("abci|owner.name=Pavel|owner.name=Ivan"), False),
    ("abci.owner.name = 'Ivan' AND abci.owner.name = 'Igor'", events("abci|owner.name=Igor|owner.name=Ivan"), True),
    ("abci.owner.name = 'Ivan' AND abci.owner.name = 'John'", events("abci|owner.name=Igor|owner.name=Ivan"), False),
    ("tm.events.type='NewHeader' AND app.name='x'", events("tm|events.type=NewBlock", "app|name=x"), False),
    ("slash EXISTS", events("slash|reason=missing_signature|power=6000"), True),
    ("slash EXISTS", events("transfer|recipient=ann"), False),
    ("sl EXISTS", events("slash|reason=x"), False),
    ("slash.reason EXISTS AND slash.power > 1000", events("slash|reason=x|power=6000"), True),
    ("slash.reason EXISTS AND slash.power > 1000", events("slash|reason=x|power=500"), False),
    ("slash.reason EXISTS", events("transfer|recipient=ann"), False),
    ("slash = ''", events("slash|reason=x"), True),  # a type's value is the empty text
    ("slash = 'x'", events("slash|reason=x"), False),
    ("abci EXISTS", events("abci|owner.name=x"), False),  # a type is all but the last word
    ("abci.owner EXISTS", events("abci|owner.name=x"), True),
    ("bare EXISTS", {"bare": ["x"]}, False),
    ("tm.event='Tx' AND transfer.sender='ann' AND transfer.amount=20", PAYMENTS, True),  # each by another event
    ("tm.event='Tx' AND transfer.sender='eve'", PAYMENTS, False),
    ("tm.event EXISTS", {}, False),
    ("big.value >= 99999999999999999999", HUGE, True),
    ("big.value > 99999999999999999998.1", HUGE, True),
    ("big.value > 99999999999999999999", HUGE, False),
    ("big.fraction <= 18446744073709551615.6", HUGE, True),
    ("big.fraction < 18446744073709551615.60", HUGE, False),
    ("big.fraction >= 12.5", HUGE, True),
]


@pytest.mark.parametrize(("text", "at_hand", "want"), CASES)
def test_matches(text: str, at_hand: dict[str, list[str]], want: bool) -> None:
    assert Query.parse(text).matches(at_hand) is want


def test_a_query_is_told_by_its_conditions() -> None:
    one, same, other = Query.parse("a = 1  AND b='x'"), Query.parse("a=1 AND b = 'x'"), Query.parse("b='x' AND a=1")
    assert one == same != other
    assert len({one, same, other}) == 2
    assert str(one) == "a = 1 AND b = 'x'"


DECIMALS = st.from_regex(r"[0-9]{1,40}(\.[0-9]{1,40})?", fullmatch=True)


@given(DECIMALS, DECIMALS)
def test_numbers_compare_as_fractions_do(one: str, two: str) -> None:
    first, second = number(one), number(two)
    assert first is not None
    assert second is not None
    assert (first < second, first == second) == (Fraction(one) < Fraction(two), Fraction(one) == Fraction(two))


@given(DECIMALS, st.sampled_from(["udchat", "", " 7", ".", "e9", "-1"]))
def test_what_follows_a_number_does_not_count(digits: str, unit: str) -> None:
    assert Query.parse(f"a.b = {digits}").matches({"a.b": ["none", digits + unit]})
