"""Block sync: fetch decided blocks from peers until this node is where they are. Channel 0x40.

Serves whoever asks, always. To catch up, `run` asks several peers for the heights after ours, at once; a block is
applied when the commit in its successor proves it, and nothing that a peer merely says is trusted: a claimed height
is a hint whom to ask, and what nobody delivers does not keep us from consensus, where a node catches up too (failure
14, ASA-2025-001, ASA-2024-008). Who sends what is false is dropped and banned; who is slow or has pruned a block is
asked last, or for others. Each signature is verified once, and beside the execution of earlier blocks: the commit that
proves a block is the one that its successor carries (failure 15). Blocks are served and decoded in threads, a few at a
time.
Source: CometBFT v0.38, spec/p2p/legacy-docs/messages/block-sync.md, blocksync/.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from consensus.channels.peer_messages import (
    BLOCK_SYNC_CHANNEL,
    BLOCK_SYNC_MESSAGE_BYTES_MAX,
    BlockRequest,
    BlockResponse,
    NoBlockResponse,
    StatusRequest,
    StatusResponse,
    decode_block_sync,
)
from consensus.core.votes import two_thirds
from consensus.execution.verifiers import ThreadVerifiers, Verifiers
from consensus.formats.errors import InvalidData
from consensus.formats.units import MIB, NS_PER_S
from consensus.p2p.conn.base import ChannelDescriptor, Network, Peer, PeerFault
from consensus.state.state import State
from consensus.stores.interfaces import BlockStore
from consensus.sync.ahead import Ahead
from consensus.sync.asked import STATUS_MIN_NS, SyncPeer, Wanted, choose
from consensus.sync.claims import Claim, believed_height, is_level
from consensus.sync.claims import Pace as TheirPace
from consensus.sync.fetched import Fetched, Lie, decode_fetched, prove
from consensus.sync.progress import TELL_EVERY_NS, BlockSyncMetrics, Pace, SyncProgress, seconds_left
from consensus.sync.serving import QUEUE_BYTES_MAX, BlockServer
from consensus.system.aside import Aside
from consensus.system.clock import Clock, InlineWorkers, Timer, Workers
from consensus.system.log_limit import LogLimit
from consensus.types.block import Block, BlockBounds, Commit, ExtendedCommit
from consensus.types.commits import Verifier
from consensus.types.ids import BlockID
from consensus.types.parts import PartSet

AHEAD_MAX: Final = 128  # heights asked for beyond ours: some seconds of applying
MANY_BLOCKS: Final = 16  # behind by so many, the processes that verify are started: that takes a fifth of a second
BUFFER_BYTES_MAX: Final = 128 * MIB  # held by blocks that wait for their turn; then only two are asked for
PEER_TIMEOUT_NS: Final = 15 * NS_PER_S  # asked, and no block came: asked last from then on; as upstream, which drops it
LATE_S: Final = 300.0  # so long after a request its answer may still be on its way
GROWTH: Final = 2  # by how much the parameters may let blocks grow before the one that is asked for
BLOCK_BYTES_LEAST: Final = 22_020_096  # to be ready for: upstream's default, and the most that our governance gives
SLACK_BYTES: Final = 4 * MIB  # extended commit and frame
SMALL_BYTES_MAX: Final = 4_096  # what is not a block: nobody begins a larger message that was not asked for
HEDGE_NS: Final = 1 * NS_PER_S  # the next height is asked of one peer more each time that so long no block comes
INLINE_BYTES_MAX: Final = 16_384  # a block of this size is decoded in 0.3 ms; larger ones in a thread
BAN_S: Final = 60  # as upstream
STATUS_EVERY_NS: Final = 10 * NS_PER_S  # as upstream
SETTLE_NS: Final = NS_PER_S // 2  # after the start: peers connect and say where they are
UNREPORTED_WAIT_NS: Final = 3 * NS_PER_S  # how long we wait for the status of connected peers
STALL_NS: Final = 6 * NS_PER_S  # no progress, and somebody is where we are: go on in consensus

STOOD_STILL_NS: Final = 2 * NS_PER_S  # a turn that is so late finds us at fault, not the peers
TELL_WAITING_AFTER_NS: Final = 10 * NS_PER_S  # what is waited for: an ordinary start waits for its peers, and is well
TELL_WAITING_EVERY_NS: Final = 60 * NS_PER_S
OTHERS_TOLD_MAX: Final = 100  # peers of another beginning, whose ids are free
WAIT_NS_MIN: Final = NS_PER_S // 1_000  # a loop's timers have a grain: one that fires early must not make us spin

log = structlog.get_logger(__name__)


class SyncDriver(Protocol):
    """The part of the engine that block sync needs."""

    @property
    def state(self) -> State: ...

    def verify_ahead(self, block: Block, block_id: BlockID, commit: Commit) -> Awaitable[None]:
        """What is found valid of its signatures is remembered. commit: for it, as its successor says."""
        ...

    def apply_synced_block(
        self,
        block: Block,
        block_id: BlockID,
        parts: PartSet,
        commit: Commit,
        *,
        extended: ExtendedCommit | None = None,
    ) -> Awaitable[State]: ...


class WrongSoftware(Exception):
    """+2/3 of the validators that we know decided a block that is invalid here: no peer can be blamed for it."""


class BlockSyncReactor:
    """Implements consensus.p2p.conn.base.Reactor. `run` before consensus starts, and whenever it was left."""

    def __init__(
        self,
        driver: SyncDriver,
        blocks: BlockStore,
        network: Network,
        clock: Clock,
        *,
        verifier: Verifier,
        our_address: Callable[[], bytes] = bytes,
        workers: Workers | None = None,
        verifiers: Verifiers | None = None,
        tx_bytes_min: int = 1,
    ) -> None:
        """verifiers: those that the driver verifies ahead by. tx_bytes_min: the application's."""
        self._driver, self._blocks, self._network, self._clock = driver, blocks, network, clock
        self._verifier, self._our_address = verifier, our_address
        self._workers, self._tx_bytes_min = workers or InlineWorkers(), tx_bytes_min
        self._verifiers = verifiers or ThreadVerifiers(self._workers)
        self._server = BlockServer(blocks, clock, self._workers, self._served, network.drop_peer)
        self._large: deque[tuple[SyncPeer, BlockResponse]] = deque()  # to be decoded in a thread
        self._decoding = Aside(
            "decode blocks", clock, lambda: self._large.popleft() if self._large else None, self._decode_large
        )
        self._undecoded_bytes = 0  # of these
        self._limited = LogLimit(log)
        self._begun_otherwise: set[str] = set()  # peers whose first block our genesis does not allow
        self._block_bytes = 0  # of the blocks that come, about; 0: none came yet
        self._peers: dict[str, SyncPeer] = {}
        self._wanted: dict[int, Wanted] = {}
        self._fetched: dict[int, Fetched] = {}
        self._buffered_bytes = 0
        self._wake = asyncio.Event()
        self._ahead = Ahead(clock, verify=self._verify_ahead, waiting=self._waiting, on_done=self._wake.set)
        self._timer: Timer | None = None
        self._started_ns = 0
        self._progress_ns = 0
        self._status_ns = 0
        self._told, self._told_ns = "", 0
        self._waits_since_ns = 0  # without a break; 0: it does not
        self._pace, self._theirs = Pace(0), TheirPace()
        self._first_height = 0  # of the first block that is fetched
        self._progress_told_ns = 0
        self._due_ns = 0  # when the next turn comes at the latest
        self.metrics = BlockSyncMetrics()

    # ------------------------------------------------------------------------------------------------- reactor

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        size, queue = BLOCK_SYNC_MESSAGE_BYTES_MAX, QUEUE_BYTES_MAX
        return (
            ChannelDescriptor(
                BLOCK_SYNC_CHANNEL,
                "block sync",
                5,
                1_000,
                size,
                unasked_bytes_max=SMALL_BYTES_MAX,
                send_queue_bytes=queue,
            ),
        )

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop()
        self._decoding.stop()
        self._ahead.stop()

    def add_peer(self, peer: Peer) -> None:
        self._peers[peer.id] = SyncPeer(peer)
        self._send_status(peer)
        if self.metrics.syncing:
            self._ask_status(self._peers[peer.id])
            self._wake.set()

    def remove_peer(self, peer: Peer, reason: str) -> None:
        self._server.forget(peer)  # also of one that was dropped for a lie, which is none of `_peers` any more
        known = self._peers.get(peer.id)
        if known is None or known.peer is not peer:
            return
        del self._peers[peer.id]
        for height in known.asked:
            wanted = self._wanted.get(height)
            if wanted is not None:
                wanted.asked.remove(peer.id)
                if not wanted.asked:
                    del self._wanted[height]
        self._wake.set()

    def writable(self, channel_id: int, peer: Peer) -> None:
        self._server.writable(peer)
        self._wake.set()

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """Raises PeerFault."""
        try:
            decoded = decode_block_sync(message)
            match decoded:
                case BlockRequest(height):
                    self._serve(peer, height)
                case StatusRequest():
                    self._answer_status(peer)
                case StatusResponse(height, base):
                    self._take_status(peer, height, base)
                case NoBlockResponse(height):
                    self._take_refusal(peer, height)
                case BlockResponse():
                    self._take_block(peer, decoded)
        except InvalidData as error:
            self.metrics.bad_blocks += 1
            raise PeerFault(f"block sync: {error}", ban_s=BAN_S) from error

    def _send_status(self, peer: Peer) -> None:
        status = StatusResponse(self._blocks.height, self._blocks.base)
        peer.try_send(BLOCK_SYNC_CHANNEL, status.encode())

    def _answer_status(self, peer: Peer) -> None:
        known = self._peers.get(peer.id)
        now = self._clock.monotonic_ns()
        if known is not None and now - known.status_ns < STATUS_MIN_NS:
            peer.useless("a status request too soon")
            return
        if known is not None:
            known.status_ns = now
        self._send_status(peer)

    def _ask_status(self, known: SyncPeer) -> None:
        if known.peer.try_send(BLOCK_SYNC_CHANNEL, StatusRequest().encode()):
            known.status_owed += 1

    def _ask_statuses(self) -> None:
        for known in self._peers.values():
            self._ask_status(known)

    def _serve(self, peer: Peer, height: int) -> None:
        self._server.ask(peer, height)

    def _served(self) -> None:
        self.metrics.blocks_served += 1

    def _take_status(self, peer: Peer, height: int, base: int) -> None:
        """A peer that lowers what it said lies: within one connection heights only rise (CometBFT's rule)."""
        known = self._peers.get(peer.id)
        if known is None:
            return
        if height < known.height or base < known.base:
            raise PeerFault(
                f"block sync: lowered its heights from {known.base}-{known.height} to {base}-{height}", ban_s=BAN_S
            )
        known.status_owed -= 1
        if known.status_owed < 0:
            known.status_owed = 0
            peer.useless("a status that was not asked for")
        known.reported, known.base, known.height = True, base, height
        self.metrics.highest_claim = believed_height(self.claims().values())
        self._wake.set()

    def _take_refusal(self, peer: Peer, height: int) -> None:
        """It claimed the height: most likely it pruned the block meanwhile, and what is below. That is no lie."""
        known = self._peers.get(peer.id)
        if known is None:
            return
        if height not in known.asked and height not in known.late:
            peer.useless("a refusal of what was not asked for")
            return
        known.late.pop(height, None)
        self._forget_request(known, height)
        known.pruned = max(known.pruned, height)
        self._wake.set()

    def _forget_request(self, known: SyncPeer, height: int) -> None:
        known.asked.discard(height)
        wanted = self._wanted.get(height)
        if wanted is not None and known.peer.id in wanted.asked:
            wanted.asked.remove(known.peer.id)
            if not wanted.asked:
                del self._wanted[height]

    def _take_block(self, peer: Peer, response: BlockResponse) -> None:
        known = self._peers.get(peer.id)
        if known is None or not self.metrics.syncing:
            return
        if known.decoding >= len(known.asked) + len(known.late):
            raise PeerFault("block sync: a block that was not asked for", ban_s=BAN_S)
        height, size = Block.decode_header(response.block).height, response.byte_size
        self._check_asked(known, height)
        if size <= INLINE_BYTES_MAX:
            self._take_fetched(known, decode_fetched(peer.id, response, self._bounds()))
            return
        if self._undecoded_bytes + size > BUFFER_BYTES_MAX and height > self._next_height + 1:
            known.late.pop(height, None)
            self._forget_request(known, height)  # it is asked for again in its turn
            return
        known.decoding += 1
        self._undecoded_bytes += size
        self._large.append((known, response))
        self._decoding.wake()

    def _check_asked(self, known: SyncPeer, height: int) -> None:
        """Raises PeerFault."""
        if height not in known.asked and height not in known.late:
            raise PeerFault(f"block sync: block {height} was not asked for", ban_s=BAN_S)

    def _largest(self) -> int:
        """As large as an answer may be. A block is asked for, and proves the one before, ahead of the parameters under
        which it was made: one vote may raise them from the least to the most."""
        size = max(GROWTH * self._driver.state.block_bytes_max, BLOCK_BYTES_LEAST)
        slack = max(SLACK_BYTES, 2 * self._driver.state.commit_bytes_max + MIB)  # an extended commit has two of each
        return min(size + slack, BLOCK_SYNC_MESSAGE_BYTES_MAX)

    def _bounds(self) -> BlockBounds:
        """Of any block that we ask for: parameters and validators may change before it."""
        return self._driver.state.any_block_bounds(self._tx_bytes_min, growth=GROWTH)

    async def _decode_large(self, job: tuple[SyncPeer, BlockResponse]) -> None:
        """What the thread took is the sender's, also where nothing comes of it."""
        known, response = job
        bounds, spent_ns = self._bounds(), 0

        def decode() -> Fetched:
            nonlocal spent_ns
            started = time.thread_time_ns()
            try:
                return decode_fetched(known.peer.id, response, bounds)
            finally:
                spent_ns = time.thread_time_ns() - started

        try:
            fetched = await self._workers.run(decode)
            if self._peers.get(known.peer.id) is known and self.metrics.syncing:
                self._take_fetched(known, fetched)
        except (InvalidData, PeerFault) as error:
            self.metrics.bad_blocks += 1
            self._drop(known.peer.id, str(error))
        finally:
            known.peer.spend_cpu(spent_ns)
            known.decoding -= 1
            self._undecoded_bytes = max(0, self._undecoded_bytes - response.byte_size)

    def _take_fetched(self, known: SyncPeer, fetched: Fetched) -> None:
        """Raises PeerFault: it was never asked for this one."""
        height, size = fetched.block.height, fetched.held_bytes
        self._check_asked(known, height)
        is_late = height not in known.asked
        if is_late:
            del known.late[height]
        else:
            known.asked.discard(height)  # asked again after we gave up: the other answer may come too
        known.active_ns, known.is_slow = self._clock.monotonic_ns(), False
        known.delivered += 1
        self.metrics.blocks_received += 1
        self.metrics.bytes_received += fetched.parts.byte_size
        self._block_bytes = max(size, self._block_bytes * 7 // 8)
        self._wake.set()
        if not is_late:
            self._wanted.pop(height, None)
        if height in self._fetched or not self._next_height <= height < self._next_height + AHEAD_MAX:
            return  # another was faster
        if self._buffered_bytes + size > 2 * BUFFER_BYTES_MAX and height > self._next_height + 1:
            return  # blocks grew all at once: it is asked for again in its turn
        self._wanted.pop(height, None)
        self._fetched[height] = fetched
        known.peer.useful()
        self._buffered_bytes += size
        self._ahead.wake()

    # ------------------------------------------------------------------------------------------------ catching up

    async def run(self) -> int:
        """Sync until consensus can take over; returns how many blocks it applied, 0 where at the end these came no
        faster than they are made: what is claimed beyond them is nowhere.

        Raises what applying raises when this node is at fault (the application, the disk).
        """
        if self._is_sole_validator():
            return 0
        self.metrics.syncing, before = True, self.metrics.blocks_applied
        for known in self._peers.values():
            known.reported = False  # what was said before consensus ran is old
        self._started_ns = self._progress_ns = self._status_ns = self._due_ns = self._clock.monotonic_ns()
        self._pace, self._first_height = Pace(self._started_ns), self._next_height
        self._theirs = TheirPace()
        self._progress_told_ns, self._waits_since_ns = self._started_ns, 0
        self._ask_statuses()
        log.info("began block sync", height=self._driver.state.last_block_height)
        try:
            while True:
                self._wake.clear()
                now = self._clock.monotonic_ns()  # one reading a turn: what is due at it is done, the rest is armed
                self._forgive_lateness(now)
                self._expire(now)
                self._ask(now)
                pair = self._waiting(0)
                if pair is not None and self._ahead.is_done(pair[0]):
                    await self._apply(*pair)
                elif pair is None and self._is_caught_up(now):
                    break
                else:
                    self._tell_why_waiting(now)
                    self._arm(now)
                    await self._wake.wait()
        finally:
            self.metrics.syncing = False
            if self._timer is not None:
                self._timer.cancel()
            self._verifiers.end()
            self._wanted.clear()
            self._fetched.clear()
            self._ahead.clear()
            for known, _ in self._large:
                known.decoding -= 1
            self._large.clear()
            self._undecoded_bytes = self._buffered_bytes = 0
            for known in self._peers.values():
                known.ask_no_more()
        applied = self.metrics.blocks_applied - before
        log.info("ended block sync", height=self._driver.state.last_block_height, applied=applied)
        return 0 if self._theirs.is_theirs else applied

    def _is_sole_validator(self) -> bool:
        validators = self._driver.state.validators
        return len(validators) == 1 and validators[0].address == self._our_address()

    @property
    def _next_height(self) -> int:
        return self._driver.state.next_height

    def claims(self) -> dict[str, Claim]:
        """By peer id, of those that have said which blocks they have."""
        return {
            id: Claim(known.height, is_chosen=known.peer.is_outbound or known.peer.is_persistent)
            for id, known in self._peers.items()
            if known.reported
        }

    @property
    def _able(self) -> list[SyncPeer]:
        """Those that claim to have the block that we need next."""
        height = self._next_height
        return [
            known for known in self._peers.values() if known.reported and max(known.base, known.pruned + 1) <= height
        ]

    @property
    def target(self) -> int:
        """Where those that can serve us are, as far as they can be believed; 0: nobody can."""
        claims = self.claims()
        return believed_height(claims[known.peer.id] for known in self._able)

    def _is_caught_up(self, now: int) -> bool:
        """The last block of all has no successor to prove it: consensus fetches that one.

        Claims decide only as far as most of them agree. What liars claim can't keep us here: nor those that deliver
        nothing (no progress), nor those that do deliver each block as it is made (the last one is seconds old; where
        our clock is wrong, by the pace).
        """
        state = self._driver.state
        if now - self._started_ns < SETTLE_NS:
            return False
        reported = [known for known in self._peers.values() if known.reported]
        if not reported:
            return self._could_block_alone()
        if len(reported) < len(self._peers) and now - self._started_ns < UNREPORTED_WAIT_NS:
            return False
        if self.target <= self._next_height and any(known.height <= self._next_height for known in reported):
            return True
        if (
            state.last_block_height
            and now - self._started_ns >= STALL_NS
            and is_level(state.last_block_time_ns, self._clock.now_ns())
        ):
            return True
        gains_nothing = self._theirs.is_theirs or now - self._progress_ns >= STALL_NS
        return gains_nothing and any(known.height <= state.last_block_height + 1 for known in reported)

    @property
    def waits_for(self) -> str:
        """Why nothing is fetched though this node syncs; empty: blocks are on their way, or it does not sync."""
        if self.metrics.syncing and (others := len(self._begun_otherwise)):
            return f"peers that began with this node's genesis: the first block of {others} does not follow from it"
        if not self.metrics.syncing or self._wanted or self._fetched:
            return ""
        if not self._peers:
            return "peers: none is connected"
        reported = [known for known in self._peers.values() if known.reported]
        if not reported:
            return "peers to say which blocks they have"
        if not self._able:
            lowest = min(known.base for known in reported)
            return f"a peer that still has block {self._next_height}: the lowest that is kept by any is {lowest}"
        return ""

    def _tell_why_waiting(self, now: int) -> None:
        why = self.waits_for
        self._waits_since_ns = (self._waits_since_ns or now) if why else 0
        if not why or now - self._waits_since_ns < TELL_WAITING_AFTER_NS:
            return
        if why != self._told or now - self._told_ns >= TELL_WAITING_EVERY_NS:
            self._told, self._told_ns = why, now
            log.warning("block sync waits", next_height=self._next_height, waits_for=why)

    def _could_block_alone(self) -> bool:
        """A third of the power is ours: the others cannot have gone on without us."""
        validators = self._driver.state.validators
        us = validators.by_address(self._our_address())
        total = validators.total_power
        return us is not None and total - us.voting_power <= two_thirds(total)

    def _ask(self, now: int) -> None:
        """Ask for what is next: spread over the peers, a second peer for the very next when the first is slow."""
        first = self._next_height
        highest = max((known.height for known in self._able), default=0)
        if highest - first >= MANY_BLOCKS and self.target - first >= MANY_BLOCKS:
            self._verifiers.begin()
        target = min(highest, first + AHEAD_MAX - 1)
        for height in range(first, target + 1):
            if height in self._fetched:
                continue
            if height > first + 1 and not self._has_room():
                return
            wanted = self._wanted.get(height)
            if wanted is not None:
                patience = 1 + (now - wanted.since_ns) // HEDGE_NS if height <= first + 1 else 1
                if len(wanted.asked) >= patience:
                    continue
            known = choose(self._peers.values(), height, () if wanted is None else wanted.asked)
            if known is None:
                if wanted is None:
                    return  # all are busy: later heights wait behind this one
                continue
            if not known.peer.try_send(BLOCK_SYNC_CHANNEL, BlockRequest(height).encode()):
                continue
            known.peer.expect(BLOCK_SYNC_CHANNEL, self._largest(), LATE_S)  # a late answer is still one
            if not known.asked:
                known.active_ns = now
            known.asked.add(height)
            if wanted is None:
                self._wanted[height] = Wanted([known.peer.id], now)
            else:
                wanted.asked.append(known.peer.id)

    def _has_room(self) -> bool:
        """For one more block in the buffer, with those that are on their way."""
        expected = self._block_bytes or min(self._driver.state.params.block_bytes_max, MIB)
        return self._buffered_bytes + len(self._wanted) * expected <= BUFFER_BYTES_MAX

    def _forgive_lateness(self, now: int) -> None:
        """A turn that comes long after it was due: we stood still (a suspended machine), not all peers at once."""
        late, self._due_ns = now - self._due_ns, now
        if late >= STOOD_STILL_NS:
            self._progress_ns += late
            for known in self._peers.values():
                known.active_ns += late

    def _expire(self, now: int) -> None:
        """Ask others instead of peers that were asked and are silent; ask for statuses again."""
        for known in list(self._peers.values()):
            if known.asked and now - known.active_ns >= PEER_TIMEOUT_NS:
                self.metrics.timeouts += 1
                self._give_up(known)
        if now - self._status_ns >= STATUS_EVERY_NS:
            self._status_ns = now
            self._ask_statuses()

    def _give_up(self, known: SyncPeer) -> None:
        self._limited.info("a peer is slow to send blocks", known.peer.id, asked=len(known.asked))
        for height in known.give_up():
            self._forget_request(known, height)

    def _drop(self, peer_id: str, reason: str) -> None:
        """Drop and ban; forget what it delivered and what it was asked for."""
        known = self._peers.get(peer_id)
        for height in [height for height, fetched in self._fetched.items() if fetched.peer_id == peer_id]:
            self._discard(height)
        if known is None:
            return
        for height in list(known.asked):
            self._forget_request(known, height)
        self._network.drop_peer(known.peer, f"block sync: {reason}", ban_s=BAN_S)
        self._peers.pop(peer_id, None)

    def _discard(self, height: int) -> None:
        fetched = self._fetched.pop(height)
        self._ahead.forget(fetched)
        self._buffered_bytes -= fetched.held_bytes

    def _arm(self, now: int) -> None:
        """Wake at the next deadline of any kind; everything else wakes by itself.

        What was due at `now` has been done. The next question for statuses is always ahead, so there is always one.
        """
        deadlines = [self._started_ns + SETTLE_NS, self._started_ns + UNREPORTED_WAIT_NS, self._progress_ns + STALL_NS]
        deadlines += [known.active_ns + PEER_TIMEOUT_NS for known in self._peers.values() if known.asked]
        for height in (self._next_height, self._next_height + 1):
            if height in self._wanted:
                deadlines.append(self._wanted[height].since_ns + HEDGE_NS * len(self._wanted[height].asked))
        due = self._status_ns + STATUS_EVERY_NS
        assert due > now, (due, now)  # _expire saw to it with the same `now`
        due = min([due, *(deadline for deadline in deadlines if deadline > now)])
        if self._timer is not None:
            self._timer.cancel()
        wait_ns = max(WAIT_NS_MIN, due - self._clock.monotonic_ns())
        self._due_ns = now + wait_ns
        self._timer = self._clock.call_later(wait_ns / NS_PER_S, self._wake.set)

    # -------------------------------------------------------------------------------------------------- applying

    def _waiting(self, after: int) -> tuple[Fetched, Fetched] | None:
        """A block that is here, and its successor, which has the commit for it."""
        first, second = (self._fetched.get(self._next_height + after + one) for one in (0, 1))
        return None if first is None or second is None else (first, second)

    async def _verify_ahead(self, first: Fetched, second: Fetched) -> None:
        if second.block.last_commit is not None:
            await self._driver.verify_ahead(first.block, first.block_id, second.block.last_commit)

    async def _apply(self, first: Fetched, second: Fetched) -> None:
        height = first.block.height
        try:
            commit = prove(self._driver.state, first, second, self._verifier)
            await self._driver.apply_synced_block(
                first.block, first.block_id, first.parts, commit, extended=first.extended
            )
        except Lie as error:
            self._blame(first, second, error)
            return
        except InvalidData as error:
            raise WrongSoftware(
                f"block {height} was decided by +2/3 of the validators and is refused here: {error}; "
                "this node's software, configuration or data differs from the network's"
                + (": at the first block most likely its genesis" if not self._driver.state.last_block_height else "")
            ) from error
        self._begun_otherwise.clear()
        self._discard(height)
        self._progress_ns = now = self._clock.monotonic_ns()
        self.metrics.blocks_applied += 1
        self.metrics.txs_applied += len(first.block.txs)
        self._pace.applied(now, len(first.block.txs))
        self._theirs.applied(now, first.block.header.time_ns)
        if now - self._progress_told_ns >= TELL_EVERY_NS:
            self._tell_progress(now)
        self._ahead.wake()
        await asyncio.sleep(0)

    def progress(self) -> SyncProgress | None:
        """None: blocks are not synced now."""
        if not self.metrics.syncing:
            return None
        now, height = self._clock.monotonic_ns(), self._driver.state.last_block_height
        blocks, txs = self._pace.rates(now)
        target = max(self.target, height)
        used = [known for known in self._peers.values() if known.is_used(now)]
        left = seconds_left(height, target, blocks)
        return SyncProgress(self._first_height, height, target, blocks, txs, len(used), left, self.waits_for)

    def measured(self) -> BlockSyncMetrics:
        """The metrics, with what is of now."""
        metrics, told = self.metrics, self.progress()
        metrics.target = 0 if told is None else told.target
        metrics.peers_used = 0 if told is None else told.peers
        metrics.blocks_per_second = 0.0 if told is None else told.blocks_per_second
        metrics.txs_per_second = 0.0 if told is None else told.txs_per_second
        return metrics

    def _tell_progress(self, now: int) -> None:
        self._progress_told_ns = now
        told = self.progress()
        assert told is not None
        log.info(
            "syncing blocks",
            height=told.height,
            target=told.target,
            percent=told.percent,
            blocks_per_s=told.blocks_per_second,
            txs_per_s=told.txs_per_second,
            peers=told.peers,
            seconds_left=told.seconds_left,
        )

    def _blame(self, first: Fetched, second: Fetched, error: Lie) -> None:
        """Drop and ban who lied."""
        height = first.block.height
        self.metrics.bad_blocks += 1
        self._limited.warning("refused a synced block", ",".join(error.liars), height=height, why=str(error))
        for fetched in (first, second):
            if fetched.peer_id in error.liars and fetched.block.height in self._fetched:
                self._discard(fetched.block.height)  # its sender may be gone already
        if height == self._driver.state.initial_height and len(self._begun_otherwise) < OTHERS_TOLD_MAX:
            self._begun_otherwise.update(error.liars)
        for peer_id in dict.fromkeys(error.liars):
            self._drop(peer_id, f"block {height}: {error}")
