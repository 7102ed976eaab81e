"""Real processes of two builds: this tree, and this tree with the plan of plans/spring.py in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dchat.client.client import Client, NodeUnreachable
from dchat.devnet.network import Network
from proto.dchat.v1.service_pb2 import GetUpgradeResponse
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
SPRING = ROOT / "tests" / "support" / "upgrade" / "plans" / "spring.py"


def make_build(folder: Path, *, plan: Path | None = None) -> Path:
    """An executable that runs the tree: everything is linked, but for `dchat`, which may get another plan.

    With what Python has compiled of it: the first start of each build took seconds of a core to do it again.
    """
    tree = folder / "tree"
    tree.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.is_dir() and (path / "__init__.py").exists() and path.name not in ("dchat", "tests"):
            (tree / path.name).symlink_to(path)
    (tree / "proto").symlink_to(ROOT / "proto") if not (tree / "proto").exists() else None
    shutil.copytree(ROOT / "dchat", tree / "dchat", ignore=shutil.ignore_patterns("*.pyc.*"))  # one half written
    if plan is not None:
        shutil.copyfile(plan, tree / "dchat" / "app" / "build_plan.py")
    script = folder / "dchat"
    main = "import sys; sys.path.insert(0, sys.argv.pop(1)); from dchat.cli.main import main; main()"
    script.write_text(f"#!/bin/sh\ncd /\nexec {sys.executable} -P -c '{main}' {tree} \"$@\"\n")
    script.chmod(0o755)
    return script


@dataclass
class Daemon:
    """One validator's process. `log` has all that it said, over every start."""

    network: Network
    index: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.network.home_of(self.network.node(self.index))

    @property
    def client(self) -> Client:
        return Client(f"127.0.0.1:{self.network.node(self.index).ports.grpc}")

    def start(self, binary: Path, *arguments: object) -> None:
        assert self.process is None or self.process.poll() is not None
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(binary), "validator", "--home", str(self.home), *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **self.environment},
            )  # fmt: skip

    def said(self, text: str) -> bool:
        """As a line, or as an event of the structured log, where quotes are escaped."""
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text in said or text.replace('"', '\\"') in said

    async def reach(self, height: int, *, timeout_s: float = PATIENCE_S) -> GetUpgradeResponse:
        """Wait until it has saved `height`, over restarts; what it then says of upgrades."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                async with self.client as client:
                    if (await client.status()).latest_block_height >= height:
                        return await client.upgrade()
            except NodeUnreachable:
                pass
            assert time.monotonic() < deadline, f"height {height} was not reached; {self.log}"
            await asyncio.sleep(0.1)

    async def wait_exit(self, *, timeout_s: float = PATIENCE_S) -> int:
        assert self.process is not None
        await until(lambda: self.process is not None and self.process.poll() is not None, timeout_s=timeout_s)
        return self.process.returncode

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()


async def until(condition: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        await asyncio.sleep(0.05)


def run(binary: Path, *arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [str(binary), *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr
