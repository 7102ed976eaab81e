"""The snapshots that peers offer: which is tried next, and what is refused for good.

One snapshot is one key: height, format, number of chunks, hash and metadata; whoever says the same offers the same. The
highest goes first, then the newest format, then the one that most peers have (CometBFT v0.38, statesync/snapshots.go);
but before all that, what comes of a peer that we chose, since anybody may connect to us by the dozen, and of peers none
of whose offers came to nothing before: a liar costs one try, not one an offer.
What a peer may put here is bounded: ten snapshots, as many as it is asked for, and the bytes of two of the largest. Of
what is refused its digest is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus.abci.interface import Snapshot
from consensus.channels.state_sync_messages import SNAPSHOT_MESSAGE_BYTES_MAX, SnapshotsResponse
from consensus.p2p.conn.base import Peer
from crypto.hash import sha256

PER_PEER_MAX: Final = 10  # as upstream
BYTES_PER_PEER_MAX: Final = 2 * SNAPSHOT_MESSAGE_BYTES_MAX  # of metadata: two snapshots of a state of 100 GB


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
        self._bytes: dict[str, int] = {}  # peer id -> of metadata that it offered since it was asked
        self._doubts: dict[str, int] = {}  # peer id -> how many of its offers came to nothing
        self._refused: set[bytes] = set()  # digests: metadata is large
        self._refused_formats: set[int] = set()
        self._refused_peers: set[str] = set()

    def __len__(self) -> int:
        return len(self._offers)

    def asked(self, peer: Peer) -> None:
        """It names its snapshots anew: what it named before may be gone."""
        self.remove_peer(peer)
        self._of[peer.id] = self._bytes[peer.id] = 0

    def add(self, peer: Peer, snapshot: Snapshot) -> bool:
        """Whether it was asked for."""
        told = self._of.get(peer.id, PER_PEER_MAX)
        if told >= PER_PEER_MAX:
            return False
        self._of[peer.id] = told + 1
        self._bytes[peer.id] = self._bytes.get(peer.id, 0) + len(snapshot.metadata)
        if (
            self._bytes[peer.id] > BYTES_PER_PEER_MAX
            or _digest(snapshot) in self._refused
            or snapshot.format in self._refused_formats
            or peer.id in self._refused_peers
            or sum(peer.id in offer.peers for offer in self._offers.values()) >= PER_PEER_MAX
        ):
            return True
        self._offers.setdefault(snapshot, Offer(snapshot)).peers[peer.id] = peer
        return True

    def remove_peer(self, peer: Peer) -> None:
        self._of.pop(peer.id, None)
        self._bytes.pop(peer.id, None)
        for offer in self._offers.values():
            if offer.peers.get(peer.id) is peer:
                del offer.peers[peer.id]
        self._offers = {snapshot: offer for snapshot, offer in self._offers.items() if offer.peers}

    def best(self) -> Offer | None:
        self._offers = {snapshot: offer for snapshot, offer in self._offers.items() if offer.peers}
        preferred = None if self._preferred is None else self._offers.get(self._preferred)
        return preferred or max(self._offers.values(), key=self._order, default=None)

    def _order(self, offer: Offer) -> tuple[bool, int, tuple[int, int, int]]:
        peers = offer.peers.values()
        is_chosen = any(peer.is_outbound or peer.is_persistent for peer in peers)
        return is_chosen, -min(self._doubts.get(peer.id, 0) for peer in peers), offer.rank

    def _doubt(self, offer: Offer | None) -> list[Peer]:
        peers = [] if offer is None else list(offer.peers.values())
        for peer in peers:
            self._doubts[peer.id] = self._doubts.get(peer.id, 0) + 1
        return peers

    def refuse(self, snapshot: Snapshot) -> list[Peer]:
        """Never again; returns who offered it."""
        self._refused.add(_digest(snapshot))
        return self._doubt(self._offers.pop(snapshot, None))

    def forget(self, snapshot: Snapshot) -> None:
        """Until somebody names it again."""
        self._doubt(self._offers.pop(snapshot, None))

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


def _digest(snapshot: Snapshot) -> bytes:
    return sha256(SnapshotsResponse(snapshot).encode())
