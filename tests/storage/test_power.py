"""A LevelDB of ours on what a loss of power may leave: what was synced is there, and nothing reads as damage."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage.leveldb import LevelStore
from tests.support.power import PROFILES, Machine, Mark, Profile, Recorder, find_compiler, read_journal

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler to make the recorder with")

# Unsynced deletions between synced writes, as pruning's; so small a buffer that LevelDB's log is switched often.
WRITES = """
import os, random, sys
from storage.leveldb import LevelStore
from storage.options import StoreOptions
from tests.support.power.journal import write_mark
chance = random.Random(int(sys.argv[2]))
store = LevelStore(sys.argv[1], StoreOptions(write_buffer_bytes=65_536))
journal = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
for number in range(60):
    new = [(b"%d %d" % (number, at), chance.randbytes(400)) for at in range(10)]
    store.write([(b"h", b"%d" % number), *new], sync=True)
    write_mark(journal, {"synced": number})
    for at in range(chance.randrange(60)):
        store.write([(b"%d %d" % (number - 9, at % 10), None)] * chance.randrange(1, 60))
    if number % 25 == 24:
        store.compact(b"0", b"2")
store.close()
"""


# Closed with unsynced writes, and opened again: LevelDB begins another log then.
OPENS = """
import os, random, sys
from storage.leveldb import LevelStore
from tests.support.power.journal import write_mark
chance = random.Random(int(sys.argv[2]))
journal = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
for number in range(12):
    store = LevelStore(sys.argv[1])
    new = [(b"%d %d" % (number, at), chance.randbytes(400)) for at in range(10)]
    store.write([(b"h", b"%d" % number), *new], sync=True)
    write_mark(journal, {"synced": number})
    for at in range(3):
        store.write([(b"%d %d" % (number - 9, at), None)] * 40)
    store.close()
"""

# Unsynced writes in a row, as of a state that is restored; and a synced one behind deletions.
SETS = """
import os, random, sys
from storage.leveldb import LevelStore
from tests.support.power.journal import write_mark
chance = random.Random(int(sys.argv[2]))
journal = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
store = LevelStore(sys.argv[1])
for number in range(16):
    for at in range(3):
        store.write([(b"page %d %d" % (number, at), chance.randbytes(1_000))])
    new = [(b"%d %d" % (number, at), chance.randbytes(400)) for at in range(10)]
    store.write([(b"h", b"%d" % number), *new], sync=True)
    write_mark(journal, {"synced": number})
    store.write([(b"%d %d" % (number - 9, at % 10), None) for at in range(100)])
store.close()
"""


def record(tmp_path: Path, seed: int, program: str = WRITES) -> Recorder:
    home = tmp_path / "home"
    home.mkdir()
    recorder = Recorder(home, tmp_path / "record")
    recorder.begin()
    command = [sys.executable, "-c", program, str(home / "db"), str(seed), str(recorder.journal)]
    subprocess.run(command, env=recorder.environment(), cwd=Path(__file__).parents[2], check=True)
    return recorder


def stays(disk: Path, synced: int) -> None:
    """Raises StorageError, AssertionError."""
    store = LevelStore(str(disk / "db"))
    try:
        height = int(store.get(b"h") or b"-1")
        assert height >= synced
        for number in range(max(0, height - 8), height + 1):
            assert all(store.get(b"%d %d" % (number, at)) for at in range(10)), number
    finally:
        store.close()


@pytest.mark.parametrize("profile", PROFILES)
def test_what_was_synced_outlives_a_loss_of_power_at_any_step(profile: Profile, tmp_path: Path) -> None:
    """Of a new database, too (audit 49); and where LevelDB leaves a log with unsynced writes for another (audit 50)."""
    tried, switches = try_steps(record(tmp_path, seed=3), profile, tmp_path / "disk", writes_share=0.1)
    assert tried > 200
    assert switches > 4


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_process_left_unsynced_is_no_damage_for_the_next(profile: Profile, tmp_path: Path) -> None:
    """A torn end of a log, beside the one that was begun after it, read as damage (audit 52)."""
    recorder = record(tmp_path, 4, OPENS)
    tried, _ = try_steps(recorder, profile, tmp_path / "disk", writes_share=1.0)
    assert tried > 100


@pytest.mark.parametrize("profile", PROFILES)
def test_an_unsynced_write_that_is_lost_is_no_damage_where_a_later_one_is_there(
    profile: Profile, tmp_path: Path
) -> None:
    """While a node joined by a snapshot it ended a start with 74, for a disk that had not lied (audit 58)."""
    tried, _ = try_steps(record(tmp_path, 5, SETS), profile, tmp_path / "disk", writes_share=1.0)
    assert tried > 100


def try_steps(recorder: Recorder, profile: Profile, disk: Path, *, writes_share: float) -> tuple[int, int]:
    """How many disks held, and how often a log was begun. Raises as `stays`."""
    machine, synced, chance = Machine(recorder.home, recorder.before, profile), -1, random.Random(f"power {profile}")
    tried = switches = 0
    for number, step in enumerate(read_journal(recorder.journal)):
        if isinstance(step, Mark):
            synced = step.told["synced"]
            continue
        is_change = machine.follow(step)
        switches += step.is_new and step.path.endswith(".log")
        if not is_change or (step.kind == "W" and chance.random() > writes_share):
            continue
        machine.disk(disk, random.Random(f"{profile} {number}"))
        stays(disk, synced)
        shutil.rmtree(disk)
        tried += 1
    return tried, switches
