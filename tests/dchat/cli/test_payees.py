"""Payments by a registered name, and the question before a transaction that would fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from dchat.audit.trail import Trail
from dchat.cli.commands import tx_commands
from dchat.cli.main import dchat
from tests.support.node.running import Running, running_node


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The node is in this process, and its lines would be among what a command prints."""
    with capture_logs():
        yield


async def call(running: Running, *words: object, typed: str | None = None) -> Result:
    line = [str(word) for word in words]
    return await asyncio.to_thread(CliRunner().invoke, dchat, line, input=typed, prog_name="dchat")


async def balance(running: Running, who: Path) -> int:
    told = await call(running, "query", "account", who)
    assert told.exit_code == 0, (told.stdout, told.stderr)
    return int(json.loads(told.stdout)["account"]["balance"])


async def test_a_registered_name_can_be_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_node(tmp_path) as running:
        folder = running.network.folder
        monkeypatch.setenv("DCHAT_HOME", str(running.network.home_of(running.network.nodes[0])))
        alice, bob = folder / "accounts" / "alice.json", folder / "accounts" / "bob.json"
        made = await call(running, "tx", "register", "--from", alice, "--name", "wonderland")
        assert made.exit_code == 0, made.output
        paid = await call(running, "tx", "pay", "--from", bob, "--to", "@wonderland", "--amount", 5)
        assert paid.exit_code == 0, paid.output
        address = running.account("alice").address_text
        assert f"@wonderland is {address}, proved by header " in paid.stderr
        assert await balance(running, alice) > 1_000_000 * 10**6
        nobody = await call(running, "tx", "pay", "--from", bob, "--to", "@nobody", "--amount", 5)
        assert (nobody.exit_code, "nobody is called 'nobody', proved by header" in nobody.stderr) == (3, True)
        believed = await call(
            running, "tx", "pay", "--from", bob, "--to", "@wonderland", "--amount", 5, "--believe-node",
            "--chain-id", running.network.chain_id,
        )  # fmt: skip
        assert (believed.exit_code, "by this node's word" in believed.stderr) == (0, True), believed.output


async def test_at_a_terminal_one_that_would_fail_is_asked_about_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is admitted and fails in its block is paid for."""
    async with running_node(tmp_path) as running:
        folder = running.network.folder
        monkeypatch.setenv("DCHAT_HOME", str(running.network.home_of(running.network.nodes[0])))
        monkeypatch.setattr(tx_commands, "at_terminal", lambda: True)
        alice, bob = folder / "accounts" / "alice.json", folder / "accounts" / "bob.json"
        words = ("tx", "pay", "--from", bob, "--to", alice, "--amount")
        before = await balance(running, bob)
        no = await call(running, *words, 50_000_000, typed="n\n")
        assert no.exit_code == 1
        would, fee, question = no.stderr.splitlines()[:3]
        assert would.startswith("By this node's word it would fail: "), no.stderr
        assert "refused" not in would
        assert (fee.startswith("Its fee of 0."), question.startswith("Send it? [y/N]")) == (True, True)
        assert "nothing was sent" in no.stderr
        own = await call(running, "tx", "pay", "--from", bob, "--to", bob, "--amount", 1, typed="n\n")
        assert "By this node's word it would fail: " in own.stderr
        assert "may be paid" not in own.stderr
        assert await balance(running, bob) == before
        yes = await call(running, *words, 50_000_000, typed="y\n")
        assert (yes.exit_code, "nothing was sent" in yes.stderr) == (1, False)
        well = await call(running, *words, 5)
        assert (well.exit_code, "would fail" in well.stderr) == (0, False), well.output


async def test_a_refusal_is_audited_as_one_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ended=refused: refused: ...`."""
    async with running_node(tmp_path) as running:
        home = running.network.home_of(running.network.nodes[0])
        monkeypatch.setenv("DCHAT_HOME", str(home))
        none = await call(running, "tx", "pay", "--to", home / "identity.json", "--amount", 1)
        assert (none.exit_code, "refused: " in none.stderr) == (1, True), none.output
        (ended,) = [one.details["ended"] for one in Trail(home / "audit.log").entries() if one.what == "dchat tx pay"]
        assert ended.startswith("refused: ")
        assert ended.count("refused: ") == 1
