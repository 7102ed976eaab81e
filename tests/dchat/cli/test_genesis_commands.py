"""`dchat genesis`: what its commands refuse, and what they leave as it is."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.app_state.document import AppState
from consensus.documents.genesis import parse_genesis
from crypto.bech32 import encode_address
from dchat.cli.genesis.meanings import MEANINGS, shown
from dchat.cli.main import dchat
from dchat.config import load
from dchat.home.home import Home
from genesis.digest import genesis_digest


def call(*words: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in words], prog_name="dchat")


@pytest.fixture
def entered(tmp_path: Path) -> list[Path]:
    """Two homes, and the files of their entries."""
    files = []
    for number in (1, 2):
        home = tmp_path / f"home{number}"
        assert call("--home", home, "init", "--no-genesis", "--moniker", f"node{number}").exit_code == 0
        assert not (home / "config" / "genesis.json").exists()
        file = tmp_path / f"{number}.json"
        told = call(
            "--home", home, "genesis", "add-validator", "--chain-id", "c-1", "--stake", 5_000, "--address",
            f"10.0.0.{number}:26656", "--output", file,
        )  # fmt: skip
        assert told.exit_code == 0, told.output
        files.append(file)
    return files


def collected(tmp_path: Path, files: list[Path], *more: object) -> Path:
    made = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "genesis.json", *more, *files)
    assert made.exit_code == 0, made.output
    return tmp_path / "genesis.json"


def test_no_secret_of_a_home_is_in_its_entry(tmp_path: Path, entered: list[Path]) -> None:
    text = entered[0].read_text()
    secrets = json.loads((tmp_path / "home1" / "identity.json").read_text())["private_key"]["value"]
    assert secrets not in text
    assert oct(entered[0].stat().st_mode & 0o777) == "0o644"
    again = call("--home", tmp_path / "home1", "genesis", "add-validator", "--chain-id", "c-1", "--stake", 5_000,
                 "--address", "10.0.0.1:1", "--output", entered[0])  # fmt: skip
    assert (again.exit_code, entered[0].read_text()) == (2, text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stake", "5000"], "--address is needed"),
        (["--stake", "5000", "--address", "0.0.0.0:26656"], "--address: nobody reaches 0.0.0.0:26656; say the address"),
        (["--stake", "5000", "--address", "[::]:26656"], "nobody reaches [::]:26656"),
        (["--stake", "5000", "--address", f"{'ab' * 20}@10.0.0.1:1"], "expected HOST:PORT"),
        (["--stake", "5000", "--address", "10.0.0.1"], "--address: address '10.0.0.1': no port"),
        (["--stake", "5", "--address", "10.0.0.1:1"], "stake is 5 DCHAT; allowed: 1000 DCHAT and more"),
        (["--address", "10.0.0.1:1"], "Missing option '--stake'"),
    ],
)
def test_what_an_entry_needs(tmp_path: Path, words: list[str], said: str) -> None:
    home = tmp_path / "home"
    assert call("--home", home, "init", "--no-genesis", "--moniker", "a").exit_code == 0
    told = call("--home", home, "genesis", "add-validator", "--chain-id", "c-1", *words)
    assert (told.exit_code, said in told.output) == (2, True), told.output


def test_a_stake_below_the_usual_is_told_with_what_it_means_for_those_who_join_later(
    tmp_path: Path, entered: list[Path]
) -> None:
    """The chain asks min_stake of those that join: a genesis with a smaller stake has it lowered, which nobody saw."""
    said = "5,000 DCHAT is less than the usual staking.min_stake, 1,000,000 DCHAT"
    again = call("--home", tmp_path / "home1", "genesis", "add-validator", "--chain-id", "c-1", "--stake", 5_000,
                 "--address", "10.0.0.1:1", "--output", tmp_path / "again.json")  # fmt: skip
    assert f"warning: {said}" in again.output
    genesis = collected(tmp_path, entered[:1])
    assert any(said in text for text in json.loads(call("genesis", "validate", genesis).stdout)["warnings"])
    explained = json.loads(call("genesis", "explain", genesis).stdout)["params"]
    (param,) = [one for one in explained if one["name"] == "staking.min_stake"]
    assert (param["value"], "that joins" in param["meaning"]) == ("5000 DCHAT", True), param
    raised = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "raised.json", "--param",
                  "staking.min_stake=1000000000000", *entered[:1])  # fmt: skip
    assert json.loads(raised.stdout)["warnings"] == []
    shown = call("genesis", "validate", tmp_path / "raised.json", "--output", "json")
    assert json.loads(shown.stdout)["ok"], "those of the genesis begin with less"


def test_one_node_is_told_as_one(tmp_path: Path, entered: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    one = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "g1.json", entered[0])
    assert "where its one node is found" in one.output
    assert "warning: 5,000 DCHAT is less" in one.output
    two = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "g2.json", *entered)
    assert "where its 2 nodes are found" in two.output


def test_a_name_is_no_account_of_a_genesis(tmp_path: Path, entered: list[Path]) -> None:
    told = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "g.json", "--balance", "nobody=5",
                *entered)  # fmt: skip
    assert (told.exit_code, "a genesis knows no names: `dchat identity verify FILE`" in told.output) == (2, True)


def test_a_home_that_is_not_made_yet(tmp_path: Path) -> None:
    told = call("--home", tmp_path / "none", "genesis", "add-validator", "--chain-id", "c", "--stake", 5_000,
                "--moniker", "a", "--address", "h:1")  # fmt: skip
    assert told.exit_code == 2
    assert "identity.json" in told.output


def test_faults_of_all_files_are_told_with_their_names(tmp_path: Path, entered: list[Path]) -> None:
    huge, strange = tmp_path / "huge.json", tmp_path / "strange.json"
    huge.write_text(" " * 20_000)
    strange.write_text("{}")
    entered[0].write_text(entered[0].read_text().replace('"stake": "5000', '"stake": "6000'))
    told = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "g.json", huge, strange, *entered)
    assert told.exit_code == 2
    assert not (tmp_path / "g.json").exists()
    for said in (f"{huge}: has more than 16384 bytes", f"{strange}: it has no type", f"{entered[0]}: signatures.node"):
        assert said in told.output, told.output


def test_too_few_came(tmp_path: Path, entered: list[Path]) -> None:
    told = call("genesis", "collect", "--chain-id", "c-1", "--expect", 3, "--output", tmp_path / "g.json", *entered)
    assert (told.exit_code, "2 entries, expected 3" in told.output) == (2, True)


def test_the_same_entries_and_time_make_the_same_document(tmp_path: Path, entered: list[Path]) -> None:
    first = collected(tmp_path, entered, "--time", "2027-01-31T12:00:00Z", "--param", "staking.unbonding_s=600")
    other = tmp_path / "other.json"
    again = call("genesis", "collect", "--chain-id", "c-1", "--output", other, "--time", "2027-01-31T12:00:00Z",
                 "--param", "staking.unbonding_s=600", *reversed(entered))  # fmt: skip
    assert again.exit_code == 0
    assert first.read_bytes() == other.read_bytes()
    assert first.with_suffix(".peers").read_bytes() == other.with_suffix(".peers").read_bytes()
    assert call("genesis", "hash", first).output == json.loads(again.output)["hash"] + "\n"


def test_a_document_is_installed_with_its_peers_and_never_over_one_that_was_used(
    tmp_path: Path, entered: list[Path]
) -> None:
    genesis = collected(tmp_path, entered)
    digest = genesis_digest(parse_genesis(genesis.read_bytes())).hex()
    home = Home.of(tmp_path / "home1")
    peers = genesis.with_suffix(".peers")
    wrong = call("--home", home.root, "genesis", "install", genesis, "--hash", "01" + "0" * 64, "--peers", peers)
    assert (wrong.exit_code, home.genesis.exists()) == (2, False), wrong.output
    right = call("--home", home.root, "genesis", "install", genesis, "--hash", digest, "--peers", peers)
    assert right.exit_code == 0, right.output
    assert "this node is its validator node1, with 50.0 % of the power" in right.output
    config = load(home.config_file, environment={}).config
    assert config.validator.chain_id == "c-1"
    assert [peer.partition("@")[2] for peer in config.network.bootstrap_validators] == ["10.0.0.2:26656"]
    assert "# Peers to dial" in home.config_file.read_text()  # comments stay
    other = tmp_path / "other.json"
    assert call("genesis", "migrate", genesis, "--output", other, "--time", "1h").exit_code == 0
    assert "it is replaced" in call("--home", home.root, "genesis", "install", other).output
    assert genesis_digest(parse_genesis(home.genesis.read_bytes())).hex() != digest
    (home.databases / "state").mkdir()
    refused = call("--home", home.root, "genesis", "install", genesis)
    assert (refused.exit_code, "this home has begun with it" in refused.output) == (2, True)


def test_what_was_vouched_for_is_what_is_installed(
    tmp_path: Path, entered: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 86: a file that was another between its hash and its copy was installed under --hash."""
    document = collected(tmp_path, entered)
    digest = call("genesis", "hash", document).output.strip()
    copy = shutil.copyfile

    def changed(source: Path, target: Path) -> object:
        source.write_text(source.read_text().replace("node1", "nodeX"))
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", changed)
    home = tmp_path / "home1"
    told = call("--home", home, "genesis", "install", document, "--hash", digest)
    assert (told.exit_code, "was changed while it was installed" in told.output) == (2, True), told.output
    assert sorted(path.name for path in (home / "config").glob("genesis*")) == []
    monkeypatch.undo()
    document.write_text(document.read_text().replace("nodeX", "node1"))
    assert call("--home", home, "genesis", "install", document, "--hash", digest).exit_code == 0


