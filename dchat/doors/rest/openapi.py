"""The OpenAPI 3.1 document: of the paths under /v1, made of the same table and the same schemas as their routes; and of
what the door itself says of its others.

Source: spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.descriptor_pool import Default

from dchat.doors.rest.json_form import BOOL, BYTES, DOUBLE, ENUM, FLOAT, INTS, MESSAGE, TIMES
from dchat.doors.rest.records import HASHES, KEY_FIELDS, NUMBERS, TEXT_CHARS_MAX, TEXTS, RecordPath
from dchat.doors.rest.table import DECODED, HOLDS, Route, message_type
from proto.dchat.v1.shown_pb2 import Shown, names, shown

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

HEX: Final = "^([0-9a-fA-F]{2})*$"
ADDRESS: Final = "^dchat1[02-9ac-hj-np-z]{38}$"
REFUSALS: Final = {
    "400": "The question is wrong: `error` says what is allowed.",
    "403": "This door has no such name as the Host header says: [http] allowed_hosts.",
    "404": "Not here: never, not any more, or not yet; `error` says which, and which heights this node has.",
    "409": "This node cannot judge what it was given (evidence): `error` says what it lacks; ask another.",
    "503": "Too much at once, or too often: try again after a while.",
    "504": "No answer in time.",
}
BODY_REFUSALS: Final = {
    "413": "The body is too large: [http] request_bytes_max.",
    "415": "The body is application/json.",
}
DESCRIPTION: Final = (
    "Every call of the gRPC services but the streams, as JSON: the schemas' own names, bytes in hex, numbers of 64 "
    "bits as text. A transaction that is not acceptable is answered 200, with its `code` and "
    "`codespace` (docs/errors.md)."
)

SIZES: Final = {
    name: size
    for size, names in (
        (32, ("hash", "replay_id")),
        (20, (
            "address", "channel_id", "consensus_address", "creator", "delegator", "funder", "grantee", "granter",
            "member", "operator", "owner", "payee", "payer", "recipient", "voter",
        )),
    )
    for name in names
}  # fmt: skip  # bytes of parameters that have so many

DECODED_TEXT: Final = "Write bytes that hold a message (a transaction, a receipt) as that message."


class Described(NamedTuple):
    """Paths of a door that are no call's, the schemas that they refer to, what tags mean, and what some paths ask
    of who calls."""

    paths: Mapping[str, Any] = {}
    schemas: Mapping[str, Any] = {}
    tags: Mapping[str, str] = {}
    security: Mapping[str, Any] = {}


def document(routes: Iterable[Route], *, version: str, described: Described | None = None) -> dict[str, Any]:
    """As JSON-able values, in the order of the table."""
    routes, more = list(routes), described or Described()
    schemas: dict[str, Any] = dict(more.schemas)
    waiting: list[Descriptor] = []
    paths: dict[str, dict[str, Any]] = dict(more.paths)
    for route in routes:
        paths.setdefault(route.path, {})[route.verb.lower()] = operation(route, waiting)
    while waiting:
        kind = waiting.pop()
        if kind.full_name not in schemas:
            schemas[kind.full_name] = message_schema(kind, waiting)
    services = {
        route.method.containing_service.name: f"gRPC: {route.method.containing_service.full_name}." for route in routes
    }
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dchat",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The door that served this."}],
        "security": [],  # none but the connection's own: [http] client_ca_file
        "tags": [{"name": name, "description": text} for name, text in {**more.tags, **services}.items()],
        "paths": paths,
        "components": {
            "schemas": {"Error": error, **dict(sorted(schemas.items()))},
            "securitySchemes": dict(more.security),
        },
    }


def operation(route: Route, waiting: list[Descriptor]) -> dict[str, Any]:
    """waiting: is given the messages that it refers to."""
    if route.record is not None:
        return record_operation(route, route.record, waiting)
    suffix = "" if not route.in_path or "/by-" not in route.path else f"_by_{route.in_path[-1]}"
    told: dict[str, Any] = {
        "operationId": f"{route.method.containing_service.name}_{route.method.name}{suffix}",
        "tags": [route.method.containing_service.name],
        "summary": f"gRPC: {route.call.removeprefix('/')}",
    }
    fields = {field.name: field for field in route.request.fields}
    parameters = [parameter(fields[name], "path", waiting) for name in route.in_path]
    if route.verb == "GET":
        rest = [field for name, field in fields.items() if name not in route.in_path and field.type != MESSAGE]
        parameters += [parameter(field, "query", waiting) for field in rest]
    else:
        told["requestBody"] = {"required": True, "content": _json(_reference(route.request, waiting))}
    parameters.append({"name": DECODED, "in": "query", "schema": {"type": "boolean"}, "description": DECODED_TEXT})
    told["parameters"] = parameters
    told["responses"] = _responses(_reference(route.method.output_type, waiting), has_body=route.verb != "GET")
    return told


def record_operation(route: Route, record: RecordPath, waiting: list[Descriptor]) -> dict[str, Any]:
    """GetRecord's, with the parts of the key in place of store and key, and the record in place of its bytes."""
    fields = {field.name: field for field in route.request.fields if field.name not in KEY_FIELDS}
    answers = {field.name: field_schema(field, waiting) for field in route.method.output_type.fields}
    answers["value"] = _reference(record.kind.schema.DESCRIPTOR, waiting)
    words = re.findall(r"\w+", record.path.removeprefix("/v1/"))
    return {
        "operationId": f"{route.method.containing_service.name}_{route.method.name}_{'_'.join(words)}",
        "tags": [route.method.containing_service.name],
        "summary": f"gRPC: {route.call.removeprefix('/')}",
        "description": f"{record.kind.what.capitalize()}, by its key; `value` is absent where there is none.",
        "parameters": [
            *[_part(name) for name in record.parts],
            *[parameter(field, "query", waiting) for field in fields.values()],
            {"name": DECODED, "in": "query", "schema": {"type": "boolean"}, "description": "It is in any case."},
        ],
        "responses": _responses({"type": "object", "properties": answers, "additionalProperties": False}),
    }


