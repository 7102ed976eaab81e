"""Who listens at our own node's address while it is away, with a certificate that is not the node's, is not taken for
it, whoever vouches for that one; and hears nothing of what was to be said to the node."""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.support.node.certificates import Authority, Files

NAME = "validator.example"
API_KEY = "dchat_" + "A" * 43
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


@dataclass
class Listening:
    """What is at the home's HTTP and gRPC addresses, and what it heard."""

    heard: list[bytes] = field(default_factory=list)


@dataclass
class House:
    home: Path
    root: Authority
    http: int
    grpc: int
    own: Files

    def typed(self, *words: str, **environment: str) -> tuple[int, str]:
        told = CliRunner().invoke(dchat, ["--home", str(self.home), *words], env={**environment})
        return told.exit_code, told.output

    @contextlib.contextmanager
    def listening(self, shown: Files) -> Iterator[Listening]:
        made = Listening()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.cert, shown.key)

        class Door(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as secure:
                    made.heard.append(secure.recv(65_536))
                    secure.sendall(ANSWER)

        class Calls(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                made.heard.append(details.method.encode())
                return None

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        with Server(("127.0.0.1", self.http), Door) as http, ThreadPoolExecutor(2) as threads:
            serving = threading.Thread(target=http.serve_forever, args=(0.05,))
            serving.start()
            calls = grpc.server(threads, handlers=(Calls(),))
            pair = [(shown.key.read_bytes(), shown.cert.read_bytes())]
            calls.add_secure_port(f"127.0.0.1:{self.grpc}", grpc.ssl_server_credentials(pair))
            calls.start()
            try:
                yield made
            finally:
                calls.stop(None).wait()
                http.shutdown()
                serving.join()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A home whose certificate file has the chain, too, as those of public authorities have."""
    network = make_network(tmp_path / "network", validators=1, ports=free_ports(1))
    home, ports = network.home_of(network.nodes[0]), network.nodes[0].ports
    root = Authority(tmp_path / "authority", "root")
    made = root.vouch(NAME, "127.0.0.1")
    own = Files(made.cert.rename(home / "own.pem"), made.key.rename(home / "own.key"))
    own.cert.write_bytes(own.cert.read_bytes() + root.file.read_bytes())
    with (home / "validator-config.toml").open("a") as file:
        file.write(f'\n[tls]\ncert_file = "{own.cert}"\nkey_file = "{own.key}"\n')
    return House(home, root, ports.http, ports.grpc, own)


CONNECT = ("network", "connect", "--address", f"{'0' * 40}@127.0.0.1:9")
ASKED = [("health",), (*CONNECT,), ("status",), ("query", "params")]


def test_the_node_itself_is_known(house: House) -> None:
    with house.listening(house.own) as made:
        assert house.typed("health") == (0, house.typed("health")[1])
        house.typed("status")
    assert b"GET /health" in made.heard[0]
    assert any(b"GetStatus" in one for one in made.heard), made.heard


@pytest.mark.parametrize("name", [NAME, "evil.example"])
@pytest.mark.parametrize("words", ASKED, ids=" ".join)
@pytest.mark.parametrize("how", [(), ("--tls",), ("--tls-name", NAME)], ids=" ".join)
def test_another_certificate_of_the_same_authority_is_not_the_nodes(
    house: House, name: str, words: tuple[str, ...], how: tuple[str, ...]
) -> None:
    """Not by the chain in the home's own file, and not by the system's roots either."""
    other = house.root.vouch(name, "127.0.0.1") if name == NAME else house.root.vouch(name)
    url = ("--url", f"https://127.0.0.1:{house.http}") if words == CONNECT else ()
    with house.listening(other) as made:
        code, said = house.typed(
            *words, *url, *how, DCHAT_API_KEY=API_KEY, SSL_CERT_FILE=str(house.root.file),
            GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(house.root.file),
        )  # fmt: skip
    assert code == 4, said
    assert made.heard == []


def test_a_door_whose_port_begins_like_ours_is_another(house: House) -> None:
    """It is held against who vouches for it, as any other, and not against our certificate."""
    url = f"https://127.0.0.1:{house.http}"
    config = (house.home / "validator-config.toml").read_text()
    begins = house.http // 10
    (house.home / "validator-config.toml").write_text(config.replace(str(house.http), str(begins)))
    other = house.root.vouch("other", "127.0.0.1")
    with house.listening(other):
        code, said = house.typed("health", "--url", url, "--tls-root", str(house.root.file))
        assert code == 0, said
        code, said = house.typed("health", "--url", url, "--tls", SSL_CERT_FILE=str(house.root.file))
        assert code == 0, said
