"""What commands answer where something is wrong, absent or old: plainly, with what is allowed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from google.protobuf.message import Message

from chain.tx.errors import Unauthorised, UnknownAccount
from chain.tx.messages import Payment, channel_id, direct_id
from chain.tx.messages.economy import possession_hash
from crypto.bech32 import encode_address
from dchat.cli.local.home_commands import read_genesis
from dchat.cli.main import dchat
from dchat.cli.terminal import ask, base
from dchat.cli.terminal.base import Refusal
from dchat.cli.terminal.render import absent
from dchat.client import wallet
from dchat.client.client import Client, NodeUnreachable
from dchat.client.refusals import explain
from dchat.client.wallet import Outcome, Session, TxRefused, submit
from dchat.config.sources import ConfigError, load
from dchat.home import identity
from dchat.home.errors import HomeError, IdentityError
from dchat.home.home import Home, load_validator_key, make_keys
from dchat.node.errors import CannotUpgrade
from dchat.node.upgrade import INFO_FILE, read_info
from proto.dchat.v1 import governance_service_pb2 as gov
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import staking_service_pb2 as staking
from tests.support.node.running import Running, running_node, until


async def call(running: Running, *arguments: object) -> Result:
    home = running.network.home_of(running.network.nodes[0])
    line = [*map(str, arguments), "--home", str(home), "--node", running.grpc]
    return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["query", "txs"], 2, "--query says which, like --query \"transfer.recipient='dchat1...'\""),
        (["health", "--url", "127.0.0.1:1"], 4, "http://127.0.0.1:1"),
        (
            ["why", "abc"],
            2,
            "'abc' is no height: a whole number from 1 on, or none at all for the last",
        ),
        (["why", "-1"], 2, "'-1' is no height: a whole number from 1 on"),
        (["why", "--no-such"], 2, "No such option '--no-such'"),
        (["health", "--url", "ftp://127.0.0.1:1"], 2, "allowed: like http://10.0.0.2:8080"),
    ],
)
def test_what_is_left_out_is_said_or_taken_for_granted(arguments: list[str], code: int, said: str) -> None:
    told = CliRunner().invoke(dchat, arguments, prog_name="dchat")
    assert (told.exit_code, said in " ".join(told.output.split())) == (code, True), told.output


def test_names_of_the_command_line_stand_behind_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.named, "ab" * 16, "lobby")
    assert base.with_names(f"channel {'ab' * 16} it is") == f"channel {'ab' * 16} (lobby) it is"


async def test_a_node_is_asked_and_told_wrong_things(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))
        operator = running.network.home_of(running.network.nodes[0]) / "identity.json"
        for arguments, code, said in (
            (("query", "staking", "validator", alice), 3, "dchat: there is no validator after block "),
            (("query", "gov", "proposal", 9), 3, "dchat: there is no proposal after block "),
            (("query", "account", operator), 0, ""),
            (("query", "gov", "tally", 9), 3, "there is no proposal 9"),
            (("query", "members", "nowhere"), 3, " (nowhere) after block "),
            (("query", "bans", "nowhere"), 3, " (nowhere) after block "),
            (("query", "invitations", "nowhere"), 3, " (nowhere) after block "),
            (("query", "messages", "nowhere"), 3, " (nowhere) after block "),
            (("query", "invariants", "--height", 999_999), 1, "height 999999 is not there yet: the latest is "),
            (("query", "invariants", "--height", -1), 2, "not in the range x>=0"),
            (("query", "staking", "delegations", "--validator", operator, "--limit", -1), 2, "not in the range x>=1"),
            (("query", "block", "--", -3), 2, "not in the range x>=0"),
            (
                ("tx", "stake", "create-validator", "--from", alice, "--moniker", "a", "--amount", 10),
                2, "--amount is 10000000 udchat; allowed: the chain's minimum, 100000000000, and more",
            ),
            (
                ("tx", "stake", "delegate", "--from", alice, "--validator", bob, "--amount", 5),
                1, ": there is no such validator: operator dchat1",
            ),
            (("tx", "gov", "vote", 1, "yes", "--from", alice), 1, "vote with --pay-fee, or begin with: dchat tx reg"),
            (("tx", "gov", "vote-weighted", 1, "yes=1", "--from", alice), 1, "vote with --pay-fee"),
            (
                ("tx", "stake", "cancel-unbonding", "--from", alice, "--validator", operator, "--amount", 1,
                 "--creation-height", -3),
                2, "not in the range x>=1",
            ),
        ):  # fmt: skip
            answer = await call(running, *arguments)
            assert (answer.exit_code, said in answer.stderr) == (code, True), (arguments, answer.output)


async def test_a_refusal_says_what_is_the_case_and_what_to_do_beside_the_rule(tmp_path: Path) -> None:
    """Failure 35: before, `a rule is broken, chat 63: the channel exists: 7a2b...`, which reads as if it did."""
    async with running_node(tmp_path) as running:
        alice, bob = (running.network.folder / running.network.accounts[name] for name in ("alice", "bob"))
        poor = tmp_path / "poor.json"
        identity.generate().save(poor)
        assert (await call(running, "tx", "register", "--name", "alice", "--from", alice)).exit_code == 0
        for arguments, said in (
            (
                ("pay", "--from", poor, "--to", bob, "--amount", 1),
                f"refused: there is no such account: {identity.load(poor).address_text}; what to do: have somebody pay "
                "it: an account begins with the first payment to it; the rule (currency 40) is: the account exists",
            ),
            (
                ("pay", "--from", alice, "--to", bob, "--amount", 10**12),
                ": the account has less than this takes: balance ",
            ),
            (
                ("post", "--from", alice, "--channel", "lobby", "--text", "hello"),
                f"allowance is taken: there is no such channel: {channel_id('lobby').hex()} (lobby), in message 1; "
                "what to do: look for it: dchat query channels; or make it: dchat tx create-channel; the rule (",
            ),
            (
                ("escrow", "release", "ab" * 32, "--from", alice),
                ": there is no escrow of this id, or it is over: " + "ab" * 32,
            ),
            (("register", "--from", bob, "--name", "alice"), "is taken: somebody has this name: alice"),
            (
                ("register", "--from", alice, "--name", "other"),
                ": the account has a chat identity already: dchat1",
            ),
            (
                ("pay", "--from", alice, "--to", bob, "--amount", 1, "--fee", "1udchat"),
                "refused: its fee is too low: 1 udchat, needed: ",
            ),
        ):
            answer = await call(running, "tx", *arguments)
            assert (answer.exit_code, said in answer.stderr, answer.stderr.count("\n")) == (1, True, 1), answer.stderr
            if "is taken: " in said:
                found = re.search(r'"hash": "(\w{64})"', answer.stdout)
                assert found is not None
                told = await call(running, "query", "tx", found[1])
                assert f'"meaning": "{said.partition("is taken: ")[2]}'.replace(" (lobby)", "") in told.stdout
        nowhere = await call(running, "query", "messages", "lobby")
        assert f"there is no channel {channel_id('lobby').hex()} (lobby) after block" in nowhere.stderr


async def test_who_has_no_account_is_named_where_it_is_tried_first(tmp_path: Path) -> None:
    """Before: "there is no such account: signer 0's", which is nobody's name."""
    async with running_node(tmp_path) as running:
        bob, poor = running.network.folder / running.network.accounts["bob"], tmp_path / "poor.json"
        identity.generate().save(poor)
        other = Home.of(tmp_path / "other")
        make_keys(other)
        key, pay = other.validator_key, ("pay", "--to", bob, "--amount", 1)
        for arguments in (
            ("stake", "create-validator", "--amount", 1_000_000, "--moniker", "m", "--consensus-key", key),
            ("stake", "rotate-key", "--new-key", key), ("stake", "edit-validator", "--moniker", "m"),
            ("stake", "unjail"), (*pay, "--dry-run"), (*pay, "--estimate"),
        ):  # fmt: skip
            answer = await call(running, "tx", *arguments, "--from", poor)
            said = f"there is no such account: {identity.load(poor).address_text}; what to do: have somebody pay it"
            assert (answer.exit_code, said in answer.stderr) == (1, True), (arguments, answer.output)


