"""Fills SQL from stored blocks at once, in this process: of a stopped node, or of a copy of a running one's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from dchat.sql.stored import Stored
from dchat.sql.writer import Frame, Writer

BATCH_BLOCKS: Final = 500
BATCH_BYTES: Final = 4 << 20  # of blocks and results: some 100 MB of rows, at most, and a second of work


class Filled(NamedTuple):
    """height: SQL has all up to there."""

    height: int
    blocks: int
    transactions: int


def fill(writer: Writer, stored: Stored) -> Iterator[Filled]:
    """A step for each transaction of SQL. Raises SqlUnavailable, SqlRefused; what is committed stays."""
    stored.check(writer.at.height, writer.at.block_hash)
    blocks = transactions = 0
    while height := writer.at.height + 1 if writer.at.height else stored.first():
        batch: list[Frame] = []
        size = 0
        while height <= stored.height and len(batch) < BATCH_BLOCKS and size < BATCH_BYTES:
            batch.append(stored.read(height))
            size += batch[-1].size
            height += 1
        if not batch:
            break
        transactions += writer.write(batch)
        blocks += max(0, writer.at.height - batch[0].height + 1)
        yield Filled(writer.at.height, blocks, transactions)
