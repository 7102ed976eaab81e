"""`--keep FILE`: what is signed is on disk before anybody else has it, so that a command can be given again and again.

Given again with the file there, it signs nothing and hands in what the file holds: the same bytes are executed once,
whatever nodes said of them before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chain.tx.envelope.tx import TX_BYTES_MAX, Tx, decode
from chain.tx.errors import TxError
from chain.tx.messages import Message
from consensus.system.files import replace_durably
from dchat.cli.terminal.base import Exit, Refusal


def read_kept(file: Path, messages: Sequence[Message], sender: bytes) -> Tx | None:
    """None: there is no file yet. Raises Refusal: it holds something else than what the command says."""
    try:
        with file.open("rb") as opened:
            text = opened.read(2 * TX_BYTES_MAX + 2)
        tx = decode(bytes.fromhex(text.decode("ascii").strip()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal(f"--keep {file}: cannot be read: {error.strerror}", Exit.USAGE) from None
    except (ValueError, TxError) as error:
        raise Refusal(f"--keep {file}: is no signed transaction: {error}; name another file", Exit.USAGE) from None
    if tx.messages != tuple(messages) or tx.signers[0].address != sender:
        raise Refusal(f"--keep {file}: holds another transaction, {tx.id.hex()}; name another file", Exit.USAGE)
    return tx


def keep(file: Path, raw: bytes) -> None:
    """Durable when it returns. Raises Refusal."""
    try:
        replace_durably(file, f"{raw.hex()}\n")
    except OSError as error:
        raise Refusal(
            f"--keep {file}: cannot be written: {error.strerror}; nothing was handed in", Exit.USAGE
        ) from None
