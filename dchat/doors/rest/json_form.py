"""Messages of the schemas as JSON, and back: proto3's JSON, with the schema's own names, and bytes as hex.

Hex, since every hash and address that logs, commands and other doors show is hex, and since base64 cannot stand in a
path. An account's address may be given as `dchat1...` too. Numbers of 64 bits are text, as in proto3's JSON:
JavaScript's numbers end at 2^53. A field without presence is always written.

Written piece by piece, so that a thread that writes a large one does not hold the interpreter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from crypto.bech32 import InvalidAddress, decode_address
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.rest.table import HOLDS, message_type

Field: TypeAlias = Any  # a FieldDescriptor, a Descriptor: the stubs know two of each that are no relatives
Kind: TypeAlias = Any

# FieldDescriptor's numbers of types.
DOUBLE, FLOAT, BOOL, STRING, MESSAGE, BYTES, ENUM = 1, 2, 8, 9, 11, 12, 14
INTS: Final = {3: (64, True), 4: (64, False), 5: (32, True), 13: (32, False), 17: (32, True), 18: (64, True)}
TIMES: Final = ("google.protobuf.Timestamp", "google.protobuf.Duration")  # text
ADDRESS_START: Final = "dchat1"
DEPTH_MAX: Final = 20  # of messages within messages: no schema here has half as many
SHOWN_CHARS: Final = 48
PARTS_MAX: Final = 400_000  # of one answer: some megabytes of text, and half a second of a thread


# ------------------------------------------------------------------------------------------------- writing


def text_of(message: Message, *, decoded: bool = False) -> bytes:
    """The JSON of a message. decoded: bytes that hold a message are written as that, where they are one.

    Raises BadQuestion: it has too many values. A message of defaults alone takes two bytes, and hundreds in JSON.
    """
    parts: list[str] = []
    _write(message, parts, decoded=decoded)
    return "".join(parts).encode()


def record_text(answer: Any, schema: type[Message]) -> bytes:
    """Of GetRecord's answer, with the record itself in place of its bytes, which are an encoded message of `schema`."""
    if not answer.HasField("value"):
        return text_of(answer)
    record = schema.FromString(answer.value)
    answer.ClearField("value")
    return b'{"value":' + text_of(record) + b"," + text_of(answer)[1:]


def _write(message: Message, parts: list[str], *, decoded: bool) -> None:
    put = parts.append
    if len(parts) > PARTS_MAX:
        raise BadQuestion("the answer has too many values for JSON: ask for less at once, or the gRPC door")
    if message.DESCRIPTOR.full_name in TIMES:
        put(json.dumps(message.ToJsonString()))  # type: ignore[attr-defined]  # of the two well-known types
        return
    start = "{"
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        put(f'{start}"{field.name}":')
        start = ","
        value = getattr(message, field.name)
        if not field.is_repeated:
            _write_value(field, value, parts, decoded=decoded)
            continue
        first = "["
        for one in value:
            put(first)
            first = ","
            _write_value(field, one, parts, decoded=decoded)
        put("[]" if first == "[" else "]")
    put("{}" if start == "{" else "}")


def _write_value(field: Field, value: Any, parts: list[str], *, decoded: bool) -> None:
    kind, put = field.type, parts.append
    if kind == MESSAGE:
        _write(value, parts, decoded=decoded)
    elif kind == BYTES:
        held = held_in(field, value) if decoded and value else None
        if held is not None:
            _write(held, parts, decoded=True)
        else:
            put(f'"{value.hex()}"')
    elif kind == ENUM:
        known = field.enum_type.values_by_number.get(value)
        put(f'"{known.name}"' if known is not None else str(value))
    elif kind in INTS and INTS[kind][0] == 64:
        put(f'"{value}"')
    else:
        put(json.dumps(value))


def held_in(field: Field, value: bytes) -> Message | None:
    """The message that a field's bytes hold; None: they are none."""
    name = HOLDS.get(field.full_name)
    if name is None:
        return None
    try:
        return GetMessageClass(message_type(name)).FromString(value)
    except DecodeError:
        return None


# ------------------------------------------------------------------------------------------------- reading


def fill_text(message: Message, name: str, texts: list[str]) -> None:
    """A field's text in a path or a query; of a repeated field each of them. Raises BadQuestion."""
    field = field_of(message.DESCRIPTOR, name, name)
    if field.type == MESSAGE:
        raise BadQuestion(f"{name}: an object, which a query cannot give")
    if not field.is_repeated and len(texts) > 1:
        raise BadQuestion(f"{name}: given {len(texts)} times; allowed: once")
    values: list[Any] = [bool_of(name, text) if field.type == BOOL else text for text in texts]
    _fill_field(message, field, values if field.is_repeated else values[0], name, depth=0)


