"""Endorsing, honouring, reporting and judging by command, through a node: sent, looked up, proved."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.tx.messages import RegisterIdentity
from dchat.cli.main import dchat
from dchat.client.wallet import Session
from dchat.home.identity import load
from tests.support.node.running import running_node

PRICE = 250_000
SHARE = PRICE // 1_024


async def test_they_are_sent_looked_up_and_proved(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            home = running.network.home_of(running.network.nodes[0])
            files = {}
            for name in ("alice", "bob", "carol"):
                account = running.account(name)
                await Session(client, account.wallet).send([RegisterIdentity(account.address, name, "")])
                files[name] = running.network.folder / "accounts" / f"{name}.json"

            async def call(*line: Any, code: int = 0) -> Any:
                words = [str(word) for word in (*line, "--home", home)]
                done = await asyncio.to_thread(CliRunner().invoke, dchat, words, prog_name="dchat")
                assert done.exit_code == code, done.output
                return json.loads(done.stdout) if done.stdout else {}

            alice, bob, carol = (("--from", files[name]) for name in ("alice", "bob", "carol"))
            team = ("--channel", "team")
            await call("tx", "create-channel", "--name", "team", *alice)
            for who in (bob, carol):
                await call("tx", "join", *team, *who)
                await call("tx", "post", *team, "--text", "hello", *who)
            await call("tx", "endorse", *team, "--index", 0, *alice)
            await call("tx", "honour", *team, "--index", 0, "--amount", 2, *alice)
            told = await call("query", "score", files["bob"])
            assert (told["score"], told["share"], told["acts_left"]) == (PRICE + SHARE + 2_000_000, SHARE, 8)
            record = await call("query", "reputation", files["alice"], "--prove")
            assert (record["value"]["score"], len(record["value"]["acted"])) == (PRICE, 1)
            assert record["verified"]["what"].startswith("the reputation exists as told")
            again = await call("tx", "endorse", *team, "--index", 0, *alice, code=1)
            assert (again["codespace"], again["code"]) == ("reputation", 430)

            await call("tx", "report", *team, "--index", 1, "--reason", "spam", *bob)
            await call("tx", "report", *team, "--member", files["bob"], "--reason", "abuse", *carol)
            one = await call("query", "reports", "team", "--limit", 1)
            assert [report["index"] for report in one["reports"]] == [1]
            rest = await call("query", "reports", "team", "--after", one["next"])
            assert [report["report"]["score"] for report in rest["reports"]] == [PRICE]
            await call("tx", "resolve-report", *team, "--index", 1, "--verdict", "upheld", *alice)
            await call("tx", "bundle", "--leg", f"resolve-report channel=team member={files['bob']} verdict=dismissed",
                       *alice)  # fmt: skip
            report = await call("query", "report", "team", "--index", 1, "--prove")
            assert report["value"]["verdict"] == "upheld"
            assert {report["value"]["by"][0]["reporter"], report["value"]["about"]} == {
                load(files[name]).address_text for name in ("bob", "carol")
            }
            assert not (await call("query", "reports", "team")).get("reports")
            await call("tx", "report", *team, "--reason", "spam", *bob, code=2)
            for leg in (
                "endorse channel=team index=1",
                "honour channel=team index=1 amount=1",
                "report channel=team index=0 reason=other",
            ):
                await call("tx", "bundle", "--leg", leg, *(carol if "report" in leg else bob))
