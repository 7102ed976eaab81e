"""Replay marks: which unordered transactions ran, as one leaf for each expiry height with the contents beside it.

A mark is needed until its transaction expires, so that state does not grow with what was ever sent.
Source: docs/decisions/0005.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from chain.kernel.branch import Decoders, Key, Readable, Scan, State, decoders_of
from chain.tx.codec import UINT64_MAX, bytes_field, height_bytes, uint_field
from chain.tx.envelope.tx import Tx
from chain.tx.errors import ExpiryTooFar, Replayed
from crypto.hash import sha256
from proto.dchat.v1 import state_pb2 as pb


class Marks:
    """One expiry height's leaf: how many replay ids, and their running hash in order of execution."""

    __slots__ = ("count", "running_hash")

    def __init__(self, count: int, running_hash: bytes) -> None:
        self.count, self.running_hash = count, running_hash

    def fits(self) -> bool:
        return 0 <= self.count <= UINT64_MAX

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.count) + bytes_field(b"\x12", self.running_hash)

    @staticmethod
    def decode(stored: bytes) -> Marks:
        record = pb.ReplayMarks.FromString(stored)
        return Marks(record.count, record.running_hash)


HEIGHT_BYTES: Final = 8
NO_MARKS: Final = Marks(0, bytes(32))
MARKS: Final = b"r"  # tag ‖ r ‖ expiry height -> Marks; side tag ‖ r ‖ expiry height ‖ replay id -> its number
BACKLOG: Final = b"R"  # tag ‖ R -> the first expiry height whose marks are not all gone ‖ the last replay id that is
MARKS_PER_SLICE: Final = 100  # below a millisecond


class ReplayMarks:
    """The marks in one machine's store."""

    __slots__ = ("_backlog", "_leaf", "_side")

    def __init__(self, tag: bytes, side_tag: bytes) -> None:
        self._leaf, self._side = Key.of(tag + MARKS, Marks), Key.of(side_tag + MARKS, bytes)
        self._backlog = Key.of(tag + BACKLOG, bytes)

    def check(self, state: Readable, tx: Tx, *, height: int, blocks_max: int) -> None:
        """Raises: ExpiryTooFar, Replayed. That it has not expired was checked before."""
        if tx.expiry_height - height > blocks_max:
            raise ExpiryTooFar(f"{tx.expiry_height - height} blocks ahead, allowed: {blocks_max}")
        if state.get(self._side + height_bytes(tx.expiry_height) + tx.replay_id) is not None:
            raise Replayed(f"replay id {tx.replay_id.hex()}")

    def add(self, state: State, tx: Tx) -> None:
        """Mark it as run."""
        at = height_bytes(tx.expiry_height)
        marks = state.get(self._leaf + at) or NO_MARKS
        state.set(self._leaf + at, Marks(marks.count + 1, sha256(marks.running_hash + tx.replay_id)))
        state.set(self._side + at + tx.replay_id, height_bytes(marks.count))

    def prune(self, state: State, scan: Scan, *, height: int, budget: int) -> Iterator[None]:
        """Remove marks that expired before `height`, oldest first, at most `budget`: not fewer than a block can add.

        Goes on where the last block stopped, and never reads again what is gone. Yields between slices.
        """
        backlog = state.get(self._backlog) or b""
        expiry = int.from_bytes(backlog[:HEIGHT_BYTES], "big") if backlog else height - 1
        last = backlog[HEIGHT_BYTES:]
        while expiry < height and budget > 0:
            at = height_bytes(expiry)
            if state.get(self._leaf + at) is not None:
                budget, last = yield from self._prune_height(state, scan, at, budget, last)
                if last:
                    break
            expiry, last = expiry + 1, b""
        if expiry < height:
            state.set(self._backlog, height_bytes(expiry) + last)
        elif backlog:
            state.set(self._backlog, None)

    def _prune_height(
        self, state: State, scan: Scan, at: bytes, budget: int, last: bytes
    ) -> Generator[None, None, tuple[int, bytes]]:
        """Returns what is left of the budget, and the last replay id that went; empty: all of the height's did."""
        prefix = self._side + at
        for number, (key, _) in enumerate(scan(prefix, prefix + last if last else b""), start=1):
            if not budget:
                return 0, last
            state.set(key, None)
            budget -= 1
            last = key[len(prefix) :]
            if number % MARKS_PER_SLICE == 0:
                yield
        state.set(self._leaf + at, None)
        return budget, b""

    def disagreeing(self, state: Readable, scan: Scan) -> list[bytes]:
        """The expiry heights whose leaf is not the hash of the marks beside it (one being pruned is left out), and
        those that have marks and no leaf."""
        backlog = (state.get(self._backlog) or b"")[:HEIGHT_BYTES]
        wrong, known = [], {backlog}
        for key, leaf in scan(self._leaf):
            at = key[len(self._leaf) :]
            known.add(at)
            if at != backlog and not self._agrees(scan, at, leaf):
                wrong.append(at)
        start = len(self._side)
        return wrong + sorted({key[start : start + HEIGHT_BYTES] for key, _ in scan(self._side)} - known)

    def _agrees(self, scan: Scan, at: bytes, leaf: Marks) -> bool:
        prefix = self._side + at
        in_order = sorted((number, key[len(prefix) :]) for key, number in scan(prefix))
        running_hash = NO_MARKS.running_hash
        for nth, (number, replay_id) in enumerate(in_order):
            if number != height_bytes(nth):
                return False
            running_hash = sha256(running_hash + replay_id)
        return leaf.count == len(in_order) and leaf.running_hash == running_hash

    @property
    def decoders(self) -> Decoders:
        return decoders_of(self._leaf)
