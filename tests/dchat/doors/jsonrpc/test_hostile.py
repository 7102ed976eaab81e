"""What a hostile client tries at the JSON-RPC door, and at its WebSocket: only it pays, and nobody else is kept out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from consensus.documents.genesis import GenesisDoc
from consensus.formats.units import MIB
from consensus.state.cursors import Cursor
from dchat.doors.http.listener import QUERY_PARAMS_MAX
from dchat.doors.jsonrpc import chain_calls
from dchat.doors.jsonrpc.hub import CONDITIONS_MAX, TEXTS_BYTES_MAX, Hub, Subscription
from dchat.doors.jsonrpc.protocol import ID_CHARS_MAX, RpcError
from dchat.doors.jsonrpc.table import Call
from dchat.doors.reads.errors import Busy
from dchat.doors.reads.limits import LOCAL
from tests.support.node.running import running_node, until
from tests.support.patience import PATIENCE_S
from tests.support.rpc.calling import base64_of, call, get, payment_of, post, request

pytestmark = pytest.mark.network

FRAMES = 2_000
SLOW_RATE = "\n[rate_limit]\nrequests_per_second = 2\n"  # of programs on this machine 50, and 100 at once
CUT_S = 20  # long before anything else ends a connection
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def is_cut(ws: aiohttp.ClientWebSocketResponse, send: Any) -> bool:
    """Whether a door ends a connection that sends this and that alone."""
    read = asyncio.ensure_future(_read_all(ws))
    try:
        for _ in range(FRAMES):
            await send(ws)
        await asyncio.wait({read}, timeout=CUT_S)
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


async def test_a_browsers_question_before_it_asks_counts_too(tmp_path: Path) -> None:
    """Audit 78: who allowed an origin answered OPTIONS without end, from anybody."""
    options = SLOW_RATE + '\n[rpc]\ncors_allowed_origins = ["https://a.example"]\n'
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        told = []
        with contextlib.suppress(aiohttp.ClientConnectionError):  # cut in the end
            for _ in range(400):
                async with http.options(f"{one.rpc}/", headers=asks) as answer:
                    told.append(answer.status)
        assert told[0] == 204
        assert 503 in told


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
                told.append(await ws.receive_json(timeout=PATIENCE_S))
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
                    assert (await ws.receive_json(timeout=PATIENCE_S))["result"] == {}


WRITING = ("broadcast_tx_async", "broadcast_tx_sync", "broadcast_tx_commit", "broadcast_evidence")


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "https://wallet.example", "Sec-Fetch-Site": "cross-site"}, True),
        ({}, True),
    ],
)
async def test_no_page_of_another_origin_sends_anything_through_a_node_on_this_machine(
    tmp_path: Path, headers: dict[str, str], is_allowed: bool
) -> None:
    """Audit 70: a form or an image of any page submitted transactions through the node beside the browser."""
    options = '\n[rpc]\ncors_allowed_origins = ["https://wallet.example"]\n'
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        for method in WRITING:
            name = "evidence" if method == "broadcast_evidence" else "tx"
            async with http.get(f"{one.rpc}/{method}?{name}=0x00", headers=headers) as answer:
                assert (answer.status != 403) == is_allowed, method
            for body in (request(method, {"tx": "AA=="}), [request("health"), request(method, {"tx": "AA=="})]):
                # as a form of a page may post it, without a question before
                plain = {**headers, "Content-Type": "text/plain"}
                async with http.post(one.rpc, data=json.dumps(body), headers=plain) as answer:
                    assert (answer.status != 403) == is_allowed, method
        async with http.get(f"{one.rpc}/health", headers=headers) as answer:
            assert answer.status == 200  # which the page cannot read


async def test_an_id_that_each_event_would_say_again_has_a_bound(tmp_path: Path) -> None:
    """Audit 59: a megabyte of id was written with each event."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        for id, is_taken in (("i" * ID_CHARS_MAX, True), ("i" * (ID_CHARS_MAX + 1), False), ("i" * 100_000, False)):
            told = await post(http, one.rpc, request("health", id=id))
            assert ("result" in told.document) == is_taken, told.text[:200]
            async with http.ws_connect(f"{one.rpc}/websocket") as ws:
                await ws.send_json(request("subscribe", {"query": "tm.event = 'Tx'", "after": "now"}, id=id))
                assert ("result" in await ws.receive_json(timeout=PATIENCE_S)) == is_taken


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


