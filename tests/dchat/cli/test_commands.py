"""The command line: files it makes, what it refuses and with which exit code."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chain.tx.messages.payments import Denom
from crypto.bech32 import encode_address
from dchat.cli.checks import looks
from dchat.cli.main import dchat
from dchat.client.front.amounts import Sum, parse_amount, parse_sum
from dchat.config import load
from dchat.devnet.network import Ports, load_network, make_network
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.home.home import Home, make_keys

CONTRACT_FLAGS = (
    "--config --identity --chain-id --listen --rpc-listen --data-dir --bootstrap --stake --log-level --json-logs "
    "--validate --dry-run --home --version"
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("DCHAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DCHAT_HOME", str(tmp_path / "default-home"))


@pytest.fixture(autouse=True)
def machine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else runs on this machine, and its clock, are no part of these tests: tests/dchat/cli/test_validate.py."""
    monkeypatch.setattr(looks, "is_free", lambda host, port: True)
    monkeypatch.setattr(looks, "clock_is_unkept", lambda: False)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(dchat, [str(argument) for argument in arguments], prog_name="dchat")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keygen_writes_a_private_file_once(tmp_path: Path) -> None:
    file = tmp_path / "me.json"
    made = call("keygen", "--output", file)
    assert made.exit_code == 0
    assert mode(file) == 0o600
    assert identity.load(file).address_text in made.output
    before = file.read_bytes()
    again = call("keygen", "--output", file)
    assert (again.exit_code, file.read_bytes()) == (1, before)
    assert "never overwritten" in again.output


def test_identity_verify_finds_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "me.json"
    call("keygen", "--output", file, "--burner")
    good = call("identity", "verify", "--file", file)
    assert (good.exit_code, "burner yes" in good.output) == (0, True)
    file.chmod(0o644)
    assert "chmod 600" in call("identity", "verify", "--file", file).output
    document = json.loads(file.read_text())
    secret = document["private_key"]["value"]
    for change, said in (
        ({"address": "dchat1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"}, "the key's is"),
        ({"type": "other"}, "it is JSON of the type 'other'; expected an identity file"),
        ({"private_key": {"type": "ed25519", "value": secret[:-8]}}, "no identity file"),
        ({"public_key": {"type": "ed25519", "value": ""}}, "public_key is not"),
    ):
        file.write_text(json.dumps({**document, **change}))
        bad = call("identity", "verify", "--file", file)
        assert (bad.exit_code, said in bad.output) == (1, True), bad.output
        assert secret not in bad.output  # no secret in an error


