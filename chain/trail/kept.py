"""The last blocks as they were executed, in memory: what only this node knows, and what makes no block valid or not.

Records do not change, so to keep a block is to keep references; they are encoded and hashed when somebody asks, or when
the node ends by a failure. Bounded by heights and by writes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain.kernel.execution import Trail

WRITES_MAX: Final = 20_000  # of all kept blocks, the newest aside: some 4,000 payments. Objects that outlive so many
# others leave holes all over the heap: with five times as many all that the node does took a tenth longer
WRITES_PER_TX: Final = 4  # of a payment
BYTES_PER_WRITE: Final = 1_024  # what is longer counts as so many: bodies of messages would hold ten MB a block


@dataclass(frozen=True, slots=True)
class KeptBlock:
    """roots, app_hash: after it. writes: by the whole block. large_bytes: of its large ones."""

    height: int
    block_hash: bytes
    app_hash: bytes
    roots: Mapping[str, bytes]
    trail: Trail
    writes: Mapping[bytes, Any]
    large_bytes: int = 0

    @property
    def size(self) -> int:
        return len(self.writes) + WRITES_PER_TX * len(self.trail.parts) + self.large_bytes // BYTES_PER_WRITE


class KeptTrails:
    """Of as many heights; 0: none. From any thread."""

    def __init__(self, heights_max: int, *, writes_max: int = WRITES_MAX) -> None:
        self.heights_max, self._writes_max = heights_max, writes_max
        self._blocks: OrderedDict[int, KeptBlock] = OrderedDict()
        self._lock = threading.Lock()
        self.writes = 0  # that are kept, about

    def keep(self, block: KeptBlock) -> None:
        """A height that comes again (after a rollback) takes the place of what was there."""
        if not self.heights_max:
            return
        gone: list[KeptBlock] = []
        with self._lock:
            for height in [height for height in self._blocks if height >= block.height]:
                gone.append(self._blocks.pop(height))
            self._blocks[block.height] = block
            self.writes += block.size - sum(one.size for one in gone)
            while len(self._blocks) > self.heights_max or (self.writes > self._writes_max and len(self._blocks) > 1):
                _, oldest = self._blocks.popitem(last=False)
                self.writes -= oldest.size
                gone.append(oldest)
        for one in gone:
            parts = one.trail.parts
            while parts:  # one by one: ten thousand at once would hold the interpreter, and with it the loop
                parts.pop()

    def get(self, height: int) -> KeptBlock | None:
        with self._lock:
            found = self._blocks.get(height)
            if found is None:
                return None
            trail = Trail(found.trail.begin, list(found.trail.parts))  # its own is emptied when its time is over
            return KeptBlock(found.height, found.block_hash, found.app_hash, found.roots, trail, found.writes)

    def heights(self) -> list[int]:
        """Ascending."""
        with self._lock:
            return list(self._blocks)
