"""Asking a query of events that are at hand: what a subscriber is sent.

Events come as CometBFT hands them around: for each `type.key` the values, in their order, of all events of a
transaction or block. Each condition may be met by another event; whether an attribute is marked for the index is not
asked. A number is compared with the leading digits of a value (`8atom` is 8), exactly and of any size; a value of
another form than the argument (no number, no date, no time) meets no condition. A condition whose tag is the type of an
event is asked of the empty text, so that `slash EXISTS` finds events of that type.

CometBFT rounds fractions of more than 37 digits; here nothing is rounded. Source: CometBFT v0.38, libs/pubsub/query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any, Final, TypeAlias

from consensus.queries.syntax import (
    QUERY_BYTES_MAX,
    Argument,
    Condition,
    Kind,
    Operator,
    parse,
    parse_date,
    parse_time,
)

Events: TypeAlias = Mapping[str, Sequence[str]]
Number: TypeAlias = tuple[int, str, str]  # digits before the point, those digits, those after; sorts as numbers do
Matcher: TypeAlias = Callable[[str], bool]

_LEADING: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
COMPARISONS: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQUAL: eq,
    Operator.LESS: lt,
    Operator.LESS_OR_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_OR_EQUAL: ge,
}


def number(text: str) -> Number | None:
    """The number that a text begins with, in a form that compares exactly; None: it begins with none."""
    found = _LEADING.match(text)
    if found is None:
        return None
    whole = found[1].lstrip("0")
    return len(whole), whole, (found[2] or "").rstrip("0")


def matcher(condition: Condition) -> Matcher:
    """What a condition asks of one value."""
    argument, operator = condition.argument, condition.operator
    if argument is None:
        return lambda value: True
    if operator is Operator.CONTAINS:
        part = argument.text
        return lambda value: part in value
    if argument.kind is Kind.TEXT:
        wanted = argument.text
        return lambda value: value == wanted
    return _compared(_READERS[argument.kind], COMPARISONS[operator], argument)


_READERS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.NUMBER: number,
    Kind.DATE: parse_date,
    Kind.TIME: parse_time,
}


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool], argument: Argument) -> Matcher:
    bound = read(argument.text)
    assert bound is not None, argument  # the parser has read it

    def matches(value: str) -> bool:
        found = read(value)
        return found is not None and compare(found, bound)

    return matches


def _asked(condition: Condition) -> tuple[str, str | None, Matcher, bool]:
    """(tag, the text that a value must be, if it is that; what is asked of a value; whether the empty text will do)."""
    match, argument = matcher(condition), condition.argument
    is_text = condition.operator is Operator.EQUAL and argument is not None and argument.kind is Kind.TEXT
    return condition.tag, argument.text if argument is not None and is_text else None, match, match("")


class Query:
    """A query that was read, ready to be asked many times. Equal queries mean the same conditions in the same order."""

    __slots__ = ("_asked", "conditions")

    def __init__(self, conditions: tuple[Condition, ...]) -> None:
        self.conditions = conditions
        self._asked = [_asked(condition) for condition in conditions]

    @staticmethod
    def parse(text: str, *, bytes_max: int = QUERY_BYTES_MAX) -> Query:
        """Raises QueryTooLong, InvalidQuery."""
        return Query(parse(text, bytes_max=bytes_max))

    def matches(self, events: Events) -> bool:
        """Whether every condition is met by some value. No events: never."""
        for tag, wanted, match, takes_nothing in self._asked:
            values = events.get(tag)
            if values and "." in tag and (wanted in values if wanted is not None else any(map(match, values))):
                continue
            if takes_nothing and any(key.rpartition(".")[0] == tag for key in events):
                continue
            return False
        return bool(events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Query) and other.conditions == self.conditions

    def __hash__(self) -> int:
        return hash(self.conditions)

    def __str__(self) -> str:
        """As CometBFT writes a query down."""
        return " AND ".join(map(str, self.conditions))
