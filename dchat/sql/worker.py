"""The process that writes: `python -m dchat.sql.worker`, begun by a node (feed.py); it ends with the node.

Frames come by standard input, and what became of them goes by standard output, a line of JSON each:

    {"at": 41, "hash": "..."}                     attached, or gone back: 42 is wanted next; 0: whatever is the first
    {"saved": 44, "blocks": 3, "transactions": 9} committed
    {"trouble": "..."}                            the server is not there; it is tried again
    {"refused": "..."}                            nothing to be done; the process ends

Frames that were sent before the node heard the last `at` are dropped: it sends from there again.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from typing import Any, Final

from google.protobuf.message import DecodeError

from dchat.sql.errors import SqlError, SqlUnavailable
from dchat.sql.fill import BATCH_BLOCKS, BATCH_BYTES
from dchat.sql.frames import Pipe, decode_target, encode_line
from dchat.sql.writer import Frame, Target, Writer

RETRY_FIRST_S, RETRY_MAX_S = 0.5, 20.0
NICE: Final = 10  # consensus first
EXIT_REFUSED: Final = 3
MEMORY_BYTES_MAX: Final = 1 << 30  # a batch's rows take some 100 MB; what a server answers has no bound of its own


class Worker:
    """run: until the node goes (EOFError, BrokenPipeError), or it is refused (SqlRefused, SqlMissing)."""

    def __init__(self, target: Target, pipe: Pipe) -> None:
        self._target, self._pipe = target, pipe
        self._epoch = 0

    def run(self) -> None:
        wait_s = RETRY_FIRST_S
        while True:
            try:
                with contextlib.closing(Writer.attach(self._target)) as writer:
                    wait_s = RETRY_FIRST_S
                    while True:
                        self._follow(writer)
            except (SqlUnavailable, MemoryError) as error:
                tell(trouble=str(error) or "what the server answers does not fit into memory")
                self._pipe.pause(wait_s)
                wait_s = min(wait_s * 2, RETRY_MAX_S)

    def _follow(self, writer: Writer) -> None:
        """Write what comes, a transaction for what there is at once, within bounds; returns when `at` went back."""
        self._epoch += 1
        tell(at=writer.at.height, hash=writer.at.block_hash)
        batch: list[Frame] = []
        size = 0
        while True:
            frame, epoch, is_last = self._pipe.next()
            if epoch != self._epoch:
                continue
            batch.append(frame)
            size += frame.size
            if not is_last and size < BATCH_BYTES and len(batch) < BATCH_BLOCKS:
                continue
            transactions = writer.write(batch)
            if writer.at.height != frame.height:
                return
            tell(saved=frame.height, blocks=len(batch), transactions=transactions)
            batch, size = [], 0


def tell(**told: Any) -> None:
    os.write(1, encode_line(**told))


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the node hears it too, and closes the pipe
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    pipe = Pipe(0)
    try:
        Worker(decode_target(pipe.next()), pipe).run()
    except (EOFError, BrokenPipeError):
        return 0
    except SqlError as error:
        tell(refused=str(error))
    except (DecodeError, ValueError, AssertionError, TypeError) as error:
        tell(refused=f"a block could not be made rows of: {type(error).__name__}: {error}")
    return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