def fill(message: Message, told: object, where: str = "the body", *, depth: int = 0) -> None:
    """A JSON object's fields. Raises BadQuestion."""
    if not isinstance(told, Mapping):
        raise BadQuestion(f"{where}: {_shown(told)}; allowed: an object")
    if depth > DEPTH_MAX:
        raise BadQuestion(f"{where}: more than {DEPTH_MAX} objects within each other")
    is_told: set[int] = set()
    for name, value in told.items():
        field = field_of(message.DESCRIPTOR, name, where)
        if field.number in is_told:
            raise BadQuestion(f"{where}: {field.name} is given twice")
        is_told.add(field.number)
        if (among := field.containing_oneof) is not None and message.WhichOneof(among.name) is not None:
            raise BadQuestion(f"{where}: {field.name} beside {message.WhichOneof(among.name)}; allowed: one of them")
        if value is not None:  # as if it were absent, as in proto3's JSON
            _fill_field(message, field, value, field.name if depth == 0 else f"{where}.{field.name}", depth=depth)


def field_of(kind: Kind, name: str, where: str) -> Field:
    """By its name in the schema, or in proto3's JSON (lowerCamelCase). Raises BadQuestion."""
    field = None
    if name.isascii():  # the library fails on what is no UTF-8
        field = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)
    if field is None:
        allowed = ", ".join(one.name for one in kind.fields) or "none"
        raise BadQuestion(f"{where}: there is no field {_shown(name)}; allowed: {allowed}")
    return field


def _fill_field(message: Message, field: Field, value: Any, where: str, *, depth: int) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise BadQuestion(f"{where}: {_shown(value)}; allowed: a list")
        many = getattr(message, field.name)
        for number, one in enumerate(value):
            at = f"{where}[{number}]"
            if field.type == MESSAGE:
                _fill_message(many.add(), one, at, depth=depth)
            else:
                many.append(_value(field, one, at, depth=depth))
    elif field.type == MESSAGE:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _fill_message(inner, value, where, depth=depth)
    else:
        setattr(message, field.name, _value(field, value, where, depth=depth))


def _fill_message(message: Any, value: Any, where: str, *, depth: int) -> None:
    if message.DESCRIPTOR.full_name not in TIMES:
        fill(message, value, where, depth=depth + 1)
        return
    try:
        message.FromJsonString(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise BadQuestion(f"{where}: {_shown(value)}; allowed: as 2026-01-31T12:00:00.5Z, a duration as 3.5s") from None


def _value(field: Field, value: Any, where: str, *, depth: int) -> Any:
    """Raises BadQuestion."""
    kind = field.type
    if kind in INTS:
        return _int(value, *INTS[kind], where)
    if kind == BYTES:
        return _bytes(field, value, where, depth=depth)
    if kind == STRING and isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise BadQuestion(f"{where}: half a character")
        return value
    if kind == BOOL and isinstance(value, bool):
        return value
    if kind == ENUM:
        return _enum(field.enum_type, value, where)
    expected = {BOOL: "true or false", STRING: "text"}.get(kind, f"a value of the schema's type {kind}")
    raise BadQuestion(f"{where}: {_shown(value)}; allowed: {expected}")


def _int(value: Any, bits: int, is_signed: bool, where: str) -> int:
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadQuestion(f"{where}: {_shown(value)}; allowed: a whole number from {least} to {most}")
    return value


def bool_of(where: str, text: str) -> bool:
    """Of a query."""
    if text not in {"true", "false", "1", "0"}:
        raise BadQuestion(f"{where}: {_shown(text)}; allowed: true, false")
    return text in {"true", "1"}


def _bytes(field: Field, value: Any, where: str, *, depth: int) -> bytes:
    holds = HOLDS.get(field.full_name)
    if holds is not None and isinstance(value, dict):
        held = GetMessageClass(message_type(holds))()
        fill(held, value, where, depth=depth + 1)
        return held.SerializeToString(deterministic=True)
    if isinstance(value, str):
        try:
            if value.startswith(ADDRESS_START):
                return decode_address(value)
            if not value or (value.isascii() and value.isalnum()):
                return bytes.fromhex(value)
        except InvalidAddress as error:
            raise BadQuestion(f"{where}: {error}") from None
        except ValueError:
            pass
    also = f", or an object: a {holds}" if holds is not None else ""
    raise BadQuestion(f"{where}: {_shown(value)}; allowed: bytes in hex; of an account also dchat1...{also}")


def _enum(kind: Kind, value: Any, where: str) -> int:
    if isinstance(value, str) and value.isascii() and value in kind.values_by_name:
        return int(kind.values_by_name[value].number)
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4 else value
    if isinstance(number, int) and not isinstance(number, bool) and number in kind.values_by_number:
        return number
    raise BadQuestion(f"{where}: {_shown(value)}; allowed: {', '.join(kind.values_by_name)}")


def _shown(value: object) -> str:
    """What was given, shortened."""
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
