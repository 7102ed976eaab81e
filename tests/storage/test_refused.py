"""A write that the machine refused: nothing is written behind it, whoever goes on, and it says what was refused."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from storage.errors import StoreCorrupted, StoreFailed, StoreUnavailable
from storage.leveldb import LevelStore
from storage.options import StoreOptions
from tests.support.node.machine import files_end_at

BEFORE = [(b"k%03d" % number, bytes(100)) for number in range(50)]


def test_nothing_is_written_behind_a_write_that_failed(tmp_path: Path) -> None:
    """LevelDB would: behind half a record, so that a later start reads neither (shown: it tells the write as done)."""
    path, told = tmp_path / "db", list[StoreFailed | StoreCorrupted]()
    store = LevelStore(str(path), on_broken=told.append)
    for write in BEFORE:
        store.write([write], sync=True)
    log = max(path.glob("*.log"))
    with files_end_at(log.stat().st_size + 5_000), pytest.raises(StoreFailed) as caught:
        store.write([(b"large", b"\1" * 50_000)], sync=True)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(log))
    for _ in range(2):  # there is room again
        with pytest.raises(StoreFailed, match="one before it did") as again:
            store.write([(b"small", b"x")], sync=True)
        assert again.value.errno == errno.EFBIG
    assert told == [caught.value]
    assert store.get(b"k001") == bytes(100)  # reading goes on
    store.close()
    store = LevelStore(str(path))
    assert list(store.scan()) == BEFORE
    store.write([(b"small", b"x")], sync=True)
    store.close()
    assert list(LevelStore(str(path)).scan()) == [*BEFORE, (b"small", b"x")]


def test_a_database_that_does_not_open_says_what_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with files_end_at(10), pytest.raises(StoreUnavailable) as caught:
        LevelStore(str(path))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename.startswith(str(path))
    LevelStore(str(path)).close()


def test_a_compaction_in_the_background_that_finds_no_room_ends_writing(tmp_path: Path) -> None:
    """LevelDB tells it with the next write; what was synced before is there."""
    path, options = tmp_path / "db", StoreOptions(write_buffer_bytes=65_536)
    told, kept = list[StoreFailed | StoreCorrupted](), 0
    store = LevelStore(str(path), options, on_broken=told.append)
    value = random.Random(1).randbytes(1_000)
    with files_end_at(100_000), pytest.raises(StoreFailed):  # logs and tables of one buffer fit, merged ones do not
        for number in range(20_000):
            store.write([(b"%06d" % (number * 7_919 % 20_000), value)], sync=True)
            kept += 1
    assert [getattr(error, "errno", None) for error in told] == [errno.EFBIG]
    store.close()
    again = LevelStore(str(path), options)
    assert len(list(again.scan())) == kept
    again.close()
