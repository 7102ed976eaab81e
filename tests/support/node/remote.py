"""A node of a test network whose key goes to a signer elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from dchat.devnet.network import Network
from dchat.home.home import Home
from dchat.signer.files import SignerFiles
from tests.support.node.running import Running


def move_key(network: Network, folder: Path, address: str, *, index: int = 1) -> SignerFiles:
    """From the home of node `index` to the signer's; the node is told where its signer connects."""
    home = Home.of(network.home_of(network.node(index)))
    folder.mkdir()
    files = SignerFiles(folder / "key.json", folder / "state.json")
    shutil.move(home.validator_key, files.key)
    shutil.move(home.sign_state, files.state)
    key = files.load_key().pub_key.bytes.hex()
    options = (
        f'[validator]\npriv_validator_laddr = "{address}"\npriv_validator_pub_key = "{key}"\n'
        f'priv_validator_signer_id = "{files.load_node_key().id}"\n'
    )
    text = home.config_file.read_text()
    home.config_file.write_text(
        text.replace("[validator]\n", options) if "[validator]\n" in text else f"{text}\n{options}"
    )
    return files


def down(running: Running) -> dict[str, str]:
    return running.node.views.faults.down


@contextlib.asynccontextmanager
async def signing(
    files: SignerFiles, address: str, chain_id: str, *flags: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`dchat signer` as a process. Killed at the end: kill -9."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dchat", "signer", "--connect", address, "--chain-id", chain_id,
        "--key-file", str(files.key), "--state-file", str(files.state), *flags, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
