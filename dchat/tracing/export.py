"""Sends spans to a collector by OTLP: in batches, beside everything else, and never at anybody's cost.

Spans wait in a queue of bounded length; where it is full the new ones are dropped, and counted. A collector that is
away is tried again ever more seldom, and costs a line in the log when it goes and when it is back. What it refuses is
not sent again.
Source: OpenTelemetry protocol specification 1.5 (OTLP/gRPC, OTLP/HTTP: which failures may be tried again).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from consensus.system.log_limit import LogLimit
from dchat.config.endpoint import Endpoint
from dchat.shown.text import safe_line
from dchat.tracing.spans import Span
from proto.otlp import trace_pb2 as pb

QUEUE_MAX: Final = 8_192  # spans, some 5 MiB
BATCH_MAX: Final = 512
PER_TURN: Final = 32  # spans that are encoded in a turn of the loop: some 0.3 ms
EVERY_S: Final = 1.0
SEND_S: Final = 5.0
AGAIN_FIRST_S: Final = 1.0
AGAIN_MAX_S: Final = 60.0
LAST_S: Final = 1.0  # for what is left at the end
ANSWER_BYTES_MAX: Final = 65_536
WHY_CHARS_MAX: Final = 300  # in the log
METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
TRY_AGAIN_GRPC: Final = frozenset({
    grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED, grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.RESOURCE_EXHAUSTED,
})  # fmt: skip
ERROR: Final = 2  # of a status

log = structlog.get_logger(__name__)


class NotTaken(Exception):
    """The collector did not take what it was sent."""


class CollectorAway(NotTaken):
    """It may take the same later."""


class CollectorRefused(NotTaken):
    """It will not take this."""


class Sender(Protocol):
    async def send(self, data: bytes) -> bytes:
        """Returns the answer. Raises CollectorAway, CollectorRefused."""
        ...

    async def close(self) -> None: ...


class HttpSender:
    """OTLP as protobuf over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http: aiohttp.ClientSession | None = None

    async def send(self, data: bytes) -> bytes:
        if self._http is None:
            self._http = aiohttp.ClientSession(  # what a collector answers is not unpacked, and leaves nothing here
                timeout=aiohttp.ClientTimeout(total=SEND_S), auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = {"Content-Type": "application/x-protobuf"}
        try:
            async with self._http.post(self._url, data=data, headers=headers, allow_redirects=False) as answer:
                body = await answer.content.read(ANSWER_BYTES_MAX)
                status = answer.status
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise CollectorAway(f"{self._url}: {error or type(error).__name__}") from None
        if status in TRY_AGAIN:
            raise CollectorAway(f"{self._url} answered {status}")
        if status != 200:
            raise CollectorRefused(f"{self._url} answered {status}")
        return body

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


class GrpcSender:
    """OTLP over gRPC."""

    def __init__(self, target: str, *, is_tls: bool) -> None:
        self._target, self._is_tls = target, is_tls
        self._channel: grpc.aio.Channel | None = None
        self._export: Any = None

    async def send(self, data: bytes) -> bytes:
        if self._export is None:
            options = [("grpc.max_receive_message_length", ANSWER_BYTES_MAX), ("grpc.enable_http_proxy", 0)]
            self._channel = (
                grpc.aio.secure_channel(self._target, grpc.ssl_channel_credentials(), options=options)
                if self._is_tls
                else grpc.aio.insecure_channel(self._target, options=options)
            )
            self._export = self._channel.unary_unary(METHOD, None, None)
        try:
            answer: bytes = await self._export(data, timeout=SEND_S)
        except grpc.aio.AioRpcError as error:
            text = f"{self._target}: {error.code().name}: {error.details()}"
            raise (CollectorAway if error.code() in TRY_AGAIN_GRPC else CollectorRefused)(text) from None
        return answer

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)


def sender_of(endpoint: Endpoint) -> Sender:
    if endpoint.is_grpc:
        return GrpcSender(endpoint.target, is_tls=endpoint.is_tls)
    return HttpSender(endpoint.target)


@dataclass
class ExportMetrics:
    """spans: that were made; sent: that a collector took; dropped: for want of room; refused: by the collector."""

    spans: int = 0
    sent: int = 0
    dropped: int = 0
    refused: int = 0
    is_failing: bool = False


