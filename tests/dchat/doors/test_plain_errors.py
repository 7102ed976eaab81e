"""What is no request of HTTP, is too long, or expects what nobody knows, is answered by every door in its own form, and
nowhere shown: of what comes a part may be a secret. No door says what it is built with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consensus.node.door import Door
from dchat.cli.light.proxy import Proxy
from dchat.devnet.leases import lease_ports
from tests.support.node.running import running_node

SECRET = "dchat-admin-9f3b27"
FAULTS = {
    "a key that is too long": f"GET /admin/peers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET * 2_000}",
    "a line that is too long": f"GET /admin/{SECRET * 2_000} HTTP/1.1\r\nHost: localhost",
    "a header without a colon": f"GET /admin/peers HTTP/1.1\r\nHost: localhost\r\nBearer {SECRET}",
    "a header with a byte that none has": f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \x01{SECRET}",
    "no HTTP at all": f"{SECRET} {SECRET}\x01",
    "an expectation": f"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nExpect: {SECRET}",
    "an expectation beside a known one": f"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue, {SECRET}",
    "another version": f"GET / HTTP/{SECRET}\r\nHost: localhost",
}

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def ask(connect: Connect, said: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in lower case, body."""
    reader, writer = await connect()
    writer.write(said)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    first, _, body = answer.partition(b"\r\n\r\n")
    line, *rest = first.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
    return int(line.split()[1]), headers, body


def client_hello() -> bytes:
    """How a client that speaks TLS begins."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()


def at(port: int) -> Connect:
    return lambda: asyncio.open_connection("127.0.0.1", port)


def reason(told: Any) -> str:
    error = told["error"]
    return str(error if isinstance(error, str) else error["message"] + str(error.get("data")))


async def check(connect: Connect) -> None:
    with capture_logs() as lines:
        for name, head in FAULTS.items():
            status, headers, body = await ask(connect, f"{head}\r\n\r\n".encode())
            assert status in ((417,) if "expectation" in name else (400, 431)), (name, body)
            assert headers["content-type"].startswith("application/json"), (name, headers)
            assert reason(json.loads(body)), name
            assert SECRET[:8].encode() not in body, (name, body)
            assert "server" not in headers, (name, headers)
        said = b"GET /nowhere/at/all HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert "server" not in (await ask(connect, said))[1]
        _, _, body = await ask(connect, client_hello())
        assert "this is TLS, and the port speaks none" in reason(json.loads(body))
    assert SECRET[:8] not in json.dumps(lines, default=repr)


@pytest.mark.parametrize("door", ["HTTP", "metrics", "JSON-RPC", "admin.sock"])
async def test_a_node_shows_nothing_of_what_is_no_request(tmp_path: Path, door: str) -> None:
    async with running_node(tmp_path, options="\n[rpc]\nmax_header_bytes = 8192\n") as node:
        one, socket = node.network.nodes[0], node.network.home_of(node.network.nodes[0]) / "run" / "admin.sock"
        doors: dict[str, Connect] = {
            "HTTP": at(one.ports.http), "metrics": at(one.ports.metrics), "JSON-RPC": at(one.ports.rpc),
            "admin.sock": lambda: asyncio.open_unix_connection(str(socket)),
        }  # fmt: skip
        await check(doors[door])


async def test_the_door_of_the_light_client_shows_nothing_of_it() -> None:
    proxy = Proxy(cast(Any, None), None)
    port = await proxy.start("127.0.0.1", 0)
    try:
        await check(at(port))
    finally:
        await proxy.stop()


async def test_the_door_of_a_chain_of_ones_own_shows_nothing_of_it() -> None:
    (port,) = lease_ports(1)
    door = Door(cast(Any, None), f"127.0.0.1:{port}")
    await door.start()
    try:
        await check(at(port))
    finally:
        await door.stop()
