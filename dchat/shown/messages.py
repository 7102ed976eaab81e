"""Messages of the schemas as JSON for people and scripts: addresses as bech32, hashes as hex, times as RFC 3339, enums
by name. What a field is, the schema says: proto/dchat/v1/shown.proto.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message

from chain.currency.denominations import records
from chain.currency.ledger import dec
from chain.tx.messages.payments import Denom
from consensus.formats.timestamps import TIME_NS_MAX, ZERO_TIME_NS, format_rfc3339
from consensus.formats.units import NS_PER_S
from crypto.bech32 import encode_address
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1.shown_pb2 import Leg, Shown, leg, names, shown
from proto.dchat.v1.state_pb2 import LegOutcome
from proto.dchat.v1.tx_pb2 import Message as Kinds

TIME_ENDING: Final = "_ns"
OURS: Final = "dchat.v1"
NUMBER_BYTES_SHOWN: Final = 64  # more is no number that anybody had, but what a node that lies sent
FOREVER_NS: Final = (1 << 63) - 1  # a tombstoned validator's jail


class Udchat(int):
    """A sum of whole udchat: a plain number in JSON; for people it is said in DCHAT."""


class UdchatText(str):
    """A sum that is text, as `12.5`: it has parts of an udchat, or passes 64 bits."""


class Meaning(NamedTuple):
    """Of a field. name: it is shown under. enum: by whose names."""

    name: str
    form: Shown.As
    enum: Any = None


@cache
def meaning_of(field: Any) -> Meaning:
    """What the schema says of a field."""
    form, enum = Shown.PLAIN, field.enum_type
    if _is_ours(field):
        said = field.GetOptions().Extensions
        form = said[shown]
        if said[names]:
            enum = Default().FindEnumTypeByName(f"{OURS}.{said[names]}")
        if field.name.endswith(TIME_ENDING):
            form = Shown.TIME
    elif field.type == field.TYPE_BYTES:
        form = Shown.CONSENSUS
    return Meaning(field.name.removesuffix(TIME_ENDING) if form == Shown.TIME else field.name, form, enum)


def _is_ours(field: Any) -> bool:
    return bool(field.file.package == OURS)


def message_json(message: Message) -> dict[str, Any]:
    """Every field that is set, and every plain one, in the order of the schema."""
    told: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        meaning = meaning_of(field)
        if meaning.form == Shown.COUNTS:
            told[meaning.name] = {str(_enum(meaning.enum, nth)): count for nth, count in enumerate(value, 1) if count}
        elif field.is_repeated:
            told[meaning.name] = [_value(message, meaning, item) for item in value]
        else:
            told[meaning.name] = _value(message, meaning, value)
    return told


def _value(message: Message, meaning: Meaning, value: Any) -> Any:
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
            return time_text(value.seconds * NS_PER_S + value.nanos)  # type: ignore[attr-defined]
        return message_json(value)
    if meaning.enum is not None:
        return _enum(meaning.enum, value)
    form = meaning.form
    if form in (Shown.SUBJECT, Shown.NUMBER):
        assert isinstance(message, LegOutcome)
        said = of_kind(message.kind)
        form = said.subject if form == Shown.SUBJECT else said.index
    if isinstance(value, bytes):
        return bytes_text(form, value)
    if form == Shown.TIME:
        return time_text(value) if value else None
    if form == Shown.INDEX_AFTER:
        return value - 1 if value else None
    if form == Shown.NTH:
        return value or None
    if form == Shown.DEC:
        return dec.text(value)
    if form == Shown.SUM:
        return UdchatText(value) if isinstance(value, str) else Udchat(value)
    if meaning.name == "json":
        return _document(value)
    return value


@cache
def of_kind(kind: str) -> Leg:
    field: Any = Kinds.DESCRIPTOR.fields_by_name.get(kind)
    found: Leg = field.GetOptions().Extensions[leg] if field is not None else Leg()
    return found


def _enum(kind: Any, value: int) -> str | int:
    """Without its prefix; a number that a later build knows as it came."""
    known = kind.values_by_number.get(value)
    prefix = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in kind.name)[1:] + "_"
    return value if known is None else known.name.removeprefix(prefix).replace("_", "-").lower()


def time_text(value: int) -> str | int:
    """A time that none is, of a node that lies, is shown as the number that it sent."""
    if value == FOREVER_NS:
        return "9999-12-31T23:59:59Z"
    return format_rfc3339(value) if ZERO_TIME_NS <= value <= TIME_NS_MAX else value


def _document(text: str) -> Any:
    """JSON that a node sent; as it came when it is none, or nested too deeply to be shown."""
    try:
        found = json.loads(text)
        json.dumps([[[[[[[[found]]]]]]]], indent=2)  # it will stand inside of other things
    except (ValueError, RecursionError):
        return text
    return found


def bytes_text(form: Shown.As, value: bytes) -> str | int | list[str]:
    """What is not as the schema says, of a node that lies, is shown as hex."""
    if form == Shown.CONSENSUS:
        return value.hex().upper()
    if form == Shown.TEXT:
        return value.decode(errors="backslashreplace")
    if form in (Shown.COUNT, Shown.DEC) and len(value) <= NUMBER_BYTES_SHOWN:
        number = int.from_bytes(value, "big")
        return number if form == Shown.COUNT else dec.text(number)
    if form == Shown.ACCOUNTS and len(value) % ADDRESS_BYTES == 0:
        return [encode_address(value[at : at + ADDRESS_BYTES]) for at in range(0, len(value), ADDRESS_BYTES)]
    address, name = value[:ADDRESS_BYTES], value[ADDRESS_BYTES:]
    if len(address) == ADDRESS_BYTES:
        if form == Shown.ACCOUNT and not name:
            return encode_address(address)
        text = name.decode(errors="backslashreplace")
        if form == Shown.REFERENCE:
            return f"{encode_address(address)}/{text}"
        if form == Shown.DENOM:
            return records.name_of(Denom(address, text))
    return value.hex()
