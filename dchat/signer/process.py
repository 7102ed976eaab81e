"""The process around a signer: its files, its lock, signals, and how it ends.

SIGTERM and SIGINT end it after the signature that is under way. kill -9 at any moment is safe: a signature is in the
record before it leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvloop

from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.channel import SignerAddress
from consensus.privval.errors import SignerStateInUse
from consensus.privval.serving import SignerProcess, SignerService
from consensus.privval.signer import FileSigner
from consensus.system.disk import OsDisk
from consensus.system.errors import EngineError, exit_code_of
from consensus.system.machine import last_words
from dchat.config.hsm import HsmSection
from dchat.home import logs
from dchat.home.errors import HomeError
from dchat.home.home_lock import hold_record
from dchat.signer.choice import signing_key
from dchat.signer.files import SignerFiles

EXIT_FAILED, EXIT_USAGE = 1, 2

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SignerOptions:
    """allowed_id: of the only node that is answered, over TCP; empty: any. hsm, root: where the key is, and what
    relative paths there are relative to."""

    chain_id: str
    address: SignerAddress
    allowed_id: str = ""
    hsm: HsmSection = field(default_factory=HsmSection)
    root: Path = Path()


def run_signer(files: SignerFiles, options: SignerOptions, *, is_homes: bool = False) -> int:
    """Until a signal or a failure; returns the exit code. is_homes: who calls holds the home, and so the record."""
    try:
        file, node_key = files.load_key_file(), files.load_node_key()
        key = signing_key(file, options.hsm, options.root, files.passphrase)
        files.check_record()
        with contextlib.nullcontext() if is_homes else hold_record(files.state):
            signer = FileSigner(OsDisk(), key, files.state)
            try:
                return uvloop.run(_until_asked(signer, node_key, options))
            finally:
                signer.close()
    except SignerStateInUse as error:
        return logs.last_line(EXIT_FAILED, str(error))
    except HomeError as error:
        return logs.last_line(EXIT_USAGE, str(error))
    except (EngineError, OSError) as error:
        return logs.last_line(exit_code_of(error), last_words(error))


async def _until_asked(signer: FileSigner, node_key: NodeKey, options: SignerOptions) -> int:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked.set)
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log.info(
        "signs", validator=signer.pub_key.address.hex().upper(), by=options.hsm.kind or "file",
        chain_id=options.chain_id, signer_id=node_key.id, connects_to=str(options.address), pid=os.getpid(),
        last_signed="/".join(map(str, signer.last_position)),
    )  # fmt: skip
    process = SignerProcess(
        SignerService(signer, options.chain_id), options.address, node_key, allowed_id=options.allowed_id
    )
    serving = asyncio.create_task(process.run(), name="serve the validator")
    stopping = asyncio.create_task(asked.wait(), name="wait for a signal")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        stopping.cancel()
        await serving  # it ends by an error alone
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    log.info("stopped", last_signed="/".join(map(str, signer.last_position)))
    return 0
