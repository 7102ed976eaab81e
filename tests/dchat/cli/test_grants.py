"""What an account lets others do, through a running node: granted, used, looked up, proved, taken back."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from dchat.cli.main import dchat
from dchat.cli.terminal.times import time_of
from tests.support.chain.harness import SECOND_NS
from tests.support.node.running import running_node


def call(*line: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in line], prog_name="dchat")


def test_an_expiry_is_told_in_two_ways() -> None:
    assert time_of("2027-01-31T00:00:00Z") == 1_801_353_600 * SECOND_NS
    assert 0 <= time_of("1h") - time.time_ns() <= 3_600 * SECOND_NS
    with pytest.raises(ValueError, match="is no time; allowed: 90s, 10m, 1h, 7d"):
        time_of("tomorrow")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--expires", "soon"), "is no time", id="no time"),
        pytest.param(("--expires", "1d", "--period", "1h"), "both or neither", id="half a period"),
        pytest.param(("--expires", "1d", "--limit", "0"), "is too little", id="nothing"),
        pytest.param(("--expires", "1d", "--kind", "money"), "'money' is not one of", id="no kind"),
    ],
)
def test_a_wrong_line_is_refused_before_a_node_is_asked(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    to = "dchat1y2u5z6r60unwmq03n4gvurgn07aty0q9q4cq84"
    limit = () if "--limit" in words else ("--limit", "1")
    answer = call("tx", "grant-fees", "--to", to, *limit, *words, "--home", tmp_path)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_fees_are_granted_used_proved_and_taken_back(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))

            async def run(*line: object, code: int = 0) -> Result:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return done

            terms = (
                "--limit",
                "0.5",
                "--expires",
                "1d",
                "--period",
                "1h",
                "--period-limit",
                "0.3",
                "--kind",
                "payment",
            )
            await run("tx", "grant-fees", "--from", alice, "--to", bob, *terms, "--kind", "payment")
            before = json.loads((await run("query", "account", alice)).stdout)["account"]["balance"]
            pay = ("tx", "pay", "--from", bob, "--to", alice, "--amount", 1, "--fee-granter", alice)
            assert json.loads((await run(*pay)).stdout)["code"] == 0
            told = json.loads((await run("query", "fee-grant", alice, bob, "--prove")).stdout)
            left = int(told["value"]["left"])
            for whose in (("--granter", alice), ("--grantee", bob)):
                (row,) = json.loads((await run("query", "fee-grants", *whose)).stdout)["grants"]
                assert (row["grant"]["left"], row["granter"] == row["grantee"]) == (left, False)
            assert not json.loads((await run("query", "fee-grants", "--grantee", alice)).stdout)["grants"]
            assert "one of them" in (await run("query", "fee-grants", code=2)).stderr
            assert told["value"]["kinds"] == ["payment"]
            assert told["verified"]["what"].startswith("the fee grant exists as told")
            after = json.loads((await run("query", "account", alice)).stdout)["account"]["balance"]
            assert int(after) - int(before) == 1_000_000 - (500_000 - left)
            refused = await run(
                "tx", "bundle", "--leg", f"pay to={alice} amount=1", "--leg", f"revoke-fee-grant to={alice}",
                "--from", bob, "--fee-granter", alice, code=1,
            )  # fmt: skip
            assert "does not pay for this kind of message" in refused.stderr
            await run("tx", "bundle", "--leg", f"revoke-fee-grant to={bob}", "--from", alice)
            assert (
                "dchat: there is no fee grant after block "
                in (await run("query", "fee-grant", alice, bob, code=3)).stderr
            )
            assert "there is no such fee grant" in (await run(*pay, code=1)).stderr
            await run("tx", "bundle", "--leg", f"grant-fees to={bob} limit=1 expires=1d", "--from", alice)
            await run("tx", "revoke-fee-grant", "--from", alice, "--to", bob)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("authorise", "--kind", "exec"), "'exec' is not one of", id="no kind to let"),
        pytest.param(("authorise", "--kind", "payment"), "--limit: needed", id="no limit"),
        pytest.param(("authorise", "--kind", "vote", "--limit", "1"), "--limit: not taken", id="a limit of nothing"),
        pytest.param(
            ("authorise", "--kind", "tip", "--limit", "1", "--recipient", "TO"), "--recipient: of", id="no recipient"
        ),
        pytest.param(("exec", "--leg", "register name=abc"), "--leg: 1 to 8, of", id="what nobody lets"),
        pytest.param(("exec", "--leg", "steal all=1"), "unknown leg", id="no leg"),
    ],
)
def test_what_cannot_be_let_is_refused_before_a_node_is_asked(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    to = "dchat1y2u5z6r60unwmq03n4gvurgn07aty0q9q4cq84"
    whom = ("--for", to) if words[0] == "exec" else ("--to", to, "--expires", "1d")
    assert call("init", "--home", tmp_path / "home").exit_code == 0
    answer = call("tx", *[to if word == "TO" else word for word in words], *whom, "--home", tmp_path / "home")
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_something_is_done_in_anothers_name(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))

            async def run(*line: object, code: int = 0) -> Result:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return done

            terms = ("--to", bob, "--kind", "payment", "--limit", "5", "--expires", "1d", "--recipient", bob)
            await run("tx", "authorise", "--from", alice, *terms)
            sent = await run("tx", "exec", "--from", bob, "--for", alice, "--leg", f"pay to={bob} amount=2")
            assert json.loads(sent.stdout)["receipt"]["legs"][0]["kind"] == "exec"
            told = json.loads((await run("query", "authorisation", alice, bob, "payment", "--prove")).stdout)
            assert (int(told["value"]["left"]), len(told["value"]["recipients"])) == (3_000_000, 1)
            assert told["verified"]["what"].startswith("the authorisation exists as told")
            (row,) = json.loads((await run("query", "authorisations", "--grantee", bob)).stdout)["authorisations"]
            assert (row["kind"], row["authorisation"]["left"]) == ("payment", 3_000_000)
            cursor = ("--granter", alice, "--after", "00" * 99)
            assert "not a `next` of such a list" in (await run("query", "authorisations", *cursor, code=1)).stderr
            leg = ("--leg", f"pay to={alice} amount=2")
            refused = await run("tx", "exec", "--from", bob, "--for", alice, "--leg", f"pay to={bob} amount=4", code=1)
            assert "above what is left of the authorisation" in refused.stderr
            assert (
                "are the same account" in (await run("tx", "exec", "--from", bob, "--for", alice, *leg, code=1)).stderr
            )
            await run("tx", "bundle", "--from", alice, "--leg", f"authorise to={bob} kind=vote expires=1d")
            await run("tx", "bundle", "--from", alice, "--leg", f"revoke-authorisation to={bob} kind=vote")
            await run("tx", "revoke-authorisation", "--from", alice, "--to", bob, "--kind", "payment")
            assert (
                "dchat: there is no authorisation after block "
                in (await run("query", "authorisation", alice, bob, "payment", code=3)).stderr
            )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--amount", "1"), "give --amount with --over or --after", id="no time"),
        pytest.param(("--amount", "1", "--over", "1d", "--after", "1d"), "give --amount with", id="two times"),
        pytest.param(("--amount", "1", "--part", "1d=1"), "give --amount with", id="two amounts"),
        pytest.param(("--part", "1d"), "is no part; expected LENGTH=AMOUNT", id="half a part"),
        pytest.param(("--part", "1d=0"), "is too little", id="a part of nothing"),
    ],
)
def test_a_promise_without_sense_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    to = "dchat1y2u5z6r60unwmq03n4gvurgn07aty0q9q4cq84"
    answer = call("tx", "vest", "--to", to, *words, "--home", tmp_path)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_a_promise_is_made_looked_up_claimed_and_taken_back(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))

            async def run(*line: object, code: int = 0) -> Result:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return done

            terms = ("--to", bob, "--amount", "1000", "--over", "365d", "--clawback", "--number", "7")
            await run("tx", "vest", "--from", alice, *terms)
            later = ("--at", "2099-01-01T00:00:00Z", "--prove")
            told = json.loads((await run("query", "vesting", bob, alice, "7", *later)).stdout)
            assert told["value"]["at"] | {"time": ""} == {
                "time": "", "vested": 1_000_000_000, "locked": 0, "paid": 0, "claimable": 1_000_000_000,
            }  # fmt: skip
            assert told["verified"]["what"].startswith("the vesting exists as told")
            (row,) = json.loads((await run("query", "vestings", "--funder", alice)).stdout)["vestings"]
            assert (row["number"], row["vesting"]["amount"]) == (7, 1_000_000_000)
            now = json.loads((await run("query", "vesting", bob, alice, "7")).stdout)["value"]["at"]
            assert now["vested"] + now["locked"] == 1_000_000_000 > now["locked"] > 999_000_000
            await run("tx", "claim-vested", "--from", bob, "--funder", alice, "--number", "7")
            await run("tx", "claw-back", "--from", alice, "--recipient", bob, "--number", "7")
            assert (
                "there is no such vesting"
                in (await run("tx", "claim-vested", "--from", bob, "--funder", alice, "--number", "7", code=1)).stderr
            )
            await run("tx", "bundle", "--from", alice, "--leg", f"vest to={bob} amount=5 over=1d")
            refused = await run("tx", "bundle", "--from", alice, "--leg", f"claw-back recipient={bob}", code=1)
            assert "cannot be taken back" in refused.stderr
            parts = ("--part", "1s=1", "--part", "3650d=2", "--start", "2026-11-01T00:00:00Z")
            await run("tx", "vest", "--from", alice, "--to", bob, *parts, "--number", "1")
            sent = await run("tx", "bundle", "--from", bob, "--leg", f"claim-vested funder={alice} number=1")
            assert json.loads(sent.stdout)["receipt"]["legs"][0]["amount"] == 1_000_000
