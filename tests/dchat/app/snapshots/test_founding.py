"""A first state that is written in pieces is the one that is written at once, whatever its size, wherever it stops."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from chain.state.audit import audit
from chain.state.errors import InvalidPair, UnknownStore
from chain.state.layout import FORMAT, FORMAT_KEY, STAGED, UNDO
from chain.state.roots import CURRENCY
from chain.state.snapshot import Founding
from chain.state.store import NO_VERSION, Stores
from consensus.abci.interface import InitChainRequest, ValidatorUpdate
from consensus.documents.genesis import GenesisDoc
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from dchat.app.app import DchatApplication
from dchat.app.snapshots import founding
from genesis.build import build_genesis, stake_of
from storage.kv import Write
from storage.leveldb import LevelStore
from storage.memory import MemoryStore
from storage.options import StoreOptions

KEY = Ed25519PrivKey.from_seed(b"v" * 32).pub_key


def document(accounts: int) -> GenesisDoc:
    balances = {sha256(b"%d" % number)[:20]: 1 + number for number in range(accounts)}
    stakes = [stake_of(b"o" * 20, KEY.bytes, 1_000, moniker="m")]
    return build_genesis(chain_id="founding-1", time_ns=1_700_000_000 * 10**9, stakes=stakes, balances=balances)


def begin(db: MemoryStore, doc: GenesisDoc) -> DchatApplication:
    app = DchatApplication(Stores(db))
    app.init_chain(
        InitChainRequest(
            doc.genesis_time_ns,
            doc.chain_id,
            doc.consensus_params,
            tuple(ValidatorUpdate(one.pub_key, one.power) for one in doc.validators),
            doc.app_state,
            doc.initial_height,
        )
    )
    return app


def content(db: MemoryStore) -> dict[bytes, bytes]:
    """But for the record of what was there before: nothing."""
    return {key: value for key, value in db.scan(b"", b"\xff") if not key.startswith(b"u")}


@pytest.mark.parametrize("records_max", [1, 2, 7, 100])
@pytest.mark.parametrize("accounts", [1, 300])
def test_in_pieces_it_is_what_it_is_at_once(monkeypatch: pytest.MonkeyPatch, accounts: int, records_max: int) -> None:
    doc = document(accounts)
    at_once, in_pieces = MemoryStore(), MemoryStore()
    whole = begin(at_once, doc)
    monkeypatch.setattr(founding, "RECORDS_MAX", records_max)
    app = begin(in_pieces, doc)
    assert app.stores.app_hash == whole.stores.app_hash
    assert content(in_pieces) == content(at_once)
    assert not list(filter(None, audit(in_pieces.snapshot())))
    again = Stores(in_pieces)
    assert (again.app_hash, again.latest_version) == (whole.stores.app_hash, 0)


class Failing(MemoryStore):
    """Refuses each write after so many."""

    left = 1 << 30

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError("the power went")
        super().write(batch, sync=sync)


def test_a_genesis_that_broke_off_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(founding, "RECORDS_MAX", 50)
    doc, whole = document(300), MemoryStore()
    begin(whole, doc)
    db, stopped = Failing(), 0
    for writes in range(3, 1_000, 3):
        db.left = writes
        with contextlib.suppress(OSError):
            begin(db, doc)
        if db.left >= 0:
            break
        stopped += 1
        db.left = 1 << 30
        assert Stores(db).latest_version == NO_VERSION
    assert stopped > 2
    assert content(db) == content(whole)


def test_what_no_store_holds_is_refused() -> None:
    pieces = Founding(Stores(MemoryStore()), 0)
    with pytest.raises(UnknownStore):
        pieces.put("attic", {b"k": b"v"}, side=False)
    for key, value in ((b"", b"v"), (b"k" * 224, b"v"), (b"k", b""), (b"\x00", b"v")):
        with pytest.raises(InvalidPair):
            pieces.put("chat", {key: value}, side=False)


def test_what_is_put_is_read_put_again_and_deleted() -> None:
    stores = Stores(MemoryStore())
    pieces = Founding(stores, 4)
    pieces.put("chat", {b"a": b"1", b"b": b"2"}, side=False)
    pieces.put("chat", {b"a": b"side"}, side=True)
    pieces.put("chat", {b"a": b"3", b"b": None}, side=False)
    assert (pieces.get("chat", b"a", side=False), pieces.get("chat", b"a", side=True)) == (b"3", b"side")
    assert pieces.get("chat", b"b", side=False) is None
    pieces.finish()
    other = Stores(MemoryStore())
    other.commit(other.prepare(4, {"chat": {b"a": b"3"}}, {"chat": {b"a": b"side"}}))
    assert (stores.roots, stores.latest_version, stores.earliest_version) == (other.roots, 4, 4)
    assert (stores.get("chat", b"a"), stores.get("chat", b"b"), stores.side("chat", b"a")) == (b"3", None, b"side")


def test_what_the_trees_were_made_of_takes_no_disk_afterwards(tmp_path: Path) -> None:
    db = LevelStore(str(tmp_path / "app"), StoreOptions(write_buffer_bytes=65_536))
    pieces = Founding(Stores(db), 0)
    pieces.put(CURRENCY, {sha256(b"%d" % number): b"v" * 20 for number in range(5_000)}, side=False)
    assert db.size_bytes(STAGED, UNDO) > 100_000
    pieces.finish()
    assert db.size_bytes(STAGED, UNDO) == 0
    assert db.get(FORMAT_KEY) == FORMAT
    db.close()
