"""`--dry-run` and `--estimate`: what a node finds of a transaction that nobody has signed, and what is made of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from chain.tx import errors as e
from dchat.cli.main import dchat
from dchat.doors.grpc.door import COSTS
from tests.support.node.running import running_node

BOB = "dchat1y2u5z6r60unwmq03n4gvurgn07aty0q9q4cq84"
PAY = ("tx", "pay", "--to", BOB, "--amount", 1)


def call(*line: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in line], prog_name="dchat")


async def test_what_a_node_finds_and_what_is_made_of_it(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice = running.network.folder / running.network.accounts["alice"]

            async def told(*line: object, code: int = 0) -> dict[str, Any]:
                sender = ("--from", alice) if line[0] == "tx" else ()
                done = await asyncio.to_thread(call, *line, *sender, "--home", home)
                assert done.exit_code == code, done.output
                found: dict[str, Any] = json.loads(done.stdout)
                return found

            found = await told(*PAY, "--dry-run")
            assert (found["code"], found["gas_used"] < found["gas_limit"]) == (0, True)
            assert [leg["kind"] for leg in found["receipt"]["legs"]] == ["payment"]
            assert any(event["type"] == "transfer" for event in found["events"])
            assert running.node.pool.size == 0
            before = (await told("query", "account", alice))["account"]["balance"]
            paid = await told(*PAY, "--estimate")
            after = (await told("query", "account", alice))["account"]["balance"]
            assert int(before) - int(after) == 1_000_000 + found["fee"]
            assert paid["gas_used"] <= found["gas_limit"]

            for line in (
                ("tx", "pay", "--to", BOB, "--amount", 10**9),
                ("tx", "bundle", "--leg", f"pay to={BOB} amount=1", "--leg", "join channel=nowhere"),
            ):
                refused = await told(*line, "--dry-run", code=1)
                assert refused["code"] in (e.Overspend.code, e.UnknownChannel.code)
                assert (await told(*line, "--estimate", code=1))["code"] == refused["code"], "nothing was signed"
            assert running.node.pool.size == 0
            stated = await told(*PAY, "--dry-run", "--gas-limit", 60_000, "--fee", "0.5")
            assert (stated["gas_limit"], stated["fee"]) == (60_000, 500_000)
            wrong = await asyncio.to_thread(
                call, *PAY, "--dry-run", "--wait", "commit", "--from", alice, "--home", home
            )
            assert (wrong.exit_code, "send nothing" in wrong.stderr) == (2, True)


def test_it_costs_its_client_many_calls() -> None:
    assert COSTS["/dchat.v1.TxService/Simulate"] == 20
