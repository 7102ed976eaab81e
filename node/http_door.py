"""The HTTP door: how the node is, its peers, blocks and what they did, consensus and bridge, and metrics. JSON;
loopback by default.

Requests are bounded in size, number, rate and time. Errors are JSON with a reason and never an exception's text.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from consensus.engine.executor import drive
from consensus.types.events import HEIGHT_MAX, Cursor
from node.answers import BadQuestion, NotThere
from node.config.models import HttpSection
from node.events import EventFeed, EventFilter, parse_where
from node.limits import Busy, RateLimit, Slots
from node.metrics import Registry
from node.results import block_results_json
from node.views import BLOCKS_MAX, Views

log = structlog.get_logger(__name__)

BLOCKS_DEFAULT = 10
EVENTS_DEFAULT = 100
EVENTS_MAX = 1_000  # of one page: a few hundred kilobytes of JSON
DIGITS_MAX = 20  # of a number: more than any that is allowed has
CONNECTIONS_BACKLOG = 128
HEADER_BYTES_MAX = 8_190  # aiohttp's own default, named: a longer line is answered 400

Answer = Callable[[web.Request], web.Response | Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpDoor:
    """`start`, then `stop`. The metrics port is a second listener that serves /metrics alone."""

    def __init__(
        self,
        options: HttpSection,
        views: Views,
        events: EventFeed,
        registry: Registry,
        *,
        rate: RateLimit,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._options, self._views, self._events, self._registry, self._tls = options, views, events, registry, tls
        self._rate = rate
        self.slots = Slots("HTTP requests", options.concurrent_requests_max)
        self._runners: list[web.AppRunner] = []

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        routes: dict[str, Answer] = {
            "/health": lambda _: _answer(*self._views.health()),
            "/ready": lambda _: _answer(*self._views.ready()),
            "/status": lambda _: web.json_response(self._views.status()),
            "/peers": lambda _: web.json_response(self._views.peers()),
            "/chain/latest-block": lambda _: web.json_response(self._views.block(0, with_txs=True)),
            "/chain/blocks": self._blocks,
            "/chain/block-results": self._block_results,
            "/chain/events": self._event_page,
            "/chain/consensus-status": lambda _: web.json_response(self._views.consensus()),
            "/bridge/status": lambda _: web.json_response(self._views.bridge()),
            "/metrics": self._metrics,
        }
        bound = await self._listen(routes, host, port, tls=self._tls)
        log.info("opened the HTTP door", host=host, port=bound, tls=self._tls is not None)
        return bound

    async def start_metrics(self, host: str, port: int) -> int:
        bound = await self._listen({"/metrics": self._metrics}, host, port, tls=None)
        log.info("opened the metrics port", host=host, port=bound)
        return bound

    async def _listen(
        self,
        routes: dict[str, Answer],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
    ) -> int:
        app = web.Application(client_max_size=self._options.request_bytes_max, middlewares=[self._guard])
        for path, handler in routes.items():
            app.router.add_get(path, _plain(handler))
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, max_line_size=HEADER_BYTES_MAX, max_field_size=HEADER_BYTES_MAX
        )
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=CONNECTIONS_BACKLOG)
        await site.start()
        addresses: list[Any] = runner.addresses
        return int(addresses[0][1])

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _blocks(self, request: web.Request) -> web.Response:
        limit = whole_of(request, "limit", default=BLOCKS_DEFAULT, least=1, most=BLOCKS_MAX)
        return web.json_response(await self._views.blocks(limit))

    async def _block_results(self, request: web.Request) -> web.Response:
        height = whole_of(request, "height", default=0, least=0, most=HEIGHT_MAX)
        found = await drive(self._views.answers.block_results(height))
        return web.json_response(await drive(block_results_json(found)))

    async def _event_page(self, request: web.Request) -> web.Response:
        """?after=H:I or ?from_height=H (neither: the earliest kept), type and where any number of times, limit."""
        wanted = EventFilter.of(request.query.getall("type", []), wheres_of(request))
        limit = whole_of(request, "limit", default=EVENTS_DEFAULT, least=1, most=EVENTS_MAX)
        from_height = whole_of(request, "from_height", default=0, least=0, most=HEIGHT_MAX)
        first = self._events.first(after_of(request), from_height, otherwise=max(1, self._views.answers.base))
        page = await self._events.page(first, wanted, limit=limit)
        return web.json_response(await drive(page.json()))

    def _metrics(self, _: web.Request) -> web.Response:
        body, content_type = self._registry.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Limits around each request, errors as JSON."""
        try:
            self._rate.take(request.remote or "")
            with self.slots.hold():
                async with asyncio.timeout(self._options.request_timeout / 1_000):
                    return await handler(request)
        except web.HTTPException as error:
            return web.json_response({"error": error.reason}, status=error.status)
        except BadQuestion as error:
            return web.json_response({"error": str(error)}, status=400)
        except NotThere as error:
            return web.json_response({"error": str(error)}, status=404)
        except Busy as error:
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": "1"})
        except TimeoutError:
            return web.json_response({"error": "no answer in time"}, status=504)
        except Exception as error:
            log.error("a request failed", path=request.path, error=repr(error), exc_info=error)
            return web.json_response({"error": "the node failed to answer; its log says why"}, status=500)


def _plain(handler: Answer) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = handler(request)
        return await answer if inspect.isawaitable(answer) else answer

    return handle


def _answer(is_well: bool, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=200 if is_well else 503)


def whole_of(request: web.Request, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number of the query. Raises BadQuestion."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and least <= int(text) <= most):
        raise BadQuestion(f"{name} is {text[:32]!r}; allowed: {least} to {most}")
    return int(text)


def after_of(request: web.Request) -> Cursor | None:
    """`?after=H:I`. Raises BadQuestion."""
    text = request.query.get("after")
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError as error:
        raise BadQuestion(f"after: {error}") from None


def wheres_of(request: web.Request) -> list[tuple[str, str]]:
    """`?where=key=value`, each. Raises BadQuestion."""
    try:
        return [parse_where(text) for text in request.query.getall("where", [])]
    except ValueError as error:
        raise BadQuestion(f"where: {error}") from None
