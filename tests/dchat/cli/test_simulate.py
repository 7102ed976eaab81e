"""`dchat simulate`: what a seed gives, in words and as JSON, and how a failure is told and repeated."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dchat.cli.main import dchat
from dchat.devnet.processes import wait_for
from dchat.simulation import cluster
from dchat.simulation.cluster import simulate
from dchat.simulation.plan import PROFILES
from dchat.simulation.runs import Outcome, in_processes, joint_trace

ROOT = Path(__file__).resolve().parents[3]
QUICK = ("--profile", "late")  # half a second a seed


def call(*arguments: object) -> Result:
    return CliRunner().invoke(dchat, ["simulate", *map(str, arguments)], prog_name="dchat")


def document(*arguments: object, code: int = 0) -> dict[str, Any]:
    done = call(*arguments, "--json")
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No node is given any time to go on after the faults, so that each seed breaks a law."""
    monkeypatch.setattr(cluster, "RECOVERY_S", 0.0)


def test_a_seed_is_told_in_one_line() -> None:
    done = call(*QUICK, "--seed", 3)
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    assert line.startswith("seed 3 of late: every law held; ")
    assert line.endswith(f"trace {joint_trace([simulate(3, 'late').judge.trace])}")
    assert done.stderr == "", "no bar where there is no terminal"


def test_seeds_as_json_in_their_order_whatever_the_processes() -> None:
    both = document(*QUICK, "--seed", 3, "--seeds", 3, "--jobs", 2)
    one_by_one = document(*QUICK, "--seed", 3, "--seeds", 3)
    assert both == one_by_one
    assert (both["profile"], both["seeds"], both["failed"]) == ("late", 3, [])
    assert [run["seed"] for run in both["runs"]] == [3, 4, 5]
    assert all(run["height"] >= 2 and run["events"] and run["simulated_s"] > 0 for run in both["runs"])
    assert both["trace"] == joint_trace(run["trace"] for run in both["runs"])


def test_as_many_heights_as_asked_for_come_after_the_faults() -> None:
    few, many = (document(*QUICK, "--seed", 3, "--heights", heights)["runs"][0]["height"] for heights in (1, 30))
    assert many - few >= 29


def test_a_failure_is_one_line_with_the_command_that_repeats_it(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = call(*QUICK, "--seed", 3, "--heights", 2)
    assert failed.exit_code == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("dchat: seed 3 broke a law: progress: not all at ")
    replay = line.partition("; repeat it: ")[2]
    assert replay == "dchat simulate --profile late --seed 3 --heights 2"
    assert failed.stdout.startswith("plan: Plan(seed=3, ")
    assert "all faults stopped" in failed.stdout, "the last events"
    again = CliRunner().invoke(dchat, shlex.split(replay)[1:], prog_name="dchat")
    assert (again.exit_code, again.stderr) == (1, failed.stderr)
    monkeypatch.undo()
    assert CliRunner().invoke(dchat, shlex.split(replay)[1:], prog_name="dchat").exit_code == 0


def test_of_many_seeds_each_failure_is_a_line_and_the_last_says_which(impatient: None) -> None:
    failed = call(*QUICK, "--seed", 3, "--seeds", 2)
    assert failed.exit_code == 1
    first, second, last = failed.stderr.splitlines()
    assert first.endswith("; repeat it: dchat simulate --profile late --seed 3")
    assert second.endswith("; repeat it: dchat simulate --profile late --seed 4")
    assert last.startswith("dchat: 2 of 2 seeds broke a law: 3 4; ")
    assert failed.stdout == ""


def test_a_failure_as_json(impatient: None) -> None:
    told = document(*QUICK, "--seed", 3, code=1)
    assert told["failed"] == [3]
    (run,) = told["runs"]
    assert (run["seed"], run["law"]) == (3, "progress")
    assert run["replay"] == "dchat simulate --profile late --seed 3"
    assert any("all faults stopped" in line for line in run["report"])


def test_an_error_of_the_simulator_is_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "Load", None)
    failed = call(*QUICK, "--seed", 3)
    assert failed.exit_code == 1
    assert "the simulator does not fail: TypeError" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_process_that_was_killed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "Load", lambda *_: os._exit(9))
    failed = call(*QUICK, "--seed", 3, "--seeds", 9)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "dchat: a process ended before its seed did: somebody killed it, or memory ran out\n"


def test_an_interrupt_ends_all_of_it_and_tells_what_was_run() -> None:
    """As a terminal sends it: to every process of the group."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit it ignored
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "dchat", "simulate", "--seeds", "100000", "--jobs", "2"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert wait_for(lambda: len(children.read_text().split()) == 2, 30)
        begun = children.read_text().split()
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=30)[0].strip()
        assert re.fullmatch(r"stopped: (no seed was done|seeds? 0.* of 100000 were run; every law held in these)", said)
        assert process.returncode == 130
        assert not any(Path(f"/proc/{pid}").exists() for pid in begun)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_what_is_said_of_a_traceback_is_one_line() -> None:
    outcome = Outcome(7, "nothing fails unseen", 'n2:   File "x.py", line 3\n    f()\nValueError: no\n')
    assert outcome.line == "nothing fails unseen: n2: ValueError: no"


@pytest.mark.parametrize(
    "arguments", [("--profile", "calm"), ("--seeds", 0), ("--seed", -1), ("--heights", 0), ("--jobs", 0)], ids=str
)
def test_what_cannot_be_run_is_wrong_usage(arguments: tuple[object, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_the_help_explains_every_profile() -> None:
    said = call("--help").stdout
    for name, profile in PROFILES.items():
        assert any(line.split() == [name, *profile.what.split()] for line in said.splitlines()), name


def test_a_terminal_has_a_bar_that_does_not_mix_with_the_answer() -> None:
    near, far = os.openpty()
    command = [sys.executable, "-m", "dchat", "simulate", *QUICK, "--seed", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=far, text=True) as process:
        os.close(far)
        assert process.stdout is not None
        answer = process.stdout.read()
        assert process.wait() == 0
    shown = os.read(near, 65_536).decode()
    os.close(near)
    assert "simulating late" in shown
    assert answer.startswith("seed 3 of late: every law held; ")
    assert answer.count("\n") == 1


def test_what_the_process_before_left_is_not_collected_where_a_seed_runs() -> None:
    """A gRPC client that was garbage was ended in the copy of its process, and waited there for its thread for ever."""

    class Left:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            ended.append(os.getpid())

    ended: list[int] = []
    gc.disable()
    try:
        Left()
        with in_processes(_collects_nothing_of_before, [1], jobs=1) as results:
            assert list(results) == [True]
        assert ended == []
    finally:
        gc.enable()


def _collects_nothing_of_before(_: int) -> bool:
    """Whether nothing is collected that was here before."""
    return not any(type(found).__name__ == "Left" for found in gc.get_objects()) and gc.collect() >= 0
