"""Exceptions where nobody expects any: one call of one part of a running node raises, once.

Whatever it was, the node goes on with all it does, or its process ends with a code: it never only looks alive.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from consensus.engine.driver import ConsensusDriver
from consensus.engine.interfaces import SavedBlock
from consensus.execution.executor import BlockExecutor
from consensus.mempool.journal import Journal
from consensus.mempool.pool import Pool
from consensus.node.gossip import Gossip
from consensus.p2p.switch import Switch
from consensus.system.tasks import Faults
from dchat.simulation.laws import Judge

TIMERS = ("_announce", "_check_stall", "_close_window", "_relay", "_resend", "_sweep", "_tell_step")  # re-arm first


PLANTED = "planted in "  # how the exception's text begins, wherever it is told


class Injected(RuntimeError):
    """The exception that was planted."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{PLANTED}{where}")


class Bystander:
    """Stands for the metrics and the doors: a listener that consensus does not need."""

    def block_saved(self, saved: SavedBlock) -> None:
        pass


class WatchedFaults(Faults):
    """What a node said has failed: planted, or a broken law. excused: its disk failed."""

    def __init__(self, judge: Judge, node: str, excused: Any) -> None:
        super().__init__()
        self._judge, self._node, self._excused = judge, node, excused

    def failed(self, name: str, error: BaseException, *, needed: bool = False) -> None:
        super().failed(name, error, needed=needed)
        if not isinstance(error, Injected) and not self._excused():
            self._judge.breaks("nothing fails unseen", f"{self._node}: {name}: {type(error).__name__}: {error}")


def plant(
    rng: random.Random,
    *,
    bystander: Bystander,
    driver: ConsensusDriver,
    executor: BlockExecutor,
    gossip: Gossip,
    journal: Journal,
    pool: Pool,
    switch: Switch,
) -> str:
    """Let the next call of something raise. Returns what. Any name that is gone fails here, at the first call."""
    calls = [
        (part, name, getattr(part, name))
        for part, name in (
            (bystander, "block_saved"), (journal, "block_saved"), (journal, "_append"), (journal, "_rewrite"),
            (pool, "_admit_batch"), (pool, "_check_slice"), (pool, "_recheck_slice"), (pool, "reap"), (pool, "update"),
            (gossip.mempool, "receive"), (gossip.mempool, "_close_window"), (gossip.mempool, "_relay"),
            (gossip.consensus, "receive"), (gossip.consensus, "_push"), (gossip.consensus, "_announce"),
            (gossip.consensus, "_check_stall"), (gossip.consensus, "add_peer"), (gossip.consensus, "_tell_step"),
            (gossip.evidence, "receive"), (gossip.evidence, "_resend"), (gossip.evidence, "peer_advanced"),
            (gossip.sync, "receive"), (gossip.sync, "add_peer"),
            (switch, "_deliver"), (switch, "_writable"), (switch, "link_ready"), (switch, "_sweep"),
            (driver, "_take_event"), (driver, "_take_message"), (driver, "_carry_out"), (driver, "_sync_wal"),
            (executor, "build"), (executor, "validate"), (executor, "apply"), (executor.evidence, "update"),
        )
    ]  # fmt: skip
    part, name, method = rng.choice(calls)
    _once(part, name, method, after=name in TIMERS or rng.random() < 0.5)
    return f"{type(part).__name__}.{name}"


def _once(part: Any, name: str, method: Any, *, after: bool) -> None:
    """after: once it has done its work; else instead of it."""
    if name in part.__dict__:
        return  # it is planted already
    planted = Injected(f"{type(part).__name__}.{name}")

    def fail(*args: Any, **kwargs: Any) -> Any:
        part.__dict__.pop(name, None)  # a timer may hold this one still
        if not after:
            raise planted
        answer = method(*args, **kwargs)
        if not asyncio.iscoroutine(answer):
            raise planted
        return _failing(answer, planted)

    part.__dict__[name] = fail


async def _failing(work: Any, planted: Injected) -> None:
    await work
    raise planted
