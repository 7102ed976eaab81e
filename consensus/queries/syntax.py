"""Reading a query of events: `transfer.amount > 7 AND tx.height = 5`.

    query     = condition {"AND" condition}
    condition = tag "EXISTS" | tag "CONTAINS" text | tag "=" (number | text | time | date)
              | tag ("<" | "<=" | ">" | ">=") (number | time | date)
    tag       = (letter | "_") {letter | digit | "." | "_" | "-"}      number = digit {digit} ["." {digit}]
    text      = "'" {any but "'"} "'"       time = "TIME" " " RFC 3339      date = "DATE" " " yyyy-mm-dd

No OR, NOT, parentheses, signs or escapes; words of the language in capitals; years 1900 to 2999. One pass, linear; a
query has a greatest length, so that its conditions are few. Errors name the offset in bytes, in CometBFT's words.
Source: CometBFT v0.38, libs/pubsub/query/syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple

from consensus.formats.units import NS_PER_S
from consensus.queries.errors import InvalidQuery, QueryTooLong

QUERY_BYTES_MAX: Final = 512  # CometBFT's, of tx_search and subscribe
YEAR_MIN, YEAR_MAX = 1900, 2999
AND_NUMBER: Final = 6  # what CometBFT's parser, by a slip that clients know, calls AND when it wants one

_EPOCH_DAYS: Final = datetime(1970, 1, 1).toordinal()
_SPACE: Final = re.compile("[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_TIME_TEXT: Final = re.compile(r"[-T:+Z0-9]*")
_DATE_TEXT: Final = re.compile(r"[0-9-]*")
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Operator(Enum):
    """What a condition asks of a value; as it is written."""

    EXISTS = "EXISTS"
    CONTAINS = "CONTAINS"
    EQUAL = "="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="

    @property
    def is_range(self) -> bool:
        return self.value[0] in "<>"


class Kind(Enum):
    """What an argument is."""

    TEXT = "string"
    NUMBER = "number"
    TIME = "timestamp"
    DATE = "datestamp"


class Argument(NamedTuple):
    """What a value is compared with. text: as it was written, without quotes and without `TIME` and `DATE`."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        if self.kind is Kind.TEXT:
            return f"'{self.text}'"
        return self.text if self.kind is Kind.NUMBER else f"{self.kind.name} {self.text}"


class Condition(NamedTuple):
    """tag: `type.key` of an event's attribute, or a type alone. argument: None with EXISTS, else never."""

    tag: str
    operator: Operator
    argument: Argument | None = None

    def __str__(self) -> str:
        head = f"{self.tag} {self.operator.value}"
        return head if self.argument is None else f"{head} {self.argument}"


class Token(NamedTuple):
    name: str  # of its kind, as errors call it
    text: str
    at: int  # where it begins, in bytes


ARGUMENTS: Final = {kind.value: kind for kind in Kind}
OPERATORS: Final = {f"{operator.value} operator": operator for operator in Operator}
_WANTED_OPERATORS: Final = ("<= operator", ">= operator", "< operator", "> operator", "= operator",
                            "CONTAINS operator", "EXISTS operator")  # fmt: skip
_WANTED_ARGUMENTS: Final = {
    Operator.CONTAINS: ("string",),
    Operator.EQUAL: ("number", "timestamp", "datestamp", "string"),
}
_WANTED_OF_RANGE: Final = ("number", "timestamp", "datestamp")


def parse(text: str, *, bytes_max: int = QUERY_BYTES_MAX) -> tuple[Condition, ...]:
    """The conditions of a query, one or more, in their order.

    Raises QueryTooLong, InvalidQuery (in CometBFT's words, with the offset in bytes).
    """
    if len(text) > bytes_max or len(text.encode("utf-8", "surrogatepass")) > bytes_max:
        raise QueryTooLong(bytes_max=bytes_max)
    tokens = _Tokens(text)
    conditions = [_condition(tokens)]
    while True:
        try:
            token = tokens.next()
        except _Bad as bad:
            token = Token("invalid token", "", bad.at)
        if token is None:
            return tuple(conditions)
        if token.name != "AND operator":
            raise InvalidQuery(f"offset {token.at}: got {token.name}, want {AND_NUMBER}")
        conditions.append(_condition(tokens))


def _condition(tokens: _Tokens) -> Condition:
    tag = tokens.require("tag").text
    operator = OPERATORS[tokens.require(*_WANTED_OPERATORS).name]
    if operator is Operator.EXISTS:
        return Condition(tag, operator)
    token = tokens.require(*_WANTED_ARGUMENTS.get(operator, _WANTED_OF_RANGE))
    return Condition(tag, operator, Argument(ARGUMENTS[token.name], token.text))


