"""Who may come in: bans that expire and grow with each offence, and the gate that unknown connections pass.

Pure but for the clocks it is given. Everything here is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.address import NodeAddress, host_group
from consensus.p2p.conn.errors import ForeignChain, Rejected

BANS_MAX = 10_000  # ids are free to make: past this, the ban that ends first makes room
KNOWN_HOSTS_MAX = 256
GATE_HOSTS_MAX = 4_096  # remembered hosts; past this the oldest is forgotten
FRESH_S = 60.0  # a host that was let in so recently shares half of what may come in a second
STAYED_S = 5.0  # a peer here for so long was none of a flood: with 40 places, 8 hosts a second at most can pretend it
HELD_PER_S = 2  # connections of a host whose next stranger has to wait anyway: a handshake costs us a millisecond
HANDSHAKE_S = 1.0  # what an honest handshake takes at most on a bad line; who takes longer may have to make room
OTHERS_MAX = 64  # ids are free to make; past this the oldest is forgotten
OFFENCES_MAX = 4_096  # remembered names; past this the oldest is forgotten
OFFENCE_FORGOTTEN_S = 6 * 3600.0
BAN_FIRST_S = 60
BAN_MAX_S = 24 * 3600
FAULTS_FORGIVEN = 2  # breaches of the protocol: an upgrade gone wrong, a bug; then each is an offence

Entrant = TypeVar("Entrant", bound=Hashable)


class Bans:
    """Node ids that may not connect, each until its time. `clock` gives nanoseconds since the epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._until_ns: dict[str, int] = {}

    def ban(self, peer_id: str, ban_s: int) -> None:
        until_ns = self._clock() + ban_s * NS_PER_S
        self._until_ns[peer_id] = max(until_ns, self._until_ns.get(peer_id, 0))
        if len(self._until_ns) > BANS_MAX:
            del self._until_ns[min(self._until_ns, key=lambda id: self._until_ns[id])]

    def lift(self, peer_id: str) -> bool:
        return self._until_ns.pop(peer_id, None) is not None

    def left_s(self, peer_id: str) -> float:
        """Seconds until the ban of `peer_id` ends; 0 when it is not banned."""
        until_ns = self._until_ns.get(peer_id)
        if until_ns is None:
            return 0.0
        left_ns = until_ns - self._clock()
        if left_ns <= 0:
            del self._until_ns[peer_id]
            return 0.0
        return left_ns / NS_PER_S

    def all(self) -> dict[str, int]:
        """{id: until, ns}, those that still hold."""
        return {id: until for id, until in self._until_ns.items() if until > self._clock()}


class Offences:
    """How often a name (a node id, a part of the internet) gave offence of late. `time_s`: seconds that only rise."""

    def __init__(self, time_s: Callable[[], float]) -> None:
        self._time_s = time_s
        self._of: dict[str, tuple[int, float]] = {}

    def add(self, name: str) -> int:
        """Count one more; returns how many there are within `OFFENCE_FORGOTTEN_S` of one another."""
        now = self._time_s()
        count, last = self._of.pop(name, (0, now))
        count = count + 1 if now - last < OFFENCE_FORGOTTEN_S else 1
        self._of[name] = (count, now)
        if len(self._of) > OFFENCES_MAX:
            del self._of[next(iter(self._of))]
        return count


def ban_seconds(offences: int, *, forgiven: int) -> int:
    """How long to keep away who gave offence so often: not at all at first, then four times as long each time."""
    if offences <= forgiven:
        return 0
    return min(BAN_FIRST_S << 2 * min(offences - forgiven - 1, 16), BAN_MAX_S)


@dataclass(slots=True)
class _Entry:
    host: str  # its group
    crowd: str  # whose connections count together where strangers compete
    is_stranger: bool
    since_s: float


