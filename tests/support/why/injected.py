"""One fault in one validator of four, on a simulated clock, network and disk; everything else is the product.

The first validator makes its records as in the product. After some heights of peace the fault comes, for as long as the
seed says, and goes. Asked is then the first height from there on at which the validator missed something.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from chain.currency.staking import stake
from consensus.core.events import CoreConfig
from consensus.engine.skew import ClockSkew
from consensus.privval.channel import SignerAddress
from consensus.privval.errors import SignerLinkLost
from consensus.privval.remote import RemoteKey, RemoteSigner, SignerDoor
from consensus.privval.serving import SignerService
from consensus.privval.signer import FileSigner
from consensus.simulation import loop as virtual
from consensus.simulation.clock import SimClock
from consensus.simulation.home import DATA
from consensus.simulation.loop import VirtualLoop
from consensus.system.tasks import Faults
from dchat.doors.metrics.exposition import Registry
from dchat.doors.metrics.loop_lag import LoopLag, Pulse
from dchat.simulation.cluster import Cluster, _Errors
from dchat.simulation.load import CHAIN_ID, operator
from dchat.simulation.node import SimNode
from dchat.simulation.plan import NEVER_S, Plan
from dchat.why.form import HeightRecord
from dchat.why.judge import Cause, Verdict, judge
from dchat.why.recorder import Around, Recorder
from proto.tendermint.privval import types_pb2 as pb

PEACE: Final = 3  # heights before the fault
AFTER: Final = 3  # heights after it
BACK_S: Final = 400.0
SIGNER_STATE: Final = DATA.parent / "signer" / "state.json"


class SimDoor(SignerDoor):
    """The signer's connection: in place of sockets the signer's own service, which is there or is not."""

    def __init__(self, key: RemoteKey, service: SignerService) -> None:
        super().__init__(key, CHAIN_ID)
        self._service, self.here = service, True

    @property
    def is_connected(self) -> bool:
        return self.here

    async def listen(self) -> None:
        """The service is called, nobody dials."""

    async def close(self) -> None:
        """As `listen`."""

    async def ask(self, asked: pb.Message, kind: str, *, extends: bool = False) -> pb.Message:
        if not self.here:
            raise SignerLinkLost("no signer is connected")
        await asyncio.sleep(0.002)
        return self._service.answer(asked)

    def turn(self, *, here: bool) -> None:
        self.here = here
        self.changed.set()


class SimPulse(Pulse):
    """Nothing but a stall of the whole process holds a simulated loop."""

    def start(self) -> None:
        pass

    def not_run_s(self, seconds: float) -> float:
        return seconds


@dataclass
class Scene:
    """Four validators; `ours` is the one that is asked."""

    rng: random.Random
    loop: VirtualLoop
    cluster: Cluster
    records: dict[int, HeightRecord]
    door: SimDoor | None = None
    culprit: str = ""  # whom the answer must name

    @property
    def ours(self) -> SimNode:
        return self.cluster.nodes[0]

    @property
    def others(self) -> list[SimNode]:
        return self.cluster.nodes[1:]

    def wired(self, node: SimNode, clock: SimClock) -> None:
        """As dchat.node.runtime wires the recorder."""
        parts = node.parts
        assert parts is not None
        if isinstance(parts.engine.signer, RemoteSigner):
            self._connect_signer(node, parts.engine.signer)
        address, driver = node.key.pub_key.address, parts.driver
        skew = ClockSkew(clock, lambda: address, Faults(), is_behind=parts.gossip.is_catching_up)
        around = Around(
            own=lambda validators: address if address in validators else b"",
            started_at=clock.now_ns() // 10**6, peers=lambda: len(parts.switch.peers),
            is_behind=parts.gossip.is_catching_up, skew_ns=lambda: skew.ns, is_jailed=lambda: _is_jailed(node),
            has_signer=lambda: self.door is None or self.door.here, name_of=self._name_of,
        )  # fmt: skip
        recorder = Recorder(clock, driver.round_state, driver.metrics, driver.config, around, self._keep)
        driver.add_saved_listener(skew)
        driver.add_round_listener(recorder)
        driver.add_saved_listener(recorder)
        lag = LoopLag(Registry(), now=self.loop.time, pulse=SimPulse())
        lag.on_late = recorder.late
        parts.tasks.side("loop lag", lag.run)

    def _keep(self, record: HeightRecord) -> None:
        self.records[record.height] = record

    def _name_of(self, address: bytes) -> str:
        return next((node.name for node in self.cluster.nodes if node.key.pub_key.address == address), "")

    def _connect_signer(self, node: SimNode, signer: RemoteSigner) -> None:
        disk = node.home.disk
        if not disk.size(SIGNER_STATE):
            FileSigner.create_state(disk, SIGNER_STATE)
        assert node.remote is not None
        service = SignerService(FileSigner(disk, node.key, SIGNER_STATE), CHAIN_ID)
        self.door = signer.door = SimDoor(node.remote, service)

    async def reach(self, height: int) -> None:
        """All have it."""

        def has() -> bool:
            tops = self.cluster.judge.tops
            return all(tops.get(node.name, 0) >= height for node in self.cluster.nodes if node.life is not None)

        if not await self.cluster._until(has, BACK_S):
            raise AssertionError(f"nobody is at {height}: {self.cluster.judge.tops}")

    def cut(self, *, one_way: bool = False) -> None:
        for other in self.others:
            self.cluster.network.hush(self.ours.host, other.host)
            if not one_way:
                self.cluster.network.hush(other.host, self.ours.host)


def _is_jailed(node: SimNode) -> bool:
    assert node.parts is not None
    found = stake.validator_of(node.parts.app.base, operator(node.place).address)
    return found is not None and found.jailed


# ---------------------------------------------------------------------------------------------------- faults


async def late_proposal(scene: Scene) -> None:
    """Another validator's proposals come late, as of one whose machine is slow to make them."""
    culprit = scene.rng.choice(scene.others)
    scene.culprit = culprit.name
    assert culprit.parts is not None
    own: Any = culprit.parts.driver._own
    proposal, late_s = own.proposal, scene.rng.uniform(1.0, 4.0)

    async def late(*words: Any) -> Any:
        await asyncio.sleep(late_s)
        return await proposal(*words)

    own.proposal = late
    await asyncio.sleep(scene.rng.uniform(6, 12))
    own.proposal = proposal


