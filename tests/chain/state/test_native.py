"""The native update of a tree beside the Python that it stands for: the same records, or the same error."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.state import checked, layout, smt
from chain.state.errors import CorruptState
from chain.state.roots import STORE_NAMES
from chain.state.store import Pending, Stores
from crypto import native
from storage.memory import MemoryStore
from tests.support.chain.without_native import in_python
from tests.support.counts import counted

pytestmark = pytest.mark.skipif(not native.is_used(), reason=f"the native part is not used here: {native.state()}")

VERSION = layout.pack_version(7)
PREFIX = layout.PAGE + b"\x02"

KEYS = st.one_of(
    st.integers(0, 60).map(lambda number: b"k%d" % number),
    st.integers(0, 3).map(lambda number: bytes([number + 1]) * smt.KEY_BYTES_MAX),
)
VALUES = st.one_of(st.none(), st.binary(min_size=1, max_size=4), st.just(b"v" * 3_000))
CHANGES = st.dictionaries(st.sampled_from(STORE_NAMES), st.dictionaries(KEYS, VALUES, max_size=40))


def told(pending: Pending) -> object:
    """All that a block writes, in its order."""
    return pending.roots, pending.app_hash, list(pending.records.items()), list(pending.undo), pending.size


@given(
    first=st.sampled_from([0, 62, 63]),
    blocks=st.lists(CHANGES, min_size=1, max_size=6),
    side=st.dictionaries(KEYS, VALUES, max_size=5),
    cache=st.sampled_from([0, 1 << 20]),
)
@settings(max_examples=60)
def test_any_blocks_write_the_same(
    first: int, blocks: list[dict[str, dict[bytes, bytes | None]]], side: dict[bytes, bytes | None], cache: int
) -> None:
    stores = Stores(MemoryStore(), cache_bytes=cache)
    for version, changes in enumerate(blocks, first):
        pending = stores.prepare(version, changes, {"chat": side})
        with in_python():
            assert told(stores.prepare(version, changes, {"chat": side})) == told(pending)
        stores.commit(pending)


def test_a_large_tree_is_the_same_however_it_grew_and_shrank() -> None:
    random = Random(5)
    stores = Stores(MemoryStore())
    pool = [b"account%d" % number for number in range(3_000)]
    for version, (count, dropped) in enumerate([(2_500, 0.0), (700, 0.3), (1_200, 0.9), (900, 0.1), (1, 0.0)]):
        changes: dict[bytes, bytes | None] = {
            key: None if random.random() < dropped else random.randbytes(60) for key in random.sample(pool, count)
        }
        pending = stores.prepare(version, {"currency": changes})
        with in_python():
            assert told(stores.prepare(version, {"currency": changes})) == told(pending)
        stores.commit(pending)


# ------------------------------------------------------------------------------------- what nobody could have stored

Pages = dict[str, bytes]


def tree_of(count: int) -> Pages:
    changes = sorted(smt.leaf_change(b"k%d" % number, b"v%d" % number) for number in range(count))
    pages = smt.update({}.get, changes).pages
    return {name: page for name, page in pages.items() if page is not None}


def python_update(pages: Pages, changes: dict[bytes, bytes | None]) -> object:
    olds: dict[bytes, bytes] = {}

    def load(name: str) -> bytes | None:
        if name in pages:
            olds[layout.page_key(b"\x02", name)] = VERSION + pages[name]
        return pages.get(name)

    try:
        change = smt.update(load, sorted(smt.leaf_change(key, value) for key, value in changes.items()))
    except CorruptState as error:
        return str(error)
    records = {layout.page_key(b"\x02", name): page for name, page in change.pages.items()}
    undo = layout.UndoRuns(8)
    with in_python():
        undo.add(
            (key, VERSION + change.deltas[name] if (name := key[3:].decode()) in change.deltas else olds.get(key))
            for key in records
        )
    return change.root, list(records.items()), undo.writes


def native_update(pages: Pages, changes: dict[bytes, bytes | None], most: int) -> object:
    update = native.tree_update(PREFIX, layout.pack_version(8), is_whole=False)
    update.add(list(changes.items()))
    records: list[tuple[bytes, bytes | None]] = []
    runs: list[tuple[bytes, bytes | None]] = []
    try:
        while (keys := update.wanted(most)) is not None:
            found = [pages.get(key[3:].decode()) for key in keys]
            update.give([None if page is None else VERSION + page for page in found])
    except ValueError as error:
        return str(CorruptState(str(error)))
    while not update.hash(most):
        pass
    while (taken := update.take(10_000, layout.UNDO + layout.pack_version(8)))[0]:
        records += [(key, page and page[8:]) for key, page in taken[0]]
        runs = taken[1]
    return update.root(), records, runs


@st.composite
def damaged(draw: st.DrawFn) -> Pages:
    """A tree with one page changed in some bytes, cut, made longer, empty, gone, or that of another place."""
    pages = tree_of(draw(st.sampled_from([1, 2, 3, 40, 400])))
    name = draw(st.sampled_from(sorted(pages, key=lambda name: (len(name), name))))
    page = bytearray(pages[name])
    match draw(st.sampled_from(["bytes", "lengths", "cut", "longer", "empty", "gone", "other", "whole"])):
        case "bytes":
            for at, byte in draw(st.lists(st.tuples(st.integers(0, len(page) - 1), st.integers(0, 255)), max_size=4)):
                page[at] = byte
        case "lengths":  # that still add up
            one, other = draw(st.integers(0, 19)), draw(st.integers(0, 19))
            page[one], page[other] = page[other], page[one]
        case "cut":
            del page[draw(st.integers(0, len(page))) :]
        case "longer":
            page += draw(st.binary(min_size=1, max_size=40))
        case "empty":
            page.clear()
        case "gone":
            return {one: page for one, page in pages.items() if one != name}
        case "other":
            page = bytearray(pages[draw(st.sampled_from(sorted(pages)))])
        case _:
            pass
    return {**pages, name: bytes(page)}


@given(
    pages=damaged(), changes=st.dictionaries(KEYS, VALUES, min_size=1, max_size=40), most=st.sampled_from([1, 3, 500])
)
@settings(max_examples=counted(75, whole=300))
def test_a_damaged_page_gives_the_same_pages_or_the_same_error(
    pages: Pages, changes: dict[bytes, bytes | None], most: int
) -> None:
    assert native_update(pages, changes, most) == python_update(pages, changes)


@given(damaged())
@settings(max_examples=counted(50, whole=200))
def test_a_page_is_judged_alike_when_it_is_read(pages: Pages) -> None:
    for page in list(pages.values())[:20]:
        got = judged(page)
        with in_python():
            assert judged(page) == got


def judged(page: bytes) -> object:
    try:
        return checked.check_page(page)
    except CorruptState as error:
        return str(error)


def test_a_tree_without_end_is_refused() -> None:
    """Pages that name themselves to be below themselves, further than a path goes."""
    page = smt.encode_page([b"", b"", b"", b""] + [b"h" * smt.HASH_BYTES] * smt.SLOTS)
    path = smt.path_of(b"k")
    pages = {path[:depth]: page for depth in range(len(path) + 1)}
    want = str(CorruptState(f"the tree has more than {len(path)} levels of pages"))
    assert python_update(pages, {b"k": b"v"}) == native_update(pages, {b"k": b"v"}, 100) == want


@pytest.mark.parametrize(("prefix", "version", "key"), [
    pytest.param(b"p", VERSION, b"k", id="a short prefix"),
    pytest.param(PREFIX, b"7", b"k", id="a short version"),
    pytest.param(PREFIX, VERSION, b"k" * (smt.KEY_BYTES_MAX + 1), id="a long key"),
])  # fmt: skip
def test_what_no_store_asks_for_is_refused(prefix: bytes, version: bytes, key: bytes) -> None:
    with pytest.raises(ValueError):
        native.tree_update(prefix, version, is_whole=True).add([(key, b"v")])
