"""Who waits for room among the counts: proposals whose voting time is over, the greatest deposit first.

So many counts go on at a time (`COUNTS_MAX`), and what a count takes is up to those who vote: a thousand proposals of
one proposer, with votes that take long, would hold up everybody else's for hours if the oldest came first. Whoever adds
to a proposal's deposit lets it pass them; it goes back as it always does.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from chain.chat.ballots import VOTING, Proposal
from chain.kernel.branch import Branch, Key, Readable, Scan, State
from chain.tx.codec import height_bytes
from governance.records import held_for

WAITING: Final = Key.of(b"Bw", bytes)  # side: ‖ 2^64 - 1 - deposits ‖ when its voting time was over ‖ number -> MARK
WAITERS: Final = Key.of(b"BW", bytes)  # side: -> 8 bytes: how many wait; absent: none
MARK: Final = b"\x01"
_TOP: Final = (1 << 64) - 1


def waiters(state: Readable) -> int:
    stored = state.get(WAITERS)
    return int.from_bytes(stored, "big") if stored else 0


def enter(state: State, proposal: Proposal) -> None:
    """Again is the same: a proposal is looked at for its deposits' time too."""
    key = _key(proposal, held_for(state, proposal.id))
    if state.get(key) is None:
        state.set(key, MARK)
        _change(state, waiters(state) + 1)


def move_up(state: State, proposal: Proposal, *, before: int, after: int) -> None:
    """Its deposits are not `before` but `after`, udchat: if it waits, others let it pass."""
    key = _key(proposal, before)
    if state.get(key) is not None:
        state.set(key, None)
        state.set(_key(proposal, after), MARK)


def leave(state: State, proposal: Proposal) -> None:
    """It is cancelled."""
    key = _key(proposal, held_for(state, proposal.id))
    if state.get(key) is not None:
        state.set(key, None)
        _change(state, waiters(state) - 1)


def let_in(branch: Branch, scan: Scan, room: int) -> Iterator[bytes]:
    """Those who have room from now on, `room` at most: 8 bytes of when the voting time was over ‖ number."""
    left = waiters(branch)
    if not left or room <= 0:
        return
    moved = sorted(key for key in branch.writes if key[: len(WAITING)] == WAITING)  # in this block
    for key in heapq.merge((key for key, _ in scan(WAITING)), moved):
        if branch.get(key) is None:
            continue
        branch.set(key, None)
        left, room = left - 1, room - 1
        _change(branch, left)
        yield key[-16:]
        if room == 0:
            return


def _change(state: State, count: int) -> None:
    state.set(WAITERS, height_bytes(count) if count else None)


def _key(proposal: Proposal, held: int) -> bytes:
    return WAITING + height_bytes(_TOP - held) + height_bytes(proposal.voting_end_time_ns) + height_bytes(proposal.id)


def waiting_for(state: Readable, scan: Scan, proposals: dict[bytes, Proposal]) -> tuple[set[bytes], bool]:
    """(numbers that wait, whether each stands where its deposits place it and all are counted), for the invariants."""
    keys = [key for key, _ in scan(WAITING)]
    numbers = [key[-8:] for key in keys]
    right = len(keys) == waiters(state) == len(set(numbers))
    for key, number in zip(keys, numbers, strict=True):
        found = proposals.get(number)
        right = right and found is not None and found.status == VOTING
        right = right and found is not None and key == _key(found, held_for(state, found.id))
    return set(numbers), right
