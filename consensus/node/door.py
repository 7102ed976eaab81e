"""A door for a chain of one's own: three of CometBFT's calls by URI, enough for curl and for a test.

    GET /status    GET /broadcast_tx_commit?tx="key=value"    GET /abci_query?data="key"&path=""

Bytes are written as CometBFT's URIs have them: quoted text, or 0x and hex; a parameter that a call does not have is
refused. Answers have its shapes; an error has `error` instead of `result`. What a browser sends for another page is
refused, by Host and by Sec-Fetch-Site: a GET that submits would else be any web page's to use. Connections,
transactions that are waited for, and a request's header and body are bounded. This door serves any application; it is
not dchat's.
Source: CometBFT v0.38, rpc/openapi.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from consensus.node.errors import TransactionRefused
from consensus.node.node import Committed, Node
from consensus.node.plain_http import PlainConnection, without_banner
from consensus.state.results import ExecTxResult
from crypto.hash import sha256

BODY_BYTES_MAX: Final = 1_024  # nothing has one
WAITING_MAX: Final = 100  # clients whose transaction is under way
CONNECTIONS_MAX: Final = 256  # each may be idle: when all are taken, the oldest goes for a newcomer
IDLE_S: Final = 15.0  # between two requests
INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32_600, -32_601, -32_602, -32_603  # JSON-RPC's

CALLS: Final = {"status": (), "broadcast_tx_commit": ("tx",), "abci_query": ("data", "path")}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Listens from `start` to `stop`. address: HOST:PORT."""

    def __init__(self, node: Node, address: str) -> None:
        self._node, self.address = node, address
        self._waiting = 0
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[no_web_pages, only_known])
        calls = {"status": self._status, "broadcast_tx_commit": self._broadcast, "abci_query": self._query}
        for name, call in calls.items():
            app.router.add_get(f"/{name}", call)
        app.on_response_prepare.append(without_banner)
        self._runner = web.AppRunner(app, access_log=None)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises OSError, ValueError (the address)."""
        host, _, port = self.address.rpartition(":")
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connected, host.strip("[]"), int(port))

    def _connected(self) -> asyncio.Protocol:
        accepts = self._runner.server
        assert accepts is not None
        there = accepts.connections
        if len(there) >= CONNECTIONS_MAX and (oldest := there[0].transport) is not None:
            oldest.abort()
        return PlainConnection(accepts, keepalive_timeout=IDLE_S, tell=_told)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    async def _status(self, request: web.Request) -> web.Response:
        node = self._node
        sync = {
            "latest_block_height": str(node.height), "latest_app_hash": node.app_hash.hex().upper(),
            "catching_up": node.engine.gossip.is_catching_up(),
        }  # fmt: skip
        about = {"id": node.engine.switch.id, "network": node.chain_id}
        return result({"node_info": about, "sync_info": sync, "peers": sorted(node.peers)})

    async def _broadcast(self, request: web.Request) -> web.Response:
        try:
            tx = parameter(request, "tx")
        except ValueError as why:
            return failure(INVALID_PARAMS, str(why))
        if self._waiting >= WAITING_MAX:
            return failure(INTERNAL, f"{WAITING_MAX} transactions are waited for already; try later")
        self._waiting += 1
        try:
            done = await self._node.submit(tx, client=request.remote or "")
        except TransactionRefused as why:
            done = Committed(0, 0, ExecTxResult())
            return result(
                broadcast_json(tx, done, check={"code": why.code, "log": why.log, "codespace": why.codespace})
            )
        except TimeoutError:
            return failure(INTERNAL, "timed out waiting for tx to be included in a block")
        finally:
            self._waiting -= 1
        return result(broadcast_json(tx, done, check={"code": 0, "log": "", "codespace": ""}))

    async def _query(self, request: web.Request) -> web.Response:
        try:
            data, path = parameter(request, "data"), parameter(request, "path").decode()
        except ValueError as why:
            return failure(INVALID_PARAMS, str(why))
        answer = await self._node.ask(data, path=path)
        told = {
            "code": answer.code, "log": answer.log, "codespace": answer.codespace, "key": text_of(answer.key),
            "value": text_of(answer.value), "height": str(answer.height),
        }  # fmt: skip
        return result({"response": told})


@web.middleware
async def no_web_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page whose own name was made to point here has that name in Host; of others the browser says so."""
    name = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        if name != "localhost":
            return failure(INVALID_PARAMS, f"Host is {name[:100]!r}; allowed: localhost, or an address")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return failure(INVALID_PARAMS, "sent by a browser for another page")
    return await handler(request)


@web.middleware
async def only_known(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is misspelt would else be answered as if it had not been said."""
    names = CALLS.get(request.path[1:])
    if names is None:
        allowed = ", ".join(f"/{name}" for name in CALLS)
        return failure(NO_METHOD, f"{request.path[:100]!r} is no call of this door; allowed: {allowed}", status=404)
    for name in request.query:
        if name not in names:
            allowed = ", ".join(names) or "none"
            return failure(INVALID_PARAMS, f"{request.path} has no parameter {name[:100]!r}; allowed: {allowed}")
    return await handler(request)


def parameter(request: web.Request, name: str) -> bytes:
    """Raises ValueError."""
    text = request.query.get(name, '""')
    if text.startswith("0x"):
        return bytes.fromhex(text[2:])
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].encode()
    raise ValueError(f'{name} is {text[:100]!r}; allowed: "text" in quotes, or 0x and hex')


def broadcast_json(tx: bytes, done: Committed, *, check: dict[str, Any]) -> dict[str, Any]:
    told = {
        "code": done.result.code, "log": done.result.log, "data": text_of(done.result.data),
        "codespace": done.result.codespace,
    }  # fmt: skip
    return {"check_tx": check, "tx_result": told, "hash": sha256(tx).hex().upper(), "height": str(done.height)}


def text_of(data: bytes) -> str | None:
    return base64.b64encode(data).decode() if data else None


def result(told: dict[str, Any]) -> web.Response:
    return _reply({"jsonrpc": "2.0", "id": -1, "result": told})


def failure(code: int, why: str, *, status: int = 500) -> web.Response:
    return _reply(_error(code, why), status=status)


def _told(status: int, why: str) -> dict[str, Any]:
    """To what is no request."""
    return _error(INVALID_REQUEST if status < 500 else INTERNAL, why)


def _error(code: int, why: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": -1, "error": {"code": code, "message": why, "data": why}}


def _reply(told: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(told), content_type="application/json", status=status)
