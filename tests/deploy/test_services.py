"""systemd's units, logrotate's and sysctl's files: their tools' word, and a node that runs as they make it."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.support.interop.tools import deb_libraries, deb_tool, found

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
UNITS: Final = sorted((DEPLOY / "systemd").iterdir())
EXPOSURE_MAX: Final = "14"  # tenths, of 100: deploy/README.md states it
PR_SET_MDWE: Final = 65  # linux/prctl.h, from 6.3 on: no memory is written and executed
MDWE_REFUSE_EXEC_GAIN: Final = 1
START_S: Final = 60.0


def analyze(*words: str) -> str:
    tool = found("systemd-analyze", "install Debian's package systemd")
    done = subprocess.run([tool, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_understands_each_line_of_the_units(tmp_path: Path) -> None:
    """A line that it does not know is a warning of `verify` alone: there is none. The program is one that is there."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/dchat/bin/dchat", sys.executable)
        (tmp_path / unit.name).write_text(text)
    for unit in UNITS:
        assert analyze("verify", str(tmp_path / unit.name)) == ""


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_the_units_leave_little_exposed(unit: Path) -> None:
    analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit))
    assert f"{unit.name}`: {int(EXPOSURE_MAX) / 10}" in (DEPLOY / "README.md").read_text()


def test_a_wrong_option_is_no_loop_of_restarts(tmp_path: Path) -> None:
    """Audit 79: the codes that no restart mends count of the main process alone (systemd.service(5)), and a check
    before it said them: ten starts of it, until systemd had enough. Who starts says them itself, and at once."""
    text = (DEPLOY / "systemd" / "dchat-validator.service").read_text()
    assert not re.findall(r"^Exec(?:StartPre|Condition)=", text, re.MULTILINE)
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)
    home, _ = make_home(tmp_path / "net")
    (home / "validator-config.toml").write_text("[network]\nmax_pears = 7\n")
    command = [sys.executable, "-m", "dchat", "--home", str(home), "validator"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert "max_pears" in done.stderr
    assert str(done.returncode) in codes.split()


def test_the_timer_comes_each_night() -> None:
    (said,) = re.findall(r"^OnCalendar=(.*)$", (DEPLOY / "systemd" / "dchat-backup.timer").read_text(), re.MULTILINE)
    assert "Next elapse:" in analyze("calendar", said)


def make_home(folder: Path) -> tuple[Path, int]:
    network = make_network(folder, validators=1, ports=free_ports(1))
    return network.home_of(network.nodes[0]), network.nodes[0].ports.http


def run_until_a_block(
    home: Path, port: int, *, before: list[str] | None = None, log: Path, prepare: Callable[[], None] | None = None
) -> None:
    """A node's process, until it has made a block; then it is stopped, and ends well."""
    command = [*(before or []), sys.executable, "-m", "dchat", "--home", str(home), "validator"]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, preexec_fn=prepare)  # noqa: PLW1509 - one thread
    try:
        deadline = time.monotonic() + START_S
        while "committed" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    finally:
        pid = int((home / "data" / "validator.pid").read_text()) if before else process.pid
        os.kill(pid, signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()


def refuse_written_code() -> None:
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        os._exit(99)


def test_a_node_runs_without_memory_that_is_written_and_executed(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute=, by the kernel's own means."""
    if subprocess.run([sys.executable, "-c", "pass"], preexec_fn=refuse_written_code, check=False).returncode:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3): MemoryDenyWriteExecute= is not tried")
    home, port = make_home(tmp_path / "net")
    run_until_a_block(home, port, log=tmp_path / "log", prepare=refuse_written_code)


@functools.cache
def members(group: str) -> frozenset[str]:
    """System calls of one of systemd's groups."""
    names = set[str]()
    for line in analyze("syscall-filter", group).splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            names |= members(name)
        elif name and not name.startswith("#"):
            names.add(name)
    return frozenset(names)


def allowed_calls(unit: Path) -> set[str]:
    """As systemd reads SystemCallFilter=, line by line."""
    calls = set[str]()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        takes = line.startswith("~")
        for word in line.removeprefix("~").split():
            named = members(word) if word.startswith("@") else {word}
            calls = calls - named if takes else calls | named
    return calls


def test_a_node_asks_the_kernel_for_nothing_that_its_unit_refuses(tmp_path: Path) -> None:
    strace = deb_tool("strace", "strace")
    trace = tmp_path / "trace"
    tried = subprocess.run([strace, "-f", "-o", trace, "true"], capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode:
        pytest.skip(f"strace cannot trace here ({tried.stderr.strip()[-200:]}): SystemCallFilter= is not tried")
    home, port = make_home(tmp_path / "net")
    run_until_a_block(home, port, before=[str(strace), "-f", "-o", str(trace)], log=tmp_path / "log")
    asked = {name for line in trace.read_text().splitlines() for name in re.findall(r"^\d+ +(\w+)\(", line)}
    assert {"execve", "epoll_wait", "fdatasync"} <= asked
    assert asked - allowed_calls(DEPLOY / "systemd" / "dchat-validator.service") == set()


def test_logrotate_takes_a_nodes_lines_away_while_it_writes(tmp_path: Path) -> None:
    logrotate = deb_tool("logrotate", "logrotate")
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    text = (DEPLOY / "logrotate" / "dchat").read_text().replace("/var/log/dchat", str(logs))
    conf = tmp_path / "logrotate.conf"
    conf.write_text(re.sub(r"^ +su .*\n", "", text, flags=re.MULTILINE))
    conf.chmod(0o644)
    home, _ = make_home(tmp_path / "net")
    log = logs / "validator.log"
    command = [sys.executable, "-m", "dchat", "--home", str(home), "validator"]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        for turn in (1, 2, 3):
            deadline = time.monotonic() + START_S
            while "committed" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            state = ["--state", str(tmp_path / f"state{turn}")]
            done = subprocess.run(
                [logrotate, "--force", "--verbose", *state, conf],
                env=os.environ | deb_libraries(("libpopt.so.0", "libpopt0")),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "error" not in done.stderr.replace("errors", "")
            assert "\0" not in log.read_text(), "what is written goes on at the beginning: the node appends"
    finally:
        process.terminate()
        assert process.wait(60) == 0
    kept = [path for path in logs.iterdir() if path != log]
    assert {path.name for path in kept} == {"validator.log.1", "validator.log.2.gz", "validator.log.3.gz"}


def test_sysctl_names_what_the_kernel_has() -> None:
    lines = [line for line in (DEPLOY / "sysctl" / "90-dchat.conf").read_text().splitlines() if line and line[0] != "#"]
    settings = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    assert len(settings) == len(lines) >= 15
    root = Path("/proc/sys")
    if not (root / "net").is_dir():
        pytest.skip("no /proc/sys here: the names are not checked")
    lacking = [name for name in settings if not (root / name.replace(".", "/")).exists()]
    # a kernel that is built without Yama has no such switch
    assert set(lacking) <= {"kernel.yama.ptrace_scope"}
    assert all(re.fullmatch(r"\d+( \d+)*", value) for value in settings.values())
