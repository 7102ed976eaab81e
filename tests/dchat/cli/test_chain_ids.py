"""What a chain may be called, at every door where a person says it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from consensus.documents.genesis import parse_genesis
from consensus.formats.chain_ids import chain_id_flaw, new_chain_id_flaw
from dchat.cli.main import dchat
from dchat.cli.terminal.ask import ChainId
from dchat.config import ConfigError, load


@pytest.mark.parametrize(
    ("text", "exists", "is_new"),
    [
        ("dchat-1", True, True),
        ("A.b_c-9", True, True),
        ("c" * 50, True, True),
        ("c" * 51, False, False),
        ("", False, False),
        ("bad id!", True, False),
        ("a/../../b", True, False),
        ("..", True, False),
        ("-x", True, False),
        ("Zürich", True, False),
        ("ü" * 26, False, False),  # 52 bytes
        ("a\nb", False, False),
        ("a\x1b[31m", False, False),
        ("half \ud800", False, False),
    ],
)
def test_what_a_chain_may_be_called(text: str, exists: bool, is_new: bool) -> None:
    assert (not chain_id_flaw(text), not new_chain_id_flaw(text)) == (exists, is_new)
    assert (chain_id_flaw(text) + "x").isprintable()
    assert (new_chain_id_flaw(text) + "x").isprintable()


def doors(group: click.Command, path: str = "") -> dict[str, click.Option]:
    """Every command's --chain-id."""
    found = {}
    for param in group.params:
        if isinstance(param, click.Option) and "--chain-id" in param.opts:
            found[path] = param
    if isinstance(group, click.Group):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            found |= doors(command, f"{path} {name}".strip())
    return found


def test_every_option_that_names_a_chain_is_judged() -> None:
    found = doors(dchat)
    assert {"init", "testnet", "validator", "database export", "proof verify"} <= found.keys()
    assert {path for path, option in found.items() if not isinstance(option.type, ChainId)} == set()
    begins = {path for path, option in found.items() if isinstance(option.type, ChainId) and option.type.is_new}
    of_genesis = {f"genesis {command}" for command in ("add-validator", "collect", "migrate")}
    assert begins == {"init", "testnet", "database export"} | of_genesis


@pytest.mark.parametrize("name", ["bad id!", "a/../../b", "", "c" * 51])
@pytest.mark.parametrize("command", ["init", "testnet"])
def test_no_chain_begins_with_a_bad_name(tmp_path: Path, command: str, name: str) -> None:
    told = CliRunner().invoke(dchat, ["--home", str(tmp_path / "home"), command, "--chain-id", name])
    assert told.exit_code == 2
    assert "allowed: 1 to 50 letters" in told.output
    assert not (tmp_path / "home").exists()


def test_a_file_of_options_names_a_chain_that_can_be() -> None:
    for name in ("bad id!", ""):
        assert load(environment={"DCHAT_CHAIN_ID": name}).config.validator.chain_id == name
    for name in ("a\tb", "ü" * 26):
        with pytest.raises(ConfigError, match="the chain id"):
            load(environment={"DCHAT_CHAIN_ID": name})


def test_a_chain_of_others_keeps_its_name(tmp_path: Path) -> None:
    """CometBFT allows any: its genesis is read, and a home joins it."""
    first, second, runner = tmp_path / "first", tmp_path / "second", CliRunner()
    assert runner.invoke(dchat, ["--home", str(first), "init", "--chain-id", "plain"]).exit_code == 0
    text = (first / "config" / "genesis.json").read_text().replace('"plain"', '"odd id/1"')
    assert parse_genesis(text.encode()).chain_id == "odd id/1"
    (tmp_path / "genesis.json").write_text(text)
    told = runner.invoke(dchat, ["--home", str(second), "init", "--genesis", str(tmp_path / "genesis.json")])
    assert told.exit_code == 0, told.output
    told = runner.invoke(dchat, ["--home", str(second), "validator", "--validate", "--chain-id", "odd id/1"])
    assert told.exit_code == 0, told.output
