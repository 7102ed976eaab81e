"""A place that somebody typed and that cannot be: which option, what is wrong, what is allowed, and the exit code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("home") / "home"
    assert CliRunner().invoke(dchat, ["--home", str(root), "init"]).exit_code == 0
    (root / "plain").touch()
    return root


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("light follow --primary garbage", 2, "--primary is 'garbage'; expected HOST:PORT"),
        ("light follow --primary 127.0.0.1:1 --witness x", 2, "--witness is 'x'; expected HOST:PORT"),
        ("light follow --primary 127.0.0.1:1 --store HOME/plain", 2, "is a file"),
        ("light follow --primary 127.0.0.1:1 --store HOME/plain/x", 2, "is no place for what is verified: Not a dir"),
        ("validator --validate --bootstrap a,b", 2, "expected ID@host:port, host:port or /ip4/HOST/tcp/PORT/p2p/"),
        ("--home HOME/plain validator --chain-id x-1", 2, "plain: Not a directory: name another place"),
        ("--home HOME/plain/x validator --chain-id x-1", 2, "Not a directory: name another place"),
        ("--home HOME/plain validator --validate --chain-id x-1", 2, "is no folder, and the home is to be there"),
        ("--home HOME/plain rollback", 2, "Not a directory"),
        ("health --url http://nobody.invalid:80", 4, "did not answer: no host is known by the name nobody.invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_of_the_option_that_said_it(home: Path, words: str, code: int, says: str) -> None:
    told = CliRunner().invoke(dchat, ["--home", str(home), *words.replace("HOME", str(home)).split()])
    assert (told.exit_code, says in " ".join(told.output.split())) == (code, True), told.output


@pytest.mark.parametrize("command", ["health --url URL", "validator recover"])
def test_a_door_that_nobody_opened_is_named_with_what_to_do(home: Path, command: str) -> None:
    with socket.socket() as free:  # bound and not listening: it refuses, and nobody else takes it
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        words = command.replace("URL", f"http://127.0.0.1:{port}").split()
        told = CliRunner().invoke(dchat, ["--home", str(home), *words], env={"DCHAT_API_PORT": str(port)})
    assert told.exit_code == 4, told.output
    said = f"did not answer: 127.0.0.1:{port}: Connection refused; is the node running? --url http://HOST:PORT"
    assert said in " ".join(told.output.split())
    assert "ssl:default" not in told.output


@pytest.mark.parametrize("host", ["::1", "::"])
@pytest.mark.parametrize("command", ["health", "validator recover"])
def test_an_own_door_at_an_address_of_ipv6_is_asked_there(home: Path, command: str, host: str) -> None:
    """Its address was put into a URL without brackets, which is none: an image's health check never said ok."""
    with socket.socket(socket.AF_INET6) as free:
        try:
            free.bind(("::1", 0))
        except OSError as error:
            pytest.skip(f"this machine has no IPv6: {error}")
        port = free.getsockname()[1]
        env = {"DCHAT_API_PORT": str(port), "DCHAT_API_HOST": host}
        told = CliRunner().invoke(dchat, ["--home", str(home), *command.split()], env=env)
    assert f"did not answer: ::1:{port}: Connection refused" in " ".join(told.output.split()), told.output


@pytest.mark.parametrize(
    ("listens", "asked"),
    [("[::]", "[::1]"), ("[::1]", "[::1]"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")],
)
def test_an_own_grpc_door_is_asked_where_it_listens(home: Path, listens: str, asked: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET) as free:
        try:
            free.bind((asked.strip("[]"), 0))
        except OSError as error:
            pytest.skip(f"this machine has no IPv6: {error}")
        port = free.getsockname()[1]
        env = {"DCHAT_GRPC__LISTEN_ADDRESS": f"{listens}:{port}"}
        told = CliRunner().invoke(dchat, ["--home", str(home), "query", "params"], env=env)
    assert told.exit_code == 4, told.output
    assert f"{asked}:{port}" in " ".join(told.output.split()), told.output
