"""The processes of a test network: start, stop and kill by pid files, after making sure that the pid is a node's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from dchat.devnet.network import DevnetError, Network, NodeEntry
from dchat.home.home import Home

POLL_S = 0.05
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LOG_NAME = "validator.log"


class ControlError(DevnetError):
    """A node did not do as told: which, and where its log is."""


def log_file(network: Network, node: NodeEntry) -> Path:
    return network.home_of(node) / LOG_NAME


def running_pid(network: Network, node: NodeEntry) -> int | None:
    """The process that holds the node's home; None when none does.

    A number in a file is not enough, since pids are used again: the file's lock must be held, and the process must be
    one of ours that names this home.
    """
    home = network.home_of(node)
    pid_file = Home.of(home).pid_file
    try:
        with pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
            else:
                return None
    except FileNotFoundError:
        return None
    pid = int(text) if text.isdigit() else 0
    return pid if pid and _names_home(pid, home) else None


def _names_home(pid: int, home: Path) -> bool:
    """By its command line; one who started it by hand may have named the home from where he was."""
    process = Path(f"/proc/{pid}")
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        folder, place = Path(os.readlink(process / "cwd")), home.resolve()
        named = (os.fsdecode(one.removeprefix(b"--home=")) for one in arguments if one)
        return b"validator" in arguments and any((folder / name).resolve() == place for name in named)
    except OSError:
        return False


ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that ask this process to end come when this is done: half of a start or a stop leaves processes behind.

    Where signals cannot be held back, in a thread beside the main one, they go to the main one anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = {number: signal.signal(number, lambda number, _: asked.append(number)) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])


def end_as_by_interrupt() -> None:
    """SIGTERM and a terminal that is closed end this process as Ctrl-C does, with what it cleans up.

    Also where Ctrl-C is ignored, as in the background of a script: SIGTERM would be then.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


def start(network: Network, node: NodeEntry, *, module: str = "dchat") -> int:
    """Start the node in a session of its own, its log appended to a file; returns the pid.

    module: another program with this one's command line. Returns when the process holds its home. Raises ControlError.
    """
    if (pid := running_pid(network, node)) is not None:
        raise ControlError(f"{node.name} runs already, as process {pid}")
    home = network.home_of(node).absolute()
    with undisturbed():
        with log_file(network, node).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, "validator", "--home", str(home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ended = wait_for(
            lambda: process.poll() is not None or running_pid(network, node) == process.pid, START_TIMEOUT_S
        )
        if not ended or process.poll() is not None:
            code = process.poll()
            how = f"ended with exit code {code}" if code is not None else f"did not start within {START_TIMEOUT_S:g} s"
            told = tail(network, node) or "(nothing)"
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise ControlError(f"{node.name} {how}; the end of {log_file(network, node)}:\n{told}")
    return process.pid


def ask_to_stop(network: Network, node: NodeEntry) -> bool:
    """SIGTERM; False when it does not run."""
    pid = running_pid(network, node)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    return True


def stop(network: Network, nodes: tuple[NodeEntry, ...]) -> list[NodeEntry]:
    """SIGTERM to all of `nodes`, and wait; returns those that ran. Raises ControlError when one does not end."""
    asked = [node for node in nodes if ask_to_stop(network, node)]
    if not wait_for(lambda: all(running_pid(network, node) is None for node in asked), STOP_TIMEOUT_S):
        left = [node.name for node in asked if running_pid(network, node) is not None]
        raise ControlError(
            f"{', '.join(left)} did not stop within {STOP_TIMEOUT_S:g} s; `scripts/testnet kill N` does it"
        )
    return asked


def kill(network: Network, node: NodeEntry) -> None:
    """SIGKILL, and wait until it is gone. Raises ControlError."""
    pid = running_pid(network, node)
    if pid is None:
        raise ControlError(f"{node.name} does not run")
    os.kill(pid, signal.SIGKILL)
    if not wait_for(lambda: running_pid(network, node) is None, STOP_TIMEOUT_S):
        raise ControlError(f"{node.name} (process {pid}) is still there after SIGKILL")


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until it holds; False at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def tail(network: Network, node: NodeEntry, lines: int = 20) -> str:
    """The end of the node's log."""
    try:
        with log_file(network, node).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
