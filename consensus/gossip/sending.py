"""Sending: whatever a peer lacks is pushed to it as soon as it is known to lack it, and its queues have room.

Nothing polls. `push` is called when something changed (here, at the peer, or in a queue); it sends what may be sent
now, and plans the one timer of the peer for what must wait. What waits is what others are about to send:

- What nobody else is known to hold goes to everybody at once. A proposer's parts go to each peer from another part
  on, so that peers soon hold different ones.
- What peer S sent is S's to pass on to the peers that S is connected to; there we wait for LATE, and for as long as
  such a peer's own word may be on its way, and are nearly always overtaken by it. Towards peers that S does not know
  it waits 5 to 20 ms.
- A height that was decided a moment ago is on its way to those who are still in it.

Who is still in it, of ours, is sent what is new of the next one: it keeps that until it is there. Else what is made
here would wait for a round trip, for the peer's word that it is there.

So in a full mesh of ours, each part and vote travels once to each node; see `extension`.
Source: docs/decisions/0004; CometBFT v0.38, consensus/reactor.go; known failure 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from consensus.channels.extension import ExtensionReactor
from consensus.channels.peer_messages import (
    DATA_CHANNEL,
    VOTE_CHANNEL,
    BlockPart,
    ProposalMessage,
    ProposalPol,
    VoteMessage,
)
from consensus.core.events import VoteKind
from consensus.engine.interfaces import RoundState, VoteView
from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.gossip.old_blocks import OldBlocks
from consensus.gossip.peer_state import PeerState, VoteSetKey
from consensus.stores.interfaces import BlockStore
from consensus.system.clock import Clock
from consensus.types.block import BlockMeta
from consensus.types.commits import votes_from_commit, votes_from_extended_commit
from consensus.types.ids import BlockID
from consensus.types.parts import Part, PartSet
from consensus.types.vote import Proposal, Vote
from crypto.hash import sha256
from crypto.keys import SIGNATURE_BYTES

RELAY_MIN_NS: Final = 5 * NS_PER_MS  # 5 to 20 ms: docs/decisions/0004
RELAY_SPREAD_NS: Final = 15 * NS_PER_MS
LATE_VOTE_NS: Final = 100 * NS_PER_MS  # below the shortest time-out of --fast, above what a busy peer needs to answer
LATE_PART_NS: Final = 200 * NS_PER_MS  # parts are large: rather late than twice
# On top of a round trip and three quarters. S reaches the peer at most one way to it later than us (else it would do
# so through us), the peer says so after half a round trip and ANNOUNCE_LATER, and that comes one way back; a quarter
# is spare.
WORD_NS: Final = 60 * NS_PER_MS
FARTHER_NS: Final = 20 * NS_PER_MS  # more than a distance in one place varies by
WORD_NS_MAX: Final = NS_PER_S  # who answers pings later than this gets everything from everybody
DECIDED_HOLD_NS: Final = 150 * NS_PER_MS  # the others decide a height within this, or need help
WIRE_NEW_HEIGHT: Final = 1
WIRE_NEW_ROUND: Final = 2  # where ours wait for something to propose
WIRE_COMMIT: Final = 8
CATCH_UP_CACHE_HEIGHTS: Final = 8
CUT_INLINE_BYTES_MAX: Final = 262_144  # of an old block: cut in 1 ms; a larger one in a thread
LOOK_AGAIN_NS: Final = 100 * NS_PER_MS  # for room in the queue of who waits for the parts of a larger one
DISK_NS: Final = NS_PER_MS // 2  # charged for a height that is not at hand: waiting for a disk is no work that shows
OLD_HEIGHT_EVERY_NS: Final = 5 * NS_PER_MS  # a peer's heights are read from disk: as fast as it takes them over
NEVER_NS: Final = 1 << 62
ARRIVALS_MAX: Final = 65_536  # of each kind and height: peers can send false ones without end


T = TypeVar("T")


class Random(Protocol):
    """The node's own generator: `randrange` of random.Random."""

    def randrange(self, stop: int, /) -> int: ...


