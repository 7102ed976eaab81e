"""What a seed decides about its run, and which kinds of runs there are."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from consensus.core.events import CoreConfig
from consensus.simulation.clock import Late
from consensus.stores.wal import HEAD_BYTES_MAX
from crypto.keys import ED25519
from crypto.mldsa import ML_DSA_65

NEVER_S = 10.0**9
HOUR_MS = 3_600_000
HOURS_MS = 9 * HOUR_MS
OFF_MS = (1_000, 60_000, HOUR_MS, HOURS_MS)  # how wrong a wrong clock may be: seconds, minutes, hours
NEAR_MS = 400  # how wrong a right clock may be


@dataclass(frozen=True, slots=True)
class Plan:
    """Times of the simulated clock. Faults come until `faults_s`; how often is a mean, NEVER_S for not at all.

    powers: of the validators, in units of stake. twin: the validator whose key also runs elsewhere, if any.
    slow_ms: by node, how long its disk takes at most. skew_ms: by node, how wrong its clock is at most, either way;
    anew at each start. wal_head_bytes: at what size a node's log is put aside; at
    half of it a height that takes many rounds is restated.
    off_ms, drift_ppm: by node, how wrong its clock is at first, and how it runs. clock_jumps_every_s: when some clock
    is set anew: to anything, of those that are `wandering`. far: whose clocks count for nothing: less than a third of
    the power.
    late: by node, its threads. stall_every_s: when some process stands still for a while, then does all at once.
    plant_every_s: when one call of a part of some node raises. stop_every_s: when one is asked to stop.
    liars: for each liar the validator whose key it holds, which then runs nowhere else; None: it has no stake.
    lies_every_ms: how often each lies. rivals: they only propose against what is being decided.
    calm_load_s, heights_after: what must still come after the last fault.
    snapshot_every: heights between two snapshots of each node; 0: none are taken. chunk_bytes: of theirs, about.
    join_at_s: when the last place, an observer's, begins, by a snapshot; 0: with the others, by blocks. false_shelves:
    who offers snapshots of no height, and serves false chunks. held: whose keys are held elsewhere, by what is slow,
    fails, answers late and goes away. key_types: of the validators' keys, in turn. rotate_every_s: when somebody's
    operator makes the next key, or tells the chain of it, once more where it is not known there yet.
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
    off_ms: tuple[int, ...] = ()
    drift_ppm: tuple[int, ...] = ()
    wandering: frozenset[int] = frozenset()
    far: frozenset[int] = frozenset()
    clock_jumps_every_s: float = NEVER_S
    late: tuple[Late | None, ...] = ()  # by node
    stall_every_s: float = NEVER_S
    plant_every_s: float = NEVER_S
    stop_every_s: float = NEVER_S
    liars: tuple[int | None, ...] = ()
    lies_every_ms: int = 0
    rivals: bool = False
    calm_load_s: float = 3.0
    heights_after: int = 5
    snapshot_every: int = 0
    chunk_bytes: int = 0
    join_at_s: float = 0.0
    false_shelves: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    key_types: tuple[str, ...] = (ED25519,)
    rotate_every_s: float = NEVER_S

    @property
    def rotates(self) -> bool:
        return self.rotate_every_s < NEVER_S

    @property
    def joiner(self) -> int | None:
        """The place of the node that joins by a snapshot."""
        return self.nodes - 1 if self.join_at_s else None

    @property
    def nodes(self) -> int:
        """Places: of validators, then observers, then the twin."""
        return len(self.powers) + self.observers + (self.twin is not None)

    @property
    def held_by_liars(self) -> frozenset[int]:
        """Validators whose nodes do not run: a liar has the key."""
        return frozenset(index for index in self.liars if index is not None)

    @staticmethod
    def of(seed: int, profile: str = "faults") -> Plan:
        """profile: a key of PROFILES."""
        return PROFILES[profile].draw(seed)


