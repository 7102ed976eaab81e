"""Keys stay where they belong: in files of their owner alone, and in nothing that a node says."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from consensus.documents.files import parse_node_key
from consensus.p2p.conn.node_key import NodeKey
from consensus.system.files import replace_durably, write_new, write_new_secret
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, Ports, make_network
from dchat.home import identity, logs
from dchat.home.home import Home, load_validator_key
from dchat.shown.text import without_userinfo
from tests.support.node.machine import files_end_at
from tests.support.node.running import QUICK
from tests.support.patience import PATIENCE_S


def forms(secret: bytes) -> set[str]:
    """How 64 secret bytes (seed, then public key) or their seed could show up in a text."""
    found = set()
    for part in (secret, secret[:32]):
        found |= {part.hex(), part.hex().upper(), repr(part)[2:-1], base64.b64encode(part).decode().rstrip("=")[:-1]}
    return found


def secrets_of(network: Network) -> set[str]:
    home = Home.of(network.home_of(network.nodes[0]))
    files = [home.identity, *(network.folder / file for file in network.accounts.values())]
    keys = {file: identity.load(file).wallet.key.bytes for file in files}
    keys[home.validator_key] = load_validator_key(home).bytes
    keys[home.node_key] = parse_node_key(home.node_key.read_bytes()).bytes
    for file, secret in keys.items():
        assert any(form in file.read_text() for form in forms(secret)), "a form is missing: nothing would be found"
    return set().union(*map(forms, keys.values()))


@pytest.fixture
def restored_logs() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize("json_lines", [False, True])
@pytest.mark.filterwarnings("error")
def test_a_traceback_shows_no_values(
    restored_logs: None, monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], json_lines: bool
) -> None:
    said = stream()
    monkeypatch.setattr(sys, "stderr", said)
    logs.configure(level="debug", json_lines=json_lines, name="n")
    in_a_variable = bytes(range(64))

    def sign() -> None:
        raise RuntimeError(f"no room for {len(in_a_variable)} bytes")

    log = structlog.get_logger("test")
    try:
        sign()
    except RuntimeError as error:
        log.error("failed", exc_info=error)
        log.exception("failed again")
    text = said.getvalue()
    assert text.count("no room for 64 bytes") == 2
    assert "Traceback" in text
    assert [form for form in forms(in_a_variable) if form in text] == []


def test_key_files_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1))
    finally:
        os.umask(before)
    home = Home.of(network.home_of(network.nodes[0]))
    files = [home.identity, home.node_key, home.validator_key, home.sign_state]
    files += [network.folder / file for file in network.accounts.values()]
    assert {file: oct(stat.S_IMODE(file.stat().st_mode)) for file in files} == dict.fromkeys(files, "0o600")


@pytest.mark.network
def test_no_key_is_in_a_log_or_an_answer(tmp_path: Path) -> None:
    """A whole life at level debug, with a stranger at the validators' port and a crash at the end."""
    network = make_network(tmp_path, validators=1, pace=QUICK, ports=free_ports(1))
    node = network.nodes[0]
    home = Home.of(network.home_of(node))
    command = [
        sys.executable,
        "-m",
        "dchat",
        "validator",
        "--home",
        str(home.root),
        "--log-level",
        "debug",
        "--json-logs",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert processes.wait_for(lambda: height_of(node.ports) > 1, 30)
        with socket.create_connection(("127.0.0.1", node.ports.p2p), timeout=PATIENCE_S) as stranger:
            stranger.sendall(b"\xff" * 200)
        paths = ("health", "ready", "status", "peers", "chain/consensus-status", "bridge/status", "metrics")
        said = [read(node.ports, path) for path in paths]
        alice = network.folder / network.accounts["alice"]
        pay = ["tx", "pay", "--from", alice, "--to", alice, "--amount", "1", "--home", home.root]
        for arguments in (pay, ["identity", "verify", "--file", alice], ["validator", "--home", home.root]):
            line = [sys.executable, "-m", "dchat", *map(str, arguments)]
            done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
            said += [done.stdout, done.stderr]
        process.send_signal(signal.SIGTERM)
        said.append(process.communicate(timeout=30)[0])
    finally:
        process.kill()
    assert process.returncode == 0
    assert "level" in json.loads(said[-1].splitlines()[0])
    text = "\n".join(said)
    assert [secret for secret in secrets_of(network) if secret in text] == []
    wal = b"".join(file.read_bytes() for file in home.wal.iterdir())
    assert load_validator_key(home).bytes[:32] not in wal


def read(ports: Ports, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.http}/{path}", timeout=5) as answer:
        return str(answer.read().decode())


def height_of(ports: Ports) -> int:
    try:
        return int(json.loads(read(ports, "status"))["latest_block_height"])
    except OSError:
        return 0


@pytest.mark.parametrize("write", [write_new_secret, write_new, lambda path, text: NodeKey.generate().save(path)])
def test_a_new_file_that_finds_no_room_is_not_there_for_the_next_try(
    write: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """An empty identity, or half a record of signing, stood in the way: they are never overwritten."""
    path = tmp_path / "file"
    with files_end_at(10), pytest.raises(OSError, match="too large") as caught:
        write(path, "x" * 100)
    assert (caught.value.filename, list(tmp_path.iterdir())) == (str(path), [])
    write(path, "x" * 100)
    assert path.stat().st_size >= 100
    with pytest.raises(FileExistsError):
        write(path, "another")
    assert path.stat().st_size >= 100


def test_a_file_that_is_replaced_stays_as_it_was_where_there_is_no_room(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_durably(path, "old")
    with files_end_at(10), pytest.raises(OSError, match="too large"):
        replace_durably(path, "x" * 100)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "old")]


@pytest.mark.parametrize("json_lines", [False, True])
def test_lines_that_a_full_disk_refuses_are_counted_and_told_later(tmp_path: Path, json_lines: bool) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        stream = logs.LossyStream(file, json_lines=json_lines)
        stream.write("first\n")
        with files_end_at(10):
            for _ in range(3):
                stream.write("refused\n")
        stream.write("last\n")
    first, *_, lost, last = [line for line in path.read_text().splitlines() if line]
    assert (first, last) == ("first", "last")
    if json_lines:
        assert json.loads(lost) == {
            "level": "error", "event": "log lines were lost", "lines": 3, "error": "File too large"
        }  # fmt: skip
    else:
        assert lost == 'level="error" event="log lines were lost" lines=3 error="File too large"'


def test_no_line_of_the_log_says_who_a_url_is_for() -> None:
    file, peer = io.StringIO(), f"tcp://{'ab' * 20}@10.0.0.2:26656"
    logs.LossyStream(file).write(f'event="away" url="http://me:s3cret/@word@h:1/" peer="{peer}" mail="a@b.example"\n')
    assert file.getvalue() == f'event="away" url="http://***@h:1/" peer="{peer}" mail="a@b.example"\n'


def test_a_log_that_nobody_reads_any_more_ends_nothing() -> None:
    readable, writable = os.pipe()
    with os.fdopen(writable, "w") as file:
        os.close(readable)
        stream = logs.LossyStream(file)
        stream.write("to nobody\n")
        assert stream.lost == 1


def test_a_line_of_many_schemes_takes_no_longer_than_another() -> None:
    """audit 87: what looked for passwords in each line took by the square of it, on the loop."""
    began = time.process_time()
    for text in ("://" * 200_000 + " @", "a" * 600_000 + " @", "://" * 200_000 + "@ x", "@" * 600_000):
        without_userinfo(text)
    assert time.process_time() - began < 10
    assert without_userinfo("a://b:c@d://e:f@g h://i") == "a://***@g h://i"
    assert without_userinfo(f"tcp://{'0a' * 20}@h:1,tcp://u:p@h") == f"tcp://{'0a' * 20}@h:1,tcp://***@h"
