"""kill -9 of either process at each stage of a hand-over: one home, one process on it, nothing signed twice.

A validator that is a chain of its own, so that blocks say whether anybody runs. The other side is a real process, or
this test, which says its words and is gone at the stage that is meant.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, make_network
from dchat.handover import words
from tests.campaigns.logs import double_signatures
from tests.support.node.running import QUICK

pytestmark = pytest.mark.network
WITHIN_S = 180.0
DIALS = b"leaves: dials its peers"


class Scene:
    """One validator's home, and who runs on it."""

    def __init__(self, network: Network) -> None:
        self.network, self.node = network, network.nodes[0]
        self.home = network.home_of(self.node)
        self.log = processes.log_file(network, self.node)

    def pid(self) -> int | None:
        return processes.running_pid(self.network, self.node)

    def until(self, what: str, condition: Callable[[], object]) -> None:
        assert processes.wait_for(lambda: bool(condition()), WITHIN_S), f"{what}: {self.log.read_text()[-3_000:]}"

    def height(self) -> int:
        """Of the newest block in any process's log."""
        texts = [file.read_text() for file in (self.log, *self.home.parent.glob("next*.log"))]
        heights = [line.partition("height=")[2].split()[0] for text in texts for line in text.splitlines()
                   if "event=committed" in line]  # fmt: skip
        return max(map(int, heights), default=0)

    def goes_on(self) -> int:
        """Somebody makes blocks. Returns its number."""
        self.until("a process runs", self.pid)
        at = self.height()
        self.until("blocks", lambda: self.height() > at + 2)
        pid = self.pid()
        assert pid is not None
        return pid

    def ask(self) -> socket.socket:
        """As the next process does."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(WITHIN_S)
        self.until("its socket", (self.home / "run" / "takeover.sock").exists)
        connection.connect(str(self.home / "run" / "takeover.sock"))
        connection.sendall(words.ask(2))
        assert words.read_line(connection).startswith(b"wait ")
        return connection

    def spawn_next(self) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.home.parent / f"next-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "dchat", "validator", "--takeover", "--home", str(self.home)]
            return subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True), log


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("n", numbered=False)
    made = Scene(make_network(folder, validators=1, pace=QUICK, ports=free_ports(1)))
    processes.start(made.network, made.node)
    try:
        yield made
    finally:
        if made.pid() is not None:
            processes.kill(made.network, made.node)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def next_dies_waiting(scene: Scene, old: int) -> None:
    process, log = scene.spawn_next()
    scene.until("it asks", lambda: b"waits for the process" in log.read_bytes() or process.poll() is not None)
    kill(process.pid)
    process.wait(WITHIN_S)
    if b"event=started" not in log.read_bytes():  # else it was quick, and had begun: the first begins again
        assert scene.pid() == old
    scene.goes_on()


def next_dies_told_that_it_leaves(scene: Scene, old: int) -> None:
    with scene.ask() as connection:
        assert words.read_line(connection).startswith(b"leaves ")
    assert scene.goes_on() == old  # the same number: it began again in its place


def next_dies_while_it_dials(scene: Scene, old: int) -> None:
    """A real one, told that the first leaves; it may have been quicker, and have the home."""
    process, log = scene.spawn_next()
    scene.until("it dials", lambda: DIALS in log.read_bytes() or process.poll() is not None)
    kill(process.pid)
    process.wait(WITHIN_S)
    assert scene.goes_on() == old


def next_dies_with_the_home(scene: Scene, old: int) -> None:
    """It has the lock, and has not said that it runs."""
    with scene.ask() as connection, (scene.home / "data" / "validator.pid").open("a+") as lock:
        assert words.read_line(connection).startswith(b"leaves ")
        assert words.read_line(connection).startswith(b"yours ")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is free, and the only one
    assert scene.goes_on() == old


def old_dies_waiting(scene: Scene, old: int) -> None:
    with scene.ask() as connection:
        kill(old)
        told = b""
        while (line := words.read_line(connection)) and not line.startswith(b"yours"):
            told += line
        assert b"yours" not in told
    start_anew(scene)


def old_dies_leaving(scene: Scene, old: int) -> None:
    with scene.ask() as connection:
        assert words.read_line(connection).startswith(b"leaves ")
        kill(old)
        words.read_line(connection)  # its end, or it was quicker
    start_anew(scene)


def old_dies_while_the_next_dials(scene: Scene, old: int) -> None:
    """Before it gave the home: nobody runs, and the next says so. Or it was quicker, and the next runs."""
    process, log = scene.spawn_next()
    scene.until("it dials", lambda: DIALS in log.read_bytes() or process.poll() is not None)
    kill(old)
    scene.until("one of both", lambda: process.poll() is not None or b'event="took over"' in log.read_bytes())
    if process.poll() is None:
        assert scene.goes_on() == process.pid
        return
    assert process.returncode == 1
    assert b"does not" in log.read_bytes()
    start_anew(scene)


def old_dies_after_it_gave(scene: Scene, old: int) -> None:
    """Whoever has the home needs nothing of it any more."""
    with scene.ask() as connection:
        assert words.read_line(connection).startswith(b"leaves ")
        assert words.read_line(connection).startswith(b"yours ")
        kill(old)
    start_anew(scene)


def old_dies_while_the_next_opens(scene: Scene, old: int) -> None:
    process, log = scene.spawn_next()
    scene.until("it begins", lambda: b"event=started" in log.read_bytes() or process.poll() is not None)
    kill(old)
    assert scene.goes_on() == process.pid


def start_anew(scene: Scene) -> None:
    scene.until("the process is gone", lambda: scene.pid() is None)
    processes.start(scene.network, scene.node)
    scene.goes_on()


@pytest.mark.parametrize(
    "stage",
    [
        next_dies_waiting,
        next_dies_told_that_it_leaves,
        next_dies_while_it_dials,
        next_dies_with_the_home,
        old_dies_waiting,
        old_dies_leaving,
        old_dies_while_the_next_dials,
        old_dies_after_it_gave,
        old_dies_while_the_next_opens,
    ],
)
def test_a_kill_at_any_stage_leaves_one_home_and_one_process(scene: Scene, stage: Callable[[Scene, int], None]) -> None:
    old = scene.goes_on()
    before = scene.height()
    stage(scene, old)
    scene.goes_on()
    assert scene.height() > before
    slots, twice = double_signatures([scene.home])
    assert slots > 0
    assert twice == []
