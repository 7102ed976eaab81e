"""TLS and mutual TLS on every door, certificates that are renewed while it runs, and what browsers are told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from dchat.cli.main import dchat
from dchat.client.client import Client
from dchat.client.nodes.tls import Tls
from dchat.doors.certificates import Certificates
from tests.support.node.certificates import Authority, Files
from tests.support.node.running import Running, running_node

NAME = "validator.example"
RENEWED_S = 30.0


@dataclass
class Guarded:
    running: Running
    root: Authority
    door: Files

    def url(self, port: int, path: str) -> str:
        return f"https://127.0.0.1:{port}{path}"

    @property
    def doors(self) -> dict[str, str]:
        """A URL of each that speaks HTTP."""
        _, http, metrics = self.running.ports
        rpc = int(self.running.rpc.rpartition(":")[2])
        return {
            "http": self.url(http, "/health"),
            "metrics": self.url(metrics, "/metrics"),
            "rpc": self.url(rpc, "/health"),
        }

    def trust(self, client: Files | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.root.file)
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        return context


@asynccontextmanager
async def guarded(folder: Path, *, mutual: bool) -> AsyncIterator[Guarded]:
    root = Authority(folder, "root")
    door = root.vouch(NAME)
    ask = f'client_ca_file = "{root.file}"\n' if mutual else ""
    options = f'\n[tls]\ncert_file = "{door.cert}"\nkey_file = "{door.key}"\n[rpc]\n{ask}'
    watching = "metrics_tls = true\n" + (f'metrics_client_ca_file = "{root.file}"\n' if mutual else "")
    made = running_node(folder / "node", options=options, grpc=ask, http=ask, observability=watching)
    async with made as running:
        yield Guarded(running, root, door)


async def get(url: str, trust: ssl.SSLContext) -> aiohttp.ClientResponse:
    async with aiohttp.ClientSession() as http, http.get(url, ssl=trust, server_hostname=NAME) as answer:
        await answer.read()
        return answer


async def shown(url: str) -> str:
    """The certificate that a door shows to whoever comes."""
    at, port = url.removeprefix("https://").partition("/")[0].split(":")
    return await asyncio.to_thread(ssl.get_server_certificate, (at, int(port)), timeout=10)


@pytest.mark.network
async def test_every_door_asks_who_calls_where_it_is_told_to(tmp_path: Path) -> None:
    async with guarded(tmp_path, mutual=True) as made:
        ours = made.root.vouch("prometheus")
        strangers = Authority(tmp_path / "other", "root").vouch("prometheus")
        for name, url in made.doors.items():
            assert (await get(url, made.trust(ours))).status == 200, name
            for wrong in (None, strangers):
                with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                    await get(url, made.trust(wrong))
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await get(url.replace("https", "http"), made.trust(ours))


@pytest.mark.network
async def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never(tmp_path: Path) -> None:
    async with guarded(tmp_path, mutual=False) as made:
        doors = {**made.doors, "grpc": made.url(made.running.ports[0], "/")}
        before = made.door.cert.read_text()
        assert {name: await shown(url) == before for name, url in doors.items()} == dict.fromkeys(doors, True)
        made.root.vouch(NAME)  # over the same files
        renewed = made.door.cert.read_text()
        assert renewed != before
        for name, url in doors.items():
            async with asyncio.timeout(RENEWED_S):
                while await shown(url) != renewed:  # noqa: ASYNC110 - the file is looked at when somebody comes
                    await asyncio.sleep(0.1)
            assert await shown(url) == renewed, name
        async with Client(made.running.grpc, tls=Tls(made.root.file, server_name=NAME)) as client:
            assert (await client.status()).chain_id == made.running.network.chain_id
        made.door.cert.write_text("no certificate")
        for url in made.doors.values():
            assert await shown(url) == renewed


@pytest.mark.network
async def test_our_own_door_is_known_by_its_certificate_and_another_by_who_vouches(tmp_path: Path) -> None:
    async with guarded(tmp_path, mutual=False) as made:
        home = made.running.network.home_of(made.running.network.nodes[0])

        async def health(*words: str) -> tuple[int, str]:
            told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), "health", *words])
            return told.exit_code, told.output

        assert (await health())[0] == 0
        code, said = await health("--url", made.doors["http"].removesuffix("/health").replace("127.0.0.1", "localhost"))
        assert code == 4, said
        named = ["--tls-root", str(made.root.file), "--tls-name", NAME]
        assert (await health("--url", made.doors["http"], *named))[0] == 0
        code, said = await health("--url", made.doors["http"].replace("https", "http"))
        assert code == 4, said


@pytest.mark.network
async def test_browsers_are_told_that_answers_are_data_of_this_door_alone(tmp_path: Path) -> None:
    """And no page of another origin may read: there are no CORS headers."""
    async with guarded(tmp_path, mutual=False) as made:
        for name, url in made.doors.items():
            answer = await get(url, made.trust())
            assert answer.headers["X-Content-Type-Options"] == "nosniff", name
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'", name
            assert answer.headers["Referrer-Policy"] == "no-referrer", name
            assert answer.headers["Strict-Transport-Security"].startswith("max-age="), name
            assert [key for key in answer.headers if key.startswith("Access-Control-")] == [], name
            assert "Server" not in answer.headers or "aiohttp" not in answer.headers["Server"].lower(), name


def test_files_are_looked_at_once_a_second_and_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    root, now = Authority(tmp_path, "root"), [0.0]
    files = root.vouch(NAME)
    made = Certificates(files.cert, files.key, now=lambda: now[0])
    first = made.pem
    root.vouch(NAME)
    assert made.pem is first, "the second has not passed"
    now[0] += 1
    assert made.pem is not first
    assert made.ends_at > 0
    second = made.pem
    files.key.write_text("no key")
    with capture_logs() as said:
        for _ in range(3):
            now[0] += 1
            assert made.pem is second
    assert [line["event"] for line in said] == ["certificates cannot be used: those before them go on"]
