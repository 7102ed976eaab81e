"""Hostile clients of the HTTP door, on real sockets: what each costs is bounded, and others are served on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dchat.config.models import Config
from dchat.doors.certificates import Certificates
from dchat.doors.http import connections
from dchat.doors.http.connections import Gate
from dchat.doors.http.door import HttpDoor
from dchat.doors.http.listener import QUERY_PARAMS_MAX, allowed_hosts
from dchat.doors.reads import handles
from dchat.doors.reads.limits import BURST_FACTOR, LOCAL_FACTOR, share_of
from tests.support.node.certificates import Authority
from tests.support.node.hostile import is_cut
from tests.support.node.running import Running, running_node, until

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def door_of(running: Running) -> HttpDoor:
    return running.node.doors.http


@contextlib.asynccontextmanager
async def many(port: int, count: int, *, say: bytes = b"") -> AsyncIterator[list[Pair]]:
    """`count` connections that say the same, and no more."""
    pairs: list[Pair] = []
    try:
        for _ in range(count):
            with contextlib.suppress(OSError):
                small = socket.socket()
                small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                small.setblocking(False)
                await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", port))
                pairs.append(await asyncio.open_connection(sock=small))
                pairs[-1][1].write(say)
        yield pairs
    finally:
        for _, writer in pairs:
            writer.close()


async def get(port: int, path: str = "/status", *, head: str = "Host: localhost\r\n", close: bool = True) -> bytes:
    """The whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end = "Connection: close\r\n" if close else ""
    writer.write(f"GET {path} HTTP/1.1\r\n{head}{end}\r\n".encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_idle_connections_leave_room_for_others_and_for_the_databases(tmp_path: Path) -> None:
    """audit 13, CVE-2020-5303: idle HTTP connections ran out of file handles, and LevelDB with them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with running_node(tmp_path, http="connections_max = 32\n") as running:
        share = share_of(32, "local")
        async with many(running.ports[1], 300) as pairs:
            await until(lambda: door_of(running).gate.counts["refused"] >= len(pairs) - share)
            assert door_of(running).gate.size <= share
            height = running.node.views.answers.height
            await until(lambda: running.node.views.answers.height > height + 2)
            assert b"200 OK" in await get(running.ports[2], "/metrics")  # a door of its own
        await until(lambda: door_of(running).gate.size == 0)
        assert b"200 OK" in await get(running.ports[1])
        assert running.failures == []
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] == hard
    assert soft <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /sta", id="half a line"),
        pytest.param(b"GET /status HTTP/1.1\r\nHost: localhost\r\nX-A: ", id="half a header"),
        pytest.param(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n", id="a request, then nothing"),
        pytest.param(b"GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nab", id="half a body"),
        pytest.param(
            b"GET /status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", id="half a chunk"
        ),
    ],
)
async def test_who_does_not_finish_is_left(say: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: deadlines for the header, the body and between requests."""
    monkeypatch.setattr("dchat.doors.http.listener.BODY_S", 0.2)
    async with running_node(tmp_path, http="idle_timeout = 300\n") as running:
        async with many(running.ports[1], 3, say=say) as pairs:
            for reader, _ in pairs:
                assert await is_cut(reader, within_s=5)
        await until(lambda: door_of(running).gate.size == 0)


async def test_a_slow_dribble_does_not_extend_the_deadline(tmp_path: Path) -> None:
    """audit 13: a byte now and then is no progress."""

    async def dribble(writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"X-A: b\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    start = b"GET /status HTTP/1.1\r\n"
    async with (
        running_node(tmp_path, http="idle_timeout = 500\n") as running,
        many(running.ports[1], 1, say=start) as [(reader, writer)],
    ):
        dribbling = asyncio.create_task(dribble(writer))
        assert await is_cut(reader, within_s=5)
        dribbling.cancel()


async def test_answers_that_nobody_reads_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: bytes that wait for a slow reader are bounded, in time and in number."""
    monkeypatch.setattr(connections, "STALL_S", 0.3)
    monkeypatch.setattr(connections, "ANSWER_BYTES_PER_S", 10**9)
    async with running_node(tmp_path) as running:
        request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400
        async with many(running.ports[1], 2, say=request) as pairs:
            await until(lambda: door_of(running).gate.counts["cut"] >= 2, timeout_s=20)
            assert b"200 OK" in await get(running.ports[1])
            for reader, _ in pairs:
                assert await is_cut(reader, within_s=5)
        assert running.failures == []


async def test_the_bytes_of_unread_answers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_BYTES_MAX", 100_000)
    async with running_node(tmp_path) as running:
        request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400
        async with many(running.ports[1], 12, say=request):
            await until(lambda: door_of(running).gate.counts["cut"] > 0, timeout_s=20)
            height = running.node.views.answers.height
            await until(lambda: running.node.views.answers.height > height + 1)


async def test_pipelined_requests_are_answered_in_turn_and_count(tmp_path: Path) -> None:
    """audit 13: a hundred requests in one packet are a hundred requests, of which one at a time is served."""
    limit = "\n[rate_limit]\nrequests_per_second = 1\n"
    async with running_node(tmp_path, options=limit) as running:
        running.node.doors.rate._now_ns = lambda: 10**18  # no second passes, however slow the machine
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[1])
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        async with asyncio.timeout(10):
            answers = await reader.read()  # ends: it went on after too many refusals
        writer.close()
        burst = LOCAL_FACTOR * BURST_FACTOR
        assert answers.count(b"200 OK") == burst
        assert 0 < answers.count(b"503 Service Unavailable") <= burst
        assert door_of(running).slots.used == 0


@pytest.mark.parametrize(
    ("request_line", "head", "status"),
    [
        pytest.param("/status?" + "a=b&" * 1_000, "", b"400", id="a thousand parameters"),
        pytest.param(
            "/chain/events?" + "&".join(f"type=t{n}" for n in range(QUERY_PARAMS_MAX)), "", b"400", id="types"
        ),
        pytest.param("/" + "a" * 20_000, "", b"400", id="a long line"),
        pytest.param("/status", "X-A: " + "a" * 10_000 + "\r\n", b"400", id="a long header"),
        pytest.param("/status", "X-A: b\r\n" * 500, b"400", id="many headers"),
        pytest.param("/chain/blocks?limit=-1", "", b"400", id="a negative page"),
        pytest.param("/chain/blocks?limit=" + "9" * 4_000, "", b"400", id="a huge page"),
        pytest.param("/chain/blocks?limit=%D9%A1", "", b"400", id="digits that are none"),
        pytest.param("/chain/events?after=99999999999999999999:0", "", b"400", id="a cursor out of range"),
        pytest.param("/chain/events?after=1:" + "9" * 400, "", b"400", id="a cursor without end"),
        pytest.param("/chain/events?from_height=9223372036854775808", "", b"400", id="a height out of range"),
        pytest.param("/chain/events?where=" + "a" * 300 + "=b", "", b"400", id="a long condition"),
        pytest.param("/chain/block-results?height=999999999", "", b"404", id="a height that is not there"),
        pytest.param("/status/../../etc/passwd", "", b"404", id="a path upwards"),
    ],
)
async def test_requests_that_ask_too_much(request_line: str, head: str, status: bytes, tmp_path: Path) -> None:
    """failure 13: refused with a reason, and without a traceback for each in the log."""
    async with running_node(tmp_path) as running:
        with capture_logs() as lines:
            for _ in range(5):
                answer = await get(running.ports[1], request_line, head="Host: localhost\r\n" + head)
                assert answer.split(b" ")[1] == status, answer[:200]
        assert len([line for line in lines if "HTTP" in line["event"]]) <= 1
        assert b"200 OK" in await get(running.ports[1])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", b"200"), ("LOCALHOST:8080", b"200"), ("127.0.0.1:1", b"200"), ("[::1]:8080", b"200"),
        ("10.1.2.3", b"200"), ("localhost.", b"200"), ("node.example", b"200"),
        ("evil.example", b"403"), ("evil.example:8080", b"403"), ("localhost.evil.example", b"403"), ("", b"403"),
        ("127.0.0.1.evil.example", b"403"), ("[::1].evil.example", b"403"), ("localhost@evil.example", b"403"),
    ],
)  # fmt: skip
async def test_only_its_own_names_reach_the_door(host: str, status: bytes, tmp_path: Path) -> None:
    """audit 18: a web page whose name was made to point here (DNS rebinding) reads nothing."""
    async with running_node(tmp_path, http='allowed_hosts = ["node.example"]\n') as running:
        answer = await get(running.ports[1], "/health", head=f"Host: {host}\r\nOrigin: http://{host}\r\n")
        assert answer.split(b" ")[1] == status, answer
        assert b"Access-Control-Allow-Origin" not in answer


def test_any_name_may_be_allowed() -> None:
    assert allowed_hosts("127.0.0.1", ["*"]) is None
    assert {"localhost", "0.0.0.0", "node.example"} <= (allowed_hosts("0.0.0.0", ["Node.Example."]) or frozenset())


async def test_tls_handshakes_have_a_deadline_and_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: before, a connection in its handshake was counted nowhere, and had a minute."""
    monkeypatch.setattr(connections, "TLS_S", 0.3)
    gate = Gate("trial", 8)
    files = Authority(tmp_path, "root").vouch("door")
    tls = Certificates(files.cert, files.key)

    def make(gate: Gate, client: str) -> connections.Connection:
        from aiohttp import web

        return connections.Connection(gate, client, web.Server(_nothing))

    port = await gate.listen(make, "127.0.0.1", 0, tls=tls)
    try:
        async with many(port, 20) as pairs:
            await until(lambda: gate.counts["refused"] >= 14)
            assert gate.size <= share_of(8, "local")
            for reader, _ in pairs:
                assert await is_cut(reader, within_s=5)
        await until(lambda: gate.size == 0)
    finally:
        await gate.close()


async def _nothing(_: object) -> object:
    raise NotImplementedError


async def test_a_full_door_gives_an_idle_place_of_who_has_most() -> None:
    """audit 13: others are let in, not turned away by somebody's idle connections."""

    class Idle:
        def __init__(self, client: str, *, idle: bool) -> None:
            self.client, self.is_idle, self.counts, self.is_gone = client, idle, True, False

        def abort(self) -> None:
            self.is_gone = True

    gate = Gate("trial", 8)
    held = [Idle("192.0.2.1", idle=False), *(Idle(f"192.0.2.{n // 2}", idle=True) for n in range(4, 11))]
    for one in held:
        gate.open_connections[one] = None  # type: ignore[index]  # what it looks at is there
        gate._by_client[one.client] += 1
    assert gate.size == 8
    assert gate._has_room("198.51.100.1")
    assert [one.is_gone for one in held].count(True) == 1
    assert gate.size == 7
    assert not gate._has_room("192.0.2.3")  # it has its share


@pytest.mark.parametrize("limit", [1_024, 1_500, 4_096, 1_048_576])
def test_the_doors_never_take_the_databases_handles(limit: int) -> None:
    """audit 13: what is left after the databases and the peers is shared out, and it is said when that is little."""
    config = Config()
    with capture_logs() as lines:
        shares = handles.share_out(config, limit)
    least = 4 * handles.DOOR_LEAST
    assert sum(shares) <= max(least, limit - handles.kept(config))
    assert all(share >= handles.DOOR_LEAST for share in shares)
    is_short = limit - handles.kept(config) < 256 + 32 + 1_024 + 900
    assert bool(lines) == is_short
    assert (shares == (256, 32, 1_024, 900)) != is_short


def test_the_limit_of_handles_is_raised() -> None:
    """audit 13: to what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert handles.raise_limit() == min(hard, handles.HANDLES_WANTED)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_door_that_fails_begins_anew_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 6: an exception in a door's own task ends neither the door nor anything else."""
    monkeypatch.setattr(connections, "AGAIN_S", 0.05)
    async with running_node(tmp_path) as running:
        faults = running.node.views.faults

        def fail(self: Gate, client: str) -> bool:
            raise RuntimeError("no room for thought")

        with monkeypatch.context() as patched:
            patched.setattr(Gate, "_has_room", fail)
            async with many(running.ports[1], 1):
                await until(lambda: faults.failures["HTTP door accepts"] == 1)
        await until(lambda: not faults.down)
        assert b"200 OK" in await get(running.ports[1])
        assert running.failures == []
