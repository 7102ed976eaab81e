"""A stop between marking evidence as committed and saving the state: the stored block is applied again at start.

The block is one of the recorded chain's with real evidence; the pool is the product's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor
from consensus.formats.errors import InvalidEvidence
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.types.block import BlockMeta
from consensus.types.evidence import DuplicateVoteEvidence
from crypto import batch
from storage.memory import MemoryStore
from tests.support.engine.kvapp import KeyValueApp, ListPool
from tests.support.types.recorded_chain import Chain, chain

T = TypeVar("T")


class RecordedBlocks:
    """The recorded chain as a block store."""

    def __init__(self, recorded: Chain) -> None:
        self._recorded = recorded

    base = 1

    @property
    def height(self) -> int:
        return self._recorded.latest_height

    def load_meta(self, height: int) -> BlockMeta | None:
        found = self._recorded.at(height)
        return found and BlockMeta.of(found.block, found.block.part_set())


class RecordedStates(StateStore):
    """Knows the recorded validators."""

    def __init__(self, recorded: Chain) -> None:
        super().__init__(MemoryStore())
        self._recorded = recorded

    def load_members(self, height: int):  # type: ignore[no-untyped-def]
        return self._recorded.validators(height)


class Watched(InlineWorkers):
    """Knows whether what runs is a thread's work."""

    is_inside = False

    def run(self, work: Callable[[], T]) -> Awaitable[T]:
        self.is_inside = True
        try:
            return super().run(work)
        finally:
            self.is_inside = False


async def test_a_syncing_node_verifies_evidence_in_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 9 and 20: a decided block with 2,600 pieces of one key's evidence held its loop for 0.4 s."""
    recorded, workers = chain(), Watched()
    found = next(h for h in recorded.heights if h.block.evidence)
    blocks, states = RecordedBlocks(recorded), RecordedStates(recorded)
    pool = EvidencePool(MemoryStore(), blocks, states, workers=workers)  # type: ignore[arg-type]
    executor = BlockExecutor(
        KeyValueApp(MemoryStore()), blocks, states, pool=ListPool(), evidence=pool,  # type: ignore[arg-type]
        workers=workers, clock=LoopClock(), signatures=pool.signatures,
    )  # fmt: skip
    votes = [vote for item in found.block.evidence if isinstance(item, DuplicateVoteEvidence)
             for vote in (item.vote_a, item.vote_b)]  # fmt: skip
    signed = {vote.sign_bytes(found.before.chain_id) for vote in votes}
    verify, places = batch.verify_ed25519, []

    def noted(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        places.extend(workers.is_inside for _, message, _ in checks if message in signed)
        return verify(checks)

    monkeypatch.setattr(batch, "verify_ed25519", noted)
    await executor.check(found.before, found.block, is_decided=True)
    assert places == [True] * len(signed)
    assert places


async def test_a_stored_blocks_evidence_is_not_judged_twice() -> None:
    recorded = chain()
    found = next(h for h in recorded.heights if h.block.evidence)
    after = recorded.at(found.block.height + 1)
    assert after is not None
    blocks, states = RecordedBlocks(recorded), RecordedStates(recorded)
    pool = EvidencePool(MemoryStore(), blocks, states)  # type: ignore[arg-type]
    executor = BlockExecutor(
        KeyValueApp(MemoryStore()), blocks, states, pool=ListPool(), evidence=pool,  # type: ignore[arg-type]
        workers=InlineWorkers(), clock=LoopClock(),
    )  # fmt: skip
    await executor.check(found.before, found.block)  # the first time: good
    pool.update(after.before, found.block.evidence)  # and here the process stops, before the state is saved
    with pytest.raises(InvalidEvidence, match="committed"):
        await executor.check(found.before, found.block)  # what a peer's block with it deserves
    await executor.check(found.before, found.block, is_stored=True)