async def slow_disk(scene: Scene) -> None:
    most_ms = scene.rng.randint(1_500, 8_000)
    scene.ours.plan = replace(scene.ours.plan, slow_ms=(most_ms, 0, 0, 0))
    await asyncio.sleep(scene.rng.uniform(4, 12))
    scene.ours.plan = replace(scene.ours.plan, slow_ms=(0,) * 4)


async def signer_stopped(scene: Scene) -> None:
    assert scene.door is not None
    scene.door.turn(here=False)
    await asyncio.sleep(scene.rng.uniform(2, 12))
    scene.door.turn(here=True)


async def loop_blocked(scene: Scene) -> None:
    for _ in range(scene.rng.randint(1, 4)):
        life = scene.ours.life
        assert life is not None
        scene.loop.stall(life, for_s := scene.rng.uniform(1.0, 6.0))
        await asyncio.sleep(for_s + scene.rng.uniform(0.0, 1.0))


async def partition(scene: Scene) -> None:
    scene.cut()
    await asyncio.sleep(scene.rng.uniform(3, 25))
    scene.cluster.network.hear_again()


async def unheard(scene: Scene) -> None:
    """What it sends is lost; what the others send is not."""
    scene.cut(one_way=True)
    await asyncio.sleep(scene.rng.uniform(3, 12))
    scene.cluster.network.hear_again()


async def peers_gone(scene: Scene) -> None:
    """Its connections end, and nobody can be dialled."""
    for other in scene.others:
        scene.cluster.network.reset(scene.ours.host, other.host)
    scene.cut()
    await asyncio.sleep(scene.rng.uniform(3, 25))
    scene.cluster.network.hear_again()


async def clock_off(scene: Scene) -> None:
    off_ms = scene.rng.choice((-1, 1)) * scene.rng.randint(15_000, 3_600_000)
    scene.ours.wall.set_off(off_ms)
    await asyncio.sleep(scene.rng.uniform(8, 12))


async def stopped(scene: Scene) -> None:
    """Killed, or its power lost, and started again later."""
    cluster, node = scene.cluster, scene.ours
    cluster._crash(node, "as injected")
    await asyncio.sleep(25)


async def jailed(scene: Scene) -> None:
    """Down for longer than the chain forgives."""
    scene.cut()
    await asyncio.sleep(scene.rng.uniform(40, 60))
    scene.cluster.network.hear_again()


@dataclass(frozen=True)
class Fault:
    """wanted: what may be answered. is_seen: a record that shows it, where it need not cost a vote."""

    inject: Callable[[Scene], Awaitable[None]]
    wanted: tuple[Cause, ...]
    what: str
    costs_votes: bool = True
    later: bool = False  # the last missed height is asked: what follows from the fault, not the fault itself


FAULTS: Final = {
    "late-proposal": Fault(late_proposal, (Cause.LATE_PROPOSAL,), "another validator's proposals come 1 to 4 s late"),
    "slow-disk": Fault(slow_disk, (Cause.SLOW_DISK,), "its disk takes up to 1.5 to 8 s a write"),
    "signer-stopped": Fault(signer_stopped, (Cause.SIGNER_LOST,), "its signer elsewhere is gone for 2 to 12 s"),
    "loop-blocked": Fault(loop_blocked, (Cause.OVERLOADED,), "it does not run for 1 to 6 s, up to four times"),
    "partition": Fault(partition, (Cause.PARTITION,), "it is cut off for 3 to 25 s, silently"),
    "unheard": Fault(unheard, (Cause.PARTITION,), "what it sends is lost for 3 to 12 s, not what it receives"),
    "peers-gone": Fault(peers_gone, (Cause.TOO_FEW_PEERS,), "its connections end, and none is made for 3 to 25 s"),
    "clock": Fault(clock_off, (Cause.CLOCK,), "its clock jumps by 15 s to an hour", costs_votes=False),
    "stopped": Fault(stopped, (Cause.NOT_RUNNING,), "it is killed, or loses power, for up to 22 s"),
    "jailed": Fault(jailed, (Cause.JAILED,), "it was away for too long, and is jailed", later=True),
}