def test_a_validators_name_begins_no_line_of_ours(
    tmp_path: Path, entered: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 86: a name in a document said "ok" and another hash, as if we did."""
    document = collected(tmp_path, entered)
    value = json.loads(document.read_text())
    value["validators"][0]["name"] = "x\nits hash is 00\x1b[2J"
    document.write_text(json.dumps(value))
    for command in ("validate", "explain"):
        told = call("genesis", command, document, "--output", "text").output
        assert "its hash is 00" not in told.splitlines()
        assert "\x1b" not in told
    assert "x\\nits hash is 00" in told


def test_a_key_that_signed_keeps_its_genesis(tmp_path: Path, entered: list[Path]) -> None:
    genesis = collected(tmp_path, entered)
    home = Home.of(tmp_path / "home1")
    assert call("--home", home.root, "genesis", "install", genesis).exit_code == 0
    home.sign_state.write_text('{"height":"7","round":0,"step":3}')
    other = tmp_path / "other.json"
    assert call("genesis", "migrate", genesis, "--output", other, "--time", "1h").exit_code == 0
    assert call("--home", home.root, "genesis", "install", other).exit_code == 2


def test_an_entry_is_signed_where_the_key_is(tmp_path: Path, entered: list[Path]) -> None:
    document = json.loads(entered[0].read_text())
    signature = document["signatures"].pop("consensus")
    entered[0].write_text(json.dumps(document))
    lacking = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / "g.json", *entered)
    assert (lacking.exit_code, f"{entered[0]}: signatures.consensus is missing" in lacking.output) == (2, True)
    other = tmp_path / "home2" / "config" / "priv_validator_key.json"
    assert call("genesis", "sign", entered[0], "--key-file", other).exit_code == 2
    assert call("--home", tmp_path / "home1", "genesis", "sign", entered[0]).exit_code == 0
    assert json.loads(entered[0].read_text())["signatures"]["consensus"] == signature


def test_a_document_is_judged_and_explained(tmp_path: Path, entered: list[Path]) -> None:
    genesis = collected(tmp_path, entered)
    judged = json.loads(call("genesis", "validate", genesis).output)
    assert (judged["ok"], judged["validators"]) == (True, 2)
    assert any("none may be down" in text for text in judged["warnings"])
    text = call("genesis", "explain", genesis, "--output", "text").output
    assert "the chain c-1" in text
    assert "staking.unbonding_s" in text
    broken = tmp_path / "broken.json"
    broken.write_text(genesis.read_text().replace('"balance": "', '"balance": "-', 1))
    refused = call("genesis", "validate", broken)
    assert (refused.exit_code, f"{broken}: " in refused.output) == (2, True)
    assert "app_state.currency.accounts[0].balance" in refused.output


def test_who_has_what_is_told_in_both_forms(
    tmp_path: Path, entered: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: piped, documents that gave an account another balance were told alike but for the hash; and nothing was
    shown of --balance."""
    address = encode_address(bytes(20))

    def made(name: str, amount: int) -> tuple[Result, dict[str, Any]]:
        more = ("--time", "2027-01-31T12:00:00Z", "--balance", f"{address}={amount}", *entered)
        done = call("genesis", "collect", "--chain-id", "c-1", "--output", tmp_path / name, *more)
        assert done.exit_code == 0, done.output
        return done, json.loads(call("genesis", "explain", tmp_path / name, "--output", "json").stdout)

    first, told = made("g1.json", 7)
    assert json.loads(first.stdout)["balances"] == [{"address": address, "balance": "7000000"}]
    accounts = told["accounts"]
    assert (accounts["count"], accounts["balance"], accounts["left_out"]) == (3, "2007000000", 0)
    assert accounts["most"][-1] == {"address": address, "balance": "7000000"}
    assert (told["staked"], told["power"][0]["stake"]) == ("10000000000", "5000000000")
    _, other = made("g2.json", 8)
    assert {key for key in told if told[key] != other[key]} == {"hash", "accounts"}
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    shown, _ = made("g3.json", 7)
    assert re.search(rf"^ *7 DCHAT  {address}$", shown.output, re.MULTILINE), shown.output


def test_of_many_accounts_it_is_told_how_many_are_left_out(tmp_path: Path, entered: list[Path]) -> None:
    more = [f"--balance={encode_address(bytes([number] * 20))}={number}" for number in range(1, 31)]
    genesis = collected(tmp_path, entered, *more)
    accounts = json.loads(call("genesis", "explain", genesis).stdout)["accounts"]
    assert (accounts["count"], len(accounts["most"]), accounts["left_out"]) == (32, 20, 12)
    assert [one["balance"] for one in accounts["most"][1:4]] == ["1000000000", "30000000", "29000000"]
    text = call("genesis", "explain", genesis, "--output", "text").output
    assert "and 12 more, with no more than the last of these" in text


def test_an_older_document_is_brought_to_this_form(tmp_path: Path, entered: list[Path]) -> None:
    genesis = collected(tmp_path, entered)
    document = json.loads(genesis.read_text())
    del document["app_state"]["chat"]["params"]["lent_bytes"]
    older, newer = tmp_path / "older.json", tmp_path / "newer.json"
    older.write_text(json.dumps(document))
    told = call("genesis", "migrate", older, "--output", newer)
    assert told.exit_code == 0, told.output
    assert "added chat.params.lent_bytes = 2097152" in told.output
    assert genesis_digest(parse_genesis(newer.read_bytes())) == genesis_digest(parse_genesis(genesis.read_bytes()))


def test_every_param_has_a_meaning() -> None:
    document = AppState({bytes(20): 1}).to_json()
    names = {f"{module}.{name}" for module, section in document.items() for name in section.get("params", {})}
    assert set(MEANINGS) == names | {"mint.inflation"}
    assert (shown("unbonding_s", "1209600"), shown("min_stake", "1500000")) == ("14 d", "1.5 DCHAT")


def test_who_a_node_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    missing = call("--home", home, "show-node-id")
    assert (missing.exit_code, "`dchat init` makes it" in missing.output) == (2, True)
    made = call("--home", home, "init", "--chain-id", "c")
    assert call("--home", home, "show-node-id").output.strip() in made.output
    assert len(json.loads(call("--home", home, "show-validator").output)["address"]) == 40


def test_no_option_file_makes_a_node_stake(tmp_path: Path) -> None:
    """`dchat init` writes every option, with a stake among them; the money of whoever joined with it was staked."""
    home = tmp_path / "home"
    assert call("--home", home, "init", "--chain-id", "c").exit_code == 0
    file = home / "validator-config.toml"
    loaded = load(file, environment={})
    assert (loaded.config.staking.initial_stake > 0, loaded.asks_to_stake) == (True, False)
    assert load(file, environment={}, flags={"staking.initial_stake": 5}).asks_to_stake
    assert load(file, environment={"DCHAT_STAKING__INITIAL_STAKE": "5"}).asks_to_stake
    assert not load(file, environment={}, flags={"staking.initial_stake": 0}).asks_to_stake