async def test_the_genesis_is_made_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit 59: each of those who asked first had hundreds of megabytes made for it."""
    made = list[int]()
    make = chain_calls.genesis_text

    def counted(genesis: GenesisDoc) -> bytes:
        made.append(1)
        return make(genesis)

    monkeypatch.setattr(chain_calls, "genesis_text", counted)
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        told = await asyncio.gather(*(post(http, one.rpc, request("genesis_chunked", id=1)) for _ in range(20)))
        assert {answer.result["total"] for answer in told} == {"1"}
        assert len(made) == 1


# ---------------------------------------------------------------------------------------------------- subscriptions


@dataclass
class Reader:
    """Who subscribes, and reads when a test says so. Satisfies Sink."""

    remote: str
    client: str

    def has_more(self) -> None:
        pass


def hub_of(**options: int) -> Hub:
    """Of nothing that happens."""
    nothing: Any = None
    most = {"clients_max": 100, "each_max": 5, "buffer_max": 200, **options}
    return Hub(nothing, nothing, nothing, nothing, **most)


async def subscribed(hub: Hub, reader: Reader, text: str = "tm.event = 'Tx'", after: str = "") -> Subscription:
    await hub.subscribe(Call(reader.client, reader.remote, 1, reader), {"query": text, "after": after})
    one = hub.of(reader.remote)[-1]
    one.is_open = True
    return one


def test_one_host_has_a_share_of_those_who_subscribe_by_however_many_connections() -> None:
    """Audit 61: subscriptions, and whoever waits for a block."""
    hub = hub_of(clients_max=8)
    for number in range(2):
        hub.take(f"203.0.113.1:{number}", "203.0.113.1")
    with pytest.raises(RpcError, match="max_subscription_clients 8: 2 of one address reached"):
        hub.take("203.0.113.1:9", "203.0.113.1")
    hub.take("203.0.113.1:1", "203.0.113.1")  # of one that is there
    hub.take("203.0.113.2:1", "203.0.113.2")
    for number in range(5):
        hub.take(f"127.0.0.1:{number}", LOCAL)
    with pytest.raises(RpcError, match="max_subscription_clients 8 reached"):
        hub.take("203.0.113.3:1", "203.0.113.3")
    for remote, client in [(remote, hub_client(remote)) for remote in hub.held.elements()]:
        hub.give(remote, client)
    hub.take("203.0.113.1:9", "203.0.113.1")
    assert len(hub.held) == 1


def hub_client(remote: str) -> str:
    host = remote.partition(":")[0]
    return LOCAL if host == "127.0.0.1" else host


async def test_the_conditions_that_one_host_asks_of_each_event_have_a_bound() -> None:
    """Audit 61: each event was asked 36 conditions of each of hundreds of queries, before anybody else had it."""
    hub = hub_of()
    texts = [" AND ".join(f"a.b CONTAINS '{n}{m}'" for m in range(20)) for n in range(5)]
    took = 0
    with pytest.raises(Busy, match="conditions"):
        for number in range(25):
            for text in texts:
                await subscribed(hub, Reader(f"203.0.113.1:{number}", "203.0.113.1"), text)
                took += 20
    assert took <= CONDITIONS_MAX // 4
    await subscribed(hub, Reader("203.0.113.2:1", "203.0.113.2"), texts[0])
    for number in range(25):
        hub.left(f"203.0.113.1:{number}")
    await subscribed(hub, Reader("203.0.113.1:1", "203.0.113.1"), texts[0])
    hub.left("203.0.113.1:1")
    hub.left("203.0.113.2:1")
    assert (hub.held.total(), hub.by_remote, hub._conditions.used) == (0, {}, 0)


async def test_who_does_not_read_holds_no_more_memory_than_its_share() -> None:
    """Audit 61: each of hundreds of subscriptions of one host held 16 MiB of its own."""
    hub = hub_of()
    mine = [
        await subscribed(hub, Reader(f"203.0.113.1:{number}", "203.0.113.1"), f"tm.event = 'Tx' AND a.b = '{number}'")
        for number in range(20)
    ]
    for one in mine:
        while one.put(bytes(MIB)):
            pass
    held = {id(text): len(text) for one in mine for _, text in one.waiting}
    assert sum(held.values()) <= TEXTS_BYTES_MAX // 4
    # What many wait for together is there once.
    readers = [await subscribed(hub, Reader(f"203.0.113.2:{number}", "203.0.113.2")) for number in range(20)]
    text = bytes(4 * MIB)
    assert all(one.put(text) for one in readers)
    for one in readers[:10]:
        assert one.take() is not None
    for remote in list(hub.by_remote):
        hub.left(remote)
    assert hub.texts.room.used == 0
    assert readers[11].put(text)  # nobody has it any more
    assert (hub.texts.room.used, len(readers[11].waiting)) == (0, 0)


async def test_a_reader_of_the_past_that_stops_holds_no_block_and_misses_nothing(tmp_path: Path) -> None:
    """Audit 61: a block and what it did were held for as long as a reader took nothing."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        for number in range(1, 4):
            tx = base64_of(await payment_of(one, number))
            told = await call(http, one.rpc, "broadcast_tx_commit", tx=tx)
        await until(lambda: one.node.views.answers.height > int(told["height"]) + 20)
        hub = one.node.doors.hub
        open_blocks, of_block = set[int](), hub._of_block

        async def counted(height: int, wanted: Any, **options: Any) -> Any:
            open_blocks.add(height)
            try:
                async with contextlib.aclosing(of_block(height, wanted, **options)) as told:
                    async for happening in told:
                        yield happening
            finally:
                open_blocks.discard(height)

        hub._of_block = counted  # type: ignore[method-assign]
        reader = Reader("203.0.113.1:1", "203.0.113.1")
        resumed = await subscribed(hub, reader, "tm.event EXISTS", str(Cursor(1, 0)))
        resumed.buffer_max = 2
        cursors: list[str] = []
        while len(cursors) < 50:
            await until(lambda: resumed.is_full and not open_blocks)
            assert resumed.ended == ""
            while (text := resumed.take()) is not None:
                cursors.append(json.loads(text)["result"]["cursor"])
        assert [Cursor.parse(text) for text in cursors] == sorted(map(Cursor.parse, cursors))
        heights = [Cursor.parse(text).height for text in cursors]
        assert sorted(set(heights)) == list(range(1, heights[-1] + 1))
        hub.left(reader.remote)
