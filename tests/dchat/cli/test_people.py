"""What `dchat query` says at a terminal."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chain.tx.units import in_dchat
from dchat.cli.main import dchat
from dchat.cli.terminal.render import lines_of
from dchat.shown.messages import Udchat, UdchatText, message_json
from proto.dchat.v1 import bridge_service_pb2, service_pb2, staking_service_pb2, state_pb2
from tests.support.node.running import running_node

ROWS = [{"who": "ann", "amount": Udchat(5_000_000)}, {"who": "bo", "amount": Udchat(250_000)}]


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        pytest.param({"height": 7, "balance": Udchat(5_250_000)}, ["height   7", "balance  5.25 DCHAT"], id="a sum"),
        pytest.param({"owed": UdchatText("1500000.25")}, ["owed  1.5 DCHAT"], id="a sum with parts of an udchat"),
        pytest.param({"owed": UdchatText("much")}, ["owed  much"], id="of a node that lies"),
        pytest.param({"jailed": False, "until": None, "keys": []}, ["jailed  no", "until   -", "keys    -"], id="none"),
        pytest.param(
            {"height": 7, "rows": ROWS},
            ["height  7", "rows:", "  who      amount", "  ann     5 DCHAT", "  bo   0.25 DCHAT"],
            id="a table",
        ),
        pytest.param(
            {"rows": [{"who": "a" * 65}, {"who": "b"}]}, ["rows:", f"  who  {'a' * 65}", "", "  who  b"], id="too wide"
        ),
        pytest.param(
            {"rows": [{"who": "a"}, {"whom": "b"}]}, ["rows:", "  who  a", "", "  whom  b"], id="not of one kind"
        ),
        pytest.param({"names": ["a", "b"]}, ["names:", "  a", "  b"], id="plain ones"),
        pytest.param({"key": "ab" * 80}, [f"key  {'ab' * 80}"], id="what people compare is whole"),
        pytest.param(
            {"key": "ab" * 1_952}, [f"key  {'ab' * 16}… (1,952 bytes; whole: | cat)"], id="what nobody reads is not"
        ),
        pytest.param({"text": "one\nheight  9"}, ["text  one\\nheight  9"], id="somebody's text begins no line"),
    ],
)
def test_lines(answer: dict[str, Any], lines: list[str]) -> None:
    assert lines_of(answer, 80) == lines


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.integers(0, 1 << 64).map(Udchat),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1), TREES, max_size=4), st.integers(1, 200))
def test_whatever_a_node_sends_is_shown_in_lines(answer: dict[str, Any], width: int) -> None:
    lines = lines_of(answer, width)
    assert all("\n" not in line and "\r" not in line for line in lines)
    assert bool(lines) == bool(answer)


def test_a_sum_is_a_plain_number_in_json() -> None:
    account = service_pb2.GetAccountResponse(account=state_pb2.Account(balance=5_000_000))
    assert json.loads(json.dumps(message_json(account)))["account"]["balance"] == 5_000_000
    rewards = staking_service_pb2.RewardInfo(amount="12.5")
    assert json.loads(json.dumps(message_json(rewards)))["amount"] == "12.5"


def test_what_is_in_udchat_says_so() -> None:
    """A number whose comment in the schema begins with its unit is a sum."""
    of_names = [
        field
        for kind in (bridge_service_pb2.GetBridgeStatusResponse, state_pb2.BridgeTotals)
        for field in kind.DESCRIPTOR.fields
        if field.name.startswith("udchat_") and field.type != field.TYPE_BYTES
    ]
    assert of_names
    assert all(isinstance(_shown(field), (Udchat, UdchatText)) for field in of_names)


def _shown(field: Any) -> Any:
    message = GetMessageClass(field.containing_type)()
    setattr(message, field.name, "7" if field.type == field.TYPE_STRING else 7)
    return message_json(message)[field.name]


@pytest.mark.network
async def test_a_terminal_is_told_in_dchat_and_a_pipe_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = str(running.network.home_of(running.network.nodes[0]))
            whose = ("staking", "pools", "--home", home, "--node", running.grpc)

            async def told(*words: str) -> str:
                done = await asyncio.to_thread(CliRunner().invoke, dchat, ["query", *words], prog_name="dchat")
                assert done.exit_code == 0, done.output
                return done.stdout

            piped = json.loads(await told(*whose))
            monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
            shown = await told(*whose)
            assert re.search(rf"^bonded +{in_dchat(piped['bonded'])}$", shown, re.MULTILINE), shown
            assert json.loads(await told("--output", "json", *whose))["bonded"] == piped["bonded"]


@pytest.mark.network
async def test_a_transaction_is_told_in_words_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom and how much it paid, what it cost, and its events; its bytes are for programs."""
    with capture_logs():
        async with running_node(tmp_path) as running:
            home = running.network.home_of(running.network.nodes[0])
            alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))

            async def told(*words: object) -> str:
                line = [*map(str, words), "--home", str(home)]
                done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
                assert done.exit_code == 0, done.output
                return done.stdout

            paid = json.loads(await told("tx", "pay", "--from", alice, "--to", bob, "--amount", 5))
            joined = json.loads(await told("tx", "bundle", "--from", alice, "--leg", f"pay to={bob} amount=7"))
            piped = json.loads(await told("query", "tx", paid["hash"]))
            validator = json.loads(await told("query", "staking", "validators"))["validators"][0]
            whole = await told("signer", "show")
            monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
            for extra in ((), ("--prove",)):
                shown = await told("query", "tx", paid["hash"], *extra)
                assert piped["tx"] not in shown
                assert piped["data"] not in shown
                assert "udchat" not in shown
                assert f"payment, 5 DCHAT, {running.account('bob').address_text}" in shown
                assert re.search(r"^ +transfer: .*5 DCHAT", shown, re.MULTILINE), shown
                assert re.search(r"^cost +0\.\d+ DCHAT", shown, re.MULTILINE), shown
            shown = await told("query", "bundle", joined["replay_id"])
            assert f"payment, 7 DCHAT, {running.account('bob').address_text}" in shown
            for words in (("block-results", paid["height"]), ("receipts",)):
                shown = await told("query", *words)
                sum_paid = "5" if words[0] == "block-results" else "7"
                assert f"payment, {sum_paid} DCHAT, {running.account('bob').address_text}" in shown
                assert re.search(r"cost +0\.\d+ DCHAT", shown), shown
                assert "udchat" not in shown
                assert f"{sum_paid}000000" not in shown
                piped_too = json.loads(await told("query", "--output", "json", *words))
                legs = [leg for one in piped_too.get("receipts", []) for leg in one["legs"]]
                assert [leg["amount"] for leg in legs] == ([7_000_000] if legs else [])
            address = validator["consensus_address"]
            assert json.loads(whole)["validator_address"] == address
            assert address.upper() == address
            found = [await told("query", "staking", "validator", said) for said in (address, address.lower())]
            assert address in found[0]
            same = [[line for line in one.splitlines()[1:] if "DCHAT" not in line] for one in found]  # rewards grow
            assert same[0] == same[1]


def test_a_key_of_many_bytes_is_whole_where_it_is_piped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*words: str) -> str:
        done = CliRunner().invoke(dchat, ["signer", *words, "--home", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return next(line for line in done.stdout.splitlines() if line.startswith("public key"))

    made = told("init", "--key-type", "ml_dsa_65")
    assert len(made) > 3_904
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    short = told("show")
    assert short == f"{made[: len('public key ') + 32]}… (1,952 bytes; whole: | cat)"


def test_what_must_be_said_is_marked() -> None:
    shown = CliRunner().invoke(dchat, ["query", "txs", "--help"]).output
    assert "[required]" in shown.partition("--query QUERY")[2].partition("  --")[0]
