"""What README says to type works as it is written there."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from tests.support.node.running import running_node

README = Path(__file__).parents[3] / "README.md"
SECTIONS = ("## From a key to a message that is read", "## Send something, and have it proved")


def commands(section: str) -> list[list[str]]:
    """The words of each line of the section that begins with `dchat`, without what goes on for ever."""
    text = README.read_text().partition(section)[2].partition("\n## ")[0].replace("\\\n", " ")
    lines = re.findall(r"^    dchat (.*)$", text, re.MULTILINE)
    return [words for line in lines if "--follow" not in (words := shlex.split(line, comments=True))]


async def test_the_commands_of_readme_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 35: a newcomer types them one after the other, in the network's folder."""
    async with running_node(tmp_path) as running:
        monkeypatch.chdir(running.network.folder)
        monkeypatch.setenv("DCHAT_HOME", str(running.network.home_of(running.network.nodes[0])))
        told = {}
        for section in SECTIONS:
            found = commands(section)
            assert len(found) > 5
            for words in found:
                done = await asyncio.to_thread(CliRunner().invoke, dchat, words, prog_name="dchat")
                assert done.exit_code == 0, (words, done.output)
                told[" ".join(words)] = done.output
    assert "hello, world" in told["query messages garden --prove"]
    assert "verified: 1 of 1 messages" in told["query messages garden --prove"]
