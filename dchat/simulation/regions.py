"""Validators across ten regions of the world: how long until a block is final, and what that takes.

Nodes of the product in the simulator: engine, gossip, connections with their encryption, log, signer and application
are real; time, network and disk are simulated. A message takes half of a measured round trip between its regions
(regions.json beside this file), and up to half the way to the 90th percentile more; work takes no time, and bandwidth
has no end. So what shows is the protocol and its gossip; what the work costs is told beside it, as CPU of this machine.

Final is a block where a node has saved it and what it did. It is counted from the signature of its proposal. The limit
of any protocol of three message delays is computed from the same table: a proposal to all, then twice +2/3 of the
power.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import Payment
from consensus.core.events import CoreConfig
from consensus.p2p.conn.node_key import NodeKey
from consensus.simulation import loop as virtual
from consensus.simulation.clock import Wall
from consensus.simulation.home import SimHome, Strike
from consensus.simulation.loop import Life, VirtualLoop
from consensus.simulation.network import Network
from consensus.types.block import Block
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from dchat.simulation.laws import Judge
from dchat.simulation.load import CHAIN_ID, EXPIRY_BLOCKS, GAS_PRICE, PEOPLE, genesis_of, person
from dchat.simulation.node import SimNode
from dchat.simulation.plan import NEVER_S, Plan

TABLE = json.loads((Path(__file__).parent / "regions.json").read_text())
REGIONS: list[str] = TABLE["regions"]
SETTLED = 10  # heights before the first that counts: connections are made, neighbours told
WITHIN_S = 3_600.0  # of simulated time
SEED = 1
# As `--fast`, with time-outs for the world's distances: none of them should end.
PACE = CoreConfig(timeout_propose_ms=3_000, timeout_commit_ms=0, create_empty_blocks_interval_ms=0)


def one_way_ms(source: int, target: int, quantile: str = "p50_ms") -> float:
    """Between two places, in the order of validators: these take turns through the regions."""
    return float(TABLE[quantile][source % len(REGIONS)][target % len(REGIONS)]) / 2


def limit_ms(validators: int) -> float:
    """Mean over all proposers and nodes of three message delays, with no jitter and no work."""
    places = range(validators)
    way = [[0.0 if one == other else one_way_ms(one, other) for other in places] for one in places]
    needed = 2 * validators // 3  # the next one is +2/3
    reached: list[float] = []
    for proposer in places:
        at = way[proposer]
        for _ in range(2):
            at = [sorted(at[other] + way[other][node] for other in places)[needed] for node in places]
        reached += at
    return statistics.fmean(reached)


def plan_of(validators: int) -> Plan:
    """A plan without faults: only what SimNode reads of it matters."""
    nobody = (0,) * validators
    return Plan(
        SEED, (10,) * validators, None, 0, PACE, latency_ms=(0, 0), slow_ms=nobody, skew_ms=nobody, faults_s=0,
        crash_every_s=NEVER_S, blackout_every_s=NEVER_S, disk_fails_every_s=NEVER_S, partition_every_s=NEVER_S,
        reset_every_s=NEVER_S, tx_every_ms=0, burst_txs=0, wal_head_bytes=1 << 30, missed_blocks_window=10_000,
    )  # fmt: skip


class Watch(Judge):
    """The laws' judge, and when what it hears of happened."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(lambda: int(loop.now_s * 1_000), frozenset())
        self._loop = loop
        self.proposed: dict[int, list[float]] = {}  # height -> when each of its proposals was signed
        self.final: dict[int, dict[str, float]] = {}  # height -> node -> when
        self.txs: dict[int, int] = {}

    def signed(self, node: str, address: bytes, *, kind: str, height: int, round: int, content: str) -> None:
        super().signed(node, address, kind=kind, height=height, round=round, content=content)
        if kind == "proposal":
            self.proposed.setdefault(height, []).append(self._loop.now_s)

    def saved(self, node: str, block: Block, app_hash: bytes) -> None:
        super().saved(node, block, app_hash)
        self.final.setdefault(block.height, {})[node] = self._loop.now_s
        self.txs[block.height] = len(block.txs)


