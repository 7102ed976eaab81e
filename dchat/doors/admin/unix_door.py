"""HOME/run/admin.sock: whoever the system lets open it administers, without a key.

Mode 0600, in a folder of mode 0700: that is whoever owns the home, and root. HTTP without TLS, nothing but `/admin`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from consensus.node.plain_http import OWN_FAULT, PlainConnection, without_banner
from consensus.system.errors import traced
from dchat.doors.admin.desk import BODY_BYTES_MAX, AdminDesk
from dchat.doors.reads.errors import BadQuestion, Busy, NotServing, NotThere, Unanswered
from dchat.home.sockets import fits, own_socket, remove_socket

STATUS: Final = {BadQuestion: 400, NotThere: 404, NotServing: 503, Busy: 503}
IDLE_S: Final = 5.0
STOP_S: Final = 1.0

log = structlog.get_logger(__name__)


class UnixDoor:
    """`start`, then `stop`."""

    def __init__(self, path: Path, desk: AdminDesk) -> None:
        self.path, self._desk = path, desk
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Where it cannot be opened that is said, and the node goes on without."""
        if not fits(self.path):
            log.warning("no administrative socket: the home's path is too long", path=str(self.path))
            return
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_tell_errors])
        for (verb, path), handler in self._desk.handlers(_who).items():
            app.router.add_route(verb, path, handler)
        app.on_response_prepare.append(without_banner)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        await runner.setup()
        manager = runner.server
        assert manager is not None

        def make() -> PlainConnection:
            return PlainConnection(manager, keepalive_timeout=IDLE_S)

        try:
            self._server = await asyncio.get_running_loop().create_unix_server(make, sock=own_socket(self.path))
            self._runner = runner
        except OSError as error:
            log.warning("no administrative socket", path=str(self.path), reason=str(error))
            await runner.cleanup()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
            remove_socket(self.path)


@web.middleware
async def _tell_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Unanswered as error:
        return web.json_response({"error": str(error)}, status=STATUS.get(type(error), 500))
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)
    except Exception as error:
        log.error("an administrative call failed", path=request.path[:64], exc_info=traced(error))
        return web.json_response({"error": OWN_FAULT}, status=500)


def _who(request: web.Request) -> str:
    """`uid 1000`, of the process at the other end as the system knows it."""
    transport = request.transport
    other = transport.get_extra_info("socket") if transport is not None else None
    if other is None:
        return ""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return f"uid {uid}"
