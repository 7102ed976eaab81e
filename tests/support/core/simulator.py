"""A network of consensus cores on a simulated clock and network, from one seed.

Until the global stabilisation time messages are late, lost, doubled and overtaken, partitions come and heal, correct
nodes crash and come back from what their write-ahead log had synced, validation may be slower than the time-outs, and
less than a third of the power lies (tests/support/core/attacker.py). After it messages arrive in time, and every
correct node must reach the last height. tests/support/core/laws.py judges all of it.

What stands for the engine here: signing with a last-signed record, a log of inputs (proposals, blocks, votes and
time-outs, as the wire's log has; answers and the mempool's signal are not in it), and gossip that knows what a peer
lacks. All chance comes from `random.Random(seed)`; no set is iterated.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from consensus.core.core import Core
from consensus.core.events import (
    BlockComplete,
    BlockValidated,
    BuildBlock,
    Built,
    CoreConfig,
    Decide,
    Effect,
    Elapsed,
    GatherBlock,
    Input,
    PeerMajority,
    Proposal,
    SetTimer,
    SignProposal,
    SignVote,
    StartHeight,
    Step,
    TxsAvailable,
    ValidateBlock,
    ValueId,
    Vote,
    VoteCounted,
    VoteKind,
)
from tests.support.core.laws import Judge, LawBroken, Watch

Message: TypeAlias = Proposal | BlockComplete | Vote | PeerMajority
CoreFactory: TypeAlias = Callable[[CoreConfig], Core]
VOTES_PER_PUSH_MAX = 40
KINDS = (VoteKind.PREVOTE, VoteKind.PRECOMMIT)


class SimulationFailed(AssertionError):
    """A run broke a law; the message says how to replay it."""


@dataclass(frozen=True, slots=True)
class SimValidators:
    """The validator set of a height: the proposer moves on by one with every height and round."""

    powers: tuple[int, ...]
    height: int

    def proposer(self, round: int) -> int:
        return (self.height + round) % len(self.powers)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed decides about its run. Times in simulated milliseconds."""

    seed: int
    powers: tuple[int, ...]
    faulty: frozenset[int]
    observers: int
    config: CoreConfig
    stable_ms: int  # the global stabilisation time: no fault begins after it
    loss: float
    duplication: float
    delay_ms: int
    validation_ms: int
    partition_every_ms: int
    crash_every_ms: int
    heights: int = 20
    limit_ms: int = 120_000

    @staticmethod
    def of(seed: int) -> Plan:
        rng = random.Random(seed)
        count = rng.choice((4, 4, 4, 5, 6, 7))
        powers = tuple(rng.choice((1, 1, 1_000)) if rng.random() < 0.5 else rng.randint(1, 9) for _ in range(count))
        if rng.random() < 0.6:
            powers = (10,) * count
        faulty: list[int] = []
        for index in rng.sample(range(count), count):
            if rng.random() < 0.8 and 3 * sum(powers[i] for i in [*faulty, index]) < sum(powers):
                faulty.append(index)
        interval_ms, empty = rng.choice(((0, True), (0, True), (0, True), (500, True), (500, False)))
        config = CoreConfig(
            timeout_propose_ms=200, timeout_propose_delta_ms=50,
            timeout_prevote_ms=80, timeout_prevote_delta_ms=40,
            timeout_precommit_ms=80, timeout_precommit_delta_ms=40,
            timeout_commit_ms=rng.choice((0, 20, 100)),
            create_empty_blocks=empty, create_empty_blocks_interval_ms=interval_ms,
        )  # fmt: skip
        return Plan(
            seed, powers, frozenset(faulty), rng.choice((0, 0, 1)), config,
            stable_ms=rng.randint(0, 20_000), loss=rng.choice((0.0, 0.05, 0.25)), duplication=rng.choice((0.0, 0.1)),
            delay_ms=rng.choice((20, 120, 500)), validation_ms=rng.choice((0, 10, 400)),
            partition_every_ms=rng.choice((1_000, 4_000, 10**9)), crash_every_ms=rng.choice((700, 3_000, 10**9)),
        )  # fmt: skip


