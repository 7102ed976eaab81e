"""How far a state sync is, as doors, metrics and the log tell it: plain figures, and one sentence of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from consensus.formats.units import MIB, NS_PER_S

RATE_OVER_NS: Final = 10 * NS_PER_S  # a rate is of about so long: a pause shows, one late chunk does not


class Stage(IntEnum):
    """Of a state sync, in their order; a snapshot that comes to nothing leads back."""

    BEGINS = 0
    LOOKS = 1  # for snapshots that peers have
    VERIFIES = 2  # headers
    FETCHES = 3  # and applies chunks
    BUILDS = 4  # the last chunk: trees are made of the pairs, and what lies beside them is checked
    SAVES = 5  # the engine's state beside the application's
    DONE = 6


WORDS: Final = {
    Stage.BEGINS: "beginning to join by a snapshot",
    Stage.LOOKS: "looking for a snapshot",
    Stage.VERIFIES: "verifying the headers of a snapshot",
    Stage.FETCHES: "fetching a snapshot",
    Stage.BUILDS: "building the trees of a snapshot and checking what lies beside them",
    Stage.SAVES: "saving what was restored",
    Stage.DONE: "joined by a snapshot",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """height: of the snapshot at hand, 0: none yet. peers: that are connected; from FETCHES on, that have the snapshot.
    bytes_per_s: lately, of chunks that came. waits_for: in words; empty: it goes on."""

    stage: Stage = Stage.BEGINS
    height: int = 0
    chunks: int = 0
    chunks_applied: int = 0
    bytes_fetched: int = 0
    bytes_per_s: int = 0
    peers: int = 0
    waits_for: str = ""

    @property
    def sentence(self) -> str:
        """`fetching a snapshot: 12 of 40 chunks of height 1000, 5.1 MiB a second from 3 peers`."""
        told = WORDS[self.stage]
        if self.stage is Stage.FETCHES:
            peers = "1 peer" if self.peers == 1 else f"{self.peers} peers"
            told += f": {self.chunks_applied} of {self.chunks} chunks of height {self.height}, "
            told += f"{self.bytes_per_s / MIB:.1f} MiB a second from {peers}"
        elif self.stage in (Stage.VERIFIES, Stage.BUILDS):
            told += f" (height {self.height})"
        return f"{told}; waits for {self.waits_for}" if self.waits_for else told


class Rate:
    """Bytes a second, lately."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, int]] = []  # (when, bytes by then), the oldest first

    def at(self, now_ns: int, total: int) -> int:
        """total: bytes by now. Each call is a mark; between the oldest that is not too old and now is the rate."""
        if not self._marks or now_ns - self._marks[-1][0] >= RATE_OVER_NS // 10:
            self._marks.append((now_ns, total))
        while len(self._marks) > 1 and now_ns - self._marks[1][0] >= RATE_OVER_NS:
            del self._marks[0]
        since_ns, before = self._marks[0]
        return 0 if now_ns <= since_ns else (total - before) * NS_PER_S // (now_ns - since_ns)
