"""CometBFT's own tools for looking into a node, over ours: `cometbft debug dump`, `wal2json`, `cometbft inspect`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dchat.devnet.leases import free_ports
from dchat.home.home import Home
from tests.support.interop.cometbft import VERSION, binary
from tests.support.interop.rows import row
from tests.support.interop.tools import go_tool
from tests.support.node.running import Running, running_node

pytestmark = [pytest.mark.go, pytest.mark.network]

WAL2JSON = "github.com/cometbft/cometbft/scripts/wal2json"
WAIT_S = 60
RUN_TIMEOUT_S = 60
KINDS = {
    "tendermint/wal/EndHeightMessage", "tendermint/wal/MsgInfo", "tendermint/wal/TimeoutInfo",
    "tendermint/event/RoundState",
}  # fmt: skip


@contextlib.asynccontextmanager
async def tool(*words: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """Until what is within ends: `dump` and `inspect` go on."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def home_of(running: Running) -> Home:
    return Home.of(running.network.home_of(running.network.nodes[0]))


def archived(folder: Path) -> dict[str, bytes]:
    """The files of the first archive that is whole; nothing before."""
    for path in folder.glob("*.zip"):
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            return {Path(name).name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    return {}


async def dumped(running: Running, folder: Path) -> dict[str, bytes]:
    """What `cometbft debug dump` collects of a node."""
    address = running.rpc.replace("http://", "tcp://")
    words = ("debug", "dump", folder, "--frequency", 1, "--rpc-laddr", address, "--home", home_of(running).root)
    async with tool(binary(), *words), asyncio.timeout(WAIT_S):
        while not (files := await asyncio.to_thread(archived, folder)):  # noqa: ASYNC110 - files of a process
            await asyncio.sleep(0.1)
    return files


def read_wal(path: Path) -> list[dict[str, Any]]:
    """What CometBFT's own reader makes of a file of the write-ahead log."""
    program = go_tool("wal2json", WAL2JSON, f"v{VERSION}")
    done = subprocess.run([program, path], capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


async def test_its_debug_dump_and_its_reader_of_the_log_understand_a_node_of_ours(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path / "net") as running, running.client() as client:
            await client.wait_for_height(5)
            files = await dumped(running, tmp_path / "dumps")
    assert sorted(files) == ["consensus_state.json", "net_info.json", "status.json", "wal"]
    status, state = json.loads(files["status.json"]), json.loads(files["consensus_state.json"])
    assert status["node_info"]["network"] == running.network.chain_id
    assert int(status["sync_info"]["latest_block_height"]) >= 5
    assert int(state["round_state"]["height"]) >= 5
    assert json.loads(files["net_info.json"])["n_peers"] == 0

    log = await asyncio.to_thread(read_wal, home_of(running).wal / "wal")
    kinds = Counter(one["msg"]["type"] for one in log)
    assert set(kinds) <= KINDS
    ends = [int(one["msg"]["value"]["height"]) for one in log if one["msg"]["type"].endswith("EndHeightMessage")]
    assert ends == list(range(ends[0], ends[0] + len(ends)))
    assert ends[-1] >= 5
    row(
        "CometBFT", VERSION, "`cometbft debug dump` over our JSON-RPC door and home",
        "status, net_info, consensus state and the write-ahead log in its archive; no profiles, which are Go's",
    )  # fmt: skip
    row(
        "CometBFT", VERSION, "`wal2json`, its reader of the write-ahead log, over ours",
        f"{len(log)} records of {len(kinds)} kinds, the ends of {len(ends)} heights in turn",
    )  # fmt: skip


async def test_its_inspect_finds_no_databases_of_its_own(tmp_path: Path) -> None:
    """Databases are each program's own: ours are looked into by `dchat database`."""
    with capture_logs():
        async with running_node(tmp_path / "net") as running, running.client() as client:
            await client.wait_for_height(3)
            home = home_of(running)
    copy, (ports,) = tmp_path / "copy", free_ports(1)
    shutil.copytree(home.root, copy)

    def block() -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports.rpc}/block?height=2", timeout=10) as answer:
                told: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            told = json.load(error)
        return told

    async with tool(binary(), "inspect", "--home", copy, "--rpc.laddr", f"tcp://127.0.0.1:{ports.rpc}"):
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    told = await asyncio.to_thread(block)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
    assert "error" in told, told
    row(
        "CometBFT", VERSION, "`cometbft inspect` over a home of ours",
        "does not apply: it reads databases of its own layout and finds none; ours are read by `dchat database`",
    )  # fmt: skip
