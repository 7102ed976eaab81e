"""Who may have one of the places for peers: how many there are in all, inbound, and of one address; who goes for whom.

Strangers who keep quiet could hold all inbound places for ever, so a full house makes room for a newcomer from a part
of the internet (/16, /32 of IPv6) that has fewer places than another: there the inbound stranger goes that brought
least, the youngest of several; within one part the same by address. Where nobody has more than others, one of the
younger half of the places is passed on now and then. Nobody goes whom the operator named, whom we dialed, or who
brought something of late. What evictions can be used for is bounded by rates, and each makes the parts more even:
nobody can turn the house over with them.
Source: the idea is Bitcoin Core's (src/node/eviction.cpp): protect who is useful or old, thin out the largest group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import NodeAddress, host_group, is_loopback
from consensus.p2p.conn.errors import Rejected
from consensus.p2p.conn.link import Link
from consensus.p2p.conn.peer import SwitchPeer

USEFUL_HALF_LIFE_S = 300.0
USEFUL_ENOUGH = 8.0  # useful messages of late (halved each half-life): who brought so many is not asked to go
LEAD = 2  # a part of the internet has so many places more than the newcomer's, so it still has as many afterwards
EVICTION_GAP_S = 10.0  # between two evictions
EVICTION_PART_GAP_S = 600.0  # between two for one part or address: who comes and goes makes others go once
ROTATION_GAP_S = 60.0  # between two evictions where no part leads
ROTATION_AFTER_S = 600.0  # who is here shorter stays then
PARTS_MAX = 1_024  # parts and addresses that others went for of late; past this the oldest is forgotten


@dataclass(slots=True)
class _Brought:
    """What one inbound stranger brought: `score` at `at_s`, from `seen` useful messages."""

    part: str
    place: str
    since_s: float
    at_s: float
    score: float = 0.0
    seen: int = 0


class Places:
    """`is_named(id)`: whether the operator named it; then no limit here binds it, and it takes nobody's place."""

    def __init__(self, config: SwitchConfig, is_named: Callable[[str], bool]) -> None:
        self.config = config
        self._is_named = is_named
        self._brought: dict[str, _Brought] = {}  # of inbound peers, in the order of their coming
        self._evicted_for: dict[str, float] = {}  # part or address -> when, oldest first
        self._evicted_s = float("-inf")

    @property
    def inbound_max(self) -> int:
        """Those that we dial keep their places, half of all at most: strangers must not decide whom we can reach."""
        config = self.config
        return min(config.max_inbound_peers, config.max_peers - min(config.max_outbound_peers, config.max_peers // 2))

    def check_address(self, link: Link, peers: Iterable[SwitchPeer], links: Iterable[Link]) -> None:
        """Raises Rejected for a second identity from one IP, unless that is allowed or the operator named it.

        Whom we dial may share its address with a stranger who dialed us: that one does not decide whom we reach.
        """
        if self.config.allow_duplicate_ip or self._is_named(link.id):
            return
        place = host_group(link.remote_host)
        others = (*(peer.link for peer in peers), *(other for other in links if other.id))
        strangers = sum(
            other is not link
            and not other.is_closed
            and (other.is_outbound or not link.is_outbound)
            and not self._is_named(other.id)
            and host_group(other.remote_host) == place
            for other in others
        )
        allowed = self.config.loopback_strangers_max if is_loopback(link.remote_host) else 1
        if strangers >= allowed:
            raise Rejected(f"{place} is connected already (allow_duplicate_ip is off)")

    def check_outbound(self, peer_id: str, peers: Iterable[SwitchPeer]) -> None:
        """Raises Rejected when there is no room for one more that we dial."""
        if not self._is_named(peer_id) and len(self._counted(peers)) >= self.config.max_peers:
            raise Rejected(f"max_peers ({self.config.max_peers}) are connected")

    def check_inbound(self, peer_id: str, host: str, peers: Iterable[SwitchPeer], *, now_s: float) -> SwitchPeer | None:
        """Returns who has to go for this newcomer; None: there is room. Raises Rejected when there is none."""
        if self._is_named(peer_id):
            return None
        counted = self._counted(peers)
        inbound = [peer for peer in counted if not peer.is_outbound]
        if len(counted) < self.config.max_peers and len(inbound) < self.inbound_max:
            return None
        victim = self._victim(host, inbound, now_s)
        if victim is None:
            raise Rejected(f"{len(inbound)} inbound peers are connected (max_inbound_peers, max_peers)")
        return victim

    def _counted(self, peers: Iterable[SwitchPeer]) -> list[SwitchPeer]:
        return [peer for peer in peers if not peer.link.is_closed and not self._is_named(peer.id)]

    # --- who goes ---------------------------------------------------------------------------------------------

    def joined(self, peer: SwitchPeer, *, now_s: float) -> None:
        if not peer.is_outbound:
            self._brought[peer.id] = _Brought(part_of(peer.remote_host), host_group(peer.remote_host), now_s, now_s)

    def left(self, peer: SwitchPeer) -> None:
        self._brought.pop(peer.id, None)

    def look(self, peers: Iterable[SwitchPeer], *, now_s: float) -> None:
        """Take note of what they brought: now and then, so that no message costs anything for it."""
        for peer in peers:
            known = self._brought.get(peer.id)
            if known is not None:
                useful = peer.budget.useful_messages
                known.score = known.score * 0.5 ** ((now_s - known.at_s) / USEFUL_HALF_LIFE_S) + useful - known.seen
                known.at_s, known.seen = now_s, useful

    def evicted(self, newcomer_host: str, *, now_s: float) -> None:
        """Somebody went for a newcomer of this host."""
        self._evicted_s = now_s
        for name in (part_of(newcomer_host), host_group(newcomer_host)):
            self._evicted_for.pop(name, None)
            self._evicted_for[name] = now_s
        while len(self._evicted_for) > PARTS_MAX:
            del self._evicted_for[next(iter(self._evicted_for))]

    def _victim(self, host: str, inbound: list[SwitchPeer], now_s: float) -> SwitchPeer | None:
        """Of the part, else of the address, that holds most and leads the newcomer's; else one of the younger half."""
        if now_s - self._evicted_s < EVICTION_GAP_S or not inbound:
            return None
        self.look(inbound, now_s=now_s)
        here = [self._brought[peer.id] for peer in inbound]
        parts, places = Counter(known.part for known in here), Counter(known.place for known in here)
        part, place = part_of(host), host_group(host)
        idle = [peer for peer in inbound if self._brought[peer.id].score < USEFUL_ENOUGH]
        if not self._went_for(part, now_s):
            crowd = [parts[self._brought[peer.id].part] for peer in idle]
            if max(crowd, default=0) >= parts[part] + LEAD:
                return self._least(idle, crowd)
        # Whoever goes now must leave the parts as even as they are.
        fits = [peer for peer in idle if self._fits(peer, part, parts)]
        if not self._went_for(place, now_s):
            crowd = [places[self._brought[peer.id].place] for peer in fits]
            if max(crowd, default=0) >= places[place] + LEAD:
                return self._least(fits, crowd)
        if now_s - self._evicted_s < ROTATION_GAP_S or self._went_for(part, now_s):
            return None
        older = {peer.id for peer in inbound[: len(inbound) // 2]}
        return next(
            (
                peer
                for peer in fits
                if peer.id not in older and now_s - self._brought[peer.id].since_s >= ROTATION_AFTER_S
            ),
            None,
        )

    def _least(self, peers: list[SwitchPeer], crowd: list[int]) -> SwitchPeer:
        """Of the largest crowd (`crowd[i]` is that of `peers[i]`) who brought least, the youngest of several."""
        most = max(crowd)
        largest = [peer for peer, size in zip(peers, crowd, strict=True) if size == most]
        return min(reversed(largest), key=lambda peer: int(self._brought[peer.id].score))

    def _fits(self, peer: SwitchPeer, part: str, parts: Counter[str]) -> bool:
        other = self._brought[peer.id].part
        return other == part or parts[other] > parts[part]

    def _went_for(self, name: str, now_s: float) -> bool:
        """Whether somebody went of late for a newcomer of this part or address."""
        return now_s - self._evicted_for.get(name, float("-inf")) < EVICTION_PART_GAP_S


def part_of(host: str) -> str:
    """The part of the internet that a host is in: the address book's groups."""
    return NodeAddress("", host, 0).group(strict=False)
