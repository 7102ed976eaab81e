"""What the stores promise one by one: purity, atomicity, limits, pruning, rollback, flat cost."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.state import layout, smt, view
from chain.state.errors import (
    CorruptState,
    InvalidPair,
    StalePending,
    StateError,
    TooFarBack,
    UnknownStore,
    VersionUnavailable,
    WrongVersion,
)
from chain.state.layout import RecordCache
from chain.state.roots import BRIDGE, CHAT, CURRENCY
from chain.state.store import (
    KEY_BYTES_MAX,
    NO_VERSION,
    SENTINEL_KEY,
    SIDE_BYTES_MAX,
    VALUE_BYTES_MAX,
    Changes,
    Stores,
)
from storage.leveldb import LevelStore
from storage.memory import MemoryStore
from storage.options import StoreOptions
from tests.support.state import naive


def content(db: MemoryStore) -> dict[bytes, bytes]:
    return dict(db.scan())


def committed(*blocks: Changes, db: MemoryStore | None = None) -> Stores:
    stores = Stores(db or MemoryStore(models_crashes=True))
    for version, changes in enumerate(blocks):
        stores.commit(stores.prepare(version, changes))
    return stores


# ------------------------------------------------------------------------------------------------ the tree alone


def test_a_root_does_not_depend_on_the_way_to_it() -> None:
    """The same pairs in one update, one by one, or with detours."""
    dice = random.Random(1)
    pairs = {b"%d" % number: dice.randbytes(3) for number in range(300)}
    pages: dict[str, bytes] = {}

    def apply(changes: dict[bytes, bytes | None]) -> bytes:
        change = smt.update(pages.get, sorted(smt.leaf_change(key, value) for key, value in changes.items()))
        for name, record in change.pages.items():
            if record is None:
                del pages[name]
            else:
                pages[name] = record
        return change.root

    at_once = apply(dict(pairs))
    whole = dict(pages)
    assert at_once == naive.root(pairs)
    apply({b"x%d" % number: b"detour" for number in range(500)})
    apply({b"x%d" % number: None for number in range(500)})
    assert apply({}) == at_once
    assert pages == whole  # pages too are a function of the pairs
    for key in pairs:
        emptied = apply({key: None})
    assert emptied == smt.EMPTY_HASH
    assert pages == {}
    for key, value in pairs.items():
        last = apply({key: value})
    assert (last, pages) == (at_once, whole)


def test_deleting_what_is_absent_changes_nothing() -> None:
    pages: dict[str, bytes] = {}
    first = smt.update(pages.get, [smt.leaf_change(b"a", b"1")])
    assert first.pages.keys() == {""}
    again = smt.update(first.pages.get, [smt.leaf_change(b"b", None)])
    assert (again.root, again.pages) == (first.root, first.pages)


def test_cost_grows_with_the_change_not_with_the_state() -> None:
    """Failures 5 and 33: pages read and written per changed key, and hashes made, stay flat to 30 times the keys."""

    def pages_per_key(held: int) -> float:
        stores = committed({CURRENCY: {b"account %d" % number: b"1" for number in range(held)}})
        pending = stores.prepare(
            1, {CURRENCY: {b"account %d" % number: b"2" for number in range(0, held, held // 100)}}
        )
        touched = [key for key in pending.records if key.startswith(layout.PAGE)]
        size = sum(len(pending.records[key] or b"") for key in touched)
        assert size / 100 < 3_000
        return len(touched) / 100

    small, large = pages_per_key(1_000), pages_per_key(30_000)
    assert large < small + 1.5  # a level of pages for each factor of 16


# ------------------------------------------------------------------------------------------------------- updates


def test_before_the_first_version_the_stores_are_empty() -> None:
    stores = Stores(MemoryStore())
    assert (stores.latest_version, stores.earliest_version) == (NO_VERSION, NO_VERSION)
    assert set(stores.roots.values()) == {bytes(32)}
    assert stores.get(CHAT, b"k") is None
    with pytest.raises(VersionUnavailable, match="no block was executed yet"):
        stores.at()


def test_each_store_has_its_sentinel_from_the_first_version_on() -> None:
    stores = committed({})
    lone = naive.leaf(SENTINEL_KEY, b"\x01")
    assert dict(stores.roots) == {BRIDGE: lone, CHAT: lone, CURRENCY: lone}
    assert stores.app_hash == naive.app_hash(stores.roots)
    assert stores.get(BRIDGE, SENTINEL_KEY) == b"\x01"
    assert list(stores.scan(BRIDGE)) == list(stores.at().scan(BRIDGE)) == []


def test_several_updates_are_pending_and_one_is_committed() -> None:
    """A proposal is executed while it is voted on: nothing of it may reach the disk before it is decided."""
    db = MemoryStore()
    stores = committed({CHAT: {b"k": b"0"}}, db=db)
    before = content(db)
    pendings = [stores.prepare(1, {CHAT: {b"k": b"%d" % number}}, {CHAT: {b"s": b"%d" % number}}) for number in (1, 2)]
    again = stores.prepare(1, {CHAT: {b"k": b"1"}}, {CHAT: {b"s": b"1"}})
    assert content(db) == before
    assert stores.get(CHAT, b"k") == b"0"
    assert again == pendings[0]
    assert pendings[0].app_hash != pendings[1].app_hash
    stores.commit(pendings[1])
    assert (stores.get(CHAT, b"k"), stores.side(CHAT, b"s"), stores.app_hash) == (b"2", b"2", pendings[1].app_hash)
    for stale in (pendings[0], pendings[1]):
        with pytest.raises(StalePending, match="latest is 1"):
            stores.commit(stale)


def test_an_update_can_be_driven_in_slices_and_abandoned() -> None:
    db = MemoryStore()
    stores = committed({CHAT: {b"%d" % number: b"1" for number in range(2_000)}}, db=db)
    before = content(db)
    changes: Changes = {CHAT: {b"%d" % number: b"2" for number in range(2_000)}}
    steps = stores.prepare_steps(1, changes)
    slices = 0
    try:
        while True:
            next(steps)
            slices += 1
    except StopIteration as stop:
        sliced = stop.value
    assert sliced == stores.prepare(1, changes)
    assert slices > 2_000 / 100 + sum(key.startswith(layout.PAGE) for key in sliced.records) / 40
    half = stores.prepare_steps(1, changes)
    next(half)
    half.close()
    assert content(db) == before


def test_a_commit_between_two_slices_is_noticed() -> None:
    stores = committed({})
    steps = stores.prepare_steps(1, {CHAT: {b"k": b"1"}})
    next(steps)
    stores.commit(stores.prepare(1, {}))
    with pytest.raises(StalePending):
        list(steps)


def test_what_is_equal_is_not_written_again() -> None:
    stores = committed({CHAT: {b"k": b"1", b"l": b"1"}})
    pending = stores.prepare(1, {CHAT: {b"k": b"1", b"absent": None}})
    assert pending.records == {}
    assert pending.roots == stores.roots


def test_a_commit_is_one_synced_batch_with_everything_in_it() -> None:
    db = MemoryStore(models_crashes=True)
    stores = committed({}, db=db)
    stores.commit(stores.prepare(1, {CHAT: {b"k": b"1"}}, {BRIDGE: {b"s": b"2"}}), [(b"height", b"1")])
    assert db.unsynced_batches == 0
    again = Stores(db.crash())
    assert again.latest_version == 1
    assert (again.get(CHAT, b"k"), again.side(BRIDGE, b"s"), again.extra(b"height")) == (b"1", b"2", b"1")
    assert again.app_hash == naive.app_hash(again.roots)


BAD_CHANGES: list[tuple[Changes, Changes, type[StateError], str]] = [
    ({CHAT: {b"": b"1"}}, {}, InvalidPair, "the key has 0 bytes; allowed: 1 to 223"),
    ({CHAT: {bytes(KEY_BYTES_MAX + 1): b"1"}}, {}, InvalidPair, "the key has 224 bytes"),
    ({CHAT: {b"k": b""}}, {}, InvalidPair, "the value has 0 bytes; allowed: 1 to 65536"),
    ({CHAT: {b"k": bytes(VALUE_BYTES_MAX + 1)}}, {}, InvalidPair, "the value has 65537 bytes"),
    ({CHAT: {SENTINEL_KEY: b"1"}}, {}, InvalidPair, "permanent sentinel"),
    ({CHAT: {SENTINEL_KEY: None}}, {}, InvalidPair, "permanent sentinel"),
    ({"gossip": {}}, {}, UnknownStore, "unknown store 'gossip'; allowed: bridge, chat, currency"),
    ({}, {"gossip": {}}, UnknownStore, "unknown store 'gossip'"),
    ({}, {CHAT: {b"": b"1"}}, InvalidPair, "the key has 0 bytes"),
    ({}, {CHAT: {b"k": bytes(SIDE_BYTES_MAX + 1)}}, InvalidPair, "the value has 1048577 bytes"),
]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("changes", "side", "error", "said"), BAD_CHANGES)
def test_bad_pairs_are_refused(
    changes: Changes, side: Changes, error: type[StateError], said: str, *, first: bool
) -> None:
    stores = Stores(MemoryStore()) if first else committed({})
    with pytest.raises(error, match=said):
        stores.prepare(stores.latest_version + 1, changes, side)


def test_the_largest_pairs_are_held_and_proved() -> None:
    key, value = bytes(KEY_BYTES_MAX), b"v" * VALUE_BYTES_MAX
    stores = committed({CHAT: {key: value, b"other": b"1"}})
    assert stores.get(CHAT, key) == value
    assert stores.roots[CHAT] == naive.root({key: value, b"other": b"1", SENTINEL_KEY: b"\x01"})


@pytest.mark.parametrize(("first", "then", "fits"), [(0, 1, True), (41, 42, True), (0, 0, False), (0, 2, False)])
def test_versions_follow_each_other(first: int, then: int, *, fits: bool) -> None:
    stores = Stores(MemoryStore())
    with pytest.raises(WrongVersion):
        stores.prepare(-1, {})
    stores.commit(stores.prepare(first, {}))
    if fits:
        stores.commit(stores.prepare(then, {}))
        assert (stores.earliest_version, stores.latest_version) == (first, then)
    else:
        with pytest.raises(WrongVersion, match=f"the next version is {first + 1}, got {then}"):
            stores.prepare(then, {})


# --------------------------------------------------------------------------------------- pruning, rollback, reset


@pytest.mark.parametrize("below", range(-1, 14))
def test_each_prune_depth_leaves_the_rest_readable(below: int) -> None:
    """Failure 20: what asks for a version gets it, or an error that names what is held; never half of it."""
    stores = committed(*({CHAT: {b"k": b"%d" % version}} for version in range(10)))
    earliest = stores.prune(below)
    assert earliest == stores.earliest_version == max(0, min(below, 8))
    for version in range(-1, 12):
        if earliest <= version <= 9:
            assert stores.at(version).get(CHAT, b"k") == b"%d" % version
        else:
            said = f"this node has {earliest} to 9" if version < 9 else "not there yet: the latest is 9"
            with pytest.raises(VersionUnavailable, match=f"height {version} is .*{said}"):
                stores.at(version)


def test_lists_go_back_so_many_versions_and_single_values_to_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: where all versions are kept, a door's list at an early height read what every block since replaced."""
    monkeypatch.setattr(view, "SCANNED_BACK_MAX", 4)
    stores = committed(*({CHAT: {b"k": b"%d" % version}} for version in range(10)))
    for version in range(10):
        opened = stores.at(version)
        assert opened.get(CHAT, b"k") == b"%d" % version
        if version >= 5:
            assert list(opened.scan(CHAT)) == [(b"k", b"%d" % version)]
            continue
        with pytest.raises(TooFarBack, match=f"version {version} is {9 - version} versions back; lists go back 4 at"):
            next(opened.scan(CHAT))


