"""The time-outs of the running height, one a step and round, the log's flush, what a first height waits for, and how
long one waits for more transactions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from consensus.core.events import Step
from consensus.engine.incoming.inputs import TimedOut
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.system.clock import Clock, Timer

GENESIS_LOOK_MS: Final = 60_000  # at the clock, while the genesis time is ahead: it may be set meanwhile
GATHERED_TXS: Final = 500  # a block of so many costs little more a transaction than one of more
GATHER_LOOKS: Final = 4  # at the mempool in the longest wait: none came between two, so none are waited for

WORTH_TXS: Final = 100  # come in the longest wait: twice what a block costs. Where fewer do, less of it is waited
PACE_BLOCKS: Final = 9  # the last eight and what came between them
CALM_PERMILLE: Final = 500  # of the time this thread works, or waits for a processor: below it there is time for blocks
BUSY_PERMILLE: Final = 750  # from here on blocks take what their transactions need
BUSY_WAITS: Final = 2  # times the wait, then

log = structlog.get_logger(__name__)


def genesis_wait_ms(state: State, now_ns: int) -> int:
    """How long to wait before the first block, and then to ask again; 0 from the genesis time on.

    Only our own beginning waits: a network whose clocks are ahead of ours is followed at once.
    """
    left_ns = 0 if state.last_block_height else state.last_block_time_ns - now_ns
    if left_ns <= 0:
        return 0
    when = format_rfc3339(state.last_block_time_ns)
    log.info("waiting for the genesis time", genesis_time=when, seconds=-(-left_ns // NS_PER_S))
    return min(-(-left_ns // NS_PER_MS), GENESIS_LOOK_MS)


def starts_with_proof(blocks: BlockStore, state: State) -> bool:
    """Whether the first height after a start must not wait for transactions.

    A block that changed the application is followed by one that proves its outcome. Empty blocks do not ask for
    another, also where they change the application: else the chain would never be calm.
    """
    if not state.last_block_height:
        return True
    meta = blocks.load_meta(state.last_block_height)
    return meta is not None and meta.num_txs > 0 and meta.header.app_hash != state.app_hash


class Gathering:
    """Whether the next height waits for more transactions: a block costs each validator what some fifty of them do.

    It waits only while there are some, fewer than GATHERED_TXS, more keep coming, and the last commit is younger than
    `wait_ms`, or than a part of that where few come: by the blocks of late, the square of the share of WORTH_TXS that
    would come in all of it. So at a low load, where the machine has time, a transaction waits little; empty blocks wait
    for nothing, a lone transaction for one look, and a backlog not at all. Where the machine has none, since it is slow
    or others use it, small blocks are what keeps everybody waiting: then it is twice the share itself, and no square.
    The proposal of somebody who did not wait ends it, as it ends each wait for a height's begin (line 54).
    wanted_ns: the clock's.
    """

    def __init__(self, wait_ms: int, wanted_ns: Callable[[], int] = lambda: 0) -> None:
        self._wait_ns, self._wanted_ns = wait_ms * NS_PER_MS, wanted_ns
        self._look_ns = self._wait_ns // GATHER_LOOKS
        self._due_ns = self._next_look_ns = 0
        self._seen = 0  # transactions at the last look
        # Of late: when decided, its transactions, what this thread had wanted of a processor by then.
        self._blocks: deque[tuple[int, int, int]] = deque(maxlen=PACE_BLOCKS)

    def start(self, decided_ns: int, txs: int) -> None:
        """A height begins; the block before it, of so many transactions, was decided then (monotonic)."""
        self._blocks.append((decided_ns, txs, self._wanted_ns()))
        wait_ns = self._worth_ns()
        self._look_ns = wait_ns // GATHER_LOOKS
        self._due_ns, self._next_look_ns, self._seen = decided_ns + wait_ns, 0, 0

    def _worth_ns(self) -> int:
        """All of it as long as nothing is known of the pace."""
        (first_ns, before, wanted_first), (last_ns, _, wanted_last) = self._blocks[0], self._blocks[-1]
        passed_ns = last_ns - first_ns
        if passed_ns <= 0:
            return self._wait_ns
        came = sum(txs for _, txs, _ in self._blocks) - before
        in_all_of_it = min(WORTH_TXS, came * self._wait_ns // passed_ns)
        calm_ns = self._wait_ns * in_all_of_it**2 // WORTH_TXS**2
        busy_ns = BUSY_WAITS * self._wait_ns * in_all_of_it // WORTH_TXS
        over = (wanted_last - wanted_first) * 1_000 // passed_ns - CALM_PERMILLE
        share = min(max(0, over), BUSY_PERMILLE - CALM_PERMILLE)
        return calm_ns + (busy_ns - calm_ns) * share // (BUSY_PERMILLE - CALM_PERMILLE)

    def more_ns(self, waiting: int, now_ns: int) -> int:
        """How long to wait before the next look; 0: begin. waiting: transactions in the mempool."""
        if not 0 < waiting < GATHERED_TXS or now_ns >= self._due_ns:
            return 0
        if now_ns >= self._next_look_ns:
            if waiting <= self._seen:
                return 0
            self._seen, self._next_look_ns = waiting, now_ns + self._look_ns
        return min(self._due_ns, self._next_look_ns) - now_ns


class Timers:
    """`fired` gets a time-out when it has run out; one that is set again replaces the old one."""

    def __init__(self, clock: Clock, fired: Callable[[TimedOut], None]) -> None:
        self._clock, self._fired = clock, fired
        self._running: dict[tuple[Step, int], Timer] = {}
        self._others: dict[str, Timer] = {}

    def set(self, event: TimedOut, after_ns: int) -> None:
        key = (event.elapsed.step, event.elapsed.round)
        old = self._running.get(key)
        if old is not None:
            old.cancel()
        self._running[key] = self._clock.call_later(after_ns / 1e9, lambda: self._fire(key, event))

    def _fire(self, key: tuple[Step, int], event: TimedOut) -> None:
        self._running.pop(key, None)
        self._fired(event)

    def is_set(self, step: Step, round: int) -> bool:
        return (step, round) in self._running

    def call_later(self, name: str, after_s: float, callback: Callable[[], None]) -> None:
        """What is not the core's; it outlives heights."""
        self._others[name] = self._clock.call_later(after_s, callback)

    def start_height(self) -> None:
        """Those of the height before are stale."""
        for timer in self._running.values():
            timer.cancel()
        self._running.clear()

    def cancel_all(self) -> None:
        self.start_height()
        for timer in self._others.values():
            timer.cancel()
        self._others.clear()
