"""When LevelDB begins another log, which it tells nobody: never where we take it that it cannot."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from storage.level_log import MARK, make_new
from storage.leveldb import LevelStore
from storage.open import remove_store
from storage.options import StoreOptions

BUFFER_BYTES = 65_536


@pytest.mark.parametrize("value_bytes", [0, 1, 30, 400, 1_100, 5_000, None], ids=str)
def test_a_log_is_left_only_where_that_was_reckoned_with(value_bytes: int | None, tmp_path: Path) -> None:
    """None: deletions, of short keys: the most nodes of LevelDB's list to a byte."""
    chance, store = random.Random(f"{value_bytes}"), LevelStore(str(tmp_path), StoreOptions(BUFFER_BYTES, BUFFER_BYTES))
    logs, switches, wary = names_of(tmp_path), 0, 0
    for number in range(600 if value_bytes else 2_500):
        batch = [
            (chance.randbytes(chance.randint(1, 40)), None if value_bytes is None else chance.randbytes(value_bytes))
            for _ in range(chance.randint(1, 12))
        ]
        may_switch = store._log.may_switch
        store.write(batch, sync=number % 50 == 0)
        wary += may_switch
        if (now := names_of(tmp_path)) - logs:
            assert may_switch, number
            switches += 1
        logs = now
    assert switches > 2
    assert wary < number * 0.7  # else nothing would be won over syncing all
    store.close()


def names_of(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.log")}


def test_what_was_being_made_is_made_anew_and_what_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = LevelStore(str(path))
    store.write([(b"a", b"1")], sync=True)
    store.close()
    make_new(path, lambda folder: pytest.fail(f"made {folder} again"))
    assert not (path / MARK).exists()
    (path / MARK).touch()  # as a stop while it was made would leave it
    again = LevelStore(str(path))
    assert again.get(b"a") is None
    again.close()


def test_what_was_removed_or_was_being_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each file at which the removal can stop: half a database would be a damaged one."""
    path = tmp_path / "db"
    remove_store(path)  # there is none
    unlink, stop_at = Path.unlink, 0

    def stops(self: Path, missing_ok: bool = False) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("stopped")
        unlink(self, missing_ok)

    while True:
        store = LevelStore(str(path))
        assert store.get(b"a") is None, stop_at
        store.write([(b"a", b"1")], sync=True)
        store.close()
        left = stop_at
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", stops)
            try:
                remove_store(path)
                break
            except OSError:
                assert (path / MARK).exists()
        stop_at += 1
    assert stop_at >= 3  # CURRENT, the MANIFEST, the log
    assert not path.exists()