def _faults(seed: int) -> Plan:
    """Nodes that stop, disks that fail, directions that fall silent, a key that runs twice."""
    rng = random.Random(f"plan {seed}")
    count = rng.choice((4, 4, 4, 4, 5, 7))
    powers = (10,) * count if rng.random() < 0.6 else tuple(rng.randint(5, 12) for _ in range(count))
    twins = [index for index in range(count) if 3 * powers[index] < sum(powers)]
    twin = rng.choice(twins) if twins and rng.random() < 0.35 else None
    observers = rng.choice((0, 0, 0, 1))
    nodes = count + observers + (twin is not None)
    commit_ms, interval_ms = rng.choice(((0, 500), (100, 1_000), (100, 3_000)))
    return Plan(
        seed, powers, twin, observers, _config(commit_ms, interval_ms),
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


def _config(commit_ms: int, interval_ms: int) -> CoreConfig:
    return CoreConfig(
        timeout_propose_ms=800, timeout_propose_delta_ms=200,
        timeout_prevote_ms=300, timeout_prevote_delta_ms=100,
        timeout_precommit_ms=300, timeout_precommit_delta_ms=100,
        timeout_commit_ms=commit_ms, create_empty_blocks_interval_ms=interval_ms, gather_wait_ms=100,
    )  # fmt: skip


def _short(rng: random.Random, seed: int) -> Plan:
    """A small network for some seconds, with few other faults: what the other profiles begin with."""
    count = rng.choice((4, 4, 4, 4, 4, 5))
    powers = (10,) * count if rng.random() < 0.6 else tuple(rng.randint(7, 12) for _ in range(count))
    commit_ms, interval_ms = rng.choice(((0, 800), (100, 1_000), (300, 2_000)))
    return Plan(
        seed, powers, None, 0, _config(commit_ms, interval_ms),
        latency_ms=rng.choice(((1, 5), (5, 30), (20, 120))),
        slow_ms=(0,) * count,
        skew_ms=(0,) * count,
        faults_s=rng.randint(2, 7),
        crash_every_s=rng.choice((3.0, NEVER_S, NEVER_S)),
        blackout_every_s=NEVER_S,
        disk_fails_every_s=NEVER_S,
        partition_every_s=rng.choice((4.0, NEVER_S, NEVER_S, NEVER_S)),
        reset_every_s=rng.choice((3.0, NEVER_S, NEVER_S)),
        tx_every_ms=rng.choice((400, 1_000, 2_500)),
        burst_txs=1,
        wal_head_bytes=rng.choice((HEAD_BYTES_MAX, 8_192)),
        missed_blocks_window=10_000,
        calm_load_s=0.5,
        heights_after=2,
    )  # fmt: skip


def _minority(rng: random.Random, powers: tuple[int, ...]) -> frozenset[int]:
    """Some validators with less than a third of the power together; at least one, where one has less."""
    chosen: list[int] = []
    for index in rng.sample(range(len(powers)), len(powers)):
        if 3 * sum(powers[i] for i in [*chosen, index]) < sum(powers) and (not chosen or rng.random() < 0.8):
            chosen.append(index)
    return frozenset(chosen)


def near_ms(rng: random.Random) -> int:
    return rng.randint(-NEAR_MS, NEAR_MS)


def off_ms(rng: random.Random) -> int:
    """Ahead or behind, by seconds, minutes or hours."""
    step = rng.randrange(len(OFF_MS) - 1)
    return rng.choice((-1, 1)) * rng.randint(OFF_MS[step], OFF_MS[step + 1])


def _clocks(seed: int) -> Plan:
    """Wrong clocks, of less than a third of the power; the others are right within NEAR_MS."""
    rng = random.Random(f"clocks {seed}")
    plan = _short(rng, seed)
    far = _minority(rng, plan.powers)
    places = range(plan.nodes)
    return replace(
        plan,
        wandering=far,
        far=far,
        off_ms=tuple(off_ms(rng) if place in far else near_ms(rng) for place in places),
        drift_ppm=tuple(rng.choice((0, rng.randint(-200_000, 200_000))) if place in far else 0 for place in places),
        stop_every_s=rng.choice((2.0, NEVER_S, NEVER_S)),
        clock_jumps_every_s=rng.choice((1.5, 4.0, NEVER_S)),
    )


def _wild_clocks(seed: int) -> Plan:
    """All clocks are wrong, each otherwise."""
    rng = random.Random(f"wild clocks {seed}")
    plan = _short(rng, seed)
    return replace(
        plan,
        wandering=frozenset(range(plan.nodes)),
        off_ms=tuple(off_ms(rng) for _ in range(plan.nodes)),
        drift_ppm=tuple(rng.choice((0, rng.randint(-200_000, 200_000))) for _ in range(plan.nodes)),
        clock_jumps_every_s=rng.choice((1.5, 4.0, NEVER_S)),
    )


def _late_work(rng: random.Random, nodes: int) -> tuple[Late | None, ...]:
    """Each node by itself: one that is much later than the others sees what they decided at once."""
    kinds = (None, Late(20, 1_000, 30_000, 5), Late(100, 3_000, 50_000, 40), Late(600, 6_000, 50_000, 300))
    return tuple(rng.choice(kinds) for _ in range(nodes))


def _late(seed: int) -> Plan:
    """Threads, disks and the application take their time, sometimes very long."""
    rng = random.Random(f"late {seed}")
    plan = _short(rng, seed)
    if rng.random() < 0.7:  # many rounds: proposals that lose
        wait_ms = rng.choice((30, 100, 200))
        config = replace(
            plan.config, timeout_propose_ms=wait_ms, timeout_propose_delta_ms=30, timeout_prevote_ms=wait_ms,
            timeout_prevote_delta_ms=30, timeout_precommit_ms=wait_ms, timeout_precommit_delta_ms=30,
        )  # fmt: skip
        plan = replace(plan, config=config)
    return replace(
        plan,
        late=_late_work(rng, plan.nodes),
        crash_every_s=rng.choice((4.0, NEVER_S, NEVER_S)),
        stall_every_s=rng.choice((0.3, 1.5, NEVER_S)),
        tx_every_ms=rng.choice((150, 400)),
        burst_txs=rng.choice((1, 10)),
    )


def _signers(seed: int) -> Plan:
    """Keys that are held elsewhere."""
    rng = random.Random(f"signers {seed}")
    plan = _short(rng, seed)
    held = frozenset(place for place in range(len(plan.powers)) if rng.random() < 0.6)
    return replace(plan, held=held or frozenset({0}), crash_every_s=rng.choice((1.5, 4.0, NEVER_S)))


def _key_types(seed: int) -> Plan:
    """Keys of ML-DSA-65, alone and beside Ed25519, of nodes that stop; one key runs twice, or a liar has one."""
    rng = random.Random(f"key types {seed}")
    plan = _short(rng, seed)
    kinds = rng.choice(((ML_DSA_65,), (ED25519, ML_DSA_65), (ML_DSA_65, ML_DSA_65, ED25519)))
    weak = sorted(_minority(rng, plan.powers))[:1]
    lies = bool(weak) and rng.random() < 0.3
    is_twin = bool(weak) and not lies and rng.random() < 0.5
    return replace(
        plan, key_types=kinds, twin=weak[0] if is_twin else None, liars=(weak[0],) if lies else (), lies_every_ms=100,
        slow_ms=plan.slow_ms + (0,) * is_twin, skew_ms=plan.skew_ms + (0,) * is_twin,
        crash_every_s=rng.choice((1.5, 4.0, NEVER_S)),
    )  # fmt: skip


def _liars(seed: int) -> Plan:
    """Liars with and without stake, below a third of the power in all."""
    rng = random.Random(f"liars {seed}")
    plan = _short(rng, seed)
    held = sorted(_minority(rng, plan.powers)) if rng.random() < 0.85 else []
    liars = (*held, *(None,) * rng.choice((0, 1, 1, 2)))
    return replace(
        plan,
        liars=liars or (None,),
        lies_every_ms=rng.choice((100, 250, 600)),
        late=_late_work(rng, plan.nodes) if rng.random() < 0.2 else (),
    )


def _rivals(seed: int) -> Plan:
    """A lying validator proposes against what is being decided, where disks are slow and somebody is often away."""
    rng = random.Random(f"rivals {seed}")
    plan = _short(rng, seed)
    count = len(plan.powers)
    config = replace(plan.config, timeout_propose_ms=400, timeout_prevote_ms=100, timeout_precommit_ms=100)
    return replace(
        plan,
        powers=(10,) * count,
        faults_s=rng.randint(4, 9),
        config=config,
        liars=(rng.randrange(count),),
        rivals=True,
        lies_every_ms=rng.choice((50, 100)),
        late=tuple(rng.choice((Late(20, 200, 50_000, 20), Late(100, 3_000, 50_000, 40))) for _ in range(count)),
        crash_every_s=rng.choice((1.5, 3.0)),
        stall_every_s=rng.choice((0.5, 2.0)),
        tx_every_ms=200,
        burst_txs=10,
    )


def _side(seed: int) -> Plan:
    """Exceptions in every part of a node."""
    rng = random.Random(f"side {seed}")
    return replace(_short(rng, seed), plant_every_s=rng.choice((0.3, 0.7)), tx_every_ms=rng.choice((200, 400)))


def _all(seed: int) -> Plan:
    """Some of everything."""
    rng = random.Random(f"all {seed}")
    plan = _liars(rng.randrange(10**9))
    return replace(
        plan,
        seed=seed,
        off_ms=tuple(near_ms(rng) for _ in range(plan.nodes)),
        far=plan.held_by_liars,
        clock_jumps_every_s=rng.choice((3.0, NEVER_S)),
        late=_late_work(rng, plan.nodes) if rng.random() < 0.5 else (),
        stall_every_s=rng.choice((1.0, NEVER_S)),
        stop_every_s=rng.choice((2.0, NEVER_S)),
        disk_fails_every_s=rng.choice((5.0, NEVER_S)),
        blackout_every_s=rng.choice((5.0, NEVER_S, NEVER_S)),
    )


def _joins(seed: int) -> Plan:
    """Everybody takes snapshots, and a node that is new joins by one, while nodes stop and some serve false chunks."""
    rng = random.Random(f"joins {seed}")
    plan = _short(rng, seed)
    count = len(plan.powers)
    return replace(
        plan,
        observers=1,
        slow_ms=(*plan.slow_ms, rng.choice((0, 0, 20))),
        skew_ms=(*plan.skew_ms, 0),
        config=_config(0, rng.choice((300, 800))),
        faults_s=rng.randint(8, 18),
        snapshot_every=rng.choice((3, 5, 10)),
        chunk_bytes=rng.choice((300, 1_000, 4_000)),
        join_at_s=rng.uniform(3.0, 7.0),
        false_shelves=frozenset(rng.sample(range(count), rng.choice((0, 0, 1, 2)))),
        crash_every_s=rng.choice((1.0, 2.0, 5.0, NEVER_S)),
        disk_fails_every_s=rng.choice((4.0, NEVER_S, NEVER_S)),
        partition_every_s=rng.choice((4.0, NEVER_S, NEVER_S)),
        reset_every_s=rng.choice((0.5, 3.0, NEVER_S)),
    )


def _rotations(seed: int) -> Plan:
    """Validators change their keys, again and again, while nodes stop and disks fail at any touch; a key runs twice, a
    new node joins by a snapshot, or by all the blocks, or keys become of another type."""
    rng = random.Random(f"rotations {seed}")
    kind = rng.choice(("plain", "plain", "twin", "types", "joins", "blocks"))
    plan = _joins(rng.randrange(10**9)) if kind == "joins" else _short(rng, seed)
    weak = sorted(_minority(rng, plan.powers))[:1] if kind == "twin" else []
    more = len(weak) + (kind == "blocks")
    return replace(
        plan,
        seed=seed,
        twin=weak[0] if weak else None,
        observers=plan.observers + (kind == "blocks"),
        slow_ms=plan.slow_ms + (0,) * more,
        skew_ms=plan.skew_ms + (0,) * more,
        faults_s=rng.randint(8, 18),
        key_types=(ED25519, ML_DSA_65) if kind == "types" else (ED25519,),
        rotate_every_s=rng.choice((0.3, 0.8, 2.0)),
        late=_late_work(rng, plan.nodes + more) if rng.random() < 0.2 else (),
        crash_every_s=rng.choice((0.7, 1.5, 4.0, NEVER_S)),
        stop_every_s=rng.choice((2.0, NEVER_S)),
        disk_fails_every_s=rng.choice((2.0, 6.0, NEVER_S, NEVER_S)),
        blackout_every_s=rng.choice((4.0, NEVER_S, NEVER_S)),
    )


class Profile(NamedTuple):
    """A kind of run. what: goes wrong in it, for people."""

    draw: Callable[[int], Plan]
    what: str


PROFILES: dict[str, Profile] = {
    "faults": Profile(_faults, "nodes stop, disks fail or are slow, the network is cut and silent, a key runs twice"),
    "clocks": Profile(_clocks, "less than a third of the power has clocks that are hours off, drift and jump"),
    "wild-clocks": Profile(_wild_clocks, "every clock is wrong, each otherwise"),
    "late": Profile(_late, "threads, disks and processes stall, some for seconds; proposals lose their rounds"),
    "signers": Profile(
        _signers, "keys are held elsewhere, by what is slow, fails, answers late, goes away; nodes stop"
    ),
    "key-types": Profile(_key_types, "keys are of ML-DSA-65, alone and beside Ed25519; nodes stop, a key runs twice"),
    "liars": Profile(_liars, "up to a third of the power lies, beside peers without stake who do"),
    "rivals": Profile(_rivals, "a lying proposer puts a new block against the one that is being decided"),
    "side": Profile(_side, "some call of some part of a node raises, in place of its work or after it"),
    "joins": Profile(_joins, "a new node joins by a snapshot; nodes stop, some offer and serve false ones"),
    "rotations": Profile(
        _rotations, "validators change their consensus keys, again and again; nodes stop, disks fail, a key runs twice"
    ),
    "all": Profile(_all, "liars, late work, wrong clocks, stops, failing disks"),
}
