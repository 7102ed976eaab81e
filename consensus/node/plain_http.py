"""What every door over HTTP has in common, however it answers: its words are its own.

aiohttp answers what is no request, or too long, or expects what nobody knows (RFC 9110, 10.1.1) with a text that shows
what was sent, which may be a secret, and names itself and its version in each answer. Here the answer is JSON, in the
form that the door's other errors have, shows nothing of what came, and says nothing of what the door is built with;
neither does the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from consensus.system.log_limit import LogLimit

TLS_BEGINS: Final = b"\x16\x03"  # a record of a handshake, in any version. Source: RFC 8446, 5.1
SPEAKS_NO_TLS: Final = "this is TLS, and the port speaks none"
UNKNOWN_EXPECT: Final = "Expect has a value that this door does not know; allowed: 100-continue"
OWN_FAULT: Final = "the node failed to answer; its log says why"
ERROR_CHARS_MAX: Final = 200

Tell = Callable[[int, str], object]  # of a status and a reason, the JSON document that is answered

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="client")


def as_error(_: int, why: str) -> object:
    """As most doors say what is wrong."""
    return {"error": why}


class _Quiet(logging.Handler):
    """aiohttp's own lines, a traceback for each request that is none, are a client's to cause: at a rate, and without
    what was sent."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told = type(error).__name__ if isinstance(error, HttpProcessingError) else repr(error)[:ERROR_CHARS_MAX]
        _limited.info("an HTTP connection failed", "any", what=record.msg, error=told)


_quiet = logging.Logger("aiohttp.server", logging.WARNING)
_quiet.addHandler(_Quiet())


class PlainConnection(web.RequestHandler):
    """One connection of a door. too_long_status: of a line or a header with more bytes than are read. tell: how the
    door says what is wrong. told_with: headers of such an answer."""

    def __init__(
        self, manager: web.Server, *, too_long_status: int = 400, tell: Tell = as_error,
        told_with: Mapping[str, str] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self._too_long_status, self._tell, self._told_with = too_long_status, tell, told_with or {}
        self._began = b""  # the first bytes that came: what the parser refuses it does not show
        super().__init__(manager, loop=asyncio.get_running_loop(), **{"logger": _quiet, "access_log": None, **options})

    def data_received(self, data: bytes) -> None:
        if len(self._began) < len(TLS_BEGINS):
            self._began += data[: len(TLS_BEGINS) - len(self._began)]
        super().data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What expects something that nobody knows is refused before the application is asked, so that none of its
        middlewares tells it otherwise."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = self._refusal(resp.status, UNKNOWN_EXPECT)
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Raises ConnectionError: an answer has begun already."""
        if isinstance(exc, LineTooLong):
            status = self._too_long_status
        super().handle_error(request, status, exc, "")  # tells the log, and what it answers is not ours to send
        return self._refusal(status, self._reason(status, exc))

    def _reason(self, status: int, error: BaseException | None) -> str:
        if isinstance(error, LineTooLong):
            return f"the first line of the request, or one of its headers, has more than {error.args[1]} bytes"
        if isinstance(error, HttpProcessingError):
            return SPEAKS_NO_TLS if self._began == TLS_BEGINS else "this is no request of HTTP/1.1"
        return "no answer in time" if status == 504 else OWN_FAULT

    def _refusal(self, status: int, why: str) -> web.Response:
        document = self._tell(status, why)
        answer = _Bare(text=json.dumps(document), content_type="application/json", status=status)
        answer.headers.update(self._told_with)
        answer.force_close()
        return answer


class _Bare(web.Response):
    """No hook of an application is called for what was no request, so that it takes its banner off by itself."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


async def without_banner(_: web.Request, response: web.StreamResponse) -> None:
    """For an application's `on_response_prepare`."""
    response.headers.pop("Server", None)
