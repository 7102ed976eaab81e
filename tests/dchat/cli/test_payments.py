"""Payments through a running node, by the commands that people type."""

from __future__ import annotations

import asyncio
import json
import re
import weakref
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from crypto.bech32 import encode_address
from dchat.cli.deals import order_commands
from dchat.cli.deals.order_commands import told_end
from dchat.cli.main import dchat
from proto.dchat.v1 import service_pb2
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("create", "Gold"), "NAME: 1 to 44 of a-z", id="no name"),
        pytest.param(("mint", "gold", "--amount", 1), "expected factory/dchat1.../NAME", id="half a name"),
        pytest.param(("burn", f"factory/{ADA}x/gold", "--amount", 1), "is no denomination", id="no creator"),
        pytest.param(("pay", f"factory/{ADA}/gold", "--to", BEN, "--amount", 0), "0 is not in the range", id="nothing"),
        pytest.param(("give", f"factory/{ADA}/gold"), "--to or --renounce", id="to whom"),
    ],
)
def test_a_wrong_denomination_is_refused_before_a_node_is_asked(
    tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    answer = call("tx", "denom", *words, "--home", tmp_path)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_a_denomination_lives(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))
            owner = encode_address(running.account("alice").address)
            gold = f"factory/{owner}/gold"

            async def run(*line: object, code: int = 0) -> Any:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return json.loads(done.stdout) if not code else done.stderr

            await run("tx", "denom", "create", "gold", "--supply-max", 1000, "--freezable", "--from", alice)
            await run("tx", "denom", "mint", gold, "--amount", 500, "--from", alice)
            await run("tx", "denom", "pay", gold, "--to", bob, "--amount", 20, "--from", alice)
            await run("tx", "denom", "freeze", gold, "--holder", bob, "--from", alice)
            refused = await run("tx", "denom", "burn", gold, "--amount", 1, "--from", bob, code=1)
            assert "has frozen what the account holds" in refused
            await run("tx", "denom", "freeze", gold, "--holder", bob, "--release", "--from", alice)
            await run("tx", "denom", "burn", gold, "--amount", 5, "--from", bob)
            legs = (f"denom-mint denom={gold} amount=5", f"denom-pay denom={gold} to={ADA} amount=7")
            await run(
                "tx", "bundle", "--from", alice, "--leg", legs[0], "--leg", legs[1],
                "--leg", f"denom-burn denom={gold} amount=1",
            )  # fmt: skip
            await run("tx", "denom", "give", gold, "--renounce", "--from", alice)
            told = await run("query", "denomination", gold, "--prove")
            assert told["value"] == {"owner": "", "supply": 499, "supply_max": 1000, "freezable": True}
            assert told["verified"]["what"].startswith("the denomination exists as told")
            told = await run("query", "holding", bob, gold, "--prove")
            assert told["value"] == {"amount": 15, "frozen": False}
            (row,) = (await run("query", "holdings", bob))["holdings"]
            assert (row["name"], row["holding"]["amount"]) == (gold, 15)
            (row,) = (await run("query", "denominations", owner))["denominations"]
            assert (row["name"], row["denomination"]["supply"]) == (gold, 499)
            assert not (await run("query", "denominations", BEN)).get("denominations")
            for wrong in (("holdings", bob, "--after", "00" * 80), ("denominations", owner, "--after", "00" * 20)):
                assert "not a `next`" in await run("query", *wrong, code=1)
            height = str((await run("query", "holdings", bob))["height"])
            rows = (await run("query", "invariants", "--height", height))["invariants"]
            (law,) = [row for row in rows if row["name"] == "currency: supply of each denomination is conserved"]
            assert (law["holds"], law["detail"].startswith("1 denominations")) == (True, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("create", "no name", "--amount", 1, "--expires", "1d"), "reference: 1 to 32", id="no reference"),
        pytest.param(("create", "x", "--amount", 0, "--expires", "1d"), "'--amount': '0' is too little", id="nothing"),
        pytest.param(("create", "x", "--amount", 1), "Missing option '--expires'", id="for ever"),
        pytest.param(
            ("create", "x", "--amount", 1, "--expires", "1d", "--for", "x" * 257), "--for has 257 bytes", id="a bomb"
        ),
        pytest.param(
            ("fulfil", ADA, "x", "--amount", "1.5", "--denom", f"factory/{ADA}/gold"), "'--amount': ", id="half a unit"
        ),
    ],
)
def test_a_wrong_request_is_refused_before_a_node_is_asked(
    tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    made = CliRunner().invoke(dchat, ["keygen", "--out", str(tmp_path / "me.json")])
    who = ("--from", tmp_path / "me.json") if made.exit_code == 0 else ()
    answer = call("tx", "request", *words, *who, "--home", tmp_path)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_a_request_is_made_looked_up_and_paid(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))

            async def run(*line: object, code: int = 0) -> Any:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return json.loads(done.stdout) if not code else done.stderr

            terms = ("--amount", 5, "--payer", bob, "--for", "three hours", "--expires", "30d")
            await run("tx", "request", "create", "INV-2026/7", *terms, "--from", alice)
            told = await run("query", "request", alice, "INV-2026/7", "--prove")
            assert (told["value"]["amount"], told["value"]["memo"]) == (5_000_000, "three hours")
            assert told["verified"]["what"].startswith("the request for payment exists as told")
            (row,) = (await run("query", "requests", "--payer", bob))["requests"]
            assert (row["reference"], row["request"]["amount"]) == ("INV-2026/7", 5_000_000)
            named = (row["payee"], row["request"]["payer"])
            assert named == tuple(encode_address(running.account(name).address) for name in ("alice", "bob"))
            fulfil = ("tx", "request", "fulfil", alice, "INV-2026/7", "--from", bob)
            assert "asks for another amount" in await run(*fulfil, "--amount", 4, code=1)
            assert (await run(*fulfil, "--amount", 5))["receipt"]["legs"][0]["amount"] == 5_000_000
            assert not (await run("query", "requests", "--payee", alice)).get("requests")
            legs = (
                "request reference=1 amount=1 expires=1h for=tea", "cancel-request reference=1",
                "request reference=2 amount=2udchat expires=1h",
            )  # fmt: skip
            await run("tx", "bundle", "--from", alice, *[word for leg in legs for word in ("--leg", leg)])
            leg = f"fulfil payee={alice} reference=2 amount=2udchat"
            await run("tx", "bundle", "--from", bob, "--leg", leg)
            await run("tx", "request", "create", "3", "--amount", 1, "--expires", "1h", "--from", alice)
            await run("tx", "request", "cancel", "3", "--from", alice)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--every", 9, "--times", 1), '--every: "9"; it counts blocks', id="all the time"),
        pytest.param(("--every", "1h", "--times", 1), "counts blocks, no time; allowed: 10 to 40000000", id="hours"),
        pytest.param(("--every", 10), "--times or --until-height: an order has an end", id="for ever"),
        pytest.param(("--every", 10, "--times", 10_001), "10001 is not in the range", id="too often"),
        pytest.param(
            ("--every", 10, "--times", 1, "--amount", "9999udchat"), "is too little; allowed: 10000", id="dust"
        ),
    ],
)
def test_a_wrong_order_is_refused_before_a_node_is_asked(tmp_path: Path, words: tuple[object, ...], said: str) -> None:
    answer = call("tx", "order", "create", "rent", "--to", BEN, "--amount", 1, *words, "--home", tmp_path)
    assert (answer.exit_code, said in answer.stderr) == (2, True), answer.stderr


async def test_a_standing_order_lives(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice = running.network.folder / running.network.accounts["alice"]

            async def run(*line: object, code: int = 0) -> Any:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == code, done.output
                return json.loads(done.stdout) if not code else done.stderr

            terms = ("tx", "order", "create", "rent", "--to", BEN, "--amount", 5, "--times", 2, "--from", alice)
            told = await run(*terms, "--every", "1h", code=2)
            assert re.search(r"an hour is about \d+ of them, and 1h is --every \d+", told), told
            cheap = (*terms, "--every", 10, "--max-turn-fee", "1199udchat")
            told = await run(*cheap, code=2)
            assert "a turn costs 1200 udchat today: each would be missed" in told
            await run(*cheap, "--accept-misses")
            await run("tx", "order", "cancel", "rent", "--from", alice)
            done = await asyncio.to_thread(call, "query", "order", alice, "rent", "--home", home)
            assert re.search(r"it ended in block \d+, cancelled by its owner; paid 0 times", done.stderr), done.stderr
            done = await asyncio.to_thread(call, "query", "order", alice, "tea", "--home", home)
            assert "none of this reference has ended since block" in done.stderr
            told = await run("tx", "order", "create", "rent", "--to", BEN, "--amount", 5, "--every", 10, "--times", 2,
                             "--max-turn-fee", "1200udchat", "--from", alice)  # fmt: skip
            (leg,) = told["receipt"]["legs"]
            assert (leg["kind"], leg["amount"]) == ("create_standing_order", 5_000_000)
            await run(
                "tx",
                "bundle",
                "--from",
                alice,
                "--leg",
                f"order reference=tea to={BEN} amount=1 every=20 times=3 max-turn-fee=2",
            )
            again = ("--to", BEN, "--amount", 5, "--every", 10, "--times", 2, "--from", alice)
            assert "you have a standing order of this reference" in await run(
                "tx", "order", "create", "rent", *again, code=1
            )
            for of in (("--owner", alice), ("--recipient", BEN)):
                rows = (await run("query", "orders", *of))["orders"]
                assert [(row["reference"], row["order"]["every_blocks"]) for row in rows] == [("rent", 10), ("tea", 20)]
                assert [row["order"]["max_fee"] for row in rows] == [1_200, 2_000_000]
                assert not any(row.get("void") for row in rows)
                assert rows[0]["owner"] == encode_address(running.account("alice").address)
            assert "--owner or --recipient: one of them" in await run("query", "orders", code=2)
            told = await run("query", "order", alice, "tea", "--prove")
            assert (told["value"]["recipient"], told["value"]["times"]) == (BEN, 3)
            await run("tx", "bundle", "--from", alice, "--leg", "cancel-order reference=tea")
            await run("tx", "order", "cancel", "rent", "--from", alice)
            assert not (await run("query", "orders", "--owner", alice)).get("orders")
            assert "you have no such standing order" in await run(
                "tx", "order", "cancel", "rent", "--from", alice, code=1
            )


def ended(height: int, kind: str, **said: str) -> service_pb2.StreamEventsResponse:
    told = service_pb2.StreamEventsResponse()
    told.cursor.height, told.event.type = height, kind
    for key, value in said.items():
        told.event.attributes.add(key=key, value=value)
    return told


def test_how_an_order_ended_is_said_with_what_its_last_turn_lacked() -> None:
    missed = ended(40, "miss_standing_order", codespace="currency", code="41", misses="3")
    assert told_end([]) is None
    assert told_end([missed]) is None, "it goes on"
    said = told_end([missed, ended(40, "end_standing_order", reason="missed", paid="2")])
    assert said == (
        "it ended in block 40, for 3 turns in a row could not be paid (currency 41: the account has less than this "
        "takes); paid 2 times"
    )
    assert (
        told_end([missed, ended(41, "end_standing_order", reason="<new>")])
        == "it ended in block 41, <new>; paid ? times"
    )


async def test_a_node_that_streams_for_long_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the events of an order's end only the last few are held; what they say begins no line of its own."""
    held: list[weakref.ref[Any]] = []

    class Endless:
        async def status(self) -> service_pb2.GetStatusResponse:
            return service_pb2.GetStatusResponse(latest_block_height=10**6)

        async def stream_events(self, **_: Any) -> AsyncGenerator[Told]:
            for height in range(200):
                told = Told(height)
                held.append(weakref.ref(told))
                yield told
            alive.append(sum(ref() is not None for ref in held))

    alive: list[int] = []
    looked: list[Any] = []
    monkeypatch.setattr(order_commands, "run", lambda look, _: looked.append(look) or (1, []))
    monkeypatch.setattr(order_commands, "echo", lambda *_, **__: None)
    order_commands.tell_end(bytes(20), "rent", None)
    _, last = await looked[0](Endless())
    assert [told.height for told in last] == [196, 197, 198, 199]
    assert alive[0] <= 6
    evil = service_pb2.StreamEventsResponse()
    evil.event.type = "end_standing_order"
    evil.event.attributes.add(key="reason", value="done\ndchat: paid")
    assert "\n" not in (told_end([evil]) or "")


class Told:
    """An event of a stream."""

    def __init__(self, height: int) -> None:
        self.height = height

    def HasField(self, name: str) -> bool:
        return name == "event"
