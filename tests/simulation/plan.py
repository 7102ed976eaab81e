"""What a seed decides about its run."""

from __future__ import annotations

import random
from dataclasses import dataclass

from consensus.core.events import CoreConfig
from consensus.engine.wal import HEAD_BYTES_MAX

NEVER_S = 10.0**9


@dataclass(frozen=True, slots=True)
class Plan:
    """Times of the simulated clock. Faults come until `faults_s`; how often is a mean, NEVER_S for not at all.

    powers: of the validators, in units of stake. twin: the validator whose key also runs elsewhere, if any.
    slow_ms: by node, how long its disk takes at most. skew_ms: by node, how wrong its clock is at most, either way;
    anew at each start. wal_head_bytes: at what size a node's log is put aside.
    """

    seed: int
    powers: tuple[int, ...]
    twin: int | None
    observers: int
    config: CoreConfig
    latency_ms: tuple[int, int]  # of a link: drawn once between them, with as much jitter again
    slow_ms: tuple[int, ...]
    skew_ms: tuple[int, ...]
    faults_s: int
    crash_every_s: float
    blackout_every_s: float
    disk_fails_every_s: float
    partition_every_s: float
    reset_every_s: float
    tx_every_ms: int
    burst_txs: int
    wal_head_bytes: int
    missed_blocks_window: int

    @property
    def nodes(self) -> int:
        """Validators, then observers, then the twin."""
        return len(self.powers) + self.observers + (self.twin is not None)

    @staticmethod
    def of(seed: int) -> Plan:
        rng = random.Random(f"plan {seed}")
        count = rng.choice((4, 4, 4, 4, 5, 7))
        powers = (10,) * count if rng.random() < 0.6 else tuple(rng.randint(5, 12) for _ in range(count))
        twins = [index for index in range(count) if 3 * powers[index] < sum(powers)]
        twin = rng.choice(twins) if twins and rng.random() < 0.35 else None
        observers = rng.choice((0, 0, 0, 1))
        nodes = count + observers + (twin is not None)
        commit_ms, interval_ms = rng.choice(((0, 500), (100, 1_000), (100, 3_000)))
        config = CoreConfig(
            timeout_propose_ms=800, timeout_propose_delta_ms=200,
            timeout_prevote_ms=300, timeout_prevote_delta_ms=100,
            timeout_precommit_ms=300, timeout_precommit_delta_ms=100,
            timeout_commit_ms=commit_ms, create_empty_blocks_interval_ms=interval_ms,
        )  # fmt: skip
        return Plan(
            seed, powers, twin, observers, config,
            latency_ms=rng.choice(((1, 5), (10, 60), (20, 200))),
            slow_ms=tuple(rng.choice((0, 0, 0, 20, 200)) for _ in range(nodes)),
            skew_ms=tuple(rng.choice((0, 0, 300)) for _ in range(nodes)),
            faults_s=rng.randint(10, 40),
            crash_every_s=rng.choice((1.5, 4.0, 12.0, NEVER_S)),
            blackout_every_s=rng.choice((10.0, NEVER_S, NEVER_S, NEVER_S)),
            disk_fails_every_s=rng.choice((3.0, 12.0, NEVER_S, NEVER_S, NEVER_S)),
            partition_every_s=rng.choice((4.0, 15.0, NEVER_S)),
            reset_every_s=rng.choice((1.0, 8.0, NEVER_S)),
            tx_every_ms=rng.choice((200, 1_000)),
            burst_txs=rng.choice((1, 1, 1, 20)),
            wal_head_bytes=rng.choice((HEAD_BYTES_MAX, 8_192)),
            missed_blocks_window=rng.choice((10_000, 10_000, 20)),
        )  # fmt: skip
