"""What is signed is on disk before anybody else has it, so that the same can be sent again after whatever happened.

With the file there, nothing is signed: what it holds is handed in, and the same bytes are executed once, whatever nodes
said of them before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chain.tx.envelope.tx import TX_BYTES_MAX, Tx, decode
from chain.tx.errors import TxError
from chain.tx.messages import Message
from consensus.system.files import replace_durably
from dchat.client.client import ClientError


class KeepFailed(ClientError):
    """A file to keep a transaction in cannot be used: which, and why. Nothing was handed in."""


def read_kept(file: Path, messages: Sequence[Message], sender: bytes) -> Tx | None:
    """None: there is no file yet. Raises KeepFailed: it holds something else than what is to be sent."""
    try:
        with file.open("rb") as opened:
            text = opened.read(2 * TX_BYTES_MAX + 2)
        tx = decode(bytes.fromhex(text.decode("ascii").strip()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeepFailed(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, TxError) as error:
        raise KeepFailed(f"{file}: is no signed transaction: {error}; name another file") from None
    if tx.messages != tuple(messages) or tx.signers[0].address != sender:
        raise KeepFailed(f"{file}: holds another transaction, {tx.id.hex()}; name another file")
    return tx


def keep(file: Path, raw: bytes) -> None:
    """Durable when it returns. Raises KeepFailed."""
    try:
        replace_durably(file, f"{raw.hex()}\n")
    except OSError as error:
        raise KeepFailed(f"{file}: cannot be written: {error.strerror}; nothing was handed in") from None
