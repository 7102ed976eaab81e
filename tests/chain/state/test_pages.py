"""The records that the native part holds are those of the latest version, whatever is forgotten, undone or damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.state import checked, layout, smt
from chain.state.errors import CorruptState, StalePending
from chain.state.roots import CHAT, CURRENCY, STORE_NAMES
from chain.state.store import Stores
from crypto import native
from storage.memory import MemoryStore
from tests.support.chain.without_native import in_python

pytestmark = pytest.mark.skipif(not native.is_used(), reason=f"the native part is not used here: {native.state()}")

PREFIX = layout.PAGE + b"\x01"
KEYS = st.integers(0, 90).map(lambda number: b"k%d" % number)
CHANGES = st.dictionaries(
    st.sampled_from(STORE_NAMES), st.dictionaries(KEYS, st.one_of(st.none(), st.binary(min_size=1, max_size=4)))
)
MISS = layout.RecordCache.MISS
THEN = ["", "", "reload", "back", "prune", "open", "drop"]
DAMAGE = ["other", "cut", "gone", "slot"]


def all_of(db: MemoryStore) -> dict[bytes, bytes]:
    return dict(db.scan())


# ------------------------------------------------------------------------------------------------------- the cache

NAMES = st.text(alphabet="0f", max_size=16)
PUTS = st.lists(st.tuples(st.integers(0, 2), NAMES, st.one_of(st.none(), st.binary(max_size=300))), max_size=60)


def key_of(store: int, name: str) -> bytes:
    return layout.page_key(bytes([store]), name)


@given(PUTS)
def test_a_cache_gives_what_was_put_last(puts: list[tuple[int, str, bytes | None]]) -> None:
    cache = native.record_cache(1 << 20)
    expected: dict[bytes, bytes | None] = {}
    for store, name, record in puts:
        cache.put([(key_of(store, name), record)])
        expected[key_of(store, name)] = record
        assert {key: cache.get(key, MISS) for key in expected} == expected
        assert cache.get(b"other", MISS) is MISS


@given(PUTS, st.integers(0, 2_000))
def test_a_small_one_gives_that_or_nothing_and_keeps_its_bound(
    puts: list[tuple[int, str, bytes | None]], bytes_max: int
) -> None:
    cache = native.record_cache(bytes_max)
    expected: dict[bytes, bytes | None] = {}
    asked = 0
    for store, name, record in puts:
        cache.put([(key_of(store, name), record)])
        expected[key_of(store, name)] = record
        for key, value in expected.items():
            assert cache.get(key, MISS) in (value, MISS)
            asked += 1
        hits, misses, held = cache.counts()
        assert hits + misses == asked
        assert held <= bytes_max


def test_what_is_used_outlives_what_is_not() -> None:
    cache = native.record_cache(100 * 250)
    used, page = key_of(0, "abc"), bytes(100)
    cache.put([(used, b"used")])
    for number in range(1_000):
        cache.put([(key_of(1, f"{number:x}"), page)])
        if number % 20 == 0:
            assert cache.get(used, MISS) == b"used"
    assert cache.get(key_of(1, "1"), MISS) is MISS


def test_the_node_of_a_key_is_the_trees() -> None:
    stores = Stores(MemoryStore())
    stores.commit(stores.prepare(0, {CHAT: {b"k%d" % number: b"v" for number in range(500)}}))
    held, view = stores._held, stores.at()
    assert held is not None
    for number in range(600):
        assert held.node(PREFIX, b"k%d" % number) == (view.node_of(CHAT, b"k%d" % number), None)
    assert native.record_cache(1 << 20).node(PREFIX, b"k1") == (None, key_of(1, ""))


def test_pages_are_taken_where_they_fit_the_ones_above_them() -> None:
    db = MemoryStore()
    stores = Stores(db)
    stores.commit(stores.prepare(0, {CHAT: {b"k%d" % number: b"v" for number in range(1_200)}}))
    pages = [(key, record) for key, record in db.scan() if key.startswith(PREFIX)]
    cache = native.record_cache(1 << 20)
    assert cache.add(pages) == 0  # nothing is above the uppermost
    cache.put(pages[:1])
    assert cache.add(pages[40:]) == 0
    assert cache.add(pages[1:]) == len(pages) - 1
    for at in (1, 20, 200):
        key, record = pages[at]
        for wrong in (record[:-1], record[:28] + bytes([record[28] ^ 1]) + record[29:], pages[at + 1][1], b""):
            cache = native.record_cache(1 << 20)
            cache.put(pages[:1])
            assert cache.add([*pages[1:at], (key, wrong)]) == at - 1
            assert cache.get(key, MISS) is MISS


@pytest.mark.parametrize(("bytes_max", "all_of_them"), [(1 << 20, True), (60_000, False), (0, False)])
def test_what_is_warmed_is_read_no_more(bytes_max: int, all_of_them: bool) -> None:
    db = MemoryStore()
    stores = Stores(db)
    stores.commit(stores.prepare(0, {CHAT: {b"k%d" % number: b"v" for number in range(1_200)}}))
    stores = Stores(db, cache_bytes=bytes_max)
    count = sum(key.startswith(layout.PAGE) for key, _ in db.scan())
    steps, taken = stores.warm_steps(), 0
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            taken = stop.value
            break
    _, _, held = stores.cache_counts()
    assert held <= bytes_max
    if all_of_them:
        roots = sum(root != smt.EMPTY_HASH for root in stores.roots.values())
        assert taken == count - roots
        missed = stores.cache_counts()[1]
        changes: dict[bytes, bytes | None] = {b"k%d" % number: b"w" for number in range(50)}
        stores.prepare(1, {CHAT: changes})
        assert stores.cache_counts()[1] == missed + len(changes)  # the values
    else:
        assert taken < count // 2


def test_a_commit_between_two_steps_of_warming_leaves_nothing_old() -> None:
    db = MemoryStore()
    stores = Stores(db)
    stores.commit(stores.prepare(0, {CHAT: {b"k%d" % number: b"v" for number in range(3_000)}}))
    stores = Stores(db)
    steps = stores.warm_steps()
    for version in range(1, 6):
        next(steps)
        stores.commit(stores.prepare(version, {CHAT: {b"k%d" % number: b"%d" % version for number in range(900)}}))
    list(steps)
    held = {key: stores._cache.get(key) for key, _ in db.scan() if key.startswith(layout.PAGE)}
    assert MISS not in held.values()
    assert held == {key: record for key, record in db.scan() if key.startswith(layout.PAGE)}


# ------------------------------------------------------------------------------------------------------ the stores


@given(
    blocks=st.lists(
        st.tuples(CHANGES, st.sampled_from(["", "", "reload", "back", "prune", "open", "drop"])), max_size=8
    ),
    cache=st.sampled_from([0, 1_500, 6_000, 1 << 20]),
)
@settings(max_examples=80)
def test_the_database_is_the_same_whatever_is_held(
    blocks: list[tuple[dict[str, dict[bytes, bytes | None]], str]], cache: int
) -> None:
    db, reference = MemoryStore(), MemoryStore()
    stores = Stores(db, cache_bytes=cache)
    with in_python():
        python = Stores(reference, cache_bytes=cache)
    for changes, then in blocks:
        if then == "drop":
            stores.prepare(stores.latest_version + 1, {CURRENCY: {b"k%d" % number: b"no" for number in range(40)}})
        stores.commit(stores.prepare(stores.latest_version + 1, changes))
        with in_python():
            python.commit(python.prepare(python.latest_version + 1, changes))
        for one in (stores, python):
            if then == "back":
                one.rollback(max(one.earliest_version, one.latest_version - 1))
            elif then == "reload":
                one.reload()
            elif then == "prune":
                one.prune(one.latest_version)
        if then == "open":
            stores = Stores(db, cache_bytes=cache)
        assert stores.app_hash == python.app_hash
        assert all_of(db) == all_of(reference)
        for store, pairs in changes.items():
            assert {key: stores.get(store, key) for key in pairs} == {key: python.get(store, key) for key in pairs}


def damaged(name: str, how: str) -> MemoryStore:
    """A store of 300 keys with a page that is not what it was."""
    db = MemoryStore()
    stores = Stores(db)
    stores.commit(stores.prepare(0, {CHAT: {b"k%d" % number: b"v" for number in range(1_200)}}))
    before = layout.page_key(b"\x01", name), db.get(layout.page_key(b"\x01", name))
    stores.commit(stores.prepare(1, {CHAT: {b"k%d" % number: b"w" for number in range(1_200)}}))
    key, record = before
    assert record is not None
    match how:
        case "other":  # an older one, which is right by itself
            db.write([(key, record)])
        case "cut":
            db.write([(key, record[:-3])])
        case "gone":
            db.write([(key, None)])
        case "slot":
            db.write([(key, record[:-1] + bytes([record[-1] ^ 1]))])
    return db


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ["", "7", "a3"])
def test_damage_of_the_disk_is_told_as_without_it(name: str, how: str) -> None:
    said = []
    for switched in (True, False):
        db, told = damaged(name, how), list[CorruptState]()
        native.switch(switched)
        try:
            stores = Stores(db, on_corrupted=told.append)
            with pytest.raises(CorruptState) as found:
                stores.prepare(2, {CHAT: {b"k%d" % number: b"x" for number in range(1_200)}})
        finally:
            native.switch(True)
        assert told == [found.value]
        said.append(str(found.value))
    assert said[0] == said[1]


def test_a_commit_between_two_steps_is_no_damage() -> None:
    random = Random(3)
    pool = [b"k%d" % number for number in range(3_000)]
    for stop in range(1, 200, 2):
        stores = Stores(MemoryStore())
        stores.commit(stores.prepare(0, {CHAT: dict.fromkeys(pool, b"v")}))
        stale = stores.prepare_steps(1, {CHAT: dict.fromkeys(random.sample(pool, 2_000), b"w")})
        if sum(1 for _ in islice(stale, stop)) < stop:
            break
        gone: dict[bytes, bytes | None] = dict.fromkeys(random.sample(pool, 2_900))
        stores.commit(stores.prepare(1, {CHAT: gone}))
        with pytest.raises(StalePending):
            list(stale)
    assert stop > 20


def test_a_page_that_is_read_during_a_commit_does_not_stay() -> None:
    db = MemoryStore()
    stores = Stores(db)
    stores.commit(stores.prepare(0, {CHAT: {b"k%d" % number: b"v" for number in range(1_200)}}))
    stores = Stores(db)
    pending = stores.prepare(1, {CHAT: {b"k%d" % number: b"w" for number in range(1_200)}})
    stores._cache.clear()
    key = layout.page_key(b"\x01", "")
    in_read, go_on = threading.Event(), threading.Event()
    read: Callable[[bytes], bytes | None] = db.get

    def slow(wanted: bytes) -> bytes | None:
        record = read(wanted)
        if wanted == key and not in_read.is_set():
            in_read.set()
            assert go_on.wait(5)
        return record

    db.get = slow  # type: ignore[method-assign]
    reader = threading.Thread(target=stores.get, args=(CHAT, b"k7"))
    reader.start()
    assert in_read.wait(5)
    stores.commit(pending)
    go_on.set()
    reader.join(5)
    assert stores._cache.get(key) in (MISS, read(key))
    assert stores.get(CHAT, b"k7") == b"w"
    assert not checked.fault(read, stores.roots[CHAT], layout.VALUE + b"\x01k7", read(layout.VALUE + b"\x01k7"))
