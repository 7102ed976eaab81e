"""nginx by deploy/nginx: it understands the file, and stands in front of a node."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from dchat.client.client import Client
from dchat.client.nodes.tls import Tls
from dchat.devnet.leases import free_ports
from tests.support.interop.tools import deb_tool
from tests.support.node.certificates import Authority
from tests.support.node.running import Running, running_node
from tests.support.patience import PATIENCE_S

CONF: Final = Path(__file__).parents[2] / "deploy" / "nginx" / "dchat.conf"
NAME: Final = "dchat.example"
MAIN: Final = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {conf};
}}
"""


@dataclass
class Front:
    """nginx with its port of TLS, and the node behind."""

    port: int
    plain_port: int
    running: Running
    root: Authority

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def session(self) -> aiohttp.ClientSession:
        """By the name that the certificate has."""
        trust = ssl.create_default_context(cafile=str(self.root.file))
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, resolver=_Here()))


class _Here(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        here = {"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}
        return [aiohttp.abc.ResolveResult(**here)]  # type: ignore[typeddict-item]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def front(folder: Path) -> AsyncIterator[Front]:
    nginx = await asyncio.to_thread(deb_tool, "nginx", "nginx")
    http = f'allowed_hosts = ["{NAME}"]\n'
    options = f'\n[rate_limit]\nrequests_per_second = 1\ntrusted_proxies = ["127.0.0.1"]\n[rpc]\n{http}'
    async with running_node(folder / "net", options=options, http=http) as running:
        root = Authority(folder, "root")
        files = await asyncio.to_thread(root.vouch, NAME)
        grpc, web, _ = running.ports
        ports = free_ports(1)[0]
        text = CONF.read_text()
        for before, after in (
            ("127.0.0.1:8080", f"127.0.0.1:{web}"),
            ("127.0.0.1:26670", f"127.0.0.1:{grpc}"),
            ("127.0.0.1:26657", running.rpc.removeprefix("http://")),
            ("listen 80;", f"listen 127.0.0.1:{ports.http};"),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{ports.grpc} ssl http2;"),
            ("/etc/dchat/tls/fullchain.pem", str(files.cert)),
            ("/etc/dchat/tls/privkey.pem", str(files.key)),
        ):
            assert before in text, before
            text = text.replace(before, after)
        (folder / "dchat.conf").write_text(text)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, conf=folder / "dchat.conf"))
        command = [str(nginx), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
        said = await asyncio.to_thread(
            subprocess.run, [*command, "-t"], capture_output=True, text=True, timeout=60, check=False
        )
        assert said.returncode == 0, said.stderr
        assert re.findall(r"\[(?:warn|error|emerg)\].*", said.stderr.replace('the "user" directive', "")) == [], (
            said.stderr
        )
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        try:
            yield await _when_open(Front(ports.grpc, ports.http, running, root))
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)


async def _when_open(made: Front) -> Front:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", made.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return made


@pytest.mark.network
async def test_nginx_stands_in_front_of_a_node(tmp_path: Path) -> None:
    async with front(tmp_path) as made, made.session() as http:
        async with http.get(f"{made.url}/status") as answer:  # by its name, over TLS
            assert answer.status == 200
            assert (await answer.json())["chain_id"] == made.running.network.chain_id
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert "nginx/" not in answer.headers["Server"]
        async with http.get(f"http://{NAME}:{made.plain_port}/status", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, f"https://{NAME}/status")
        async with http.get(f"{made.url}/metrics") as answer:
            assert answer.status == 404, "metrics are for those inside"
        async with http.delete(f"{made.url}/status") as answer:
            assert answer.status == 403
        async with http.post(f"{made.url}/rpc/", json={"jsonrpc": "2.0", "id": 1, "method": "status"}) as answer:
            assert "result" in await answer.json()
        async with http.ws_connect(f"{made.url}/rpc/websocket") as socket:
            await socket.send_json({"jsonrpc": "2.0", "id": 2, "method": "health", "params": {}})
            assert (await socket.receive_json(timeout=PATIENCE_S))["id"] == 2
        async with Client(f"127.0.0.1:{made.port}", tls=Tls(made.root.file, server_name=NAME)) as client:
            assert (await client.status()).chain_id == made.running.network.chain_id


@pytest.mark.network
async def test_nginx_limits_each_client_and_passes_on_nothing_that_it_says_of_itself(tmp_path: Path) -> None:
    """A header of a stranger's address would give its sender one request a second: it is overwritten."""
    async with front(tmp_path) as made, made.session() as http:
        told = []
        for index in range(20):
            async with http.get(f"{made.url}/health", headers={"X-Forwarded-For": f"203.0.113.{index % 2}"}) as answer:
                told.append(answer.status)
        assert told == [200] * 20

        async def status() -> int:
            async with http.get(f"{made.url}/health") as answer:
                return answer.status

        answers = await asyncio.gather(*(status() for _ in range(200)))
        assert 429 in answers, "20 a second, and 40 at once"
        assert set(answers) <= {200, 429, 503}


NETS: Final = """
{map}
server {{
    listen 127.0.0.1:{port};
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    location / {{ return 200 $dchat_client; }}
}}
"""


@pytest.mark.network
async def test_nginx_counts_all_addresses_of_one_network_as_one_client(tmp_path: Path) -> None:
    """Audit 80: those with a byte 10 in them, one in thirty, were clients of their own."""
    nginx, port = await asyncio.to_thread(deb_tool, "nginx", "nginx"), free_ports(1)[0].http
    (found,) = re.findall(r"^map \$binary_remote_addr .*?^}", CONF.read_text(), re.MULTILINE | re.DOTALL)
    conf = tmp_path / "nets.conf"
    conf.write_text(NETS.format(map=found, port=port))
    (tmp_path / "nginx.conf").write_text(MAIN.format(folder=tmp_path, conf=conf))
    words = ["-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    process = await asyncio.create_subprocess_exec(str(nginx), *words, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as http:

            async def client(address: str) -> bytes:
                while True:
                    try:
                        async with http.get(f"http://127.0.0.1:{port}/", headers={"X-Real-IP": address}) as answer:
                            return await answer.read()
                    except aiohttp.ClientConnectorError:  # it does not listen yet
                        await asyncio.sleep(0.05)

            net = bytes.fromhex("20010db80a000001")
            for address in ("2001:db8:a00:1::1", "2001:db8:a00:1::a", "2001:db8:a00:1:a0a:a0a:a0a:a0a"):
                assert await client(address) == net, address
            assert await client("2001:db8:a00:2::1") != net
            assert await client("10.0.0.10") == bytes([10, 0, 0, 10])
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