def test_init_makes_a_whole_home_and_changes_nothing_the_second_time(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = call("init", "--home", home, "--chain-id", "mine", "--moniker", "m")
    assert made.exit_code == 0, made.output
    paths = Home.of(home)
    secrets = [paths.identity, paths.node_key, paths.validator_key, paths.sign_state]
    assert [mode(path) for path in secrets] == [0o600] * 4
    assert load(paths.config_file, environment={}).config.validator.moniker == "m"
    before = {path: path.read_bytes() for path in [*secrets, paths.genesis, paths.config_file]}
    assert "complete already" in call("init", "--home", home).output
    assert before == {path: path.read_bytes() for path in before}


def test_init_joins_a_given_chain(tmp_path: Path) -> None:
    call("init", "--home", tmp_path / "a", "--chain-id", "first")
    genesis = Home.of(tmp_path / "a").genesis
    call("init", "--home", tmp_path / "b", "--genesis", genesis)
    assert Home.of(tmp_path / "b").genesis.read_text() == genesis.read_text()


def test_a_missing_sign_state_is_never_made_up(tmp_path: Path) -> None:
    """Failures 8 and 9: an empty record for a key that may have signed would let it sign twice."""
    home = Home.of(tmp_path)
    make_keys(home)
    home.sign_state.unlink()
    for command in (("init",), ("validator", "--validate"), ("validator",)):
        refused = call(*command, "--home", tmp_path)
        assert refused.exit_code == 2
        assert "could sign twice" in refused.output.replace("\n", " ")
    assert not home.sign_state.exists()


def test_a_record_without_its_key_is_kept(tmp_path: Path) -> None:
    home = Home.of(tmp_path)
    make_keys(home)
    home.validator_key.unlink()
    make_keys(home)  # nothing was signed under the record: a stop between the two files
    home.validator_key.unlink()
    home.sign_state.write_text('{"height":"7","round":0,"step":3}')
    with pytest.raises(HomeError, match="restore the key"):
        make_keys(home)


def test_testnet_makes_homes_that_know_each_other(tmp_path: Path) -> None:
    made = call("testnet", "--output", tmp_path, "--validators", 4, "--block-time", "1s")
    assert made.exit_code == 0, made.output
    network = load_network(tmp_path)
    assert [node.ports for node in network.nodes] == [
        Ports(7070, 7071, 9090, 26670, 26757),
        Ports(7072, 7073, 9091, 26671, 26758),
        Ports(7074, 7075, 9092, 26672, 26759),
        Ports(7076, 7077, 9093, 26673, 26760),
    ]
    ids = {node.node_id for node in network.nodes}
    genesis = {Home.of(network.home_of(node)).genesis.read_text() for node in network.nodes}
    assert len(genesis) == 1
    for node in network.nodes:
        home = Home.of(network.home_of(node))
        config = load(home.config_file, environment={}).config
        peers = {address.partition("@")[0] for address in config.network.bootstrap_validators}
        assert peers == ids - {node.node_id}
        assert config.consensus.block_time == 1_000
        checked = call("validator", "--home", home.root, "--validate")
        *warnings, last = checked.output.splitlines()
        assert (checked.exit_code, last) == (0, "ok")
        told = "warning: [network] bootstrap_validators: "  # the others are not started here
        assert all(line.startswith(told) for line in warnings)
    document = json.loads(genesis.pop())
    assert len(document["validators"]) == 4
    balances = {row["address"] for row in document["app_state"]["currency"]["accounts"]}
    assert {identity.load(tmp_path / file).address_text for file in network.accounts.values()} <= balances
    again = call("testnet", "--output", tmp_path)
    assert (again.exit_code, "never overwritten" in again.output) == (1, True)


def test_fast_means_no_waiting(tmp_path: Path) -> None:
    call("testnet", "--output", tmp_path, "--validators", 1, "--fast")
    config = load(tmp_path / "validator1" / "validator-config.toml", environment={}).config.consensus
    times = (config.block_time, config.timeout_commit, config.timeout_propose, config.timeout_prevote)
    assert (*times, config.timeout_precommit) == (0, 0, 500, 100, 100)
    assert call("testnet", "--output", tmp_path / "b", "--fast", "--block-time", "3s").exit_code == 2


def test_validator_takes_every_flag_of_the_contract() -> None:
    text = call("validator", "--help").output
    assert [flag for flag in CONTRACT_FLAGS.split() if flag not in text] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("benchmark", "relay", "--duration", "60s", "--message-rate", "1000"),
        ("relay",),
        ("user",),
    ],
    ids=" ".join,
)
def test_what_later_builds_bring_says_so(arguments: tuple[str, ...]) -> None:
    refused = call(*arguments)
    assert refused.exit_code == 2
    assert "not in this build" in refused.output


def test_an_upgrade_binary_is_looked_at_when_the_node_starts(tmp_path: Path) -> None:
    """Known failure 16: a missing binary is told now, not at the height."""
    flags = ("validator", "--home", tmp_path, "--chain-id", "c", "--validate", "--upgrade-name", "v2")
    refused = call(*flags, "--upgrade-height", 10, "--upgrade-binary", tmp_path / "b")
    assert (refused.exit_code, "b is missing" in refused.output) == (2, True)
    (tmp_path / "b").write_text("#!/bin/sh")
    refused = call(*flags, "--upgrade-binary", tmp_path / "b")
    assert (refused.exit_code, "not executable" in refused.output) == (2, True)
    (tmp_path / "b").chmod(0o755)
    refused = call(*flags, "--upgrade-binary", tmp_path / "b")
    assert (refused.exit_code, "b does not know the upgrade 'v2'; it knows: none" in refused.output) == (2, True)
    (tmp_path / "b").write_text("#!/bin/sh\necho v1 v2")
    assert call(*flags, "--upgrade-binary", tmp_path / "b").exit_code == 0
    (tmp_path / "b").write_text("#!/bin/sh\nexit 3")  # it may be mended while the node runs, which says so
    warned = call(*flags, "--upgrade-binary", tmp_path / "b")
    assert (warned.exit_code, "could not be asked what it knows" in warned.output) == (0, True)
    assert call(*flags).exit_code == 2