@dataclass(slots=True)
class Disk:
    """What a node finds again after a crash."""

    height: int = 1  # the height at work
    chain: dict[int, tuple[ValueId, tuple[Vote, ...]]] = field(default_factory=dict)  # decided, with its precommits
    log: list[Input] = field(default_factory=list)  # of the height at work
    synced: int = 0  # so many of its entries survive for certain
    last_signed: tuple[int, int, int] = (0, -1, 0)  # height, round; 1 proposal, 2 prevote, 3 precommit
    last_value: tuple[ValueId | None, int] = (None, -1)  # with the pol_round of a proposal
    last_vote: Vote | None = None  # what the signer's record holds of the last vote, signature and all


class Node:
    """A correct node: a core, and the least of an engine around it."""

    def __init__(self, net: Network, place: int, index: int | None) -> None:
        self.net, self.place, self.index = net, place, index
        self.name = f"n{place}"
        self.disk = Disk()
        self.life = 0  # counts starts: what was asked for before a crash is not answered after it
        self.up = False
        self.txs_waiting = False
        self.core = net.make_core(net.plan.config)

    # -------------------------------------------------------------------------------------------- life

    def start(self) -> None:
        """Start, or come back: replay the log of the height at work as far as it survived."""
        self.up, self.life = True, self.life + 1
        self.core = self.net.make_core(self.net.plan.config)
        self.watch = Watch(self.name, self.net.judge)
        self.replaying = True
        self.unbuilt: BuildBlock | None = None
        self._queue: deque[Input] = deque()
        self._clear()
        rng, disk = self.net.rng, self.disk
        kept: list[Input] = disk.log[: rng.randint(disk.synced, len(disk.log))]
        disk.log, disk.synced = list(kept), len(kept)
        life = self.life
        self._begin(wait_ms=rng.choice((None, 0, 10)))
        # Our own votes first. The last may have been signed and not logged, so it is logged now: without it we could
        # never vote in that round again, and where every correct vote counts nobody would ever leave it. And a
        # precommit tells which vote of an equivocator made its polka: claims of peers are not in the log.
        ours = [event for event in kept if isinstance(event, Vote) and not event.peer_id]
        last = disk.last_vote
        if last is not None and last.height == disk.height and last not in ours:
            ours.append(last)
            disk.log.append(last)
            disk.synced = len(disk.log)
        kept = [*ours, *kept]
        for event in kept:
            if self.life == life and self.up and event.height == disk.height:
                self.take(event)
        if self.life == life and self.up:
            self.replaying = False
            self._build_again()
            if self.txs_waiting:
                self.take(TxsAvailable(disk.height))

    def crash(self) -> None:
        self.up = False
        self._queue.clear()

    def _clear(self) -> None:
        self.votes: dict[tuple[VoteKind, int, ValueId | None], dict[int, Vote]] = {}
        self.blocks: dict[ValueId, None] = {}
        self.wanted: dict[ValueId, None] = {}

    def _begin(self, wait_ms: int | None) -> None:
        height = self.disk.height
        validators = SimValidators(self.net.plan.powers, height)
        self.take(StartHeight(height, validators, self.index, needs_proof_block=height == 1, commit_wait_ms=wait_ms))

    def _next_height(self, height: int) -> None:
        """After the wait for late precommits: they are in the commit that we serve."""
        if self.disk.height != height:
            return
        round, value = self.core.commit_round, self.core.commit_value
        votes = tuple(self.votes[VoteKind.PRECOMMIT, round, value].values())
        self.disk.chain[height] = (value, votes)
        self.disk.height, self.disk.log, self.disk.synced = height + 1, [], 0
        self._clear()
        self._begin(wait_ms=None)
        if self.txs_waiting:
            self.take(TxsAvailable(height + 1))

    def _build_again(self) -> None:
        """A BuildBlock of the replay was not answered: answer it now, if it still matters."""
        asked, core = self.unbuilt, self.core
        if asked is not None and (core.round, core.step) == (asked.round, Step.PROPOSE):
            self._carry_out(asked)

    # -------------------------------------------------------------------------------------------- inputs

    def take(self, event: Input) -> None:
        """Log the input, give it to the core, carry out what it asks for; then what that gave, in order."""
        self._queue.append(event)
        if len(self._queue) > 1:
            return
        life = self.life
        while self._queue and self.up and self.life == life:
            event = self._queue[0]
            is_logged = isinstance(event, Proposal | BlockComplete | Vote | Elapsed)
            if is_logged and not self.replaying and event.height == self.disk.height:
                self.disk.log.append(event)
            self.net.note(self.name, event)
            for effect in self.core.handle(event):
                if not self.up or self.life != life:
                    return
                self.net.note(self.name, effect)
                self.watch.see(effect)
                self._carry_out(effect)
            if self._queue and self.life == life:
                self._queue.popleft()

    def receive(self, message: Message) -> None:
        if not self.up or message.height != self.disk.height:
            return
        if isinstance(message, BlockComplete):
            self.blocks[message.value_id] = None
        if isinstance(message, Proposal):
            self.wanted[message.value_id] = None
        self.take(message)

    def _carry_out(self, effect: Effect) -> None:
        net, life = self.net, self.life
        match effect:
            case SetTimer():
                event = Elapsed(effect.step, effect.height, effect.round)
                net.after(effect.after_ms, lambda: self._answer(life, event))
            case BuildBlock():
                if self.replaying:
                    self.unbuilt = effect
                else:
                    value = net.new_value(self.name, effect.height, valid=True)
                    net.after(
                        net.rng.randint(0, 20), lambda: self._answer(life, Built(effect.height, effect.round, value))
                    )
            case ValidateBlock():
                answer = BlockValidated(effect.height, effect.value_id, net.judge.valid[effect.value_id])
                if self.replaying:
                    self._queue.insert(1, answer)  # before the next input of the log
                else:
                    net.after(net.validation_ms(), lambda: self._answer(life, answer))
            case GatherBlock():
                self.wanted[effect.value_id] = None
                self.blocks.pop(effect.value_id, None)  # of a round long past: the core forgot it
            case VoteCounted(vote):
                self.votes.setdefault((vote.kind, vote.round, vote.value_id), {})[vote.validator_index] = vote
            case SignProposal():
                self._sign_proposal(effect)
            case SignVote():
                self._sign_vote(effect)
            case Decide():
                net.judge.decided(self.name, effect.height, effect.round, effect.value_id)
                net.after(
                    net.rng.choice((0, 10, 50)), lambda: self._live(life, lambda: self._next_height(effect.height))
                )

    def _answer(self, life: int, event: Input) -> None:
        self._live(life, lambda: self.take(event))

    def _live(self, life: int, action: Callable[[], None]) -> None:
        if self.up and self.life == life:
            action()

    # -------------------------------------------------------------------------------------------- signing

    def _may_sign(self, at: tuple[int, int, int], value: tuple[ValueId | None, int]) -> bool:
        """The signer's rule: never below, and the same again only for the same value."""
        disk = self.disk
        if at < disk.last_signed or (at == disk.last_signed and value != disk.last_value):
            return False
        disk.synced = len(disk.log)  # all that led here is on disk
        disk.last_signed, disk.last_value = at, value
        return True

    def _sign_vote(self, effect: SignVote) -> None:
        at = (effect.height, effect.round, 2 if effect.kind is VoteKind.PREVOTE else 3)
        if not self._may_sign(at, (effect.value_id, -1)):
            return
        assert self.index is not None
        vote = self.disk.last_vote = Vote(effect.kind, effect.height, effect.round, effect.value_id, self.index)
        self.net.judge.signed(vote)
        if self.net.strikes(self):
            return  # signed, and in no log
        self._publish(vote)

    def _sign_proposal(self, effect: SignProposal) -> None:
        at = (effect.height, effect.round, 1)
        if not self._may_sign(at, (effect.value_id, effect.pol_round)) or self.net.strikes(self):
            return
        self.blocks[effect.value_id] = None
        self.wanted[effect.value_id] = None
        block = BlockComplete(effect.height, effect.value_id)
        self._publish(Proposal(effect.height, effect.round, effect.value_id, effect.pol_round))
        if self.up:
            self._publish(block)

    def _publish(self, message: Message) -> None:
        self._queue.append(message)
        self.disk.log.append(message)  # before it leaves the process; the core's turn logs it once more
        self.disk.synced = len(self.disk.log)
        if not self.net.strikes(self):
            self.net.broadcast(self.place, message)

    # -------------------------------------------------------------------------------------------- gossip

    def push_to(self, peer: Node) -> None:
        """Send what the peer lacks. It is read off the peer here; in life its announcements tell."""
        ours, theirs = self.disk.height, peer.disk.height
        if theirs < ours:
            value, votes = self.disk.chain[theirs]
            lacked = ~peer.core.votes(VoteKind.PRECOMMIT, votes[0].round).bitmap_for(value)
            # the peer may have counted an equivocator's other vote: it must hear of the majority first
            claim = PeerMajority(VoteKind.PRECOMMIT, theirs, votes[0].round, value, self.name)
            self.net.send(self.place, peer.place, claim)
            for vote in votes:
                if lacked >> vote.validator_index & 1:
                    self._send_vote(peer, vote)
            if value in peer.wanted and value not in peer.blocks:
                self.net.send(self.place, peer.place, BlockComplete(theirs, value))
        elif theirs == ours:
            self._push_height(peer)

    def _push_height(self, peer: Node) -> None:
        proposal = self.core.proposal(peer.core.round)
        if proposal is not None and peer.core.proposal(peer.core.round) is None:
            self.net.send(self.place, peer.place, proposal)
        for value in self.blocks:
            if value in peer.wanted and value not in peer.blocks:
                self.net.send(self.place, peer.place, BlockComplete(self.disk.height, value))
        budget = VOTES_PER_PUSH_MAX
        for round in self.core.rounds:
            for kind in KINDS:
                budget -= self._push_set(peer, kind, round, budget)

    def _push_set(self, peer: Node, kind: VoteKind, round: int, budget: int) -> int:
        ours, theirs = self.core.votes(kind, round), peer.core.votes(kind, round)
        lacked = ours.bitmap & ~theirs.bitmap
        votes = [vote for vote in ours.by_validator.values() if lacked >> vote.validator_index & 1]
        if ours.has_majority and not theirs.has_majority:
            # the peer may hold an equivocator's other vote: it must hear of the majority first
            claim = PeerMajority(kind, self.disk.height, round, ours.majority, self.name)
            self.net.send(self.place, peer.place, claim)
            more = ours.bitmap_for(ours.majority) & ~theirs.bitmap_for(ours.majority) & ~lacked
            votes += [v for i, v in self.votes[kind, round, ours.majority].items() if more >> i & 1]
        for vote in votes[: max(budget, 0)]:
            self._send_vote(peer, vote)
        return len(votes)

    def _send_vote(self, peer: Node, vote: Vote) -> None:
        self.net.send(self.place, peer.place, vote)


