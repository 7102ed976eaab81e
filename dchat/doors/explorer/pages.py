"""The explorer's files over HTTP, as they stand in `static/`, and the schemas of the records whose proofs it checks.

Everything is read and packed once, so a request costs a look into a table; a browser that has a file already is told
so (304). The first page names the others under a folder that is called by their contents: those never change, so a
browser asks for them once; by their plain names they are there too, and asked for again.
The pages may load scripts, styles and answers of this door and nothing else (Content-Security-Policy), and no other
page may frame them. What they show they read from the door's own paths.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
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
from dchat.doors.kept.answers import ASK_AGAIN, TAG_DIGITS, Kept, KeptAnswers, has_already, tag_of, wire_of
from proto.dchat.v1 import governance_pb2, state_pb2

ROOT: Final = "/explorer"
FOR_EVER: Final = "public, max-age=31536000, immutable"
TYPES: Final = {
    "html": "text/html", "json": "application/json", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml",
}  # fmt: skip
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
    "Cache-Control": ASK_AGAIN,  # another build has other pages
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
    keeping: str = ASK_AGAIN  # its Cache-Control

    @staticmethod
    def of(kind: str, body: bytes) -> Page:
        return Page(kind, body, gzip.compress(body, mtime=0), tag_of(body))

    def fields(self) -> dict[str, str]:
        """Header fields of any answer with it."""
        return {**HEADERS, "Cache-Control": self.keeping, "ETag": self.tag}

    def answer(self, request: web.Request) -> web.Response:
        headers = self.fields()
        if has_already(", ".join(request.headers.getall("If-None-Match", ())), self.tag):
            return web.Response(status=304, headers=headers)
        body = self.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = self.packed, "gzip"
        return web.Response(body=body, content_type=self.kind, charset="utf-8", headers=headers)

    def kept(self, more: Mapping[str, str]) -> Kept:
        """As it goes over the wire. more: header fields of this door."""
        fields = {**self.fields(), **more, "Content-Type": f"{self.kind}; charset=utf-8"}
        packed = wire_of({**fields, "Content-Encoding": "gzip"}, self.packed)
        return Kept(wire_of(fields, self.body), self.tag.encode(), packed=packed)


class Explorer:
    """All of them, by path."""

    def __init__(self) -> None:
        files = dict(_files())
        files["schema.json"] = json.dumps(schemas(), separators=(",", ":")).encode()
        index = files.pop("index.html")
        folder = sha256(b"".join(name.encode() + b"\0" + body + b"\0" for name, body in sorted(files.items())))
        self.folder = folder.hexdigest()[:TAG_DIGITS]
        index = re.sub(rb'(src|href)="([a-z]+\.(?:js|css|svg))"', rb'\1="%b/\2"' % self.folder.encode(), index)
        self.pages = {f"{ROOT}/": Page.of(TYPES["html"], index)}
        for name, body in files.items():
            page = Page.of(TYPES[name.rpartition(".")[2]], body)
            self.pages[f"{ROOT}/{name}"] = page
            self.pages[f"{ROOT}/{self.folder}/{name}"] = page._replace(keeping=FOR_EVER)

    def handlers(self) -> dict[tuple[str, str], Callable[[web.Request], web.Response]]:
        """Routes for an HTTP door, by verb and path."""
        return {("GET", ROOT): _to_pages, **{("GET", path): page.answer for path, page in self.pages.items()}}

    def keep(self, answers: KeptAnswers, more: Mapping[str, str]) -> None:
        """Give all of them to what answers at once. more: header fields of this door."""
        for path, page in self.pages.items():
            answers.pin(path.encode(), page.kept(more))


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
