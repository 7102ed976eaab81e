"""What the doors over HTTP have in common: listening, limits around each request; and, of those that answer plain JSON,
errors as JSON and the page of metrics.

Requests are bounded in size, number, rate and time. Errors are JSON with a reason and never an exception's text.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import ipaddress
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from consensus.node.plain_http import as_error, without_banner
from consensus.system.errors import traced
from consensus.system.log_limit import LogLimit
from consensus.system.tasks import Faults
from dchat.config.models import HttpSection
from dchat.doors.certificates import Certificates
from dchat.doors.http.connections import Connection, Gate
from dchat.doors.kept.answers import ASK_AGAIN, DECIDED, KeptAnswers, Lasting, has_already, tag_of
from dchat.doors.kept.at_once import AtOnce
from dchat.doors.metrics.exposition import Registry
from dchat.doors.reads.errors import BadQuestion, Busy, Flooding, NotServing, NotThere
from dchat.doors.reads.handles import DoorHandles
from dchat.doors.reads.limits import RateLimit, Slots, client_of, is_loopback
from dchat.doors.rest.calls import OPENAPI
from dchat.home.version import build_version

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="path")

LINE_BYTES_MAX = 8_190  # of a request's first line: a longer one is answered 400
FIELD_BYTES_MAX = 4_096  # of one header
HEADERS_MAX = 64  # more than any client or proxy sends
BODY_S = 1.0  # for a body that nobody asked for (a POST's is read within `dchat.doors.rest.calls.BODY_S`)
QUERY_PARAMS_MAX = 64
NAMES: web.AppKey[frozenset[str] | None] = web.AppKey("names")  # of `allowed_hosts`
SECTION: web.AppKey[str] = web.AppKey("section")  # of the options, where they stand
PART_CHARS_MAX = 32  # of a path that nobody has, compared with those that are there
METRICS_COST = 2
READER_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
STRICT: Final = ("Strict-Transport-Security", "max-age=31536000")  # over TLS

Answer = Callable[[web.Request], web.Response | Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Routes = Mapping[tuple[str, str], Answer]  # by verb and path


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Of each request, and of how many there are at once. line_bytes_max: of its first line; field_bytes_max: of one
    header; idle_ms: for all of them, and between two requests."""

    body_bytes_max: int
    requests_max: int
    connections_max: int
    idle_ms: int
    line_bytes_max: int = LINE_BYTES_MAX
    field_bytes_max: int = FIELD_BYTES_MAX
    too_long_status: int = 400  # of what has more than these


