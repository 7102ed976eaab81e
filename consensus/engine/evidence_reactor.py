"""Gossip of evidence: channel 0x38, one item a message, to each peer that can judge it.

A peer can when it is past the evidence's height and the evidence is not too old for it. Event-driven: on new
evidence, on a peer's new height, on a queue with room; what stays pending is sent again every RESEND_S, since a peer
that could not judge it then may now.
Source: engine sheet section 10; CometBFT v0.38, evidence/reactor.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from consensus.engine.clock import Clock, Timer
from consensus.engine.evidence_pool import EvidencePool
from consensus.engine.messages import CONSENSUS_MESSAGE_BYTES_MAX, EVIDENCE_CHANNEL
from consensus.types.errors import EvidenceUnverifiable
from consensus.types.evidence import Evidence, decode_evidence_list, encode_evidence_list
from consensus.types.state import State
from p2p.base import ChannelDescriptor, Peer, PeerFault

RESEND_S: Final = 10.0  # upstream restarts its list as often
ITEMS_PER_MESSAGE_MAX: Final = 64  # each costs two signature checks: 64 are 6 ms

log = structlog.get_logger(__name__)


class PeerHeights(Protocol):
    """The consensus reactor, as far as it is needed here."""

    @property
    def peer_heights(self) -> Mapping[str, tuple[int, int, int]]: ...


class HasState(Protocol):
    @property
    def state(self) -> State: ...


class EvidenceReactor:
    """Implements p2p.base.Reactor."""

    def __init__(self, pool: EvidencePool, heights: PeerHeights, driver: HasState, clock: Clock) -> None:
        self._pool, self._heights, self._driver, self._clock = pool, heights, driver, clock
        self._peers: dict[str, Peer] = {}
        self._known: dict[str, set[bytes]] = {}  # hashes that a peer sent or was sent
        self._timer: Timer | None = None
        pool.on_added(self._added)

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        return (ChannelDescriptor(EVIDENCE_CHANNEL, "evidence", 6, 16, CONSENSUS_MESSAGE_BYTES_MAX),)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add_peer(self, peer: Peer) -> None:
        self._peers[peer.id], self._known[peer.id] = peer, set()
        self._push(peer)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        if self._peers.get(peer.id) is peer:
            del self._peers[peer.id], self._known[peer.id]

    def writable(self, channel_id: int, peer: Peer) -> None:
        if peer.id in self._peers:
            self._push(peer)

    def peer_advanced(self, peer_id: str) -> None:
        """The peer is in a new height."""
        peer = self._peers.get(peer_id)
        if peer is not None and self._pool.size:
            self._push(peer)

    def _added(self, evidence: Evidence) -> None:
        for peer in self._peers.values():
            self._push(peer)

    def _push(self, peer: Peer) -> None:
        known = self._known[peer.id]
        height = self._heights.peer_heights.get(peer.id, (0, 0, 0))[0]
        age_max = self._driver.state.params.evidence.max_age_num_blocks
        for evidence in self._pool.all_pending() if self._pool.size else ():
            if evidence.hash in known or not evidence.height < height <= evidence.height + age_max:
                continue
            if not peer.try_send(EVIDENCE_CHANNEL, encode_evidence_list([evidence])):
                return
            known.add(evidence.hash)
        if self._pool.size and self._timer is None:
            self._timer = self._clock.call_later(RESEND_S, self._resend)

    def _resend(self) -> None:
        self._timer = None
        for peer in self._peers.values():
            self._known[peer.id].clear()
            self._push(peer)

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """Raises PeerFault: no evidence list, or an item that proves nothing."""
        try:
            items = decode_evidence_list(message)
            if not 0 < len(items) <= ITEMS_PER_MESSAGE_MAX:
                raise PeerFault(f"evidence: {len(items)} items in a message; allowed: 1 to {ITEMS_PER_MESSAGE_MAX}")
            for item in items:
                if peer.id in self._known:
                    self._known[peer.id].add(item.hash)
                self._take(peer, item)
        except ValueError as error:  # InvalidData, or a key of a light block that is none
            raise PeerFault(f"evidence: {error}") from error

    def _take(self, peer: Peer, item: Evidence) -> None:
        try:
            self._pool.add(item)
        except EvidenceUnverifiable as error:
            # We lack the header or the set: behind, or pruned. That is nobody's fault.
            log.info("could not judge evidence", peer=peer.id, height=item.height, why=str(error))
