"""`dchat query ... --prove` against a running node: what exists, what does not, and roots of trust that do not fit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from chain.chat.channels.records import CHANNEL
from chain.tx.messages import (
    LANE_BRIDGE,
    CreateChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit
from dchat.client.client import Client
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Trust, Verifier
from dchat.client.wallet import Outcome, Session
from dchat.doors.reads.answers import Answers
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.running import Running, running_node

DCHAT = 1_000_000
LOBBY = channel_id("lobby")


@dataclass
class Told:
    """A node after a story: a payment, two identities, a channel with one message, all of it in blocks."""

    running: Running
    paid: Outcome
    bundle: Outcome

    async def dchat(self, *arguments: object) -> Result:
        """The command, as typed; its home is the node's."""
        home = self.running.network.home_of(self.running.network.nodes[0])
        line = [str(argument) for argument in (*arguments, "--home", home)]
        return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")

    async def proved(self, *arguments: object) -> dict[str, Any]:
        done = await self.dchat("query", *arguments, "--prove")
        is_absent = " does not exist after " in done.stderr
        assert done.exit_code == (Exit.ABSENT if is_absent else 0), done.output
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    # The command's output is captured from this process, whose node must not write into it.
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            yield await story(running, client)


async def story(running: Running, client: Client) -> Told:
    alice, bob = running.account("alice"), running.account("bob")
    hers, his = Session(client, alice.wallet), Session(client, bob.wallet)
    paid = await hers.send([Payment(alice.address, bob.address, DCHAT)])
    await hers.send([RegisterIdentity(alice.address, "alice", "")])
    await his.send([RegisterIdentity(bob.address, "bob", "")])
    await hers.send([CreateChannel(alice.address, "lobby", DCHAT, "")])
    legs = [PayToJoin(bob.address, LOBBY, DCHAT), PostMessage(bob.address, LOBBY, b"hello", 0)]
    return Told(running, paid, await his.send(legs, lane=LANE_BRIDGE))


async def test_what_exists_and_what_does_not_is_proved_and_said(told: Told) -> None:
    accounts = told.running.network.folder / "accounts"
    stranger = told.running.network.home_of(told.running.network.nodes[0]) / "stranger.json"
    await told.dchat("keygen", "--output", stranger)
    for arguments, says in (
        (("tx", told.paid.hash.hex()), f"is number {told.paid.index} of block {told.paid.height}"),
        (("account", accounts / "bob.json"), "the account exists as told"),
        (("account", stranger), "the account does not exist"),
        (("identity", "alice"), "the identity exists as told"),
        (("identity", accounts / "bob.json"), "the identity exists as told"),
        (("identity", "nobody"), "the name nobody does not exist"),
        (("identity", stranger), "the identity does not exist"),
        (("channel", "lobby"), "the channel exists as told"),
        (("channel", "cellar"), "the channel does not exist"),
        (("member", "lobby", accounts / "bob.json"), "the membership exists as told"),
        (("member", "lobby", stranger), "the membership does not exist"),
        (("message", "lobby", 0), "message 0 of the channel is as told"),
        (("message", "lobby", 1), "message 1 does not exist"),
        (("message", "cellar", 0), "message 0 does not exist"),
        (("messages", "lobby"), "1 of 1 messages"),
        (("messages", "cellar"), "the channel does not exist"),
        (("bundle", told.bundle.replay_id.hex()), "the receipt exists as told"),
        (("bundle", "00" * 32), "the receipt does not exist"),
    ):
        document = await told.proved(*arguments)
        assert says in document["verified"]["what"], arguments
        assert document["verified"]["trusted"] == "the genesis"
    unknown = await told.dchat("query", "tx", "00" * 32, "--prove")
    assert (unknown.exit_code, "is in no block that this node has" in unknown.output) == (Exit.ABSENT, True)