@dataclass(frozen=True)
class Told:
    """Of one run. missed: whether a vote or a proposal was, at all."""

    fault: str
    seed: int
    missed: bool
    verdict: Verdict | None
    is_right: bool
    error: str = ""  # of the run itself

    @property
    def is_asked(self) -> bool:
        """Whether there was something to answer."""
        return self.verdict is not None or bool(self.error)

    def __str__(self) -> str:
        if self.error:
            return f"{self.fault} seed {self.seed}: {self.error}"
        said = "; ".join(f"{one.cause}: {one.says}" for one in self.verdict.causes) if self.verdict else "nothing"
        height = self.verdict.height if self.verdict else 0
        return f"{self.fault} seed {self.seed} height {height}: {said}"


def plan_of(seed: int, fault: str) -> Plan:
    rng = random.Random(f"why {fault} {seed}")
    config = CoreConfig(
        timeout_propose_ms=800, timeout_propose_delta_ms=200, timeout_prevote_ms=300, timeout_prevote_delta_ms=100,
        timeout_precommit_ms=300, timeout_precommit_delta_ms=100, timeout_commit_ms=rng.choice((100, 400)),
        create_empty_blocks_interval_ms=rng.choice((300, 800)), gather_wait_ms=100,
    )  # fmt: skip
    return replace(
        Plan.of(seed),
        powers=(10, 10, 10, 10), twin=None, observers=0, config=config, slow_ms=(0,) * 4, skew_ms=(0,) * 4, faults_s=0,
        latency_ms=rng.choice(((1, 5), (5, 20), (10, 40))),
        crash_every_s=NEVER_S, blackout_every_s=NEVER_S, disk_fails_every_s=NEVER_S, partition_every_s=NEVER_S,
        reset_every_s=NEVER_S, off_ms=(0,) * 4 if fault == "clock" else (), drift_ppm=(), wandering=frozenset({0}),
        far=frozenset({0}), late=(), liars=(), clock_jumps_every_s=NEVER_S, stall_every_s=NEVER_S,
        plant_every_s=NEVER_S, stop_every_s=NEVER_S, missed_blocks_window=20 if fault == "jailed" else 10_000,
    )  # fmt: skip


async def play(loop: VirtualLoop, seed: int, name: str) -> tuple[Scene, int]:
    """The scene at its end, and the height at which the fault began."""
    scene = Scene(random.Random(f"scene {name} {seed}"), loop, Cluster(plan_of(seed, name), loop), {})
    scene.ours.on_wired = scene.wired
    if name == "signer-stopped":
        scene.ours.remote = RemoteKey(scene.ours.key.pub_key, SignerAddress(path="/signer"), scene.ours.node_key)
    for node in scene.cluster.nodes:
        loop.call_later(scene.rng.uniform(0, 0.2), scene.cluster._start, node)
    await scene.reach(PEACE)
    await asyncio.sleep(scene.rng.uniform(0, 2))
    began = scene.cluster.judge.tops.get(scene.ours.name, 0)
    await FAULTS[name].inject(scene)
    await asyncio.sleep(1)
    if scene.ours.parts is None:
        await asyncio.sleep(5)
    await scene.reach(scene.cluster.judge.height + AFTER)
    return scene, began


def run(seed: int, name: str) -> Told:
    """One run, and whether its answer is right."""
    found: list[tuple[Scene, int]] = []

    async def main(loop: VirtualLoop) -> None:
        found.append(await play(loop, seed, name))

    with _Errors():
        virtual.run(main)
    (scene, began), fault = found[0], FAULTS[name]
    heights = [height for height in sorted(scene.records) if height >= began and height + 1 in scene.records]
    verdicts = [judge(height, scene.records.get) for height in heights]
    missed = [verdict for verdict in verdicts if verdict.missed]
    asked: Verdict | None
    if fault.costs_votes:
        asked = next(iter(missed[::-1] if fault.later else missed), None)
    else:
        asked = next((one for one in verdicts[::-1] if one.causes), None)
    is_right = asked is not None and bool(asked.causes) and asked.causes[0].cause in fault.wanted
    if is_right and scene.culprit and asked is not None:
        is_right = scene.culprit in asked.causes[0].says
    return Told(name, seed, bool(missed), asked, is_right)
