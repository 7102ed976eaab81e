"""When a block is late, by the chain's own pace: a rule that holds for blocks of 100 ms and for a chain that only makes
blocks when somebody pays.

Nothing is late while nothing is due: until block_time is over, or, without empty blocks, until a height begins because
of a transaction. From then on a height has the time-outs of its first rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from consensus.core.events import CoreConfig, VoteKind
from consensus.core.votes import two_thirds
from consensus.engine.interfaces import RoundState
from consensus.formats.units import NS_PER_MS, NS_PER_S

MS_PER_S: Final = NS_PER_S // NS_PER_MS
LEAST_S: Final = 10.0  # a loaded machine of quick rounds is late by seconds, and well
ROUNDS: Final = 3  # a proposer that is away costs one, two in a row happen
LOOK_S: Final = 1.0
PATIENCE_S: Final = 10.0  # a node that starts has no peers for a moment
AGAIN_S: Final = 60.0  # the first time; then twice as long, and so on
AGAIN_MAX_S: Final = 3_600.0

NO_BLOCK: Final = "no block for "  # `dchat validator recover` knows a late block by it

log = structlog.get_logger(__name__)


def why_no_block(
    rounds: RoundState, config: CoreConfig, *, age_s: float, running_s: float | None, limit_s: float
) -> str | None:
    """Why a node is not ready whose last block is `age_s` old; None: no block is late.

    running_s: since the height began its first round; None: it waits. limit_s: no block may be later than this,
    whatever the time-outs are.
    """
    late_s = running_s
    if late_s is None:
        if not config.create_empty_blocks:
            return None  # no transaction waits
        late_s = age_s - config.create_empty_blocks_interval_ms / MS_PER_S
    if late_s > min(limit_s, max(LEAST_S, 2 * rounds_s(config, 1))) and (missing := _lacks_votes(rounds)):
        return f"{NO_BLOCK}{int(age_s)} s: {missing}"
    if late_s > min(limit_s, max(LEAST_S, rounds_s(config, ROUNDS))):
        return f"{NO_BLOCK}{int(age_s)} s: height {rounds.height} is in round {rounds.round}"
    return None


def rounds_s(config: CoreConfig, rounds: int) -> float:
    """Seconds that the first `rounds` rounds of a height take where each of their steps runs into its time-out."""
    first_ms = config.timeout_propose_ms + config.timeout_prevote_ms + config.timeout_precommit_ms
    delta_ms = config.timeout_propose_delta_ms + config.timeout_prevote_delta_ms + config.timeout_precommit_delta_ms
    return (rounds * first_ms + rounds * (rounds - 1) // 2 * delta_ms) / MS_PER_S


def _lacks_votes(rounds: RoundState) -> str:
    """Empty: +2/3 of the voting power were heard in this round or the one before."""
    total = rounds.validators.total_power
    views = [rounds.votes(kind, round) for kind in VoteKind for round in (rounds.round, rounds.round - 1) if round >= 0]
    most = max((view for view in views if view is not None), key=lambda view: view.power, default=None)
    power, voted = (0, 0) if most is None else (most.power, most.mask.bit_count())
    if not total or power > two_thirds(total):
        return ""
    return (
        f"height {rounds.height} has votes of {voted} of {len(rounds.validators)} validators, with {power} of {total} "
        f"voting power; a block needs {two_thirds(total) + 1}"
    )


class Standing:
    """Says in the log that no block comes, and why; now and then again; and that they come again.

    why: what holds this node; None: nothing does. height: of its last block. now: seconds, of a clock without jumps.
    """

    def __init__(
        self, why: Callable[[], str | None], height: Callable[[], int], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._why, self._height, self._now = why, height, now
        self._since_s: float | None = None
        self._again_s = self._wait_s = 0.0
        self._is_told = False

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        why, now_s = self._why(), self._now()
        if why is None:
            if self._is_told and self._since_s is not None:
                log.info("blocks come again", height=self._height(), stood_s=int(now_s - self._since_s))
            self._since_s, self._is_told = None, False
            return
        if self._since_s is None:
            self._since_s, self._again_s, self._wait_s = now_s, now_s + PATIENCE_S, AGAIN_S
        if now_s >= self._again_s:
            log.warning("no block comes", height=self._height(), why=why, for_s=int(now_s - self._since_s))
            self._is_told = True
            self._again_s, self._wait_s = now_s + self._wait_s, min(2 * self._wait_s, AGAIN_MAX_S)
