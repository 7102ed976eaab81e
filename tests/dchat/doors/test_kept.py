"""Answers that are kept: true as long as they are told, the same by both ways, within the limits of who asks."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from chain.tx.messages import Payment
from dchat.client.wallet import Session
from dchat.doors.explorer import pages
from dchat.doors.http import connections
from dchat.doors.kept.answers import Kept, KeptAnswers, Lasting, Wire
from dchat.doors.kept.at_once import AtOnce, Head, read_head
from dchat.doors.reads.errors import Flooding, NotThere
from dchat.doors.reads.limits import Proxies, RateLimit
from tests.support.node.running import Running, running_node, until

ROW = Kept(Wire(b'ETag: "a"\r\n', b"hello"), b'"a"')
HOST = b"Host: localhost\r\n"


def kept_of(**more: Any) -> KeptAnswers:
    return KeptAnswers(lambda: 1, lambda: 1, **more)


# ------------------------------------------------------------------------------------------------ what is kept


def test_an_answer_goes_with_what_it_depends_on() -> None:
    height, step, now = [1], [1], [0.0]
    kept = KeptAnswers(lambda: height[0], lambda: step[0], now_s=lambda: now[0])
    fields = {"ETag": '"a"'}
    for how in Lasting:
        kept.made(how.name.encode(), b"x", fields, how, kept.token(how))
    step[0] = 2
    assert kept.find(b"BLOCK") is not None
    assert kept.find(b"MOMENT") is None  # the first has it made
    assert kept.find(b"MOMENT") is not None  # the others are told what was
    now[0] = 0.3
    assert kept.find(b"MOMENT") is None  # it was not made in time: somebody else has it made
    assert kept.find(b"MOMENT") is not None
    now[0] = 1.1
    assert (kept.find(b"MOMENT"), kept.find(b"MOMENT"), len(kept)) == (None, None, 1)
    now[0] = 0.0
    kept.made(b"MOMENT", b"x", fields, Lasting.MOMENT, kept.token(Lasting.MOMENT))
    now[0] = 0.04
    assert kept.find(b"MOMENT") is not None
    now[0] = 0.06
    assert kept.find(b"MOMENT") is None
    assert kept.find(b"MOMENT") is not None
    before = kept.token(Lasting.BLOCK)
    height[0] = 2
    assert kept.find(b"MOMENT") is None  # of the block before nothing is told
    assert kept.find(b"BLOCK") is None
    kept.made(b"late", b"x", fields, Lasting.BLOCK, before)  # made of the block before
    assert (kept.find(b"late"), len(kept), kept.bytes) == (None, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3_000)), max_size=80))
def test_it_is_bounded_and_counts_right(made: list[tuple[int, int]]) -> None:
    kept = kept_of(bytes_max=10_000)
    for number, size in made:
        kept.made(b"/%d" % number, bytes(size), {"ETag": '"a"'}, Lasting.BLOCK, 1)
        assert kept.bytes <= 10_000
    assert kept.bytes == sum(row.size for row in kept._rows.values())
    if made:
        assert kept.find(b"/%d" % made[-1][0]) is not None  # the last one is there


def test_what_is_pinned_never_goes() -> None:
    kept = kept_of(bytes_max=1_000)
    kept.pin(b"/file", ROW)
    for number in range(9):
        kept.made(b"/%d" % number, bytes(300), {"ETag": '"a"'}, Lasting.BLOCK, 1)
    assert (kept.find(b"/file"), len(kept)) == (ROW, 1)


# ------------------------------------------------------------------------------------------------ who asks how


@pytest.mark.parametrize(("fields", "head"), [
    pytest.param(b"Host: a\r\nX: y\r\n", Head("a", "", False, ()), id="plain"),
    pytest.param(b'if-none-match: "a", "b"\r\n', Head(None, '"a", "b"', False, ()), id="tags"),
    pytest.param(b"Accept-Encoding: br, gzip\r\nConnection: Keep-Alive\r\n", Head(None, "", True, ()), id="gzip"),
    pytest.param(b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n",
                 Head(None, "", False, ("1.2.3.4", "5.6.7.8")), id="a proxy's"),
    pytest.param(b"Connection: close\r\n", None, id="it closes"),
    pytest.param(b"Content-Length: 0\r\n", None, id="a body"),
    pytest.param(b"Transfer-Encoding: chunked\r\n", None, id="a body of pieces"),
    pytest.param(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", None, id="an upgrade"),
    pytest.param(b"Host: a\r\nHost: b\r\n", None, id="two names"),
    pytest.param(b"Host : a\r\n", None, id="a space before the colon"),
    pytest.param(b" folded\r\n", None, id="a folded line"),
    pytest.param(b"X: \xff\r\n", None, id="no ASCII"),
    pytest.param(b"X: a\nY: b\r\n", None, id="a bare line feed"),
])  # fmt: skip
def test_only_plain_header_fields_are_understood(fields: bytes, head: Head | None) -> None:
    assert read_head(fields) == head


@given(st.binary(max_size=200))
def test_no_header_is_a_fault_of_ours(fields: bytes) -> None:
    read_head(fields)


@pytest.mark.parametrize("data", [
    b"GET /a HTTP/1.1\r\n" + HOST, b"GET /a HTTP/1.0\r\n\r\n", b"HEAD /a HTTP/1.1\r\n\r\n", b"POST /a HTTP/1.1\r\n\r\n",
    b"GET /a HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n", b"GET /b HTTP/1.1\r\n\r\n", b"GET  /a HTTP/1.1\r\n\r\n",
    b"GET /a\r\n\r\n", b"\r\n\r\n", b"", b"GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n",
])  # fmt: skip
def test_all_else_goes_the_servers_way(data: bytes) -> None:
    kept = kept_of()
    kept.pin(b"/a", ROW)
    door = AtOnce(kept, RateLimit(0), lambda host: host in (None, "localhost"))
    assert door.answer(data, "127.0.0.1", "local", Proxies()) is None


def test_limits_are_those_of_any_request() -> None:
    kept = kept_of()
    kept.pin(b"/a", ROW)
    asked = b"GET /a HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 9.9.9.9\r\n\r\n"
    door = AtOnce(kept, RateLimit(2, now_ns=lambda: 0), lambda _: True)
    answers = [door.answer(asked, "1.2.3.4", "1.2.3.4", Proxies()) or b"" for _ in range(8)]
    assert [answer[9:12] for answer in answers] == [b"200"] * 4 + [b"503"] * 4
    head, _, body = answers[-1].partition(b"\r\n\r\n")
    assert json.loads(body)["error"] == "more than 2 requests a second from 1.2.3.4; try later"
    assert b"Retry-After: 1\r\n" in head
    with pytest.raises(Flooding):
        door.answer(asked, "1.2.3.4", "1.2.3.4", Proxies())
    proxies = Proxies(["1.2.3.4"])  # then who asks is another, and all of them have one connection
    answers = [door.answer(asked, "1.2.3.4", "1.2.3.4", proxies) or b"" for _ in range(20)]
    assert [answer[9:12] for answer in answers] == [b"200"] * 4 + [b"503"] * 16


# ------------------------------------------------------------------------------------------------ a node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_node(tmp_path) as running:
        yield running


def door_of(running: Running) -> KeptAnswers:
    keeping = running.node.doors.http.keeping
    assert keeping is not None
    return keeping.answers


class Wires:
    """One connection, on which answers are read as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @staticmethod
    async def to(running: Running) -> Wires:
        return Wires(*await asyncio.open_connection("127.0.0.1", running.ports[1]))

    async def ask(self, path: str, fields: str = "", *, pieces: int = 1) -> tuple[int, dict[str, str], bytes]:
        data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            self.writer.write(data[start : start + size])
            await self.writer.drain()
            await asyncio.sleep(0.01 if pieces > 1 else 0)
        return await self.read()

    async def read(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(30):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.split("\r\n")[:-2]
            fields = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(fields.get("Content-Length", 0)))
        return int(status.split(" ")[1]), fields, body