def test_dry_run_makes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = call("validator", "--home", home, "--chain-id", "c", "--dry-run")
    assert told.exit_code == 0, told.output
    assert f"would make {home / 'config' / 'genesis.json'}" in told.output
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--validate",), "bring the chain's by `dchat genesis install FILE`, or begin a chain of your own by"),
        (("--validate", "--bootstrap", "/ip4/10.0.0.1/tcp/7070"), "copy the chain's genesis"),
        (("--validate", "--log-level", "loud"), "[log] level"),
        (("--validate", "--config", "absent.toml"), "cannot be read"),
    ],
)
def test_a_start_that_cannot_be(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = call("validator", "--home", tmp_path, *arguments)
    assert refused.exit_code == 2
    assert said in refused.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("file", "change", "code", "said"),
    [
        ("config/node_key.json", ('"value":"', '"value":"A'), 2, "node_key.json: "),
        ("data/priv_validator_state.json", ('"step": 0', '"step": 9'), 74, "restore the newest copy"),
        ("data/priv_validator_state.json", ('"height"', '"heighT"'), 74, "restore the newest copy"),
    ],
)
def test_a_file_of_the_home_that_a_start_would_refuse_is_refused_by_the_check(
    tmp_path: Path, file: str, change: tuple[str, str], code: int, said: str
) -> None:
    call("init", "--home", tmp_path, "--chain-id", "c")
    text = (tmp_path / file).read_text()
    assert change[0] in text, text
    (tmp_path / file).write_text(text.replace(*change, 1))
    checked = call("validator", "--home", tmp_path, "--validate")
    assert (checked.exit_code, said in checked.output, file.partition("/")[2] in checked.output) == (
        code,
        True,
        True,
    ), checked.output


def test_a_burner_is_no_operator(tmp_path: Path) -> None:
    call("keygen", "--burner", "--output", tmp_path / "b.json")
    refused = call("validator", "--home", tmp_path, "--identity", tmp_path / "b.json", "--chain-id", "c", "--validate")
    assert (refused.exit_code, "is a burner" in refused.output) == (2, True)


def test_another_chains_genesis_is_refused(tmp_path: Path) -> None:
    call("init", "--home", tmp_path, "--chain-id", "first")
    refused = call("validator", "--home", tmp_path, "--chain-id", "second", "--validate")
    assert (refused.exit_code, "'first'" in refused.output) == (2, True)


@pytest.mark.parametrize("arguments", [(), ("tx",), ("tx", "pay"), ("query", "account"), ("validator",), ("health",)])
def test_version_everywhere(arguments: tuple[str, ...]) -> None:
    answer = call(*arguments, "--version")
    assert (answer.exit_code, answer.output.startswith("dchat ")) == (0, True)


def test_nobody_there_is_told_in_words_and_what_to_do(tmp_path: Path) -> None:
    call("keygen", "--output", tmp_path / "me.json")
    away = ("--node", "127.0.0.1:1")
    asked = call("query", "account", tmp_path / "me.json", *away)
    todo = "is the node running? --node HOST:PORT, or DCHAT_NODE, says which one is asked"
    assert (asked.exit_code, asked.stderr) == (4, f"dchat: 127.0.0.1:1 did not answer: nothing listens there; {todo}\n")
    paying = ("tx", "pay", "--to", tmp_path / "me.json", "--amount", 1, "--from", tmp_path / "me.json")
    paid = call(*paying, "--believe-node", "--chain-id", "mine", *away)
    assert (paid.exit_code, f"nothing listens there; nothing was signed; {todo}" in paid.stderr) == (4, True), (
        paid.stderr
    )


