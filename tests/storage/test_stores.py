"""Both backends against one plain model, and what each promises beyond it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import InvalidOption, StorageError, StoreClosed, StoreUnavailable, UnknownBackend
from storage.kv import KeyValueStore, Reader
from storage.leveldb import LevelStore
from storage.memory import MemoryStore
from storage.open import open_store
from storage.options import StoreOptions

KEYS = st.binary(max_size=3)
STORED_KEYS = st.binary(min_size=1, max_size=3)  # no room stores an empty key, and plyvel loses it when it scans back
BATCHES = st.lists(st.lists(st.tuples(STORED_KEYS, st.none() | st.binary(max_size=4)), max_size=8), max_size=8)


@pytest.fixture(params=["leveldb", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValueStore]:
    opened = open_store(request.param, tmp_path / "deep" / "db")
    yield opened
    opened.close()


def check_reads(reader: Reader, model: dict[bytes, bytes], start: bytes, stop: bytes | None) -> None:
    wanted = sorted(item for item in model.items() if item[0] >= start and (stop is None or item[0] < stop))
    assert list(reader.scan(start, stop)) == wanted
    assert list(reader.scan(start, stop, reverse=True)) == wanted[::-1]
    assert all(reader.get(key) == model.get(key) for key in (start or b"x", *model))


def run_model(store: KeyValueStore, batches: list[list[tuple[bytes, bytes | None]]], start: bytes, stop: bytes) -> None:
    store.write([(key, None) for key, _ in list(store.scan())])
    model: dict[bytes, bytes] = {}
    seen: list[tuple[Reader, dict[bytes, bytes]]] = []
    for number, batch in enumerate(batches):
        seen.append((store.snapshot(), dict(model)))
        store.write(batch, sync=number % 2 == 0)
        for key, value in batch:
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
        check_reads(store, model, start, stop)
        check_reads(store, model, start, None)
    for snapshot, then in seen:
        check_reads(snapshot, then, start, stop)


@settings(max_examples=60, deadline=None)
@given(batches=BATCHES, start=KEYS, stop=KEYS)
def test_memory_reads_as_a_sorted_dict(
    batches: list[list[tuple[bytes, bytes | None]]], start: bytes, stop: bytes
) -> None:
    run_model(MemoryStore(), batches, start, stop)


@pytest.fixture(scope="module")
def level(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LevelStore]:
    store = LevelStore(str(tmp_path_factory.mktemp("level") / "db"))
    yield store
    store.close()


@settings(max_examples=25, deadline=None)
@given(batches=BATCHES, start=KEYS, stop=KEYS)
def test_leveldb_reads_as_a_sorted_dict(
    level: LevelStore, batches: list[list[tuple[bytes, bytes | None]]], start: bytes, stop: bytes
) -> None:
    run_model(level, batches, start, stop)


def test_a_scan_sees_the_moment_of_its_call(store: KeyValueStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    pairs = store.scan()
    store.write([(b"b", None), (b"c", b"4"), (b"d", b"5")])
    assert list(pairs) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert list(store.scan()) == [(b"a", b"1"), (b"c", b"4"), (b"d", b"5")]


@pytest.mark.parametrize("keys", [[b"b"], [b"a", b"b"], [b"b", b"c"], [b"a", b"b", b"c"]])
def test_a_scan_back_ends_with_its_start(store: KeyValueStore, keys: list[bytes]) -> None:
    """plyvel 1.5.1 loses a key that equals `start` and is alone in the range."""
    store.write([(key, b"x") for key in keys])
    assert [key for key, _ in store.scan(b"b", reverse=True)] == [key for key in reversed(keys) if key >= b"b"]
    assert [key for key, _ in store.scan(b"b", b"c", reverse=True)] == [b"b"]


def test_a_scan_can_be_left(store: KeyValueStore) -> None:
    store.write([(bytes([number]), b"x") for number in range(200)])
    assert next(store.scan(b"\x07")) == (b"\x07", b"x")
    assert next(store.scan(reverse=True)) == (b"\xc7", b"x")


USES: list[Callable[[KeyValueStore], object]] = [
    lambda store: store.get(b"k"),
    lambda store: list(store.scan()),
    lambda store: store.write([(b"k", b"v")]),
    lambda store: store.snapshot(),
    lambda store: store.compact(b"a", b"b"),
]


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_says_so(store: KeyValueStore, use: Callable[[KeyValueStore], object]) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreClosed, match="is closed"):
        use(store)


# ------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("rocksdb", "unknown database backend 'rocksdb'; write leveldb instead; allowed: leveldb, memory"),
        ("sqlite", "unknown database backend 'sqlite'; allowed: leveldb, memory"),
        ("", "unknown database backend ''; allowed: leveldb, memory"),
    ],
)
def test_an_unknown_backend_lists_the_allowed(backend: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownBackend) as caught:
        open_store(backend, tmp_path)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("option", "value"),
    [("cache_bytes", -1), ("write_buffer_bytes", 1_000), ("max_open_files", 0), ("block_bytes", 0)],
)
def test_an_option_out_of_range_is_named(option: str, value: int) -> None:
    with pytest.raises(InvalidOption, match=f"{option} is {value}; allowed: "):
        StoreOptions(**{option: value})


def test_options_reach_the_database(tmp_path: Path) -> None:
    """A small write buffer is written out to files long before the default one would be."""
    pairs = [(b"%06d" % number, bytes(100)) for number in range(5_000)]
    files = {}
    for name, options in (("small", StoreOptions(write_buffer_bytes=65_536)), ("default", StoreOptions())):
        store = open_store("leveldb", tmp_path / name, options)
        for at in range(0, len(pairs), 100):
            store.write(pairs[at : at + 100])
        files[name] = len(list((tmp_path / name).glob("*.ldb")))
        store.close()
    assert files["default"] == 0
    assert files["small"] >= 1


def test_one_database_has_one_holder(tmp_path: Path) -> None:
    held = LevelStore(str(tmp_path / "db"))
    with pytest.raises(StoreUnavailable, match=r"cannot open database .*db: "):
        LevelStore(str(tmp_path / "db"))
    held.close()
    LevelStore(str(tmp_path / "db")).close()


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        LevelStore(str(tmp_path / "file"))


def test_what_was_synced_outlives_a_kill(tmp_path: Path) -> None:
    """The process is killed with batches in flight: each is whole or absent, and every synced one is there."""
    program = (
        "import os, signal, sys\n"
        "from storage.leveldb import LevelStore\n"
        "store = LevelStore(sys.argv[1])\n"
        "for number in range(50):\n"
        "    store.write([(b'%03d/%d' % (number, part), bytes(100)) for part in range(10)], sync=number < 20)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "db")], check=False)
    assert done.returncode == -9
    store = LevelStore(str(tmp_path / "db"))
    held = [key for key, _ in store.scan()]
    assert len(held) >= 20 * 10
    assert len(held) % 10 == 0
    assert held == [b"%03d/%d" % (number, part) for number in range(len(held) // 10) for part in range(10)]
    store.close()


def test_compaction_frees_the_disk_of_what_was_deleted(tmp_path: Path) -> None:
    """Failure 4: after a range is deleted and compacted, the folder is small again."""
    folder = tmp_path / "db"
    store = LevelStore(str(folder), StoreOptions(write_buffer_bytes=1 << 20))
    keys = [b"old/%06d" % number for number in range(4_000)]
    dice = random.Random(4)
    for at in range(0, len(keys), 500):
        store.write([(key, dice.randbytes(1_000)) for key in keys[at : at + 500]])
    store.write([(b"new/1", b"stays")])
    store.compact(b"old/", b"old0")
    full = folder_bytes(folder)
    assert full > 3_500_000
    store.write([(key, None) for key in keys], sync=True)
    store.compact(b"old/", b"old0")
    assert list(store.scan()) == [(b"new/1", b"stays")]
    assert folder_bytes(folder) < full / 100
    store.close()


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.ldb"))


# ------------------------------------------------------------------------------------- crashes of the memory store


@settings(max_examples=80, deadline=None)
@given(batches=BATCHES, synced=st.integers(0, 7), data=st.data())
def test_a_crash_takes_unsynced_batches_whole_from_the_tail(
    batches: list[list[tuple[bytes, bytes | None]]], synced: int, data: st.DataObject
) -> None:
    store = MemoryStore(models_crashes=True)
    states: list[dict[bytes, bytes]] = [{}]
    for number, batch in enumerate(batches):
        store.write(batch, sync=number + 1 == synced)
        states.append(dict(store.scan()))
    durable = synced if synced <= len(batches) else 0
    assert store.unsynced_batches == len(batches) - durable
    survivors = data.draw(st.integers(0, store.unsynced_batches))
    after = store.crash(survivors=survivors)
    assert dict(after.scan()) == states[durable + survivors]
    assert after.unsynced_batches == 0
    with pytest.raises(StoreClosed):
        store.get(b"")


def test_only_a_store_that_models_crashes_crashes() -> None:
    with pytest.raises(AssertionError):
        MemoryStore().crash()


def test_without_the_model_nothing_is_remembered() -> None:
    store = MemoryStore()
    store.write([(b"k", b"v")])
    assert store.unsynced_batches == 0