@pytest.mark.parametrize("bytes_max", [1, 500, 5_000, 10**9])
def test_a_list_at_an_old_version_is_the_same_in_however_many_pieces(
    bytes_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "CHANGED_BYTES_MAX", bytes_max)
    dice = random.Random(7)
    now: dict[bytes, bytes] = {}
    then: list[dict[bytes, bytes]] = []
    stores = Stores(MemoryStore())
    for version in range(12):
        changes = {
            b"%d-%03d" % (dice.randrange(3), dice.randrange(60)): dice.choice((None, dice.randbytes(9)))
            for _ in range(40)
        }
        stores.commit(stores.prepare(version, {CHAT: changes}))
        now = {key: value for key, value in (now | changes).items() if value is not None}
        then.append(now)
    for version, pairs in enumerate(then):
        opened = stores.at(version)
        for prefix, start in (
            (b"", b""),
            (b"1-", b""),
            (b"1-", b"1-031"),
            (b"", b"1-03"),
            (b"2", b"2-059~"),
            (b"9", b""),
        ):
            want = sorted(pair for pair in pairs.items() if pair[0].startswith(prefix) and pair[0] >= start)
            assert list(opened.scan(CHAT, prefix, start)) == want


def test_a_list_at_an_old_version_holds_a_bounded_part_of_what_changed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 25: invariants of an early height, asked for at a door, took up to 300 MB."""
    monkeypatch.setattr(view, "CHANGED_BYTES_MAX", 100_000)
    stores = committed(
        *(
            {CHAT: {b"%d-%04d" % (part, index): bytes([version]) * 1_000 for index in range(500)}}
            for version in range(3)
            for part in range(4)
        )
    )
    opened, count = stores.at(3), 0
    tracemalloc.start()
    try:
        for _, value in opened.scan(CHAT):
            count += value == bytes([0]) * 1_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 2_000
    assert peak < 700_000, "of two million bytes that changed since"


def test_a_prune_that_was_cut_off_is_finished_by_the_next() -> None:
    db = MemoryStore(models_crashes=True)
    stores = committed(*({CHAT: {b"k": b"%d" % version}} for version in range(10)), db=db)
    whole = committed(*({CHAT: {b"k": b"%d" % version}} for version in range(10)), db=(clean := MemoryStore()))
    db.write([(layout.EARLIEST_KEY, layout.pack_version(5))], sync=True)  # all that the first step wrote
    stores = Stores(db.crash())
    assert stores.earliest_version == 5
    assert stores.at(5).get(CHAT, b"k") == b"5"
    stores.prune(7)
    whole.prune(7)
    assert dict(stores._db.scan()) == content(clean)


def test_pruned_state_leaves_no_trace() -> None:
    """Failure 4: after a prune the database holds the latest records and two versions' worth of history, no more."""
    dice = random.Random(7)
    keys = [b"%d" % number for number in range(200)]
    db = MemoryStore()
    stores = committed(*({CHAT: {key: dice.randbytes(4) for key in dice.sample(keys, 20)}} for _ in range(50)), db=db)
    fresh = MemoryStore()
    committed({CHAT: dict(stores.scan(CHAT))}, db=fresh)
    stores.prune(49)
    kept = [key for key in content(db) if key.startswith(layout.UNDO)]
    assert {layout.version_of(key[1:]) for key in kept} == {49}
    latest = {key for key in content(db) if key[:1] in {layout.PAGE, layout.VALUE}}
    assert latest == {key for key in content(fresh) if key[:1] in {layout.PAGE, layout.VALUE}}


