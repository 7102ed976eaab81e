"""Nodes of the product among faults, from one seed: simulated time, network and disk, everything else is real.

Until `faults_s` nodes are killed or lose their power, at any moment or between two touches of their disk, and come back
from what survived; directions of the network fall silent, connections break, messages take their time; disks are slow
and clocks are wrong; one validator's key may run twice. Then all faults stop, and the network must go on, keep what it
promised and have punished the liar. dchat/simulation/laws.py judges all of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from chain.currency.staking import stake
from consensus.documents.genesis import GenesisDoc
from consensus.simulation import loop as virtual
from consensus.simulation.clock import Wall
from consensus.simulation.home import SimHome, Strike
from consensus.simulation.loop import Life, VirtualLoop
from consensus.simulation.network import Network
from dchat.simulation.laws import Judge, LawBroken, SimulationError
from dchat.simulation.liar import Liar, View
from dchat.simulation.lies import lie
from dchat.simulation.load import CHAIN_ID, Load, genesis_of, operator
from dchat.simulation.node import SimNode
from dchat.simulation.plan import NEVER_S, Plan, near_ms
from dchat.simulation.plan import off_ms as anything_ms
from dchat.simulation.side import Injected
from dchat.simulation.successions import has_key, keys_of, next_of, put_first, put_next, validator_key

RECOVERY_S = 240.0  # redials wait up to 40 s, and time-outs have grown with the rounds of a long partition
HEIGHTS_WITHIN = 5  # that time, however it begins; what is asked beyond them has HEIGHT_S each
HEIGHT_S = 30.0  # some rounds that liars spoil
POLL_S = 0.1
STOP_S = 15.0  # as dchat.node.process cuts a stop
PROBE_EVERY_S = 5.0
DEAD_DISK_S = 30.0  # until a node that can save nothing must have ended: some messages come, and the log is flushed
STRIKE_TOUCHES_MAX = 60  # a block is about twenty touches of the disk
ERRORS_SHOWN = 8

Spoil = Callable[[SimHome, random.Random], SimHome]


class SimulationFailed(SimulationError):
    """A run broke a law: which, by whom, what happened before, and how to replay it."""

    def __init__(self, broken: LawBroken, report: Sequence[str], replay: str) -> None:
        super().__init__("\n".join([str(broken), *report, f"replay: {replay}"]))
        self.law, self.what, self.report = broken.law, broken.what, tuple(report)


class Cluster:
    """One run. spoil: what a stop does to a home, beyond what it may do; for tests that plant a fault."""

    def __init__(self, plan: Plan, loop: VirtualLoop, spoil: Spoil | None = None) -> None:
        self.plan, self.loop, self._spoil = plan, loop, spoil
        liars = [*plan.held_by_liars, *([] if plan.twin is None else [plan.twin])]
        addresses = frozenset(key.pub_key.address for index in liars for key in keys_of(plan, index))
        self.judge = Judge(lambda: int(loop.now_s * 1_000), addresses, self._clocks_ns if plan.off_ms else None)
        self._chance = random.Random(f"faults {plan.seed}")
        self._air = random.Random(f"network {plan.seed}")
        self._links: dict[tuple[str, str], float] = {}
        self.network = Network(loop, self._latency_s)
        self.crashes = 0
        self._probe_at_s = 0.0
        self._world = contextvars.copy_context()  # of no life
        genesis = genesis_of(plan)
        self.nodes = [self._node(place, genesis) for place in range(plan.nodes) if place not in plan.held_by_liars]
        places = [node.address for node in self.nodes]
        for node in self.nodes:
            node.peers = tuple(place for place in places if place != node.address)
        self._eyes = random.Random(f"eyes {plan.seed}")
        self.liars = [self._liar(place, held, places) for place, held in enumerate(plan.liars)]
        self._faults: list[asyncio.Task[None]] = []
        self._load = Load(plan, self.judge)
        self._made = [1] * len(plan.powers)  # keys that each validator had, the next one among them

    def _node(self, place: int, genesis: GenesisDoc) -> SimNode:
        is_twin = self.plan.twin is not None and place == self.plan.nodes - 1
        key = validator_key(self.plan, self.plan.twin if is_twin and self.plan.twin is not None else place)
        name = f"twin{self.plan.twin}" if is_twin else f"n{place}"
        node = SimNode(
            name, place, key, is_twin, is_twin or place == self.plan.twin, self.loop, self.network,
            genesis, self.plan, self.judge,
            random.Random(f"{name} {self.plan.seed}"), (), Strike(lambda what: self._crash(node, what)),
            lambda why: self._end(node, why), SimHome(),
            Wall(self.loop, off_ms=(self.plan.off_ms or {place: 0})[place], drift_ppm=self._drift_ppm(place)),
            holds_stake=is_twin or place < len(self.plan.powers),
        )  # fmt: skip
        if node.rotates:
            put_first(node.home.disk, key)
        return node

    def _drift_ppm(self, place: int) -> int:
        return self.plan.drift_ppm[place] if self.plan.drift_ppm else 0

    def _clocks_ns(self) -> tuple[int, int]:
        """How far the clocks that count were ever off, at least and at most."""
        walls = [node.wall for node in self.nodes if node.place not in self.plan.far]
        return min(wall.low_ns for wall in walls), max(wall.high_ns for wall in walls)

    def _liar(self, place: int, held: int | None, targets: list[str]) -> Liar:
        key = None if held is None else validator_key(self.plan, held)
        rng = random.Random(f"liar {place} {self.plan.seed}")
        liar = Liar(
            place, key, loop=self.loop, network=self.network, chain_id=CHAIN_ID, targets=targets, look=self._look,
            judge=self.judge, rng=rng,
        )  # fmt: skip
        liar.is_rival = self.plan.rivals
        return liar

    def _look(self) -> View | None:
        """A node that takes part in consensus: mostly the one that is furthest."""
        running = [node for node in self.nodes if node.parts is not None and node.parts.driver.is_running]
        if not running:
            return None
        node = self._eyes.choice(running)
        if self._eyes.random() < 0.7:
            node = max(running, key=lambda node: self.judge.tops.get(node.name, 0))
        assert node.parts is not None
        return View(node.parts.driver, node.parts.executor)

    def _latency_s(self, source: str, target: str) -> float:
        low, high = self.plan.latency_ms
        way = (source, target)
        base = self._links.get(way)
        if base is None:
            base = self._links[way] = self._air.uniform(low, high) / 1_000
        return base * self._air.uniform(1.0, 2.0)

    # ------------------------------------------------------------------------------------------------------ nodes

    def _start(self, node: SimNode) -> None:
        node.life = Life(node.name)
        self.network.power_on(node.host)
        self.loop.spawn(node.life, node.boot())

    def _crash(self, node: SimNode, when: str) -> None:
        """From here on nothing of the node runs; its home is what survived."""
        killed = self._chance.random() < 0.5
        self.judge.note(f"{node.name} {'was killed' if killed else 'lost power'}: {when}")
        self._gone(node, killed=killed)

    def _gone(self, node: SimNode, *, killed: bool) -> None:
        life, rng = node.life, self._chance
        assert life is not None
        self._check_tasks(life)
        self.loop.end(life)
        node.life = node.parts = None
        node.strike.disarm()
        self.crashes += 1
        node.home = node.home.stopped() if killed else node.home.crashed_by(rng)
        if self._spoil is not None:
            node.home = self._spoil(node.home, rng)
        self.network.drop_host(node.host, with_power=killed)
        down_s = rng.choice((0.05, 1.0, 5.0, 15.0)) * rng.uniform(0.5, 1.5)
        self.loop.call_later(down_s, self._start, node, context=self._world)

    async def _stop(self, node: SimNode, life: Life) -> None:
        """An orderly stop, as after SIGTERM."""
        self.judge.note(f"{node.name} was asked to stop")
        try:
            async with asyncio.timeout(STOP_S):
                await node.stop()
        except TimeoutError:
            self.judge.breaks("a stop comes to its end", f"{node.name} did not in {STOP_S:.0f} s")
        except OSError as error:
            if not node.strike.failed:
                self.judge.breaks("a stop comes to its end", f"{node.name}: {error}")
        current = asyncio.current_task()
        left = [
            getattr(task.get_coro(), "__qualname__", "")
            for task in life.tasks
            if not task.done() and task is not current
        ]
        if left:
            self.judge.breaks("a stop leaves nothing behind", f"{node.name}: {' '.join(left)}")
        self.judge.note(f"{node.name} stopped")
        self.loop.call_soon(self._after_stop, node, life, context=self._world)

    def _after_stop(self, node: SimNode, life: Life) -> None:
        if node.life is life:
            self._gone(node, killed=True)

    def _stop_someone(self) -> None:
        node = self._chance.choice(self.nodes)
        is_up = node.parts is not None and node.parts.is_started  # a signal that comes before waits for it
        if self._may_crash(node) and is_up and node.life is not None and not node.life.stops:
            node.life.stops = True
            self.loop.spawn(node.life, self._stop(node, node.life))

    def _end(self, node: SimNode, why: str) -> None:
        """The node said that it cannot go on, in one of its callbacks: the process ends after it."""
        life = node.life

        def end() -> None:
            if node.life is life and life is not None:
                self._crash(node, why)

        self.loop.call_soon(end, context=self._world)

    def _may_crash(self, node: SimNode) -> bool:
        """Not those that share a key: a record that is older than the chain keeps a signer from starting."""
        return node.life is not None and node.key.pub_key.address not in self.judge.liars

    # ----------------------------------------------------------------------------------------------------- faults

    async def _now_and_then(self, every_s: float, act: Callable[[], None]) -> None:
        while every_s < NEVER_S:
            await asyncio.sleep(self._chance.expovariate(1 / every_s))
            act()

    def _fail_disk(self) -> None:
        """A node sees an error of its disk. Where it stays, the node must end itself: it can save nothing any more."""
        node = self._chance.choice(self.nodes)
        if not self._may_crash(node) or node.strike.failed:
            return
        node.strike.arm(self._chance.randint(1, STRIKE_TOUCHES_MAX), fails=True, stays=self._chance.random() < 0.5)

    def _check_disks(self) -> None:
        for node in self.nodes:
            if not node.strike.is_dead:
                node.dead_since_s = self.loop.now_s
            elif self.loop.now_s - node.dead_since_s > DEAD_DISK_S:
                self.judge.breaks("no node looks alive that is not", f"{node.name}: {node.strike.failed}")

    def _crash_someone(self) -> None:
        node = self._chance.choice(self.nodes)
        if not self._may_crash(node):
            return
        if self._chance.random() < 0.3:
            self._crash(node, "between two callbacks")
        else:
            node.strike.arm(self._chance.randint(1, STRIKE_TOUCHES_MAX))

    def _black_out(self) -> None:
        """Everybody's power fails at once."""
        for node in self.nodes:
            if self._may_crash(node):
                self._crash(node, "with all others")

    def _part(self) -> None:
        """Some directions fall silent, or all are heard again."""
        rng = self._chance
        self.network.hear_again()
        if rng.random() < 0.4:
            self.judge.note("all were heard again")
            return
        hosts = [node.host for node in self.nodes]
        group = rng.sample(hosts, rng.randint(1, len(hosts) - 1))
        one_way = rng.random() < 0.3
        for host in group:
            for other in hosts:
                if other not in group:
                    self.network.hush(host, other)
                    if not one_way:
                        self.network.hush(other, host)
        self.judge.note(f"{' '.join(sorted(group))} fell silent {'one way' if one_way else 'both ways'}")

    def _reset_some(self) -> None:
        one, other = self._chance.sample(self.nodes, 2)
        self.network.reset(one.host, other.host)

    def _stall_someone(self) -> None:
        """Its process gets no turn for a while."""
        node = self._chance.choice(self.nodes)
        if node.life is not None:
            for_s = self._chance.choice((0.05, 0.3, 0.8, 4.0)) * self._chance.uniform(0.3, 1.0)
            self.loop.stall(node.life, for_s)
            self.judge.note(f"{node.name} stalled for {for_s:.3f} s")

    def _plant(self) -> None:
        """Something in somebody raises."""
        node = self._chance.choice(self.nodes)
        if node.parts is not None:
            node.plant(self._chance)

    def _rotate_someone(self) -> None:
        """Its operator puts the next key into each home that has its key, and tells the chain; of one that is there
        already it tells once more. Now and then it tells of one that the chain must refuse."""
        rng, index = self._chance, self._chance.randrange(len(self.plan.powers))
        homes = [node for node in self.nodes if node.key == validator_key(self.plan, index)]
        keys, disks = keys_of(self.plan, index), [node.home.disk for node in homes]
        if rng.random() < 0.2:
            other = rng.randrange(len(self.plan.powers))
            told = rng.randrange(max(1, self._made[other] - 1))  # of the newest the chain may not have been told
            self._load.rotate(index, validator_key(self.plan, other, told), self.nodes)
            return
        if not all(map(has_key, disks)):
            return
        waiting = next_of(disks[0])
        if waiting is None and self._made[index] < len(keys) and all(next_of(disk) is None for disk in disks):
            waiting = keys[self._made[index]]
            self._made[index] += 1
            for disk in disks:
                put_next(disk, waiting)
            self.judge.note(f"{homes[0].name} was given the next key, {waiting.pub_key.address.hex()[:8]}")
        if waiting is not None:
            self._load.rotate(index, waiting, self.nodes)

    def _set_a_clock(self) -> None:
        """Somebody's clock is set: anew, or right."""
        node = self._chance.choice(self.nodes)
        off_ms = near_ms if node.place not in self.plan.wandering or self._chance.random() < 0.3 else anything_ms
        node.wall.set_off(off_ms(self._chance))
        self.judge.note(f"{node.name}'s clock is off by {node.wall.off_ns() / 1e9:.3f} s")

    def _stop_faults(self) -> None:
        for task in self._faults:
            task.cancel()
        for node in self.nodes:
            node.strike.left, node.is_calm = 0, True
        self.network.hear_again()
        self.judge.note("all faults stopped")

    # --------------------------------------------------------------------------------------------------- the run

    async def run(self) -> None:
        plan, spawn = self.plan, self.loop.create_task
        for node in self.nodes:
            begins_s = self._chance.uniform(0, 2)
            self.loop.call_later(plan.join_at_s if node.place == plan.joiner else begins_s, self._start, node)
        self._faults = [
            spawn(self._now_and_then(plan.crash_every_s, self._crash_someone)),
            spawn(self._now_and_then(plan.disk_fails_every_s, self._fail_disk)),
            spawn(self._now_and_then(plan.blackout_every_s, self._black_out)),
            spawn(self._now_and_then(plan.partition_every_s, self._part)),
            spawn(self._now_and_then(plan.reset_every_s, self._reset_some)),
            spawn(self._now_and_then(plan.clock_jumps_every_s, self._set_a_clock)),
            spawn(self._now_and_then(plan.stall_every_s, self._stall_someone)),
            spawn(self._now_and_then(plan.plant_every_s, self._plant)),
            spawn(self._now_and_then(plan.stop_every_s, self._stop_someone)),
            spawn(self._now_and_then(plan.rotate_every_s, self._rotate_someone)),
        ]
        lying = [spawn(liar.run(plan.lies_every_ms / 1_000, lie)) for liar in self.liars]
        load = spawn(self._now_and_then(plan.tx_every_ms / 1_000, lambda: self._load.send(self.nodes)))
        await self._until(lambda: False, plan.faults_s)
        self._stop_faults()
        await self._until(lambda: False, plan.calm_load_s)
        load.cancel()
        target = self.judge.height + plan.heights_after
        within_s = RECOVERY_S + HEIGHT_S * max(0, plan.heights_after - HEIGHTS_WITHIN)
        if not await self._until(lambda: self._has_recovered(target), within_s):
            self._explain(target, within_s)
            self._raise_if_broken()
        for task in lying:
            task.cancel()
        self._check_end()
        self._raise_if_broken()

    async def _until(self, condition: Callable[[], bool], for_s: float) -> bool:
        end_s = self.loop.now_s + for_s
        while self.loop.now_s < end_s:
            await asyncio.sleep(POLL_S)
            self._check_disks()
            self._raise_if_broken()
            if condition():
                return True
        return False

    def _raise_if_broken(self) -> None:
        for task in self._faults:
            if task.done() and not task.cancelled():
                task.result()  # a fault of ours
        if self.judge.broken is not None:
            raise self.judge.broken

    def _has_recovered(self, target: int) -> bool:
        return (
            all(node.parts is not None and self.judge.tops.get(node.name, 0) >= target for node in self.nodes)
            and all(tx in self.judge.committed for tx in self.judge.promised)
            and (self.plan.plant_every_s == NEVER_S or self._all_admit())
            and all(self._has_jailed(node) for node in self.nodes)
            and all(self._signs_by_its_key(node) for node in self.nodes)
        )

    def _all_admit(self) -> bool:
        """Each node has admitted something new since the faults, and it was committed."""
        if self.loop.now_s >= self._probe_at_s:
            self._probe_at_s = self.loop.now_s + PROBE_EVERY_S
            for node in self.nodes:
                if node.parts is not None and node.probe not in self.judge.committed:
                    self._load.probe(node)
        return all(node.probe in self.judge.committed for node in self.nodes)

    def _has_jailed(self, node: SimNode) -> bool:
        if self.plan.twin is None:
            return True
        assert node.parts is not None
        liar = stake.validator_of(node.parts.app.base, operator(self.plan.twin).address)
        return liar is not None and liar.jailed

    def _signs_by_its_key(self, node: SimNode) -> bool:
        """By the one that the chain knows, which is the newest that its operator made, or the one before that."""
        if not node.rotates:
            return True
        assert node.parts is not None
        index = node.place if node.place < len(self.plan.powers) else self.plan.twin
        assert index is not None
        keys = keys_of(self.plan, index)[: self._made[index]][-2:]
        known = stake.validator_of(node.parts.app.base, operator(index).address)
        signs = node.parts.engine.signer.pub_key.bytes
        return (
            known is not None
            and known.consensus_key in [key.pub_key.bytes for key in keys]
            and (known.consensus_key == signs or known.jailed)
        )

    def _explain(self, target: int, within_s: float) -> None:
        """Which law it was that did not come true in time."""
        tops = {node.name: self.judge.tops.get(node.name, 0) for node in self.nodes}
        if any(top < target for top in tops.values()) or any(node.parts is None for node in self.nodes):
            where = ", ".join(f"{node.name} {node.where}" for node in self.nodes)
            self.judge.breaks("progress", f"not all at {target} after {within_s:.0f} s: {where}")
        lost = [name for tx, name in self.judge.promised.items() if tx not in self.judge.committed]
        if lost:
            self.judge.breaks("what was promised is committed", f"{len(lost)} transactions of {sorted(set(lost))}")
        if deaf := [node.name for node in self.nodes if self.plan.plant_every_s < NEVER_S and not node.probe]:
            self.judge.breaks("nodes admit what is new", f"not {' '.join(deaf)}")
        if others := [node.name for node in self.nodes if not self._signs_by_its_key(node)]:
            self.judge.breaks("a validator signs by the key that the chain knows", f"not {' '.join(others)}")
        self.judge.breaks("the liar is jailed", f"validator {self.plan.twin} is not on every node")

    def _check_end(self) -> None:
        for liar in self.liars:
            if liar.life is not None:
                self._check_tasks(liar.life)
        for node in self.nodes:
            assert node.life is not None
            assert node.parts is not None
            self._check_tasks(node.life)
            self.judge.check_store(node.name, node.parts.executor.blocks)
            for name, holds, detail in node.parts.app.invariants():
                if not holds:
                    self.judge.breaks(f"invariant {name}", f"{node.name}: {detail}")

    def _check_tasks(self, life: Life) -> None:
        for error in (*life.failures(), *self.loop.failures):
            if not isinstance(error, Exception) or isinstance(error, Injected):
                continue  # a stop that was struck, or what was planted
            text = "".join(traceback.format_exception(error)[-3:])
            self.judge.breaks("nothing fails unseen", f"{life.name}: {text}")


