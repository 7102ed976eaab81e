"""`dchat signer` for others: CometBFT's validator, and the acceptance tests of the harness for remote signers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dchat.devnet.leases import free_ports
from tests.support.interop.cometbft import VERSION, CometNode
from tests.support.interop.rows import row
from tests.support.interop.tools import built, cache, found

pytestmark = [pytest.mark.go, pytest.mark.network]

WAIT_S = 60
KILLS = 5
HARNESS = "github.com/tendermint/tendermint"  # where it was last: CometBFT's own releases have none
HARNESS_VERSION = "v0.34.24"


@contextlib.asynccontextmanager
async def signing(folder: Path, address: str, chain_id: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`dchat signer` by the key and the record in a folder; killed at the end if it still runs."""
    command = [
        sys.executable, "-m", "dchat", "signer", "--connect", address, "--chain-id", chain_id,
        "--key-file", str(folder / "key.json"), "--state-file", str(folder / "state.json"),
    ]  # fmt: skip
    with (folder / "signer.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(WAIT_S):  # a CometBFT node waits for it for 3 s when it starts, then ends
            while f"pid={process.pid}" not in said_by(folder):  # noqa: ASYNC110 - a file of a process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"the signer did not start: {said_by(folder)[-3000:]}") from None
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def said_by(folder: Path) -> str:
    path = folder / "signer.log"
    return path.read_text() if path.exists() else ""


def bring_key(node: CometNode, folder: Path) -> None:
    """The node's key and record go to the signer: the node has none from then on."""
    folder.mkdir()
    for source, name in (
        ("config/priv_validator_key.json", "key.json"),
        ("data/priv_validator_state.json", "state.json"),
    ):
        shutil.move(node.home / source, folder / name)
        (folder / name).chmod(0o600)


async def height_of(node: CometNode) -> int:
    """0 while it does not answer."""
    with contextlib.suppress(OSError):
        return int((await node.rpc("status"))["sync_info"]["latest_block_height"])
    return 0


async def wait_for_height(node: CometNode, height: int) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while await height_of(node) < height:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"no height {height}: {node.log[-3000:]}") from None


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_cometbft_validator_is_signed_for_and_the_signer_killed_meanwhile(tmp_path: Path, kind: str) -> None:
    node = CometNode(tmp_path / "comet", chain_id="signed-elsewhere")
    (ports,) = free_ports(1)
    address = f"tcp://127.0.0.1:{ports.p2p}" if kind == "tcp" else f"unix://{tmp_path / 's'}"
    path = node.home / "config" / "config.toml"
    path.write_text(path.read_text().replace('priv_validator_laddr = ""', f'priv_validator_laddr = "{address}"'))
    node.set_config({"consensus.timeout_commit": "100ms"})
    folder = tmp_path / "signer"
    bring_key(node, folder)
    async with contextlib.AsyncExitStack() as until:
        for time in range(KILLS + 1):
            async with signing(folder, address, node.chain_id) as signer:
                if not time:  # the node needs a signer to start
                    await until.enter_async_context(node.running())
                await wait_for_height(node, await height_of(node) + 2)
                signer.send_signal(signal.SIGKILL if time < KILLS else signal.SIGTERM)
                assert await signer.wait() == (-signal.SIGKILL if time < KILLS else 0)
        assert node.process is not None
        assert node.process.returncode is None
        last = await height_of(node)
    after = json.loads((folder / "state.json").read_text())
    assert int(after["height"]) >= last - 1
    assert "CONSENSUS FAILURE" not in node.log
    row(
        "CometBFT", VERSION, "its validator signed for by `dchat signer`, over TCP and a Unix socket",
        f"blocks go on each time that the signer comes back, of {KILLS} that it was killed; nothing is signed twice",
    )  # fmt: skip


def harness() -> Path:
    """tm-signer-harness: of Tendermint's last releases, which `go install` alone does not build any more."""
    path = cache() / "bin" / "tm-signer-harness"
    go, package = found("go", "it builds tm-signer-harness"), f"{HARNESS}/tools/tm-signer-harness"
    folder = cache() / "programs" / "tm-signer-harness"
    for place in (folder, path.parent):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(f"module harness\n\ngo 1.21\n\nrequire {HARNESS} {HARNESS_VERSION}\n")
    (folder / "tools.go").write_text(f'//go:build tools\n\npackage harness\n\nimport _ "{package}"\n')
    return built(path, [go, "build", "-mod=mod", "-o", str(path), package], folder=folder)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_its_harness_for_remote_signers_accepts_ours(tmp_path: Path, kind: str) -> None:
    program = harness()
    node = CometNode(tmp_path / "comet", chain_id="harnessed")
    folder = tmp_path / "signer"
    bring_key(node, folder)
    shutil.copy(folder / "key.json", node.home / "config" / "priv_validator_key.json")  # that it expects
    shutil.copy(folder / "state.json", node.home / "data" / "priv_validator_state.json")
    genesis = node.home / "config" / "genesis.json"
    document = json.loads(genesis.read_text())
    document["consensus_params"]["block"]["time_iota_ms"] = "1"  # which that release asks for
    genesis.write_text(json.dumps(document))
    (ports,) = free_ports(1)
    address = f"tcp://127.0.0.1:{ports.p2p}" if kind == "tcp" else f"unix://{tmp_path / 's'}"
    async with signing(folder, address, node.chain_id):
        words = (program, "run", "-addr", address, "-tmhome", node.home, "-accept-retries", "3000")
        done = await asyncio.to_thread(
            subprocess.run, [*map(str, words)], capture_output=True, text=True, timeout=WAIT_S, check=False,
            env=os.environ,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], (folder / "signer.log").read_text())
    assert "SUCCESS! All tests passed." in done.stdout
    row(
        "tm-signer-harness", HARNESS_VERSION[1:], "its acceptance tests of remote signers against `dchat signer`",
        "all pass, over TCP and a Unix socket: the public key, a proposal, a prevote, a precommit",
    )  # fmt: skip
