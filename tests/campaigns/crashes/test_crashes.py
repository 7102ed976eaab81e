"""A slice of `scripts/campaign crashes`, and that its disks lose what may be lost."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns.crashes.matrix import places_of, run
from tests.campaigns.crashes.run import record_all
from tests.support.counts import counted
from tests.support.power import PROFILES, Machine, Profile, Recorder, Step, find_compiler, read_journal

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler to make the recorder with")

SEED = 7
PLACES = counted(20, whole=40)


@pytest.mark.network
def test_a_node_comes_back_wherever_the_power_goes(tmp_path: Path) -> None:
    """Failures 3, 21 and 27: of a chain of one, which nobody gives back what it loses."""
    (phase,) = record_all(tmp_path, blocks=16, operator=())
    tally = run(phase, places_of(phase, random.Random(SEED), PLACES), SEED)
    assert not tally.failures, [failure.told() for failure in tally.failures]
    assert tally.disks.total() >= PLACES


def replaced(*, synced: bool, folder_synced: bool) -> str:
    """A program that puts `new` in the place of `old`."""
    lines = [
        "import os, sys",
        "os.chdir(sys.argv[1])",
        "file = os.open('draft', os.O_CREAT | os.O_WRONLY)",
        "os.write(file, b'new')",
        "os.fsync(file)" if synced else "",
        "os.rename('draft', 'file')",
        "os.fsync(os.open('.', os.O_RDONLY))" if folder_synced else "",
        "os.write(os.open('last', os.O_CREAT | os.O_WRONLY), b'here')",
    ]
    return "\n".join(lines)


def seen_after(folder: Path, program: str, profile: Profile) -> set[bytes | None]:
    """What the file holds on the disks that a loss may leave once the program ended."""
    home = folder / "home"
    home.mkdir()
    (home / "file").write_bytes(b"old")
    recorder = Recorder(home, folder / "record")
    recorder.begin()
    subprocess.run([sys.executable, "-c", program, str(home)], env=recorder.environment(), check=True)
    assert (home / "file").read_bytes() == b"new"
    machine = Machine(home, recorder.before, profile)
    for step in read_journal(recorder.journal):
        assert isinstance(step, Step)
        machine.follow(step)
    seen: set[bytes | None] = set()
    for number in range(60):
        disk = folder / f"disk{number}"
        machine.disk(disk, random.Random(number))
        seen.add((disk / "file").read_bytes() if (disk / "file").exists() else None)
    return seen


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("program", "is_right"),
    [
        pytest.param(replaced(synced=True, folder_synced=True), lambda seen: seen == {b"new"}, id="all is synced"),
        pytest.param(
            replaced(synced=True, folder_synced=False), lambda seen: seen == {b"old", b"new"}, id="the name may be lost"
        ),
        pytest.param(
            replaced(synced=False, folder_synced=True),
            lambda seen: {b"", b"new"} <= seen and b"old" not in seen,
            id="the content may be lost or torn",
        ),
    ],
)
def test_what_is_not_synced_may_be_lost_and_nothing_else(
    profile: Profile, program: str, is_right: Callable[[set[bytes | None]], bool], tmp_path: Path
) -> None:
    seen = seen_after(tmp_path, program, profile)
    assert is_right(seen), seen
