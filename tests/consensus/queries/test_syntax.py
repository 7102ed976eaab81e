"""Reading queries: what CometBFT's parser takes and refuses, in its words, and what no text may do to ours.

`READ` and `REFUSED`: from CometBFT v0.38.26, libs/pubsub/query/syntax/syntax_test.go (Apache 2.0), with the errors that
its parser gives and the texts of a live node's answers.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consensus.queries.errors import InvalidQuery, QueryTooLong
from consensus.queries.syntax import Argument, Condition, Kind, Operator, parse, parse_date, parse_time

DAY_NS = 86_400 * 10**9

READ = [
    "tm.events.type='NewBlock'",
    "tm.events.type = 'NewBlock'",
    "tm.events.name = ''",
    "tm.events.type='TIME'",
    "tm.events.type='DATE'",
    "tm.events.type='='",
    "tm.events.type='NewBlock' AND abci.account.name='Igor'",
    "abci.account.name CONTAINS 'Igor'",
    "tx.date > DATE 2013-05-03",
    "tx.date < DATE 2013-05-03",
    "tx.date <= DATE 2013-05-03",
    "tx.date >= DATE 2013-05-03",
    "tx.date > TIME 2013-05-03T14:45:00+07:00",
    "tx.date < TIME 2013-05-03T14:45:00-02:00",
    "tx.date <= TIME 2013-05-03T14:45:00Z",
    "tx.date >= TIME 2013-05-03T14:45:00Z",
    "account.balance=100",
    "account.balance >= 200",
    "slashing.amount EXISTS",
    "slashing.amount EXISTS AND account.balance=100",
    "account.balance=100 AND slashing.amount EXISTS",
    "slashing EXISTS",
    "hash='136E18F7E4C348B780CF873A0BF43922E5BAFA63'",
    "cosm-wasm.transfer_amount=100",
    "and = 1",  # words of the language are capitals
    "größe.wert=1",
]

REFUSED = [
    ("", "offset 0: EOF"),
    ("  ", "offset 2: EOF"),
    ("tm.events.type='TIME", "offset 15: EOF"),
    ("tm.events.type=TIME'", "offset 15: got tag, wanted number, timestamp, datestamp or string"),
    ("tm.events.type==", "offset 15: got = operator, wanted number, timestamp, datestamp or string"),
    ("tm.events.type=NewBlock", "offset 15: got tag, wanted number, timestamp, datestamp or string"),
    (">==", "offset 0: got >= operator, wanted tag"),
    ("tm.events.type 'NewBlock' =", "offset 15: got string, wanted <= operator, >= operator, < operator, > operator, "
     "= operator, CONTAINS operator or EXISTS operator"),
    ("tx.height>'5'", "offset 10: got string, wanted number, timestamp or datestamp"),
    ("=", "offset 0: got = operator, wanted tag"),
    ("tm.events.type=", "offset 15: EOF"),
    ("tm.events.typeNewBlock", "offset 22: EOF"),
    ("'NewBlock'", "offset 0: got string, wanted tag"),
    ("a=1 AND", "offset 7: EOF"),
    ("a=1 AN", "offset 4: got tag, want 6"),
    ("a=1 b=2", "offset 4: got tag, want 6"),
    ("a=1 OR b=2", "offset 4: got tag, want 6"),
    ("a=1 & b=2", "offset 4: got invalid token, want 6"),
    ("AND a=1", "offset 0: got AND operator, wanted tag"),
    ("1=a", "offset 0: got number, wanted tag"),
    ("(a=1)", "offset 0: invalid input ( at offset 1"),
    ("a != 1", "offset 2: invalid input ! at offset 3"),
    ("a CONTAINS 1", "offset 11: got number, wanted string"),
    ("a >= -300", "offset 5: invalid input - at offset 6"),
    ("a >>= 400", "offset 3: got >= operator, wanted number, timestamp or datestamp"),
    ("a=33.22.1", "offset 7: got invalid token, want 6"),
    ("größe=x", "offset 8: got tag, wanted number, timestamp, datestamp or string"),
    ("d >= DAT 2013-05-03", "offset 5: got tag, wanted number, timestamp or datestamp"),
    ("d <= DATE2013-05-03", "offset 5: got tag, wanted number, timestamp or datestamp"),
    ("d <= DATE -05-03", 'offset 5: invalid DATE value: "-05-03" is not yyyy-mm-dd'),
    ("d >= DATE 20130503", 'offset 5: invalid DATE value: "20130503" is not yyyy-mm-dd'),
    ("d >= DATE 0013-01-03", "offset 5: datestamp year 13 out of range"),
    ("d >= DATE 2013-31-03", 'offset 5: invalid DATE value: "2013-31-03" is not yyyy-mm-dd'),
    ("d >= DATE 2013-01-83", 'offset 5: invalid DATE value: "2013-01-83" is not yyyy-mm-dd'),
    ("d >= TIME 2013-05-03T14:45:00", 'offset 5: invalid TIME value: "2013-05-03T14:45:00" is not RFC 3339'),
    ("d >= TIME 3013-05-03T14:45:00Z", "offset 5: timestamp year 3013 out of range"),
    ("d >= TIME 2013-05-03T34:45:00Z", 'offset 5: invalid TIME value: "2013-05-03T34:45:00Z" is not RFC 3339'),
    ("d = TIME 2013-05-:45:00Z", 'offset 4: invalid TIME value: "2013-05-:45:00Z" is not RFC 3339'),
]  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_is_read_and_written_back(text: str) -> None:
    conditions = parse(text)
    written = " AND ".join(map(str, conditions))
    assert parse(written) == conditions


@pytest.mark.parametrize(("text", "error"), REFUSED)
def test_is_refused_in_cometbfts_words(text: str, error: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse(text)
    assert str(refused.value) == error


def test_conditions_carry_what_was_written() -> None:
    number, text = Argument(Kind.NUMBER, "7.50"), Argument(Kind.TEXT, "a AND b")
    assert parse("\tx.y>=7.50 AND z CONTAINS 'a AND b'\nAND _t-1 EXISTS AND d<DATE 2020-02-29") == (
        Condition("x.y", Operator.GREATER_OR_EQUAL, number),
        Condition("z", Operator.CONTAINS, text),
        Condition("_t-1", Operator.EXISTS),
        Condition("d", Operator.LESS, Argument(Kind.DATE, "2020-02-29")),
    )


@pytest.mark.parametrize("filler", ["x", "ö"])
def test_a_longer_query_is_not_looked_at(filler: str) -> None:
    head, tail = "a='", "'"
    room = (512 - len(head) - len(tail)) // len(filler.encode())
    assert parse(head + filler * room + tail)
    with pytest.raises(QueryTooLong, match="maximum query length exceeded"):
        parse(head + filler * (room + 1) + tail)
    assert parse(head + filler * (room + 1) + tail, bytes_max=600)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1970-01-02T00:00:00Z", DAY_NS),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T22:00:00-02:00", 0),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01 00:00:00Z", None),
        ("1970-02-30T00:00:00Z", None),
        ("1970-01-01T00:00:60Z", None),
        ("1970-01-01T00:00:00", None),
        ("1970-01-01T00:00:00+25:00", None),
        ("\u0661970-01-01T00:00:00Z", None),
    ],
)
def test_times(text: str, want: int | None) -> None:
    assert parse_time(text) == want


def test_dates() -> None:
    assert [parse_date(text) for text in ("1970-01-02", "1970-1-2", "2021-02-29", "")] == [DAY_NS, None, None, None]


WORDS = st.sampled_from(
    ["a", "tx.height", "AND", "OR", "EXISTS", "CONTAINS", "=", "<", "<=", ">", ">=", "5", "7.", "0.1", "'x'", "''", "'",
     "TIME", "DATE", "2020-01-01", "2020-01-01T00:00:00Z", " ", "  ", "\n", "-", "é", "\ud800", "."]
)  # fmt: skip


@given(st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=600))
@example("a='\ud800'")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        conditions = parse(text)
    except InvalidQuery:
        return
    assert conditions
    if {"TIME", "DATE"} & {condition.tag for condition in conditions}:
        return  # as tags they are read only without a space behind them, as CometBFT does
    assert parse(" AND ".join(map(str, conditions)), bytes_max=10_000) == conditions
