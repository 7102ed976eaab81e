"""A large genesis is read through once: later starts know it by its hash, and no other file is taken for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from consensus.documents import genesis as documents
from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.formats.errors import InvalidGenesis
from crypto.keys import Ed25519PrivKey
from genesis import kept
from genesis.build import build_genesis, stake_of
from genesis.digest import KeptGenesis, genesis_digest, rendered_digest
from genesis.kept import KEPT_BYTES_MIN, keep, load_kept

NOW_NS = 1_700_000_000 * 10**9


def document(balance: int = 5) -> GenesisDoc:
    key = Ed25519PrivKey.from_seed(b"v" * 32).pub_key.bytes
    stakes = [stake_of(b"o" * 20, key, 1_000, moniker="zoë")]
    built = build_genesis(chain_id="kept-1", time_ns=NOW_NS, stakes=stakes, balances={b"a" * 20: balance})
    return parse_genesis(built.dumps())


@pytest.fixture
def home(tmp_path: Path) -> tuple[Path, Path]:
    """The document's file and its note."""
    path = tmp_path / "genesis.json"
    path.write_text(document().dumps())
    return path, tmp_path / "genesis.note"


def load(home: tuple[Path, Path]) -> GenesisDoc:
    return load_kept(*home, default_time_ns=NOW_NS, bytes_min=0)


def begin(home: tuple[Path, Path]) -> GenesisDoc:
    return keep(*home, default_time_ns=NOW_NS, bytes_min=0)


def test_the_second_time_only_its_hash_is_looked_at(home: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first, whole = begin(home), document()
    monkeypatch.setattr(documents, "_compact", None)  # what reads an app_state
    doc = load(home)
    assert isinstance(doc, KeptGenesis)
    assert doc.without_app_state() == first.without_app_state() == whole.without_app_state()
    assert genesis_digest(doc) == genesis_digest(first) == genesis_digest(whole)
    assert (doc.validator_set(), doc.state()) == (first.validator_set(), first.state())
    assert isinstance(begin(home), KeptGenesis)


def test_the_rest_is_there_when_it_is_asked_for(home: tuple[Path, Path]) -> None:
    for doc in (begin(home), load(home)):
        for _ in range(2):
            assert doc.app_state == document().app_state
    assert doc.to_json() == document().to_json()
    assert rendered_digest(doc) == rendered_digest(document())


def test_a_command_leaves_no_note(home: tuple[Path, Path]) -> None:
    assert load(home) == document()
    assert not home[1].exists()


@pytest.mark.parametrize("balance", [6, 50])
def test_another_file_is_read_through(home: tuple[Path, Path], balance: int) -> None:
    begin(home)
    home[0].write_text(document(balance).dumps())
    doc = load(home)
    assert doc == document(balance)
    assert genesis_digest(doc) != genesis_digest(document())
    assert isinstance(begin(home), GenesisDoc)  # and noted in the other's place
    assert isinstance(load(home), KeptGenesis)


def test_a_damaged_file_is_told_of_as_ever(home: tuple[Path, Path]) -> None:
    begin(home)
    data = bytearray(home[0].read_bytes())
    data[len(data) // 2 :] = b""
    home[0].write_bytes(data)
    with pytest.raises(InvalidGenesis):
        load(home)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-40], lambda data: b"\xff" + data[1:]])
def test_a_damaged_note_is_passed_over(home: tuple[Path, Path], damage: object) -> None:
    assert callable(damage)
    begin(home)
    home[1].write_bytes(damage(home[1].read_bytes()))
    assert load(home) == document()


def test_no_byte_of_a_note_can_change_what_it_says(home: tuple[Path, Path]) -> None:
    begin(home)
    good = home[1].read_bytes()
    for at in range(0, len(good), 7):
        data = bytearray(good)
        data[at] ^= 1
        home[1].write_bytes(data)
        doc = load(home)
        assert (genesis_digest(doc), doc.chain_id) == (genesis_digest(document()), "kept-1")


def test_a_note_of_another_form_is_passed_over(home: tuple[Path, Path]) -> None:
    begin(home)
    told = {**json.loads(home[1].read_text().partition("\n")[2]), "form": 2}
    body = json.dumps(told)
    home[1].write_text(f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n")
    assert load(home) == document()


def test_a_file_that_was_replaced_under_a_running_node_is_not_taken_for_the_old_one(home: tuple[Path, Path]) -> None:
    begin(home)
    doc = load(home)
    home[0].write_text(document(7).dumps())
    with pytest.raises(InvalidGenesis, match="replaced"):
        _ = doc.app_state


def test_a_small_document_is_read_as_it_is(home: tuple[Path, Path]) -> None:
    assert home[0].stat().st_size < KEPT_BYTES_MIN
    assert keep(*home, default_time_ns=NOW_NS) == document()
    assert not home[1].exists()


def test_a_note_that_cannot_be_written_ends_nothing(home: tuple[Path, Path]) -> None:
    path, note = home
    doc = keep(path, note / "no" / "folder", default_time_ns=NOW_NS, bytes_min=0)
    assert (doc.without_app_state(), doc.app_state) == (document().without_app_state(), document().app_state)


def test_a_document_without_a_time_keeps_the_one_it_was_first_read_with(home: tuple[Path, Path]) -> None:
    value = json.loads(home[0].read_text())
    del value["genesis_time"]
    home[0].write_text(json.dumps(value))
    first = begin(home)
    later = load_kept(*home, default_time_ns=NOW_NS + 10**9, bytes_min=0)
    assert genesis_digest(later) == genesis_digest(first)
    assert later.app_state == first.app_state


def test_a_start_reads_a_document_through_once(home: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(home)
    reads = []
    monkeypatch.setattr(kept, "read_genesis", lambda *given, **kinds: reads.append(given))
    again, noted = load(home), begin(home)
    assert not reads
    assert home[1].exists()
    for doc in (again, noted):
        assert isinstance(doc, KeptGenesis)
        assert doc.without_app_state() == whole.without_app_state()
        assert genesis_digest(doc) == genesis_digest(whole)
        assert doc.app_state == whole.app_state
    assert reads


def test_what_was_read_before_is_not_taken_for_another_file(home: tuple[Path, Path]) -> None:
    load(home)
    home[0].write_text(document(6).dumps())
    assert load(home) == document(6)
