"""The door: POST / (one request or a batch), GET and POST /METHOD, and what goes around them.

Limits are those of every door (connections and requests of each client, its rate by what calls cost, times), beside the
reference's own: bytes of a body, requests of a batch.
Source: CometBFT v0.38, rpc/jsonrpc/server.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from consensus.formats.json_text import Json
from consensus.system.errors import traced
from consensus.system.log_limit import LogLimit
from consensus.system.tasks import Faults
from dchat.config.models import RpcSection
from dchat.doors.certificates import Certificates
from dchat.doors.http.listener import (
    NAMES,
    QUERY_PARAMS_MAX,
    Bounds,
    Handler,
    Listener,
    allowed_hosts,
    check_host,
    remote_of,
)
from dchat.doors.jsonrpc.cors import Cors
from dchat.doors.jsonrpc.form import is_small, written_now
from dchat.doors.jsonrpc.params import from_json, from_query
from dchat.doors.jsonrpc.protocol import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NO_ID,
    PARSE_ERROR,
    Id,
    Request,
    RpcError,
    batch_of,
    error_reply,
    read_body,
    reply,
    request_of,
    requests_of,
)
from dchat.doors.jsonrpc.table import Call, Method
from dchat.doors.reads.errors import Busy, Flooding, Unanswered
from dchat.doors.reads.limits import RateLimit, Room, Slots, client_of, is_loopback
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.reading import Reading, uncollected

JSON_TYPE: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
KEPT: Final = {"Cache-Control": "public, max-age=86400"}
AT_ONCE_BYTES: Final = 4_096  # of a body that is read on the loop; larger ones in a thread
BODIES_BYTES_MAX: Final = 32 * 1_048_576  # of those that are being answered; of a client its share
BYTES_PER_COST: Final = 65_536  # of a body: each costs one plain request more, as at the other doors
BODY_S: Final = 10.0
FIELD_BYTES_MAX: Final = 16_384  # of one header
METHOD_CHARS_MAX: Final = 40

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="method")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, its arguments made: what is wanted, or why it is refused. id None: nothing is to be done."""

    id: Id
    name: str
    method: Method | None = None
    given: dict[str, Any] = field(default_factory=dict)
    refusal: RpcError | None = None

    @property
    def wanted(self) -> tuple[Method, dict[str, Any]]:
        assert self.method is not None, self.name
        return self.method, self.given


class TakesOver(Protocol):
    """`dchat.doors.jsonrpc.websocket.Sockets`."""

    async def serve(self, request: web.Request, door: JsonRpcDoor) -> web.StreamResponse: ...
    def leave(self) -> None: ...
    async def close(self) -> None: ...


