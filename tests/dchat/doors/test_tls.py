"""TLS and mutual TLS on every door, certificates that are renewed while it runs, and what browsers are told."""

from __future__ import annotations

import asyncio
import codecs
import datetime
import re
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import click
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from crypto.bech32 import encode_address
from dchat.cli.main import dchat
from dchat.client.client import Client
from dchat.client.nodes.tls import Tls
from dchat.config import Config, load
from dchat.doors.certificates import Certificates
from dchat.home.errors import HomeError
from dchat.home.home import Home
from dchat.node.preflight import check_options
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
async def guarded(folder: Path, *, mutual: bool, comment: bytes = b"") -> AsyncIterator[Guarded]:
    """comment: before the certificate of who vouches for clients."""
    root = Authority(folder, "root")
    door = root.vouch(NAME)
    bundle = folder / "clients.pem"
    bundle.write_bytes(comment + root.file.read_bytes())
    ask = f'client_ca_file = "{bundle}"\n' if mutual else ""
    options = f'\n[tls]\ncert_file = "{door.cert}"\nkey_file = "{door.key}"\n[rpc]\n{ask}'
    watching = "metrics_tls = true\n" + (f'metrics_client_ca_file = "{bundle}"\n' if mutual else "")
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
@pytest.mark.parametrize(
    "comment", ["# Autorité de Certification\n".encode(), "# Räte".encode("latin-1") + b"\n", codecs.BOM_UTF8]
)
async def test_a_bundle_need_not_be_ascii(tmp_path: Path, comment: bytes) -> None:
    """The check said ok, and the start ended at the first comment with an accent, without the file's name."""
    async with guarded(tmp_path, mutual=True, comment=comment) as made:
        home = made.running.network.home_of(made.running.network.nodes[0])
        config = load(Home.of(home).config_file, environment={}).config
        check_options(Home.of(home, config), config)
        ours = made.root.vouch("prometheus")
        for name, url in made.doors.items():
            assert (await get(url, made.trust(ours))).status == 200, name
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await get(url, made.trust())
        tls = Tls(made.root.file, ours.cert, ours.key, server_name=NAME)
        async with Client(made.running.grpc, tls=tls) as client:
            assert (await client.status()).chain_id == made.running.network.chain_id


def revoked() -> bytes:
    """A list of revoked certificates, as bundles may have beside them."""
    now, by = datetime.datetime.now(datetime.UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    made = x509.CertificateRevocationListBuilder().issuer_name(by).last_update(now)
    told = made.next_update(now + datetime.timedelta(days=1)).sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return told.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("data", [b"", b"# nobody\n", revoked()], ids=["nothing", "a comment", "revoked ones"])
def test_a_bundle_without_a_certificate_is_named_by_check_and_start_alike(tmp_path: Path, data: bytes) -> None:
    root, bundle = Authority(tmp_path, "root"), tmp_path / "clients.pem"
    files = root.vouch(NAME)
    bundle.write_bytes(data)
    told = f"{bundle} holds no certificates"
    with pytest.raises(ValueError, match=re.escape(told)):
        Certificates(files.cert, files.key, bundle)
    config = Config.model_validate({
        "tls": {"cert_file": str(files.cert), "key_file": str(files.key)}, "http": {"client_ca_file": str(bundle)}
    })  # fmt: skip
    with pytest.raises(HomeError, match=re.escape(f"[http] client_ca_file: {told}")):
        check_options(Home.of(tmp_path, config), config)


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
@pytest.mark.parametrize("command", ["doctor --for 1s", "top --once"])
async def test_our_own_node_is_looked_at_over_tls_too(tmp_path: Path, command: str) -> None:
    """It was asked without TLS, or held against the system's roots: there was no way to look at it."""
    async with guarded(tmp_path, mutual=False) as made:
        home = made.running.network.home_of(made.running.network.nodes[0])
        told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), *command.split()])
        assert told.exit_code in (0, 1), told.output  # 1: of one validator the baseline fails
        assert "no node answers" not in told.output
        assert "not vouched for" not in told.output
        assert made.running.network.chain_id in told.output or '"healthy"' in told.output


@pytest.mark.network
async def test_our_own_node_is_asked_over_tls_by_its_certificate(tmp_path: Path) -> None:
    """Whatever is asked over gRPC said that the node was away, until the root was named."""
    async with guarded(tmp_path, mutual=False) as made:
        home, address = made.running.network.home_of(made.running.network.nodes[0]), made.running.grpc

        async def typed(*words: str) -> tuple[int, str]:
            told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), *words])
            return told.exit_code, told.output

        for words in (["status"], ["status", "--node", address], ["status", "--tls"], ["query", "block", "1"]):
            code, said = await typed(*words)
            assert code == 0, said
        code, said = await typed("status", "--node", address.replace("127.0.0.1", "localhost"))
        assert code == 4, said  # another name may be another's door
        await asyncio.to_thread(shutil.copyfile, made.root.vouch("another.example").cert, made.door.cert)
        code, said = await typed("status")
        assert code == 4, said


@pytest.mark.network
async def test_our_own_node_that_asks_who_calls_is_told_by_a_certificate_alone(tmp_path: Path) -> None:
    async with guarded(tmp_path, mutual=True) as made:
        home, caller = made.running.network.home_of(made.running.network.nodes[0]), made.root.vouch("caller.example")
        named = ["--tls-cert", str(caller.cert), "--tls-key", str(caller.key)]
        told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), "status", *named])
        assert told.exit_code == 0, told.output
        told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), "status"])
        assert told.exit_code == 4, told.output


