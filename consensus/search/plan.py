"""What a query asks of the index: which heights, which terms, and what is left to be asked of the events themselves.

CometBFT's kv indexer's meaning: attributes that are marked for the index alone; all conditions but those on the height
hold in one event; `=` compares texts, whatever the argument is; ranges of one attribute hold of one value; the heights
have a tag of their own, of which a range counts and then no equality, else the first equality; `tx.hash` overrides all
else. What is asked `as_subscriptions` finds more, where the reference finds nothing: a number in a range is compared
with the leading digits of a value (`8atom` is 8), times with times, and `type EXISTS` finds events of a type.
Source: CometBFT v0.38, state/txindex/kv/kv.go, state/indexer/block/kv/kv.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from consensus.queries.errors import InvalidQuery
from consensus.queries.matching import COMPARISONS, Matcher, Number, matcher, number
from consensus.queries.syntax import Condition, Kind, Operator
from consensus.stores.event_index import OF_BLOCKS, OF_TXS, tag_term, value_term

if TYPE_CHECKING:
    from proto.tendermint.abci import types_pb2 as pb

TX_HASH: Final = "tx.hash"
HEIGHT_MAX: Final = 2**63 - 1
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_NUMBER: Final = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?)")
_ZERO: Final[Number] = (0, "", "")
_NEGATIVE: Final[Number] = (-1, "", "")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is searched for. prefix: of the index. height_tag: what a query calls its height."""

    prefix: bytes
    height_tag: str
    is_txs: bool


