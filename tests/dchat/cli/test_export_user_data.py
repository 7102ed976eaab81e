"""dchat export-user-data: all that a node has of somebody, and nothing of others."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from tests.support.node.running import Running, running_node


async def call(running: Running, *words: str) -> tuple[int, str]:
    home = running.network.home_of(running.network.nodes[0])
    told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), *words])
    return told.exit_code, told.output


@pytest.mark.network
async def test_what_is_kept_of_somebody_is_in_one_file_for_its_owner_alone(tmp_path: Path) -> None:
    async with running_node(tmp_path / "net") as running:
        files = {
            name: str(running.network.folder / running.network.accounts[name]) for name in ("alice", "bob", "carol")
        }
        for words in (
            ["tx", "register", "--name", "alice", "--from", files["alice"]],
            ["tx", "pay", "--to", files["bob"], "--amount", "5", "--from", files["alice"]],
            ["tx", "pay", "--to", files["bob"], "--amount", "7", "--from", files["carol"]],
        ):
            assert (await call(running, *words))[0] == 0, words
        told = {}
        for name, file in files.items():
            out = tmp_path / f"{name}.json"
            code, said = await call(running, "export-user-data", file, "--output", str(out))
            assert code == 0, said
            assert out.stat().st_mode & 0o777 == 0o600
            told[name] = json.loads(out.read_text())
        assert {name: len(one["transactions"]) for name, one in told.items()} == {"alice": 2, "bob": 2, "carol": 1}
        assert told["alice"]["records"]["identity"]["identity"]["name"] == "alice"
        assert (
            told["bob"]["records"]["profile"]["value"] is None if "value" in told["bob"]["records"]["profile"] else True
        )
        mentioned = json.dumps(told["carol"]["transactions"])
        assert running.account("alice").address.hex() not in mentioned
        code, said = await call(running, "export-user-data", files["bob"], "--output", str(tmp_path / "bob.json"))
        assert (code, "not overwritten" in said) == (1, True)
        code, said = await call(
            running, "export-user-data", files["bob"], "--output", str(tmp_path / "x"), "--url", "http://127.0.0.1:1"
        )
        assert code == 4, said
