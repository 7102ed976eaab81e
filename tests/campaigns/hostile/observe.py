"""What is measured while a network is attacked: pace, memory, logs, peers, and how a node stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaigns.harness import CampaignFailed, Testnet

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MB = 1_000_000
SAMPLE_S = 0.25
ANSWER_S = 4.0  # who does not answer for so long does not count as being there
FAILURES = ("Traceback", "a reactor failed", "a handshake failed on our side", "level=critical", "exc_info")


def rss_mb(pid: int) -> float:
    """Resident memory; 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / MB
    except (OSError, IndexError):
        return 0.0


def cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Pace:
    """blocks, payments: a second. slowest_s: the slowest answer of the HTTP doors."""

    blocks: float
    payments: float
    seconds: float
    slowest_s: float = 0.0
    lag: int = 0  # the largest distance between two nodes' heights at the end

    def __str__(self) -> str:
        return f"{self.blocks:.1f} blocks/s {self.payments:.1f} payments/s"


class Watch:
    """Of one network: samples memory, asks the doors. `nodes`: indexes of those that are to run."""

    def __init__(self, net: Testnet, nodes: tuple[int, ...]) -> None:
        self.net, self.nodes = net, nodes
        self.pids = {index: net.pid(index) for index in nodes}
        self.peak: dict[int, float] = {}
        self._sampler: asyncio.Task[None] | None = None

    def memory(self) -> dict[int, float]:
        return {index: rss_mb(pid) for index, pid in self.pids.items()}

    def begin(self) -> None:
        self.peak = self.memory()
        self._sampler = asyncio.create_task(self._sample())

    async def _sample(self) -> None:
        while True:
            for index, now in self.memory().items():
                self.peak[index] = max(self.peak.get(index, 0.0), now)
            await asyncio.sleep(SAMPLE_S)

    def end(self) -> None:
        if self._sampler is not None:
            self._sampler.cancel()

    def dead(self) -> list[int]:
        return [index for index, pid in self.pids.items() if not is_alive(pid)]

    async def status(self, index: int, timeout_s: float = ANSWER_S) -> dict[str, Any] | None:
        """None when there is no answer."""
        try:
            return await asyncio.to_thread(self.net.get, index, "/status", timeout_s)
        except (OSError, ValueError):
            return None

    async def statuses(self) -> dict[int, dict[str, Any]]:
        answers = await asyncio.gather(*(self.status(index) for index in self.nodes))
        return {index: answer for index, answer in zip(self.nodes, answers, strict=True) if answer is not None}

    async def pace(self, seconds: float) -> Pace:
        """Over so many seconds, of whichever node tells the most."""
        before, began, slowest = await self.statuses(), time.monotonic(), 0.0
        while (left := seconds - (time.monotonic() - began)) > 0:
            await asyncio.sleep(min(left, 1.0))
            asked = time.monotonic()
            await self.statuses()
            slowest = max(slowest, time.monotonic() - asked)
        after, took = await self.statuses(), time.monotonic() - began
        both = [index for index in self.nodes if index in before and index in after]
        if not both:
            return Pace(0.0, 0.0, took, slowest, 10**9)

        def grown(name: str) -> float:
            highest = max(int(after[index][name]) for index in both)
            return max(0, highest - max(int(before[index][name]) for index in both)) / took

        heights = [int(after[index]["latest_block_height"]) if index in after else 0 for index in self.nodes]
        return Pace(
            grown("latest_block_height"), grown("committed_transactions"), took, slowest, max(heights) - min(heights)
        )

    async def heights(self) -> dict[int, int]:
        return {index: int(status["latest_block_height"]) for index, status in (await self.statuses()).items()}

    async def caught_up(self, timeout_s: float, *, within: int = 5) -> bool:
        """Whether all are within a few blocks of each other and go on, by the deadline."""
        deadline = time.monotonic() + timeout_s
        first = await self.heights()
        floor = max(first.values(), default=0)
        while time.monotonic() < deadline:
            now = await self.heights()
            if (
                len(now) == len(self.nodes)
                and max(now.values()) - min(now.values()) <= within
                and min(now.values()) > floor
            ):
                return True
            await asyncio.sleep(0.2)
        return False

    async def peers_of(self, index: int) -> set[str]:
        try:
            told = await asyncio.to_thread(self.net.get, index, "/peers", 5.0)
        except (OSError, ValueError):
            return set()
        return {peer["id"] for peer in told["peers"]}


@dataclass
class Logs:
    """The lines that nodes wrote since `mark`."""

    net: Testnet
    nodes: tuple[int, ...]
    offsets: dict[int, int] = field(default_factory=dict)

    def _file(self, index: int) -> Path:
        return self.net.network.home_of(self.net.network.node(index)) / "validator.log"

    def mark(self) -> None:
        self.offsets = {index: self._file(index).stat().st_size for index in self.nodes}

    def size(self, index: int) -> int:
        return self._file(index).stat().st_size - self.offsets[index]

    def lines(self, index: int) -> list[str]:
        with self._file(index).open("rb") as file:
            file.seek(self.offsets[index])
            return file.read(100 * MB).decode(errors="replace").splitlines()

    def judged(self, honest: set[str]) -> tuple[list[str], Counter[str]]:
        """(what no attack may cause, what was done to strangers)."""
        faults: list[str] = []
        done: Counter[str] = Counter()
        for index in self.nodes:
            seen: Counter[str] = Counter()
            for line in self.lines(index):
                if " event=committed " in line:
                    continue
                found = next((text for text in FAILURES if text in line), None)
                about = next((peer for peer in honest if f"peer={peer}" in line), None)
                if found is not None:
                    seen[f"{found}: {shorten(line)}"] += 1
                elif about is not None and ("lost a peer" in line or "banned" in line or "broke the protocol" in line):
                    seen[f"an honest peer: {shorten(line)}"] += 1
                elif "lost a peer" in line:
                    done[reason_of(line)] += 1
                elif "banned a peer" in line:
                    done["banned"] += 1
            faults += [f"node {index}: {text} ({times} times)" for text, times in seen.most_common(4)]
        return faults, done


def shorten(line: str) -> str:
    text = re.sub(r"timestamp=\S+ |node=\S+|level=\w+ |[0-9a-f]{30,}", "", line)
    return text[:160]


def reason_of(line: str) -> str:
    found = re.search(r'reason="([^"]*)"', line) or re.search(r"reason=(\S+)", line)
    return re.sub(r"\d+|[0-9a-f]{8,}", "#", found.group(1))[:70] if found else "lost"


async def stop_by_signal(net: Testnet, index: int, deadline_s: float) -> float:
    """SIGTERM; returns how long it took. Raises CampaignFailed past the deadline, having killed it."""
    pid = net.pid(index)
    os.kill(pid, signal.SIGTERM)
    began = time.monotonic()
    while is_alive(pid):
        if time.monotonic() - began > deadline_s:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise CampaignFailed(f"SIGTERM did not stop node {index} within {deadline_s:g} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began
