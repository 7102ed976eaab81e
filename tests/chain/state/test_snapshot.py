"""Snapshots of the stores: the same bytes from everybody, the same state from the bytes, nothing from half of them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from chain.state import snapshot
from chain.state.errors import InvalidSnapshot
from chain.state.roots import BRIDGE, CHAT, CURRENCY, STORE_NAMES
from chain.state.snapshot import Manifest, Restore, chunks_of, manifest_of
from chain.state.store import NO_VERSION, Changes, Stores
from chain.state.view import View
from crypto.hash import sha256
from storage.memory import MemoryStore


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHUNK_BYTES", 700)
    monkeypatch.setattr(snapshot, "LEAVES_PER_UPDATE", 37)


def changes_of(rng: random.Random, keys: int) -> Changes:
    return {
        name: {
            b"key %d" % rng.randrange(400): None if rng.random() < 0.2 else rng.randbytes(rng.randrange(1, 90))
            for _ in range(keys)
        }
        for name in STORE_NAMES
    }


def lived(versions: int = 6, *, seed: int = 1, extra: bool = False) -> Stores:
    """Stores with a history. extra: with blocks between that change something and change it back."""
    rng = random.Random(seed)
    stores = Stores(MemoryStore())
    for version in range(versions):
        stores.commit(stores.prepare(version, changes_of(rng, 60), side=changes_of(rng, 20)))
    return stores


def taken(view: View) -> tuple[Manifest, list[bytes]]:
    chunks = [chunk for chunk in chunks_of(view) if chunk is not None]
    return manifest_of(view, [sha256(chunk) for chunk in chunks]), chunks


def restored(manifest: Manifest, chunks: list[bytes], db: MemoryStore | None = None) -> Stores:
    stores = Stores(db or MemoryStore())
    restore = Restore(stores, manifest)
    for chunk in chunks:
        restore.add(chunk)
    for _ in restore.finish():
        pass
    restore.keep()
    return stores


def content(view: View) -> list[list[tuple[bytes, bytes]]]:
    return [list(scan(name)) for name in STORE_NAMES for scan in (view.scan, view.scan_side)]


def test_a_restored_state_has_the_roots_the_pairs_and_the_proofs() -> None:
    stores = lived()
    manifest, chunks = taken(stores.at())
    assert len(chunks) > 20
    again = restored(manifest, chunks)
    assert (again.latest_version, again.earliest_version) == (5, 5)
    assert again.roots == stores.roots
    assert again.app_hash == manifest.app_hash == stores.app_hash
    assert content(again.at()) == content(stores.at())
    assert taken(again.at()) == (manifest, chunks)
    for name in STORE_NAMES:
        assert again.at().tree(name)[1] == stores.roots[name]


def test_a_restored_state_goes_on_as_the_one_that_it_was_taken_of() -> None:
    stores = lived()
    again = restored(*taken(stores.at()))
    rng = random.Random(9)
    for version in range(6, 12):
        changes, side = changes_of(rng, 50), changes_of(rng, 10)
        for one in (stores, again):
            one.commit(one.prepare(version, changes, side=side))
        assert again.roots == stores.roots
    assert content(again.at(8)) == content(stores.at(8))
    again.rollback(5)
    assert taken(again.at()) == taken(stores.at(5))
    again = Stores(again._db)
    assert again.app_hash == stores.at(5).app_hash


def test_whoever_takes_it_takes_the_same_bytes() -> None:
    """Failure 6: chunks can come from many peers. The way to a state, and what was pruned, do not show."""
    stores, pruned = lived(), lived()
    pruned.prune(4)
    assert taken(stores.at()) == taken(pruned.at()) == taken(restored(*taken(stores.at())).at())
    early = taken(stores.at(3))
    assert early == taken(lived(4).at())
    assert early[0].hash != taken(stores.at())[0].hash


def test_the_hash_covers_height_roots_and_chunks() -> None:
    manifest, _ = taken(lived().at())
    others = {
        manifest.hash,
        replace(manifest, height=manifest.height + 1).hash,
        replace(manifest, roots=(bytes(32), *manifest.roots[1:])).hash,
        replace(manifest, chunk_hashes=manifest.chunk_hashes[:-1]).hash,
    }
    assert len(others) == 4
    assert Manifest.decode(5, chunks=len(manifest.chunk_hashes), metadata=manifest.metadata) == manifest


@pytest.mark.parametrize("metadata", [b"", bytes(96), bytes(97), bytes(96 + 64)])
def test_metadata_of_another_number_of_chunks_is_refused(metadata: bytes) -> None:
    with pytest.raises(InvalidSnapshot):
        Manifest.decode(1, chunks=1, metadata=metadata)


def entry(kind: bytes = b"v", store: int = 2, key: bytes = b"k", content: bytes = b"c", *, length: int = -1) -> bytes:
    return snapshot._ENTRY.pack(kind, store, len(key), len(content) if length < 0 else length) + key + content


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(entry(kind=b"p"), id="a page of a tree"),
        pytest.param(entry(kind=b"m"), id="a mark of the database"),
        pytest.param(entry(store=3), id="an unknown store"),
        pytest.param(entry(content=b""), id="no value"),
        pytest.param(entry(content=bytes(65_537)), id="too large a value"),
        pytest.param(entry(key=b""), id="no key"),
        pytest.param(entry(key=bytes(224)), id="too long a key"),
        pytest.param(entry(key=b"\x00"), id="the sentinel"),
        pytest.param(entry(length=2), id="cut off"),
        pytest.param(entry() + b"v", id="cut off in the head"),
        pytest.param(entry() + entry(), id="a key twice"),
        pytest.param(entry(key=b"b") + entry(key=b"a"), id="out of order"),
        pytest.param(entry() + entry(kind=b"s"), id="kinds out of order"),
        pytest.param(entry(store=1) + entry(store=0), id="stores out of order"),
    ],
)
def test_chunks_that_no_store_makes_are_refused(chunk: bytes) -> None:
    stores = Stores(MemoryStore())
    restore = Restore(stores, Manifest(7, (bytes(32),) * 3, (sha256(chunk),)))
    with pytest.raises(InvalidSnapshot):
        restore.add(chunk)
    assert Stores(stores._db).latest_version == NO_VERSION


@pytest.mark.parametrize("store", [BRIDGE, CHAT, CURRENCY])
def test_a_state_of_other_roots_is_refused(store: str) -> None:
    honest = lived()
    manifest, _ = taken(honest.at())
    honest.commit(honest.prepare(6, {store: {b"mine": b"a million"}}))
    _, chunks = taken(honest.at())
    lie = replace(manifest, chunk_hashes=tuple(map(sha256, chunks)))
    with pytest.raises(InvalidSnapshot, match=f"store {store} has the root"):
        restored(lie, chunks)


def test_a_restore_that_is_cut_off_anywhere_leaves_an_empty_state() -> None:
    """Failure 6: unfinished snapshots. Whatever of it reached the disk: half a state is never taken for a whole one."""
    manifest, chunks = taken(lived(2).at())
    writes = 0

    class Counting(MemoryStore):
        stop_at = 1 << 30

        def write(self, batch: object, *, sync: bool = False) -> None:
            nonlocal writes
            if writes == self.stop_at:
                raise KeyboardInterrupt
            writes += 1
            super().write(batch, sync=sync)  # type: ignore[arg-type]

    def old() -> Counting:
        db = Counting({b"v\x02of before": bytes(8) + b"x"}, models_crashes=True)
        db.stop_at = 1 << 30
        return db

    whole = old()
    assert restored(manifest, chunks, whole).app_hash == manifest.app_hash
    total = writes
    assert total > len(chunks)
    for stop_at in range(total):
        for survivors in (0, 1, 2):
            writes, db = 0, old()
            db.stop_at = stop_at
            with pytest.raises(KeyboardInterrupt):
                restored(manifest, chunks, db)
            after = db.crash(survivors=min(survivors, db.unsynced_batches))
            is_untouched = b"v\x02of before" in dict(after.scan()) and after.get(b"munfinished") is None
            stores = Stores(after)
            assert stores.latest_version == NO_VERSION, stop_at
            assert is_untouched or not list(after.scan()), stop_at
            assert restored(manifest, chunks, after).app_hash == manifest.app_hash


def test_a_clearing_that_is_cut_off_is_finished_by_the_next_start() -> None:
    stores = lived()
    db = stores._db
    db.write([(b"munfinished", b"1")])
    assert Stores(db).latest_version == NO_VERSION
    assert not list(db.scan())


def test_taking_one_is_cut_in_slices() -> None:
    stores = lived()
    entries = sum(map(len, content(stores.at())))
    pauses = sum(chunk is None for chunk in chunks_of(stores.at()))
    assert pauses >= entries // snapshot.ENTRIES_PER_SLICE > 1
