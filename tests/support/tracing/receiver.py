"""A collector that keeps what it is sent, read by OpenTelemetry's own modules (opentelemetry-proto): they know nothing
of our schema."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web

pytest.importorskip("opentelemetry.proto", reason="no opentelemetry-proto (./scripts/env --dev): TRACING IS NOT TESTED")
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True)
class Got:
    """A span, and of which node it is."""

    node: str
    resource: dict[str, Any]
    trace: str
    id: str
    parent: str
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    error: str
    kind: int


@dataclass
class Received:
    """status: with which requests are answered; rejects: so many spans of each are told as not taken."""

    spans: list[Got] = field(default_factory=list)
    requests: int = 0
    status: int = 200
    rejects: int = 0
    url: str = ""

    def take(self, data: bytes) -> bytes:
        self.requests += 1
        request = service.ExportTraceServiceRequest.FromString(data)
        for of_process in request.resource_spans:
            resource = _values(of_process.resource.attributes)
            for scope in of_process.scope_spans:
                assert scope.scope.name == "dchat"
                self.spans += [_got(span, resource) for span in scope.spans]
        answer = service.ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejects
        return answer.SerializeToString()

    def of_trace(self, trace: str) -> list[Got]:
        return [span for span in list(self.spans) if span.trace == trace]


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def _got(span: Any, resource: dict[str, Any]) -> Got:
    assert (len(span.trace_id), len(span.span_id), len(span.parent_span_id) in (0, 8)) == (16, 8, True)
    return Got(
        resource["service.instance.id"], resource, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        span.name, span.start_time_unix_nano, span.end_time_unix_nano, _values(span.attributes),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        span.status.message if span.status.code == 2 else "", span.kind,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def over_http() -> AsyncIterator[Received]:
    received = Received()

    async def export(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        data = await request.read()
        if received.status != 200:
            received.requests += 1
            return web.Response(status=received.status)
        return web.Response(body=received.take(data), content_type="application/x-protobuf")

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/traces", export)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    received.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield received
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def over_grpc() -> AsyncIterator[Received]:
    """`url` is host:port."""
    received = Received()

    async def export(request: bytes, context: Any) -> bytes:
        if received.status != 200:
            received.requests += 1
            code = grpc.StatusCode.UNAVAILABLE if received.status == 503 else grpc.StatusCode.INVALID_ARGUMENT
            await context.abort(code, "told to")
        return received.take(request)

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(export)
    _, name, method = METHOD.split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {method: handler}),))
    received.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield received
    finally:
        await server.stop(None)


@contextlib.contextmanager
def in_a_thread() -> Iterator[Received]:
    """Over HTTP, for tests that run no loop."""
    ready, ends, made = threading.Event(), asyncio.Event(), list[Received]()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with over_http() as received:
            made.append(received)
            ready.set()
            await ends.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="collector")
    thread.start()
    try:
        assert ready.wait(30)
        yield made[0]
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join()
        loop.close()