@dataclass(slots=True)
class GossipMetrics:
    """Plain counters. A part or vote is a duplicate when it was held already as it came; unlike: of those, from and to
    peers that are not of our own kind (CometBFT's)."""

    parts_received: int = 0
    parts_duplicate: int = 0
    votes_received: int = 0
    votes_duplicate: int = 0
    proposals_received: int = 0
    proposals_duplicate: int = 0
    parts_sent: int = 0
    votes_sent: int = 0
    votes_relayed: int = 0  # of those sent: made by others
    parts_relayed: int = 0
    announcements_sent: int = 0
    steps_sent: int = 0
    catch_up_votes_sent: int = 0
    catch_up_parts_sent: int = 0
    parts_received_unlike: int = 0
    parts_duplicate_unlike: int = 0
    parts_sent_unlike: int = 0
    votes_received_unlike: int = 0
    votes_duplicate_unlike: int = 0
    votes_sent_unlike: int = 0
    inbox_full: int = 0  # messages of peers that were not taken


@dataclass(frozen=True, slots=True)
class Arrival:
    """From whom something came, and when; it may be passed on to a peer at due_ns, to a neighbour of the source at
    late_ns, if not the neighbour's own word may still be on its way then.
    """

    source: str
    came_ns: int
    due_ns: int
    late_ns: int


@dataclass(frozen=True, slots=True)
class _OldHeight:
    """A stored height, as peers that are in it need it. votes: a slot per validator, in set order."""

    meta: BlockMeta
    round: int
    votes: Sequence[Vote | None]
    mask: int

    def mask_for(self, block_id: BlockID) -> int:
        """Who voted for this block; for nil, where it is zero."""
        return sum(1 << i for i, vote in enumerate(self.votes) if vote is not None and vote.block_id == block_id)


