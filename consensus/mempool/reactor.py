"""Gossip of transactions: channel 0x30 for bodies, channel 0x70 among our own nodes for hashes.

What was admitted through a door of this node goes at once, in batches, to every peer: nobody else can have it, so
announcing it first would cost a round trip and a hash each way and save nothing. What a peer sent is not passed on to
our own nodes but announced by hash, and fetched by those who lack it from one announcer at a time; towards a node that
the sender is connected to as well, even the announcement waits for long, since the sender has served it already. In a
full mesh a transaction therefore travels once to each node, and is announced only when it waits longer than it should.
Large transactions are always announced. CometBFT peers get bodies, after a short wait when they are not ours. What
still waits after AGAIN_NS is offered once more to everybody, and then ever more rarely: who had no room for it, or
forgot it, has another chance. What is asked of whom is decided in `consensus.mempool.wants`.
Source: docs/decisions/0004; CometBFT v0.38, mempool/reactor.go, and pull request 1472 (content-addressable gossip).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from consensus.channels.extension import EXTENSION_CHANNEL, HASHES_MAX, ExtensionMessage, ExtensionReactor, encode
from consensus.channels.peer_messages import MEMPOOL_CHANNEL, InvalidMessage, decode_txs, encode_txs
from consensus.formats.units import MIB, NS_PER_MS, NS_PER_S
from consensus.mempool.admission.entry import Entry, data_bytes
from consensus.mempool.admission.errors import TRY_LATER, Refusal
from consensus.mempool.pool import Pool
from consensus.mempool.wants import Random, Wants
from consensus.p2p.conn.base import ChannelDescriptor, Peer, PeerFault
from consensus.system.clock import Clock, Timer

BATCH_WINDOW_NS: Final = 5 * NS_PER_MS  # what was admitted within it goes in one message
BATCHES_APART_NS: Final = 20 * NS_PER_MS  # at least: a message costs 18 us, however few it holds (p2p_messages, paced)
BATCH_BYTES: Final = 65_536  # per message: a vote never waits behind more than this on a slow link
PUSH_BYTES_MAX: Final = 16_384  # a larger transaction is announced even when it is first-hand
RELAY_MIN_NS: Final = 5 * NS_PER_MS  # 5 to 20 ms: docs/decisions/0004
RELAY_SPREAD_NS: Final = 15 * NS_PER_MS
RELAY_STEP_NS: Final = 5 * NS_PER_MS  # what is due within one goes together
LATE_STEP_NS: Final = 50 * NS_PER_MS  # likewise, of announcements that hardly ever have anything left to announce
ANNOUNCE_LATE_NS: Final = 500 * NS_PER_MS  # towards a neighbour of the sender: only if the sender failed it, but
# not before what doors admit is committed: at a full load each would be announced, for nothing
AGAIN_NS: Final = 10 * NS_PER_S  # first; then after twice the time that it has waited
AGAIN_DOUBLINGS: Final = 5  # of the time until the next: every five minutes at last
AGAIN_TXS_MAX: Final = 512  # in one round, AGAIN_NS apart
AGAIN_BYTES_MAX: Final = 65_536  # of them to a peer that takes bodies alone
TWICE_BYTES_PER_S: Final = 131_072  # for what a peer asks for although it was sent it
TWICE_BYTES_MAX: Final = 2 * MIB  # of that saved up: a large one, or a pool's worth of small ones
OWED_MAX: Final = 16_384  # bodies or hashes waiting for a slow peer's queue; beyond it the oldest are forgotten
TXS_PER_MESSAGE_MAX: Final = 1_024  # 3 ms of the loop; with a signature each, half of them fill BATCH_BYTES
MESSAGE_OVERHEAD: Final = 16
GONE_MAX: Final = 64  # peers that left are remembered while their transactions are looked at
ALREADY_KNOWN: Final = frozenset({Refusal.ALREADY_HERE, Refusal.SEEN_BEFORE})
ASKED_TWICE: Final = "asked again for transactions that it was sent"


@dataclass(slots=True)
class TxGossipMetrics:
    received: int = 0  # bodies that peers sent
    duplicates: int = 0  # of them known already
    sent: int = 0
    announced: int = 0  # hashes, per peer
    announcements_received: int = 0
    wanted: int = 0
    want_timeouts: int = 0
    forgotten: int = 0  # owed to a peer that was too slow
    dropped_full: int = 0  # bodies that found the pool full


@dataclass(slots=True, eq=False)
class _PeerQueue:
    """What waits for a peer. is_ours: it has channel 0x70."""

    peer: Peer
    is_ours: bool
    bit: int  # of Entry.peers
    bodies: dict[bytes, Entry] = field(default_factory=dict)
    hashes: dict[bytes, Entry] = field(default_factory=dict)
    wants: dict[bytes, None] = field(default_factory=dict)
    twice_bytes: int = TWICE_BYTES_MAX  # what it may be sent again, as of twice_ns
    twice_ns: int = 0


class MempoolReactor:
    """Implements consensus.p2p.conn.base.Reactor (channel 0x30), consensus.channels.extension.ExtensionHandler, and for
    the rest of this room Gossip and Asking."""

    def __init__(self, pool: Pool, extension: ExtensionReactor, clock: Clock, random: Random) -> None:
        self._pool, self._extension, self._clock, self._random = pool, extension, clock, random
        self._peers: dict[str, _PeerQueue] = {}
        self._gone: dict[str, Peer] = {}  # who left lately: its work is done still, of the share of all strangers
        self._window: list[Entry] = []  # first-hand, to go when the window closes
        self._window_closed_ns = -BATCHES_APART_NS
        self._relays: list[tuple[int, int, str, Sequence[Entry]]] = []  # heap: due, number, peer, what
        self._numbers = itertools.count()
        self._relay_timer: Timer | None = None
        self._relay_timer_ns = 0
        self._receiving = True
        self._late_ns = max(ANNOUNCE_LATE_NS, pool.config.wait_ms_max * NS_PER_MS * 3 // 2)
        self._message_bytes_max = pool.config.tx_bytes_max + MESSAGE_OVERHEAD
        self._again_timer: Timer | None = None
        self.metrics = TxGossipMetrics()
        self.wants = Wants(pool, clock, random, self, self._silent)
        extension.add_handler(self)
        pool.on_admitted(self._admitted)
        pool.on_room(self.wants.pump_all)
        pool.set_gossip(self)

    def set_receiving(self, receiving: bool) -> None:
        """While the node syncs blocks, peers' transactions are ignored: it could not judge them.

        Afterwards it asks for what it missed: who sent or announced a transaction once does not do so again, and one
        that waits at a node that never proposes would wait for ever.
        """
        self._receiving = self.wants.is_asking = receiving
        if receiving:
            self.wants.pump_all()

    def _silent(self, count: int) -> None:
        self.metrics.want_timeouts += count

    # ------------------------------------------------------------------------------------- for the pool and wants

    def came_to_nothing(self, source: str, key: bytes) -> None:
        self.metrics.dropped_full += 1
        self.wants.came_to_nothing(source, key)

    def charge(self, source: str, *, cpu_ns: int, useless: dict[str, int]) -> None:
        queue = self._peers.get(source)
        if queue is not None:
            queue.peer.spend_cpu(cpu_ns)
            for kind, count in useless.items():
                queue.peer.useless(kind, count)
        elif (gone := self._gone.get(source)) is not None:
            gone.spend_cpu(cpu_ns)
            self._pool.source_gone(source)  # more is known of it than when it left

    def useless(self, peer_id: str, what: str) -> None:
        self.charge(peer_id, cpu_ns=0, useless={what: 1})

    def ask(self, peer_id: str, keys: Sequence[bytes]) -> None:
        queue = self._peers[peer_id]
        queue.wants.update(dict.fromkeys(keys))
        self._flush_wants(queue)

    # ---------------------------------------------------------------------------------------------------- peers

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        return (
            ChannelDescriptor(
                id=MEMPOOL_CHANNEL,
                name="mempool",
                priority=5,
                send_queue_messages=32,
                receive_message_bytes_max=max(self._message_bytes_max, 2 * BATCH_BYTES),
            ),
        )

    def add_peer(self, peer: Peer) -> None:
        queue = _PeerQueue(peer, self._extension.is_ours(peer), self._pool.peer_bits.take(peer.id))
        self._peers[peer.id] = queue
        entries = {entry.key: entry for entry in self._pool.entries()}
        if queue.is_ours:
            self.wants.add_peer(peer.id)
            queue.hashes = entries
        else:
            queue.bodies = entries
        self._flush(queue)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        queue = self._peers.get(peer.id)
        if queue is None or queue.peer is not peer:
            return
        del self._peers[peer.id]
        self._gone[peer.id] = peer
        if len(self._gone) > GONE_MAX:
            del self._gone[next(iter(self._gone))]
        for entry in self._pool.entries():
            entry.peers &= ~queue.bit  # it may come back with an empty mempool
        self._pool.peer_bits.give_back(peer.id)
        self.wants.remove_peer(peer.id)
        self._pool.source_gone(peer.id)

    def writable(self, channel_id: int, peer: Peer) -> None:
        queue = self._peers.get(peer.id)
        if queue is not None:
            self._flush(queue)

    def extension_writable(self, peer: Peer) -> None:
        self.writable(EXTENSION_CHANNEL, peer)

    # ------------------------------------------------------------------------------------------------- sending

    def _admitted(self, entries: Sequence[Entry]) -> None:
        """A batch that the pool took in: ours waits for the window, others' for their relay."""
        sources: dict[str, list[Entry]] = {}
        again_ns = self._clock.monotonic_ns() + AGAIN_NS
        for entry in entries:
            entry.again_ns = again_ns
            sources.setdefault(entry.source, []).append(entry)
        for source, batch in sources.items():
            if source:
                self._plan_relays(source, batch)
            else:
                if not self._window:
                    wait_ns = self._window_closed_ns + BATCHES_APART_NS - self._clock.monotonic_ns()
                    self._clock.call_later(max(BATCH_WINDOW_NS, wait_ns) / 1e9, self._close_window)
                self._window += batch
        if self._again_timer is None:
            self._again_timer = self._clock.call_later(AGAIN_NS / 1e9, self._offer_again)

    def _offer_again(self) -> None:
        """What waits for long is announced once more, oldest first, or sent to whom hashes mean nothing."""
        self._again_timer = None
        now = self._clock.monotonic_ns()
        if self._pool.size:
            self._again_timer = self._clock.call_later(AGAIN_NS / 1e9, self._offer_again)
        due = [entry for entry in self._pool.entries() if entry.again_ns <= now][:AGAIN_TXS_MAX]
        size, bodies = 0, []
        for entry in due:
            entry.offered_again += 1
            entry.again_ns = now + AGAIN_NS * 2 ** min(entry.offered_again, AGAIN_DOUBLINGS)
            size += len(entry.tx)
            if size <= AGAIN_BYTES_MAX:
                bodies.append(entry)
        for id, queue in self._peers.items():
            for entry in due if queue.is_ours else bodies:
                if entry.source != id:
                    entry.peers &= ~queue.bit
            self._owe(queue.hashes if queue.is_ours else queue.bodies, due if queue.is_ours else bodies)
            self._flush(queue)

    def _close_window(self) -> None:
        """Send what gathered; a message that goes to several peers is encoded once."""
        entries = [entry for entry in self._window if self._pool.get(entry.key) is entry]
        self._window, self._window_closed_ns = [], self._clock.monotonic_ns()
        small = [entry for entry in entries if len(entry.tx) <= PUSH_BYTES_MAX]
        large = [entry for entry in entries if len(entry.tx) > PUSH_BYTES_MAX]
        batches = [(batch, encode_txs([entry.tx for entry in batch])) for batch in _batches(small)]
        for queue in self._peers.values():
            self._push(queue, batches)
            if large:
                self._owe(queue.hashes if queue.is_ours else queue.bodies, large)
            self._flush(queue)

    def _push(self, queue: _PeerQueue, batches: Iterable[tuple[list[Entry], bytes]]) -> None:
        bit, peer = queue.bit, queue.peer
        for batch, message in batches:
            if queue.bodies or any(entry.peers & bit for entry in batch):
                self._owe(queue.bodies, batch)  # behind what waits already, or without what it has
            elif peer.try_send(MEMPOOL_CHANNEL, message):
                self.metrics.sent += len(batch)
                for entry in batch:
                    entry.peers |= bit
            else:
                self._owe(queue.bodies, batch)

    def _plan_relays(self, source: str, batch: list[Entry]) -> None:
        now = self._clock.monotonic_ns()
        for id, queue in self._peers.items():
            if id == source:
                continue
            due, step = now + RELAY_MIN_NS + self._random.randrange(RELAY_SPREAD_NS), RELAY_STEP_NS
            if queue.is_ours and self._extension.are_neighbours(source, id):
                due, step = due + self._late_ns, LATE_STEP_NS
            heapq.heappush(self._relays, (-(-due // step) * step, next(self._numbers), id, batch))
        self._arm_relays()

    def _arm_relays(self) -> None:
        if not self._relays:
            return
        due = self._relays[0][0]
        if self._relay_timer is not None:
            if self._relay_timer_ns <= due:
                return
            self._relay_timer.cancel()
        self._relay_timer_ns = due
        delay = max(0, due - self._clock.monotonic_ns())
        self._relay_timer = self._clock.call_later(delay / 1e9, self._relay)

    def _relay(self) -> None:
        self._relay_timer = None
        now = self._clock.monotonic_ns()
        flush: dict[str, _PeerQueue] = {}
        while self._relays and self._relays[0][0] <= now:
            _, _, id, batch = heapq.heappop(self._relays)
            queue = self._peers.get(id)
            if queue is None:
                continue
            lacking = [entry for entry in batch if not entry.peers & queue.bit and self._pool.get(entry.key) is entry]
            if lacking:
                self._owe(queue.hashes if queue.is_ours else queue.bodies, lacking)
                flush[id] = queue
        for queue in flush.values():
            self._flush(queue)
        self._arm_relays()

    def _owe(self, owed: dict[bytes, Entry], entries: Iterable[Entry]) -> None:
        for entry in entries:
            owed[entry.key] = entry
        for key in list(itertools.islice(owed, max(0, len(owed) - OWED_MAX))):
            del owed[key]
            self.metrics.forgotten += 1

    def _flush(self, queue: _PeerQueue) -> None:
        """Send what is owed as far as the peer's queues have room; `writable` calls again."""
        if queue.wants:
            self._flush_wants(queue)
        if queue.bodies:
            self._flush_bodies(queue)
        if queue.hashes:
            self._flush_hashes(queue)

    def _flush_bodies(self, queue: _PeerQueue) -> None:
        peer, bit = queue.peer, queue.bit
        while queue.bodies and peer.queue_room(MEMPOOL_CHANNEL):
            batch = self._next_bodies(queue)
            if not batch:
                return
            if not peer.try_send(MEMPOOL_CHANNEL, encode_txs([entry.tx for entry in batch])):
                queue.bodies = {entry.key: entry for entry in batch} | queue.bodies
                return
            self.metrics.sent += len(batch)
            for entry in batch:
                entry.peers |= bit

    def _next_bodies(self, queue: _PeerQueue) -> list[Entry]:
        """A message's worth of what it lacks is taken off, with what it need not have any more. One walk a message: a
        dict is read past all that left its front."""
        batch: list[Entry] = []
        size = past = 0
        for entry in queue.bodies.values():
            if not entry.peers & queue.bit and self._pool.get(entry.key) is entry:
                if batch and (size + len(entry.tx) > BATCH_BYTES or len(batch) == TXS_PER_MESSAGE_MAX):
                    break
                batch.append(entry)
                size += data_bytes(len(entry.tx))
            past += 1
        for key in list(itertools.islice(queue.bodies, past)):
            del queue.bodies[key]
        return batch

    def _flush_hashes(self, queue: _PeerQueue) -> None:
        peer = queue.peer
        while queue.hashes and peer.queue_room(EXTENSION_CHANNEL):
            batch = [
                entry
                for entry in itertools.islice(queue.hashes.values(), HASHES_MAX)
                if not entry.peers & queue.bit and self._pool.get(entry.key) is entry
            ]
            message = ExtensionMessage(have_txs=tuple(entry.key for entry in batch))
            if batch and not peer.try_send(EXTENSION_CHANNEL, encode(message)):
                return
            for key in list(itertools.islice(queue.hashes, HASHES_MAX)):
                del queue.hashes[key]
            self.metrics.announced += len(batch)

    def _flush_wants(self, queue: _PeerQueue) -> None:
        while queue.wants:
            keys = tuple(itertools.islice(queue.wants, HASHES_MAX))
            if not queue.peer.try_send(EXTENSION_CHANNEL, encode(ExtensionMessage(want_txs=keys))):
                return
            for key in keys:
                del queue.wants[key]
            self.metrics.wanted += len(keys)

    # ----------------------------------------------------------------------------------------------- receiving

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """Txs: each is queued for admission unless known. Bad ones cost nobody the connection."""
        try:
            txs = decode_txs(message, bytes_max=max(self._message_bytes_max, 2 * BATCH_BYTES))
        except InvalidMessage as error:
            raise PeerFault(str(error)) from error
        if len(txs) > TXS_PER_MESSAGE_MAX:
            raise PeerFault(f"mempool: {len(txs)} transactions in one message, at most {TXS_PER_MESSAGE_MAX}")
        pool, metrics, tx_bytes_max, wants = self._pool, self.metrics, self._pool.config.tx_bytes_max, self.wants
        if not self._receiving:
            self.wants.heard(peer.id, [sha256(tx).digest() for tx in txs if len(tx) <= tx_bytes_max])
            return
        metrics.received += len(txs)
        id, bit, get, wanted = peer.id, pool.peer_bits.of(peer.id), pool.get, wants.wanted
        fresh: list[bytes] = []
        keys: list[bytes] = []
        asked: list[bytes] = []
        for tx in txs:
            if len(tx) > tx_bytes_max:
                continue  # not even hashed
            key = sha256(tx).digest()
            if key in wanted:
                asked.append(key)
            entry = get(key)
            if entry is not None:
                entry.peers |= bit
                metrics.duplicates += 1
            else:
                fresh.append(tx)
                keys.append(key)
        answers = pool.offer(fresh, keys, source=id) if fresh else []
        for key in asked:
            wants.arrived(key, id)
        for key, refused in zip(keys, answers, strict=True):
            if refused is None:
                continue
            if refused.code in ALREADY_KNOWN:
                self.metrics.duplicates += 1
            elif refused.code in TRY_LATER:
                self.came_to_nothing(id, key)

    def receive_extension(self, peer: Peer, message: ExtensionMessage) -> None:
        queue = self._peers.get(peer.id)
        if queue is None:
            return
        if message.have_txs:
            self.metrics.announcements_received += len(message.have_txs)
            self.wants.heard(peer.id, message.have_txs)
        if message.want_txs:
            self._asked_for(queue, message.want_txs)

    def _asked_for(self, queue: _PeerQueue, keys: Sequence[bytes]) -> None:
        is_too_much = False
        for key in keys:
            entry = self._pool.get(key)
            if entry is None or key in queue.bodies:
                continue
            if entry.peers & queue.bit:  # it says itself that it lacks it: it had no room, or asks to make us send
                if not self._may_send_twice(queue, len(entry.tx)):
                    is_too_much = True
                    continue
                entry.peers &= ~queue.bit
            queue.bodies[key] = entry
        if is_too_much:
            queue.peer.useless(ASKED_TWICE)
        self._owe(queue.bodies, ())
        self._flush(queue)

    def _may_send_twice(self, queue: _PeerQueue, size: int) -> bool:
        now = self._clock.monotonic_ns()
        earned = (now - queue.twice_ns) * TWICE_BYTES_PER_S // NS_PER_S
        queue.twice_bytes, queue.twice_ns = min(TWICE_BYTES_MAX, queue.twice_bytes + earned), now
        if queue.twice_bytes < size:
            return False
        queue.twice_bytes -= size
        return True


def _batches(entries: Sequence[Entry]) -> Iterable[list[Entry]]:
    """In order, each of at most BATCH_BYTES (or one larger transaction) and TXS_PER_MESSAGE_MAX."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (size + len(entry.tx) > BATCH_BYTES or len(batch) == TXS_PER_MESSAGE_MAX):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += data_bytes(len(entry.tx))
    if batch:
        yield batch