class JsonRpcDoor(Listener):
    """`start`, then `stop`. table: its methods. share, reading: what all doors have of the loop and of threads."""

    section = "rpc"

    def __init__(
        self,
        options: RpcSection,
        table: Mapping[str, Method],
        faults: Faults,
        *,
        rate: RateLimit,
        tls: Certificates | None,
        share: LoopShare,
        reading: Reading,
        connections_max: int | None = None,
        sockets: TakesOver | None = None,
    ) -> None:
        """connections_max: fewer than the option says, where there are too few file handles. sockets: takes over what
        is asked at /websocket."""
        bounds = Bounds(
            body_bytes_max=options.max_body_bytes,
            requests_max=options.concurrent_requests_max,
            connections_max=connections_max or options.max_open_connections,
            idle_ms=options.idle_timeout,
            line_bytes_max=options.max_header_bytes,
            field_bytes_max=min(options.max_header_bytes, FIELD_BYTES_MAX),
            too_long_status=431,
        )
        super().__init__("JSON-RPC", bounds, faults, rate=rate, tls=tls)
        self.options, self.table = options, dict(table)
        self.waits = Slots("waits for a block", options.max_subscription_clients * options.max_subscriptions_per_client)
        self.answered: Counter[tuple[str, str]] = Counter()  # by method, and `ok` or the error's code
        self._writing = frozenset(name for name, method in self.table.items() if method.writes)
        self._share, self._reading, self._sockets = share, reading, sockets
        self._bodies, self._cors = Room("JSON-RPC requests", BODIES_BYTES_MAX), Cors(options.cors_allowed_origins)

    def tell(self, status: int, why: str) -> object:
        error = RpcError(INVALID_REQUEST if status < 500 else INTERNAL_ERROR, why)
        return {"jsonrpc": "2.0", "error": error.form()}

    async def start(self, host: str, port: int) -> int:
        """Returns the port. Raises OSError. Where other machines reach it, it may be called by any name."""
        names = allowed_hosts(host, self.options.allowed_hosts if is_loopback(host) else ["*"])
        routes: dict[tuple[str, str], Any] = {("*", "/"): self._root, ("*", "/{method}"): self._uri}
        if self._sockets is not None:
            routes = {("*", "/websocket"): self._upgrade, **routes}
        bound = await self.listen(self.gate, routes, host, port, tls=self._tls, names=names)
        log.info("opened the JSON-RPC door", host=host, port=bound, tls=self._tls is not None)
        return bound

    async def leave(self, why: str) -> None:
        if self._sockets is not None:
            self._sockets.leave()
        await super().leave(why)

    async def stop(self) -> None:
        """Subscribers are told."""
        if self._sockets is not None:
            await self._sockets.close()
        await super().stop()

    # ---------------------------------------------------------------------------------------------- around requests

    async def answer_to(self, request: web.Request, handler: Handler, client: str) -> web.StreamResponse:
        began = int(time.time())
        try:
            self._rate.take(client)
            check_host(request)
            if (preflight := self._cors.preflight(request)) is not None:
                return preflight
            answer = await handler(request)
        except (Flooding, ConnectionError):
            raise
        except Busy as error:
            answer = error_response(NO_ID, RpcError(INTERNAL_ERROR, str(error), status=503))
        except RpcError as error:
            answer = error_response(None if error.code in (PARSE_ERROR, INVALID_REQUEST) else NO_ID, error)
            if error.code == INVALID_REQUEST:  # of a size: refused before anything else is done
                return answer
        except web.HTTPNotFound:
            answer = web.Response(status=404, text="404 page not found\n")
        except web.HTTPException as error:
            answer = web.Response(status=error.status, text=f"{error.reason}\n")
        except Exception as error:
            _limited.error("a request failed", request.path[:64], error=repr(error), exc_info=traced(error))
            answer = error_response(NO_ID, RpcError(INTERNAL_ERROR, TEXT_OF_FAULT, status=500))
        if not answer.prepared:
            answer.headers["X-Server-Time"] = str(began)
            self._cors.mark(request, answer)
        return answer

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        assert self._sockets is not None
        self._cors.check_socket(request, has_names=request.app[NAMES] is not None)
        return await self._sockets.serve(request, self)

    # ------------------------------------------------------------------------------------------------------- POST /

    async def _root(self, request: web.Request) -> web.Response:
        client = client_of(request.remote or "")
        size = self._bounds.body_bytes_max if request.content_length is None else request.content_length
        if size > self._bounds.body_bytes_max:
            raise too_large()
        with held(self._bodies, client, size):
            data = await self._body(request)
            if not data:
                return web.Response(text=endpoints_page(request.host, self.table.values()), content_type="text/html")
            if len(data) > BYTES_PER_COST:
                self._rate.take(client, cost=len(data) // BYTES_PER_COST)
            requests = await self._read(data, client)
            if any(one.name in self._writing for one in requests):
                self._cors.check_writing(request, has_names=request.app[NAMES] is not None)
            if len(requests) > 1:
                self._rate.take(client, cost=len(requests) - 1)
            return await self._answer_all(requests, client, remote_of(request))

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise too_large() from None
        except TimeoutError:
            raise web.HTTPRequestTimeout(reason=f"the body did not come within {BODY_S:g} s") from None

    async def _read(self, data: bytes, client: str, *, over_socket: bool = False) -> list[Asked]:
        """What a body asks for. A large one is read in a thread, and nothing of it is left but the arguments. Raises
        RpcError, Busy."""
        if len(data) <= AT_ONCE_BYTES:
            return self._asked(data, over_socket=over_socket)

        def read() -> list[Asked] | RpcError:
            with uncollected():
                try:
                    return self._asked(data, over_socket=over_socket)
                except RpcError as error:
                    return error.alone()

        found = await self._reading.run(read, client)
        if isinstance(found, RpcError):
            try:
                raise found
            finally:
                del found  # in its own traceback it would hold the body until a collection
        return found

    def _asked(self, data: bytes, *, over_socket: bool) -> list[Asked]:
        """Raises RpcError."""
        body = read_body(data)
        if over_socket and isinstance(body, list):
            raise RpcError(PARSE_ERROR, "error unmarshaling request: a list, expected an object: no batches here")
        requests = [request_of(body)] if over_socket else requests_of(body, self.options.max_request_batch_size)
        return [self._asked_of(one, over_socket=over_socket) for one in requests]

    def _asked_of(self, request: Request, *, over_socket: bool) -> Asked:
        if request.id is None:
            return Asked(None, request.method)
        method = self.table.get(request.method)
        if method is None or (method.of_socket and not over_socket):
            return Asked(request.id, request.method, refusal=RpcError(METHOD_NOT_FOUND))
        try:
            given = from_json(method.args, request.params, over_socket=over_socket)
        except RpcError as error:
            return Asked(request.id, request.method, refusal=error.alone())
        return Asked(request.id, request.method, method, given)

    async def _answer_all(self, requests: list[Asked], client: str, remote: str) -> web.Response:
        replies: list[bytes] = []
        is_kept, status = True, 200
        for request in requests:
            if request.id is None:
                continue  # a notification, which is not carried out
            if (error := request.refusal) is not None:
                if error.status:
                    self._count(request.name, error)
                    raise error.alone()  # takes the whole batch along; alone, as in `_read`
                is_kept = False
                replies.append(self._refused(request.name, request.id, error))
                continue
            method, given = request.wanted
            is_kept = is_kept and method.may_be_kept(given)
            call = Call(client, remote, request.id)
            text, why = await self._carried_out(method, call, given)
            replies.append(text)
            if why is not None and why.status == 503 and len(requests) == 1:
                status = 503
        if not replies:
            return web.Response(body=b"")
        headers = KEPT if is_kept and status == 200 else {"Retry-After": "1"} if status == 503 else {}
        return web.Response(body=batch_of(replies), content_type=JSON_TYPE, headers=headers, status=status)

    async def answer(self, data: bytes, client: str, remote: str, socket: Any) -> bytes | None:
        """Of a request over WebSocket, which counts before it is read; None: to a notification. Nothing else is raised
        than Flooding."""
        try:
            refusal = self._refusal(client, cost=1 + len(data) // BYTES_PER_COST)
            if len(data) > AT_ONCE_BYTES and refusal is not None:
                return self._refused("", NO_ID, refusal)
            request = (await self._read(data, client, over_socket=True))[0]
        except Flooding:
            raise
        except Busy as error:  # no thread was free for it
            return self._refused("", NO_ID, RpcError(INTERNAL_ERROR, str(error)))
        except RpcError as error:
            return error_reply(None, error)
        if request.id is None:
            return None
        if (why := refusal or request.refusal) is not None:
            return self._refused(request.name, NO_ID if why.status else request.id, why)
        method, given = request.wanted
        return (await self._carried_out(method, Call(client, remote, request.id, socket), given))[0]

    def _refusal(self, client: str, *, cost: int) -> RpcError | None:
        """None: its rate lets it through. Raises Flooding."""
        try:
            self._rate.take(client, cost=cost)
        except Flooding:
            raise
        except Busy as error:
            return RpcError(INTERNAL_ERROR, str(error))
        return None

    def may_ping(self, client: str) -> bool:
        """Whether what is no request, but has to be looked at, is within its rate. Raises Flooding."""
        return self._refusal(client, cost=1) is None

    async def _carried_out(self, method: Method, call: Call, given: dict[str, Any]) -> tuple[bytes, RpcError | None]:
        """(a reply, why it is an error)"""
        try:
            text = await self.run(method, call, given)
        except RpcError as error:
            return self._refused(method.name, call.id, error), error
        return text, None

    async def run(self, method: Method, call: Call, given: dict[str, Any]) -> bytes:
        """A reply's text. Raises RpcError, Flooding."""
        try:
            if method.cost > 1:
                self._rate.take(call.client, cost=method.cost - 1)
            with (self.waits if method.waits else self.slots).hold(call.client):
                limit_s = None if method.waits else self.options.request_timeout / 1_000
                async with asyncio.timeout(limit_s):
                    result = await method.run(call, given)
                    text = await self._written(result, call)
        except (RpcError, Flooding):
            raise
        except Busy as error:
            raise RpcError(INTERNAL_ERROR, str(error), status=503) from None
        except Unanswered as error:
            raise RpcError(INTERNAL_ERROR, str(error)) from None
        except TimeoutError:
            raise RpcError(INTERNAL_ERROR, "no answer in time") from None
        except Exception as error:
            _limited.error("a call failed", method.name, error=repr(error), exc_info=traced(error))
            raise RpcError(INTERNAL_ERROR, TEXT_OF_FAULT) from None
        self.answered[method.name, "ok"] += 1
        return text

    async def _written(self, result: Json, call: Call) -> bytes:
        """What has no long list is written at once: it needs no turn among those who read much."""
        if is_small(result):
            return written_now({"jsonrpc": "2.0", "id": call.id, "result": result})
        return await self._share.drive(reply(call.id, "result", result), call.client)

    def _refused(self, method: str, id: Id, error: RpcError) -> bytes:
        self._count(method, error)
        return error_reply(id, error)

    def _count(self, method: str, error: RpcError) -> None:
        self.answered[method if method in self.table else "unknown", str(error.code)] += 1

    # ---------------------------------------------------------------------------------------------------------- URI

    async def _uri(self, request: web.Request) -> web.Response:
        method = self.table.get(request.match_info["method"])
        if method is None:
            raise web.HTTPNotFound
        if method.of_socket:
            raise RpcError(METHOD_NOT_FOUND, status=404)
        if method.writes:
            self._cors.check_writing(request, has_names=request.app[NAMES] is not None)
        client = client_of(request.remote or "")
        self._take_fields(request.rel_url.raw_query_string, client)
        form: Mapping[str, str] = {}
        if request.body_exists and request.method != "GET":
            size = request.content_length
            if size is None or size > self._bounds.body_bytes_max:
                raise too_large()
            with held(self._bodies, client, size):
                form = await self._form(request, client)

        def text_of(name: str) -> str:
            return request.query.get(name, "") or form.get(name, "")

        def read() -> dict[str, Any] | RpcError:
            with uncollected():
                try:
                    return from_query(method.args, text_of)
                except RpcError as error:
                    return error.alone()

        size = len(request.rel_url.raw_query_string) + sum(map(len, form.values()))
        try:
            given = read() if size <= AT_ONCE_BYTES else await self._reading.run(read, client)
            if isinstance(given, RpcError):
                try:
                    raise given
                finally:
                    del given  # as in `_read`
            call = Call(client, remote_of(request), NO_ID)
            text = await self.run(method, call, given)
        except RpcError as error:
            self._count(method.name, error)
            error.status = error.status or 500
            raise
        headers = KEPT if method.may_be_kept(given) else {}
        return web.Response(body=text, content_type=JSON_TYPE, headers=headers)

    async def _form(self, request: web.Request, client: str) -> Mapping[str, str]:
        """What stands in a form of plain fields; nothing of what is none, as of one with files."""
        if request.content_type != FORM:
            return {}
        text = (await self._body(request)).decode(errors="replace")
        self._take_fields(text, client)
        return dict(reversed(parse_qsl(text)))  # of several of one name the first

    def _take_fields(self, text: str, client: str) -> None:
        """Count the fields of a query before they are read. Raises HTTPBadRequest, Busy, Flooding."""
        if (count := text.count("&") + 1) > QUERY_PARAMS_MAX:
            raise web.HTTPBadRequest(reason=f"{count} parameters; allowed: {QUERY_PARAMS_MAX}")
        if len(text) > BYTES_PER_COST:
            self._rate.take(client, cost=len(text) // BYTES_PER_COST)


TEXT_OF_FAULT: Final = "the node failed to answer; its log says why"


@contextlib.contextmanager
def held(room: Room, client: str, size: int) -> Iterator[None]:
    """Room of a client for as long as the block lasts. Raises Busy."""
    room.take(client, size)
    try:
        yield
    finally:
        room.give(client, size)


def too_large() -> RpcError:
    text = "error reading request body: http: request body too large"
    return RpcError(INVALID_REQUEST, text, status=400)


def error_response(id: Id, error: RpcError) -> web.Response:
    headers = {"Retry-After": "1"} if error.status == 503 else {}
    return web.Response(
        body=error_reply(id, error), content_type=JSON_TYPE, status=error.status or 200, headers=headers
    )


def endpoints_page(host: str, methods: Any) -> str:
    """For a browser: the methods as links."""
    lines = []
    for method in sorted(methods, key=lambda one: (bool(one.args), one.name)):
        if method.of_socket:
            continue
        asked = "&".join(f"{arg.name}=_" for arg in method.args)
        link = html.escape(f"//{host[:256]}/{method.name}{'?' if asked else ''}{asked}")
        lines.append(f'<a href="{link}">{link}</a><br>')
    return "<html><body><br>Available endpoints:<br>" + "".join(lines) + "</body></html>"
