"""What waits for a time: keys in order of time beside the tree, and the earliest of them.

A block reads one record a queue until something is due. It handles a bounded number, oldest first; the rest waits for
the next block. Times are 8 bytes, so that they sort as numbers (likecoin/likecoin-chain#75).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from chain.currency.ledger.stake_records import (
    HEADS,
    MARK,
    QUEUE_REDELEGATIONS,
    QUEUE_UNBONDINGS,
    QUEUE_VALIDATORS,
    QUEUE_WATCHES,
    Now,
)
from chain.kernel.branch import Branch, Key, Readable, Scan, State
from chain.kernel.items import FailedItems
from chain.tx.codec import height_bytes

ITEMS_MAX: Final = 200  # of one queue in a block, where nobody says how many a block can add
TIME_BYTES: Final = 8
ITEMS_PER_SLICE: Final = 50  # about a millisecond of unbondings


class TimeQueue:
    __slots__ = ("_head", "prefix")

    def __init__(self, prefix: bytes, head: Key[bytes | None] | None = None) -> None:
        """head: where the earliest is kept, of a queue in another store than the currency's."""
        self.prefix, self._head = prefix, head or HEADS + prefix

    def push(self, state: State, time_ns: int, item: bytes) -> None:
        """Again with the same time and item is the same."""
        at = height_bytes(time_ns)
        state.set(self.prefix + at + item, MARK)
        head = state.get(self._head)
        if head is None or at < head:
            state.set(self._head, at)

    def remove(self, state: State, time_ns: int, item: bytes) -> None:
        state.set(self.prefix + height_bytes(time_ns) + item, None)

    def take_due(
        self, branch: Branch, scan: Scan, now_ns: int, items_max: int = ITEMS_MAX, *, pushed_too: bool = False
    ) -> list[bytes]:  # fmt: skip
        """Remove what is due, at most `items_max`, and return it in order of time: 8 bytes of time ‖ item.

        Those that this block pushed wait for the next, unless `pushed_too`.
        """
        now = height_bytes(now_ns)
        head = branch.get(self._head)
        if head is None or head > now:
            return []
        size = len(self.prefix)
        due: list[bytes] = []
        following: bytes | None = None
        keys: Iterator[bytes] = (key for key, _ in scan(self.prefix, self.prefix + head))
        if pushed_too:
            keys = heapq.merge(keys, sorted(key for key in branch.writes if key[:size] == self.prefix))
        for key in keys:
            if branch.get(key) is None:
                continue  # removed in this block, or taken just now
            at = key[size : size + TIME_BYTES]
            if at > now or len(due) == items_max:
                following = at
                break
            due.append(key[size:])
            branch.set(key, None)
        pushed = self._earliest(branch.writes)
        known = [at for at in (following, pushed) if at is not None]
        branch.set(self._head, min(known) if known else None)
        return due

    def _earliest(self, writes: Mapping[bytes, Any]) -> bytes | None:
        """Of what this block pushed."""
        size = len(self.prefix)
        times = [key[size : size + TIME_BYTES] for key, value in writes.items() if value and key[:size] == self.prefix]
        return min(times) if times else None

    def put_back(self, state: State, due: bytes) -> None:
        """What `take_due` returned."""
        self.push(state, int.from_bytes(due[:TIME_BYTES], "big"), due[TIME_BYTES:])

    def invariant(self, whose: str, state: Readable, scan: Scan) -> tuple[str, bool, str]:
        """(name, whether it holds, the figures): a head behind what waits would have it wait for ever."""
        size, head = len(self.prefix), state.get(self._head)
        first = next((key[size : size + TIME_BYTES] for key, _ in scan(self.prefix)), None)
        right = first is None or (head is not None and head <= first)
        told = [at.hex() if at is not None else "none" for at in (head, first)]
        return (
            f"{whose}: the head is before all that waits",
            right,
            f"{self.prefix.decode()}: head {told[0]}, {told[1]}",
        )

    def work_off(
        self, branch: Branch, scan: Scan, now: Now, failed: FailedItems, work: Callable[[bytes, Branch], None], *,
        items_max: int = ITEMS_MAX,
    ) -> Iterator[None]:  # fmt: skip
        """Do the work of each item that is due, in a branch of its own; what fails lies in `failed` from now on.

        Yields between two slices.
        """
        for number, due in enumerate(self.take_due(branch, scan, now.time_ns, items_max), start=1):
            run = partial(work, due[TIME_BYTES:])
            yield from failed.run(branch, run, queue=self.prefix, item=due, height=now.height)
            if number % ITEMS_PER_SLICE == 0:
                yield


UNBONDING_QUEUE: Final = TimeQueue(QUEUE_UNBONDINGS)
REDELEGATION_QUEUE: Final = TimeQueue(QUEUE_REDELEGATIONS)
VALIDATOR_QUEUE: Final = TimeQueue(QUEUE_VALIDATORS)
WATCH_QUEUE: Final = TimeQueue(QUEUE_WATCHES)  # its times are heights
