"""The calls that administer, whoever carries them here: who asks, what is done, and the audit log's lines of both.

    GET  /admin/peers           whom this node knows
    POST /admin/peers/connect   {"peer_id", "address", "keep"}
    POST /admin/peers/bridge    {"partitions", "keep"}
    POST /admin/reload          as SIGHUP
    POST /admin/log             {"level", "levels"}: until options are loaded again

A call is in the audit log before it is carried out, else it is not, and once more with how it ended. Over HTTP it
needs an API key as `Authorization: Bearer KEY`; whatever is wrong with that, the answer is the same. Refusals are
counted, and told in the audit log one a minute: nobody fills it from outside.
Source: docs/operators/administer.md; RFC 6750 for the header.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from aiohttp import web

from consensus.system.log_limit import LogLimit
from dchat.audit.trail import AuditError, Trail
from dchat.doors.admin.keys import AdminKeys
from dchat.doors.admin.peers import AdminPeers
from dchat.doors.reads.errors import BadQuestion, NotServing

COST: Final = 20  # of a client's rate: ten guesses a second from outside, of 2^256
BODY_BYTES_MAX: Final = 65_536
BODY_S: Final = 5.0
REFUSED_EVERY_S: Final = 60.0
REFUSED: Final = "an administrative call needs an API key that counts here, as `Authorization: Bearer KEY`"
SAID_CHARS_MAX: Final = 400

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="client")

Act = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
Handler = Callable[[web.Request], Awaitable[web.Response]]
Process = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class AdminDesk:
    """`handlers` for a door; `reload` and `set_log` are the process's, once it has a node. refused: calls without a key
    that counts; done: calls that were carried out."""

    def __init__(self, trail: Trail, keys: AdminKeys, peers: AdminPeers) -> None:
        self._trail, self._keys, self._peers = trail, keys, peers
        self.reload: Process | None = None
        self.set_log: Process | None = None
        self.refused = self.done = 0
        self._untold, self._told_at = 0, -REFUSED_EVERY_S
        self._acts: dict[tuple[str, str], Act] = {
            ("GET", "/admin/peers"): self._known,
            ("POST", "/admin/peers/connect"): self._connect,
            ("POST", "/admin/peers/bridge"): self._bridge,
            ("POST", "/admin/reload"): self._reload,
            ("POST", "/admin/log"): self._log,
        }

    @property
    def costs(self) -> dict[tuple[str, str], int]:
        return dict.fromkeys(self._acts, COST)

    def handlers(self, caller: Callable[[web.Request], str] | None = None) -> dict[tuple[str, str], Handler]:
        """caller: who asks, where the door knows it; else the request's API key says so."""
        who = caller or self._by_key

        def handler(verb: str, path: str, act: Act) -> Handler:
            async def handle(request: web.Request) -> web.Response:
                name = who(request)
                if not name:
                    return await self._refuse(request)
                return await self._carry_out(f"{verb} {path}", name, request, act)

            return handle

        return {(verb, path): handler(verb, path, act) for (verb, path), act in self._acts.items()}

    # ------------------------------------------------------------------------------------------------- who asks

    def _by_key(self, request: web.Request) -> str:
        """Empty: nobody who may."""
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        name = self._keys.name_of(key.strip())  # compared whatever else is wrong
        return f"key {name}" if name is not None and kind.lower() == "bearer" else ""

    async def _refuse(self, request: web.Request) -> web.Response:
        client = request.remote or ""
        self.refused += 1
        self._untold += 1
        _limited.warning("refused an administrative call", client, path=request.path[:64])
        if time.monotonic() - self._told_at >= REFUSED_EVERY_S:
            self._told_at, untold, self._untold = time.monotonic(), self._untold, 0
            await asyncio.to_thread(
                self._trail.note, "admin refused", call=request.path[:64], client=client, since_last=untold
            )
        return web.json_response({"error": REFUSED}, status=401, headers={"WWW-Authenticate": "Bearer"})

    async def _carry_out(self, call: str, name: str, request: web.Request, act: Act) -> web.Response:
        said = await _body_of(request) if request.method == "POST" else {}
        what = {"call": call, "caller": name, "client": request.remote or "", "said": json.dumps(said)[:SAID_CHARS_MAX]}
        try:
            await asyncio.to_thread(self._trail.add, "admin call", **what)
        except AuditError as error:
            raise NotServing(f"nothing is done that cannot be recorded: {error}") from None
        if request.method != "POST":
            return web.json_response(await act(said))
        ended = "done"
        try:
            answer = await act(said)
            self.done += 1
            return web.json_response(answer)
        except BaseException as error:
            ended = f"{type(error).__name__}: {error}"
            raise
        finally:
            await asyncio.shield(
                asyncio.to_thread(self._trail.note, "admin call ended", call=call, caller=name, ended=ended)
            )
            log.info("administered", call=call, caller=name, ended=ended)

    # ------------------------------------------------------------------------------------------------- what is done

    async def _known(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return self._peers.told()

    async def _connect(self, said: Mapping[str, Any]) -> dict[str, Any]:
        of = _fields(said, {"peer_id": "", "address": "", "keep": False})
        return (await self._peers.connect(of["peer_id"], of["address"], keep=of["keep"])).json()

    async def _bridge(self, said: Mapping[str, Any]) -> dict[str, Any]:
        of = _fields(said, {"partitions": [], "keep": False})
        if not all(isinstance(one, str) for one in of["partitions"]):
            raise BadQuestion("partitions: allowed are texts")
        return await self._peers.bridge(of["partitions"], keep=of["keep"])

    async def _reload(self, said: Mapping[str, Any]) -> dict[str, Any]:
        _fields(said, {})
        return await self._process(self.reload)(said)

    async def _log(self, said: Mapping[str, Any]) -> dict[str, Any]:
        return await self._process(self.set_log)(_fields(said, {"level": "", "levels": []}))

    @staticmethod
    def _process(part: Process | None) -> Process:
        if part is None:
            raise NotServing("this node starts still: again in a moment")
        return part


def _fields(said: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, with defaults for what was not. Raises BadQuestion: another name, or of another type."""
    for name, value in said.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise BadQuestion(f"{name[:64]!r} is no field of this call; allowed: {allowed}")
        if type(value) is not type(known[name]):
            raise BadQuestion(f"{name} is of another type; allowed: {type(known[name]).__name__}")
    return {**known, **said}


async def _body_of(request: web.Request) -> dict[str, Any]:
    """A JSON object, of bounded length, as no page of another origin can send it unasked. Raises BadQuestion."""
    if request.content_type != "application/json":
        raise BadQuestion("the body is JSON, with Content-Type: application/json")
    if request.content_length is None or request.content_length > BODY_BYTES_MAX:
        raise BadQuestion(f"a body says its length, {BODY_BYTES_MAX} bytes at most")
    try:
        async with asyncio.timeout(BODY_S):
            found = json.loads(await request.read())
    except TimeoutError:
        raise BadQuestion(f"the body did not come within {BODY_S:g} s") from None
    except (ValueError, RecursionError):
        raise BadQuestion("the body is no JSON") from None
    if not isinstance(found, dict):
        raise BadQuestion("the body is no JSON object")
    return found
