"""What becomes of spans, by both of OTLP's ways; nothing waits for a collector that is away, slow, or refuses."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dchat.config import ConfigError, load
from dchat.config.endpoint import Endpoint, endpoint_of
from dchat.tracing import export
from dchat.tracing.export import QUEUE_MAX, CollectorAway, Exporter, sender_of
from dchat.tracing.spans import Kind, Span
from tests.support.tracing.receiver import Received, over_grpc, over_http

SERVICE = {"service.name": "dchat-validator", "service.instance.id": "ab" * 20}


def span(number: int = 0, **more: object) -> Span:
    ids = number.to_bytes(16), number.to_bytes(8)
    return Span(*ids, b"", f"span {number}", 1_000 + number, 2_000 + number, **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.01)


@pytest.fixture(params=["HTTP", "gRPC"])
async def collector(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Received, Endpoint]]:
    if request.param == "HTTP":
        async with over_http() as received:
            yield received, endpoint_of(received.url)
    else:
        async with over_grpc() as received:
            yield received, Endpoint(received.url, is_grpc=True, is_tls=False)


@pytest.fixture
async def exporter(collector: tuple[Received, Endpoint], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Exporter]:
    monkeypatch.setattr(export, "AGAIN_FIRST_S", 0.01)
    monkeypatch.setattr(export, "EVERY_S", 0.01)
    made = Exporter(sender_of(collector[1]), SERVICE, version="1")
    made._wait_s = 0.01
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.close()


async def test_a_collector_gets_what_was_said(collector: tuple[Received, Endpoint], exporter: Exporter) -> None:
    received, _ = collector
    said = span(
        7, attributes={"a": "ü", "b": -3, "c": True}, kind=Kind.CONSUMER, error="why", links=((b"t" * 16, b"s" * 8),)
    )
    exporter.offer([said])
    await until(lambda: exporter.metrics.sent == 1)
    (got,) = received.spans
    assert (got.trace, got.id, got.parent, got.name) == ((7).to_bytes(16).hex(), (7).to_bytes(8).hex(), "", "span 7")
    assert (got.start_ns, got.end_ns, got.kind, got.error) == (1_007, 2_007, 5, "why")
    assert got.attributes == {"a": "ü", "b": -3, "c": True}
    assert got.links == (((b"t" * 16).hex(), (b"s" * 8).hex()),)
    assert (got.node, got.resource["service.name"]) == ("ab" * 20, "dchat-validator")


async def test_thousands_go_in_batches(collector: tuple[Received, Endpoint], exporter: Exporter) -> None:
    exporter.offer([span(number) for number in range(2_000)])
    await until(lambda: exporter.metrics.sent == 2_000)
    received, _ = collector
    assert [got.name for got in received.spans] == [f"span {number}" for number in range(2_000)]
    assert received.requests == 4


async def test_one_that_is_away_for_a_while_gets_all_and_costs_two_lines(
    collector: tuple[Received, Endpoint], exporter: Exporter
) -> None:
    received, _ = collector
    received.status = 503
    with capture_logs() as lines:
        exporter.offer([span(1)])
        await until(lambda: received.requests > 3)
        assert (exporter.metrics.is_failing, exporter.waiting) == (True, 1)
        received.status = 200
        await until(lambda: exporter.metrics.sent == 1)
    assert [line["log_level"] for line in lines] == ["warning", "info"], lines
    assert not exporter.metrics.is_failing


async def test_what_is_refused_is_not_sent_again(collector: tuple[Received, Endpoint], exporter: Exporter) -> None:
    received, _ = collector
    received.status = 400
    exporter.offer([span(1), span(2)])
    await until(lambda: exporter.metrics.refused == 2)
    received.status, received.rejects = 200, 1
    exporter.offer([span(3), span(4)])
    await until(lambda: exporter.metrics.sent == 1)
    assert (exporter.metrics.refused, received.requests, exporter.waiting) == (3, 2, 0)


async def test_a_dead_collector_costs_a_line_and_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = Exporter(sender_of(endpoint_of(f"http://127.0.0.1:{taken.getsockname()[1]}")), SERVICE, version="1")
        monkeypatch.setattr(export, "EVERY_S", 0.0)
        dead._wait_s = 0.0
        with capture_logs() as lines:
            running = asyncio.create_task(dead.run())
            for _ in range(5):
                began = time.perf_counter()
                dead.offer([span(number) for number in range(QUEUE_MAX // 2)])
                assert time.perf_counter() - began < 1, "nobody waits for it"
                await asyncio.sleep(0.01)
            await until(lambda: dead.metrics.is_failing)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await dead.close()
    assert (dead.waiting, dead.metrics.dropped) == (QUEUE_MAX, QUEUE_MAX // 2 * 3)
    assert len(lines) == 1


async def test_one_that_takes_the_connection_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SEND_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for is_grpc in (False, True):
            port = silent.getsockname()[1]
            target = f"127.0.0.1:{port}" if is_grpc else f"http://127.0.0.1:{port}/v1/traces"
            sender = sender_of(Endpoint(target, is_grpc=is_grpc, is_tls=False))
            with pytest.raises(CollectorAway):
                await sender.send(b"")
            await sender.close()


async def test_one_that_changes_its_mind_costs_a_few_lines(
    collector: tuple[Received, Endpoint], exporter: Exporter
) -> None:
    """Not two each second."""
    received, _ = collector
    with capture_logs() as lines:
        for number in range(10):
            received.status = 200 if number % 2 else 400
            exporter.offer([span(number)])
            await until(lambda done=number + 1: exporter.metrics.sent + exporter.metrics.refused == done)
    assert (exporter.metrics.sent, exporter.metrics.refused) == (5, 5)
    assert len(lines) == 2, lines


async def test_what_a_collector_answers_is_not_unpacked_kept_or_written_as_it_is() -> None:
    """Zeros that would be a thousand times as many, cookies without end, and an error of several lines."""
    bomb = gzip.compress(bytes(10_000_000))
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        await reader.readexactly(int(re.findall(rb"Content-Length: (\d+)", head)[0]))
        fields = b"Content-Encoding: gzip\r\nSet-Cookie: a%d=b\r\nConnection: close\r\n" % len(asked)
        writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (fields, len(bomb)) + bomb)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        sender = sender_of(endpoint_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        assert bomb.startswith(await sender.send(b"x"))
        await sender.send(b"y")
        await sender.close()
    assert b"cookie" not in asked[1].lower()
    assert export._why(CollectorAway("a\nb" + "c" * 9_000)) == "a\\nb" + "c" * 297


def test_the_compose_networks_jaeger_is_found() -> None:
    compose = (Path(__file__).parents[3] / "deploy" / "compose" / "compose.yaml").read_text()
    (url,) = re.findall(r"DCHAT_TRACING__ENDPOINT: (\S+)", compose)
    assert endpoint_of(url) == Endpoint("jaeger:4317", is_grpc=True, is_tls=False)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://jaeger:4317", Endpoint("jaeger:4317", is_grpc=True, is_tls=False)),
        ("grpc://c:24317", Endpoint("c:24317", is_grpc=True, is_tls=False)),
        ("grpcs://c", Endpoint("c:4317", is_grpc=True, is_tls=True)),
        ("https://[::1]:4317/", Endpoint("[::1]:4317", is_grpc=True, is_tls=True)),
        ("http://c:4318", Endpoint("http://c:4318/v1/traces", is_grpc=False, is_tls=False)),
        ("https://c", Endpoint("https://c:4318/v1/traces", is_grpc=False, is_tls=True)),
        ("http://c:443/otlp/v1/traces", Endpoint("http://c:443/otlp/v1/traces", is_grpc=False, is_tls=False)),
        (
            "http://localhost:14268/api/traces",
            Endpoint("http://localhost:4318/v1/traces", is_grpc=False, is_tls=False, is_moved=True),
        ),
        (
            "http://z:9411/api/v2/spans",
            Endpoint("http://z:4318/v1/traces", is_grpc=False, is_tls=False, is_moved=True),
        ),
    ],
)
def test_where_a_collector_is(text: str, endpoint: Endpoint) -> None:
    assert endpoint_of(text) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c:4317",
        "ftp://c:4317",
        "http://",
        "http://c:x",
        "http://u:p@c:4317",
        "http://c:4317?a=b",
        "http://c\n",
        "grpc://c:1/x",
    ],
)
def test_what_is_no_collector_is_said_when_options_are_read(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[tracing\] endpoint: .*allowed: like http"):
        load(None, environment={"DCHAT_TRACING__ENDPOINT": text})