class Gate(Generic[Entrant]):
    """Bounds what connections cost that have not proved an identity. Answers CVE-2020-5303.

    Counted by `host_group` (an IPv4 address, an IPv6 /64) and over all. Hosts of peers that the operator named are
    counted by themselves: a flood from everywhere must not keep a validator out. A few hosts must not keep other
    strangers out either: those who hold most, or hold on for long, make room, and half of what may come in a second is
    for hosts that were not here of late.
    """

    def __init__(
        self, *, total_max: int, per_host_max: int, per_host_per_s: int, per_s: int, time_s: Callable[[], float]
    ) -> None:
        self._total_max = total_max
        self._per_host_max = per_host_max
        self._per_host_per_s = per_host_per_s
        self._per_s = per_s
        self._time_s = time_s
        self._entries: dict[Entrant, _Entry] = {}  # oldest first
        self._open: Counter[str] = Counter()  # by host
        self._strangers: Counter[str] = Counter()  # by crowd
        self._second = 0
        self._accepted: Counter[str] = Counter()  # by host, in this second
        self._accepted_fresh = self._accepted_again = 0  # strangers in this second
        self._seen_s: dict[str, float] = {}  # crowd -> when one of it was let in last, oldest first
        self.known: dict[str, None] = {}  # groups of named peers' hosts, KNOWN_HOSTS_MAX of them

    def add_known(self, host: str) -> None:
        group = host_group(host)
        self.known.pop(group, None)
        self.known[group] = None
        if len(self.known) > KNOWN_HOSTS_MAX:
            del self.known[next(iter(self.known))]

    @property
    def unauthenticated(self) -> int:
        return len(self._entries)

    def enter(self, host: str, entrant: Entrant, *, is_held: bool = False) -> Entrant | None:
        """Count a connection in; returns the one that has to go for it, already counted out, or None.

        `is_held`: strangers of this host have to wait, and none is known good. Raises Rejected, then it is not counted.
        """
        now = self._time_s()
        group = host_group(host)
        crowd = _crowd(host, group)
        is_stranger = group not in self.known
        is_fresh = now - self._seen_s.get(crowd, float("-inf")) >= FRESH_S
        per_s = HELD_PER_S if is_held and is_stranger else self._per_host_per_s
        self._check_rates(group, per_s, is_stranger=is_stranger, is_fresh=is_fresh)
        victim = None
        if self._open[group] >= self._per_host_max:
            victim = next((other for other, entry in self._entries.items() if entry.host == group), None)
            if victim is None or now - self._entries[victim].since_s < HANDSHAKE_S:
                raise Rejected(f"{self._per_host_max} connections of {group} wait for authentication already")
        elif is_stranger and self._strangers.total() >= self._total_max:
            victim = self._slowest(crowd, now)
            if victim is None:
                raise Rejected(f"{self._total_max} connections wait for authentication already")
        if victim is not None:
            self.leave(victim)
        self._entries[entrant] = _Entry(group, crowd, is_stranger, now)
        self._open[group] += 1
        self._accepted[group] += 1
        if is_stranger:
            self._strangers[crowd] += 1
            self._accepted_fresh += is_fresh
            self._accepted_again += not is_fresh
            self._seen_s.pop(crowd, None)
            self._seen_s[crowd] = now
            if len(self._seen_s) > GATE_HOSTS_MAX:
                del self._seen_s[next(iter(self._seen_s))]
        return victim

    def peer_left(self, host: str, *, connected_s: float) -> None:
        """A peer from there left that had given no offence. Who stayed for a while and returns is fresh again: a flood
        from many hosts would keep out the very strangers that were here when it began."""
        if connected_s >= STAYED_S:
            self._seen_s.pop(_crowd(host, host_group(host)), None)

    def leave(self, entrant: Entrant) -> None:
        """Idempotent."""
        entry = self._entries.pop(entrant, None)
        if entry is None:
            return
        _count_down(self._open, entry.host)
        if entry.is_stranger:
            _count_down(self._strangers, entry.crowd)

    def _slowest(self, crowd: str, now: float) -> Entrant | None:
        """The eldest of the crowd that holds most, if it holds more than the newcomer's; else whoever takes long."""
        most = max(self._strangers.values(), default=0)
        leads = most >= self._strangers[crowd] + 2
        for entrant, entry in self._entries.items():
            if entry.is_stranger and (not leads or self._strangers[entry.crowd] == most):
                return entrant if leads or now - entry.since_s >= HANDSHAKE_S else None
        return None

    def _check_rates(self, group: str, host_per_s: int, *, is_stranger: bool, is_fresh: bool) -> None:
        second = int(self._time_s())
        if second != self._second:
            self._second = second
            self._accepted.clear()
            self._accepted_fresh = self._accepted_again = 0
        if self._accepted[group] >= host_per_s:
            raise Rejected(f"{group} opened {host_per_s} connections within a second")
        again_max = self._per_s - self._per_s // 2
        full = self._accepted_fresh + self._accepted_again >= self._per_s
        if is_stranger and (full or (not is_fresh and self._accepted_again >= again_max)):
            raise Rejected(f"strangers opened {self._per_s} connections within a second")


def _crowd(host: str, group: str) -> str:
    return NodeAddress("", host, 0).group(strict=False) if "/" in group else group  # IPv6: a /32


def _count_down(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]


class ForeignChains:
    """Nodes that did not become peers since they are of another chain, or began ours with another genesis."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def met(self, peer_id: str, error: Exception | None) -> bool:
        """What kept a connection from becoming a peer: whether it is of that kind, and news."""
        if not isinstance(error, ForeignChain):
            return False
        why = str(error)
        is_news = self._why.pop(peer_id, None) != why
        self._why[peer_id] = why
        if len(self._why) > OTHERS_MAX:
            del self._why[next(iter(self._why))]
        return is_news

    def joined(self, peer_id: str) -> None:
        self._why.pop(peer_id, None)

    def __str__(self) -> str:
        """A sentence for who looks for peers; empty: none was met."""
        if not self._why:
            return ""
        newest = next(reversed(self._why))
        return f"{len(self._why)} did not become a peer, last {newest}: {self._why[newest]}"
