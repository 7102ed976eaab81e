"""The HTTP door: how the node is, its peers, blocks, consensus and bridge, and metrics. JSON; loopback by default.

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

from node.answers import BadQuestion, NotThere
from node.config.models import HttpSection
from node.limits import Busy, RateLimit, Slots
from node.metrics import Registry
from node.views import BLOCKS_MAX, Views

log = structlog.get_logger(__name__)

BLOCKS_DEFAULT = 10
CONNECTIONS_BACKLOG = 128
HEADER_BYTES_MAX = 8_190  # aiohttp's own default, named: a longer line is answered 400

Answer = Callable[[web.Request], web.Response | Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpDoor:
    """`start`, then `stop`. The metrics port is a second listener that serves /metrics alone."""

    def __init__(
        self, options: HttpSection, views: Views, registry: Registry, *, rate: RateLimit, tls: ssl.SSLContext | None
    ) -> None:
        self._options, self._views, self._registry, self._tls = options, views, registry, tls
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
        return web.json_response(await self._views.blocks(limit_of(request)))

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


def limit_of(request: web.Request) -> int:
    """`?limit=`. Raises BadQuestion."""
    text = request.query.get("limit", str(BLOCKS_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= BLOCKS_MAX):
        raise BadQuestion(f"limit is {text[:32]!r}; allowed: 1 to {BLOCKS_MAX}")
    return int(text)
