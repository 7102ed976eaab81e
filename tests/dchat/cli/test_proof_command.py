"""`dchat proof` as it is typed: made from a running node, verified without one."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from chain.tx.messages import LANE_BRIDGE, CreateChannel, PayToJoin, PostMessage, RegisterIdentity, Tip, channel_id
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit
from dchat.client.wallet import Session
from tests.support.node.running import Running, running_node

LOBBY = channel_id("lobby")
DCHAT = 1_000_000
VERIFIER = Path(__file__).parents[3] / "examples" / "verify-proof.mjs"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    # The command's output is captured from this process, whose node must not write into it.
    with capture_logs():
        async with running_node(tmp_path) as node:
            yield node


async def typed(*arguments: object) -> Result:
    line = [str(argument) for argument in arguments]
    return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")


async def test_a_message_is_shown_to_who_has_a_hash(running: Running, tmp_path: Path) -> None:
    async with running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        hers, his = Session(client, alice.wallet), Session(client, bob.wallet)
        await hers.send([RegisterIdentity(alice.address, "alice", "")])
        await his.send([RegisterIdentity(bob.address, "bob", "")])
        await hers.send([CreateChannel(alice.address, "lobby", DCHAT, "")])
        legs = [PayToJoin(bob.address, LOBBY, DCHAT), PostMessage(bob.address, LOBBY, b"hello", 0)]
        await his.send(legs, lane=LANE_BRIDGE)
        tip = await hers.send([Tip(alice.address, LOBBY, 0, 2 * DCHAT)])
    home, file = running.network.home_of(running.network.nodes[0]), tmp_path / "hello.proof"
    asked = ("proof", "make", "lobby", 0, "--to", file, "--home", home)
    wrote = await typed(*asked, "--paid", tip.hash.hex())
    assert wrote.exit_code == 0, wrote.output
    document: dict[str, Any] = json.loads(wrote.stdout)
    assert document["bytes"] == file.stat().st_size < 4_000
    assert f"dchat proof verify {file} --trust {document['begins']}" in wrote.stderr
    again = await typed(*asked)
    assert (again.exit_code, "is there already" in again.output) == (Exit.USAGE, True)

    judged = await typed("proof", "verify", file, "--trust", document["begins"])
    assert judged.exit_code == 0, judged.output
    said = json.loads(judged.stdout)
    assert (said["content"], said["index"], said["address_is_of_key"]) == ("hello", 0, True)
    assert [leg["kind"] for tx in said["transactions"] for leg in tx["legs"]] == ["pay_to_join", "tip"]
    for line in ("shown: dchat1", "signed: by ", "a tip for this message", "way into the channel", "not shown: "):
        assert line in judged.stderr, judged.stderr
    height, _, digest = document["begins"].partition(":")
    for trust, chain, code, says in (
        (f"{height}:{'00' * 32}", None, Exit.PROOF, "hashes to"),
        (f"{int(height) + 1}:{digest}", None, Exit.PROOF, f"find out the hash of {height}"),
        ("somewhere", None, Exit.USAGE, "expected HEIGHT:HASH"),
        (document["begins"], "another", Exit.PROOF, "not 'another'"),
    ):
        refused = await typed("proof", "verify", file, "--trust", trust, *(("--chain-id", chain) if chain else ()))
        assert (refused.exit_code, says in refused.output) == (code, True), refused.output
    if shutil.which("node"):
        done = await asyncio.to_thread(
            subprocess.run, ["node", VERIFIER, file, document["begins"]], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert bytes.fromhex(json.loads(done.stdout)["content"]) == b"hello"
    file.write_bytes(file.read_bytes() + b"\x00")
    refused = await typed("proof", "verify", file, "--trust", document["begins"])
    assert (refused.exit_code, "shows nothing: 1 bytes follow the end" in refused.output) == (Exit.PROOF, True)


async def test_what_is_not_there_is_said(running: Running, tmp_path: Path) -> None:
    home, file = running.network.home_of(running.network.nodes[0]), tmp_path / "x.proof"
    asked = ("--to", file, "--home", home)
    nothing = await typed("proof", "make", "cellar", 0, *asked)
    assert (nothing.exit_code, "there is no channel" in nothing.output) == (Exit.FAILED, True), nothing.output
    strange = await typed("proof", "make", "cellar", 0, *asked, "--tx", "00" * 32)
    assert (strange.exit_code, "is in no block that this node has" in strange.output) == (Exit.FAILED, True)
    many = await typed("proof", "make", "cellar", 0, *asked, *["--paid", "00" * 32] * 9)
    assert (many.exit_code, "allowed: 8" in many.output) == (Exit.USAGE, True)
    assert not file.exists()
