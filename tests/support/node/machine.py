"""A machine that refuses: a small disk, file systems that turn read-only, few file handles, a clock that is off.

What needs a privilege or a compiler raises CannotFault where there is none: a test then skips aloud, and a campaign
fails. What a fault layer does is done to a process of its own, `Process`: a validator as an operator starts it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, NodeEntry, Pace, make_network
from tests.support.patience import PATIENCE_S

MIB = 1 << 20
POLL_S = 0.05
FILLER = "filler"  # of a disk, to be removed


class CannotFault(Exception):
    """This machine or this user does not let a test do this to itself."""


@contextlib.contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    """A file system of so many MiB, in memory, at `folder`. Raises CannotFault."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size_mib}m", "dchat-test", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def read_only(folder: Path, on: bool) -> None:
    """Mount the disk at `folder` again so, or writable. Raises CannotFault."""
    # by hand a disk that fails is turned so by the kernel, whatever is open; `-o remount,ro` is refused then
    _mount("-o", "remount,ro" if on else "remount,rw", str(folder))


def _mount(*words: str) -> None:
    if shutil.which("mount") is None:
        raise CannotFault("there is no `mount` here")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotFault(f"mount {' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows past `size` bytes: a write is done in part, and the rest fails (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fault_layer(folder: Path) -> Path:
    """The library of `faults.c`, built into `folder`. Raises CannotFault."""
    target = folder / "faults.so"
    if shutil.which("gcc") is None:
        raise CannotFault("there is no gcc here")
    done = subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", "-o", str(target), str(Path(__file__).with_name("faults.c")), "-ldl"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CannotFault(f"gcc: {done.stderr.strip()}")
    return target


@dataclass
class Faults:
    """The layer of faults under one process: what its environment needs, and the file that says what happens."""

    layer: Path
    file: Path
    refused: dict[str, int] = field(default_factory=dict)  # text in the path -> errno
    clock_s: int = 0

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.layer), "DCHAT_FAULTS": str(self.file)}

    def refuse(self, text: str, number: int) -> None:
        self.refused[text] = number
        self._tell()

    def set_clock(self, ahead_s: int) -> None:
        self.clock_s = ahead_s
        self._tell()

    def clear(self) -> None:
        self.refused.clear()
        self.clock_s = 0
        self._tell()

    def _tell(self) -> None:
        lines = [f"refuse {number} {text}" for text, number in self.refused.items()]
        draft = self.file.with_name(f"{self.file.name}.new")
        draft.write_text("".join(f"{line}\n" for line in [*lines, f"clock {self.clock_s}"]))
        draft.replace(self.file)  # whole at every look


def fill(folder: Path, leave: int = 0) -> Path:
    """Take the disk's room, but for `leave` bytes; returns the file to be removed."""
    path = folder / FILLER
    with path.open("ab") as file, contextlib.suppress(OSError):
        while (left := shutil.disk_usage(folder).free - leave) > 0:
            file.write(bytes(min(left, MIB)))
            file.flush()
    return path


@dataclass
class Process:
    """A validator's process. `start` it again and again; `close` at the end."""

    home: Path
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    handles: int = 0  # RLIMIT_NOFILE, soft and hard; 0: as it is
    words: tuple[str, ...] = ()
    module: str = "dchat"  # or another program with its command line
    within: tuple[str, ...] = ()  # what it stands behind, which must become it by `exec`
    running: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Self:
        """wait: until it makes blocks or ends."""
        self.close()
        limit = f"ulimit -n {self.handles}; " if self.handles else ""
        with self.log.open("wb") as log:
            self.running = subprocess.Popen(
                [*self.within, "sh", "-c", f'{limit}exec "$@"', "sh", sys.executable, "-m", self.module, "validator",
                 "--home", str(self.home), *self.words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **self.env},
            )  # fmt: skip
        if wait:
            until(lambda: self.code is not None or "event=committed" in self.text, "it starts")
        return self

    @property
    def code(self) -> int | None:
        """None: it runs."""
        return None if self.running is None else self.running.poll()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def last_line(self) -> str:
        lines = self.text.splitlines()
        return lines[-1] if lines else ""

    def ended(self, timeout_s: float = 60.0) -> tuple[int, str]:
        """(exit code, last line), once it has ended."""
        until(lambda: self.code is not None, f"it ends: {self.last_line}", timeout_s=timeout_s)
        code = self.code
        assert code is not None
        return code, self.last_line

    def stop(self) -> int:
        """In good order; returns the exit code."""
        assert self.running is not None
        self.running.send_signal(signal.SIGTERM)
        return self.ended()[0]

    def close(self) -> None:
        running, self.running = self.running, None
        if running is not None and running.poll() is None:
            running.kill()
            running.wait()


def until(condition: Callable[[], bool], what: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Raises AssertionError at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(POLL_S)


def set_option(home: Path, section: str, line: str) -> None:
    """Put a line first into a section of a home's options, in the place of one of that name."""
    path = home / "validator-config.toml"
    name = line.partition("=")[0].strip()
    lines = path.read_text().splitlines()
    if f"[{section}]" not in lines:
        lines += [f"[{section}]"]
    at = lines.index(f"[{section}]") + 1
    end = next((n for n in range(at, len(lines)) if lines[n].startswith("[")), len(lines))
    kept = [one for one in lines[at:end] if one.partition("=")[0].strip() != name]
    path.write_text("\n".join([*lines[:at], line, *kept, *lines[end:]]) + "\n")


@dataclass
class Alone:
    """A network of one validator, made in `folder`, whose home lies on a disk of its own or not."""

    network: Network
    process: Process

    @property
    def node(self) -> NodeEntry:
        return self.network.nodes[0]

    @property
    def home(self) -> Path:
        return self.network.home_of(self.node)

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.node.ports.grpc}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.node.ports.http}"

    def set_option(self, section: str, line: str) -> None:
        set_option(self.home, section, line)


PACE = Pace(block_time=100, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)


@contextlib.contextmanager
def alone(folder: Path, log: Path | None = None) -> Iterator[Alone]:
    """Its process is not started yet, and is gone at the end."""
    network = make_network(folder, validators=1, pace=PACE, ports=free_ports(1))
    home = network.home_of(network.nodes[0])
    one = Alone(network, Process(home, log or folder.parent / f"{folder.name}.log"))
    try:
        yield one
    finally:
        one.process.close()
