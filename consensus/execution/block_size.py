"""How many transactions a proposer puts into a block: what this node lately worked off in a quarter of a second.

A policy of proposers; validators accept any block within the chain's limits. Those are set for the slowest machine, and
a pool can hold many blocks of that size: without this bound blocks grow with the backlog, and the time between them
from half a second to many. Work is measured, not the time between blocks: a slow network must not make blocks small.
Source: docs/performance.md, Overload (it must not stretch the time between blocks).
"""

from __future__ import annotations

from typing import Final

from consensus.formats.units import NS_PER_MS

WORK_NS: Final = 250 * NS_PER_MS  # of executing and saving one block; with all else blocks are then 0.4 to 0.8 s apart
TXS_MIN: Final = 500  # always allowed: smaller blocks would cost more in votes than they save
FIRST_NS_PER_TX: Final = 250_000  # before anything is measured: 1,000 transactions
SAMPLE_TXS_MIN: Final = 100  # smaller blocks' time is the cost of a block, not of its transactions
SMOOTHING: Final = 4  # a measured block weighs a quarter


class BlockSize:
    """Told of each block that was worked off; answers `txs_max`."""

    def __init__(self) -> None:
        self._ns_per_tx = FIRST_NS_PER_TX

    @property
    def txs_max(self) -> int:
        return max(TXS_MIN, WORK_NS // self._ns_per_tx)

    def worked(self, txs: int, took_ns: int) -> None:
        """A block with `txs` transactions was executed and saved in `took_ns`."""
        if txs >= SAMPLE_TXS_MIN:
            self._ns_per_tx = max(1, self._ns_per_tx + (took_ns // txs - self._ns_per_tx) // SMOOTHING)
