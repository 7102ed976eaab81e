"""Signers that others wrote, as processes: CometBFT's own, and TMKMS."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dchat.signer.files import SignerFiles
from tests.support.interop.cometbft import VERSION
from tests.support.interop.tools import cache, go_tool

SERVER = "github.com/cometbft/cometbft/cmd/priv_val_server"


def tmkms_path() -> Path:
    """Where it is looked for. Its build takes a quarter of an hour and more, so that nothing here begins it."""
    return cache() / "bin" / "tmkms"


def tmkms() -> Path:
    """Skips the test where it was not built."""
    path = tmkms_path()
    if not path.exists():
        pytest.skip(f"{path} is missing: cargo install tmkms --features=softsign, then copy it there")
    return path


def server_command(folder: Path, files: SignerFiles, address: str, chain_id: str) -> list[object]:
    program = go_tool("priv_val_server", SERVER, f"v{VERSION}")
    return [program, "-addr", address, "-chain-id", chain_id, "-priv-key", files.key, "-priv-state", files.state]


def tmkms_command(folder: Path, files: SignerFiles, address: str, chain_id: str) -> list[object]:
    program, options = tmkms(), folder / "tmkms.toml"
    if not options.exists():
        subprocess.run([program, "softsign", "import", files.key, folder / "consensus.key"], check=True)
        subprocess.run([program, "softsign", "keygen", "-t", "consensus", folder / "identity.key"], check=True)
        options.write_text(
            f'[[chain]]\nid = "{chain_id}"\nkey_format = {{ type = "hex" }}\nstate_file = "{folder}/tmkms-state.json"\n'
            f'[[validator]]\nchain_id = "{chain_id}"\naddr = "{address}"\nsecret_key = "{folder}/identity.key"\n'
            'protocol_version = "v0.34"\nreconnect = true\n'
            f'[[providers.softsign]]\nchain_ids = ["{chain_id}"]\nkey_type = "consensus"\n'
            f'path = "{folder}/consensus.key"\n'
        )
    return [program, "start", "-c", options]


@contextlib.asynccontextmanager
async def signing(words: list[object], log: Path) -> AsyncIterator[None]:
    """Started again when it ends by itself (CometBFT's does where nobody listens yet), killed at the end."""

    async def keep() -> None:
        while True:
            with log.open("ab") as file:
                process = await asyncio.create_subprocess_exec(*map(str, words), stdout=file, stderr=file)
            try:
                await process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
