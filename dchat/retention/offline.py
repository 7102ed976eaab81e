"""Pruning a node that does not run: how far, what would go, and all of it at once.

What bounds a running node's pruning bounds this too (consensus.pruning), whatever age is asked for.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from chain.state.store import NO_VERSION, Stores
from consensus.abci.interface import Slices
from consensus.evidence.pool import EvidencePool
from consensus.pruning.blocks import BlockPruning
from consensus.pruning.needs import Need, first_since
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from dchat.app.app import DchatApplication
from dchat.retention.retention import LEAST_VERSIONS, unbonding_ns
from storage.kv import KeyValueStore

T = TypeVar("T")


class Reach(NamedTuple):
    """How far pruning may go. wanted: the lowest block that is young enough. limit: what stays, and why."""

    base: int
    height: int
    wanted: int
    limit: Need
    state_base: int
    state_limit: int

    @property
    def blocks(self) -> int:
        return max(0, self.limit.height - self.base)

    @property
    def states(self) -> int:
        return max(0, self.state_limit - self.state_base)


class StoppedNode:
    """Its three databases, held by whoever opened them. Raises HaltRequested never: no block is executed."""

    def __init__(self, blocks: KeyValueStore, state: KeyValueStore, app: KeyValueStore) -> None:
        self._blocks, self._states, self._stores = BlockStore(blocks), StateStore(state), Stores(app)
        self._app = DchatApplication(self._stores, check_build=False)
        self._evidence = EvidencePool(state, self._blocks, self._states)

    def reach(self, age_ns: int, *, now_ns: int) -> Reach | None:
        """For blocks and states older than `age_ns`. None: there is no block yet.

        now_ns: of this machine's clock, which may be ahead: where the chain's last block is older, its time counts.
        """
        state = self._states.load()
        if state is None or not state.last_block_height or self._stores.latest_version == NO_VERSION:
            return None
        last, base = state.last_block_height, self._blocks.base
        since_ns = min(now_ns, state.last_block_time_ns) - age_ns
        wanted = _now(first_since(self._blocks, base, last, since_ns))
        limit = _now(self._pruning(wanted).limit_at(state))
        return Reach(
            base, last, wanted, limit._replace(height=max(base, limit.height)),
            self._stores.earliest_version, max(0, min(wanted - 1, last - LEAST_VERSIONS)),
        )  # fmt: skip

    def prune(self, reach: Reach) -> None:
        _now(self._pruning(reach.wanted).at_rest(reach.limit.height))
        self._stores.prune(reach.state_limit)

    def _pruning(self, wanted: int) -> BlockPruning:
        return BlockPruning(
            self._blocks, self._states, retain_height=lambda: wanted, evidence_floor=lambda: self._evidence.floor,
            keep_ns=lambda: unbonding_ns(self._app),
        )  # fmt: skip


def _now(steps: Slices[T]) -> T:
    """All of it at once."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            answer: T = done.value
            return answer