TRANSACTIONS: Final = Subject(OF_TXS, "tx.height", is_txs=True)
BLOCKS: Final = Subject(OF_BLOCKS, "block.height", is_txs=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """low, high: the heights that it asks for, both included; low above high: none.

    equal: terms whose places are in the index. marked: terms of blocks that can have what the rest asks for. rest: by
    attribute, what one of its values must meet. height_digits: texts that the height's digits contain. tx_hash: None,
    or that of the one transaction that it asks for.
    """

    subject: Subject
    low: int = 1
    high: int = HEIGHT_MAX
    equal: tuple[bytes, ...] = ()
    marked: tuple[bytes, ...] = ()
    rest: tuple[tuple[str, tuple[Matcher, ...]], ...] = ()
    height_digits: tuple[str, ...] = ()
    tx_hash: bytes | None = None
    finds_types: bool = False

    @property
    def asks_for_events(self) -> bool:
        return bool(self.equal or self.marked)

    @property
    def rest_size(self) -> int:
        """How much is asked of one event."""
        return sum(len(matchers) for _, matchers in self.rest)

    def meets_height(self, height: int) -> bool:
        text = str(height)
        return all(digits in text for digits in self.height_digits)

    def meets(self, event: pb.Event) -> bool:
        """Whether `rest` holds of one event."""
        kind = event.type
        for tag, matchers in self.rest:
            if tag == kind and self.finds_types:
                values = [""] if any(attribute.index for attribute in event.attributes) else []
            elif tag.startswith(kind) and tag[len(kind) : len(kind) + 1] == ".":
                key = tag[len(kind) + 1 :]
                values = [attribute.value for attribute in event.attributes if attribute.index and attribute.key == key]
            else:
                return False
            if not any(all(match(value) for match in matchers) for value in values):
                return False
        return True


def plan(conditions: tuple[Condition, ...], subject: Subject, *, as_subscriptions: bool = False) -> Plan:
    """Raises InvalidQuery: a hash that is none."""
    of_range = matcher if as_subscriptions else _whole_number
    if subject.is_txs and (asked := next((one for one in conditions if one.tag == TX_HASH), None)) is not None:
        return Plan(subject, tx_hash=_hash_of(asked))
    of_height = [one for one in conditions if one.tag == subject.height_tag]
    others = [one for one in conditions if one.tag != subject.height_tag]
    low, high = _heights(of_height)
    digits = tuple([one.argument.text for one in of_height if one.operator is Operator.CONTAINS and one.argument])
    equal = [
        value_term(one.tag, one.argument.text) for one in others if one.operator is Operator.EQUAL and one.argument
    ]
    rest: dict[str, list[Matcher]] = {}
    several: list[tuple[str, tuple[Matcher, ...]]] = []
    for one in others:
        if one.operator.is_range:
            rest.setdefault(one.tag, []).append(of_range(one))
        elif one.operator is not Operator.EQUAL:
            several.append((one.tag, (matcher(one),)))  # each may be met by another value
    of_ranges = [(tag, tuple(matchers)) for tag, matchers in rest.items()]
    return Plan(
        subject, low, high,
        equal=tuple(dict.fromkeys(equal)),
        marked=tuple(dict.fromkeys(tag_term(tag) for tag, _ in (*of_ranges, *several))),
        rest=(*of_ranges, *several), height_digits=digits, finds_types=as_subscriptions,
    )  # fmt: skip


def _whole_number(condition: Condition) -> Matcher:
    """Of a range: a value that is a number as a whole; a negative one is below all that can be written."""
    argument = condition.argument
    bound = number(argument.text) if argument is not None and argument.kind is Kind.NUMBER else None
    if bound is None:
        return lambda value: False  # a time
    compare = COMPARISONS[condition.operator]

    def matches(value: str) -> bool:
        found = _number_of(value)
        return found is not None and compare(found, bound)

    return matches


def _number_of(value: str) -> Number | None:
    """None: it is no number, or has more than that."""
    shape = _NUMBER.fullmatch(value)
    if shape is None:
        return None
    found = number(shape[2])
    assert found is not None, value
    return _NEGATIVE if shape[1] == "-" and found != _ZERO else found


def _hash_of(condition: Condition) -> bytes:
    text = condition.argument.text if condition.argument is not None else ""
    wrong = next((byte for byte in text.encode("utf-8", "surrogatepass") if byte not in _HEX), None)
    if wrong is not None or len(text) % 2:
        why = "odd length hex string" if wrong is None else f"invalid byte: U+{wrong:04X} {chr(wrong)!r}"
        raise InvalidQuery(f"error during searching for a hash in the query: encoding/hex: {why}")
    if not text:
        raise InvalidQuery("error while retrieving the result: transaction hash cannot be empty")
    return bytes.fromhex(text)


def _heights(conditions: list[Condition]) -> tuple[int, int]:
    """(lowest, highest)."""
    ranges = [one for one in conditions if one.operator.is_range]
    if not ranges:
        equal = next((one for one in conditions if one.operator is Operator.EQUAL), None)
        if equal is None:
            return 1, HEIGHT_MAX
        height = _height(equal, lambda whole, has_more: None if has_more else whole)
        return (height, height) if height is not None else (1, 0)
    low, high = 1, HEIGHT_MAX
    for one in ranges:
        if one.argument is None or one.argument.kind is not Kind.NUMBER:
            return 1, 0
        match one.operator:
            case Operator.GREATER:
                low = max(low, _height(one, lambda whole, has_more: whole + 1) or 0)
            case Operator.GREATER_OR_EQUAL:
                low = max(low, _height(one, lambda whole, has_more: whole + has_more) or 0)
            case Operator.LESS:
                high = min(high, _height(one, lambda whole, has_more: whole - (not has_more)) or 0)
            case Operator.LESS_OR_EQUAL:
                high = min(high, _height(one, lambda whole, has_more: whole) or 0)
            case _:
                raise AssertionError(one)
    return low, high


def _height(condition: Condition, of: Callable[[int, bool], int | None]) -> int | None:
    """Of a condition's number, by its whole part and whether it has more than that; None: it has none."""
    assert condition.argument is not None, condition
    found = number(condition.argument.text)
    if found is None or not condition.argument.text.replace(".", "", 1).isdecimal():
        return None
    _, digits, fraction = found
    return of(int(digits or "0") if len(digits) < 20 else HEIGHT_MAX, bool(fraction))