async def test_a_second_conversation_of_two_is_told_where_the_first_is(tmp_path: Path) -> None:
    """Before: the names of channels are unique; join it."""
    async with running_node(tmp_path) as running:
        alice, bob = (running.account(name) for name in ("alice", "bob"))
        files = [running.network.folder / running.network.accounts[name] for name in ("alice", "bob")]
        for name, file in zip(("alice", "bob"), files, strict=True):
            assert (await call(running, "tx", "register", "--name", name, "--from", file)).exit_code == 0
        assert (await call(running, "tx", "open-direct", "--to", files[1], "--from", files[0])).exit_code == 0
        again = await call(running, "tx", "open-direct", "--to", files[0], "--from", files[1])
        between = direct_id(alice.address, bob.address).hex()
        assert f"is taken: you two have a conversation already: {between}" in again.stderr
        assert "what to do: read it: dchat query direct ONE OTHER" in again.stderr
        assert "join" not in again.stderr


@pytest.mark.parametrize("codespace", ["chat", "mempool", "of-a-later-build", ""])
def test_whatever_a_node_says_of_a_refusal_is_said_in_one_line(codespace: str) -> None:
    for log in (
        "",
        "so it is",
        "message 99999999999: x",
        "message 2: the channel exists",
        "message 2: the channel exists: ",
    ):
        assert "\n" not in explain(codespace, 63, log)
    assert explain("of-a-later-build", 63, "so it is") == "of-a-later-build 63: so it is"
    assert explain("chat", 63, "so it is").startswith("there is no such channel: so it is; what to do: look for it")


