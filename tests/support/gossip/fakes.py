"""A driver without signatures, disk or time-outs, so that tests see gossip alone.

It keeps real round state (HeightState) and follows the simplest script of honest validators: vote for the complete
proposal, precommit with a polka, decide with +2/3 precommits and the block. Nothing is verified but part proofs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from consensus.channels.extension import ExtensionReactor
from consensus.core.events import Step, VoteKind
from consensus.core.votes import HeightVotes, VoteSet
from consensus.engine.round_state import HeightState
from consensus.engine.votes import RoundVotes, counted_as, value_of, vote_for
from consensus.formats.errors import InvalidPart
from consensus.gossip.reactor import ConsensusReactor
from consensus.system.clock import Workers
from consensus.types.block import BlockBounds
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from consensus.types.parts import Part, PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Proposal, Vote
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from tests.support.gossip.network import FakeHost, FakeNetwork, ManualClock

BOUNDS = BlockBounds(1_048_576, 100)


def validators(count: int) -> ValidatorSet:
    return ValidatorSet.new((Ed25519PrivKey.from_seed(sha256(b"%d" % index)).pub_key, 10) for index in range(count))


@dataclass
class FakeBlocks:
    """Implements the part of interfaces.BlockStore that gossip uses."""

    saved: dict[int, tuple[BlockID, PartSet, Any]] = field(default_factory=dict)
    base: int = 1

    @property
    def height(self) -> int:
        return max(self.saved, default=0)

    def load_meta(self, height: int) -> Any:
        if height not in self.saved:
            return None
        block_id, parts, _ = self.saved[height]
        return SimpleNamespace(block_id=block_id, block_size=parts.byte_size)

    def load_part(self, height: int, index: int) -> Part | None:
        return self.saved[height][1].get(index) if height in self.saved else None

    def load_parts(self, height: int) -> PartSet | None:
        return self.saved[height][1] if height in self.saved else None

    def has_parts(self, height: int) -> bool:
        return height in self.saved

    def load_commit(self, height: int) -> Any:
        return self.saved[height][2] if height + 1 in self.saved else None

    def load_seen_commit(self, height: int) -> Any:
        return self.saved[height][2] if height in self.saved else None

    def load_extended_commit(self, height: int) -> Any:
        return None


class FakeDriver:
    """Implements interfaces.Driver."""

    def __init__(self, index: int, vals: ValidatorSet, *, block_bytes: int) -> None:
        self.index, self.vals, self.block_bytes = index, vals, block_bytes
        self.tally = HeightVotes(())
        self.round_state = HeightState(self.counted)
        self.state = SimpleNamespace(
            initial_height=1,
            params=SimpleNamespace(block_bytes_max=4_000_000),
            block_bytes_max=4_000_000,
            validators=vals,
        )
        self.blocks = FakeBlocks()
        self.listeners: list[Any] = []
        self.inbox_room = 1_000
        self.left: list[str] = []
        self.paused = False  # do not vote or decide
        self.later: list[tuple[str, Any]] = []  # of the next height
        self.claims: list[tuple[VoteKind, int, int, BlockID | None, str]] = []
        self.heights_max = 10**9

    def counted(self, kind: VoteKind, round: int) -> VoteSet:
        return self.tally.get(kind, round)

    def add_round_listener(self, listener: Any) -> None:
        self.listeners.append(listener)

    def add_saved_listener(self, listener: Any) -> None:
        assert listener in self.listeners, "gossip hears of both"

    def has_room(self, peer_id: str) -> bool:
        return self.inbox_room > 0

    def charge_peers(self, charges: Any) -> None:
        self.charges = charges

    def peer_left(self, peer_id: str) -> None:
        self.left.append(peer_id)

    def begin(self, height: int, last: RoundVotes | None = None) -> None:
        rs = self.round_state
        rs.start(height, self.vals, last, BOUNDS)
        self.tally = HeightVotes(self.vals.powers)
        self._tell("step_changed")
        rs.enter(0, Step.PROPOSE)
        self._tell("step_changed")
        later, self.later = self.later, []
        for name, arguments in later:
            getattr(self, name)(*arguments)
        if not self.paused and self.is_proposer and self.round_state.height == height:
            self.propose()

    @property
    def is_proposer(self) -> bool:
        return self.round_state.height % len(self.vals) == self.index and self.round_state.height <= self.heights_max

    def propose(self) -> None:
        rs = self.round_state
        parts = PartSet.from_bytes(random.Random(rs.height * 1_000 + rs.round).randbytes(self.block_bytes))
        block_id = BlockID(sha256(parts.to_bytes()), parts.header)
        rs.part_sets[parts.header], rs.block_ids[parts.header] = parts, [block_id]
        self.add_proposal(Proposal(rs.height, rs.round, -1, block_id, 0, b"s" * 64), "")

    def vote(self, kind: VoteKind, block_id: BlockID, round: int | None = None) -> None:
        rs = self.round_state
        round = rs.round if round is None else round
        address = self.vals[self.index].address
        self.add_vote(Vote(kind, rs.height, round, block_id, 5, address, self.index, b"s%d" % self.index), "")

    def enter(self, round: int, step: Step) -> None:
        self.round_state.enter(round, step)
        self._tell("step_changed")

    # ---------------------------------------------------------------------------------------------------- Driver

    def add_proposal(self, proposal: Proposal, peer_id: str) -> None:
        rs = self.round_state
        if proposal.height == rs.height + 1:
            self.later.append(("add_proposal", (proposal, peer_id)))
        if proposal.height != rs.height or proposal.round in rs.proposals:
            return
        rs.proposals[proposal.round] = proposal
        rs.open_parts(proposal.block_id, 10**7)
        self._tell("proposal_set", proposal)
        self._advance()

    def add_part(self, height: int, round: int, part: Part, peer_id: str) -> None:
        rs = self.round_state
        if height == rs.height + 1:
            self.later.append(("add_part", (height, round, part, peer_id)))
        if height != rs.height or rs.parts is None:
            return
        try:
            added = rs.parts.add(part)
        except InvalidPart:
            return
        if added:
            self._tell("part_added", height, round, part.index)
            self._advance()

    def add_vote(self, vote: Vote, peer_id: str, *, first: bool = True) -> None:
        rs = self.round_state
        if vote.height == rs.height + 1:
            self.later.append(("add_vote", (vote, peer_id)))
        if vote.height == rs.height - 1 and vote.type == PRECOMMIT and rs.last_commit is not None:
            if rs.last_commit.get(vote.validator_index) is None:
                rs.last_commit.add_late(vote)
                self._tell("vote_added", vote)
            return
        if vote.height != rs.height:
            return
        kind, value = VoteKind(vote.type), value_of(vote)
        if vote_for(self.counted(kind, vote.round), vote.validator_index, value) is None:
            self.tally.claim(kind, vote.round, str(value), value, vote.round)  # a liar's second vote counts
            self.tally.add(counted_as(vote, ""), vote.round)
            self._tell("vote_added", vote)
            self._advance()

    def add_peer_majority(
        self, kind: VoteKind, height: int, round: int, block_id: BlockID | None, peer_id: str
    ) -> None:
        self.claims.append((kind, height, round, block_id, peer_id))

    # ----------------------------------------------------------------------------------------------- the script

    def _tell(self, name: str, *arguments: Any) -> None:
        for listener in self.listeners:
            getattr(listener, name)(*arguments)

    def _held(self, kind: VoteKind) -> bool:
        votes = self.round_state.votes(kind, self.round_state.round)
        return votes is not None and votes.get(self.index) is not None

    def _advance(self) -> None:
        rs = self.round_state
        height = rs.height
        complete = rs.parts is not None and rs.parts.is_complete
        if not self.paused and complete and rs.proposal is not None and not self._held(VoteKind.PREVOTE):
            self.enter(rs.round, Step.PREVOTE)
            self.vote(VoteKind.PREVOTE, rs.proposal.block_id)
        prevotes = rs.votes(VoteKind.PREVOTE, rs.round)
        if (
            not self.paused
            and rs.height == height
            and prevotes is not None
            and prevotes.has_majority
            and not self._held(VoteKind.PRECOMMIT)
        ):
            self.enter(rs.round, Step.PRECOMMIT)
            self.vote(VoteKind.PRECOMMIT, prevotes.majority or NIL_BLOCK_ID)
        if rs.height == height:
            self._decide_if_ready()

    def _decide_if_ready(self) -> None:
        rs = self.round_state
        for round in range(rs.round + 3):
            precommits = rs.votes(VoteKind.PRECOMMIT, round)
            if precommits is None or not precommits.has_majority or precommits.majority is None:
                continue
            header = precommits.majority.part_set_header
            parts = rs.part_sets.get(header)
            if parts is not None and parts.is_complete:
                self._decide(precommits, precommits.majority, parts)
            elif rs.commit_header is None:
                rs.commit_header, rs.commit_round = header, round
                rs.open_parts(precommits.majority, 10**7)
                self._tell_opened(header)
                self.enter(rs.round, Step.COMMIT)
            return

    def _tell_opened(self, header: Any) -> None:
        for listener in self.listeners:
            listener.part_set_opened(header, is_commit=True)

    def _decide(self, precommits: RoundVotes, block_id: BlockID, parts: PartSet) -> None:
        height = self.round_state.height
        self.blocks.saved[height] = (block_id, parts, precommits.commit(height))
        self._tell("block_saved", SimpleNamespace(height=height))
        self.begin(height + 1, precommits)


class ConsensusNode:
    def __init__(
        self,
        host: FakeHost,
        clock: ManualClock,
        index: int,
        vals: ValidatorSet,
        *,
        ours: bool,
        block_bytes: int,
        workers: Workers | None = None,
    ) -> None:
        self.host, self.index = host, index
        self.driver = FakeDriver(index, vals, block_bytes=block_bytes)
        self.extension = ExtensionReactor(clock)
        self.reactor = ConsensusReactor(
            self.driver, self.driver.blocks, extension=self.extension, network=host, clock=clock,
            random=random.Random(index), workers=workers,
        )  # fmt: skip
        host.install(*([self.extension] if ours else []), self.reactor)

    @property
    def height(self) -> int:
        return self.driver.round_state.height


class ConsensusMesh:
    def __init__(
        self, count: int = 4, *, ours: int | None = None, block_bytes: int = 1_000, workers: Workers | None = None
    ) -> None:
        self.clock = ManualClock()
        self.network = FakeNetwork(self.clock)
        self.vals = validators(count)
        self.nodes = [
            ConsensusNode(
                self.network.host(f"{index:040x}"),
                self.clock,
                index,
                self.vals,
                ours=index < (count if ours is None else ours),
                block_bytes=block_bytes,
                workers=workers,
            )
            for index in range(count)
        ]

    def link(self, first: int, second: int) -> None:
        self.network.connect(self.nodes[first].host.id, self.nodes[second].host.id)

    def start(self, *indices: int, height: int = 1) -> None:
        """Begin a height at these nodes (default: all)."""
        for index in indices or range(len(self.nodes)):
            node = self.nodes[index]
            if node.height == 0:
                node.driver.begin(height)
            node.reactor.start()

    def run_to(self, height: int, *, seconds: float = 60, nodes: tuple[int, ...] | None = None) -> None:
        """Until the nodes have decided `height`; at most `seconds` of simulated time."""
        chosen = [self.nodes[index] for index in (nodes or range(len(self.nodes)))]
        for node in self.nodes:
            driver = node.driver
            driver.heights_max = height
            if node.height and driver.is_proposer and driver.round_state.proposal is None and not driver.paused:
                driver.propose()
        deadline = self.clock.monotonic_ns() + round(seconds * 10**9)
        while any(node.height <= height for node in chosen):
            due = self.clock.next_due_ns()
            assert due is not None, "nothing will happen any more"
            assert due <= deadline, [node.height for node in chosen]
            self.clock.fire_next(due)

    def total(self, counter: str) -> int:
        return sum(getattr(node.reactor.metrics, counter) for node in self.nodes)