def test_pruning_frees_the_disk(tmp_path: Path) -> None:
    """Failure 4: on LevelDB the folder shrinks to what is held, at once."""
    db = LevelStore(str(tmp_path / "app"), StoreOptions(write_buffer_bytes=1 << 20))
    stores = Stores(db, prune_slack_bytes=1 << 20)
    dice = random.Random(5)
    for version in range(60):
        block = {b"%d" % number: dice.randbytes(500) for number in range(300)}
        stores.commit(stores.prepare(version, {CURRENCY: block}))
    db.compact(b"", b"\xff")
    full = folder_bytes(tmp_path / "app")
    stores.prune(2)  # frees what an earlier process may have left
    stores.prune(3)
    assert folder_bytes(tmp_path / "app") > full * 0.9
    stores.prune(59)
    assert folder_bytes(tmp_path / "app") < full / 10
    assert stores.at(58).get(CURRENCY, b"7") != stores.at(59).get(CURRENCY, b"7")
    db.close()


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.ldb"))


def test_a_rollback_executes_again_to_the_same_hashes() -> None:
    """Failure 17: go back, run the same blocks, get the same app hashes, and the same database."""
    dice = random.Random(3)

    def block() -> dict[bytes, bytes | None]:
        return {b"%d" % dice.randrange(60): dice.choice([None, dice.randbytes(3)]) for _ in range(30)}

    blocks: list[Changes] = [{CHAT: block(), CURRENCY: block()} for _ in range(12)]
    db = MemoryStore(models_crashes=True)
    stores = committed(*blocks, db=db)
    hashes = [stores.at(version).app_hash for version in range(12)]
    before = content(db)
    stores.rollback(4)
    assert (stores.latest_version, stores.app_hash) == (4, hashes[4])
    stores = Stores(db.crash())
    for version in range(5, 12):
        stores.commit(stores.prepare(version, blocks[version]))
        assert stores.app_hash == hashes[version]
    assert dict(stores._db.scan()) == before


