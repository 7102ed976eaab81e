"""The HTTP door: how the node is, its peers, blocks and what they did, consensus and bridge, metrics, and the gRPC
services under /v1 (`dchat.doors.rest`); JSON. And the explorer's pages (`dchat.doors.explorer`). Loopback by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from aiohttp import web

from consensus.state.cursors import HEIGHT_MAX, Cursor
from dchat.config.models import HttpSection
from dchat.doors.certificates import Certificates
from dchat.doors.explorer import pages
from dchat.doors.http.described import BLOCKS_MAX, EVENTS_MAX
from dchat.doors.http.listener import STRICT, Answer, HttpListener, Keeping, Routes, answer_of
from dchat.doors.http.views import Views
from dchat.doors.kept.answers import KeptAnswers, Lasting
from dchat.doors.metrics.exposition import Registry
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.event_feed import EventFeed, EventFilter, parse_where
from dchat.doors.reads.handles import DoorHandles
from dchat.doors.reads.limits import RateLimit, client_of
from dchat.doors.rest.calls import Calls
from dchat.why.desk import WhyDesk

BLOCKS_DEFAULT = 10
EVENTS_DEFAULT = 100
DIGITS_MAX = 20  # of a number: more than any that is allowed has
# How long an answer of the door's own stays what it is; those of calls: `Calls.lasting`.
LASTING = {
    "/": Lasting.BLOCK, "/openapi.json": Lasting.BLOCK, "/bridge/status": Lasting.BLOCK,
    "/chain/latest-block": Lasting.BLOCK, "/chain/blocks": Lasting.BLOCK, "/chain/block-results": Lasting.BLOCK,
    "/chain/events": Lasting.BLOCK, "/status": Lasting.MOMENT, "/peers": Lasting.MOMENT,
    "/chain/consensus-status": Lasting.MOMENT,
}  # fmt: skip
COSTS = {"/chain/events": 4, "/chain/block-results": 4, "/chain/latest-block": 2, "/chain/blocks": 4, "/why": 8}


class HttpDoor(HttpListener):
    """`start`, then `stop`. The metrics port is a second listener that serves /metrics alone."""

    def __init__(
        self,
        options: HttpSection,
        views: Views,
        events: EventFeed,
        registry: Registry,
        *,
        rate: RateLimit,
        tls: Certificates | None,
        handles: DoorHandles | None = None,
        calls: Calls | None = None,
        why: WhyDesk | None = None,
        more: Routes | None = None,
        more_costs: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """calls: the paths under /v1. handles: as of HttpListener. why: the records of heights. more: what
        others answer here, and what that costs."""
        costs = {**{("GET", path): cost for path, cost in COSTS.items()}, **(calls.costs if calls else {})}
        costs |= more_costs or {}
        lasting = {("GET", path): how for path, how in LASTING.items()} | (calls.lasting if calls else {})
        keeping = Keeping(
            KeptAnswers(views.of_block, views.of_moment), lasting, calls.decided if calls else frozenset()
        )
        super().__init__(
            options, registry, views.faults, rate=rate, tls=tls, handles=handles, costs=costs, keeping=keeping
        )
        self._views, self._events, self._calls, self._why = views, events, calls, why
        self._more = more or {}

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        plain: dict[str, Answer] = {
            "/health": lambda _: answer_of(*self._views.health()),
            "/ready": lambda _: answer_of(*self._views.ready()),
            "/status": lambda _: web.json_response(self._views.status()),
            "/peers": lambda _: web.json_response(self._views.peers()),
            "/chain/latest-block": self._latest_block,
            "/chain/blocks": self._blocks,
            "/chain/block-results": self._block_results,
            "/chain/events": self._event_page,
            "/chain/consensus-status": lambda _: web.json_response(self._views.consensus()),
            "/bridge/status": lambda _: web.json_response(self._views.bridge()),
            "/metrics": self.metrics,
        }
        routes = {("GET", path): answer for path, answer in plain.items()}
        if self._why is not None:
            routes["GET", "/why"] = self._missed
        if self._calls is not None:
            routes |= self._calls.handlers
        routes |= self._more
        if self._options.explorer:
            explorer = pages.Explorer()
            routes |= explorer.handlers()
            assert self.keeping is not None
            explorer.keep(self.keeping.answers, {} if self._tls is None else {STRICT[0]: STRICT[1]})
        return await self.open(routes, host, port)

    async def _latest_block(self, request: web.Request) -> web.Response:
        return web.json_response(await self._views.block(0, with_txs=True, client=client_of(request.remote or "")))

    async def _blocks(self, request: web.Request) -> web.Response:
        limit = whole_of(request, "limit", default=BLOCKS_DEFAULT, least=1, most=BLOCKS_MAX)
        return web.json_response(await self._views.blocks(limit, client=client_of(request.remote or "")))

    async def _block_results(self, request: web.Request) -> web.Response:
        height = whole_of(request, "height", default=0, least=0, most=HEIGHT_MAX)
        share, client = self._events.share, client_of(request.remote or "")
        return _json(await share.drive(self._views.answers.block_results_json(height), client))

    async def _missed(self, request: web.Request) -> web.Response:
        """?height=H; 0 or absent: the last height that this validator missed. Raises BadQuestion, Busy."""
        assert self._why is not None
        height = whole_of(request, "height", default=0, least=0, most=HEIGHT_MAX)
        answer = partial(self._why.answer, height)
        return web.json_response(await self._views.reading.run(answer, client_of(request.remote or "")))

    async def _event_page(self, request: web.Request) -> web.Response:
        """?after=H:I or ?from_height=H (neither: the earliest kept), type and where any number of times, limit."""
        wanted = EventFilter.of(request.query.getall("type", []), wheres_of(request))
        limit = whole_of(request, "limit", default=EVENTS_DEFAULT, least=1, most=EVENTS_MAX)
        from_height = whole_of(request, "from_height", default=0, least=0, most=HEIGHT_MAX)
        first = self._events.first(after_of(request), from_height, otherwise=max(1, self._views.answers.base))
        client = client_of(request.remote or "")
        page = await self._events.page(first, wanted, limit=limit, client=client)
        return _json(await self._events.share.drive(page.text(), client))


def _json(text: bytes) -> web.Response:
    return web.Response(body=text, content_type="application/json", charset="utf-8")


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
