"""Homes of stopped nodes held against each other, and against what this build makes of their blocks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chain.currency.ledger.records import ACCOUNT
from chain.state import layout
from chain.state.store import Stores
from consensus.system.errors import EXIT_DISK
from dchat.autopsy.files import TrailFiles
from dchat.cli.main import dchat
from storage.level_files import tables_of
from storage.open import open_store
from storage.options import StoreOptions
from tests.support.node.homes import Stopped, shared_stopped

CURRENCY = b"\x02"  # the store's place, in a key of the database
KEY = layout.VALUE + CURRENCY


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


def debug(*words: object, code: int) -> Any:
    ended = CliRunner().invoke(dchat, ["debug", *map(str, words)], prog_name="dchat")
    assert ended.exit_code == code, (words, ended.output, ended.exception)
    return json.loads(ended.stdout) if code in (0, 1) and ended.stdout else ended.output


def rewrite(home: Path, prefix: bytes, change: bytes) -> bytes:
    """Put other content into the last record under `prefix`, as a program would that has the right checksums."""
    database = open_store("leveldb", home / "data" / "app", StoreOptions())
    try:
        key, record = list(database.scan(prefix, layout.prefix_end(prefix)))[-1]
        database.write([(key, record[: layout.VERSION_BYTES] + change)], sync=True)
        return key
    finally:
        database.close()


def test_a_home_and_an_older_copy_of_it_do_not_differ(stopped: Stopped, tmp_path: Path) -> None:
    home, older = stopped.copy(tmp_path / "home"), tmp_path / "older"
    shutil.copytree(stopped.older, older)
    told = debug("bisect", home, older, code=0)
    assert (told["difference"], told["height"]) == ("none", None)
    assert told["compared"]["lowest"] == 1
    alone = debug("autopsy", "--home", home, code=0)
    assert alone["difference"] == "none"
    assert "is what this build makes of it" in alone["notes"][0]
    assert not list((home / "data").glob("rehearsal-*"))


def test_a_value_that_was_changed_on_disk_is_named(stopped: Stopped, tmp_path: Path) -> None:
    home, other = stopped.copy(tmp_path / "home"), stopped.copy(tmp_path / "other")
    key = rewrite(other, KEY + ACCOUNT[1:], b"\x0a\x14" + bytes(20) + b"\x10\x05")
    told = debug("bisect", home, other, code=1)
    assert told["difference"] == "disk"
    assert {fault["home"] for fault in told["faults"]} == {str(other)}
    assert any(key[2:].hex() in fault["where"] for fault in told["faults"])


def test_a_record_beside_the_trees_is_compared_too(stopped: Stopped, tmp_path: Path) -> None:
    home, other = stopped.copy(tmp_path / "home"), stopped.copy(tmp_path / "other")
    key = rewrite(other, layout.SIDE + CURRENCY, b"\x07")
    told = debug("bisect", home, other, code=1)
    [found] = told["keys"]
    assert (told["difference"], found["key"]) == ("disk", (b"U" + key[2:]).hex())
    assert found["values"][str(other)] == "07"


def test_a_state_that_no_block_makes_is_found_in_a_home_alone(stopped: Stopped, tmp_path: Path) -> None:
    """As another build, or a fault of the machine, would leave it: trees and hashes fit, and no trail was saved."""
    home = stopped.copy(tmp_path / "home")
    database = open_store("leveldb", home / "data" / "app", StoreOptions())
    stores = Stores(database)
    height = stores.latest_version
    record = stores.get("currency", ACCOUNT[1:] + stopped.recipient)
    assert record is not None
    stores.rollback(height - 1)
    stores.commit(stores.prepare(height, {"currency": {ACCOUNT[1:] + stopped.recipient: record + b"\x10\x07"}}))
    database.close()
    told = debug("autopsy", "--home", home, code=1)
    assert (told["difference"], told["height"], told["alone"]) == ("execution", height, [str(home)])
    assert (ACCOUNT + stopped.recipient).hex() in {key["key"] for key in told["keys"]}
    assert "this build executes block" in told["notes"][-1]
    between = debug("bisect", stopped.home, home, code=1)
    assert (between["height"], between["alone"]) == (height, [str(home)])


def test_a_damaged_file_is_told_as_that_wherever_it_is_met(stopped: Stopped, tmp_path: Path) -> None:
    home, other = stopped.copy(tmp_path / "home"), stopped.copy(tmp_path / "other")
    for name in ("app", "state", "blocks"):
        for table in tables_of(other / "data" / name):
            data = bytearray(table.read_bytes())
            data[len(data) // 3] ^= 1
            table.write_bytes(data)
    ended = CliRunner().invoke(dchat, ["debug", "bisect", str(home), str(other)], prog_name="dchat")
    if ended.exit_code == EXIT_DISK:  # it was read before there was anything to compare
        assert str(other) in ended.output
    else:
        [fault] = json.loads(ended.stdout)["faults"]
        assert fault["home"] == str(other)
        assert "The disk gave back something else than was written" in fault["why"]


def test_a_saved_trail_that_is_damaged_is_noted_and_does_not_stand_in_the_way(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    folder = home / "data" / "trail"
    folder.mkdir()
    (folder / "2").write_bytes(b"dchat trail 1\n" + bytes(50))
    (folder / "notes.txt").write_bytes(b"no trail")
    assert TrailFiles(folder).heights() == [2]
    told = debug("autopsy", "--home", home, code=0)
    assert "height 2: " in told["notes"][0]
    assert "it is damaged" in told["notes"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("bisect", "HOME", "HOME"), "are one home", id="twice one"),
        pytest.param(("bisect", "HOME", "nowhere"), "nowhere is no node's home: nowhere/data does", id="no home"),
        pytest.param(("autopsy", "--home", "nowhere"), "nowhere/data does not exist", id="none of its own"),
        pytest.param(("autopsy", "--home", "HOME", "7"), "PEER is '7'; expected HOST:PORT", id="no address"),
        pytest.param(("autopsy", "--node", "a:1", "a:1"), "a:1 is named twice", id="itself"),
        pytest.param(("autopsy", "--node", "a:1"), "name at least one other", id="nobody"),
    ],
)
def test_what_cannot_be_compared(
    words: tuple[str, ...], said: str, stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [str(stopped.home) if word == "HOME" else word for word in words]
    assert said in debug(*filled, code=2)


def test_a_peer_that_is_not_there(stopped: Stopped) -> None:
    """1 means that there is a difference."""
    told = debug("autopsy", "--home", stopped.home, "127.0.0.1:1", code=4)
    assert "dchat: 127.0.0.1:1 did not answer" in told