def test_a_signature_by_other_keys_is_refused_in_few_words_that_say_what_to_do() -> None:
    """Before: eighty words, of a key policy, its rule, and twice the hash."""
    log = f"{Unauthorised.rule}: signer 0's"
    outcome = Outcome(
        bytes(32), bytes(32), Unauthorised.code, "tx", log, expiry_height=900, sequence=7, signers=(bytes(20),)
    )
    said = str(TxRefused(outcome))
    assert said.startswith(f"refused: these are not the account's keys of now: {encode_address(bytes(20))}; what to do")
    assert said.endswith("executed until block 900; send it again with --sequence 7, so that only one of both is")
    payer = replace(outcome, code=UnknownAccount.code, codespace="currency", payer=bytes(20),
                    log=f"{UnknownAccount.rule}: the fee payer's")  # fmt: skip
    assert payer.meaning.startswith(f"there is no such account: {encode_address(bytes(20))}, who pays the fee; what")
    assert "what to do: sign with those: --from FILE; dchat query account ADDRESS shows which they are" in said
    assert said.count("00" * 32) == 1
    assert len(said.split()) <= 75, said


@pytest.mark.parametrize(("log", "said"), [
    pytest.param("message 0: an account has what it sends: 5factory/dchat1x/gold, needed: 6",
                 "5 factory/dchat1x/gold, needed: 6", id="units"),
    pytest.param("5000000udchat", ": 5 DCHAT,", id="a coin"),
    pytest.param("it has 5 udchat of 9740603 udchat", "it has 5 udchat of 9.740603 DCHAT", id="in words"),
])  # fmt: skip
def test_a_number_and_its_unit_are_two_words(log: str, said: str) -> None:
    assert said in explain("chat", 63, log).replace("; what", ", what")


