"""What one may do on the chat chain, by commands: lent for what is locked, set aside for a channel, looked up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from crypto.bech32 import encode_address
from dchat.cli.main import dchat
from tests.support.node.running import running_node


def call(*line: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in line], prog_name="dchat")


async def test_allowance_is_lent_set_aside_and_told(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))
            channel = ("--channel", "team", "--from", alice)

            async def run(*line: object, code: int = 0) -> Any:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return json.loads(done.stdout) if not code else done.stderr

            assert not (await run("query", "allowance", alice)).get("registered")
            await run("tx", "register", "--name", "alice", "--from", alice)
            await run("tx", "register", "--name", "bob", "--from", bob)
            await run("tx", "create-channel", "--name", "team", "--from", alice)
            await run("tx", "join", "--channel", "team", "--from", bob)
            await run("tx", "lock-for-allowance", "--amount", 1_000, "--from", alice)
            told = await run("query", "allowance", alice)
            assert (told["refill_messages"], told["left_messages"], told["locked"]) == (2_000, 2_000, 10**9)
            assert (told["refill_bytes"], told["bought_messages"]) == (2_097_152, 99)
            refused = await run("tx", "post", "--by-channel", "--text", "x", *channel, code=1)
            assert "has set nothing aside" in refused
            terms = ("--member-messages", 3, "--member-bytes", 30_000, "--period-messages", 10)
            await run("tx", "grant-channel-allowance", "--messages", 50, "--bytes", 100_000, *terms, *channel)
            told = await run("query", "channel-allowance", "team", "--prove")
            assert (told["value"]["messages"], told["value"]["period_messages"]) == (50, 10)
            assert told["verified"]["what"].startswith("the channel's allowance exists as told")
            await run("tx", "post", "--by-channel", "--text", "the channel pays", *channel)
            told = await run("query", "allowance", alice, "--channel", "team")
            assert (told["channel_messages"], told["left_messages"], told["bought_messages"]) == (2, 1_999, 49)
            told = await run("query", "allowance", bob, "--channel", "team")
            assert "members when the period began" in told["channel_pays_not"]
            assert "you joined the channel in this period" in await run(
                "tx", "post", "--by-channel", "--text", "x", "--channel", "team", "--from", bob, code=1
            )
            owner = encode_address(running.account("alice").address)
            async with aiohttp.ClientSession() as http:
                at = f"http://127.0.0.1:{running.ports[1]}/v1/identities/{owner}/allowance"
                async with http.get(at) as answer:
                    assert (await answer.json())["bought_messages"] == "49"
            await run("tx", "unlock-allowance", "--amount", 400, "--from", alice)
            told = await run("query", "allowance-lock", alice, "--prove")
            assert (told["value"]["locked"], told["value"]["unlocking"][0]["amount"]) == (600 * 10**6, 400 * 10**6)
            await run("tx", "end-channel-allowance", *channel)
            legs = (
                "lock-for-allowance amount=5", "unlock-allowance amount=1",
                "grant-channel-allowance channel=team messages=1 bytes=1 member-messages=1 member-bytes=1",
                "end-channel-allowance channel=team",
            )  # fmt: skip
            await run("tx", "bundle", "--from", alice, *[word for leg in legs for word in ("--leg", leg)])
            rows = (await run("query", "invariants"))["invariants"]
            assert all(row["holds"] for row in rows)
            assert sum("allowance" in row["name"] for row in rows) >= 4
            draft = await run("tx", "post", "--by-channel", "--text", "x", "--generate-only", *channel)
            assert any("of what its owner set aside" in word for word in draft["says"])