DECIDED = ("/v1/blocks/1", "/v1/blocks/1/results", "/chain/block-results?height=1")


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_both_ways_say_the_same(tmp_path: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Byte for byte, header fields too, but for the date; in pieces and between other requests, too."""

    async def main() -> None:
        async with running_node(tmp_path) as running:
            await both_ways(running)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def both_ways(node: Running) -> None:
    wires, counts = await Wires.to(node), door_of(node).counts
    for path in (*DECIDED, "/explorer/", "/explorer/app.js"):
        made = await wires.ask(path, "Accept-Encoding: identity\r\nTE: trailers\r\n")  # the server's way
        before = counts["kept"]
        kept = await wires.ask(path, "Accept-Encoding: identity\r\n")
        if path.startswith("/v1/blocks/1"):  # the others may be of the block before
            assert counts["kept"] == before + 1, path
        assert made[0] == kept[0] == 200
        assert made[2] == kept[2], path
        assert {**made[1], "Date": ""} == {**kept[1], "Date": ""}, path
        assert (await wires.ask(path, pieces=3))[0] == 200
        assert await wires.ask("/chain/nothing") != made
        tag = made[1]["ETag"]
        twice = f'"other"\r\nIf-None-Match: W/{tag}\r\nIf-None-Match: "third"'
        is_steady = path.startswith(("/v1/blocks/1", "/explorer/"))
        for said in (tag, "*", f'"other", W/{tag}', twice) if is_steady else (tag,):
            for more in ("", "TE: trailers\r\n") if is_steady else ("",):
                tagged = await wires.ask(path, f"If-None-Match: {said}\r\n{more}")
                assert (tagged[0], tagged[2]) == (304, b""), (path, said, more)
    wires.writer.write(
        b"GET /v1/blocks/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/blocks/1/results HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert [(await wires.read())[0] for _ in range(2)] == [403, 403]  # no name of this door; both, in their order
    wires.writer.close()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_does_not_read_is_cut_on_each_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """A node's own loop has transports that are of no class of asyncio's."""
    monkeypatch.setattr(connections, "STALL_S", 0.1)
    monkeypatch.setattr(connections, "ANSWER_BYTES_PER_S", 1e12)

    async def main() -> None:
        async with running_node(tmp_path) as running:
            gate = running.node.doors.http.gate
            with socket.create_connection(("127.0.0.1", running.ports[1])) as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                slow.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
                await until(lambda: gate.counts["cut"] > 0)
                await until(lambda: gate.size == 0)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def test_requests_on_their_way_keep_their_order(node: Running) -> None:
    """A slow one first, then one that is kept: its answer waits for the other's."""
    wires = await Wires.to(node)
    await wires.ask("/v1/blocks/1")
    for _ in range(20):
        wires.writer.write(b"GET /v1/invariants HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(0)
        wires.writer.write(b"GET /v1/blocks/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"invariants" in (await wires.read())[2]
        assert b"block_id" in (await wires.read())[2]
    wires.writer.close()


async def test_a_payment_is_seen_with_its_block(node: Running) -> None:
    """Nobody is told what was before the block that he knows of."""
    alice, bob = node.account("alice"), node.account("bob")
    async with node.client() as client, aiohttp.ClientSession(f"http://127.0.0.1:{node.ports[1]}") as http:

        async def balance() -> int:
            async with http.get(f"/v1/accounts/{bob.address.hex()}") as answer:
                assert answer.headers["Cache-Control"] == "no-cache"
                return int((await answer.json())["account"]["balance"])

        hers, has = Session(client, alice.wallet), await balance()
        for amount in range(1, 9):
            await hers.send([Payment(alice.address, bob.address, amount)])
            has += amount
            assert await balance() == has
            assert await balance() == has


async def test_what_many_ask_for_at_once_is_made_once(node: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who waits for another's takes no slot; where the other's comes to nothing each makes its own."""
    views, door = node.node.views, node.node.doors.http
    slots = door.slots
    asked: list[int] = []
    go = asyncio.Event()

    async def slow(self: object, limit: int, *, client: str) -> dict[str, Any]:
        asked.append(slots.used)
        await go.wait()
        if len(asked) == 1 and limit == 2:
            raise NotThere("not here")
        return {"blocks": [limit]}

    monkeypatch.setattr(type(views), "blocks", slow)
    monkeypatch.setattr(type(views), "of_block", lambda _: 1)
    url, connector = f"http://127.0.0.1:{node.ports[1]}", aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as http:

        async def ask(limit: int) -> tuple[int, Any]:
            async with http.get(f"/chain/blocks?limit={limit}") as answer:
                return answer.status, await answer.json()

        for limit, statuses, made in ((1, {200: 40}, 1), (2, {404: 1, 200: 39}, 40)):
            asked.clear()
            go.clear()
            tasks = [asyncio.create_task(ask(limit)) for _ in range(40)]
            await until(lambda: sum(one.requests for one in door.gate.open_connections) == 40)
            assert slots.used == 1
            go.set()
            answers = await asyncio.gather(*tasks)
            assert Counter(status for status, _ in answers) == statuses
            assert len(asked) == made or made > 1


async def test_what_is_decided_may_be_kept_elsewhere(node: Running) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{node.ports[1]}") as http:
        for path, said in (
            ("/v1/blocks/1", "public, max-age=86400, immutable"), ("/v1/blocks/0", "no-cache"),
            ("/v1/blocks/1/commit", "no-cache"), ("/chain/blocks", "no-cache"), ("/status", "no-cache"),
            ("/health", None), ("/v1/accounts/00", None),
        ):  # fmt: skip
            async with http.get(path) as answer:
                assert answer.headers.get("Cache-Control") == said, path
                assert ("ETag" in answer.headers) == (said is not None), path
        async with http.head("/v1/blocks/1") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with http.get("/explorer/") as answer:
            text = await answer.text()
        for path in re.findall(r'(?:src|href)="([0-9a-f]+/[a-z]+\.\w+)"', text):
            async with http.get(f"/explorer/{path}") as answer:
                assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
                assert (answer.status, answer.headers["ETag"]) == (200, pages.tag_of(await answer.read()))


async def test_an_idle_connection_ends_and_one_that_asks_does_not(tmp_path: Path) -> None:
    async with running_node(tmp_path, http="idle_timeout = 1500\n") as running:
        wires = await Wires.to(running)
        await wires.ask("/v1/blocks/1")
        loop = asyncio.get_running_loop()
        until = loop.time() + 3
        while loop.time() < until:
            assert (await wires.ask("/v1/blocks/1"))[0] == 200
            await asyncio.sleep(0.1)
        async with asyncio.timeout(30):
            assert await wires.reader.read() == b""
        wires.writer.close()
