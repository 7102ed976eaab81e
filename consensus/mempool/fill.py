"""Which of the pool's transactions go into a proposal, and in which order.

Lanes in turn, by bytes; within a lane by priority (`consensus.mempool.ranking`). What does not fit is passed over and
others go on, except those of its own signers, which would overtake it. So that nothing is passed over for ever, the
oldest transaction goes first, before all lanes and whatever it pays, once it is older than STARVED_BLOCKS; but not
within TURN_BLOCKS of the last block that gave such a turn to a large one, or those who reserve whole blocks would keep
the others out. A proposal that has the transaction and fits it is made by each honest proposer, so the first of them
waits STARVED_BLOCKS + TURN_BLOCKS at most under honest proposers; the next ones TURN_BLOCKS more each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from consensus.mempool.admission.entry import Entry
from consensus.mempool.admission.index import Index
from consensus.mempool.ranking import ranked

LANE_QUANTUM_BYTES: Final = 16_384  # what a lane may take in its turn when a block is filled
STARVED_BLOCKS: Final = 8
TURN_BLOCKS: Final = 4
PROTO_TX_OVERHEAD: Final = 6  # of a transaction in a block: field key, and a length of at most five bytes
FULL_DIVISOR: Final = 64  # a block with less room than this part of it is full: the search ends


class Turn:
    """When a large transaction got its turn before the others. Told of every block, whoever proposed it."""

    def __init__(self) -> None:
        self._last = -TURN_BLOCKS

    def took(self, height: int, entry: Entry, *, bytes_max: int, gas_max: int) -> None:
        """`entry` is in block `height`."""
        is_large = 0 <= gas_max < 2 * entry.facts.gas_wanted or 0 <= bytes_max < 2 * entry.proto_bytes
        if is_large and height - entry.height > STARVED_BLOCKS:
            self._last = height

    def next_of(self, entries: Mapping[bytes, Entry], height: int, *, bytes_max: int, gas_max: int) -> Entry | None:
        """What block `height` begins with: the oldest that fits an empty block, if it is old enough. None: nothing."""
        if height - self._last < TURN_BLOCKS:
            return None
        passed: set[bytes] = set()
        for entry in entries.values():
            if height - entry.height <= STARVED_BLOCKS:
                break
            facts = entry.facts
            if passed.isdisjoint(facts.touches) and Room(bytes_max, gas_max).fits(entry.proto_bytes, facts.gas_wanted):
                return entry
            passed.update(facts.touches)
        return None


class Room:
    """What is left of a block. gas_max: -1 is no limit."""

    def __init__(self, bytes_max: int, gas_max: int) -> None:
        self.bytes, self.gas = bytes_max, gas_max if gas_max >= 0 else None
        self._bytes_low = bytes_max // FULL_DIVISOR
        self._gas_low = gas_max // FULL_DIVISOR

    def fits(self, proto_bytes: int, gas: int) -> bool:
        return proto_bytes <= self.bytes and (self.gas is None or gas <= self.gas)

    def take(self, proto_bytes: int, gas: int) -> None:
        self.bytes -= proto_bytes
        if self.gas is not None:
            self.gas -= gas

    @property
    def is_used_up(self) -> bool:
        return self.bytes <= self._bytes_low or (self.gas is not None and self.gas <= self._gas_low)


def fill(index: Index, *, first: Entry | None, bytes_max: int, gas_max: int) -> tuple[list[bytes], int]:
    """The transactions of a proposal, and how many were passed over. first: the starved one whose turn it is."""
    room = Room(bytes_max, gas_max)
    out: list[bytes] = []
    if first is not None and room.fits(first.proto_bytes, first.facts.gas_wanted):
        room.take(first.proto_bytes, first.facts.gas_wanted)
        out.append(first.tx)
    else:
        first = None
    passed: set[bytes] = set()  # signers of what was passed over
    count = 0
    turns: deque[tuple[Iterator[Entry], int, Entry | None]] = deque(
        (ranked(index, name), 0, None) for name in sorted(index.lanes)
    )
    while turns:
        entries, credit, entry = turns.popleft()
        credit += LANE_QUANTUM_BYTES
        while entry is not None or (entry := next(entries, None)) is not None:
            if entry is not first:
                size, facts = entry.proto_bytes, entry.facts
                if (passed and not passed.isdisjoint(facts.touches)) or not room.fits(size, facts.gas_wanted):
                    passed.update(facts.touches)
                    count += 1
                    if room.is_used_up:
                        return out, count
                elif size > credit and turns:
                    turns.append((entries, credit, entry))
                    break
                else:
                    credit -= size
                    room.take(size, facts.gas_wanted)
                    out.append(entry.tx)
            entry = None
    return out, count
