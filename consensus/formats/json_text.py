"""JSON text, and objects read field by field with errors that name the place.

Promises: a document of any content ends in a value or in Malformed, never in the interpreter's stack; errors show
kinds, never values, so that no secret is printed.
Source: CometBFT v0.38, libs/json; encoding/json of Go.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from consensus.formats.errors import Malformed
from consensus.formats.timestamps import ZERO_TIME_NS, parse_rfc3339
from consensus.formats.wire import INT32_MAX, INT64_MAX, INT64_MIN

Json: TypeAlias = Any  # dict, list, str, int, bool or None, as the json module makes them
T = TypeVar("T")

UINT64_MAX: Final = 2**64 - 1
UINT32_MAX: Final = 2**32 - 1
DEPTH_MAX: Final = 64  # deeper than any document of ours; keeps a hostile one from the interpreter's stack

_ESCAPES: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def dumps(value: Json, *, indent: int | None = None) -> str:
    """JSON text as Go writes it: keys in the order given, `<>&` escaped."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, separators=separators, indent=indent).translate(_ESCAPES)


def loads(text: str | bytes, *, what: str, bytes_max: int) -> Json:
    """Parse JSON of at most `bytes_max`. Raises Malformed: size, syntax, depth, NaN."""
    if len(text) > bytes_max:
        raise Malformed(f"{what}: {len(text)} bytes, at most {bytes_max}")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{what}: not JSON: {error}") from error
    _check_depth(value, what)
    return value


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _check_depth(value: Json, what: str) -> None:
    level: list[Json] = [value]
    for _ in range(DEPTH_MAX):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise Malformed(f"{what}: nested deeper than {DEPTH_MAX}")


def _children(value: Json) -> Sequence[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


class Fields:
    """A JSON object read field by field. `where` is its path, for errors; an absent object is an empty one."""

    __slots__ = ("_value", "where")

    def __init__(self, value: Json, where: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise Malformed(f"{where} is {kind_of(value)}, expected an object")
        self._value: dict[str, Json] = value
        self.where = where

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def raw(self, name: str) -> Json:
        return self._value.get(name)

    def path(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _wrong(self, name: str, expected: str) -> Malformed:
        return Malformed(f"{self.path(name)} is {kind_of(self._value.get(name))}, expected {expected}")

    def text(self, name: str) -> str:
        value = self._value.get(name, "")
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise Malformed(f"{self.path(name)} has half of a surrogate pair, which no encoding can carry")
        return value

    def int64(self, name: str, *, default: int = 0) -> int:
        """A signed 64-bit integer, written as a string."""
        return self._wide(name, default, INT64_MIN, INT64_MAX)

    def uint64(self, name: str, *, default: int = 0) -> int:
        """An unsigned 64-bit integer, written as a string."""
        return self._wide(name, default, 0, UINT64_MAX)

    def _wide(self, name: str, default: int, low: int, high: int) -> int:
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or not _is_decimal(value):
            raise self._wrong(name, "an integer written as a string")
        number = int(value)
        if not low <= number <= high:
            raise Malformed(f"{self.path(name)} is {number}; allowed: {low} to {high}")
        return number

    def int32(self, name: str) -> int:
        """A signed 32-bit integer, written plain."""
        return self._narrow(name, -INT32_MAX - 1, INT32_MAX)

    def uint32(self, name: str) -> int:
        """An unsigned 32-bit integer, written plain."""
        return self._narrow(name, 0, UINT32_MAX)

    def _narrow(self, name: str, low: int, high: int) -> int:
        value = self._value.get(name)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer")
        if not low <= value <= high:
            raise Malformed(f"{self.path(name)} is {value}; allowed: {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        value = self._value.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def hex(self, name: str) -> bytes:
        text = self.text(name)
        try:
            return binascii.unhexlify(text)
        except ValueError as error:
            raise self._wrong(name, "bytes in hex") from error

    def base64(self, name: str) -> bytes:
        return parse_base64(self.text(name), self.path(name))

    def time(self, name: str) -> int:
        """Nanoseconds; absent: Go's zero time."""
        if name not in self:
            return ZERO_TIME_NS
        try:
            return parse_rfc3339(self.text(name))
        except Malformed as error:
            raise Malformed(f"{self.path(name)}: {error}") from error

    def object(self, name: str) -> Fields:
        return Fields(self._value.get(name), self.path(name))

    def items(self, name: str) -> Iterator[tuple[Json, str]]:
        """Each element of a list with its path; null is an empty list."""
        value = self._value.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        for index, item in enumerate(value):
            yield item, f"{self.path(name)}[{index}]"

    def read(self, name: str, reader: Callable[[Json, str], T]) -> T:
        return reader(self._value.get(name), self.path(name))

    def list(self, name: str, reader: Callable[[Json, str], T]) -> tuple[T, ...]:
        return tuple(reader(item, where) for item, where in self.items(name))


def _is_decimal(text: str) -> bool:
    digits = text.removeprefix("-")
    return 0 < len(digits) <= 20 and digits.isascii() and digits.isdigit()


def kind_of(value: Json) -> str:
    """How an error shows a value: never whole, never a secret."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "of an unknown kind")


_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a truth value",
    int: "an integer",
    float: "a fraction",
}


def parse_base64(text: str, where: str) -> bytes:
    """Standard alphabet, padded. Raises Malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Malformed(f"{where} is no base64") from error