class _Errors:
    """What nodes logged as errors, for a failure's report; the rest is dropped unformatted."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __enter__(self) -> _Errors:
        self._before = structlog.get_config()
        structlog.configure(
            processors=[structlog.processors.format_exc_info, self._take],
            wrapper_class=structlog.make_filtering_bound_logger(40),
        )
        return self

    def __exit__(self, *_: object) -> None:
        structlog.configure(**self._before)

    def _take(self, _: object, method: str, event: structlog.typing.EventDict) -> str:
        node = virtual.LIFE.get()
        text = " ".join(f"{key}={str(value).splitlines()[-1]}" for key, value in event.items() if value)
        self.lines = [*self.lines[-ERRORS_SHOWN + 1 :], f"{node.name if node else '-'} {method}: {text}"]
        raise structlog.DropEvent


def replay_command(seed: int, profile: str, heights: int | None) -> str:
    named = "" if profile == "faults" else f" --profile {profile}"
    asked = "" if heights is None else f" --heights {heights}"
    return f"dchat simulate{named} --seed {seed}{asked}"


def simulate(
    seed: int,
    profile: str = "faults",
    *,
    heights: int | None = None,
    spoil: Spoil | None = None,
    change: Callable[[Plan], Plan] = replace,
) -> Cluster:
    """Run one seed of a profile to its end. Raises SimulationFailed.

    heights: how many each node must decide after the last fault; None: the profile's. change: of its plan, for tests.
    """
    plan = change(Plan.of(seed, profile))
    if heights is not None:
        plan = replace(plan, heights_after=heights)
    made: list[Cluster] = []

    async def main(loop: VirtualLoop) -> None:
        made.append(Cluster(plan, loop, spoil))
        await made[0].run()

    with _Errors() as errors:
        try:
            virtual.run(main)
        except LawBroken as broken:
            judge = made[0].judge
            report = [f"plan: {plan}", *judge.last, *judge.lies, *errors.lines]
            raise SimulationFailed(broken, report, replay_command(seed, profile, heights)) from None
    return made[0]
