"""Folders that take others' place: all of them or none, whenever the power goes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dchat.home.errors import HomeError
from dchat.home.files import PLAN, finish_replacing, put_in_place
from tests.support.power import PROFILES, Machine, Profile, Recorder, Step, find_compiler, read_journal

DRAWS = 4  # disks at each step
REPLACE = """
import sys
from pathlib import Path
from dchat.home.files import put_in_place
data = Path(sys.argv[1])
put_in_place(data, data / "made", also_aside=(data / "log",))
"""


def make(data: Path) -> Path:
    """`app` and `state` of before with a log, those that are to be, and something else."""
    for name, text in (("app", "old"), ("state", "old"), ("log", "old"), ("made/app", "new"), ("made/state", "new")):
        (data / name).mkdir(parents=True)
        (data / name / "content").write_text(text)
    (data / "record").write_text("stays")
    return data


def what_is_there(data: Path) -> tuple[str, str, bool]:
    """What app and state are, and whether the log is there."""
    assert (data / "record").read_text() == "stays"
    app, state = ((data / name / "content").read_text() for name in ("app", "state"))
    return app, state, (data / "log").exists()


def test_what_was_there_is_set_aside(tmp_path: Path) -> None:
    data = make(tmp_path)
    aside = put_in_place(data, data / "made", also_aside=(data / "log",))
    assert aside is not None
    assert what_is_there(data) == ("new", "new", False)
    assert {path.name: (path / "content").read_text() for path in aside.iterdir()} == dict.fromkeys(
        ("app", "log", "state"), "old"
    )
    assert not (data / "made").exists()
    assert finish_replacing(data) is None


def test_where_nothing_was_nothing_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "made" / "app").mkdir(parents=True)
    assert put_in_place(tmp_path, tmp_path / "made") is None
    assert [path.name for path in tmp_path.iterdir()] == ["app"]


def test_a_plan_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text("{")
    with pytest.raises(HomeError, match=PLAN):
        finish_replacing(tmp_path)


OUTSIDE = {
    "folders elsewhere": {"made": "/tmp", "aside": "replaced-1", "names": ["app"], "also_aside": []},
    "a folder above": {"made": "..", "aside": "replaced-1", "names": ["app"], "also_aside": []},
    "a name elsewhere": {"made": "made", "aside": "replaced-1", "names": ["../other/app"], "also_aside": []},
    "aside elsewhere": {"made": "made", "aside": "../other", "names": [], "also_aside": ["log"]},
    "aside in what is ours": {"made": "made", "aside": "app", "names": [], "also_aside": ["log"]},
    "one folder for another": {"made": "replaced-1", "aside": "replaced-1", "names": ["app"], "also_aside": []},
    "no names": {"made": "made", "aside": "replaced-1", "names": [7], "also_aside": []},
}


@pytest.mark.parametrize("plan", OUTSIDE)
def test_a_plan_of_others_moves_nothing_outside(plan: str, tmp_path: Path) -> None:
    """A home that came from somebody else, with a plan in it: it removed any folder called as the log is."""
    data, other = make(tmp_path / "data"), make(tmp_path / "other")
    (data / PLAN).write_text(json.dumps(OUTSIDE[plan]))
    with pytest.raises(HomeError, match="does not say which databases"):
        finish_replacing(data, also_aside=(data / "log",))
    assert what_is_there(data) == what_is_there(other) == ("old", "old", True)
    assert not list(tmp_path.glob("*/replaced-*"))


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler to make the recorder with")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_loss_of_power_at_any_step_leaves_the_old_or_the_new(profile: Profile, tmp_path: Path) -> None:
    """Audit 51: a restore that was cut off left a home without databases, which began anew."""
    home = make(tmp_path / "home")
    recorder = Recorder(home, tmp_path / "record")
    recorder.begin()
    command = [sys.executable, "-c", REPLACE, str(home)]
    subprocess.run(command, env=recorder.environment(), cwd=Path(__file__).parents[3], check=True)
    machine, seen = Machine(home, recorder.before, profile), set[tuple[str, str, bool]]()
    for number, step in enumerate(read_journal(recorder.journal)):
        assert isinstance(step, Step)
        if not machine.follow(step):
            continue
        for draw in range(DRAWS):
            disk = tmp_path / "disk"
            machine.disk(disk, random.Random(f"{number} {draw}"))
            finish_replacing(disk, also_aside=(disk / "log",))
            seen.add(what_is_there(disk))
            shutil.rmtree(disk)
    assert seen == {("old", "old", True), ("new", "new", False)}
