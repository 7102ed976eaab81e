"""The arguments of calls: out of JSON params (by name or by place), or out of a URI's query.

Source: CometBFT v0.38, rpc/jsonrpc/server/http_uri_handler.go.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from consensus.documents.json import evidence_from_json
from consensus.formats.errors import InvalidData
from consensus.formats.json_text import Json, kind_of, loads
from dchat.doors.jsonrpc.protocol import (
    ABSENT,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    NO_ID,
    Absent,
    RpcError,
    too_many_values,
)

SHOWN_CHARS_MAX: Final = 64  # of what somebody sent, in what they are told
_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
DIGITS_MAX: Final = 20


class Kind(StrEnum):
    """By the reference's name, which its errors say."""

    INT64 = "int64"
    INT = "int"
    UINT = "uint"
    BOOL = "bool"
    TEXT = "string"
    BYTES = "bytes"  # base64 in JSON
    HEX = "hex"  # hex in JSON
    EVIDENCE = "interface"


INTEGERS: Final = {Kind.INT64: (-(2**63), 2**63 - 1), Kind.INT: (-(2**63), 2**63 - 1), Kind.UINT: (0, 2**64 - 1)}


class Arg(NamedTuple):
    """default: of one that is absent. is_ours: an addition, which params by place may lack."""

    name: str
    kind: Kind
    default: Any = None
    is_ours: bool = False


class BadParam(RpcError):
    """An argument that is not of its kind: why."""

    def __init__(self, why: str) -> None:
        super().__init__(INVALID_PARAMS, why)


# ---------------------------------------------------------------------------------------------------------------- JSON


def from_json(args: tuple[Arg, ...], params: Json | Absent, *, over_socket: bool = False) -> dict[str, Any]:
    """Raises RpcError; one with status 500 and id -1 takes the whole batch along."""
    if isinstance(params, Absent):
        if args:  # the reference calls its function with too few
            where = "WSJSONRPC: " if over_socket else ""
            raise RpcError(INTERNAL_ERROR, f"{where}reflect: Call with too few input arguments", status=500)
        return {}
    try:
        return _from_json(args, params)
    except BadParam as error:
        if over_socket:
            raise RpcError(INTERNAL_ERROR, f"error converting json params to arguments: {error}") from None
        raise RpcError(INVALID_PARAMS, f"error converting json params to arguments: {error}") from None


def _from_json(args: tuple[Arg, ...], params: Json) -> dict[str, Any]:
    if params is None:
        params = {}
    if isinstance(params, dict):
        return {arg.name: _value(arg, params.get(arg.name)) for arg in args}
    if not isinstance(params, list):
        raise BadParam(f"unknown type for JSON params: {kind_of(params)}. Expected map or array")
    wanted = [arg for arg in args if not arg.is_ours]
    if not len(wanted) <= len(params) <= len(args):
        names = " ".join(arg.name for arg in wanted)
        first = params[: 2 * SHOWN_CHARS_MAX]  # more would not be shown
        given = " ".join("[" + " ".join(map(str, head_of(one).encode())) + "]" for one in first)
        text = f"expected {len(wanted)} parameters ([{names}]), got {len(params)} ([{given[: 8 * SHOWN_CHARS_MAX]}])"
        raise BadParam(text)
    given_of = dict(zip((arg.name for arg in args), params, strict=False))
    return {arg.name: _value(arg, given_of.get(arg.name)) for arg in args}


def _value(arg: Arg, given: Json) -> Any:
    return arg.default if given is None else _CONVERTERS[arg.kind](arg.kind, given)


def _integer(kind: Kind, given: Json) -> int:
    if not isinstance(given, str):
        raise _no_string(head_of(given))
    return _integer_of(kind, given)


def _no_string(text: str) -> BadParam:
    return BadParam(f"invalid 64-bit integer encoding {json.dumps(text[:SHOWN_CHARS_MAX])}, expected string")


def _integer_of(kind: Kind, text: str) -> int:
    low, high = INTEGERS[kind]
    if not _NUMBER.fullmatch(text):
        raise BadParam(f"invalid character in {_shown(text)}: it is no number")
    if len(text) > DIGITS_MAX or not low <= (number := int(text)) <= high:
        raise BadParam(f"json: cannot unmarshal number {text[:SHOWN_CHARS_MAX]} into Go value of type {kind}")
    return number


def _flag(kind: Kind, given: Json) -> bool:
    if not isinstance(given, bool):
        raise _other(given, kind)
    return given