def test_a_name_is_no_address_and_where_to_look_it_up_is_said() -> None:
    told = call("query", "account", "bob")
    assert (told.exit_code, "names are not looked up here: dchat query identity NAME" in told.output) == (2, True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tx pay --to nobody --amount 1", "a registered name has an @ before it, like @nobody"),
        ("tx stake delegate --validator alpha --amount 1", "dchat query staking validators shows each one's operator"),
        ("query staking validator alpha", "dchat query staking validators shows each one's operator"),
        ("query staking slashes alpha", "dchat query staking validators shows each one's operator"),
    ],
)
def test_what_to_say_in_place_of_a_name_is_said_for_each_command(line: str, said: str) -> None:
    told = call(*line.split())
    assert (told.exit_code, said in told.output) == (2, True), told.output
    assert "`dchat tx pay` takes" not in told.output


@pytest.mark.parametrize(
    "line", ["tx pay --to dchat1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqz9z2dw --amount {}", "tx set-profile --fee {}"]
)
@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("999999999999999999999999999", "too much; allowed: 18446744073709.551615 DCHAT at most, 18446744073709551615"),
        ("9" * 5_000, "too much; allowed"),
        ("1,000.5", '"1,000.5" is no amount; without the comma it is 1000.5'),
        ("1,500", '"1,500" is no amount; without the comma it is 1500, or 1.500'),
        ("1,000,000 DCHAT", "without the comma it is 1000000 DCHAT"),
        ("5,000udchat", "without the comma it is 5000udchat"),
    ],
)
def test_an_amount_that_is_none_is_refused_by_its_option(line: str, amount: str, said: str) -> None:
    told = call(*(word.format(amount) for word in line.split()))
    assert (told.exit_code, said in told.output) == (2, True), told.output
    assert "Invalid value for '--" in told.output
    assert len(told.output) < 1_000


def test_a_node_that_does_not_answer_has_an_exit_code_of_its_own() -> None:
    refused = call("health", "--url", "http://127.0.0.1:1")
    assert (refused.exit_code, "did not answer" in refused.output) == (4, True)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("5", 5_000_000),
        ("5.25", 5_250_000),
        ("0.000001", 1),
        ("7 dchat", 7_000_000),
        ("12udchat", 12),
        ("5.0000001", None),
        ("-1", None),
        ("1e3", None),
        ("", None),
        ("1.5udchat", None),
    ],
)
def test_amounts(text: str, want: int | None) -> None:
    if want is None:
        with pytest.raises(ValueError, match="is no amount"):
            parse_amount(text)
    else:
        assert parse_amount(text) == want


@pytest.mark.parametrize(
    ("leg", "said"),
    [
        ("fly to=moon", "unknown leg 'fly'"),
        ("pay to=dchat1", "needs amount, to; may have denom; got to"),
        ("tip channel=a index=x amount=1", "leg tip:"),
        ("pay to=dchat1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqz9z2dw amount=0", "allowed: 1udchat and more"),
    ],
)
def test_legs_of_a_bundle_that_make_no_sense(tmp_path: Path, leg: str, said: str) -> None:
    call("keygen", "--output", tmp_path / "me.json")
    refused = call("tx", "bundle", "--from", tmp_path / "me.json", "--leg", leg)
    assert (refused.exit_code, said in refused.output) == (2, True), refused.output