@pytest.mark.parametrize("version", [-1, 3, 10])
def test_a_rollback_to_what_is_not_held_is_refused(version: int) -> None:
    stores = committed(*({CHAT: {b"k": b"%d" % number}} for number in range(10)))
    stores.prune(4)
    with pytest.raises(VersionUnavailable):
        stores.rollback(version)
    assert stores.latest_version == 9


def test_a_cleared_database_takes_a_genesis_again() -> None:
    db = MemoryStore(models_crashes=True)
    stores = committed({CHAT: {b"k": b"1"}}, {CHAT: {b"k": b"2"}}, db=db)
    stores.clear()
    assert stores.latest_version == NO_VERSION
    assert content(db) == {}
    stores.commit(stores.prepare(7, {CHAT: {b"k": b"1"}}))
    assert stores.app_hash == committed({CHAT: {b"k": b"1"}}).app_hash


# -------------------------------------------------------------------------------------------------- disk and threads


@pytest.mark.parametrize("lost", [layout.EARLIEST_KEY, layout.FORMAT_KEY, layout.ROOTS + layout.pack_version(0)])
def test_a_database_that_contradicts_itself_is_refused(lost: bytes) -> None:
    db = MemoryStore()
    committed({}, db=db)
    db.write([(lost, None)])
    with pytest.raises(CorruptState):
        Stores(db)


