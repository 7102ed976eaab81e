"""What waits for a time: keys in order of time beside the tree, and the earliest of them.

A block reads one record a queue until something is due. It handles a bounded number, oldest first; the rest waits for
the next block. Times are 8 bytes, so that they sort as numbers (likecoin/likecoin-chain#75).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chain.branch import Branch, Scan, State
from chain.codec import height_bytes
from chain.currency.staking.records import (
    HEADS,
    MARK,
    QUEUE_REDELEGATIONS,
    QUEUE_UNBONDINGS,
    QUEUE_VALIDATORS,
)

PER_BLOCK: Final = 200  # items of one queue: about 50 ms with the leaves they change


class TimeQueue:
    __slots__ = ("_head", "_prefix")

    def __init__(self, prefix: bytes) -> None:
        self._prefix, self._head = prefix, HEADS + prefix

    def push(self, state: State, time_ns: int, item: bytes) -> None:
        """Again with the same time and item is the same."""
        at = height_bytes(time_ns)
        state.set(self._prefix + at + item, MARK)
        head: bytes | None = state.get(self._head)
        if head is None or at < head:
            state.set(self._head, at)

    def remove(self, state: State, time_ns: int, item: bytes) -> None:
        state.set(self._prefix + height_bytes(time_ns) + item, None)

    def take_due(self, branch: Branch, scan: Scan, now_ns: int) -> list[bytes]:
        """Remove the items that are due, at most PER_BLOCK, and return them in order of time.

        Those that this block pushed wait for the next.
        """
        now = height_bytes(now_ns)
        head: bytes | None = branch.get(self._head)
        if head is None or head > now:
            return []
        size = len(self._prefix)
        due: list[bytes] = []
        following: bytes | None = None
        for key, _ in scan(self._prefix):
            if branch.get(key) is None:
                continue  # removed in this block
            at = key[size : size + 8]
            if at > now or len(due) == PER_BLOCK:
                following = at
                break
            due.append(key[size + 8 :])
            branch.set(key, None)
        pushed = self._earliest(branch.writes)
        known = [at for at in (following, pushed) if at is not None]
        branch.set(self._head, min(known) if known else None)
        return due

    def _earliest(self, writes: Mapping[bytes, Any]) -> bytes | None:
        """Of what this block pushed."""
        size = len(self._prefix)
        times = [key[size : size + 8] for key, value in writes.items() if value and key[:size] == self._prefix]
        return min(times) if times else None


UNBONDING_QUEUE: Final = TimeQueue(QUEUE_UNBONDINGS)
REDELEGATION_QUEUE: Final = TimeQueue(QUEUE_REDELEGATIONS)
VALIDATOR_QUEUE: Final = TimeQueue(QUEUE_VALIDATORS)
