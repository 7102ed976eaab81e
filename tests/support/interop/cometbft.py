"""A real CometBFT node for tests: built once by `go install` into a cache, run in a home of its own.

Without Go and without a cached binary the test is skipped and says so (tools.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dchat.devnet.leases import free_ports
from tests.support.interop.tools import go_tool

VERSION = "0.38.26"
PACKAGE = "github.com/cometbft/cometbft/cmd/cometbft"
ABCI_CLI = "github.com/cometbft/cometbft/abci/cmd/abci-cli"
STOP_TIMEOUT_S = 10


def binary() -> Path:
    """Return the path of CometBFT's binary, built now if need be. Skips the test where Go or its source is missing."""
    path = go_tool("cometbft", PACKAGE, f"v{VERSION}")
    assert _version(path) == VERSION
    return path


def abci_cli() -> Path:
    """Likewise of its `abci-cli`, which serves a key-value store over ABCI."""
    return go_tool("abci-cli", ABCI_CLI, f"v{VERSION}")


def _version(path: Path) -> str:
    return subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout.strip()


class CometNode:
    """One node: `init` makes its home, `running` runs it, with the key-value store inside the process or another
    application."""

    def __init__(self, home: Path, *, chain_id: str) -> None:
        self.binary = binary()
        self.home = home
        self.chain_id = chain_id
        (ports,) = free_ports(1)  # of those that no outgoing connection takes before the process has them
        self.p2p_port, self.rpc_port = ports.p2p, ports.rpc
        self.log_path = home / "node.log"
        self.process: asyncio.subprocess.Process | None = None  # of the last `running`
        self.run("init")
        genesis = self.home / "config" / "genesis.json"
        document = json.loads(genesis.read_text())
        document["chain_id"] = chain_id
        genesis.write_text(json.dumps(document))
        self.id = self.run("show-node-id").strip()
        self.set_config(
            {
                "p2p.laddr": f"tcp://127.0.0.1:{self.p2p_port}",
                "rpc.laddr": f"tcp://127.0.0.1:{self.rpc_port}",
                "p2p.addr_book_strict": False,
                "p2p.allow_duplicate_ip": True,
            }
        )

    def adopt(self, config: Path, *, p2p_port: int, rpc_port: int) -> None:
        """Be the node whose files the `config` of a home of ours has: genesis, keys, and so its id; on these ports."""
        for name in ("genesis.json", "priv_validator_key.json", "node_key.json"):
            shutil.copy(config / name, self.home / "config" / name)
        self.id, self.p2p_port, self.rpc_port = self.run("show-node-id").strip(), p2p_port, rpc_port
        ports = {"p2p.laddr": f"tcp://127.0.0.1:{p2p_port}", "rpc.laddr": f"tcp://127.0.0.1:{rpc_port}"}
        self.set_config(ports)

    def run(self, *arguments: str) -> str:
        command = [str(self.binary), *arguments, "--home", str(self.home)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def set_config(self, values: dict[str, Any]) -> None:
        """Set `section.key` values in config.toml; each must be there already."""
        path = self.home / "config" / "config.toml"
        lines = path.read_text().splitlines()
        left = dict(values)
        section = ""
        for index, line in enumerate(lines):
            if header := re.fullmatch(r"\[(\w+)\]", line.strip()):
                section = header[1]
            elif (setting := re.match(r"(\w+) = ", line)) and f"{section}.{setting[1]}" in left:
                lines[index] = f"{setting[1]} = {json.dumps(left.pop(f'{section}.{setting[1]}'))}"
        assert not left, f"no such settings: {left}"
        path.write_text("\n".join(lines) + "\n")

    @property
    def address(self) -> str:
        return f"{self.id}@127.0.0.1:{self.p2p_port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    async def rpc(self, path: str) -> dict[str, Any]:
        """GET a JSON-RPC path. Raises OSError while the node does not answer."""

        def get() -> dict[str, Any]:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rpc_port}/{path}", timeout=60) as answer:
                result: dict[str, Any] = json.load(answer)["result"]
                return result

        return await asyncio.to_thread(get)

    async def start(self, app: str = "kvstore") -> None:
        """app: `--proxy_app`, a name or the address of a socket."""
        command = [str(self.binary), "start", "--home", str(self.home), f"--proxy_app={app}", "--log_level=info"]
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Killed where it does not end in time."""
        process = self.process
        assert process is not None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    @contextlib.asynccontextmanager
    async def running(self, app: str = "kvstore") -> AsyncIterator[None]:
        """app: `--proxy_app`, a name or the address of a socket."""
        await self.start(app)
        try:
            yield
        finally:
            await self.end()
