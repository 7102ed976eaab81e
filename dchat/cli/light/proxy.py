"""A door on this machine that answers what was verified: CometBFT's JSON-RPC calls, and `/v1` over a node of ours.

Each answer follows from a header that the light client believes: a block by its hash, a value by its ICS-23 proof. What
has no proof is refused, with the reason, and never relayed. Meant for programs of this machine: its Host is checked
against names of it (DNS rebinding), requests are small, few at once, and end in time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from consensus.formats.errors import InvalidData
from consensus.formats.json_text import dumps
from consensus.formats.units import KIB
from consensus.node.plain_http import PlainConnection, without_banner
from dchat.cli.light.proved_calls import ProvedCalls
from dchat.cli.light.session import LightSession
from dchat.cli.light.verified import BadParams, CannotProve, HeightNotReached, Nodes, Verified
from dchat.client.client import AskFailed, ClientError, NodeUnreachable, NotFound
from dchat.doors.rest.calls import STATUS
from light.errors import LightError, NoAnswer, NoBlock

BODY_BYTES_MAX: Final = 64 * KIB
REQUESTS_MAX: Final = 32  # at once
REQUEST_S: Final = 60.0
PARAMS_MAX: Final = 16
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
SAYS: Final = {
    PARSE_ERROR: "Parse error. Invalid JSON", INVALID_REQUEST: "Invalid Request", NO_METHOD: "Method not found",
    INVALID_PARAMS: "Invalid params", INTERNAL: "Internal error",
}  # fmt: skip
# By what was asked with: what a handler refuses is an answer of JSON-RPC, so 200; of a path alone the status tells it.
# Source: CometBFT v0.38, rpc/jsonrpc/server/http_json_handler.go, http_uri_handler.go.
BY_RPC: Final = {NO_METHOD: 200, INVALID_PARAMS: 200, INTERNAL: 200}
BY_PATH: Final = {NO_METHOD: 404, INVALID_PARAMS: 500, INTERNAL: 500}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Proxy:
    def __init__(self, verified: Verified, calls: ProvedCalls | None) -> None:
        self._verified, self._calls = verified, calls
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._busy = 0
        self._names: frozenset[str] = frozenset()

    @staticmethod
    async def of(session: LightSession) -> Proxy:
        nodes = Nodes(session.light, session.nodes)
        verified = Verified(session.light, nodes)
        calls = await ProvedCalls.over(session.light, nodes, verified) if nodes.doors else None
        return Proxy(verified, calls)

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        self._names = frozenset({"localhost", host.lower()})
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[self._guard])
        app.router.add_post("/", self._rpc)
        if self._calls is not None:
            for verb, path, handler in self._calls.handlers():
                app.router.add_route(verb, path, handler)
        app.router.add_get("/{method}", self._uri)
        app.on_response_prepare.append(without_banner)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        manager = self._runner.server
        assert manager is not None

        def make() -> PlainConnection:
            return PlainConnection(manager, max_line_size=8_190, max_field_size=4_096)

        self._server = await asyncio.get_running_loop().create_server(make, host, port, backlog=128)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # ------------------------------------------------------------------------------------------------- each request

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_ours(request.host):
            return _error(403, f"this door is not called {request.host[:64]!r}")
        if self._busy >= REQUESTS_MAX:
            return _error(503, f"{REQUESTS_MAX} requests are being answered: try later")
        self._busy += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                return await handler(request)
        except TimeoutError:
            return _error(504, f"no answer within {REQUEST_S:g} s")
        except web.HTTPNotFound:
            return _error(404, "there is no such path; what has a proof is listed in docs/light-client.md")
        except web.HTTPException as error:
            return _error(error.status, error.reason)
        except (LightError, AskFailed, InvalidData, CannotProve, BadParams, HeightNotReached) as error:
            return _error(status_of(error), str(error))
        finally:
            self._busy -= 1

    def _is_ours(self, said: str) -> bool:
        name = said.rpartition(":")[0] if said.rpartition(":")[2].isdigit() else said
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self._names
        return True

    # ---------------------------------------------------------------------------------------- CometBFT's JSON-RPC

    async def _uri(self, request: web.Request) -> web.Response:
        """`GET /commit?height=7`."""
        if len(request.query) > PARAMS_MAX:
            raise BadParams(f"{len(request.query)} parameters; allowed: {PARAMS_MAX}")
        return await self._answer(request.match_info["method"], dict(request.query), -1, BY_PATH)

    async def _rpc(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _rpc_error(None, PARSE_ERROR, "the body is no JSON", 500)
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _rpc_error(None, INVALID_REQUEST, "allowed: one request, an object with a method", 500)
        number = asked.get("id") if isinstance(asked.get("id"), int | str) else -1
        params = asked.get("params") or {}
        if not isinstance(params, dict) or len(params) > PARAMS_MAX:
            text = "params must be an object of a few names"
            return _rpc_error(number, INVALID_PARAMS, text, BY_RPC[INVALID_PARAMS])
        return await self._answer(asked["method"], params, number, BY_RPC)

    async def _answer(
        self, method: str, params: dict[str, Any], number: Any, status: Mapping[int, int]
    ) -> web.Response:
        handler = self._verified.methods.get(method)
        if handler is None:
            allowed = ", ".join(sorted(self._verified.methods))
            text = f"{method[:40]!r} cannot be verified here: ask the node itself; verified are {allowed}"
            return _rpc_error(number, NO_METHOD, text, status[NO_METHOD])
        try:
            result = await handler(params)
        except BadParams as error:
            return _rpc_error(number, INVALID_PARAMS, str(error), status[INVALID_PARAMS])
        except (LightError, AskFailed, InvalidData, CannotProve, HeightNotReached) as error:
            return _rpc_error(number, INTERNAL, str(error), status[INTERNAL])
        body = dumps({"jsonrpc": "2.0", "id": number, "result": result})
        # half a surrogate pair, which an id may hold, is in UTF-8 nothing, and in JSON what it was
        data = body.encode(errors="backslashreplace")
        return web.Response(body=data, content_type="application/json", charset="utf-8")


def status_of(error: Exception) -> int:
    match error:
        case BadParams():
            return 400
        case NoBlock() | NotFound() | HeightNotReached():
            return 404
        case CannotProve():
            return 501
        case NoAnswer() | NodeUnreachable():
            return 504
        case ClientError():
            return STATUS.get(error.status, 502)
    return 502


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _rpc_error(number: Any, code: int, text: str, status: int) -> web.Response:
    error = {"code": code, "message": SAYS[code], "data": text}
    return web.json_response({"jsonrpc": "2.0", "id": number, "error": error}, status=status)
