"""What a hostile client tries at the JSON-RPC door, and at its WebSocket: only it pays, and nobody else is kept out."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from dchat.doors.http.listener import QUERY_PARAMS_MAX
from dchat.doors.jsonrpc.protocol import ID_CHARS_MAX
from tests.support.node.running import running_node
from tests.support.rpc.calling import get, post, request

pytestmark = pytest.mark.network

WAIT_S = 20
FRAMES = 2_000
SLOW_RATE = "\n[rate_limit]\nrequests_per_second = 2\n"  # of programs on this machine 50, and 100 at once
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def is_cut(ws: aiohttp.ClientWebSocketResponse, send: Any) -> bool:
    """Whether a door ends a connection that sends this and that alone."""
    read = asyncio.ensure_future(_read_all(ws))
    try:
        for _ in range(FRAMES):
            await send(ws)
        await asyncio.wait({read}, timeout=WAIT_S)
        return read.done()
    except ConnectionError:
        return True
    finally:
        read.cancel()


async def _read_all(ws: aiohttp.ClientWebSocketResponse) -> None:
    while (await ws.receive()).type in (WSMsgType.TEXT, WSMsgType.PONG, WSMsgType.PING):
        pass


@pytest.mark.parametrize(
    "send",
    [
        lambda ws: ws.send_str('{"jsonrpc":"2.0","method":"status"}'),
        lambda ws: ws.send_str("{"),
        lambda ws: ws.send_str("[]"),
        lambda ws: ws.ping(b"x"),
        lambda ws: ws.pong(b"x"),
    ],
    ids=["notifications", "no JSON", "lists", "pings", "pongs"],
)
async def test_what_is_no_request_counts_as_one(tmp_path: Path, send: Any) -> None:
    """Audit 59: notifications, bytes that are no JSON and pings were free."""
    async with (
        running_node(tmp_path, options=SLOW_RATE) as one,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{one.rpc}/websocket", autoping=False) as ws,
    ):
        assert await is_cut(ws, send)


async def test_a_large_frame_counts_for_its_bytes_and_is_read_beside_the_loop(tmp_path: Path) -> None:
    """Audit 59: a megabyte was one request, read on the loop."""
    frame = '{"jsonrpc":"2.0","id":1,"method":"health","params":{"more":[' + "0," * 40_000 + "0]}}" + " " * 800_000
    async with running_node(tmp_path, options=SLOW_RATE) as one, aiohttp.ClientSession() as http:
        door = one.node.doors.rpc
        assert door is not None
        loop_read, read = list[int](), door._reading.run

        async def run(work: Any, client: str) -> Any:
            loop_read.append(1)
            return await read(work, client)

        door._reading.run = run  # type: ignore[method-assign]
        async with http.ws_connect(f"{one.rpc}/websocket") as ws:
            told = []
            for _ in range(40):
                await ws.send_str(frame)
                told.append(await ws.receive_json(timeout=WAIT_S))
        assert loop_read
        assert "result" in told[0]
        assert any("requests a second" in one.get("error", {}).get("data", "") for one in told)


async def test_no_page_of_another_origin_has_a_socket_of_a_node_on_this_machine(tmp_path: Path) -> None:
    """Audit 60: browsers let any page open a WebSocket, and read what comes."""
    options = '\n[rpc]\ncors_allowed_origins = ["https://wallet.example"]\n'
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        for origin, is_allowed in (
            ("http://evil.example", False),
            ("null", False),
            (one.rpc + ".evil.example", False),
            ("https://wallet.example", True),
            (one.rpc, True),
        ):
            with contextlib.nullcontext() if is_allowed else pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                async with http.ws_connect(f"{one.rpc}/websocket", headers={"Origin": origin}) as ws:
                    await ws.send_json(request("health", id=1))
                    assert (await ws.receive_json(timeout=WAIT_S))["result"] == {}


async def test_an_id_that_each_event_would_say_again_has_a_bound(tmp_path: Path) -> None:
    """Audit 59: a megabyte of id was written with each event."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        for id, is_taken in (("i" * ID_CHARS_MAX, True), ("i" * (ID_CHARS_MAX + 1), False), ("i" * 100_000, False)):
            told = await post(http, one.rpc, request("health", id=id))
            assert ("result" in told.document) == is_taken, told.text[:200]
            async with http.ws_connect(f"{one.rpc}/websocket") as ws:
                await ws.send_json(request("subscribe", {"query": "tm.event = 'Tx'", "after": "now"}, id=id))
                assert ("result" in await ws.receive_json(timeout=WAIT_S)) == is_taken


async def test_forms_have_few_fields_and_no_files(tmp_path: Path) -> None:
    """Audit 59: fields were read before they were counted, and a file was opened for each of a form."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        plain = await post(http, one.rpc, b"height=1&height=7&x=%ff", "header", headers=FORM)
        assert plain.result["header"]["height"] == "1"
        for path, body in (("header", b"&".join([b"a"] * 100_000)), ("header", b"&" * QUERY_PARAMS_MAX)):
            told = await post(http, one.rpc, body, path, headers=FORM)
            assert (told.status, told.text[-20:]) == (400, f"meters; allowed: {QUERY_PARAMS_MAX}\n")
        told = await get(http, one.rpc, "header?" + "a=1&" * 2_000)
        assert told.status == 400
        # A form with files opened a file for each of them.
        part = b'--b\r\nContent-Disposition: form-data; name="height"; filename="f"\r\n\r\n1\r\n'
        files = {"Content-Type": "multipart/form-data; boundary=b"}
        told = await post(http, one.rpc, part * 10_000 + b"--b--\r\n", "header", headers=files)
        assert int(told.result["header"]["height"]) >= 1


async def test_a_batch_counts_as_many_as_it_has(tmp_path: Path) -> None:
    """Audit 59: a batch was one request."""
    options = "\n[rpc]\nmax_request_batch_size = 0\n" + SLOW_RATE
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        answers = [await post(http, one.rpc, [request("health")] * 50) for _ in range(3)]
        assert [len(told.document) for told in answers[:1]] == [50]
        assert 503 in [told.status for told in answers]