@pytest.mark.parametrize(
    ("name", "said"), [("", r"page \(root\) of the tree is missing"), ("7", "page 7 of the tree is missing")]
)
def test_a_missing_page_is_not_taken_for_an_empty_one(name: str, said: str) -> None:
    db = MemoryStore()
    committed({CHAT: {b"%d" % number: b"1" for number in range(100)}}, db=db)
    key = layout.page_key(b"\x01", name)
    assert db.get(key) is not None
    db.write([(key, None)])
    with pytest.raises(CorruptState, match=said):
        Stores(db).prepare(1, {CHAT: {b"%d" % number: b"2" for number in range(100)}})


def test_a_read_during_a_commit_leaves_no_stale_record() -> None:
    """A read that began before a commit and ends after it must not put the old record into the cache."""
    db = MemoryStore()
    stores = committed({CHAT: {b"k": b"old"}}, db=db)
    stores = Stores(db)
    pending = stores.prepare(1, {CHAT: {b"k": b"new"}})
    stores._cache.clear()
    in_read, go_on = threading.Event(), threading.Event()
    read: Callable[[bytes], bytes | None] = db.get

    def slow(key: bytes) -> bytes | None:
        record = read(key)
        in_read.set()
        assert go_on.wait(5)
        return record

    db.get = slow  # type: ignore[method-assign]
    reader = threading.Thread(target=stores.get, args=(CHAT, b"k"))
    reader.start()
    assert in_read.wait(5)
    db.get = read  # type: ignore[method-assign]
    stores._cache.clear()
    stores.commit(pending)
    go_on.set()
    reader.join(5)
    assert stores.get(CHAT, b"k") == b"new"


def test_a_stale_preparation_does_not_bring_old_records_back() -> None:
    """It may still be settling an older commit into the cache when the next ones arrive."""
    pairs: Changes = {CHAT: {b"%d" % number: b"0" for number in range(1_500)}}
    stores = committed(pairs)
    stale = stores.prepare_steps(1, {})
    next(stale)
    for version in (1, 2, 3):
        changes: Changes = {CHAT: dict.fromkeys(pairs[CHAT], b"%d" % version)}
        stores.commit(stores.prepare(version, changes))
    with pytest.raises(StalePending):
        list(stale)
    assert {stores.get(CHAT, key) for key in pairs[CHAT]} == {b"3"}


def test_a_reader_never_puts_an_old_record_over_a_newer_one() -> None:
    """audit 20: a reader found a record in the old generation, a commit came between and was settled, and the reader
    then kept what it had found: this node went on with an account of before.
    """
    cache = RecordCache(30_000)
    key, other = b"key", b"other"
    cache.put(key, b"before")
    while cache._old[key[-1] ^ key[1]].get(key) is None:
        cache.put(other, bytes(900))  # until the generations turn

    class Interrupted(dict[bytes, bytes | None]):
        """A commit of another thread, at the worst moment."""

        def get(self, wanted: bytes, default: object = None) -> object:  # type: ignore[override]
            found = super().get(wanted, default)  # type: ignore[arg-type]
            if wanted == key and cache._top == {} and not done:
                done.append(True)
                cache.lay({key: b"after"})
                list(cache.settle())
            return found

    done: list[bool] = []
    shard = key[-1] ^ key[1]
    cache._old[shard] = Interrupted(cache._old[shard])
    assert cache.get(key) == b"before"
    assert done
    assert cache.get(key) == b"after"


def test_the_cache_keeps_its_bound() -> None:
    stores = Stores(MemoryStore(), cache_bytes=100_000)
    stores.commit(stores.prepare(0, {CHAT: {b"%d" % number: bytes(50) for number in range(1, 3_000)}}))
    stores.prepare(1, {})
    for number in range(1, 3_000):
        assert stores.get(CHAT, b"%d" % number) == bytes(50)
        assert stores._cache.bytes_held_max <= 100_000