def test_python_without_assertions_is_refused() -> None:
    done = subprocess.run([sys.executable, "-O", "-m", "dchat", "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, "removes checks" in done.stderr) == (2, True)


def test_a_network_of_none_is_refused(tmp_path: Path) -> None:
    from dchat.devnet.network import NetworkError

    with pytest.raises(NetworkError, match="allowed: 1 to"):
        make_network(tmp_path, validators=0)


def test_a_network_is_made_in_no_home_and_no_other_network(tmp_path: Path) -> None:
    call("init", "--home", tmp_path / "home", "--chain-id", "chain-a")
    call("testnet", "--output", tmp_path / "net", "--validators", 1)
    held = sorted(tmp_path.rglob("*"))
    for place, said in (
        ("home", "home is a node's home"),
        ("home/data", "home is a node's home"),
        ("net", "never overwritten"),
        ("net/validator1", "validator1 is a node's home"),
        ("net/accounts", "net holds a network"),
    ):
        refused = call("testnet", "--output", tmp_path / place, "--validators", 1)
        assert (refused.exit_code, said in refused.stderr) == (1, True), (place, refused.output)
    assert sorted(tmp_path.rglob("*")) == held


def test_a_key_is_written_into_a_folder_that_is_there(tmp_path: Path) -> None:
    there = tmp_path / "keys"
    refused = call("keygen", "--output", there / "me.json")
    assert (refused.exit_code, f"mkdir -p {there}" in refused.stderr, there.exists()) == (2, True, False), (
        refused.output
    )
    there.mkdir()
    assert call("keygen", "--output", there / "me.json").exit_code == 0
    refused = call(
        "identity", "prove-key", "--to", there / "me.json", "--chain-id", "a", "--file", there / "me.json",
        "--output", tmp_path / "none" / "proof.json",
    )  # fmt: skip
    assert (refused.exit_code, "there is no folder" in refused.stderr) == (2, True), refused.output


def test_a_genesis_file_completes_an_empty_home_and_no_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        call("init", "--home", tmp_path / name, "--chain-id", f"chain-{name}")
    first, second = (tmp_path / name / "config" / "genesis.json" for name in ("a", "b"))
    flags = ("validator", "--home", tmp_path / "new", "--validate")
    assert call(*flags, "--genesis-file", first).exit_code == 0
    for path, says in ((tmp_path / "none", "No such file"), (tmp_path / "a" / "identity.json", "identity.json")):
        refused = call(*flags, "--genesis-file", path)
        assert (refused.exit_code, says in refused.output) == (2, True), refused.output
    assert "is of chain" in call(*flags, "--chain-id", "other", "--genesis-file", first).output
    refused = call("validator", "--home", tmp_path / "a", "--validate", "--genesis-file", second)
    assert (refused.exit_code, "another genesis" in refused.output) == (2, True), refused.output


GOLD = Denom(bytes(20), "gold")
GOLD_NAME = f"factory/{encode_address(bytes(20))}/gold"


@pytest.mark.parametrize(
    ("text", "denom", "want"),
    [
        ("5", None, Sum(5_000_000)),
        ("5.25 DCHAT", None, Sum(5_250_000)),
        ("5000udchat", None, Sum(5_000)),
        (f"20 {GOLD_NAME}", None, Sum(20, GOLD)),
        (f"20{GOLD_NAME}", GOLD, Sum(20, GOLD)),
        ("20", GOLD, Sum(20, GOLD)),
        ("5 DCHAT", GOLD, f"no whole number of units of {GOLD_NAME}"),
        ("0.5", GOLD, "no whole number of units"),
        ("0", GOLD, "allowed: 1 to"),
        (f"20 {GOLD_NAME}s", GOLD, "another denomination than --denom says"),
        ("20 factory/x/gold", None, "is no denomination"),
        ("20 gold", None, "or units of a denomination"),
        ("0", None, "too little"),
    ],
)
def test_a_sum_is_said_in_one_way(text: str, denom: Denom | None, want: Sum | str) -> None:
    if isinstance(want, Sum):
        assert parse_sum(text, denom) == want
    else:
        with pytest.raises(ValueError, match=want):
            parse_sum(text, denom)


@pytest.mark.parametrize(
    "command",
    ["pay", "escrow open", "escrow pay", "escrow release", "escrow pay-on-delivery", "escrow bounty", "request create",
     "request fulfil", "order create"],
)  # fmt: skip
def test_every_command_of_sums_takes_them_alike(command: str) -> None:
    told = call("tx", *command.split(), "--help").output
    assert "--amount SUM" in told
    assert "--denom DENOM" in told


FORKS = """
import asyncio
import dchat.cli.main
import grpc.aio

async def main():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        calls = [asyncio.ensure_future(channel.unary_unary("/a/b")(b"x")) for _ in range(20)]
        for _ in range(3):
            child = await asyncio.create_subprocess_exec("true", preexec_fn=lambda: None)
            await child.wait()
        await asyncio.gather(*calls, return_exceptions=True)
    await server.stop(0)

asyncio.run(main())
"""


def test_a_process_that_is_begun_beside_grpc_leaves_no_line_of_grpcs_in_the_log() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
