"""What somebody who types the first commands gets told: before, each of these was silent, wrong, or in gRPC's words."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dchat.cli.main import dchat
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
