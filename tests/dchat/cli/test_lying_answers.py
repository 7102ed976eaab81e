"""Answers that are none, of doors which are only read: a plain word, within a stated time, and nothing told twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from dchat.cli.commands import status_commands
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit
from dchat.client.client import Client, ClientError
from proto.dchat.v1 import service_pb2 as pb


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000, id="nested"),
        pytest.param(b'HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n["x"]', id="a list"),
        pytest.param(
            b"HTTP/1.1 302 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\n{}", id="elsewhere"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 3_000_000, id="endless"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, id="a header"),
        pytest.param(b"\x1b[2J\ndchat: well\n\n", id="no HTTP"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n{", id="never whole"),
    ],
)
async def test_an_http_door_that_lies_gets_a_plain_word(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13, sibling: the client's side. It ended in a traceback, went where the answer said, or lasted for ever."""
    monkeypatch.setattr(status_commands, "TIMEOUT_S", 0.5)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if answer.endswith(b"{") or not answer:  # held open
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        line = ["health", "--url", f"http://127.0.0.1:{port}"]
        told = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
    assert told.exit_code in (Exit.FAILED, Exit.UNREACHABLE), told.output
    assert told.stderr.startswith("dchat: ")
    assert told.stderr.count("\n") == 1
    assert "\x1b" not in told.output


@pytest.mark.parametrize(
    "cursors", [[(2, 0), (2, 0)], [(2, 5), (1, 0)], [(2, 0), (9, 0)]], ids=["twice", "back", "past the end"]
)
async def test_events_come_once_and_in_order(cursors: list[tuple[int, int]]) -> None:
    """Who resumes from the last cursor that came would read for ever, or count a payment twice."""

    async def stream(request: Any, context: Any) -> AsyncIterator[pb.StreamEventsResponse]:
        for height, index in cursors:
            yield pb.StreamEventsResponse(cursor=pb.EventCursor(height=height, index=index), event=pb.Event(type="x"))

    server = grpc.aio.server()
    encode = pb.StreamEventsResponse.SerializeToString
    handlers = {"StreamEvents": grpc.unary_stream_rpc_method_handler(stream, response_serializer=encode)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("dchat.v1.ChainService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with Client(f"127.0.0.1:{port}") as client:
            with pytest.raises(ClientError, match=r"streamed .* after .*: ask another node"):
                assert [told async for told in client.stream_events(from_height=1, to_height=8)]
    finally:
        await server.stop(None)
