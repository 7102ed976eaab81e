"""What is wrong with an option's value, and what is allowed, in this program's words: pydantic's are for programmers.

One sentence for each kind of error that the options' types and bounds can raise; what is allowed follows from the
field.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dchat.config.options import FORMS
from dchat.config.units import duration_ms, duration_s, megabytes
from dchat.shown.text import value_without_userinfo

SHOWN_CHARS_MAX: Final = 80  # of a value
WRONG: Final[Mapping[str, str]] = types.MappingProxyType({
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "finite_number"), "is no whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "is no number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "is neither true nor false"),
    **dict.fromkeys(("string_type", "string_unicode"), "is no text"),
    "int_parsing_size": "is far too large",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "has another form",
    "list_type": "is no list",
    "literal_error": "is none of these",
})  # fmt: skip
UNITS: Final[Mapping[object, str]] = {
    duration_ms: ' (milliseconds, or like "1500ms", "1.5s", "2m")',
    duration_s: ' (seconds, or like "90s", "10m", "14d")',
    megabytes: " (MiB)",
}


def said_of(model: type[BaseModel], key: str, error: ErrorDetails, *, is_secret: bool = False) -> str:
    """What is wrong, and what is allowed. is_secret: the value is not told."""
    if error["type"] == "value_error":  # by a rule of ours, which says both
        return _own_words(error, is_secret=is_secret)
    wrong = WRONG.get(error["type"], "is nothing for this option")
    got = "what was given" if is_secret else _shown(error["input"])
    allowed = allowed_in(model.model_fields[key]) if key in model.model_fields else "its keys, each with a value"
    return f"{got} {wrong}; allowed: {allowed}"


def allowed_in(field: FieldInfo) -> str:
    """What an option may be, for people."""
    kind, bounds = field.annotation, field.metadata
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    if kind is bool:
        return "true, false"
    if kind in (int, float):
        unit = "".join(UNITS.get(one.func, "") for one in bounds if isinstance(one, BeforeValidator))
        return (_range(bounds) or ("whole numbers" if kind is int else "numbers")) + unit
    if kind == list[str]:
        return 'a list of texts, like ["a", "b"]'
    if kind == list[int]:
        return "a list of whole numbers, like [5, 8]"
    pattern = _bound(bounds, "pattern")
    return FORMS[pattern] if pattern else f"a text{_length(bounds)}"


def _own_words(error: ErrorDetails, *, is_secret: bool) -> str:
    message, value = error["msg"].removeprefix("Value error, "), error["input"]
    if is_secret:
        return message[0].lower() + message[1:]
    got = value_without_userinfo(value) if isinstance(value, str) else value
    shown = got if isinstance(got, str) else json.dumps(got, default=str)
    message = message.replace(value, got) if got and isinstance(got, str) else message
    return message if str(shown) in message else f"{message[0].lower()}{message[1:]}; got {shown}"


def _shown(value: Any) -> str:
    text = json.dumps(value_without_userinfo(value) if isinstance(value, str) else value, default=str)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 3]}..."


def _range(bounds: list[Any]) -> str:
    least, most = _bound(bounds, "ge"), _bound(bounds, "le")
    if least is not None:
        return f"{least} and more" if most is None else f"{least} to {most}"
    return "" if most is None else f"up to {most}"


def _length(bounds: list[Any]) -> str:
    least, most = _bound(bounds, "min_length"), _bound(bounds, "max_length")
    if not most:
        return f" of {least} characters and more" if least else " in quotes"
    return f" of {least} to {most} characters" if least else f" of at most {most} characters"


def _bound(bounds: list[Any], name: str) -> Any:
    found = [getattr(one, name) for one in bounds if hasattr(one, name)]
    return found[-1] if found else None
