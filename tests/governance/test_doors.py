"""Governance through the doors of a running node: every command of `tx gov` and `query gov`, with proofs."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chain.tx.messages.governance import SubmitProposal
from dchat.cli.commands.gov_commands import parse_setting, parse_share
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit
from dchat.client.client import ClientError, NotFound
from dchat.client.wallet import Session
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from proto.dchat.v1 import governance_service_pb2 as pb
from tests.support.node.running import QUICK, Running, running_node, until

SHORT = {"governance": {"deposit_period_s": "8", "voting_period_s": "4", "expedited_voting_period_s": "2"}}


class Commands:
    """`dchat` against a node, each command in a thread."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.home = running.network.home_of(running.network.nodes[0])

    async def run(self, *arguments: object, who: str = "", fails: bool = False, code: int = 0) -> Any:
        line = [str(argument) for argument in arguments]
        if who:
            file = self.home / "identity.json"
            if who != "operator":
                file = self.running.network.folder / self.running.network.accounts[who]
            line += ["--from", str(file)]
        line += ["--node", self.running.grpc, "--home", str(self.home)]
        result = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
        assert result.exit_code != 0 if fails else result.exit_code == code, result.output
        if fails:
            return result.output
        answer = re.search(r"^\{$.*?^\}$", result.stdout, re.MULTILINE | re.DOTALL)  # among the node's log lines
        assert answer is not None, result.output
        return json.loads(answer[0])


async def test_from_a_proposal_to_what_it_changes(tmp_path: Path) -> None:
    make_network(tmp_path, validators=1, pace=QUICK, ports=free_ports(1), params=SHORT)
    async with running_node(tmp_path) as running, running.client() as client:
        gov = Commands(running)
        params = await gov.run("query", "params")
        assert params["json"]["governance"]["params"]["voting_period_s"] == "4"
        assert "unbonding_s" in params["json"]["staking"]["params"]

        options = ("--title", "t", "--deposit", "1")
        sent = await gov.run("tx", "gov", "submit-params", "--set", "chat.message_bytes_max=99", *options, who="alice")
        number = sent["receipt"]["legs"][0]["index"]
        found = await gov.run("query", "gov", "proposal", number, "--prove")
        assert (found["proposal"]["status"], found["deposit"]) == ("deposit", 1_000_000)
        assert found["proposal"]["proposer"] == running.account("alice").address_text
        assert "verified" in found
        await gov.run("tx", "gov", "deposit", number, "--amount", "9", who="bob")
        await gov.run("tx", "gov", "vote-weighted", number, "yes=0.7", "no=0.3", "--pay-fee", who="operator")
        operator = json.loads((gov.home / "identity.json").read_text())["address"]
        vote = await gov.run("query", "gov", "vote", number, operator, "--prove")
        assert [o["weight"] for o in vote["vote"]["options"]] == ["0.7", "0.3"]
        await gov.run("tx", "gov", "vote", number, "yes", "--pay-fee", who="operator")
        tally = await gov.run("query", "gov", "tally", number)
        assert (tally["complete"], tally["would_pass"], tally["tally"]["votes"]) == (True, True, 1)
        votes = await gov.run("query", "gov", "votes", number)
        assert [(v["voter"], v["vote"]["options"][0]["option"]) for v in votes["votes"]] == [(operator, "yes")]
        deposits = await gov.run("query", "gov", "deposits", number)
        assert sorted(d["amount"] for d in deposits["deposits"]) == [1_000_000, 9_000_000]
        bob = running.account("bob").address_text
        assert (await gov.run("query", "gov", "vote", number, bob, "--prove", code=Exit.ABSENT))["vote"] is None

        async def decided() -> bool:
            answer = await client.call(client.gov.GetProposal, pb.GetProposalRequest(proposal_id=number))
            return bool(answer.proposal.decided_time_ns)

        async with asyncio.timeout(20):
            while not await decided():  # noqa: ASYNC110 - a node's answer
                await asyncio.sleep(0.1)
        listed = await gov.run("query", "gov", "proposals", "--status", "passed")
        assert [p["id"] for p in listed["proposals"]] == [number]
        params = await gov.run("query", "params")
        assert params["json"]["chat"]["params"]["message_bytes_max"] == "99"
        assert (await gov.run("query", "gov", "tally", number))["tally"]["yes"] > 0
        refused = await gov.run("tx", "gov", "vote", number, "no", "--pay-fee", who="operator", fails=True)
        assert "while voting is open" in refused
        await until(lambda: not running.failures)


async def test_the_other_proposals_and_cancelling(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        gov = Commands(running)
        options = ("--title", "t", "--deposit", "10")
        await gov.run("tx", "gov", "submit-text", "--summary", "why", *options, who="alice")
        bob = running.account("bob").address_text
        await gov.run("tx", "gov", "submit-spend", "--to", bob, "--amount", "5", *options, who="alice")
        plan = ("--name", "next", "--height", "100000", "--ready-share", "67%", "--postpone-blocks", "5")
        await gov.run("tx", "gov", "submit-upgrade", *plan, *options, who="alice")
        await gov.run("tx", "gov", "submit-cancel-upgrade", "--expedited", "--title", "t", "--deposit", "50", who="bob")
        listed = (await gov.run("query", "gov", "proposals"))["proposals"]
        kinds = [list(p["actions"][0]) if p["actions"] else [] for p in listed]
        assert kinds == [[], ["spend_treasury"], ["plan_upgrade"], ["drop_upgrade"]]
        assert {p["status"] for p in listed} == {"voting"}
        assert [p["expedited"] for p in listed] == [False, False, False, True]
        assert "cancelled by its proposer" in await gov.run("tx", "gov", "cancel", 1, who="bob", fails=True)
        await gov.run("tx", "gov", "cancel", 1, who="alice")
        assert (await gov.run("query", "gov", "proposal", 1, "--prove", code=Exit.ABSENT))["proposal"] is None
        over = ("submit-params", "--set", "staking.validators_max=0")
        assert "allowed" in await gov.run("tx", "gov", *over, *options, who="alice", fails=True)

        for request, call in (
            (pb.GetProposalRequest(), client.gov.GetProposal),
            (pb.ListProposalsRequest(limit=101), client.gov.ListProposals),
            (pb.GetVoteRequest(proposal_id=1, voter=b"x"), client.gov.GetVote),
            (pb.ListVotesRequest(proposal_id=1, limit=9_999), client.gov.ListVotes),
            (pb.ListDepositsRequest(proposal_id=1, after=b"x"), client.gov.ListDeposits),
        ):
            with pytest.raises(ClientError, match=r"allowed|expected"):
                await client.call(call, request)
        with pytest.raises(NotFound):
            await client.call(client.gov.GetTally, pb.GetTallyRequest(proposal_id=1))
        alice = running.account("alice")
        outcome = await Session(client, alice.wallet).send(
            [SubmitProposal(alice.address, "direct", "", False, 10**7, ())]
        )
        assert outcome.height > 0


def test_words_on_the_command_line() -> None:
    assert parse_setting("staking.validators_max=50") == ("staking", "validators_max", "50")
    assert parse_share("no-with-veto=0.25") == (4, 25 * 10**16)
    for bad in ("x", "x=1", "staking=5", ".a=1"):
        with pytest.raises(Exception, match=r"MODULE\.NAME=VALUE"):
            parse_setting(bad)
    for bad in ("maybe=1", "yes", "yes=", "yes=1.1", "yes=0"):
        with pytest.raises(Exception, match="OPTION=SHARE"):
            parse_share(bad)