def _text(kind: Kind, given: Json) -> str:
    if not isinstance(given, str):
        raise _other(given, kind)
    return given


def _base64(kind: Kind, given: Json) -> bytes:
    if not isinstance(given, str):
        raise _other(given, "[]uint8")
    try:
        return base64.b64decode(given, validate=True)
    except ValueError:
        raise BadParam("illegal base64 data") from None


def _hex(kind: Kind, given: Json) -> bytes:
    if not isinstance(given, str):
        raise BadParam(f"invalid hex string: {_shown(head_of(given))}")
    return _bytes_of_hex(given)


def _bytes_of_hex(text: str) -> bytes:
    try:
        return binascii.unhexlify(text)
    except ValueError:
        strange = next((char for char in text if char not in _HEX_DIGITS), "")
        why = f"invalid byte: U+{ord(strange):04X} {strange!r}" if strange else "odd length hex string"
        raise BadParam(f"encoding/hex: {why}") from None


# Names as one of the reference's own vectors has them, beside those of its code.
_FIELD_NAMES: Final = {
    "total_voting_power": "TotalVotingPower", "validator_power": "ValidatorPower", "timestamp": "Timestamp",
    "conflicting_block": "ConflictingBlock", "common_height": "CommonHeight",
    "byzantine_validators": "ByzantineValidators",
}  # fmt: skip


def _evidence(kind: Kind, given: Json) -> Any:
    if isinstance(given, dict) and isinstance(given.get("value"), dict):
        given = {**given, "value": {_FIELD_NAMES.get(name, name): one for name, one in given["value"].items()}}
    try:
        return evidence_from_json(given, "evidence")
    except (InvalidData, ValueError) as error:
        raise BadParam(str(error)) from None


def _other(given: Json, kind: str) -> BadParam:
    return BadParam(f"json: cannot unmarshal {kind_of(given)} into Go value of type {kind}")


def head_of(value: Json) -> str:
    """How its JSON text begins: of a value of 50,000 no more is written than is shown."""
    # the check would leave a cycle behind, with the whole value in it, and what was parsed has no circle
    encoder, text = json.JSONEncoder(check_circular=False), ""
    for piece in encoder.iterencode(value[:SHOWN_CHARS_MAX] if isinstance(value, str) else value):
        text += piece
        if len(text) >= SHOWN_CHARS_MAX:
            break
    return text[:SHOWN_CHARS_MAX]


def _shown(text: str) -> str:
    return repr(text[:SHOWN_CHARS_MAX])


_CONVERTERS: Final[Mapping[Kind, Callable[[Kind, Json], Any]]] = {
    Kind.INT64: _integer,
    Kind.INT: _integer,
    Kind.UINT: _integer,
    Kind.BOOL: _flag,
    Kind.TEXT: _text,
    Kind.BYTES: _base64,
    Kind.HEX: _hex,
    Kind.EVIDENCE: _evidence,
}

# ----------------------------------------------------------------------------------------------------------------- URI


def from_query(args: tuple[Arg, ...], query: Callable[[str], str]) -> dict[str, Any]:
    """query: what stands under a name; "": nothing. Raises RpcError."""
    try:
        return {arg.name: _from_text(arg, query(arg.name)) for arg in args}
    except BadParam as error:
        text = f"error converting http params to arguments: {error}"
        raise RpcError(INVALID_PARAMS, text, status=500) from None


def _from_text(arg: Arg, text: str) -> Any:
    kind = arg.kind
    if not text:
        return arg.default
    if kind in INTEGERS and _WHOLE.fullmatch(text):
        return _integer_of(kind, text)
    if kind in INTEGERS and text[:2].lower() != "0x" and text[0] != '"':
        raise _no_string(text)
    if text[:2].lower() == "0x":
        if kind is Kind.TEXT:
            return _bytes_of_hex(text[2:]).decode(errors="replace")
        if kind in (Kind.BYTES, Kind.HEX):
            return _bytes_of_hex(text[2:])
        raise BadParam(f"got a hex string arg, but expected '{kind}'")
    if kind in (Kind.BYTES, Kind.HEX) and len(text) > 1 and text[0] == text[-1] == '"':
        return _json_of(text).encode(errors="replace")
    return _value(arg, _json_of(text))


def _json_of(text: str) -> Any:
    if why := too_many_values(text):
        raise BadParam(why)
    try:
        return loads(text, what="argument", bytes_max=len(text))
    except InvalidData as error:
        raise BadParam(str(error)) from None


__all__ = ["ABSENT", "NO_ID", "Arg", "BadParam", "Kind", "from_json", "from_query"]
