"""Gossip of evidence: channel 0x38, one item a message, to each peer that can judge it.

A peer can when it is past the evidence's height and the evidence is not too old for it. Event-driven: on new
evidence, on a peer's new height, on a queue with room; what stays pending is sent again every RESEND_S, since a peer
that could not judge it then may now, or had no room for it.

What comes in is judged first and remembered only if it is kept. A message of one small item is judged in place;
anything larger waits its turn, one message a peer, and is decoded and verified in a thread.
Source: CometBFT v0.38, spec/p2p/legacy-docs/messages/evidence.md, evidence/reactor.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from consensus.channels.peer_messages import CONSENSUS_MESSAGE_BYTES_MAX, EVIDENCE_CHANNEL
from consensus.evidence.pool import EvidencePool
from consensus.formats.errors import EvidenceUnverifiable, InvalidEvidence
from consensus.p2p.conn.base import ChannelDescriptor, Network, Peer, PeerFault
from consensus.state.state import State
from consensus.system.aside import Aside, Bill
from consensus.system.clock import Clock, Timer, Workers
from consensus.system.log_limit import LogLimit
from consensus.types.evidence import Evidence, encode_evidence_list, evidence_from_proto, parse_evidence_list

RESEND_S: Final = 10.0  # upstream restarts its list as often
ITEMS_PER_MESSAGE_MAX: Final = 64  # each costs two signature checks: 64 are 6 ms of a thread
INLINE_BYTES_MAX: Final = 2_048  # two votes with their block ids are some 400: 0.2 ms to judge
LARGE_WEIGHT_MAX: Final = 100  # of a large message that came to nothing; two a RESEND_S are forgiven
FALSE_BAN_S: Final = 60
WAITING_MAX: Final = 16  # messages of all peers that wait for the thread: 16 MB

log = structlog.get_logger(__name__)


class PeerHeights(Protocol):
    """The consensus reactor, as far as it is needed here."""

    @property
    def peer_heights(self) -> Mapping[str, tuple[int, int, int]]: ...


class HasState(Protocol):
    @property
    def state(self) -> State: ...


class EvidenceReactor:
    """Implements consensus.p2p.conn.base.Reactor."""

    def __init__(
        self,
        pool: EvidencePool,
        *,
        heights: PeerHeights,
        driver: HasState,
        network: Network,
        clock: Clock,
        workers: Workers,
    ) -> None:
        self._pool, self._heights, self._driver = pool, heights, driver
        self._network, self._clock, self._workers = network, clock, workers
        self._peers: dict[str, Peer] = {}
        self._known: dict[str, set[bytes]] = {}  # hashes of pending evidence that a peer sent or was sent
        self._senders: dict[bytes, str] = {}  # by offence, of what is judged now: it is not sent back
        self._waiting: deque[tuple[Peer, bytes]] = deque()
        self._judging = Aside(
            "judge evidence", clock, lambda: self._waiting.popleft() if self._waiting else None, self._judge_large
        )
        self._timer: Timer | None = None
        self._limited = LogLimit(log)
        pool.on_added(self._added)

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        return (ChannelDescriptor(EVIDENCE_CHANNEL, "evidence", 6, 16, CONSENSUS_MESSAGE_BYTES_MAX),)

    def stop(self) -> None:
        self._waiting.clear()
        self._judging.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add_peer(self, peer: Peer) -> None:
        self._peers[peer.id], self._known[peer.id] = peer, set()
        self._push(peer)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        if self._peers.get(peer.id) is peer:
            del self._peers[peer.id], self._known[peer.id]
            for waiting in [waiting for waiting in self._waiting if waiting[0] is peer]:
                self._waiting.remove(waiting)

    # ------------------------------------------------------------------------------------------------- sending

    def writable(self, channel_id: int, peer: Peer) -> None:
        if peer.id in self._peers:
            self._push(peer)

    def peer_advanced(self, peer_id: str) -> None:
        """The peer is in a new height."""
        peer = self._peers.get(peer_id)
        if peer is not None and self._pool.size:
            self._push(peer)

    def _added(self, evidence: Sequence[Evidence]) -> None:
        for item in evidence:
            sender = self._known.get(self._senders.get(item.offence, ""))
            if sender is not None:
                sender.add(item.hash)
        for peer in self._peers.values():
            self._push(peer)

    def _push(self, peer: Peer) -> None:
        known = self._known[peer.id]
        height = self._heights.peer_heights.get(peer.id, (0, 0, 0))[0]
        age_max = self._driver.state.params.evidence.max_age_num_blocks
        for evidence in self._pool.all_pending() if self._pool.size else ():
            if evidence.hash in known or not evidence.height < height <= evidence.height + age_max:
                continue
            message = encode_evidence_list([evidence])
            if len(message) > CONSENSUS_MESSAGE_BYTES_MAX:
                continue  # of a block, where the parameters allow more than a message holds: who sends it is dropped
            if not peer.try_send(EVIDENCE_CHANNEL, message):
                return
            known.add(evidence.hash)
        if self._pool.size and self._timer is None:
            self._timer = self._clock.call_later(RESEND_S, self._resend)

    def _resend(self) -> None:
        self._timer = None
        for peer in self._peers.values():
            self._known[peer.id].clear()
            self._push(peer)

    # ----------------------------------------------------------------------------------------------- receiving

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """Raises PeerFault: no evidence list, or an item that proves nothing."""
        if len(message) > INLINE_BYTES_MAX:
            self._take_later(peer, message)
            return
        try:
            for item in map(evidence_from_proto, parse_evidence_list(message, items_max=ITEMS_PER_MESSAGE_MAX)):
                self._begin(peer, item)
                self._judged(peer, item, is_new=self._pool.add(item))
        except EvidenceUnverifiable as error:
            self._not_judged(peer, error)
        except ValueError as error:  # InvalidData, or a key of a light block that is none
            raise PeerFault(f"evidence: {error}") from error
        finally:
            self._senders.clear()

    def _begin(self, peer: Peer, item: Evidence) -> None:
        """Raises InvalidEvidence: the list told it before. Honest ones do not, and what is known costs nothing else."""
        if item.offence in self._senders:
            raise InvalidEvidence("one offence is told twice in a list")
        self._senders[item.offence] = peer.id

    def _judged(self, peer: Peer, item: Evidence, *, is_new: bool) -> None:
        """Repeats are usual: peers send every RESEND_S what they have."""
        if not is_new and not self._pool.knows(item):
            peer.useless("evidence that is too old, too large, or one too many of its validator")

    def _not_judged(self, peer: Peer, error: EvidenceUnverifiable, *, weight: int = 1) -> None:
        """We lack the header or the set: behind, or pruned; or it is old. That is nobody's fault; it comes again."""
        peer.useless("evidence that cannot be judged here", weight)
        self._limited.info("could not judge evidence", peer.id, why=str(error))

    def _take_later(self, peer: Peer, message: bytes) -> None:
        """A message that finds no place is lost: it comes again in RESEND_S."""
        size_max = self._driver.state.params.evidence.max_bytes + INLINE_BYTES_MAX
        if len(message) > size_max:
            peer.useless("evidence that fits in no block")
        elif len(self._waiting) >= WAITING_MAX or any(waiting[0] is peer for waiting in self._waiting):
            peer.useless("more large evidence than can be judged")
        else:
            self._waiting.append((peer, message))
            self._judging.wake()

    async def _judge_large(self, job: tuple[Peer, bytes]) -> None:
        peer, message = job
        bill = Bill(self._workers)
        try:
            for item in await bill.run(partial(parse_evidence_list, message, items_max=ITEMS_PER_MESSAGE_MAX)):
                evidence = await self._pool.decode_aside(item, bill.run)
                self._begin(peer, evidence)
                self._judged(peer, evidence, is_new=await self._pool.add_aside(evidence, bill.run))
        except EvidenceUnverifiable as error:
            self._not_judged(peer, error, weight=min(LARGE_WEIGHT_MAX, 1 + len(message) // INLINE_BYTES_MAX))
        except ValueError as error:
            self._network.drop_peer(peer, f"evidence: {error}", ban_s=FALSE_BAN_S)
        finally:
            self._senders.clear()
            peer.spend_cpu(bill.spent_ns)
