"""The network that alerts are caused in: four validators, each a process over a layer of faults, and a Prometheus.

What is typed at a node is typed by a process of its own, in the node's home, with the node's machine's clock. Of the
programs that are not ours `systemctl` and `timedatectl` are stood in for: there is no service manager here, and one
machine has one clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from dchat.config import Config
from dchat.config.models import SlashingSection
from dchat.devnet.leases import free_ports, lease_ports
from dchat.devnet.network import Network, NodeEntry, Pace, make_network
from dchat.signer.files import SignerFiles
from tests.support.node.machine import Faults, Process, fault_layer
from tests.support.runbooks.prometheus import Prometheus
from tests.support.runbooks.rules import FACTOR

NODES = 4
SUBJECT: Final = 4  # most faults are this node's
PACE = Pace(block_time=500, timeout_propose=1_000, timeout_prevote=300, timeout_precommit=300, timeout_commit=0)
POLL_S = 0.1
RELEASE_S = 10.0  # between two tries to leave jail
WELL_S = 120.0
TYPED_S = 180.0
STOPS_S = 30.0  # TimeoutStopSec of the unit
OPTIONS = "validator-config.toml"
UNIT = "dchat-validator"  # of deploy/systemd
GRPC, HTTP = 26_670, 7_071  # the first node's on the pages; the others' follow, HTTP's by two
_PORT = re.compile(r"localhost:(\d+)")
_NAMED = re.compile(r"<([a-z][a-z0-9-]*)>")


class NotAsTold(AssertionError):
    """An alert did not come or go, a command did not do what the page says, or the network is not well."""


class World:
    """`with` makes it, starts it and waits until it is well. folder: of its own; program: Prometheus."""

    def __init__(self, folder: Path, program: Path, *, factor: int = FACTOR) -> None:
        self.folder, self._program, self._factor = folder, program, factor
        self.until_end = contextlib.ExitStack()
        self.processes: dict[int, Process] = {}
        self.faults: dict[int, Faults] = {}
        self.names: dict[str, str] = {}  # what `<name>` stands for on a page
        self.signer: SignerFiles | None = None  # of the subject, while its key is elsewhere
        self.signer_at = ""
        self.signing: subprocess.Popen[bytes] | None = None
        self.readers: subprocess.Popen[bytes] | None = None
        self.relay: Any = None  # what stands in for one
        self.relay_port = lease_ports(1)[0]
        self.growing = threading.Event()
        self._options: dict[int, str] = {}
        self.network: Network
        self.prometheus: Prometheus

    def __enter__(self) -> Self:
        # Away for 150 of 300 blocks is jail, for some seconds: no other fault takes as long.
        slashing = SlashingSection(missed_blocks_window=300, downtime_jail_duration=5)
        self.network = make_network(
            self.folder / "net", validators=NODES, pace=PACE, ports=free_ports(NODES),
            options=Config(slashing=slashing), upgrade_authority="alice",
        )  # fmt: skip
        layer = fault_layer(self.folder)
        for node in self.network.nodes:
            faults = self.faults[node.index] = Faults(layer, self.folder / f"{node.name}.faults")
            log = self.folder / f"{node.name}.log"
            home = self.network.home_of(node)
            self._options[node.index] = (home / OPTIONS).read_text()
            self.processes[node.index] = Process(home, log, env=faults.env)
        targets = [f"{self.network.host}:{node.ports.metrics}" for node in self.network.nodes]
        try:
            for index in self.processes:
                self.start(index)
            prometheus = Prometheus(self._program, self.folder / "prometheus", targets, factor=self._factor)
            self.prometheus = self.until_end.enter_context(prometheus)
            self.settle()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self.until_end.close()
        for process in self.processes.values():
            process.close()

    # ---------------------------------------------------------------------------------------------- processes

    def node(self, index: int) -> NodeEntry:
        return self.network.node(index)

    def home(self, index: int) -> Path:
        return self.network.home_of(self.node(index))

    def is_running(self, index: int) -> bool:
        process = self.processes[index]
        return process.running is not None and process.code is None

    def start(self, index: int) -> None:
        """As a service manager does: one that runs is left alone."""
        if not self.is_running(index):
            self.processes[index].start(wait=False)

    def stop(self, index: int) -> None:
        """As a service manager does: who does not end by SIGTERM is killed."""
        process = self.processes[index].running
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOPS_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self, index: int) -> None:
        self.processes[index].close()

    def signal(self, index: int, number: int) -> None:
        running = self.processes[index].running
        assert running is not None
        os.kill(running.pid, number)

    def write_options(self, index: int) -> None:
        """As they were at the begin."""
        (self.home(index) / OPTIONS).write_text(self._options[index])

    # ------------------------------------------------------------------------------------------------- typing

    def type(self, words: tuple[str, ...], index: int) -> tuple[int, str]:
        """Exit code and what was printed, by a command of a page typed on the machine of node `index`."""
        words = tuple(self._filled(word, index) for word in words)
        match words:
            case ("systemctl", verb, unit) if unit == UNIT and verb in ("start", "stop", "restart"):
                if verb != "start":
                    self.stop(index)
                if verb != "stop":
                    self.start(index)
                return 0, ""
            case ("systemctl", "reload", unit) if unit == UNIT:
                self.signal(index, 1)
                return 0, ""
            case ("timedatectl", "set-ntp", "true"):
                self.faults[index].clear()
                return 0, ""
            case ("dchat", *rest):
                return self.dchat(rest, index)
        raise NotAsTold(f"a page says to type {shlex.join(words)}: only dchat, systemctl and timedatectl are known")

    def dchat(self, words: list[str], index: int) -> tuple[int, str]:
        """A node's machine has its clock and its home."""
        done = subprocess.run(
            [sys.executable, "-m", "dchat", *words], cwd=self.home(index), text=True, check=False, timeout=TYPED_S,
            env={**os.environ, **self.faults[index].env, "DCHAT_HOME": str(self.home(index))},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _filled(self, word: str, index: int) -> str:
        """The node at which it is typed is the page's first; the others are the page's others, in order."""
        others = [index, *(node.index for node in self.network.nodes if node.index != index)]

        def port(found: re.Match[str]) -> str:
            usual = int(found[1])
            at, is_grpc = ((usual - GRPC), True) if usual >= GRPC else ((usual - HTTP) // 2, False)
            ports = self.node(others[at]).ports
            return f"{self.network.host}:{ports.grpc if is_grpc else ports.http}"

        return _PORT.sub(port, _NAMED.sub(lambda found: self.names[found[1]], word))

    # ------------------------------------------------------------------------------------------------- seeing

    def get(self, index: int, path: str) -> tuple[int, dict[str, Any]]:
        """Of the node's HTTP door; (0, {}) where it does not answer."""
        url = f"http://{self.network.host}:{self.node(index).ports.http}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (OSError, ValueError):
            return 0, {}

    def height(self, index: int) -> int:
        """-1: it does not answer."""
        return int(self.get(index, "/status")[1].get("latest_block_height", -1))

    def jailed(self, index: int) -> bool:
        """As another node has it."""
        address = self.node(index).address
        other = next(node.index for node in self.network.nodes if node.index != index)
        rows = self.get(other, "/v1/validators?limit=100")[1].get("validators", [])
        return any(row["consensus_address"].upper() == address and bool(row.get("jailed")) for row in rows)

    def until(self, what: str, condition: Callable[[], bool], timeout_s: float = WELL_S) -> float:
        """How long it took. Raises NotAsTold at the deadline."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > timeout_s:
                raise NotAsTold(f"not within {timeout_s:g} s: {what}\n{self.told()}")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def is_well(self) -> bool:
        """All are ready and vote, on one chain whose blocks come."""
        ready = [self.get(node.index, "/ready") for node in self.network.nodes]
        if not all(code == 200 and told.get("ready") for code, told in ready):
            return False
        heights = [self.height(node.index) for node in self.network.nodes]
        if max(heights) - min(heights) > 2:
            return False
        votes = self.get(1, "/chain/consensus-status")[1].get("last_commit_votes")
        return votes == NODES and not any(self.jailed(node.index) for node in self.network.nodes)

    def recover(self, timeout_s: float = 2 * WELL_S) -> float:
        """Until it is well; who was away for so long that it is jailed is released, as its page says."""
        tried = time.monotonic()

        def is_well() -> bool:
            nonlocal tried
            if time.monotonic() > tried + RELEASE_S and self.jailed(SUBJECT) and self.is_running(SUBJECT):
                self.dchat(["tx", "stake", "unjail", "--from", "identity.json"], SUBJECT)
                tried = time.monotonic()
            return self.is_well()

        return self.until("the network is well", is_well, timeout_s)

    def settle(self) -> None:
        """Well, and no alert left of what was before."""
        self.recover()
        self.until("no alert is left", lambda: not self.prometheus.alerts(), timeout_s=2 * WELL_S)

    def told(self) -> str:
        lines = [str(alert) for alert in self.prometheus.alerts()] if hasattr(self, "prometheus") else []
        for node in self.network.nodes:
            process = self.processes[node.index]
            lines += [f"{node.name}: code {process.code}, {self.get(node.index, '/ready')}, {process.last_line[:300]}"]
        return "\n".join(lines)