async def test_trust_begins_where_the_operator_says(told: Told) -> None:
    """Of the right header it verifies and says so; of anything else it is refused with a code of its own."""
    who = told.running.network.folder / "accounts" / "bob.json"
    block = json.loads((await told.dchat("query", "block", 2)).stdout)["block_id"]["hash"]
    good = await told.proved("account", who, "--trust", f"2:{block}")
    assert good["verified"]["trusted"] == f"2:{block.upper()}"
    other = told.running.network.folder / "other"
    chain_id = told.running.network.chain_id
    await asyncio.to_thread(CliRunner().invoke, dchat, ["init", "--home", str(other), "--chain-id", chain_id])
    for option, value, code, says in (
        ("--trust", f"2:{'00' * 32}", Exit.PROOF, "trusted is 0000"),
        ("--trust", f"3:{block}", Exit.PROOF, "trusted is"),
        ("--trust", f"1000000:{block}", Exit.FAILED, "block 1000000 is not there yet: the latest is "),
        ("--trust", "nonsense", Exit.USAGE, "expected HEIGHT:HASH"),
        ("--trust", f"2:{'zz' * 32}", Exit.USAGE, "expected HEIGHT:HASH"),
        ("--trust", f"²:{block}", Exit.USAGE, "expected HEIGHT:HASH"),
        ("--trust", f"0:{block}", Exit.USAGE, "expected HEIGHT:HASH"),
        ("--genesis", other / "config" / "genesis.json", Exit.PROOF, "its set hashes to"),
    ):
        refused = await told.dchat("query", "account", who, "--prove", option, value)
        assert (refused.exit_code, says in refused.output) == (code, True), refused.output


async def test_an_old_state_is_not_taken_for_the_latest(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its proof holds, of the height that it names: the command must notice that it asked for another."""
    honest = Answers.account

    def stale(self: Answers, request: pb.GetAccountRequest) -> pb.GetAccountResponse:
        request.height = 2 if request.prove else 0
        return honest(self, request)

    monkeypatch.setattr(Answers, "account", stale)
    refused = await told.dchat("query", "account", told.running.network.folder / "accounts" / "bob.json", "--prove")
    assert refused.exit_code == Exit.PROOF
    assert "got it after 2" in refused.output


async def test_a_message_cannot_be_hidden(told: Told) -> None:
    """IBC Dragonberry, of messages: an answer without the message passes only where the channel ends before it."""
    async with told.running.client() as client:
        genesis = Trust.of_genesis(told.running.node.genesis)
        proved = Proved(Verifier(client, genesis, chain_id=told.running.network.chain_id))
        answer = await client.message(LOBBY, 0, height=await client.provable_height(), prove=True)
        assert answer.channel_proof.key == CHANNEL[1:] + LOBBY
        answer.ClearField("message")
        with pytest.raises(ProofFailed, match="message 0 is not told, and the channel has 1"):
            await proved.message(answer, LOBBY, 0)
        answer.height += 1
        with pytest.raises(ProofFailed, match="its proof of"):
            await proved.message(answer, LOBBY, 0)


@pytest.mark.parametrize(
    "change",
    [{"code": 41}, {"data": b""}, {"gas_used": 1}, {"height": 99}, {"index": 1}],
    ids=lambda change: next(iter(change)),
)
async def test_what_became_of_a_transaction_cannot_be_lied_about(told: Told, change: dict[str, Any]) -> None:
    """A payment that failed must not pass for one that was made, or the other way round."""
    async with told.running.client() as client:
        genesis = Trust.of_genesis(told.running.node.genesis)
        proved = Proved(Verifier(client, genesis, chain_id=told.running.network.chain_id))
        answer = await client.tx(told.paid.hash, prove=True)
        checked = await proved.tx(answer, told.paid.hash)
        assert checked.light.height == told.paid.height + 1
        for name, value in change.items():
            assert getattr(answer, name) != value
            setattr(answer, name, value)
        with pytest.raises(ProofFailed):
            await proved.tx(answer, told.paid.hash)


async def test_a_proof_says_how_old_it_is_and_an_old_one_is_refused(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 18: a node that was left behind, or keeps its client in the past, proves the past."""
    alice = told.running.account("alice").address_text
    document = await told.proved("account", alice)
    assert 0 <= document["verified"]["age_seconds"] < 600
    assert document["verified"]["header_time"].endswith("Z")
    real = Verifier.age_s
    monkeypatch.setattr(Verifier, "age_s", lambda self, light: real(self, light) + 3_600)
    refused = await told.dchat("query", "account", alice, "--prove")
    assert refused.exit_code == Exit.PROOF
    assert "s old, allowed: 600 s" in refused.stderr
    for allowed in ("0", "2h"):
        passed = await told.dchat("query", "account", alice, "--prove", "--max-age", allowed)
        assert passed.exit_code == 0, passed.output
        assert ", 36" in passed.stderr
    assert (await told.dchat("query", "tx", told.paid.hash.hex(), "--prove")).exit_code == 0  # a block is for ever
    assert (await told.dchat("query", "account", alice, "--prove", "--max-age", "old")).exit_code == 2