def test_help_lists_what_there_is() -> None:
    """Failure 36: before, it listed commands of later builds, each of which says that it is not in this one."""

    def listed(command: click.Command, *path: str) -> Iterator[str]:
        context = click.Context(command)
        if not isinstance(command, click.Group):
            return
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            if not found.hidden:
                yield " ".join((*path, name))
                yield from listed(found, *path, name)

    names = set(listed(dchat))
    assert {"validator", "tx pay", "benchmark validator", "query staking pools"} <= names
    for name in names:
        told = CliRunner().invoke(dchat, [*name.split(), "--help"], prog_name="dchat")
        assert (told.exit_code, "in this build" in told.output) == (0, False), told.output


@pytest.mark.parametrize(("kept", "is_there"), [pytest.param(5, False, id="five"), pytest.param(0, True, id="all")])
async def test_an_old_state_is_there_as_long_as_it_is_kept(tmp_path: Path, kept: int, is_there: bool) -> None:
    async with running_node(tmp_path, options=f"\n[database]\nversions_kept = {kept}\n") as running:
        node = running.node
        await until(lambda: node.views.answers.height > 23)
        await until(lambda: is_there or node.app.stores.earliest_version > 2)
        for what in ("invariants", "params"):
            answer = await call(running, "query", what, "--height", 2)
            gone = "height 2 is not kept any more: this node has " in answer.stderr
            assert ('"height": 2,' in answer.stdout, gone) == (is_there, not is_there)


