"""Machines that share nothing but addresses, for the pages that say what is typed on each of several.

Where this user may make network namespaces, each is one of its own, with its own interface, loopback and ports;
elsewhere it is an address of this machine's loopback. Either way it has a folder of its own, which is its user's home,
and `scp` is the only way from one to another.

A page's block of `console` says on which machine each line is typed: `alpha$ dchat status`, or `each$` for all of the
first ones. Lines of `all$` that follow each other are typed on one machine after the other, all of them on each.
NAME and ADDRESS are the machine's; `...` and `<name>` as in tests/support/docs/pages.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.support.docs.pages import DOCS, Names

ROOT: Final = Path(__file__).parents[3]
ASKED_FOR_S: Final = 120.0
TYPED_S: Final = 600.0
AGAIN_S: Final = 0.5
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)
_TYPED = re.compile(r"^([a-z]+)\$ (.*)$")
_ASKS = ("dchat query", "dchat status", "dchat health", "dchat network peer", "dchat upgrade status", "grep ")
OF_ITS_OWN: Final = {"127.0.0.1:": "ADDRESS:"}  # the machine's loopback, where all have the same one
_SCP = """#!/bin/sh
for last; do :; done
while [ $# -gt 1 ]; do
  cp "{folder}/${{1%%:*}}/${{1#*:}}" "$last" 2>/dev/null || [ "{folder}/${{1%%:*}}" -ef . ] || exit 1
  shift
done
"""


@dataclass(frozen=True)
class Line:
    """One command of a page: where it is typed, and what the page says that it prints."""

    page: str
    number: int
    machine: str
    command: str
    shown: str
    block: int = 0  # the number of the line with which its block begins
    section: str = ""  # the heading above it


@dataclass
class Part:
    """A section of a page, and what came of it. commands: that told what the page says, on however many machines."""

    section: str
    page: str
    commands: int = 0
    seconds: float = 0.0
    wrong: str = ""  # what was not as the page says; empty: nothing


def lines_of(page: Path) -> list[Line]:
    text = page.read_text()
    found: list[Line] = []
    for block in _BLOCK.finditer(text):
        first = text[: block.start(1)].count("\n") + 1
        section = _HEADING.findall(text[: block.start()])[-1]
        machine = command = ""
        at, shown = 0, []
        for number, line in enumerate([*block[1].splitlines(), "end$ "], start=first):
            if (typed := _TYPED.match(line)) is None:
                assert command, f"{page.name}:{number}: a block begins with a command: alpha$ dchat ..."
                shown.append(line)
                continue
            if command:
                found.append(Line(page.name, at, machine, command, "\n".join(shown), first, section))
            machine, command, at, shown = typed[1], typed[2], number, []
    return found


@dataclass(eq=False)
class Machine:
    name: str
    folder: Path
    address: str
    within: tuple[str, ...]  # what a command stands behind to run there
    environment: dict[str, str]

    def type(self, command: str, *, timeout_s: float = 120.0) -> tuple[int, str]:
        """Exit code and all that was printed."""
        done = subprocess.run(
            [*self.within, "bash", "-c", command], cwd=self.folder, env=self.environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout_s,
        )  # fmt: skip
        return done.returncode, done.stdout

    @property
    def home(self) -> Path:
        return self.folder / ".dchat"

    @property
    def log(self) -> str:
        file = self.folder / "dchat.log"
        return file.read_text() if file.exists() else ""

    def stop(self) -> None:
        """Its node, if one runs."""
        file = self.home / "data" / "validator.pid"
        pid = file.read_text().strip() if file.exists() else ""
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)
        deadline = time.monotonic() + 30
        while file.read_text().strip() and time.monotonic() < deadline:
            time.sleep(0.05)


@dataclass
class World:
    machines: dict[str, Machine]
    each: tuple[str, ...]
    quicker: dict[str, str] = field(default_factory=dict)
    asked_for_s: float = ASKED_FOR_S
    names: Names = field(default_factory=Names)
    parts: list[Part] = field(default_factory=list)

    @contextlib.contextmanager
    def part(self, section: str, page: str) -> Iterator[Part]:
        """What is done within is a row of what was done."""
        part, began = Part(section, page), time.monotonic()
        self.parts.append(part)
        try:
            yield part
        except Exception as error:
            part.wrong = str(error).partition("\n")[0]
            raise
        finally:
            part.seconds = time.monotonic() - began

    def carry_out(self, page: str) -> None:
        """All that a page of docs/operators says to type. Raises AssertionError: what was not as it says."""
        found = lines_of(DOCS / "operators" / page)
        assert found, page
        for section, lines in groupby(found, key=lambda line: line.section):
            with self.part(section, page) as part:
                for (_, where), group in groupby(lines, key=lambda line: (line.block, line.machine)):
                    self._type(where, list(group), part)

    def _type(self, where: str, lines: list[Line], part: Part) -> None:
        """Lines of a block that are typed on the same machines."""
        if where == "all":
            for machine in dict.fromkeys(self.machines.values()):  # one may have several names
                for line in lines:
                    self._carry_out(line, machine)
                    part.commands += 1
            return
        machines = [self.machines[name] for name in (self.each if where == "each" else (where,))]
        for line in lines:
            with ThreadPoolExecutor(len(machines)) as at_once:
                part.commands += len(list(at_once.map(partial(self._carry_out, line), machines)))

    def _carry_out(self, line: Line, machine: Machine) -> None:
        def filled(text: str) -> str:
            return text.replace("NAME", machine.name).replace("ADDRESS", machine.address)

        text = line.command
        for said, instead in self.quicker.items():
            text = text.replace(said, instead)
        command, shown = self.names.filled(filled(text)), filled(line.shown)
        deadline = time.monotonic() + (self.asked_for_s if line.command.startswith(_ASKS) else 0.0)
        while True:
            code, printed = machine.type(command, timeout_s=TYPED_S)
            if code == 0 and self.names.found_in(shown, printed):
                return
            told = f"docs/operators/{line.page}:{line.number}: {machine.name}$ {command}\n{printed}\n({code}) but:\n"
            assert time.monotonic() < deadline, f"{told}{shown}\n{machine.log[-3_000:]}"
            time.sleep(AGAIN_S)

    def stop(self) -> None:
        for machine in self.machines.values():
            machine.stop()


@contextlib.contextmanager
def world(
    folder: Path, names: Sequence[str], *, each: int, options: dict[str, str], quicker: dict[str, str] | None = None,
    is_scraped: bool = False,
) -> Iterator[World]:  # fmt: skip
    """options: environment of every machine beside what its addresses need; each: how many `each$` means. quicker: what
    of a command is typed otherwise, where a page waits for days. is_scraped: a Prometheus on one machine reads all."""
    tools = folder / "tools"
    tools.mkdir()
    _write(tools / "scp", _SCP.format(folder=folder))
    _write(tools / "dchat", f'#!/bin/sh\nexec "{sys.executable}" -m dchat "$@"\n')
    with _network(folder.name, names, is_scraped=is_scraped) as places:
        machines = {}
        for name in names:
            within, address, more = places[name]
            home = folder / name
            home.mkdir()
            environment = {
                "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(home), "PYTHONPATH": str(ROOT), **more, **options,
            }  # fmt: skip
            machines[name] = Machine(name, home, address, within, environment)
        shared = {} if machines[names[0]].within else OF_ITS_OWN
        made = World(machines, tuple(names[:each]), {**shared, **(quicker or {})})
        try:
            yield made
        finally:
            made.stop()


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


Place = tuple[tuple[str, ...], str, dict[str, str]]  # what stands before a command, the address, the environment


@contextlib.contextmanager
def _network(tag: str, names: Sequence[str], *, is_scraped: bool) -> Iterator[dict[str, Place]]:
    spaces = {name: f"dchat-{os.getpid()}-{at}" for at, name in enumerate(names, start=1)}
    bridge = f"dcb{os.getpid()}"
    try:
        if not _make(bridge, spaces):
            sys.stderr.write(f"no network namespaces here: the machines of {tag} are addresses of loopback\n")
            yield {name: ((), f"127.0.0.{at}", _at(f"127.0.0.{at}")) for at, name in enumerate(names, start=2)}
        else:
            yield {
                name: (("ip", "netns", "exec", space), f"10.99.0.{at}", _OPEN if is_scraped else {})
                for at, (name, space) in enumerate(spaces.items(), start=1)
            }
    finally:
        if shutil.which("ip"):
            for space in spaces.values():
                _ip("netns", "del", space)
            _ip("link", "del", bridge)


# As docs/operators/monitor.md says, open to the Prometheus; and still at the loopback that its commands ask.
_OPEN = {"DCHAT_OBSERVABILITY__METRICS_HOST": "0.0.0.0"}


def _at(address: str) -> dict[str, str]:
    """Every door at one address."""
    return {
        "DCHAT_LISTEN_ADDRESS": f"{address}:26656",
        "DCHAT_NETWORK__RPC_LISTEN_ADDRESS": f"{address}:26657",
        "DCHAT_GRPC__LISTEN_ADDRESS": f"{address}:26670",
        "DCHAT_API_HOST": address,
        "DCHAT_OBSERVABILITY__METRICS_HOST": address,
    }


def _make(bridge: str, spaces: dict[str, str]) -> bool:
    if (
        not shutil.which("ip")
        or not _ip("link", "add", bridge, "type", "bridge")
        or not _ip("link", "set", bridge, "up")
    ):
        return False
    for at, space in enumerate(spaces.values(), start=1):
        inner, outer = f"v{at}", f"{bridge}v{at}"
        steps = (
            ("netns", "add", space),
            ("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space),
            ("link", "set", outer, "master", bridge, "up"),
            ("-n", space, "addr", "add", f"10.99.0.{at}/24", "dev", inner),
            ("-n", space, "link", "set", inner, "up"),
            ("-n", space, "link", "set", "lo", "up"),
        )
        if not all(_ip(*step) for step in steps):
            return False
    return subprocess.run(
        ["ip", "netns", "exec", spaces[next(iter(spaces))], "true"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


def _ip(*words: str) -> bool:
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0
