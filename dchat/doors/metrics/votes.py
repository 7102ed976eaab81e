"""What the blocks that this node saved say of the others: whose votes they lack, and which app hash all should have.

A validator that is cut off cannot tell of itself. Each node counts, for each validator, the blocks without its vote; so
its peers raise the alarm. Counted is the commit that the next block carries: by then late votes are in it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from consensus.engine.interfaces import SavedBlock
from consensus.types.validators import ValidatorSet
from dchat.doors.metrics.exposition import labelled

CHECKPOINT_BLOCKS: Final = 100  # between two heights whose app hash is told
CHECKPOINTS: Final = 2  # that are told: nodes are read at different moments
HASH_CHARS: Final = 16


class SeenVotes:
    """Hears of saved blocks. is_behind: whether blocks are fetched that others decided before: who missed those missed
    them long ago, and no alarm is due. is_standing: whether a block is late, or consensus was left: the last app hash
    is told then, whatever its height, since halves of a network that parted stand at one height."""

    def __init__(self, *, is_behind: Callable[[], bool], is_standing: Callable[[], bool]) -> None:
        self._is_behind, self._is_standing = is_behind, is_standing
        self._missed: Counter[bytes] = Counter()
        self._signers: ValidatorSet | None = None  # of the last saved block
        self._hashes: deque[tuple[int, bytes]] = deque(maxlen=CHECKPOINTS)
        self._last: tuple[int, bytes] | None = None

    def block_saved(self, saved: SavedBlock) -> None:
        signers, self._signers = self._signers, saved.state.last_validators
        self._last = (saved.height, saved.state.app_hash)
        if saved.height % CHECKPOINT_BLOCKS == 0:
            self._hashes.append(self._last)
        commit = saved.block.last_commit
        if signers is None or commit is None or len(commit.signatures) != len(signers) or self._is_behind():
            return
        for index, slot in enumerate(commit.signatures):
            if not slot.is_commit:
                self._missed[signers[index].address] += 1

    def collect(self) -> Iterator[Metric]:
        """Of those who are validators now: who leaves takes the alarm along."""
        now = () if self._signers is None else tuple(self._signers)
        standing = {} if self._last is None or not self._is_standing() else dict((self._last,))
        yield labelled(
            CounterMetricFamily,
            "dchat_chain_validator_missed_blocks",
            "Blocks that this node saw since its start whose commit lacks the vote of this validator.",
            ("validator",),
            [((one.address.hex().upper(),), self._missed[one.address]) for one in now],
        )
        yield labelled(
            GaugeMetricFamily,
            "dchat_chain_app_hash_info",
            "Always 1; its labels are a height, a multiple of 100, and the first 16 digits of the app hash after it; "
            "of the last height as well while no block comes. Nodes that tell different hashes of one height have "
            "different states.",
            ("height", "app_hash"),
            [
                ((str(height), value.hex()[:HASH_CHARS]), 1.0)
                for height, value in (dict(self._hashes) | standing).items()
            ],
        )
