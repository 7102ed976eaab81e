"""A network of real processes, driven by scripts/testnet as a person would, watched through the public doors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from dchat.devnet.network import NETWORK_FILE, Network, NodeEntry, load_network
from dchat.devnet.processes import end_as_by_interrupt, running_pid, undisturbed

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.05
AGREE_S = 30.0  # of a hundred blocks, at the end of what loads the machine
T = TypeVar("T")


class CampaignFailed(AssertionError):
    """A law of the network was broken."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run_campaign(work: Coroutine[Any, Any, T]) -> T:
    """Its processes are gone when this returns, whether it is done, fails, or is asked to end, and how often."""
    end_as_by_interrupt()
    return asyncio.run(work)


def be_quiet() -> None:
    """Nothing of what replayed applications log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@contextlib.contextmanager
def folder_of(name: str) -> Iterator[Path]:
    """A new folder, removed when all went well and kept, and named, when not."""
    folder = Path(tempfile.mkdtemp(prefix=f"dchat-{name}-"))
    try:
        yield folder
    except BaseException:
        say(f"kept: {folder}")
        raise
    shutil.rmtree(folder)


class Testnet:
    """`scripts/testnet` with a home of its own."""

    __test__ = False

    def __init__(self, home: Path, *flags: str, root: Path = ROOT) -> None:
        """root: the repository whose product it is."""
        self.home, self._flags, self.root = home, flags, root
        self._one = threading.Lock()
        self.network: Network

    def run(self, *words: str) -> None:
        """To its end, whatever signals come: a command that is cut leaves processes behind. Raises CampaignFailed."""
        with undisturbed(), self._one:
            done = subprocess.run(
                [str(self.root / "scripts" / "testnet"), *words, "--home", str(self.home)],
                cwd=self.root, capture_output=True, text=True, check=False, timeout=300, start_new_session=True,
            )  # fmt: skip
        if done.returncode:
            said = f"exit {done.returncode}\n{done.stdout}{done.stderr}"
            raise CampaignFailed(f"scripts/testnet {' '.join(words)}: {said}")

    def __enter__(self) -> Self:
        try:
            self.run("--detach", *self._flags)
            self.network = load_network(self.home)
        except BaseException:
            if (self.home / NETWORK_FILE).exists():
                self.run("stop")
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.run("stop")

    @property
    def nodes(self) -> tuple[NodeEntry, ...]:
        return self.network.nodes

    @property
    def homes(self) -> list[Path]:
        return [self.network.home_of(node) for node in self.nodes]

    def kill(self, index: int) -> None:
        self.run("kill", str(index))

    def start(self, index: int) -> None:
        self.run("start", str(index))

    def stop(self, index: int) -> None:
        self.run("stop", str(index))

    def pid(self, index: int) -> int:
        """Raises CampaignFailed when it does not run."""
        pid = running_pid(self.network, self.network.node(index))
        if pid is None:
            raise CampaignFailed(f"validator {index} does not run")
        return pid

    def get(self, index: int, path: str, timeout_s: float = 2.0) -> dict[str, Any]:
        """JSON of validator `index`'s HTTP door. Raises OSError when it does not answer."""
        url = f"http://{self.network.host}:{self.network.node(index).ports.http}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))

    def grpc(self, index: int) -> str:
        return f"{self.network.host}:{self.network.node(index).ports.grpc}"

    async def height(self, index: int) -> int:
        """-1 when it does not answer."""
        try:
            status = await asyncio.to_thread(self.get, index, "/status")
        except OSError:
            return -1
        return int(status["latest_block_height"])

    async def app_hashes(self, index: int, heights: int) -> dict[int, str]:
        """Height -> the app hash in its header, of the last `heights` blocks (up to 100)."""
        path = f"/chain/blocks?limit={min(100, heights)}"
        blocks = (await asyncio.to_thread(self.get, index, path, AGREE_S))["blocks"]
        return {block["height"]: block["app_hash"] for block in blocks}

    async def check_agreement(self, heights: int = 100) -> int:
        """Compare block and app hashes of the heights that all nodes have; returns how many there were."""
        answers = await asyncio.gather(
            *(asyncio.to_thread(self.get, n.index, f"/chain/blocks?limit={heights}", AGREE_S) for n in self.nodes)
        )
        tables = [{b["height"]: (b["hash"], b["app_hash"]) for b in answer["blocks"]} for answer in answers]
        common = set.intersection(*(set(table) for table in tables))
        for height in sorted(common):
            said = {table[height] for table in tables}
            if len(said) != 1:
                raise CampaignFailed(f"nodes differ at height {height}: {said}")
        if not common:
            raise CampaignFailed("the nodes have no height in common")
        return len(common)


async def until(
    what: str, condition: Callable[[], Awaitable[bool]], *, timeout_s: float, poll_s: float = POLL_S
) -> float:
    """Poll until the condition holds; returns how long it took. Raises CampaignFailed at the deadline."""
    started = time.monotonic()
    while not await condition():
        if time.monotonic() - started > timeout_s:
            raise CampaignFailed(f"{what}: not within {timeout_s:g} s")
        await asyncio.sleep(poll_s)
    return time.monotonic() - started
