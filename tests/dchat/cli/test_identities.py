"""Profile, blocks and prekeys by command, through a node: sent, looked up, proved."""

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

SIGNED, LAST, ONCE = (number.to_bytes(32, "big").hex() for number in (1, 2, 3))


async def test_they_are_sent_looked_up_and_proved(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            home = running.network.home_of(running.network.nodes[0])
            files = {}
            for name in ("alice", "bob"):
                account = running.account(name)
                await Session(client, account.wallet).send([RegisterIdentity(account.address, name, "")])
                files[name] = running.network.folder / "accounts" / f"{name}.json"

            async def call(*line: Any, code: int = 0) -> Any:
                words = [str(word) for word in (*line, "--home", home)]
                done = await asyncio.to_thread(CliRunner().invoke, dchat, words, prog_name="dchat")
                assert done.exit_code == code, done.output
                return json.loads(done.stdout)

            alice, bob = (("--from", files[name]) for name in ("alice", "bob"))
            sent = await call("tx", "set-profile", "--bio", "hello", "--picture", SIGNED, *alice)
            told = await call("query", "profile", files["alice"], "--prove")
            assert told["value"] == {"bio": "hello", "link": "", "picture_sha256": SIGNED, "height": sent["height"]}
            assert told["verified"]["what"].startswith("the profile exists as told")

            await call("tx", "publish-prekeys", "--signed", SIGNED, "--last-resort", LAST, "--one-time", ONCE, *alice)
            stock = await call("query", "prekeys", files["alice"], "--prove")
            assert (stock["value"]["one_time_left"], stock["value"]["low"]) == (1, True)
            claimed = await call("tx", "claim-prekey", "--who", files["alice"], *bob)
            assert claimed["receipt"]["legs"][0]["subject"] == ONCE
            await call("tx", "bundle", "--leg", f"claim-prekey who={files['alice']}", *bob)

            await call("tx", "block", "--who", files["bob"], *alice)
            assert (await call("query", "identity-block", files["alice"], files["bob"]))["value"]["height"]
            refused = await call("tx", "claim-prekey", "--who", files["alice"], *bob, code=1)
            assert (refused["codespace"], refused["code"]) == ("identity", 261)
            await call("tx", "unblock", "--who", files["bob"], *alice)
            await _devices(call, files["alice"], tmp_path)
            told = await call("query", "identity-block", files["alice"], files["bob"], code=3)
            assert told["value"] is None

            carol = running.network.folder / "accounts" / "carol.json"
            await call("tx", "register", "--name", "guest", "--lifetime", "1h", "--from", carol)
            told = await call("query", "identity", "guest", "--prove")
            assert told["identity"]["expiry_time"] > told["verified"]["header_time"]
            await call("tx", "set-profile", "--bio", "for an hour", "--from", carol)
            refused = await call("tx", "create-channel", "--name", "mine", "--from", carol, code=1)
            assert (refused["codespace"], refused["code"]) == ("burners", 377)


async def _devices(call: Any, alice: Path, folder: Path) -> None:
    """Made elsewhere, added by the identity's key, used as any identity file is, and revoked."""
    phone, address = folder / "phone.json", load(alice).address_text
    made = await asyncio.to_thread(
        CliRunner().invoke, dchat, ["keygen", "--for", address, "--output", str(phone)], prog_name="dchat"
    )
    assert made.exit_code == 0, made.output
    profile = ("tx", "set-profile", "--bio", "from my phone", "--from", phone)
    refused = await call(*profile, code=1)
    assert (refused["codespace"], refused["code"]) == ("tx", 10)
    await call("tx", "add-device", "--device", phone, "--role", "admin", "--lifetime", "1h", "--from", alice)
    told = await call("query", "devices", alice, "--prove")
    assert told["value"]["keys"][0]["role"] == "admin"
    await call(*profile)
    await call(*profile, "--unordered", "--memo", "again")
    await call("tx", "revoke-device", "--device", phone, "--from", alice)
    assert (await call(*profile, code=1))["code"] == 10