class _Bad(InvalidQuery):
    """What stands at byte `at` is no token."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at


class _Tokens:
    """The words of a query, one after the other."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._counted, self._bytes = 0, 0  # so many characters are so many bytes

    def require(self, *names: str) -> Token:
        """The next token, which must be one of these. Raises InvalidQuery."""
        try:
            token = self.next()
        except _Bad as bad:
            raise InvalidQuery(f"offset {bad.at}: {bad}") from None
        if token is None:
            raise InvalidQuery(f"offset {self._offset(len(self._text))}: EOF")
        if token.name not in names:
            wanted = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
            raise InvalidQuery(f"offset {token.at}: got {token.name}, wanted {wanted}")
        return token

    def next(self) -> Token | None:
        """The next token; None at the end. Raises _Bad."""
        text = self._text
        start = self._at = self._end_of(_SPACE, self._at)
        if start == len(text):
            return None
        first = text[start]
        if "0" <= first <= "9":
            return self._taken("number", start, self._end_of(_NUMBER, start))
        if first == "_" or first.isalpha() or first.isdecimal():
            return self._word(start)
        if first == "'":
            close = text.find("'", start + 1)
            if close < 0:
                self._at = len(text)
                raise _Bad(self._offset(start), "EOF")
            token = Token("string", text[start + 1 : close], self._offset(start))
            self._at = close + 1
            return token
        if first in "<>=":
            stop = start + (2 if first != "=" and text.startswith("=", start + 1) else 1)
            return self._taken(f"{text[start:stop]} operator", start, stop)
        self._at = start + 1
        at = self._offset(start)
        raise _Bad(at, f"invalid input {first} at offset {self._offset(start + 1)}")

    def _word(self, start: int) -> Token:
        text, stop = self._text, start + 1
        while stop < len(text) and ((c := text[stop]) in "._-" or c.isalpha() or c.isdecimal()):
            stop += 1
        word = text[start:stop]
        if word in ("AND", "EXISTS", "CONTAINS"):
            return self._taken(f"{word} operator", start, stop)
        if word == "TIME" and text.startswith(" ", stop):
            return self._moment(start, stop + 1, _TIME_TEXT, "timestamp", parse_time, "RFC 3339")
        if word == "DATE" and text.startswith(" ", stop):
            return self._moment(start, stop + 1, _DATE_TEXT, "datestamp", parse_date, "yyyy-mm-dd")
        return self._taken("tag", start, stop)

    def _moment(
        self, start: int, at: int, pattern: re.Pattern[str], name: str, read: Callable[[str], int | None], form: str
    ) -> Token:
        stop = self._at = self._end_of(pattern, at)
        text = self._text[at:stop]
        if read(text) is None:
            word = "TIME" if name == "timestamp" else "DATE"
            raise _Bad(self._offset(start), f'invalid {word} value: "{text}" is not {form}')
        if not YEAR_MIN <= int(text[:4]) <= YEAR_MAX:
            raise _Bad(self._offset(start), f"{name} year {int(text[:4])} out of range")
        return Token(name, text, self._offset(start))

    def _taken(self, name: str, start: int, stop: int) -> Token:
        self._at = stop
        return Token(name, self._text[start:stop], self._offset(start))

    def _end_of(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self._text, at)
        assert found is not None, pattern
        return found.end()

    def _offset(self, at: int) -> int:
        """Of a character, in bytes. Asked in rising order, but for a token and its end."""
        if at < self._counted:
            self._counted = self._bytes = 0
        self._bytes += len(self._text[self._counted : at].encode("utf-8", "surrogatepass"))
        self._counted = at
        return self._bytes


def parse_date(text: str) -> int | None:
    """The beginning of a day `yyyy-mm-dd` in UTC, in nanoseconds since 1970. None: it is no day."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        days = datetime.strptime(text, "%Y-%m-%d").toordinal() - _EPOCH_DAYS
    except ValueError:
        return None
    return days * 86_400 * NS_PER_S


def parse_time(text: str) -> int | None:
    """A time in RFC 3339 with any offset, in nanoseconds since 1970, digits past the ninth cut. None: it is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day = parse_date(found[1])
    hours, minutes, seconds = int(found[2]), int(found[3]), int(found[4])
    if day is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    offset = 0
    if found[6]:
        if int(found[7]) > 24 or int(found[8]) > 60:  # Go's bounds, who calls nothing else an offset
            return None
        offset = (int(found[7]) * 60 + int(found[8])) * 60
        offset = -offset if found[6] == "-" else offset
    nanos = int((found[5] or "0")[:9].ljust(9, "0"))
    return day + (hours * 3600 + minutes * 60 + seconds - offset) * NS_PER_S + nanos
