"""The consensus reactor: channels 0x20 to 0x23, and consensus' share of 0x70.

Hears the driver and the peers, keeps what is known of each peer, and has `gossip` push what is lacking.
Our own nodes are told more seldom than stock peers: where we are only when height or round change or help is needed,
and what we hold in one bitmap message per window instead of a HasVote per vote; see `extension` on why that is enough.
Source: docs/decisions/0004; CometBFT v0.38, spec/p2p/legacy-docs/messages/consensus.md, consensus/reactor.go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, assert_never

import structlog

from consensus.channels.extension import (
    EXTENSION_CHANNEL,
    ExtensionMessage,
    ExtensionReactor,
    HasPart,
    HasVotes,
    encode,
)
from consensus.channels.peer_messages import (
    CHANNEL_OF,
    CONSENSUS_MESSAGE_BYTES_MAX,
    DATA_CHANNEL,
    STATE_CHANNEL,
    VOTE_CHANNEL,
    VOTE_SET_BITS_CHANNEL,
    BlockPart,
    HasVote,
    NewRoundStep,
    NewValidBlock,
    ProposalMessage,
    ProposalPol,
    VoteMessage,
    VoteSetBits,
    VoteSetMaj23,
    check_new_round_step,
    check_proposal,
    decode_consensus,
)
from consensus.core.events import Elapsed, VoteKind
from consensus.engine.interfaces import Driver, SavedBlock
from consensus.formats.bits import BitArray
from consensus.formats.errors import InvalidData
from consensus.formats.units import NS_PER_S
from consensus.gossip.old_blocks import OldBlocks
from consensus.gossip.peer_state import PART_COPY, VOTE_COPY, PeerState, VoteSetKey
from consensus.gossip.sending import NEVER_NS, WIRE_COMMIT, Arrival, Gossip, GossipMetrics, Random
from consensus.p2p.conn.base import ChannelDescriptor, Network, Peer, PeerFault
from consensus.stores.interfaces import BlockStore
from consensus.system.clock import Clock, InlineWorkers, Timer, Workers
from consensus.system.log_limit import LogLimit
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, Proposal, Vote

STALL_CHECK_S: Final = 2.0  # upstream's peer_query_maj23_sleep_duration
ANNOUNCE_SOON_MS: Final = 3  # below the shortest wait of a relay: to who sent us copies of late
ANNOUNCE_LATER_MS: Final = 40  # below LATE_VOTE_NS: to who relays nothing before that
ANNOUNCE_FAR_MAX: Final = 10  # times that, at most, to who is far
EXACT_WEIGHT: Final = 10  # each may make us send a block again: forgiven to one in every stall check, not to a flood

CHANNELS: Final = (
    ChannelDescriptor(STATE_CHANNEL, "state", 6, 100, CONSENSUS_MESSAGE_BYTES_MAX),
    ChannelDescriptor(DATA_CHANNEL, "data", 10, 100, CONSENSUS_MESSAGE_BYTES_MAX),
    ChannelDescriptor(VOTE_CHANNEL, "vote", 7, 100, CONSENSUS_MESSAGE_BYTES_MAX),
    ChannelDescriptor(VOTE_SET_BITS_CHANNEL, "vote set bits", 1, 2, CONSENSUS_MESSAGE_BYTES_MAX),
)

loud = LogLimit(structlog.get_logger(__name__))


class ConsensusReactor:
    """Implements p2p.conn.base.Reactor, engine.interfaces.RoundListener and SavedListener, extension.ExtensionHandler.

    Until `start` the node syncs: only where peers are is heard, and nothing is said.
    """

    def __init__(
        self,
        driver: Driver,
        blocks: BlockStore,
        *,
        extension: ExtensionReactor,
        network: Network,
        clock: Clock,
        random: Random,
        workers: Workers | None = None,
    ) -> None:
        self._driver, self._rs = driver, driver.round_state
        self._extension, self._network, self._clock = extension, network, clock
        self.metrics = GossipMetrics()
        self._old_blocks = OldBlocks(
            blocks, clock, workers or InlineWorkers(), push=self._push_if_there, failed=self._failed
        )
        self._gossip = Gossip(
            self._rs, blocks, extension=extension, clock=clock, random=random, metrics=self.metrics,
            old_blocks=self._old_blocks,
        )  # fmt: skip
        self._peers: dict[str, PeerState] = {}
        self._peers_ever = 0
        self._is_active = False
        self._step_timer: Timer | None = None
        self._told = (0, 0)  # height and round that our own peers heard last
        self._announce_timers: dict[int, Timer] = {}  # by their delay in ms
        self._announces_to_all = False  # what is planned reaches every peer of ours
        self._stall_timer: Timer | None = None
        self._height_since_ns = 0
        self._seen = (0, 0)  # height and round that step_changed saw last
        self._peer_advanced: list[Callable[[str], None]] = []
        driver.add_round_listener(self)
        driver.add_saved_listener(self)
        driver.charge_peers(self)
        extension.add_handler(self)

    def start(self) -> None:
        """Consensus runs: say where we are, and take part. Again after `stop`, where blocks were synced in between."""
        self._is_active = True
        self._height_since_ns = self._clock.monotonic_ns()
        self._stall_timer = self._later(STALL_CHECK_S, self._check_stall)
        self.step_changed()

    def stop(self) -> None:
        self._is_active = False
        self._old_blocks.stop()
        timers = [self._step_timer, self._stall_timer, *self._announce_timers.values()]
        for timer in timers + [state.timer for state in self._peers.values()]:
            if timer is not None:
                timer.cancel()
        self._step_timer = self._stall_timer = None
        self._announce_timers.clear()
        self._announces_to_all = False
        for state in self._peers.values():
            state.timer = None

    def on_peer_advanced(self, callback: Callable[[str], None]) -> None:
        """Call back with a peer's id when it says that it is in a new height."""
        self._peer_advanced.append(callback)

    def peer_states(self) -> dict[str, PeerState]:
        """What is known of each peer, by its id: for doors, which change none of it."""
        return {id: state for id, state in self._peers.items() if state.height}

    @property
    def peer_heights(self) -> dict[str, tuple[int, int, int]]:
        """Height, round and wire step of each peer that has said so: for status and for block sync."""
        return {id: (state.height, state.round, state.step) for id, state in self._peers.items() if state.height}

    # ---------------------------------------------------------------------------------------------------- peers

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        return CHANNELS

    def add_peer(self, peer: Peer) -> None:
        self._peers_ever += 1
        state = PeerState(peer, is_ours=self._extension.is_ours(peer), number=self._peers_ever)
        self._peers[peer.id] = state
        self._announces_to_all = False
        if self._is_active and self._rs.height:
            self._send_step(state)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        state = self._peers.get(peer.id)
        if state is not None and state.peer is peer:
            del self._peers[peer.id]
            self._driver.peer_left(peer.id)
            if state.timer is not None:
                state.timer.cancel()

    def writable(self, channel_id: int, peer: Peer) -> None:
        state = self._peers.get(peer.id)
        if state is not None:
            self._push(state)

    def extension_writable(self, peer: Peer) -> None:
        self._plan_announcement()

    def _push(self, state: PeerState) -> None:
        if not self._is_active:
            return
        try:
            self._wake_at(state, self._gossip.push(state))
        except Exception as error:
            self._failed(state, error)

    def _push_if_there(self, state: PeerState) -> None:
        if self._peers.get(state.peer.id) is state:
            self._push(state)

    def _push_all(self) -> None:
        for state in tuple(self._peers.values()):
            self._push(state)

    def _send(self, state: PeerState, channel_id: int, message: bytes) -> bool:
        try:
            return state.peer.try_send(channel_id, message)
        except Exception as error:
            self._failed(state, error)
            return False

    def _failed(self, state: PeerState, error: Exception) -> None:
        """What a peer made us do failed: that costs this peer, not the others, nor the driver that told us."""
        loud.error("consensus gossip failed for a peer, which is dropped", state.peer.id, error=repr(error))
        self._network.drop_peer(state.peer, f"consensus gossip failed: {error!r}")

    def _later(self, after_s: float, work: Callable[[], None]) -> Timer:
        """As the clock's `call_later`; a failure is told, and gossip goes on."""

        def run() -> None:
            try:
                work()
            except Exception as error:
                loud.error("a turn of consensus gossip failed", getattr(work, "__name__", "?"), error=repr(error))

        return self._clock.call_later(after_s, run)

    def _wake_at(self, state: PeerState, due_ns: int) -> None:
        """See to it that the peer is pushed to at `due_ns` or earlier."""
        if due_ns == NEVER_NS or (state.timer is not None and state.wake_ns <= due_ns):
            return
        if state.timer is not None:
            state.timer.cancel()

        def wake() -> None:
            state.timer = None
            self._push(state)

        state.wake_ns = due_ns
        delay_ns = max(0, due_ns - self._clock.monotonic_ns())
        state.timer = self._later(delay_ns / NS_PER_S, wake)

    def useless(self, peer_id: str, what: str, weight: int = 1) -> None:
        """The driver found no use for a peer's message: inbox.Charges."""
        state = self._peers.get(peer_id)
        if state is not None:
            state.peer.useless(what, weight)

    def useful(self, peer_id: str) -> None:
        state = self._peers.get(peer_id)
        if state is not None:
            state.peer.useful()

    def worked(self, peer_id: str, ns: int) -> None:
        state = self._peers.get(peer_id)
        if state is not None:
            state.peer.spend_cpu(ns)

    def drop(self, peer_id: str, reason: str) -> None:
        """The driver learned that a peer broke the protocol: its `Alarms.fault`."""
        state = self._peers.get(peer_id)
        if state is not None:
            self._network.drop_peer(state.peer, reason)

    # ------------------------------------------------------------------------------------------ from the driver

    def step_changed(self) -> None:
        if not self._is_active:
            return
        if self._step_timer is None:  # steps that follow one another in one turn of the loop are said once
            self._step_timer = self._later(0, self._tell_step)
        position = (self._rs.height, self._rs.round)
        if position != self._seen:
            if position[0] != self._seen[0]:
                self._height_since_ns = self._clock.monotonic_ns()
            self._seen = position
            self._gossip.round_begun()
            self._push_all()

    def _tell_step(self) -> None:
        self._step_timer = None
        rs = self._rs
        position = (rs.height, rs.round)
        gathers = rs.wire_step == WIRE_COMMIT and (rs.parts is None or not rs.parts.is_complete)
        tell_ours = position != self._told or gathers
        self._told = position
        message = self._step_message().encode()
        for state in tuple(self._peers.values()):
            if tell_ours or not state.is_ours:
                self._send(state, STATE_CHANNEL, message)
                self.metrics.steps_sent += 1

    def _step_message(self) -> NewRoundStep:
        rs = self._rs
        elapsed_s = (self._clock.now_ns() - rs.start_time_ns) // NS_PER_S
        return NewRoundStep(rs.height, rs.round, rs.wire_step, elapsed_s, rs.last_commit_round)

    def _send_step(self, state: PeerState) -> None:
        if self._send(state, STATE_CHANNEL, self._step_message().encode()):
            self.metrics.steps_sent += 1

    def proposal_set(self, proposal: Proposal) -> None:
        self._push_all()

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        self._tell_valid_block(is_commit=is_commit, to_ours=True)

    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None:
        self._tell_valid_block(is_commit=is_commit, to_ours=False)

    def _tell_valid_block(self, *, is_commit: bool, to_ours: bool) -> None:
        """Which parts of the wanted block we hold. Ours, when we lack nothing, learn it from the announcement."""
        parts = self._rs.parts
        if parts is None or not self._is_active:
            return
        message = NewValidBlock(self._rs.height, self._rs.round, parts.header, parts.bit_array(), is_commit).encode()
        for state in tuple(self._peers.values()):
            if to_ours or not state.is_ours:
                self._send(state, STATE_CHANNEL, message)

    def part_added(self, height: int, round: int, index: int) -> None:
        parts = self._rs.parts
        part = None if parts is None else parts.get(index)
        if part is not None:
            self._plan_relay(self._gossip.part_arrival(height, part))

    def vote_added(self, vote: Vote) -> None:
        if not self._is_active:
            return
        self._tell_has_vote(vote)
        self._plan_relay(self._gossip.vote_arrival(vote))

    def timed_out(self, elapsed: Elapsed) -> None:
        pass  # what follows from it is told by itself

    def _plan_relay(self, arrival: Arrival | None) -> None:
        """What a peer sent may go to the others later, who probably get it elsewhere; what is ours, at once."""
        if arrival is None:
            self._push_all()
        elif self._is_active:
            for state in self._peers.values():
                self._wake_at(state, self._gossip.relay_ns(arrival, state))
            self._plan_announcement()

    def _tell_has_vote(self, vote: Vote) -> None:
        message: bytes | None = None
        for state in tuple(self._peers.values()):
            if not state.is_ours and state.height == vote.height:
                message = (
                    message or HasVote(vote.height, vote.round, VoteKind(vote.type), vote.validator_index).encode()
                )
                self._send(state, STATE_CHANNEL, message)

    def block_saved(self, saved: SavedBlock) -> None:
        self._gossip.height_decided(saved.height)

    # ------------------------------------------------------------------------------------------- announcements

    def _plan_announcement(self) -> None:
        """What a peer does not know that we hold, it may send once more. Who has done so is told sooner: that depends
        on this peer alone, and not on who else is connected."""
        timers = self._announce_timers
        if self._is_active and not self._announces_to_all:
            for after_ms in {self._announce_after_ms(state) for state in self._peers.values() if state.is_ours}:
                if after_ms not in timers:
                    timers[after_ms] = self._later(after_ms / 1_000, partial(self._announce_due, after_ms))
            self._announces_to_all = True

    def _announce_after_ms(self, state: PeerState) -> int:
        """Who is far waits longer for our word, so it can hold more: half of a round trip, which WORD_NS counts on."""
        if state.sends_copies(self._rs.height):
            return ANNOUNCE_SOON_MS
        far = int(state.peer.round_trip_s * 500) // ANNOUNCE_LATER_MS
        return ANNOUNCE_LATER_MS * (1 + min(far, ANNOUNCE_FAR_MAX))

    def _announce_due(self, after_ms: int) -> None:
        del self._announce_timers[after_ms]
        self._announces_to_all = False
        peers = [state for state in self._peers.values() if state.is_ours]
        self._announce([state for state in peers if self._announce_after_ms(state) == after_ms])

    def _announce(self, to: list[PeerState], *, exact: bool = False) -> None:
        """Tell peers of our own kind which parts and votes of the height we hold."""
        peers = [state for state in to if state.height <= self._rs.height]
        if not peers or not self._is_active:
            return
        message = self._holdings(exact=exact)
        if not message.has_parts and not message.has_votes:
            return
        encoded = encode(message)
        for state in peers:
            if self._send(state, EXTENSION_CHANNEL, encoded):
                self.metrics.announcements_sent += 1

    def _holdings(self, *, exact: bool) -> ExtensionMessage:
        rs = self._rs
        parts: tuple[HasPart, ...] = ()
        if rs.parts is not None and (rs.parts.mask or exact):
            parts = (HasPart(rs.height, rs.round, rs.parts.header, rs.parts.mask, exact),)
        votes: list[HasVotes] = []
        if rs.last_commit is not None and rs.last_commit.mask:  # who lags behind, or is far, may still send some of it
            kind = VoteKind.PRECOMMIT
            votes.append(HasVotes(rs.height - 1, rs.last_commit_round, kind, rs.last_commit.mask, exact))
        for round in sorted({max(0, rs.round - 1), rs.round}):
            for kind in (VoteKind.PREVOTE, VoteKind.PRECOMMIT):
                view = rs.votes(kind, round)
                mask = 0 if view is None else view.mask
                if mask or exact:
                    votes.append(HasVotes(rs.height, round, kind, mask, exact))
        return ExtensionMessage(has_parts=parts, has_votes=tuple(votes))

    def _check_stall(self) -> None:
        """A height that takes long: claim majorities, ask for what is missing, say exactly what we hold."""
        self._stall_timer = self._later(STALL_CHECK_S, self._check_stall)
        if self._clock.monotonic_ns() - self._height_since_ns < STALL_CHECK_S * NS_PER_S // 2:
            return
        parts = self._rs.parts
        if parts is not None and not parts.is_complete:
            self._tell_valid_block(is_commit=self._rs.wire_step == WIRE_COMMIT, to_ours=True)
        self._announce([state for state in self._peers.values() if state.is_ours], exact=True)
        for state in tuple(self._peers.values()):
            self._claim_majorities(state)
            self._push(state)

    def _claim_majorities(self, state: PeerState) -> None:
        rs = self._rs
        if state.height == rs.height:
            for round in sorted({state.round, state.pol_round, rs.round}):
                for kind in (VoteKind.PREVOTE, VoteKind.PRECOMMIT):
                    votes = rs.votes(kind, round) if round >= 0 else None
                    if votes is not None and votes.has_majority:
                        claim = VoteSetMaj23(rs.height, round, kind, votes.majority or NIL_BLOCK_ID)
                        self._send(state, STATE_CHANNEL, claim.encode())
        elif 0 < state.height < rs.height:
            old = self._gossip.old_height(state.height)
            if old is not None:
                claim = VoteSetMaj23(state.height, old.round, VoteKind.PRECOMMIT, old.meta.block_id)
                self._send(state, STATE_CHANNEL, claim.encode())

    # ------------------------------------------------------------------------------------------ from the peers

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """While syncing, 0x21 to 0x23 are ignored. Raises PeerFault."""
        state = self._peers.get(peer.id)
        if state is None or (not self._is_active and channel_id != STATE_CHANNEL):
            return
        try:
            decoded = decode_consensus(message)
            if CHANNEL_OF[type(decoded)] != channel_id:
                loud.warning("ignored a message on the wrong channel", peer.id, channel=f"{channel_id:#x}")
                peer.useless("message on the wrong channel")
                return
            match decoded:
                case VoteMessage(vote):
                    self._take_vote(state, vote)
                case BlockPart():
                    self._take_part(state, decoded)
                case HasVote(height, round, kind, index):
                    state.add_vote((height, kind, round), index)
                    if abs(height - state.height) > 1:
                        peer.useless("vote told of another height")
                case NewRoundStep():
                    check_new_round_step(decoded, self._driver.state.initial_height)
                    before = state.height
                    if state.apply_step(decoded):
                        if state.height != before:
                            self._gossip.peer_entered(state)
                        self._push(state)
                        if state.height != before:
                            for callback in self._peer_advanced:
                                callback(peer.id)
                    else:
                        peer.useless("step that is no later one")
                case ProposalMessage(proposal):
                    self._take_proposal(state, proposal)
                case NewValidBlock():
                    if state.wants_parts:
                        peer.useless("parts told anew")  # now and then it is nothing; each may make us send a block
                    if state.apply_valid_block(decoded):
                        self._push(state)
                case ProposalPol():
                    peer.useless("proof of lock told")
                    state.apply_pol(decoded)
                case VoteSetMaj23():
                    self._take_claim(state, decoded)
                case VoteSetBits():
                    self._take_vote_set_bits(state, decoded)
                case _:
                    assert_never(decoded)
        except InvalidData as error:
            raise PeerFault(str(error)) from error

    def _has_inbox_room(self, state: PeerState) -> bool:
        if self._driver.has_room(state.peer.id):
            return True
        self.metrics.inbox_full += 1
        return False

    def _take_vote(self, state: PeerState, vote: Vote) -> None:
        self.metrics.votes_received += 1
        self.metrics.votes_received_unlike += not state.is_ours
        key = (vote.height, VoteKind(vote.type), vote.round)
        if self._holds_vote(vote):
            self.metrics.votes_duplicate += 1
            self.metrics.votes_duplicate_unlike += not state.is_ours
            state.sent_copy(self._rs.height, VOTE_COPY)
            state.add_vote(key, vote.validator_index)
            return
        # Ours, the last height's precommits, and the next height's, which the driver keeps for a moment.
        if not -1 <= vote.height - self._rs.height <= 1:
            state.peer.useless("vote of another height")
            return
        if not self._has_inbox_room(state):
            return
        is_known = self._is_of_validator(vote)
        if not is_known and vote.height == self._rs.height:
            state.peer.useless("vote of no validator")
            return
        state.add_vote(key, vote.validator_index)
        self._gossip.vote_came(vote, state.peer.id)
        self._driver.add_vote(vote, state.peer.id, first=is_known)

    def _is_of_validator(self, vote: Vote) -> bool:
        """Whether it names a validator of this height; who signed it is found out in its turn."""
        keys = self._rs.validators.pub_keys
        index = vote.validator_index
        return 0 <= index < len(keys) and keys[index].address == vote.validator_address

    def _holds_vote(self, vote: Vote) -> bool:
        rs = self._rs
        if vote.height == rs.height:
            view = rs.votes(VoteKind(vote.type), vote.round)
        elif vote.height == rs.height - 1 and vote.type == PRECOMMIT and vote.round == rs.last_commit_round:
            view = rs.last_commit
        else:
            return False
        held = None if view is None else view.get(vote.validator_index)
        return held is not None and held.signature == vote.signature and held.block_id == vote.block_id

    def _take_part(self, state: PeerState, message: BlockPart) -> None:
        self.metrics.parts_received += 1
        self.metrics.parts_received_unlike += not state.is_ours
        rs, part = self._rs, message.part
        parts = rs.parts if message.height == rs.height else None
        state.part_came(message.height, message.round, part.set_header, part.index)
        held = None if parts is None else parts.get(part.index)
        is_behind = message.height < rs.height
        if is_behind or (held is not None and held.proof.leaf_hash == part.proof.leaf_hash):
            self.metrics.parts_duplicate += 1
            self.metrics.parts_duplicate_unlike += not state.is_ours
            if not is_behind:
                state.sent_copy(rs.height, PART_COPY)
            return
        if message.height > rs.height + 1:
            state.peer.useless("part of another height")
            return
        if not self._has_inbox_room(state):
            return
        self._gossip.part_came(message.height, part, state.peer.id)
        self._driver.add_part(message.height, message.round, part, state.peer.id)

    def _take_proposal(self, state: PeerState, proposal: Proposal) -> None:
        check_proposal(proposal)  # what its own height allows, the driver knows when it is there
        self.metrics.proposals_received += 1
        state.set_proposal(proposal)
        if self._rs.proposal is not None and state.holds_other(self._rs.proposal):
            self._push(state)
        if proposal == self._rs.proposal:
            self.metrics.proposals_duplicate += 1
            return
        if not 0 <= proposal.height - self._rs.height <= 1:
            state.peer.useless("proposal of another height")
            return
        if not self._has_inbox_room(state):
            return
        self._gossip.proposal_came(proposal, state.peer.id)
        self._driver.add_proposal(proposal, state.peer.id)

    def _take_claim(self, state: PeerState, message: VoteSetMaj23) -> None:
        state.peer.useless("majority told")  # a few every two seconds are nothing; each is answered
        if not self._is_active or message.height != self._rs.height:
            return
        key = (message.height, message.kind, message.round)
        if not state.claim(key, message.block_id):
            raise PeerFault(f"claimed two majorities for {message.kind.name.lower()}s of {key[0]}/{key[2]}")
        value = None if message.block_id.is_zero else message.block_id
        if self._has_inbox_room(state):
            self._driver.add_peer_majority(message.kind, message.height, message.round, value, state.peer.id)
        votes = self._rs.votes(message.kind, message.round)
        held = BitArray(0) if votes is None else votes.bits_for(value)
        answer = VoteSetBits(message.height, message.round, message.kind, message.block_id, held)
        self._send(state, VOTE_SET_BITS_CHANNEL, answer.encode())

    def _take_vote_set_bits(self, state: PeerState, message: VoteSetBits) -> None:
        """Of the votes for this block the peer holds exactly those that it names, as far as we can tell.

        Where it lags it may hold another vote of an equivocator whose vote its commit needs.
        """
        state.peer.useless("votes told anew")  # as answers to what we claim they are nothing
        key: VoteSetKey = (message.height, message.kind, message.round)
        for_block = 0
        if message.height == self._rs.height:
            votes = self._rs.votes(message.kind, message.round)
            if votes is not None:
                for_block = votes.bits_for(None if message.block_id.is_zero else message.block_id).mask
        elif message.height == state.height < self._rs.height and message.kind is VoteKind.PRECOMMIT:
            old = self._gossip.old_height(state.height)
            if old is not None and old.round == message.round:
                for_block = old.mask_for(message.block_id)
        state.set_votes(key, state.votes(key) & ~for_block | message.votes.mask)
        self._push(state)

    def receive_extension(self, peer: Peer, message: ExtensionMessage) -> None:
        state = self._peers.get(peer.id)
        if state is None or not (message.has_parts or message.has_votes):
            return
        push = False
        if not message.has_parts and any(votes.exact and votes.height == state.height for votes in message.has_votes):
            state.forget_proposal()  # it would have named the parts that it gathers
        for parts in message.has_parts:
            if parts.height == state.height:
                if state.header is None or parts.exact:
                    state.set_header(parts.header)
                state.add_parts(parts.header, parts.mask, exact=parts.exact)
                push |= parts.exact
        for votes in message.has_votes:
            key = (votes.height, votes.kind, votes.round)
            if votes.exact:
                state.set_votes(key, votes.mask)
                push = True
            else:
                state.add_votes(key, votes.mask)
        if push:
            state.peer.useless("holdings told exactly", EXACT_WEIGHT)
            self._push(state)