async def test_readiness_names_validators_by_their_consensus_addresses(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        answer = await call(running, "upgrade", "status")
        assert f'"address": "{running.network.nodes[0].address}"' in answer.stdout


async def test_a_node_that_takes_nothing_more_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not `no answer`: it said why, each time."""
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        tx = await Session(client, alice.wallet).build([Payment(alice.address, bob.address, 1)])
        await running.node.close_admission()
        with pytest.raises(NodeUnreachable, match=r"said last: the node is stopping; send it to another"):
            await submit(client, tx, deadline_s=0.5)
        monkeypatch.setattr(wallet, "STANDS_AFTER_S", -1)
        with pytest.raises(
            NodeUnreachable, match=r"its last block, \d+, is \d+ s old: the chain stands, and `dchat val"
        ):
            await submit(client, tx, deadline_s=0.5)


async def test_who_waits_for_a_chain_that_stands_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It only counted seconds."""
    async with running_node(tmp_path) as running:
        await running.node.close_admission()  # it takes nothing, and is asked again until the time is up
        monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
        monkeypatch.setattr(ask, "WAIT_S", 0)
        monkeypatch.setattr(ask, "LONG_S", 1)
        monkeypatch.setattr(wallet, "STANDS_AFTER_S", -1)
        monkeypatch.setattr(wallet, "SUBMIT_DEADLINE_S", 2.0)
        accounts = running.network.folder / "accounts"
        told = await call(
            running, "tx", "pay", "--from", accounts / "alice.json", "--to", accounts / "bob.json", "--amount", 1,
            "--believe-node", "--chain-id", running.network.chain_id,
        )  # fmt: skip
        assert re.search(
            r"no block since block \d+, \d+ s ago: the chain stands\. `dchat validator rec", told.stderr
        ), told
        assert "`dchat health`" in told.stderr
        assert "or send it with --sequence 0: of both only one is executed" in told.stderr


@pytest.mark.parametrize(("answer", "want"), [
    pytest.param(staking.GetStakingValidatorResponse(height=3), ["validator"], id="no validator"),
    pytest.param(gov.GetProposalResponse(height=3), ["proposal"], id="no proposal"),
    pytest.param(pb.GetAccountResponse(height=3, account={"balance": 1}), [], id="an account"),
    pytest.param(gov.ListVotesResponse(height=3), [], id="an empty list"),
    pytest.param(pb.GetParamsResponse(height=3, json="{}"), [], id="no message within"),
])  # fmt: skip
def test_what_is_absent(answer: Message, want: list[str]) -> None:
    assert absent(answer) == dict.fromkeys(want)


def test_consensus_keys_that_are_none(tmp_path: Path) -> None:
    make_keys(Home.of(tmp_path))
    (tmp_path / "other.json").write_text(json.dumps({"pub_key": "x"}))
    for key, said in (
        ("abc", "allowed: base64, hex, or the path"),
        ("00" * 31, "allowed: base64, hex, or the path"),
        (tmp_path / "none.json", "No such file or directory"),
        (tmp_path / "other.json", "is no priv_validator_key.json"),
    ):
        line = ["tx", "stake", "create-validator", "--moniker", "m", "--amount", "1", "--consensus-key", str(key)]
        refused = CliRunner().invoke(dchat, line, prog_name="dchat")
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.output


def test_a_key_proves_itself_where_it_lies(tmp_path: Path) -> None:
    """namada#106: what `create-validator` needs of a key that lies elsewhere, and asks for when it is not there."""
    home = Home.of(tmp_path)
    make_keys(home)
    key, operator = load_validator_key(home), bytes(range(20))
    line = [
        "tx",
        "stake",
        "prove-key",
        "--operator",
        encode_address(operator),
        "--chain-id",
        "c",
        "--home",
        str(tmp_path),
    ]
    told = json.loads(CliRunner().invoke(dchat, line, prog_name="dchat").stdout)
    assert told["consensus_key"] == key.pub_key.bytes.hex()
    assert key.pub_key.verify(possession_hash("c", operator), bytes.fromhex(told["possession"]))
    line = ["tx", "stake", "create-validator", "--moniker", "m", "--amount", "1", "--consensus-key"]
    for more, said in (
        ([told["consensus_key"]], "give --possession too"),
        ([told["consensus_key"], "--possession", "00"], "expected 128 hex characters"),
    ):
        refused = CliRunner().invoke(dchat, [*line, *more], prog_name="dchat")
        assert (refused.exit_code, said in refused.output) == (2, True), refused.output


def test_a_checksum_of_a_plan_that_is_none() -> None:
    line = ["upgrade", "plan", "--name", "spring", "--height", "9", "--sha256", "abc"]
    refused = CliRunner().invoke(dchat, line, prog_name="dchat")
    assert (refused.exit_code, "expected 64 hex characters" in refused.output) == (2, True)


def read_info_at(file: Path) -> object:
    return read_info(Home.of(file.parent.parent))


@pytest.mark.parametrize(
    "text", ["[" * 20_000, '{"a":' * 20_000, "a = " + "[" * 20_000], ids=["lists", "objects", "TOML"]
)
@pytest.mark.parametrize(
    "read", [identity.load, load, read_info_at, read_genesis], ids=["key", "options", "info", "genesis"]
)
def test_a_file_that_is_nested_without_end_gets_a_plain_word(
    read: Callable[[Path], object], text: str, tmp_path: Path
) -> None:
    """SDK 2024-012: keys, options, the upgrade's info: each ended in a traceback of a thousand lines."""
    file = Home.of(tmp_path).data / INFO_FILE
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises((IdentityError, ConfigError, CannotUpgrade, HomeError), match=str(file)):
        read(file)


@pytest.mark.parametrize(("looks", "says"), [(True, "waits for the block: 0 s"), (False, "")])
def test_a_long_wait_is_told_where_somebody_looks(
    looks: bool, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors of what is waited for stay what they are."""
    monkeypatch.setattr(ask, "WAIT_S", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: looks)

    async def work(_: Client) -> int:
        await until(lambda: not looks or says in capsys.readouterr().err)
        raise NodeUnreachable("gone")

    with pytest.raises(Refusal, match="gone"):
        ask.run(work, "127.0.0.1:1", waits_for="the block")