def _part(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name in NUMBERS:
        schema["pattern"] = "^[0-9]{1,18}$"
    elif name in HASHES:
        schema["pattern"] = "^[0-9a-fA-F]{64}$"
    elif name == "channel":
        schema["description"] = "a channel's name, or its id in hex"
    elif name not in TEXTS:
        schema = {"anyOf": [{"type": "string", "pattern": "^[0-9a-fA-F]{40}$", "description": "hex"}, _address()]}
    if name in TEXTS or name == "channel":
        schema |= {"maxLength": TEXT_CHARS_MAX, "pattern": "^[ -~]*$"}
    return {"name": name, "in": "path", "schema": schema, "required": True}


def _responses(schema: dict[str, Any], *, has_body: bool = False) -> dict[str, Any]:
    return {"200": {"description": "The answer.", "content": _json(schema)}, **failures(has_body=has_body)}


def failures(*, has_body: bool = False) -> dict[str, Any]:
    """Answers of any path that are none to its question, by status."""
    failure = _json({"$ref": "#/components/schemas/Error"})
    refusals = {**REFUSALS, **(BODY_REFUSALS if has_body else {})}
    told = {status: {"description": text, "content": failure} for status, text in sorted(refusals.items())}
    told["503"]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
    return told


def parameter(field: FieldDescriptor, place: str, waiting: list[Descriptor]) -> dict[str, Any]:
    """Narrower than what a field of its kind may hold: no number is negative, and hashes have their length."""
    schema = field_schema(field, waiting)
    if (size := SIZES.get(field.name)) and field.type == BYTES:
        sized = {"type": "string", "pattern": f"^[0-9a-fA-F]{{{2 * size}}}$", "description": "hex"}
        schema = {"anyOf": [sized, _address()]} if "anyOf" in schema else sized
        if place == "query":  # absent and empty are one
            schema = {"anyOf": [*schema.get("anyOf", [schema]), {"type": "string", "maxLength": 0}]}
    elif INTS.get(field.type, (0, False)) == (64, True):
        schema = {**schema, "pattern": "^[0-9]{1,19}$"}
    found: dict[str, Any] = {"name": field.name, "in": place, "schema": schema}
    if field.name == "limit":
        found["description"] = "How many at most; 0: the default. Too many: the answer says what is allowed."
    if place == "path":
        found["required"] = True
    return found


def message_schema(kind: Descriptor, waiting: list[Descriptor]) -> dict[str, Any]:
    if kind.full_name in TIMES:
        is_time = kind.name == "Timestamp"
        return {"type": "string", "format": "date-time"} if is_time else {"type": "string", "pattern": "^-?[0-9.]+s$"}
    properties = {field.name: field_schema(field, waiting) for field in kind.fields}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    for among in kind.oneofs:
        names = [field.name for field in among.fields]
        if len(names) > 1:
            schema["description"] = f"At most one of {', '.join(names)}."
    return schema


# What is said of a field, by what the schema says of it.
MEANINGS: Final = {
    Shown.CONSENSUS: "hex: a validator's address, or a hash of a block or a state",
    Shown.TEXT: "hex of UTF-8",
    Shown.COUNT: "hex of a whole number, big-endian",
    Shown.DEC: "in units of 10^-18",
    Shown.SUM: "udchat",
    Shown.INDEX_AFTER: "an index + 1; 0: none",
    Shown.NTH: "counted from 1; 0: none",
}


def field_schema(field: FieldDescriptor, waiting: list[Descriptor]) -> dict[str, Any]:
    one = _value_schema(field, waiting)
    if meaning := _meaning(field):
        one = {**one, "description": meaning}
    return {"type": "array", "items": one} if field.is_repeated else one


def _value_schema(field: FieldDescriptor, waiting: list[Descriptor]) -> dict[str, Any]:
    if field.type == MESSAGE:
        assert field.message_type is not None
        return _reference(field.message_type, waiting)
    if field.type == BYTES:
        plain = {"type": "string", "pattern": HEX, "description": "hex"}
        if also := HOLDS.get(field.full_name):
            return {"anyOf": [plain, _reference(message_type(also), waiting)]}
        return {"anyOf": [plain, _address()]} if _form(field) == Shown.ACCOUNT else plain
    if field.type == ENUM:
        assert field.enum_type is not None
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.type in INTS:
        bits, is_signed = INTS[field.type]
        if bits == 64:
            return {"type": "string", "pattern": "^-?[0-9]{1,19}$" if is_signed else "^[0-9]{1,20}$"}
        return {"type": "integer", "minimum": -(1 << 31) if is_signed else 0, "maximum": (1 << 32 - is_signed) - 1}
    if field.type in (DOUBLE, FLOAT):
        return {"type": "number"}
    return {"type": "boolean" if field.type == BOOL else "string"}


def _form(field: Any) -> Shown.As:
    form: Shown.As = field.GetOptions().Extensions[shown]
    return form


def _meaning(field: Any) -> str:
    """Empty: its type says it, or what it refers to."""
    if name := field.GetOptions().Extensions[names]:
        kind = Default().FindEnumTypeByName(f"{field.file.package}.{name}")
        if _form(field) == Shown.COUNTS:
            return "how many of each, in their order: " + ", ".join([value.name for value in kind.values[1:]])
        return ", ".join([f"{value.number}: {value.name}" for value in kind.values])
    if field.name.endswith("_ns"):
        return "ns since 1970"
    return MEANINGS.get(_form(field), "")


def _address() -> dict[str, str]:
    return {
        "type": "string",
        "format": "dchat-address",
        "pattern": ADDRESS,
        "description": "an account's address; answers have hex",
    }


def _reference(kind: Any, waiting: list[Descriptor]) -> dict[str, str]:
    waiting.append(kind)
    return {"$ref": f"#/components/schemas/{kind.full_name}"}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
