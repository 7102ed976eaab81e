"""What does not fit the tree is found where it is read, and nothing that fits is refused."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.state import layout
from chain.state.audit import audit
from chain.state.errors import CorruptState
from chain.state.store import Stores
from storage.memory import MemoryStore
from storage.open import open_store

CHAT, ID = "chat", b"\x01"
KEYS = [b"key%d" % number for number in range(200)]


def made() -> tuple[MemoryStore, dict[bytes, bytes]]:
    """A database of two versions, and its records at the first."""
    db = MemoryStore()
    stores = Stores(db)
    stores.commit(stores.prepare(0, {CHAT: dict.fromkeys(KEYS, b"old")}))
    before = dict(db.scan())
    stores.commit(stores.prepare(1, {CHAT: {**dict.fromkeys(KEYS[:150], b"new"), b"added": b"1"}}))
    return db, before


def value_key(key: bytes) -> bytes:
    return layout.VALUE + ID + key


def get(stores: Stores) -> object:
    return stores.get(CHAT, KEYS[7])


def scan(stores: Stores) -> object:
    return list(stores.scan(CHAT, b"key"))


def prepare(stores: Stores) -> object:
    return stores.prepare(2, {CHAT: {KEYS[7]: b"newer"}})


PAGE = layout.page_key(ID, "")
READS = [get, scan, prepare]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("key", "is_older"),
    [
        pytest.param(value_key(KEYS[7]), True, id="an older value"),
        pytest.param(value_key(KEYS[7]), False, id="a value that is gone"),
        pytest.param(PAGE, True, id="an older page"),
        pytest.param(PAGE, False, id="a page that is gone"),
    ],
)
def test_what_is_not_what_was_written_is_found_where_it_is_read(
    key: bytes, is_older: bool, read: Callable[[Stores], object]
) -> None:
    db, before = made()
    db.write([(key, before[key] if is_older else None)])
    told: list[CorruptState] = []
    stores = Stores(db, on_corrupted=told.append)
    if read is scan and key != PAGE and not is_older:
        assert value_key(KEYS[7]) not in db.keys_between(b"", None) or KEYS[7] not in dict(stores.scan(CHAT, b"key"))
        assert list(filter(None, audit(db.snapshot())))  # a walk over all finds that, no single read
        return
    with pytest.raises(CorruptState, match="store chat, key"):
        read(stores)
    assert told
    assert list(filter(None, audit(db.snapshot())))


def test_what_was_never_there_or_is_whole_is_right() -> None:
    db, _ = made()
    stores = Stores(db)
    assert stores.get(CHAT, b"another") is None
    assert stores.get("bridge", b"another") is None
    assert dict(stores.scan(CHAT))[KEYS[160]] == b"old"
    assert not list(filter(None, audit(db.snapshot())))


def test_a_value_beside_the_tree_is_found_by_a_walk() -> None:
    db, before = made()
    db.write([(value_key(b"planted"), before[value_key(KEYS[0])])])
    assert [fault.where for fault in audit(db.snapshot()) if fault] == [
        f"store chat, key {value_key(b'planted').hex()}"
    ]
    with pytest.raises(CorruptState):
        Stores(db).get(CHAT, b"planted")


@pytest.mark.parametrize("backend", ["memory", "leveldb"])
def test_reads_beside_commits_are_no_damage(backend: str, tmp_path: Path) -> None:
    """A value of one version and a page of the next are no fault of the disk. Nothing is remembered here for long."""
    stores = Stores(open_store(backend, tmp_path / "db"), cache_bytes=3_000)
    stores.commit(stores.prepare(0, {CHAT: dict.fromkeys(KEYS, b"0")}))
    errors: list[Exception] = []
    done = threading.Event()

    def reads() -> None:
        chance = random.Random(1)
        try:
            while not done.is_set():
                stores.get(CHAT, chance.choice(KEYS))
        except Exception as error:
            errors.append(error)

    readers = [threading.Thread(target=reads) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(1, 40):
        stores.commit(stores.prepare(version, {CHAT: dict.fromkeys(KEYS, b"%d" % version)}))
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []
