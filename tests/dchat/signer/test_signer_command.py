"""`dchat signer`: the files that it makes and asks for, what it refuses to start from, and how its process ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consensus.privval.channel import open_channel
from dchat.cli.main import dchat
from proto.tendermint.privval import types_pb2 as pb

CHAIN = "remote"
WAIT_S = 60


def type_in(*words: object) -> Result:
    return CliRunner().invoke(dchat, list(map(str, words)))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    done = type_in("signer", "init", "--home", tmp_path)
    assert done.exit_code == 0, done.output
    return tmp_path


def key_of(home: Path) -> Path:
    return home / "config" / "priv_validator_key.json"


def state_of(home: Path) -> Path:
    return home / "data" / "priv_validator_state.json"


def test_init_makes_private_files_says_what_a_validator_is_told_and_overwrites_nothing(home: Path) -> None:
    for path in (key_of(home), state_of(home), home / "config" / "signer_node_key.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = type_in("signer", "show", "--output", "text", "--home", home)
    assert [line.rsplit(" ", 1)[0] for line in shown.output.splitlines()] == [
        "key file", "record", "public key", "validator address", "signer id",
    ]  # fmt: skip
    piped = json.loads(type_in("signer", "show", "--home", home).stdout)
    assert list(piped) == [
        "key_file", "record", "key_type", "held", "encrypted", "public_key", "validator_address", "signer_id",
    ]  # fmt: skip
    lines = dict(line.rsplit(" ", 1) for line in shown.output.splitlines())
    same = {"key file", "record", "public key", "validator address", "signer id"}
    assert {name: piped[name.replace(" ", "_")] for name in same} == lines
    assert (piped["key_type"], piped["held"], piped["encrypted"]) == ("ed25519", None, False)
    before = key_of(home).read_bytes()
    again = type_in("signer", "init", "--home", home)
    assert again.exit_code == 2
    assert "never overwritten" in again.output
    assert key_of(home).read_bytes() == before
    files = ("--key-file", home / "k.json", "--state-file", home / "s.json")
    assert type_in("signer", "init", *files).exit_code == 0
    assert (home / "k.json").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--chain-id", CHAIN], "missing --connect"),
        (["--connect", "tcp://127.0.0.1:1"], "missing --chain-id"),
        (["--connect", "127.0.0.1:1", "--chain-id", CHAIN], "allowed: tcp://HOST:PORT or unix://PATH"),
        (["--connect", "unix:///x", "--chain-id", CHAIN, "--key-file", "k"], "are given together"),
        (["--connect", "unix:///x", "--chain-id", CHAIN, "--allow-node-id", "ab"], "is no node id"),
        (["--connect", "unix:///x", "--chain-id", CHAIN, "--log-level", "loud"], "loud"),
    ],
)
def test_wrong_usage_is_named(home: Path, words: list[str], why: str) -> None:
    done = type_in("signer", "--home", home, *words)
    assert done.exit_code == 2
    assert why in done.output


def start(home: Path, *words: object) -> list[str]:
    return [sys.executable, "-m", "dchat", "signer", "--home", str(home), "--chain-id", CHAIN, *map(str, words)]


async def ended(command: list[str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, told = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode is not None
    return process.returncode, told.decode()


@pytest.mark.parametrize("what", ["readable key", "readable record", "no record", "no key", "damaged record"])
def test_it_does_not_start_from_files_that_are_not_as_they_must_be(home: Path, what: str) -> None:
    path = key_of(home) if "key" in what else state_of(home)
    match what.split(maxsplit=1)[0]:
        case "readable":
            path.chmod(0o640)
        case "no":
            path.unlink()
        case _:
            path.write_text("{")
    done = type_in("signer", "--home", home, "--chain-id", CHAIN, "--connect", "unix:///nowhere")
    assert done.exit_code == (74 if what.startswith("damaged") else 2)
    assert path.name in done.output.splitlines()[-1]


async def test_it_signs_refuses_a_second_process_and_ends_when_it_is_asked(home: Path, tmp_path: Path) -> None:
    came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.put_nowait((reader, writer))

    server = await asyncio.start_unix_server(accept, tmp_path / "s")
    address = f"unix://{tmp_path / 's'}"
    first = await asyncio.create_subprocess_exec(*start(home, "--connect", address), stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(WAIT_S):
            channel = await open_channel(*await came.get(), None)
            await channel.send(pb.Message(pub_key_request=pb.PubKeyRequest(chain_id=CHAIN)))
            assert (await channel.receive()).pub_key_response.pub_key.ed25519
        files = ("--key-file", key_of(home), "--state-file", state_of(home))
        for second in (start(home, "--connect", address), start(home, "--connect", address, *files)):
            code, told = await ended(second)
            assert code == 1
            assert "stop it first" in told
        first.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(first.communicate(), WAIT_S)
        assert first.returncode == 0, log
        assert [word in log.decode() for word in ("event=signs", "connected", "stopped")] == [True] * 3, log
        assert "Traceback" not in log.decode()
    finally:
        if first.returncode is None:
            os.kill(first.pid, signal.SIGKILL)
            await first.wait()
        server.close()
