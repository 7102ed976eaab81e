"""What an answer is about, and what a message that is signed says, for people; and answers as lines at a terminal:
names and what they say, sums in DCHAT, like things as a table where it is narrow enough. As JSON: dchat/shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from chain.currency.denominations import records
from chain.tx.messages import KIND_OF, encode_message
from chain.tx.messages import Message as Signed
from chain.tx.messages.payments import Denom
from chain.tx.units import in_dchat
from dchat.shown.messages import Udchat, UdchatText, bytes_text, meaning_of, of_kind, time_text
from dchat.shown.text import safe_line, short_hex
from proto.dchat.v1.service_pb2 import GetRecordResponse, ListMessagesResponse
from proto.dchat.v1.shown_pb2 import Shown
from proto.dchat.v1.state_pb2 import LegOutcome
from proto.dchat.v1.tx_pb2 import Message as Kinds

TERMS: Final = "terms"  # of another message, within one
# What an answer is verified by, beside what was asked for.
PROOF_FIELDS: Final = frozenset(
    {"proof", "channel_proof", "light_block", "result_proof", "result_light_block", "path", "paths"}
)

_UDCHAT: Final = re.compile(r"(\d{1,20})udchat", re.ASCII)
_HEX: Final = re.compile("[0-9a-fA-F]*")
NONE: Final = "-"
STEP: Final = "  "
COLUMN_CHARS_MAX: Final = 64  # a table with more in a row of one thing is no table


def absent(answer: Message) -> dict[str, None]:
    """What an answer about one thing has none of, where that does not exist at its height; empty: it does."""
    if isinstance(answer, GetRecordResponse):
        return {} if answer.HasField("value") else {"value": None}
    if isinstance(answer, ListMessagesResponse):  # without a proof the node says that it has no such channel
        is_absent = answer.HasField("channel_proof") and not answer.channel_proof.value
        return {"channel": None} if is_absent else {}
    things = [field.name for field in answer.DESCRIPTOR.fields if _is_thing(field)]
    return {} if any(answer.HasField(name) for name in things) else dict.fromkeys(things)


def _is_thing(field: Any) -> bool:
    return field.message_type is not None and not field.is_repeated and field.name not in PROOF_FIELDS


def inner_of(message: Signed) -> Any:
    """What a message that is signed says, on the wire."""
    return getattr(encode_message(message), KIND_OF[type(message)].name)


def times_of(inner: Any) -> list[str]:
    """`deadline 2027-01-31T12:00:00Z`: each that it names."""
    told = []
    for field in inner.DESCRIPTOR.fields:
        meaning, value = meaning_of(field), getattr(inner, field.name)
        if meaning.form == Shown.TIME and value and not field.is_repeated:
            told.append(f"{meaning.name.removesuffix('_time').replace('_', ' ')} {time_text(value)}")
        elif field.name == TERMS:
            told += times_of(value)
    return told


def _denom_of(inner: Any) -> str | None:
    """Empty: it is of DCHAT. None: it does not say."""
    fields = inner.DESCRIPTOR.fields_by_name
    if TERMS in fields:
        return _denom_of(getattr(inner, TERMS))
    if "denom" not in fields:
        return None
    named = inner.denom
    return records.name_of(Denom(named.creator, named.sub)) if inner.HasField("denom") else ""


def unit_of(outcome: LegOutcome, inner: Any = None) -> str:
    """The amount of a leg with its unit, as far as its kind tells, or the message that it was done by."""
    said = _denom_of(inner) if inner is not None else None
    if said is not None:
        return f"{outcome.amount} {said}" if said else in_dchat(outcome.amount)
    form, kind = of_kind(outcome.kind).subject, Kinds.DESCRIPTOR.fields_by_name.get(outcome.kind)
    if form == Shown.DENOM:
        return f"{outcome.amount} {bytes_text(form, outcome.subject)}"
    return f"{outcome.amount} udchat or units" if _may_be_units(kind) else in_dchat(outcome.amount)


def _may_be_units(kind: Any) -> bool:
    """Of kinds that may name a denomination, or an escrow that has one."""
    named = {field.name for field in kind.message_type.fields} if kind is not None else set()
    return kind is None or bool(named & {"denom", "escrow", "terms"})


def lines_of(answer: Mapping[str, Any], width: int) -> list[str]:
    """width: of the terminal, in characters. What is longer than that, as a hash with its name, is not cut."""
    return list(_of_mapping(answer, width))


def event_text(kind: str, attributes: Iterable[tuple[str, str]]) -> str:
    """`transfer: amount 5 DCHAT, sender dchat1...`."""
    told = ", ".join(f"{key} {_sum_of(value)}" for key, value in attributes)
    return f"{kind}: {told}" if told else kind


def _sum_of(text: str) -> str:
    """As events write one: 5000000udchat."""
    found = _UDCHAT.fullmatch(text)
    return in_dchat(int(found[1])) if found else text


def _of_mapping(told: Mapping[str, Any], width: int) -> Iterator[str]:
    names = {key: _name(key) for key in told}
    plain = max((len(names[key]) for key, value in told.items() if not _is_deep(value)), default=0)
    for key, value in told.items():
        if not _is_deep(value):
            yield f"{names[key].ljust(plain)}  {_text(value)}"
            continue
        yield f"{names[key]}:"
        for line in _of_deep(value, width - len(STEP)):
            yield f"{STEP}{line}".rstrip()


def _of_deep(value: Any, width: int) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _of_mapping(value, width)
        return
    if (table := _table(value, width)) is not None:
        yield from table
        return
    for nth, item in enumerate(value):
        if nth and _is_deep(item):
            yield ""
        yield from _of_deep(item, width) if _is_deep(item) else [_text(item)]


def _table(rows: Sequence[Any], width: int) -> list[str] | None:
    """None: they are not all of one kind, or too wide."""
    if not all(isinstance(row, Mapping) for row in rows) or len({tuple(row) for row in rows}) != 1:
        return None
    if any(_is_deep(value) for row in rows for value in row.values()):
        return None
    columns = [[_name(key), *(_text(row[key]) for row in rows)] for key in rows[0]]
    wide = [max(map(len, column)) for column in columns]
    if max(wide, default=0) > COLUMN_CHARS_MAX or sum(wide) + len(STEP) * (len(wide) - 1) > width:
        return None
    right = [all(_is_number(row[key]) for row in rows) for key in rows[0]]
    return [
        STEP.join(
            cell.rjust(chars) if to_right else cell.ljust(chars)
            for cell, chars, to_right in zip(line, wide, right, strict=True)
        ).rstrip()
        for line in zip(*columns, strict=True)
    ]


def _name(key: str) -> str:
    return safe_line(key.replace("_", " "))


def _is_deep(value: Any) -> bool:
    return isinstance(value, (Mapping, list)) and bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, UdchatText)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Udchat):
        return in_dchat(value)
    if isinstance(value, UdchatText):
        return _text_sum(value)
    text = safe_line(str(value))
    return short_hex(text) if _HEX.fullmatch(text) else text


def _text_sum(value: str) -> str:
    """Whole udchat in DCHAT: nobody is paid parts of one. What is no number, of a node that lies, comes as it is."""
    whole = value.partition(".")[0]
    return in_dchat(int(whole)) if whole.isascii() and whole.isdigit() else safe_line(value)