class Gossip:
    """Owned by the reactor, which says when to push."""

    def __init__(
        self,
        round_state: RoundState,
        blocks: BlockStore,
        *,
        extension: ExtensionReactor,
        clock: Clock,
        random: Random,
        metrics: GossipMetrics,
        old_blocks: OldBlocks,
    ) -> None:
        self._rs, self._blocks, self._extension = round_state, blocks, extension
        self._old_blocks = old_blocks
        self._clock, self._random, self._metrics = clock, random, metrics
        # (height, kind, round, index) -> (the signature's end, its arrival)
        self._vote_arrivals: dict[tuple[int, int, int, int], tuple[bytes, Arrival]] = {}
        self._part_arrivals: dict[tuple[int, int, bytes], Arrival] = {}  # height, index, leaf hash
        self._proposal_arrivals: dict[tuple[int, int], Arrival] = {}
        self._decided: dict[int, int] = {}  # height -> when
        # height, round, index, leaf hash -> encoded. Two parts may have equal bytes, and so equal leaf hashes.
        self._part_messages: dict[tuple[int, int, int, bytes], bytes] = {}
        self._told: tuple[Vote | Proposal | None, bytes] = (None, b"")  # the last vote or proposal, encoded: all get it
        self._old_heights: OrderedDict[int, _OldHeight] = OrderedDict()
        self._due_ns = NEVER_NS  # while pushing: the earliest of what had to wait

    # ----------------------------------------------------------------------------------------------- arrivals

    def _arrival(self, source: str, late_after_ns: int) -> Arrival:
        now, jitter = self._clock.monotonic_ns(), self._random.randrange(RELAY_SPREAD_NS)
        return Arrival(source, now, now + RELAY_MIN_NS + jitter, now + late_after_ns + jitter)

    def vote_came(self, vote: Vote, source: str) -> None:
        key = (vote.height, vote.type, vote.round, vote.validator_index)
        if key not in self._vote_arrivals and len(self._vote_arrivals) < ARRIVALS_MAX:
            self._vote_arrivals[key] = (_mark_of(vote.signature), self._arrival(source, LATE_VOTE_NS))

    def part_came(self, height: int, part: Part, source: str) -> None:
        key = (height, part.index, part.proof.leaf_hash)
        if key not in self._part_arrivals and len(self._part_arrivals) < ARRIVALS_MAX:
            self._part_arrivals[key] = self._arrival(source, LATE_PART_NS)

    def proposal_came(self, proposal: Proposal, source: str) -> None:
        key = (proposal.height, proposal.round)
        if key not in self._proposal_arrivals and len(self._proposal_arrivals) < ARRIVALS_MAX:
            self._proposal_arrivals[key] = self._arrival(source, LATE_VOTE_NS)

    def vote_arrival(self, vote: Vote) -> Arrival | None:
        """None: no peer sent it; or one sent another in its place, and then both should be known everywhere."""
        found = self._vote_arrivals.get((vote.height, vote.type, vote.round, vote.validator_index))
        return found[1] if found is not None and found[0] == _mark_of(vote.signature) else None

    def part_arrival(self, height: int, part: Part) -> Arrival | None:
        return self._part_arrivals.get((height, part.index, part.proof.leaf_hash))

    def relay_ns(self, arrival: Arrival, state: PeerState) -> int:
        """When what came so may be passed on to this peer."""
        if arrival.source == state.peer.id:
            return arrival.late_ns  # it has it; if it says later that it lacks it, it forgot it or began anew
        late = state.is_ours and self._extension.are_neighbours(arrival.source, state.peer.id)
        if not late:
            return arrival.due_ns
        return max(arrival.late_ns, arrival.came_ns + state.word_ns, state.told_ns)

    def peer_entered(self, state: PeerState) -> None:
        """It said that it is in another height; what came for that before, it tells of now."""
        round_trip_ns = int(state.peer.round_trip_s * NS_PER_S)
        word_ns = min(round_trip_ns * 7 // 4 + WORD_NS, WORD_NS_MAX)
        if 0 < state.word_ns < word_ns - FARTHER_NS:
            state.distance_changed(self._rs.height)
        state.word_ns = word_ns
        state.told_ns = self._clock.monotonic_ns() + WORD_NS

    def height_decided(self, height: int) -> None:
        """`height` is saved; what came for heights before it is forgotten."""
        self._decided[height] = self._clock.monotonic_ns()
        self._decided = {known: when for known, when in self._decided.items() if known > height - 16}
        self._vote_arrivals = {key: value for key, value in self._vote_arrivals.items() if key[0] >= height}
        self._proposal_arrivals = {key: value for key, value in self._proposal_arrivals.items() if key[0] > height}
        self._part_arrivals = {key: value for key, value in self._part_arrivals.items() if key[0] > height}
        self._part_messages.clear()

    def round_begun(self) -> None:
        """Encoded parts name their round; those of rounds before would fill memory while a height takes long."""
        self._part_messages.clear()

    def _may_go(self, arrival: Arrival | None, state: PeerState) -> bool:
        """Whether it may be sent to this peer now; if not, remember when."""
        if arrival is None:
            return True
        due = self.relay_ns(arrival, state)
        if due <= self._clock.monotonic_ns():
            return True
        self._due_ns = min(self._due_ns, due)
        return False

    # ------------------------------------------------------------------------------------------------- pushing

    def push(self, state: PeerState) -> int:
        """Send what the peer lacks and may have now. Returns when to push again (NEVER_NS: not by time)."""
        self._due_ns = NEVER_NS
        height = self._rs.height
        if state.height == height:
            self._push_proposal(state)
            self._push_parts(state, self._rs.parts)
            self._push_votes(state)
        elif 0 < state.height < height:
            if state.is_ours and state.height == height - 1 and self._was_decided_lately(state):
                self._push_ahead(state)
            self._push_old_height(state)
        return self._due_ns

    def _push_ahead(self, state: PeerState) -> None:
        """Of the first round, to a peer that is about to enter this height. What its other neighbours bring it, it will
        say only when it is there, so it is not sent by us before.
        """
        rs = self._rs
        proposal, parts = rs.proposal, rs.parts
        if rs.round:
            return
        if proposal is not None and parts is not None and parts.header == proposal.block_id.part_set_header:
            if not state.has_ahead(proposal):
                if not self._may_go_ahead(self._proposal_arrivals.get((rs.height, 0)), state):
                    return
                if not state.peer.try_send(DATA_CHANNEL, self._message(proposal)):
                    return
                state.sent_ahead(proposal)
            for index in self._in_turn(state, parts.mask & ~state.ahead_mask, parts.header.total):
                part = parts.get(index)
                assert part is not None, index  # its bit is set
                if self._may_go_ahead(self.part_arrival(rs.height, part), state):
                    if not state.peer.try_send(DATA_CHANNEL, self._part_message(rs.height, 0, part)):
                        return
                    state.add_ahead(index)
                    self._metrics.parts_sent += 1
        for kind in (VoteKind.PREVOTE, VoteKind.PRECOMMIT):
            votes = rs.votes(kind, 0)
            if votes is not None and not self._send_votes(
                state, (rs.height, kind, 0), votes, may_go=self._may_go_ahead
            ):
                return

    def _may_go_ahead(self, arrival: Arrival | None, state: PeerState) -> bool:
        if arrival is not None and (
            arrival.source == state.peer.id or self._extension.are_neighbours(arrival.source, state.peer.id)
        ):
            return False
        return self._may_go(arrival, state)

    def _was_decided_lately(self, state: PeerState) -> bool:
        """The peer's height: then it is on its way out of it."""
        decided = self._decided.get(state.height)
        return decided is not None and self._clock.monotonic_ns() < decided + max(DECIDED_HOLD_NS, state.word_ns)

    def _push_proposal(self, state: PeerState) -> None:
        proposal = self._rs.proposal
        if proposal is None or state.has_ours or proposal.round != state.round:
            return
        # Who said another one is told of ours at once: else it takes us for one that gathers what it does.
        if not state.holds_other(proposal):
            arrival = self._proposal_arrivals.get((proposal.height, proposal.round))
            if state.said is not None or not self._may_go(arrival, state):
                return
        if not state.peer.try_send(DATA_CHANNEL, self._message(proposal)):
            return
        state.sent_proposal(proposal)
        if proposal.pol_round >= 0:
            votes = self._rs.votes(VoteKind.PREVOTE, proposal.pol_round)
            if votes is not None and votes.size:
                state.peer.try_send(DATA_CHANNEL, ProposalPol(proposal.height, proposal.pol_round, votes.bits).encode())

    def _push_parts(self, state: PeerState, parts: PartSet | None) -> None:
        if parts is None or state.header != parts.header:
            return
        for index in self._in_turn(state, parts.mask & ~state.parts_mask, parts.header.total):
            part = parts.get(index)
            assert part is not None, index  # its bit is set
            arrival = self.part_arrival(self._rs.height, part)
            if not self._may_go(arrival, state):
                continue
            if not self._send_part(state, self._rs.height, self._rs.round, part):
                return
            self._metrics.parts_relayed += arrival is not None

    @staticmethod
    def _in_turn(state: PeerState, missing: int, total: int) -> Iterator[int]:
        """The parts of a mask, with another beginning for each peer."""
        start = state.number * max(1, total // 4) % total
        for offset in range(total if missing else 0):
            index = (start + offset) % total
            if missing >> index & 1:
                yield index

    def _part_message(self, height: int, round: int, part: Part) -> bytes:
        key = (height, round, part.index, part.proof.leaf_hash)
        message = self._part_messages.get(key)
        if message is None:
            message = BlockPart(height, round, part).encode()
            if height == self._rs.height:
                self._part_messages[key] = message
        return message

    def _send_part(self, state: PeerState, height: int, round: int, part: Part) -> bool:
        if not state.peer.try_send(DATA_CHANNEL, self._part_message(height, round, part)):
            return False
        assert state.header is not None, "parts go to those who gather them"
        state.add_part(state.header, part.index)
        self._metrics.parts_sent += 1
        self._metrics.parts_sent_unlike += not state.is_ours
        return True

    def _push_votes(self, state: PeerState) -> None:
        """Stock peers take votes of their round and of its proposal's polka; ours of every round. The last height's
        are of use until the commit is proposed; stock peers take them at the height's begin alone."""
        rs = self._rs
        if state.step <= (WIRE_NEW_ROUND if state.is_ours else WIRE_NEW_HEIGHT) and rs.last_commit is not None:
            key = (rs.height - 1, VoteKind.PRECOMMIT, rs.last_commit_round)
            if not self._send_votes(state, key, rs.last_commit):
                return
        rounds = {state.round, state.pol_round, rs.commit_round}
        if state.is_ours:
            rounds.add(rs.round)
        for round in sorted(rounds):
            if round < 0:
                continue
            for kind in (VoteKind.PREVOTE, VoteKind.PRECOMMIT):
                votes = rs.votes(kind, round)
                if votes is not None and not self._send_votes(state, (rs.height, kind, round), votes):
                    return

    def _send_votes(
        self,
        state: PeerState,
        key: VoteSetKey,
        votes: VoteView,
        *,
        may_go: Callable[[Arrival | None, PeerState], bool] | None = None,
    ) -> bool:
        """False: the queue is full."""
        may_go = may_go or self._may_go
        missing = votes.mask & ~state.votes(key)
        while missing:
            bit = missing & -missing
            missing ^= bit
            index = bit.bit_length() - 1
            vote = votes.get(index)
            assert vote is not None, (key, index)  # its bit is set
            arrival = self.vote_arrival(vote)
            if not may_go(arrival, state):
                continue
            if not self.send_vote(state, vote):
                return False
            self._metrics.votes_relayed += arrival is not None
        return True

    def _message(self, signed: Vote | Proposal) -> bytes:
        """Peer after peer is sent the same one."""
        last, encoded = self._told
        if last is not signed:
            encoded = (VoteMessage(signed) if isinstance(signed, Vote) else ProposalMessage(signed)).encode()
            self._told = signed, encoded
        return encoded

    def send_vote(self, state: PeerState, vote: Vote) -> bool:
        if not state.peer.try_send(VOTE_CHANNEL, self._message(vote)):
            return False
        state.add_vote((vote.height, VoteKind(vote.type), vote.round), vote.validator_index)
        self._metrics.votes_sent += 1
        self._metrics.votes_sent_unlike += not state.is_ours
        return True

    # -------------------------------------------------------------------------------------------- old heights

    def _push_old_height(self, state: PeerState) -> None:
        """The peer is in a height that we have decided: its commit first, then, once it gathers the block, parts."""
        rs, height = self._rs, state.height
        hold_until = self._decided.get(height, 0) + max(DECIDED_HOLD_NS, state.word_ns)
        is_recent = self._was_decided_lately(state)
        if height == rs.height - 1 and rs.last_commit is not None:
            self._send_votes(state, (height, VoteKind.PRECOMMIT, rs.last_commit_round), rs.last_commit)
        if is_recent and not state.wants_parts:
            self._due_ns = min(self._due_ns, hold_until)
            return
        if height not in self._old_heights:
            now = self._clock.monotonic_ns()
            if now < state.read_due_ns:
                self._due_ns = min(self._due_ns, state.read_due_ns)
                return
            state.read_due_ns = now + OLD_HEIGHT_EVERY_NS
            state.peer.spend_cpu(DISK_NS)
        old = self._read_for(state, lambda: self.old_height(height))
        if old is not None:
            self._push_commit(state, old)
            self._push_old_parts(state, old)

    def _read_for(self, state: PeerState, read: Callable[[], T]) -> T:
        """Read from disk at this peer's cost, whoever has the turn: a message of its, a timer, a queue with room."""
        began_ns = self._clock.work_ns()
        try:
            return read()
        finally:
            state.peer.spend_cpu(self._clock.work_ns() - began_ns)

    def old_height(self, height: int) -> _OldHeight | None:
        """A stored height; None when the store does not have it (any more)."""
        known = self._old_heights.get(height)
        if known is not None:
            return known
        meta = self._blocks.load_meta(height)
        extended = self._blocks.load_extended_commit(height)
        commit = self._blocks.load_commit(height) or self._blocks.load_seen_commit(height)
        if meta is None or commit is None:
            return None
        votes = votes_from_commit(commit) if extended is None else votes_from_extended_commit(extended)
        round = commit.round if extended is None else extended.round
        # What was signed for nil or another block does not help a peer to commit, but completes its last commit.
        mask = sum(1 << index for index, vote in enumerate(votes) if vote is not None)
        old = self._old_heights[height] = _OldHeight(meta, round, votes, mask)
        if len(self._old_heights) > CATCH_UP_CACHE_HEIGHTS:
            self._old_heights.popitem(last=False)
        return old

    def _push_commit(self, state: PeerState, old: _OldHeight) -> None:
        key = (state.height, VoteKind.PRECOMMIT, old.round)
        missing = old.mask & ~state.votes(key)
        for index, vote in enumerate(old.votes):
            if vote is not None and missing >> index & 1:
                if not self.send_vote(state, vote):
                    return
                self._metrics.catch_up_votes_sent += 1

    def _push_old_parts(self, state: PeerState, old: _OldHeight) -> None:
        header = old.meta.block_id.part_set_header
        if state.header is None and state.step == WIRE_COMMIT:
            state.set_header(header)  # it gathers the decided block, and this connection has not heard its header
        if state.header != header:
            return
        lacks = (1 << header.total) - 1 & ~state.parts_mask
        if lacks and old.meta.block_size > CUT_INLINE_BYTES_MAX and not self._old_blocks.is_cut(state):
            self._due_ns = min(self._due_ns, self._clock.monotonic_ns() + LOOK_AGAIN_NS)
            return
        for index in range(header.total):
            if state.parts_mask >> index & 1:
                continue
            part = self._read_for(state, partial(self._blocks.load_part, state.height, index))
            if part is None or not self._send_part(state, state.height, state.round, part):
                return
            self._metrics.catch_up_parts_sent += 1


def _mark_of(signature: bytes) -> bytes:
    """What is remembered of one that may be thousands of bytes long, and a peer's junk."""
    return signature if len(signature) <= SIGNATURE_BYTES else sha256(signature)
