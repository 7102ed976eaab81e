"""A file of another kind is told for what it is, in words: no exception of Python's shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat

GENESIS = json.dumps({"genesis_time": "2027-01-01T00:00:00Z", "chain_id": "mine"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert not CliRunner().invoke(dchat, ["keygen", "--output", str(tmp_path / "ada.json")]).exit_code
    for name, text in (
        ("genesis.json", GENESIS), ("passwd.json", "root:x:0:0\n"), ("deep.json", "[" * 60_000), ("list.json", "[]"),
        ("typed.json", '{"type": "other"}'), ("bare.json", '{"type": "dchat/identity/v1"}'),
        ("key.json", '{"priv_key": {}}'),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("query", "account", "genesis.json"), "is no identity file: it is a genesis; expected an identity file"),
        (("query", "account", "passwd.json"), "is no identity file: it is not JSON"),
        (("query", "account", "deep.json"), "is no identity file: it is not JSON"),
        (("query", "account", "list.json"), "is no identity file: it is JSON, but no object; expected"),
        (("query", "account", "typed.json"), "it is JSON of the type 'other'; expected an identity file"),
        (("query", "account", "key.json"), "it is a key of a node or a validator; expected an identity file"),
        (("query", "account", "bare.json"), "is no identity file: the field private_key is missing"),
        (
            ("tx", "broadcast", "ada.json"),
            "is no draft of a transaction: it is an identity file; expected a draft",
        ),
        (("tx", "broadcast", "genesis.json"), "is no draft of a transaction: it is a genesis; expected a draft"),
        (("tx", "broadcast", "passwd.json"), "is no draft of a transaction: it is not JSON"),
    ],
)
def test_a_file_of_another_kind(folder: Path, words: tuple[str, ...], said: str) -> None:
    *command, name = words
    told = CliRunner().invoke(dchat, [*command, str(folder / name)])
    assert (told.exit_code, said in told.output) == (2, True), told.output
    assert not any(name in told.output for name in ("KeyError", "ValueError", "DecodeError", "Recursion")), told.output


@pytest.mark.parametrize("words", [
    ("init", "--home", "FILE/home"),
    ("init", "--home", "LONG"),
    ("keygen", "--output", "LONG"),
    ("testnet", "--output", "FILE/net"),
    ("database", "backup-key", "--output", "LONG"),
    ("database", "backup-key", "--output", "FILE/key"),
])  # fmt: skip
def test_a_place_that_cannot_be(folder: Path, words: tuple[str, ...]) -> None:
    places = {"FILE": str(folder / "passwd.json"), "LONG": str(folder / ("a" * 300))}
    *command, place = words
    name, *rest = place.split("/")
    told = CliRunner().invoke(dchat, [*command, "/".join([places[name], *rest])])
    assert told.exit_code == 2, (told.output, told.exception)
    assert told.output.count("\n") == 1, told.output
    assert places[name] in told.output