class Network:
    """One run: the clock, the wires, the faults."""

    def __init__(self, plan: Plan, make_core: CoreFactory = Core) -> None:
        from tests.support.core.attacker import Attacker  # it needs our types

        self.plan, self.make_core = plan, make_core
        self.rng = random.Random(plan.seed ^ 0x5EED)
        self.judge = Judge(plan.powers, plan.faulty)
        self.now_ms = 0
        self.events = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._sides: list[int] = []  # by place: who is on another side is out of reach
        self._trace: deque[tuple[int, str, object]] = deque(maxlen=60)
        count = len(plan.powers)
        self.attackers = {i: Attacker(self, i) for i in sorted(plan.faulty)}
        self.nodes = [Node(self, i, i) for i in range(count) if i not in plan.faulty]
        self.nodes += [Node(self, count + i, None) for i in range(plan.observers)]
        self._by_place = {node.place: node for node in self.nodes}
        self._values = 0

    # -------------------------------------------------------------------------------------------- clock

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.events += 1
        heapq.heappush(self._due, (self.now_ms + delay_ms, self.events, action))

    @property
    def is_stable(self) -> bool:
        return self.now_ms >= self.plan.stable_ms

    def run(self) -> None:
        """Run to the last height or the limit. Raises: SimulationFailed."""
        try:
            self._run()
        except (LawBroken, AssertionError) as error:
            trace = "\n".join(f"  {at:>6} {who} {what}" for at, who, what in self._trace)
            raise SimulationFailed(
                f"{type(error).__name__} {error}\nat {self.now_ms} ms of {self.plan}\n{trace}\n"
                f"replay: scripts/simulate --start {self.plan.seed} --seeds 1"
            ) from error

    def _run(self) -> None:
        for node in self.nodes:
            self.after(self.rng.randint(0, 200), node.start)
            self.after(self.rng.randint(0, 100), lambda node=node: self._gossip(node))  # type: ignore[misc]
        self.after(0, self._partition)
        self.after(self.rng.randint(1, self.plan.crash_every_ms), self._crash_someone)
        self.after(0, self._transaction)
        for attacker in self.attackers.values():
            self.after(self.rng.randint(0, 300), attacker.wander)
        while self._due and self.now_ms <= self.plan.limit_ms and not self._is_done():
            self.now_ms, _, action = heapq.heappop(self._due)
            action()
        if not self._is_done():
            at = {node.name: (node.core.height, node.core.round, node.core.step.name) for node in self.nodes}
            raise LawBroken("progress", f"not every correct node passed height {self.plan.heights}: {at}")

    def _is_done(self) -> bool:
        return all(node.disk.height > self.plan.heights for node in self.nodes)

    def note(self, who: str, what: object) -> None:
        self._trace.append((self.now_ms, who, what))

    # -------------------------------------------------------------------------------------------- wires

    def send(self, source: int, target: int, message: Message, extra_ms: int = 0) -> None:
        """Hand over later, perhaps never or twice. A vote and a claim carry the name of who sends them."""
        plan, rng, copies = self.plan, self.rng, 1
        longest_ms = 15
        if not self.is_stable:
            if self._is_cut(source, target) or rng.random() < plan.loss:
                return
            copies = 2 if rng.random() < plan.duplication else 1
            longest_ms = plan.delay_ms * (8 if rng.random() < 0.05 else 1)
        if isinstance(message, Vote | PeerMajority):
            message = replace(message, peer_id=f"n{source}")
        for _ in range(copies):
            self.after(extra_ms + rng.randint(1, longest_ms), lambda: self._deliver(target, message))

    def broadcast(self, source: int, message: Message) -> None:
        for node in self.nodes:
            if node.place != source:
                self.send(source, node.place, message)
        for index in self.attackers:
            self.send(source, index, message)

    def _deliver(self, target: int, message: Message) -> None:
        if target in self.attackers:
            self.attackers[target].hear(message)
        else:
            self._by_place[target].receive(message)

    def _is_cut(self, source: int, target: int) -> bool:
        return bool(self._sides) and self._sides[source] != self._sides[target]

    def _gossip(self, node: Node) -> None:
        if node.up:
            for peer in self.nodes:
                if peer is not node and peer.up and (self.is_stable or not self._is_cut(node.place, peer.place)):
                    node.push_to(peer)
        self.after(self.rng.randint(60, 140), lambda: self._gossip(node))

    # -------------------------------------------------------------------------------------------- faults

    def _partition(self) -> None:
        """Cut the network in two, or heal it."""
        if self.is_stable:
            self._sides = []
            return
        places = len(self.plan.powers) + self.plan.observers
        self._sides = [] if self._sides else [self.rng.randint(0, 1) for _ in range(places)]
        if self.plan.partition_every_ms > self.plan.limit_ms:
            self._sides = []
        self.after(self.rng.randint(100, self.plan.partition_every_ms), self._partition)

    def _crash_someone(self) -> None:
        if not self.is_stable:
            self._fell(self.rng.choice(self.nodes))
            self.after(self.rng.randint(1, self.plan.crash_every_ms), self._crash_someone)

    def _fell(self, node: Node) -> None:
        if node.up:
            self.note(node.name, "crashed")
            node.crash()
            self.after(self.rng.randint(1, 3_000), node.start)

    def strikes(self, node: Node) -> bool:
        """Crash a node in the middle of carrying out an effect, now and then."""
        if (
            node.up
            and not self.is_stable
            and self.plan.crash_every_ms < self.plan.limit_ms
            and self.rng.random() < 0.01
        ):
            self._fell(node)
        return not node.up

    def validation_ms(self) -> int:
        return self.rng.randint(0, 5 if self.is_stable else self.plan.validation_ms)

    # -------------------------------------------------------------------------------------------- load

    def new_value(self, maker: str, height: int, *, valid: bool) -> ValueId:
        self._values += 1
        value = f"{height}/{maker}/{self._values}" + ("" if valid else "/bad")
        self.judge.made(value, height, valid=valid)
        return value

    def _transaction(self) -> None:
        """A transaction reaches every node's mempool; a node's is empty again when it has seen a new height."""
        for node in self.nodes:
            self.after(self.rng.randint(0, 50), lambda node=node: self._arrive(node))  # type: ignore[misc]
        self.after(self.rng.randint(50, 600), self._transaction)

    def _arrive(self, node: Node) -> None:
        node.txs_waiting = self.rng.random() < 0.7
        if node.up and node.txs_waiting and not node.replaying:
            node.take(TxsAvailable(node.disk.height))


def simulate(seed: int, make_core: CoreFactory = Core) -> Network:
    """Run one seed to its end. Raises: SimulationFailed."""
    network = Network(Plan.of(seed), make_core)
    network.run()
    return network