class World(Network):
    """Counts what is written by anybody."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._air = random.Random(SEED)
        super().__init__(loop, self._latency)

    def _latency(self, source: str, target: str) -> float:
        one, other = int(source.rpartition(".")[2]) - 1, int(target.rpartition(".")[2]) - 1
        usual = one_way_ms(one, other)
        return (usual + self._air.random() * max(0.0, one_way_ms(one, other, "p90_ms") - usual)) / 1_000


class RegionalNode(SimNode):
    """One of up to 250: their keys, too, are told by their places."""

    @property
    def node_key(self) -> NodeKey:
        return NodeKey.from_seed(sha256(b"regional node %d" % self.place))


def links_of(validators: int, peers: int) -> list[tuple[int, int]]:
    """Who dials whom: everybody, or as many as `peers` says on average, none left alone."""
    if not peers or peers >= validators - 1:
        return [(one, other) for one in range(validators) for other in range(one + 1, validators)]
    rng, links = random.Random(SEED), set()
    for one in range(validators):
        links.add((min(one, (one + 1) % validators), max(one, (one + 1) % validators)))
    while 2 * len(links) < peers * validators:
        one, other = sorted(rng.sample(range(validators), 2))
        links.add((one, other))
    return sorted(links)


@dataclass(frozen=True, slots=True)
class Counted:
    """What all nodes had counted at some moment."""

    cpu_s: float
    bytes_sent: int
    messages_sent: int
    votes: tuple[int, int]  # received, of which copies
    parts: tuple[int, int]


class Run:
    def __init__(self, loop: VirtualLoop, validators: int, peers: int, payments: int) -> None:
        self.loop, self.payments = loop, payments
        self.watch, self.network, plan = Watch(loop), World(loop), plan_of(validators)
        genesis = genesis_of(plan, key=key_of)
        self.nodes = [
            RegionalNode(
                f"n{place}", place, key_of(place), False, False, loop, self.network, genesis, plan, self.watch,
                random.Random(place), (), Strike(_never), _never, SimHome(), Wall(loop, off_ms=0, drift_ppm=0),
            )
            for place in range(validators)
        ]  # fmt: skip
        self._connect(peers)
        self._sent = 0

    def _connect(self, peers: int) -> None:
        links = links_of(len(self.nodes), peers)
        for node in self.nodes:
            dials = [other for one, other in links if one == node.place]
            heard = [one for one, other in links if other == node.place]
            node.peers = tuple(self.nodes[place].address for place in dials)
            node.neighbours = frozenset(self.nodes[place].node_key.id for place in (*dials, *heard))

    async def reach(self, height: int) -> None:
        """Until every node has saved `height`. Raises LawBroken, TimeoutError (of simulated time)."""
        end_s, paid = self.loop.now_s + WITHIN_S, self.watch.height
        while any(self.watch.tops.get(node.name, 0) < height for node in self.nodes):
            if self.loop.now_s > end_s:
                raise TimeoutError(", ".join(f"{node.name} {node.where}" for node in self.nodes))
            if self.watch.broken is not None:
                raise self.watch.broken
            if self.watch.height > paid:
                paid = self.watch.height
                self._pay()
            await asyncio.sleep(0.02)

    def _pay(self) -> None:
        """Somebody sends a block's worth of payments, each to another node."""
        for _ in range(self.payments):
            number, node = self._sent, self.nodes[self._sent % len(self.nodes)]
            sender, recipient = person(number % PEOPLE), person((number + 1) % PEOPLE)
            tx = build_tx(
                chain_id=CHAIN_ID, messages=(Payment(sender.address, recipient.address, 1),),
                seats=(Seat(sender, None, with_policy=True),), gas_price=GAS_PRICE,
                expiry_height=self.watch.height + EXPIRY_BLOCKS, memo=str(number),
            )  # fmt: skip
            self.watch.good.add(tx)
            self._sent += 1
            assert node.life is not None
            assert node.parts is not None
            self.loop.spawn(node.life, node.parts.pool.submit(tx))

    def counted(self) -> Counted:
        parts = [node.parts for node in self.nodes if node.parts is not None]
        gossips = [part.gossip.counters()["gossip"] for part in parts]
        return Counted(
            time.process_time(),
            sum(sent for part in parts for (way, _), sent in part.switch.traffic().items() if way == "out"),
            sum(one.votes_sent + one.parts_sent + one.steps_sent + one.announcements_sent for one in gossips),
            (sum(one.votes_received for one in gossips), sum(one.votes_duplicate for one in gossips)),
            (sum(one.parts_received for one in gossips), sum(one.parts_duplicate for one in gossips)),
        )


def key_of(place: int) -> Ed25519PrivKey:
    return Ed25519PrivKey.from_seed(sha256(b"regional validator %d" % place))


def _never(what: str) -> None:
    raise AssertionError(what)


def measure(validators: int, *, heights: int, payments: int = 0, peers: int = 0) -> dict[str, Any]:
    """Figures of so many blocks, by name (`COLUMNS` of benchmarks/regions.py says what they are).

    payments: sent for each block. peers: of each validator, on average; 0: all others. Raises LawBroken.
    """
    told: dict[str, Any] = {}

    async def main(loop: VirtualLoop) -> None:
        run = Run(loop, validators, peers, payments)
        told.update(await _figures(run, heights))

    virtual.run(main)
    return told | {"validators": validators, "peers": peers or validators - 1, "heights": heights}


async def _figures(run: Run, heights: int) -> dict[str, Any]:
    for node in run.nodes:
        node.life = Life(node.name)
        run.loop.spawn(node.life, node.boot())
    await run.reach(SETTLED)
    gc.collect()
    before, first = run.counted(), run.watch.height
    await run.reach(first + heights)
    after, watch = run.counted(), run.watch
    blocks = range(first + 1, first + heights + 1)
    finals = [at - watch.proposed[height][0] for height in blocks for at in watch.final[height].values()]
    last = [max(watch.final[height].values()) for height in blocks]
    limit = limit_ms(len(run.nodes))
    per_node = len(run.nodes) * heights
    return {
        "payments_a_block": round(statistics.fmean(watch.txs[height] for height in blocks)),
        "limit_ms": round(limit), "finality_ms": round(1_000 * statistics.fmean(finals)),
        "of_the_limit": round(1_000 * statistics.fmean(finals) / limit, 2),
        "p95_ms": round(1_000 * sorted(finals)[int(0.95 * len(finals))]),
        "interval_ms": round(1_000 * (last[-1] - last[0]) / max(1, heights - 1)),
        "rounds_above_0": sum(len(watch.proposed[height]) - 1 for height in blocks),
        "kib_sent": round((after.bytes_sent - before.bytes_sent) / per_node / 1_024, 1),
        "messages_sent": round((after.messages_sent - before.messages_sent) / per_node),
        "copies_per_vote": _copies(before.votes, after.votes), "copies_per_part": _copies(before.parts, after.parts),
        "cpu_ms": round(1_000 * (after.cpu_s - before.cpu_s) / per_node, 1),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024,
    }  # fmt: skip


def _copies(before: tuple[int, int], after: tuple[int, int]) -> float:
    """How often each arrived, on average: 1.0 is once."""
    received, copies = after[0] - before[0], after[1] - before[1]
    return round(received / max(1, received - copies), 2)
