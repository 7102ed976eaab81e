"""What block execution needs of the pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from consensus.abci.interface import Slices
from consensus.state.results import ExecTxResult
from consensus.state.state import State
from consensus.types.evidence import Evidence
from consensus.types.vote import Vote


class TxPool(Protocol):
    """The mempool as block production sees it."""

    @property
    def size(self) -> int: ...

    def reap(self, *, bytes_max: int, gas_max: int) -> list[bytes]:
        """Transactions for a proposal, best first. bytes_max counts their size in proto Data; -1: no limit."""
        ...

    def leave(self, txs: Sequence[bytes], results: Sequence[ExecTxResult], keys: Sequence[bytes]) -> Slices[None]:
        """A block is decided and executed, and will be committed: drop its transactions (SHA-256: `keys`). `update`
        follows, with the very same `txs`; where this was not asked before, it drops them itself."""
        ...

    def update(
        self,
        height: int,
        txs: Sequence[bytes],
        results: Sequence[ExecTxResult],
        touched: frozenset[bytes] | None,
    ) -> None:
        """A block was committed: drop its transactions, recheck those that it touched (None: all)."""
        ...

    def begin_anew(self, height: int, error: Exception) -> None:
        """`reap` or `update` raised `error`; `height`: the last block's. Let go all that waits."""
        ...

    def on_available(self, callback: Callable[[], None]) -> None:
        """Call back when the pool goes from empty to not empty, and after an update that leaves it not empty."""
        ...


class EvidencePool(Protocol):
    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        """Evidence for a proposal and its size in proto bytes; oldest first."""
        ...

    async def judge_ahead(self, evidence: Sequence[Evidence], state: State) -> None:
        """Verify signatures of a proposed block's evidence in threads, so that `check` need not. Raises nothing."""
        ...

    def check(self, evidence: Sequence[Evidence], state: State) -> Slices[None]:
        """Of a proposed block. Raises InvalidEvidence (which, why): false, expired, committed, or twice.

        EvidenceUnverifiable: a reason to vote nil, not against the block.
        """
        ...

    def update(self, state: State, evidence: Sequence[Evidence]) -> None:
        """A block was applied: mark its evidence committed, turn reported votes into evidence, prune."""
        ...

    def sync(self) -> None:
        """All of it is on disk: before the state after the block is."""
        ...

    def report_conflicting_votes(self, first: Vote, second: Vote) -> None: ...
