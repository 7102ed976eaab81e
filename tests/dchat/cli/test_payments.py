"""Payments through a running node, by the commands that people type."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from dchat.cli.main import dchat
from tests.support.node.running import running_node

ADA, BEN = "dchat1y2u5z6r60unwmq03n4gvurgn07aty0q9q4cq84", "dchat1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqz9z2dw"


def call(*line: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in line], prog_name="dchat")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param((), "Missing option '--to'", id="nobody"),
        pytest.param(("--to", ADA), "is not ADDRESS=AMOUNT", id="no amount"),
        pytest.param(("--to", f"{ADA}=0"), "is too little", id="nothing"),
        pytest.param(("--to", "ann=1"), "is neither an address", id="no address"),
    ],
)
def test_a_wrong_line_is_refused_before_a_node_is_asked(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    answer = call("tx", "pay-many", *words, "--home", tmp_path)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_many_are_paid(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice = running.network.folder / running.network.accounts["alice"]

            async def run(*line: object) -> Any:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == 0, done.output
                return json.loads(done.stdout)

            told = await run("tx", "pay-many", "--from", alice, "--to", f"{ADA}=5", "--to", f"{BEN}=7udchat")
            (leg,) = told["receipt"]["legs"]
            assert (leg["kind"], leg["amount"], leg["index"]) == ("pay_many", 5_000_007, 2)
            await run("tx", "bundle", "--from", alice, "--leg", f"pay-many to={ADA}=1,{BEN}=1udchat")
            assert (await run("query", "account", ADA))["account"]["balance"] == 6_000_000
            assert (await run("query", "account", BEN))["account"]["balance"] == 8