class Exporter:
    """`run` sends until it is cancelled; `close` tries once more. resource: what is said of this process."""

    def __init__(self, sender: Sender, resource: Mapping[str, str], *, version: str) -> None:
        self._sender, self._resource, self._version = sender, resource, version
        self._waiting: deque[Span] = deque()
        self._due = asyncio.Event()
        self._wait_s = AGAIN_FIRST_S
        self._limited = LogLimit(log, source_name="answer")  # one that changes its mind each second costs few lines
        self.metrics = ExportMetrics()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def offer(self, spans: Sequence[Span]) -> None:
        """Takes what there is room for."""
        room = QUEUE_MAX - len(self._waiting)
        self.metrics.spans += len(spans)
        self.metrics.dropped += max(0, len(spans) - room)
        self._waiting.extend(spans[: max(0, room)])
        if len(self._waiting) >= BATCH_MAX:
            self._due.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._due.wait()
            self._due.clear()
            while self._waiting:
                if not await self._send_some():
                    await asyncio.sleep(self._wait_s)
                    self._wait_s = min(2 * self._wait_s, AGAIN_MAX_S)

    async def close(self) -> None:
        """What is left is sent, if the collector takes it within a moment."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_S):
                    while self._waiting and await self._send_some():
                        pass
        finally:
            await self._sender.close()

    async def _send_some(self) -> bool:
        """A batch, which stays where the collector is away."""
        batch = [self._waiting[index] for index in range(min(BATCH_MAX, len(self._waiting)))]
        data = await self._encoded(batch)
        metrics = self.metrics
        try:
            answer = await self._sender.send(data)
        except CollectorAway as error:
            if not metrics.is_failing:
                metrics.is_failing = True
                self._limited.warning(
                    "the collector of traces is away; it is tried again, and nothing waits for it",
                    "its",
                    why=_why(error),
                )
            return False
        except CollectorRefused as error:
            metrics.refused += len(batch)
            if not metrics.is_failing:
                metrics.is_failing = True
                self._limited.warning("the collector of traces refuses what it is sent", "its", why=_why(error))
        else:
            rejected = min(len(batch), _rejected(answer))
            metrics.refused += rejected
            metrics.sent += len(batch) - rejected
            if metrics.is_failing:
                metrics.is_failing = False
                self._limited.info("the collector of traces takes spans again", "its")
        self._wait_s = AGAIN_FIRST_S
        for _ in batch:
            self._waiting.popleft()
        return True

    async def _encoded(self, batch: Sequence[Span]) -> bytes:
        request = pb.ExportTraceServiceRequest()
        of_process = request.resource_spans.add()
        _fill(of_process.resource.attributes, self._resource)
        scope = of_process.scope_spans.add()
        scope.scope.name, scope.scope.version = "dchat", self._version
        for number, span in enumerate(batch):
            if number % PER_TURN == PER_TURN - 1:
                await asyncio.sleep(0)
            _encode(scope.spans.add(), span)
        return request.SerializeToString()


def _encode(told: pb.Span, span: Span) -> None:
    told.trace_id, told.span_id, told.parent_span_id = span.trace_id, span.span_id, span.parent_id
    told.name, told.kind = span.name, span.kind
    told.start_time_unix_nano, told.end_time_unix_nano = span.start_ns, span.end_ns
    _fill(told.attributes, span.attributes)
    for trace_id, link_id in span.links:
        told.links.add(trace_id=trace_id, span_id=link_id)
    if span.error:
        told.status.code, told.status.message = ERROR, span.error


def _fill(attributes: Any, values: Mapping[str, str | int | bool]) -> None:
    for key, value in values.items():
        one = attributes.add(key=key)
        match value:
            case bool():
                one.value.bool_value = value
            case int():
                one.value.int_value = value
            case str():
                one.value.string_value = value


def _why(error: NotTaken) -> str:
    """Of it a collector wrote a part, as it liked."""
    return safe_line(str(error)[:WHY_CHARS_MAX])


def _rejected(answer: bytes) -> int:
    """Spans that a collector says it did not take, though it took the request."""
    try:
        told = pb.ExportTraceServiceResponse.FromString(answer)
    except DecodeError:
        return 0
    return max(0, told.partial_success.rejected_spans)
