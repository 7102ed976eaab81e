"""The snapshots that peers offer: which is tried next, and what is refused for good.

One snapshot is one key: height, format, number of chunks, hash and metadata; whoever says the same offers the same. The
highest goes first, then the newest format, then the one that most peers have (CometBFT v0.38, statesync/snapshots.go).
What a peer may put here is bounded: ten snapshots, as many as it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus.abci.interface import Snapshot
from consensus.p2p.conn.base import Peer

PER_PEER_MAX: Final = 10  # as upstream


@dataclass(slots=True, eq=False)
class Offer:
    snapshot: Snapshot
    peers: dict[str, Peer] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.snapshot.height, self.snapshot.format, len(self.peers)


class Offers:
    """preferred: the snapshot of which some is here already; it goes first while somebody has it."""

    def __init__(self, preferred: Snapshot | None = None) -> None:
        self._preferred = preferred
        self._offers: dict[Snapshot, Offer] = {}
        self._of: dict[str, int] = {}  # peer id -> how many it offered since it was asked
        self._refused: set[Snapshot] = set()
        self._refused_formats: set[int] = set()
        self._refused_peers: set[str] = set()

    def __len__(self) -> int:
        return len(self._offers)

    def asked(self, peer: Peer) -> None:
        """It names its snapshots anew: what it named before may be gone."""
        self.remove_peer(peer)
        self._of[peer.id] = 0

    def add(self, peer: Peer, snapshot: Snapshot) -> bool:
        """Whether it was asked for."""
        told = self._of.get(peer.id, PER_PEER_MAX)
        if told >= PER_PEER_MAX:
            return False
        self._of[peer.id] = told + 1
        if (
            snapshot in self._refused
            or snapshot.format in self._refused_formats
            or peer.id in self._refused_peers
            or sum(peer.id in offer.peers for offer in self._offers.values()) >= PER_PEER_MAX
        ):
            return True
        self._offers.setdefault(snapshot, Offer(snapshot)).peers[peer.id] = peer
        return True

    def remove_peer(self, peer: Peer) -> None:
        self._of.pop(peer.id, None)
        for offer in self._offers.values():
            if offer.peers.get(peer.id) is peer:
                del offer.peers[peer.id]
        self._offers = {snapshot: offer for snapshot, offer in self._offers.items() if offer.peers}

    def best(self) -> Offer | None:
        self._offers = {snapshot: offer for snapshot, offer in self._offers.items() if offer.peers}
        preferred = None if self._preferred is None else self._offers.get(self._preferred)
        return preferred or max(self._offers.values(), key=lambda offer: offer.rank, default=None)

    def refuse(self, snapshot: Snapshot) -> list[Peer]:
        """Never again; returns who offered it."""
        self._refused.add(snapshot)
        offer = self._offers.pop(snapshot, None)
        return [] if offer is None else list(offer.peers.values())

    def forget(self, snapshot: Snapshot) -> None:
        """Until somebody names it again."""
        self._offers.pop(snapshot, None)

    def refuse_format(self, format: int) -> None:
        self._refused_formats.add(format)
        for snapshot in [snapshot for snapshot in self._offers if snapshot.format == format]:
            del self._offers[snapshot]

    def refuse_peer(self, peer: Peer) -> None:
        """Take no snapshot of it, nor a chunk."""
        self._refused_peers.add(peer.id)
        of = self._of.get(peer.id)
        self.remove_peer(peer)
        if of is not None:
            self._of[peer.id] = of