class Listener(ABC):
    """A door says what it answers, and where: `listen`, then `stop`. How it refuses is its own: `answer_to`.

    section: of the options, where `allowed_hosts` stands.
    """

    section = "http"

    def __init__(self, name: str, bounds: Bounds, faults: Faults, *, rate: RateLimit, tls: Certificates | None) -> None:
        """name: in lines of the log, as `HTTP`."""
        self._bounds, self._tls, self._rate = bounds, tls, rate
        self.slots = Slots(f"{name} requests", bounds.requests_max)
        self.gate = Gate(f"{name} door", bounds.connections_max, faults, proxies=rate.proxies)
        self._runners: list[web.AppRunner] = []
        self.leaves = ""  # why nothing is answered any more
        self._answering: dict[asyncio.Task[Any], Connection] = {}

    @abstractmethod
    async def answer_to(self, request: web.Request, handler: Handler, client: str) -> web.StreamResponse:
        """One request within the door's limits, its failures as the door tells them. Raises Flooding: cut it."""

    def tell(self, status: int, why: str) -> object:
        """What is answered to what is no request: a document of JSON, as the door's other errors have it."""
        return as_error(status, why)

    async def listen(
        self,
        gate: Gate,
        routes: Routes,
        host: str,
        port: int,
        *,
        tls: Certificates | None,
        names: frozenset[str] | None,
        kept: KeptAnswers | None = None,
    ) -> int:
        """names: that a Host header may have; None: any. kept: answers that are given at once. Returns the port. Raises
        OSError."""
        bounds = self._bounds
        app = web.Application(client_max_size=bounds.body_bytes_max, middlewares=[self._guard])
        app[NAMES], app[SECTION] = names, self.section
        app.on_response_prepare.append(_guard_reader if tls is None else _guard_reader_over_tls)
        for (verb, path), handler in routes.items():
            app.router.add_route(verb, path, _plain(handler))
            if verb == "GET":
                app.router.add_route("HEAD", path, _plain(handler))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        options: dict[str, Any] = {
            "max_line_size": bounds.line_bytes_max,
            "max_field_size": bounds.field_bytes_max,
            "max_headers": HEADERS_MAX,
            "keepalive_timeout": bounds.idle_ms / 1_000,
            "lingering_time": BODY_S,
            "read_bufsize": LINE_BYTES_MAX,
            "auto_decompress": False,
            "too_long_status": bounds.too_long_status,
            "tell": self.tell,
            "told_with": READER_HEADERS if tls is None else {**READER_HEADERS, **dict([STRICT])},
            "at_once": AtOnce(kept, self._rate, lambda said: is_named(names, said)) if kept is not None else None,
        }

        def make(gate: Gate, client: str) -> Connection:
            manager = runner.server
            assert manager is not None
            return Connection(gate, client, manager, **options)

        return await gate.listen(make, host, port, tls=tls)

    async def stop(self) -> None:
        """Accept no more, let running requests finish for a moment, close."""
        await self.gate.close()
        for runner in self._runners:
            await runner.cleanup()

    async def leave(self, why: str) -> None:
        """Accept no more, and answer each request, those that run too, that it cannot be answered; until `stop`."""
        self.leaves = why
        await self.gate.close()
        for open_one in self.gate.open_connections:
            open_one.answer_nothing_at_once()
        for task, connection in self._answering.items():
            if not connection.is_patient:  # a WebSocket is closed by who has it
                task.cancel()

    def has_left(self) -> bool:
        return bool(self.leaves)

    def _left(self) -> web.Response:
        answer = web.json_response({"error": self.leaves}, status=503, headers={"Retry-After": "1"})
        answer.force_close()
        return answer

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connection_of(request)
        if self.has_left():
            return self._left()
        connection.requests += 1
        task = asyncio.current_task()
        assert task is not None
        self._answering[task] = connection
        proxies, host = self._rate.proxies, request.remote or ""
        if is_proxied := proxies.has(host):  # whoever asks for `remote` from here on is told of the client
            request = request.clone(remote=proxies.asker(host, request.headers.getall("X-Forwarded-For", ())))
        try:
            return await self.answer_to(request, handler, client_of(request.remote or ""))
        except Flooding as error:
            if is_proxied:  # the connection is other clients', too
                return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "1"})
            connection.gate.cut(connection, str(error))
            raise ConnectionError(str(error)) from None
        except asyncio.CancelledError:
            if not self.has_left() or connection.is_patient:
                raise
            return self._left()
        finally:
            del self._answering[task]
            connection.requests -= 1


async def _guard_reader(request: web.Request, response: web.StreamResponse) -> None:
    """What a browser is told that was led here: answers are data, of this door alone. What says more keeps it, but for
    what the server is built with."""
    await without_banner(request, response)
    for name, value in READER_HEADERS.items():
        response.headers.setdefault(name, value)


