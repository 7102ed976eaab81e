"""The explorer's files over HTTP, as they stand in `static/`, and the schemas of the records whose proofs it checks.

Everything is read and packed once, so a request costs a look into a table; a browser that has a file already is told
so (304). The pages may load scripts, styles and answers of this door and nothing else (Content-Security-Policy), and no
other page may frame them. What they show they read from the door's own paths.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib import resources
from typing import Any, Final, NamedTuple

from aiohttp import web
from google.protobuf.descriptor import FieldDescriptor

from bridge.records import RECEIPT
from chain.chat.ballots import PROPOSAL
from chain.chat.channels.records import CHANNEL
from chain.chat.ledger.records import IDENTITY
from chain.currency.ledger.records import ACCOUNT
from chain.kernel.branch import SPACES
from chain.tx.messages import KINDS, LANE_NAMES
from proto.dchat.v1 import governance_pb2, state_pb2

ROOT: Final = "/explorer"
TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # it may be kept, and is asked for again: another build has other pages
    "Vary": "Accept-Encoding",
}
RECORDS: Final[dict[str, tuple[bytes, Any]]] = {  # what has a button for its proof: key's prefix, schema
    "account": (ACCOUNT, state_pb2.Account),
    "identity": (IDENTITY, state_pb2.Identity),
    "channel": (CHANNEL, state_pb2.Channel),
    "proposal": (PROPOSAL, governance_pb2.Proposal),
    "bundle": (RECEIPT, state_pb2.Receipt),
}
_WIDE: Final = frozenset({FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64})
_NAMES: Final = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_INT32: "whole",
    FieldDescriptor.TYPE_UINT32: "whole",
    FieldDescriptor.TYPE_INT64: "whole",
    FieldDescriptor.TYPE_UINT64: "whole",
}


class Page(NamedTuple):
    """One file, ready to be sent."""

    kind: str
    body: bytes
    packed: bytes
    tag: str

    @staticmethod
    def of(kind: str, body: bytes) -> Page:
        return Page(kind, body, gzip.compress(body, mtime=0), f'"{sha256(body).hexdigest()[:20]}"')

    def answer(self, request: web.Request) -> web.Response:
        headers = {**HEADERS, "ETag": self.tag}
        if self.tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        body = self.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = self.packed, "gzip"
        return web.Response(body=body, content_type=self.kind, charset="utf-8", headers=headers)


def handlers() -> dict[tuple[str, str], Callable[[web.Request], web.Response]]:
    """Routes for an HTTP door, by verb and path."""
    found = {f"{ROOT}/{name}": Page.of(TYPES[name.rpartition(".")[2]], body) for name, body in _files()}
    found[f"{ROOT}/schema.json"] = Page.of("application/json", json.dumps(schemas(), separators=(",", ":")).encode())
    found[f"{ROOT}/"] = found.pop(f"{ROOT}/index.html")
    return {("GET", ROOT): _to_pages, **{("GET", path): page.answer for path, page in found.items()}}


def _to_pages(_: web.Request) -> web.Response:
    """Without the stroke the page's own files would be looked for beside it. A proxy may have it under another name."""
    return web.Response(status=308, headers={**HEADERS, "Location": f"{ROOT.rpartition('/')[2]}/"})


def _files() -> Iterator[tuple[str, bytes]]:
    for file in sorted(resources.files(__package__).joinpath("static").iterdir(), key=lambda one: one.name):
        if file.name.rpartition(".")[2] in TYPES:
            yield file.name, file.read_bytes()


# ----------------------------------------------------------------------------------------------- schemas


def schemas() -> dict[str, Any]:
    """What a browser needs to decode a proved record itself: fields by number, and under which key it lies."""
    messages: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    for _, kind in RECORDS.values():
        _describe(kind.DESCRIPTOR, messages, enums)
    return {
        "records": {
            name: {"store": SPACES[prefix[0]][0], "prefix": prefix[1:].hex(), "message": kind.DESCRIPTOR.full_name}
            for name, (prefix, kind) in RECORDS.items()
        },
        "messages": messages,
        "enums": enums,
        "lanes": {name: sorted(LANE_NAMES[lane] for lane in kind.lanes) for name, kind in sorted(KINDS.items())},
    }


def _describe(message: Any, messages: dict[str, Any], enums: dict[str, Any]) -> None:
    """message: a Descriptor; Any, since the stubs know two of each kind that are no relatives."""
    if message.full_name in messages:
        return
    rows = messages[message.full_name] = []
    for field in message.fields:
        row: dict[str, Any] = {"number": field.number, "name": field.name, "kind": _NAMES[field.type]}
        row |= {"repeated": field.is_repeated, "presence": field.has_presence, "wide": field.type in _WIDE}
        row["signed"] = field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64)
        if field.containing_oneof is not None:
            row["oneof"] = field.containing_oneof.name
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            row["of"] = field.message_type.full_name
            _describe(field.message_type, messages, enums)
        if field.type == FieldDescriptor.TYPE_ENUM:
            row["of"] = field.enum_type.full_name
            values = field.enum_type.values_by_number
            enums[field.enum_type.full_name] = {str(number): value.name for number, value in values.items()}
        rows.append({name: value for name, value in row.items() if value is not False})
