"""The paths under /v1: each request becomes the gRPC call's own, is given to the very function that answers the call
over gRPC, and its answer becomes JSON.

So limits, costs, deadlines and reads are the gRPC door's; what is added here is the form. The HTTP door has counted the
request, and checked its Host, before it comes here. A body has to be `application/json`, which a web page cannot send
elsewhere without being asked whether it may (there are no CORS headers).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import web
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from dchat.doors.kept.answers import Lasting
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.limits import RateLimit, Room, client_of
from dchat.doors.reads.reading import Reading
from dchat.doors.rest.json_form import bool_of, fill, fill_text, record_text, text_of
from dchat.doors.rest.openapi import Described, document
from dchat.doors.rest.records import KEY_FIELDS, RecordPath
from dchat.doors.rest.table import DECODED, Route, routes_of

OPENAPI: Final = "/openapi.json"
ANSWER_AT_ONCE_BYTES: Final = 1_024  # of an answer that is written on the loop; larger ones in a thread
BODY_AT_ONCE_BYTES: Final = 4_096  # of a body that is read on it
ANSWER_BYTES_MAX: Final = 4_194_304  # before it is JSON, which has twice as many: a larger one is for gRPC
BYTES_PER_COST: Final = 65_536  # of a body: each costs one plain request more, as over gRPC
BODY_S: Final = 5.0
JSON: Final = "application/json"
STATUS: Final = {
    "INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "FAILED_PRECONDITION": 409, "RESOURCE_EXHAUSTED": 503,
    "DEADLINE_EXCEEDED": 504, "UNIMPLEMENTED": 501,
}  # fmt: skip


# Calls that tell of the running height, of what waits or of this node; of what peers or threads do meanwhile.
MOMENTS: Final = frozenset({"/dchat.v1.ChainService/GetStatus", "/dchat.v1.StateService/GetUpgrade"})
NEVER_KEPT: Final = frozenset({
    "/dchat.v1.TxService/ListPending", "/dchat.v1.TxService/SearchTxs", "/dchat.v1.ChainService/SearchBlocks",
    "/dchat.v1.TrailService/ListTrails", "/dchat.v1.TrailService/ListTrailSteps",
    "/dchat.v1.TrailService/ListTrailWrites",
})  # fmt: skip
# Calls whose answer stands in a block for good, once their path says in which.
DECIDED_CALLS: Final = frozenset({
    "/dchat.v1.ChainService/GetBlock", "/dchat.v1.ChainService/GetBlockResults", "/dchat.v1.TxService/GetTx",
})  # fmt: skip


def lasting_of(route: Route) -> Lasting | None:
    """How long its answer stays what it is; None: it is made anew each time."""
    if route.verb != "GET" or route.call in NEVER_KEPT:
        return None
    return Lasting.MOMENT if route.call in MOMENTS else Lasting.BLOCK


class Served(NamedTuple):
    """What the gRPC door serves. methods: handlers by path (`/dchat.v1.TxService/Broadcast`). costs: of methods that
    are worth more than one plain request. requests, answers: the room that all of them have."""

    methods: Mapping[str, Any]
    services: tuple[str, ...]
    costs: Mapping[str, int]
    requests: Room
    answers: Room


class CallContext:
    """What a gRPC method sees of its call."""

    def __init__(self, host: str) -> None:
        self._peer = f"http:[{host}]:0"
        self.code, self.details = "", ""

    def peer(self) -> str:
        return self._peer

    def set_code(self, code: Any) -> None:
        self.code = code.name

    def set_details(self, details: str) -> None:
        self.details = details


class Calls:
    """Routes for an HTTP door: `handlers`, and what they cost, by `(verb, path)`."""

    def __init__(
        self, served: Served, rate: RateLimit, reading: Reading, *, version: str, described: Described | None = None
    ) -> None:
        """described: paths of the door that are none of these, for the document."""
        self._served, self._rate, self._reading, self._described = served, rate, reading, described
        self._openapi, self._version = b"", version
        self.routes = routes_of(served.services)
        self.handlers: dict[tuple[str, str], Callable[[web.Request], Any]] = {("GET", OPENAPI): self._document}
        self.costs: dict[tuple[str, str], int] = {("GET", OPENAPI): 4}
        self.lasting = {("GET", route.path): how for route in self.routes if (how := lasting_of(route)) is not None}
        self.decided = frozenset(route.path for route in self.routes if route.call in DECIDED_CALLS and route.in_path)
        for route in self.routes:
            self.handlers[route.verb, route.path] = self._handler(route, served.methods[route.call])
            self.costs[route.verb, route.path] = served.costs.get(route.call, 1)

    def _handler(self, route: Route, handler: Any) -> Callable[[web.Request], Any]:
        kind = GetMessageClass(route.request)
        answer_kind = GetMessageClass(route.method.output_type)

        async def handle(request: web.Request) -> web.Response:
            client = client_of(request.remote or "")
            asked = kind()
            decoded = _read_query(request, asked, route)
            if route.verb == "POST":
                await self._read_body(request, asked, client)
            if route.record is not None:
                asked.store, asked.key = route.record.kind.store, route.record.key(request.match_info)  # type: ignore[attr-defined]  # GetRecord's
            else:
                for name in route.in_path:
                    fill_text(asked, name, [request.match_info[name]])
            context = CallContext(request.remote or "")
            try:
                answer = await handler.unary_unary(asked, context)
            except Exception:
                if not context.code:
                    raise
                return refusal(context)
            return await self._answer(answer, answer_kind, client, decoded=decoded, record=route.record)

        return handle

    async def _read_body(self, request: web.Request, asked: Message, client: str) -> None:
        """Raises BadQuestion, Busy, HTTPException (too large, another type)."""
        if request.content_type != JSON:
            raise web.HTTPUnsupportedMediaType(reason=f"the body is {request.content_type[:64]}; allowed: {JSON}")
        size = request.content_length
        if size is None:
            raise BadQuestion("the body has no Content-Length; allowed: a body of one piece")
        if size > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=size)
        if size > BYTES_PER_COST:
            self._rate.take(client, cost=size // BYTES_PER_COST)
        self._served.requests.take(client, size)
        try:
            data = await in_time(request)
            if len(data) <= BODY_AT_ONCE_BYTES:
                fill(asked, parsed(data))
            else:
                await self._reading.run(lambda: fill(asked, parsed(data)), client)
        finally:
            self._served.requests.give(client, size)

    async def _answer(
        self, answer: Any, kind: type[Message], client: str, *, decoded: bool, record: RecordPath | None
    ) -> web.Response:
        """answer: a message, or one that is encoded. Raises BadQuestion (it is too large for JSON), Busy."""
        size = len(answer) if isinstance(answer, bytes) else answer.ByteSize()
        if size > ANSWER_BYTES_MAX:
            raise BadQuestion(f"the answer has {size} bytes; allowed here: {ANSWER_BYTES_MAX}. Ask the gRPC door")

        def work() -> bytes:
            told = kind.FromString(answer) if isinstance(answer, bytes) else answer
            return text_of(told, decoded=decoded) if record is None else record_text(told, record.kind.schema)

        self._served.answers.take(client, size)
        try:
            text = work() if size <= ANSWER_AT_ONCE_BYTES else await self._reading.run(work, client)
        finally:
            self._served.answers.give(client, size)
        return web.Response(body=text, content_type=JSON, charset="utf-8")

    async def _document(self, _: web.Request) -> web.Response:
        if not self._openapi:
            made = partial(document, self.routes, version=self._version, described=self._described)
            self._openapi = (await self._reading.run(lambda: json.dumps(made()), "local")).encode()
        return web.Response(body=self._openapi, content_type=JSON, charset="utf-8")


async def in_time(request: web.Request) -> bytes:
    """Raises BadQuestion: it did not come so."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise BadQuestion(f"the body did not come within {BODY_S:g} s") from None


def parsed(data: bytes) -> Any:
    """Raises BadQuestion."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadQuestion(f"the body is no JSON: {str(error)[:100]}") from None


def _read_query(request: web.Request, asked: Message, route: Route) -> bool:
    """Whether the answer's bytes shall be decoded; the rest are fields of a GET. Raises BadQuestion."""
    decoded = False
    for name in dict.fromkeys(request.query):
        if name == DECODED:
            decoded = bool_of(name, request.query[name])
        elif name in route.in_path or (route.record is not None and name in KEY_FIELDS):
            raise BadQuestion(f"{name}: it stands in the path already")
        elif route.verb != "GET":
            raise BadQuestion(f"{name}: fields stand in the body; allowed in the query: {DECODED}")
        else:
            fill_text(asked, name, request.query.getall(name))
    return decoded


def refusal(context: CallContext) -> web.Response:
    status = STATUS.get(context.code, 500)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return web.json_response({"error": context.details}, status=status, headers=headers)
