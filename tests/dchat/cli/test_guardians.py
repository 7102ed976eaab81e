"""Guardians by command against a running node: named, looked up and proved, proposing, agreeing, objected to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from structlog.testing import capture_logs

from dchat.cli.main import dchat
from tests.support.node.running import running_node


async def test_an_account_names_guardians_who_propose_and_is_heard(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home, accounts = running.network.home_of(running.network.nodes[0]), running.network.folder / "accounts"
            alice, bob, carol = [accounts / f"{name}.json" for name in ("alice", "bob", "carol")]
            new = tmp_path / "new.json"

            async def call(*words: object, sender: Path | None = None, code: int = 0) -> Any:
                line = [str(word) for word in (*words, "--home", home)]
                line += ["--from", str(sender)] if sender else []
                done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
                assert done.exit_code == code, done.output
                return json.loads(done.stdout) if code == 0 else done.output

            await call("tx", "pay", "--to", bob, "--amount", 1, sender=alice)  # her key policy is on record from now on
            named = ("--guardian", bob, "--guardian", carol, "--delay", "2h")
            await call("tx", "set-guardians", *named, sender=alice)
            told = await call("query", "guardians", alice, "--prove")
            assert told["verified"]["what"].startswith("the record of guardians exists as told")
            terms = told["value"]["terms"]
            assert (len(terms["guardians"]), terms["threshold"], terms["delay_s"]) == (2, 2, 7_200)
            assert "has no guardians" in await call("tx", "object-recovery", sender=bob, code=1)

            address = running.account("alice").address_text
            await asyncio.to_thread(CliRunner().invoke, dchat, ["keygen", "--for", address, "--output", str(new)])
            propose = ("tx", "start-recovery", "--account", alice, "--to", new)
            assert "acts for" in await call(*propose[:-1], bob, sender=bob, code=2)
            started = await call(*propose, sender=bob)
            recovery = started["receipt"]["legs"][0]["subject"]
            await call("tx", "approve-recovery", "--account", alice, "--recovery", recovery, sender=carol)
            (found,) = (await call("query", "recovery", alice, "--prove"))["value"]["recoveries"]
            assert (found["id"], len(found["approvals"])) == (recovery, 2)
            assert int(found["agreed_height"]) > 0
            await call("tx", "object-recovery", sender=alice)
            assert "there is no record of recoveries" in await call("query", "recovery", alice, code=3)
            assert len((await call("query", "guardians", alice))["value"]["quiet"]) == 2

            leg = f"set-guardians guardians={bob} delay=1h threshold=1"
            await call("tx", "bundle", "--leg", leg, "--leg", f"pay to={bob} amount=1", sender=alice)
            assert (await call("query", "guardians", alice))["value"]["pending"]["delay_s"] == 3_600
            await call("tx", "set-guardians", "--none", sender=alice)
            assert "say --guardian" in await call("tx", "set-guardians", sender=alice, code=2)
            draft = await call(*propose, "--with", carol, "--generate-only", sender=bob)
            assert all(kind in json.dumps(draft) for kind in ("start_recovery", "approve_recovery"))
