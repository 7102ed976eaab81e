"""How far this machine's clock is from those of the other validators. It is told, and nothing is done by it.

A precommit has its signer's time in it. When a block is saved as it is decided, these are of moments ago; the median by
power is where the clocks are, whoever of them is wrong. Our own counts as one of them: a commit may have no more than
two others, of which one is off. Blocks that were fetched are old, and tell only of a clock that is behind them. What
the clock does from one block to the next shows against the monotonic one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from statistics import median_low
from typing import Final

import structlog

from consensus.engine.interfaces import SavedBlock
from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.system.clock import Clock
from consensus.system.errors import EngineError
from consensus.system.tasks import Faults

OFF_NS: Final = 10 * NS_PER_S  # further off it is said: a slow machine's blocks are seconds late
JUMP_NS: Final = 2 * NS_PER_S  # within a block; what NTP corrects by and by is less
SAMPLES: Final = 5  # blocks whose median counts: one that took long says nothing
PART: Final = "clock"  # the name under which /ready tells of it

log = structlog.get_logger(__name__)


class ClockOff(EngineError):
    """This machine's clock is not where the others' are."""


class ClockSkew:
    """Satisfies SavedListener. is_behind: whether blocks are fetched that others decided before."""

    def __init__(
        self, clock: Clock, our_address: Callable[[], bytes], faults: Faults, *, is_behind: Callable[[], bool]
    ) -> None:
        self._clock, self._us, self._faults, self._is_behind = clock, our_address, faults, is_behind
        self._samples: deque[int] = deque(maxlen=SAMPLES)
        self._told_ns = 0
        self._apart_ns: int | None = None  # wall clock less monotonic one, at the last block

    @property
    def ns(self) -> int | None:
        """Above 0: ours is ahead. None: nobody else's is known."""
        return median_low(self._samples) if self._samples else None

    def block_saved(self, saved: SavedBlock) -> None:
        now_ns = self._clock.now_ns()
        self._look_for_jump(now_ns - self._clock.monotonic_ns())
        signed = [slot for slot in saved.commit.signatures if not slot.is_absent]
        us = self._us()
        if not any(slot.validator_address != us for slot in signed):
            return
        skew_ns = now_ns - weighted_median(sorted(_times(saved)))
        if skew_ns > 0 and self._is_behind():
            return
        self._samples.append(skew_ns)
        if len(self._samples) == SAMPLES:
            self._tell(median_low(self._samples))

    def _look_for_jump(self, apart_ns: int) -> None:
        before, self._apart_ns = self._apart_ns, apart_ns
        if before is None or abs(apart_ns - before) < JUMP_NS:
            return
        self._samples.clear()  # they are of the clock as it was
        log.warning(
            f"this machine's clock jumped {length(apart_ns - before)} {'forward' if apart_ns > before else 'back'}",
            by_ms=(apart_ns - before) // NS_PER_MS,
        )

    def _tell(self, skew_ns: int) -> None:
        is_off = abs(skew_ns) >= OFF_NS
        if is_off and abs(skew_ns - self._told_ns) >= OFF_NS:
            self._told_ns = skew_ns
            error = ClockOff(
                f"this machine's clock is about {length(skew_ns)} {'ahead of' if skew_ns > 0 else 'behind'} those of "
                "the other validators: set it, and let it be kept (NTP)"
            )
            self._faults.failed(PART, error)
            log.error("this machine's clock is off; the chain goes on", why=str(error), skew_ms=skew_ns // NS_PER_MS)
        elif self._told_ns and not is_off:
            self._told_ns = 0
            self._faults.recovered(PART)
            log.info("this machine's clock is where the others' are", skew_ms=skew_ns // NS_PER_MS)


def _times(saved: SavedBlock) -> Iterator[tuple[int, int]]:
    """(when it signed, its power), of each validator whose precommit is there."""
    for slot, power in zip(saved.commit.signatures, saved.state.last_validators.powers, strict=True):
        if not slot.is_absent:
            yield slot.timestamp_ns, power


def weighted_median(sorted_pairs: Sequence[tuple[int, int]]) -> int:
    """The value in (value, weight) below which half of the weight lies at most."""
    left = sum(weight for _, weight in sorted_pairs) // 2
    for value, weight in sorted_pairs:
        left -= weight
        if left < 0:
            return value
    raise AssertionError("without weight")


def length(span_ns: int) -> str:
    """For people: `47 seconds`, `61 minutes`, `25 hours`, `3 days`."""
    seconds = abs(span_ns) // NS_PER_S
    for name, unit in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{(seconds + unit // 2) // unit} {name}"
    return f"{seconds} seconds"
