"""LevelDB's files, damaged in every way that its own opening takes for granted, and in those that it does not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import StorageError, StoreCorrupted
from storage.level_files import damages, look_through, read_manifest, scan_log, tables_of
from storage.leveldb import LevelStore
from storage.options import StoreOptions

SMALL = StoreOptions(write_buffer_bytes=65_536)
BATCHES = 300


def write(path: Path, first: int, last: int) -> None:
    chance = random.Random(first)
    store = LevelStore(str(path), SMALL)
    for number in range(first, last):
        pairs = [(b"v%06d" % chance.randrange(5_000), chance.randbytes(100)) for _ in range(20)]
        store.write([*pairs, (b"height", b"%d" % number)], sync=number % 10 == 0)
    store.close()


def content(path: Path) -> dict[bytes, bytes]:
    store = LevelStore(str(path), SMALL)
    try:
        return dict(store.scan())
    finally:
        store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "db"
    write(path, 0, BATCHES)
    return path


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def cut(data: bytes, at: int) -> bytes:
    return data[:at]


@pytest.mark.parametrize("how", [flip, cut])
def test_no_byte_of_any_file_can_change_or_be_missing_unnoticed(
    how: Callable[[bytes, int], bytes], whole: Path, tmp_path: Path
) -> None:
    """But for the end of the newest log, which a stop may tear: what is behind that is an older state, and whole."""
    chance, expected = random.Random(5), content(shutil.copytree(whole, tmp_path / "expected"))
    older, named = 0, [True]
    for file in sorted(whole.iterdir()):
        if file.name.startswith("LO") or not file.stat().st_size:
            continue  # LOCK, LOG
        for at in chance.sample(range(file.stat().st_size), min(8, file.stat().st_size)):
            path = shutil.copytree(whole, tmp_path / f"{file.name}-{at}")
            (path / file.name).write_bytes(how(file.read_bytes(), at))
            try:
                got = content(path)
            except StoreCorrupted as error:
                named.append(error.file.startswith(str(path)))
                continue
            if got == expected:  # a table's padding, or its filter, without which it reads as well
                assert file.suffix == ".ldb", (file.name, at)
                continue
            assert file.suffix == ".log", (file.name, at)
            assert int(got[b"height"]) < BATCHES
            older += 1
    assert older or how is flip
    assert all(named)


def test_a_missing_file_is_named(whole: Path, tmp_path: Path) -> None:
    """LevelDB itself would make a new database where CURRENT is gone, and delete what is there."""
    logs = sorted(whole.glob("*.log"))
    for file in sorted(whole.iterdir()):
        if file.name.startswith("LO") or file.suffix == ".ldb" or file in logs[1:]:
            continue
        path = shutil.copytree(whole, tmp_path / file.name)
        (path / file.name).unlink()
        with pytest.raises(StoreCorrupted) as caught:
            LevelStore(str(path), SMALL)
        assert file.name in str(caught.value)


def test_an_older_manifest_in_the_place_of_a_newer_one_is_found(whole: Path, tmp_path: Path) -> None:
    """The tables that it does not know would be deleted, and the writes in them gone without a word."""
    older = shutil.copytree(whole, tmp_path / "older")
    content(older)  # as it lay when it was stopped once more
    newer = shutil.copytree(older, tmp_path / "newer")
    write(newer, BATCHES, 2 * BATCHES)
    for name in ("CURRENT", read_manifest(older).path.name):
        shutil.copyfile(older / name, newer / name)
    with pytest.raises(StoreCorrupted):
        LevelStore(str(newer), SMALL)


def test_a_log_of_a_later_time_does_not_follow_an_earlier_database(whole: Path, tmp_path: Path) -> None:
    newer = shutil.copytree(whole, tmp_path / "newer")
    write(newer, BATCHES, BATCHES + 5)
    log = max(newer.glob("*.log"))
    early = tmp_path / "early"
    write(early, 0, 3)
    shutil.copyfile(log, max(early.glob("*.log")))
    with pytest.raises(StoreCorrupted, match="an older file stands in for a newer one"):
        LevelStore(str(early), SMALL)


def test_a_torn_end_is_cut_and_damage_before_whole_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    write(path, 0, 5)
    log = max(path.glob("*.log"))
    data = log.read_bytes()
    records = scan_log(data).records
    last = records[-1][0]
    log.write_bytes(flip(data, last + 40))
    assert look_through(str(path)) == (log, last, f"the checksum of the record at offset {last} does not hold")
    assert content(path)[b"height"] == b"3"
    torn = tmp_path / "middle"
    write(torn, 0, 5)
    log = max(torn.glob("*.log"))
    log.write_bytes(flip(log.read_bytes(), records[1][0] + 40))
    with pytest.raises(StoreCorrupted, match="whole writes follow it"):
        LevelStore(str(torn), SMALL)


def test_zeros_at_an_end_are_what_a_stop_leaves(whole: Path, tmp_path: Path) -> None:
    """Of a machine: some file systems have the new size on disk before what was written. LevelDB passes over them."""
    for size in (1, 7, 4_096, 70_000):
        folder = shutil.copytree(whole, tmp_path / str(size))
        for file in (read_manifest(folder).path, max(folder.glob("*.log"))):
            file.write_bytes(file.read_bytes() + bytes(size))
        assert content(folder) == content(shutil.copytree(whole, tmp_path / f"expected {size}"))


def test_a_read_names_the_file_and_the_key_and_tells_whoever_wants_to_know(whole: Path, tmp_path: Path) -> None:
    path = shutil.copytree(whole, tmp_path / "db")
    told: list[StoreCorrupted] = []
    table = max(path.glob("*.ldb"), key=lambda file: file.stat().st_size)
    table.write_bytes(flip(table.read_bytes(), 100))
    store = LevelStore(str(path), SMALL, on_broken=told.append)
    with pytest.raises(StoreCorrupted) as caught:
        for number in range(5_000):
            store.get(b"v%06d" % number)
    store.close()
    assert told == [caught.value]
    assert str(table) in str(caught.value)
    assert "get of key 76" in str(caught.value)
    assert [error.file for error in damages(str(path))] == [str(table)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("at", [1, 40, 43, 44, 60, 200], ids=lambda at: f"{at} from its end")
def test_a_scan_over_a_table_that_cannot_be_read_is_no_empty_one(at: int, reverse: bool, tmp_path: Path) -> None:
    """plyvel's iterator ended as where nothing is: a home whose footer had a flipped bit had no evidence, no index."""
    path = tmp_path / "db"
    store = LevelStore(str(path), SMALL)
    store.write([(b"k%04d" % number, b"v" * 50) for number in range(200)], sync=True)
    store.compact(b"", b"\xff")
    store.close()
    [table] = tables_of(path)
    table.write_bytes(flip(table.read_bytes(), table.stat().st_size - at))
    store = LevelStore(str(path), SMALL)
    try:
        for start, stop in ((b"", None), (b"k", b"l"), (b"k0100", b"k0200"), (b"k0199", None)):
            for source in (store, store.snapshot()):
                try:
                    found = [key for key, _ in source.scan(start, stop, reverse=reverse)]
                except StorageError:
                    continue
                want = [key for key in (b"k%04d" % n for n in range(200)) if start <= key and (not stop or key < stop)]
                assert found == (want[::-1] if reverse else want)
    finally:
        store.close()