async def _guard_reader_over_tls(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault(*STRICT)
    await _guard_reader(request, response)


def connection_of(request: web.Request) -> Connection:
    connection = request.protocol
    assert isinstance(connection, Connection), connection
    return connection


def remote_of(request: web.Request) -> str:
    """`address:port` of who asks."""
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(request.remote)


class HttpListener(Listener):
    """A door says what it answers, and where: `open`; then `start_metrics` where that is wanted, and `stop`."""

    def __init__(
        self,
        options: HttpSection,
        registry: Registry,
        faults: Faults,
        *,
        rate: RateLimit,
        tls: Certificates | None,
        handles: DoorHandles | None = None,
        costs: Mapping[tuple[str, str], int] | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        """handles: connections that there are file handles for, where they are fewer than the options say. costs: what
        a request is worth in plain ones, of its client's rate, by route. keeping: answers that are given again."""
        bounds = Bounds(
            body_bytes_max=options.request_bytes_max,
            requests_max=options.concurrent_requests_max,
            connections_max=handles.http if handles else options.connections_max,
            idle_ms=options.idle_timeout,
        )
        super().__init__("HTTP", bounds, faults, rate=rate, tls=tls)
        self._options, self._registry = options, registry
        self._costs = {("GET", "/metrics"): METRICS_COST, **(costs or {})}
        self.keeping = keeping
        metrics_max = handles.metrics if handles else options.metrics_connections_max
        self.metrics_gate = Gate("metrics port", metrics_max, faults)

    async def open(self, routes: Routes, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        names = allowed_hosts(host, self._options.allowed_hosts)
        paths = {
            path for verb, path in routes if verb == "GET" and not path.startswith(("/v1/", "/explorer/", "/admin/"))
        }
        about: dict[str, Any] = {"version": build_version(), "paths": sorted(paths)}
        if ("GET", OPENAPI) in routes:
            about["api"] = OPENAPI  # which lists those under /v1
        routes = {("GET", "/"): lambda _: web.json_response(about), **routes}
        kept = self.keeping.answers if self.keeping is not None else None
        bound = await self.listen(self.gate, routes, host, port, tls=self._tls, names=names, kept=kept)
        log.info("opened the HTTP door", host=host, port=bound, tls=self._tls is not None)
        return bound

    async def start_metrics(self, host: str, port: int, *, tls: Certificates | None = None) -> int:
        """Where other machines reach it, scrapers may call it by any name."""
        names = allowed_hosts(host, self._options.allowed_hosts if is_loopback(host) else ["*"])
        bound = await self.listen(
            self.metrics_gate, {("GET", "/metrics"): self.metrics}, host, port, tls=tls, names=names
        )
        log.info("opened the metrics port", host=host, port=bound, tls=tls is not None)
        return bound

    async def leave(self, why: str) -> None:
        await self.metrics_gate.close()
        await super().leave(why)

    async def stop(self) -> None:
        await asyncio.gather(self.gate.close(), self.metrics_gate.close())
        await super().stop()

    async def metrics(self, _: web.Request) -> web.Response:
        """Some 4 ms of work: the loop is given back meanwhile."""
        parts = []
        for part in self._registry.parts():
            parts.append(part)
            await asyncio.sleep(0)
        return web.Response(body=b"".join(parts), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def answer_to(self, request: web.Request, handler: Handler, client: str) -> web.StreamResponse:
        """Errors as JSON."""
        try:
            route = route_of(request)
            self._rate.take(client, cost=self._costs.get(route, 1))
            check_host(request)
            _check_query(request)
            limit_s = self._options.request_timeout / 1_000
            if self.keeping is not None and (answer := await self.keeping.awaited(request, route, limit_s)) is not None:
                return answer
            with self.slots.hold(client):
                async with asyncio.timeout(limit_s):
                    if self.keeping is None:
                        return await handler(request)
                    return await self.keeping.around(request, route, handler, is_tls=self._tls is not None)
        except Flooding:
            raise
        except web.HTTPNotFound:
            return web.json_response({"error": _no_path(request)}, status=404)
        except web.HTTPException as error:
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None  # RFC 9110, 15.5.6
            return web.json_response({"error": error.reason}, status=error.status, headers=allowed)
        except BadQuestion as error:
            return web.json_response({"error": str(error)}, status=400)
        except NotThere as error:
            return web.json_response({"error": str(error)}, status=404)
        except NotServing as error:
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "5"})
        except Busy as error:
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "1"})
        except TimeoutError:
            return web.json_response({"error": "no answer in time"}, status=504)
        except Exception as error:
            _limited.error("a request failed", request.path[:64], error=repr(error), exc_info=traced(error))
            return web.json_response({"error": "the node failed to answer; its log says why"}, status=500)


def route_of(request: web.Request) -> tuple[str, str]:
    """Verb and path as they stand among the routes; no path: none is meant."""
    resource = request.match_info.route.resource
    verb = "GET" if request.method == "HEAD" else request.method
    return verb, resource.canonical if resource is not None else ""


def _no_path(request: web.Request) -> str:
    """Names the nearest path: one whose last part is written otherwise."""
    before, _, said = request.path.rstrip("/").rpartition("/")
    if OPENAPI not in {one.canonical for one in request.app.router.resources()}:
        return "there is no such path: this port has /metrics alone"
    known = {path.rpartition("/") for path in (one.canonical for one in request.app.router.resources())}
    beside = [last for first, _, last in known if first == before and not last.startswith("{")]
    near = difflib.get_close_matches(said[:PART_CHARS_MAX], sorted(beside), n=1) if said else []
    meant = f", but {before}/{near[0]}" if near else ""
    return f"there is no such path{meant}: GET {OPENAPI} lists those under /v1"


def allowed_hosts(host: str, more: Sequence[str]) -> frozenset[str] | None:
    """Names that a Host header may have, beside any IP address; None: any."""
    if "*" in more:
        return None
    return frozenset(name.lower().rstrip(".") for name in ("localhost", host, socket.gethostname(), *more) if name)


def check_host(request: web.Request) -> None:
    """A page whose name was turned into this machine's address (DNS rebinding) still sends its own name.

    Raises HTTPForbidden.
    """
    said = request.headers.get("Host")
    if not is_named(request.app[NAMES], said):
        assert said is not None
        raise web.HTTPForbidden(
            reason=f"this door is not called {said[:64]!r}; [{request.app[SECTION]}] allowed_hosts can allow it"
        )


def is_named(names: frozenset[str] | None, said: str | None) -> bool:
    """Whether a Host header may say so. names: None: any."""
    if names is None or said is None:  # browsers always send it
        return True
    name = host_name_of(said)
    return name in names or _is_ip(name)


def host_name_of(said: str) -> str:
    """The name in a Host header, without the port; what is none is no name that anybody has."""
    name, colon, port = said.lower().rpartition(":")
    if not colon or said.endswith("]"):
        name = said.lower()
    elif not (port.isascii() and port.isdigit()):
        return ""
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1]
    return name.rstrip(".")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Made(NamedTuple):
    """An answer of 200. fields: header fields of it alone."""

    body: bytes
    fields: dict[str, str]


class Keeping:
    """Which answers are kept, and for how long. lasting: by route. decided: routes whose answer stands in a block, once
    their path says which."""

    def __init__(
        self, answers: KeptAnswers, lasting: Mapping[tuple[str, str], Lasting], decided: Container[str] = ()
    ) -> None:
        self.answers, self._lasting, self._decided = answers, lasting, decided
        self._making: dict[str, tuple[Hashable, asyncio.Future[Made | None]]] = {}  # by what is asked for

    async def awaited(self, request: web.Request, route: tuple[str, str], limit_s: float) -> web.Response | None:
        """What somebody else's request for the same is about to be answered. It takes no slot. None: nobody asks, or
        that came to nothing. Raises TimeoutError."""
        lasting, making = self._lasting.get(route), self._making.get(request.raw_path)
        if lasting is None or making is None or making[0] != self.answers.token(lasting):
            return None
        async with asyncio.timeout(limit_s):
            made = await asyncio.shield(making[1])
        return None if made is None else self._told(request, made)

    async def around(
        self, request: web.Request, route: tuple[str, str], handler: Handler, *, is_tls: bool
    ) -> web.StreamResponse:
        """The handler's answer, with its ETag; kept as it is, for others. 304 where who asks has it already."""
        lasting = self._lasting.get(route)
        if lasting is None:
            return await handler(request)
        target, token = request.raw_path, self.answers.token(lasting)
        mine: tuple[Hashable, asyncio.Future[Made | None]] = token, asyncio.get_running_loop().create_future()
        self._making[target] = mine
        made: Made | None = None
        try:
            answer = await handler(request)
            body = answer.body if isinstance(answer, web.Response) else None
            if answer.status != 200 or not isinstance(body, bytes):
                return answer
            self.answers.counts["made"] += 1
            made = Made(body, {
                "Content-Type": answer.headers["Content-Type"], "ETag": tag_of(body),
                "Cache-Control": DECIDED if self._is_decided(request, route[1]) else ASK_AGAIN,
            })  # fmt: skip
        finally:
            mine[1].set_result(made)
            if self._making.get(target) is mine:
                del self._making[target]
        if request.method == "GET" and target.isascii():
            fields = {**READER_HEADERS, **({STRICT[0]: STRICT[1]} if is_tls else {}), **made.fields}
            self.answers.made(target.encode(), body, fields, lasting, token)
        return self._told(request, made)

    @staticmethod
    def _told(request: web.Request, made: Made) -> web.Response:
        if has_already(", ".join(request.headers.getall("If-None-Match", ())), made.fields["ETag"]):
            return web.Response(status=304, headers={name: made.fields[name] for name in ("ETag", "Cache-Control")})
        return web.Response(body=made.body, headers=made.fields)

    def _is_decided(self, request: web.Request, path: str) -> bool:
        return path in self._decided and request.match_info.get("height") != "0" and "prove" not in request.query


def _check_query(request: web.Request) -> None:
    """Raises BadQuestion."""
    count = request.rel_url.raw_query_string.count("&") + 1
    if count > QUERY_PARAMS_MAX:
        raise BadQuestion(f"the query has {count} parameters; allowed: {QUERY_PARAMS_MAX}")


def _plain(handler: Answer) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    return handle


def answer_of(is_well: bool, body: dict[str, Any]) -> web.Response:
    """503: it is not well."""
    return web.json_response(body, status=200 if is_well else 503)
