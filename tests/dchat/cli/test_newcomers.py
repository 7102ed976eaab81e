"""What somebody who types the first commands gets told: before, each of these was silent, wrong, or in gRPC's words."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dchat.cli.main import dchat
from dchat.client.client import NodeUnreachable
from proto.dchat.v1.service_pb2 import StreamEventsResponse
from tests.support.node.running import running_node


def call(*arguments: object) -> Result:
    return CliRunner().invoke(dchat, [str(argument) for argument in arguments], prog_name="dchat")


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:", ":26670", "http://127.0.0.1:7071", "::1:9"]
)
@pytest.mark.parametrize("by_environment", [False, True])
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, address: str, by_environment: bool) -> None:
    """gRPC would ask port 34463 for 99999, and say that DNS failed for nonsense."""
    if by_environment:
        monkeypatch.setenv("DCHAT_NODE", address)
    answer = call("status", *(() if by_environment else ("--node", address)))
    place = "DCHAT_NODE" if by_environment else "--node"
    assert (answer.exit_code, f"{place} is {address!r}; expected HOST:PORT" in answer.stderr) == (2, True), (
        answer.stderr
    )


@pytest.mark.parametrize("how", ["--home", "DCHAT_HOME", "DAEMON_HOME"])
@pytest.mark.parametrize("command", [("status",), ("health",), ("query", "validators")])
def test_a_named_home_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str, command: tuple[str, ...]
) -> None:
    """Whoever had the default port on this machine answered for it."""
    for name in ("DCHAT_HOME", "DAEMON_HOME", "DCHAT_NODE"):
        monkeypatch.delenv(name, raising=False)
    missing = tmp_path / "missing"
    if how != "--home":
        monkeypatch.setenv(how, str(missing))
    answer = call(*command, *((how, missing) if how == "--home" else ()))
    assert (answer.exit_code, f"the home {missing} does not exist" in answer.stderr) == (2, True), answer.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(("statsu",), "No such command 'statsu'. Did you mean 'status'?", id="a command"),
        pytest.param(
            ("health", "--node", "127.0.0.1:26670"), "name another node by --url http://HOST:PORT", id="health's node"
        ),
        pytest.param(
            ("validator", "--log-level", "loud", "--validate"), "dchat: --log-level: [log] level: ", id="a flag"
        ),
        pytest.param(
            ("tx", "pay", "--amount", "0", "--to", "dchat1"), "'0' is too little; allowed: 1udchat and", id="nothing"
        ),
    ],
)
def test_a_line_that_is_wrong_is_told_what_would_be_right(tmp_path: Path, line: tuple[str, ...], said: str) -> None:
    answer = call(*line, "--home", tmp_path) if line[0] != "statsu" else call(*line)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


@pytest.mark.parametrize(
    ("line", "option"),
    [
        pytest.param(("tx", "pay", "--from"), "--from", id="from"),
        pytest.param(("tx", "pay", "--to"), "--to", id="to"),
        pytest.param(("query", "account", "--genesis"), "--genesis", id="trust"),
        pytest.param(("init", "--genesis"), "--genesis", id="init"),
        pytest.param(("validator", "--genesis-file"), "--genesis-file", id="validator"),
        pytest.param(("validator", "--config"), "--config", id="options"),
        pytest.param(("tx", "evidence"), "FILE", id="evidence"),
    ],
)
def test_a_file_that_is_not_there_is_told_in_one_way(tmp_path: Path, line: tuple[str, ...], option: str) -> None:
    """Before, in four."""
    missing = tmp_path / "missing.json"
    answer = call(*line, missing, "--home", tmp_path)
    said = f"Invalid value for '{option}': {missing}: cannot be read: No such file or directory"
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


def test_a_file_that_is_none_is_told_so(tmp_path: Path) -> None:
    answer = call("validator", "--genesis-file", tmp_path, "--home", tmp_path, "--validate")
    assert f"'--genesis-file': {tmp_path}: cannot be read: Is a directory" in answer.stderr, answer.stderr


async def test_what_was_looked_for_and_is_not_there_or_in_order(tmp_path: Path) -> None:
    """Nothing, or numbers and brackets without a word, before."""
    async with running_node(tmp_path) as running:
        home = running.network.home_of(running.network.nodes[0])

        async def ask(*line: object, group: str = "query") -> Result:
            return await asyncio.to_thread(call, group, *line, "--home", home, "--node", running.grpc)

        alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))
        assert (await ask("pay", "--from", alice, "--to", bob, "--amount", 1, group="tx")).exit_code == 0
        none = await ask("events", "--type", "trnsfer", "--limit", 3)
        assert (none.exit_code, '"type"' in none.stdout) == (0, False)
        assert re.search(r"dchat: no such event in blocks \d+ to \d+\n", none.stderr), none.stderr
        later = await ask("events", "--from-height", 999_999)
        assert re.search(r"no such event from block 999999; the node's latest is \d+\n", later.stderr), later.stderr
        found = await ask("events", "--limit", 1)
        assert ('"type"' in found.stdout, "no such event" in found.stderr) == (True, False)

        laws = await ask("invariants")
        told = [json.loads(f'"{text}"') for text in re.findall(r'"detail": "(.*)"', laws.stdout)]
        assert f"{len(told)} invariants hold at height " in laws.stderr
        assert not [detail for detail in told if re.search(r"\[|None|^[-\d, ]*$", detail)], told


async def test_a_stream_whose_node_stops(tmp_path: Path) -> None:
    """`did not answer: Cancelling all calls`, before."""

    async def last(stream: AsyncGenerator[StreamEventsResponse]) -> None:
        async for _ in stream:
            pass

    async with running_node(tmp_path) as running:
        client = running.client()
        stream = client.stream_events(from_height=1)
        await anext(stream)
        following = asyncio.ensure_future(last(stream))
    with pytest.raises(NodeUnreachable, match=r"is stopping: it ended the call"):
        await following
    await client.close()


async def test_a_newcomer_asks_a_node(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        home = running.network.home_of(running.network.nodes[0])
        alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))

        async def ask(*line: object, node: str = running.grpc) -> Result:
            return await asyncio.to_thread(call, *line, "--home", home, "--node", node)

        shown = await ask("query", "validators")
        assert f'"proposer": "{running.network.nodes[0].address}"' in shown.stdout, "a consensus address: hex"

        other = await ask("status", node=f"127.0.0.1:{running.ports[1]}")
        assert (other.exit_code, "this looks like an HTTP door" in other.stderr) == (4, True), other.stderr

        poor = await ask("tx", "pay", "--from", alice, "--to", bob, "--amount", 500_000_000)
        assert re.search(r"balance [0-9.]+ DCHAT, needed 500000000 DCHAT", poor.stderr), poor.stderr
        assert re.search(r"balance \d+ udchat, needed 500000000000000 udchat", poor.stdout), poor.stdout