# By command: what is typed to another node, whose doors ask who calls. {http}, {rpc}: URLs; {grpc}: an address.
TO_ANOTHER: Final = {
    "debug autopsy": "debug autopsy {grpc} --node {named}",
    "debug dump": "debug dump --url {http}",
    "doctor": "doctor --for 1s --url {http}",
    "export-user-data": "export-user-data {account} --output {folder}/of-one.json --url {http} --node {grpc}",
    "health": "health --url {http}",
    "light follow": "light follow --once --genesis {genesis} --primary {rpc} --witness {grpc}",
    "network peer-list": "network peer-list --url {http}",
    "network stats": "network stats --url {http}",
    "query block": "query block 1 --node {grpc}",
    "status": "status --node {grpc}",
    "top": "top --once --url {http}",
    "validator recover": "validator recover --url {http}",
    "why": "why 2 --url {http}",
}
HOW: Final = {"--tls", "--tls-root", "--tls-cert", "--tls-key", "--tls-name"}
ANSWERED: Final = {"doctor": (0, 1)}  # by exit codes, where not 0 alone: of one validator the baseline fails
PLACES: Final = {"--url", "--node", "--primary", "--witness"}


def commands_of(group: click.Command, context: click.Context, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command, by how it is typed."""
    if not isinstance(group, click.Group):
        yield path, group
        return
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        assert one is not None
        yield from commands_of(one, click.Context(one, parent=context, info_name=name), f"{path} {name}".strip())


def test_every_command_that_names_a_node_says_how_it_is_spoken_to() -> None:
    seen = 0
    for path, command in commands_of(dchat, click.Context(dchat)):
        options = {word for param in command.params for word in param.opts}
        if options & PLACES:
            seen += 1
            assert options >= HOW, path
    assert seen > 100


@pytest.mark.network
async def test_commands_speak_to_another_node_that_asks_who_calls(tmp_path: Path) -> None:
    """`doctor` and `why` had no word for it, and the light client's was not heard over JSON-RPC."""
    async with guarded(tmp_path, mutual=True) as made:
        ours, network = made.root.vouch("operator"), made.running.network
        places = {
            "http": made.doors["http"].removesuffix("/health"), "rpc": made.doors["rpc"].removesuffix("/health"),
            "grpc": made.running.grpc, "named": made.running.grpc.replace("127.0.0.1", "localhost"),
            "account": encode_address(made.running.account("alice").address), "folder": tmp_path,
            "genesis": network.home_of(network.nodes[0]) / "config" / "genesis.json",
        }  # fmt: skip
        how = ["--tls-root", made.root.file, "--tls-cert", ours.cert, "--tls-key", ours.key, "--tls-name", NAME]
        home = tmp_path / "elsewhere"
        assert CliRunner().invoke(dchat, ["--home", str(home), "init", "--no-genesis"]).exit_code == 0

        async def typed(line: str, *words: object) -> tuple[int, str]:
            told = await asyncio.to_thread(
                CliRunner().invoke, dchat, ["--home", str(home), *line.format(**places).split(), *map(str, words)]
            )
            return told.exit_code, told.output

        for command, line in TO_ANOTHER.items():
            code, said = await typed(line, *how)
            assert code in ANSWERED.get(command, (0,)), (command, said)
            code, said = await typed(line, *how[:2], *how[-2:])
            assert code not in ANSWERED.get(command, (0,)), (command, said)


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


@pytest.mark.parametrize(
    ("days", "is_taken_later"), [((-2.0, -1.0), False), ((0.5, 2.0), True)], ids=["expired", "early"]
)
def test_a_renewed_certificate_that_does_not_hold_now_replaces_none_that_does(
    tmp_path: Path, days: tuple[float, float], is_taken_later: bool
) -> None:
    root, now, began = Authority(tmp_path, "root"), [0.0], time.time()
    files = root.vouch(NAME)
    made = Certificates(files.cert, files.key, now=lambda: now[0], date=lambda: began + now[0])
    before = made.pem
    root.vouch(NAME, days=days)
    with capture_logs() as said:
        for _ in range(3):
            now[0] += 1
            assert made.pem is before
    assert [line["why"].startswith("it holds from 20") for line in said] == [True], "and it is said once"
    now[0] = 0.6 * 86_400
    assert (made.pem is not before) is is_taken_later


def test_a_renewed_certificate_replaces_one_that_does_not_hold_whatever_its_own_dates(tmp_path: Path) -> None:
    root, now = Authority(tmp_path, "root"), [0.0]
    files = root.vouch(NAME, days=(-3.0, -2.0))
    made = Certificates(files.cert, files.key, now=lambda: now[0])
    before = made.pem
    root.vouch(NAME, days=(-2.0, -1.0))
    now[0] += 1
    assert made.pem is not before


def test_nobody_is_asked_for_the_passphrase_of_a_key(tmp_path: Path) -> None:
    """audit 81: OpenSSL asked at the terminal, in the process whose loop votes."""
    root, now = Authority(tmp_path, "root"), [0.0]
    files = root.vouch(NAME)
    made = Certificates(files.cert, files.key, now=lambda: now[0])
    before = made.pem
    plain = serialization.load_pem_private_key(files.key.read_bytes(), None)
    hidden = serialization.BestAvailableEncryption(b"xyzzy")
    files.key.write_bytes(plain.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
    now[0] += 1
    with capture_logs() as said:
        assert made.pem is before
    assert "is under a passphrase, and nobody is asked for it" in said[0]["why"]
    config = Config.model_validate({"tls": {"cert_file": str(files.cert), "key_file": str(files.key)}})
    with pytest.raises(HomeError, match="is under a passphrase, and nobody is asked for it"):
        check_options(Home.of(tmp_path, config), config)
