"""Who may come in: bans that expire and grow with each offence, and the gate that unknown connections pass.

Pure but for the clocks it is given. Everything here is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from p2p.address import host_group
from p2p.errors import Rejected

BANS_MAX = 10_000  # ids are free to make: past this, the ban that ends first makes room
KNOWN_HOSTS_MAX = 256
GATE_HOSTS_MAX = 4_096  # remembered hosts; past this the table starts anew
OFFENCES_MAX = 4_096  # remembered names; past this the oldest is forgotten
OFFENCE_FORGOTTEN_S = 6 * 3600.0
BAN_FIRST_S = 60
BAN_MAX_S = 24 * 3600
FAULTS_FORGIVEN = 2  # breaches of the protocol: an upgrade gone wrong, a bug; then each is an offence
NS_PER_S = 1_000_000_000


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


class Gate:
    """Bounds what connections cost that have not proved an identity. Answers CVE-2020-5303.

    Counted by `host_group` (an IPv4 address, an IPv6 /64) and over all. Hosts of peers that the operator named are
    counted by themselves: a flood from everywhere must not keep a validator out.
    """

    def __init__(
        self, *, total_max: int, per_host_max: int, per_host_per_s: int, per_s: int, time_s: Callable[[], float]
    ) -> None:
        self._total_max = total_max
        self._per_host_max = per_host_max
        self._per_host_per_s = per_host_per_s
        self._per_s = per_s
        self._time_s = time_s
        self._open: Counter[str] = Counter()
        self._strangers = 0  # of `_open`
        self._second = 0
        self._accepted: Counter[str] = Counter()  # in this second
        self._accepted_strangers = 0
        self.known: dict[str, None] = {}  # groups of named peers' hosts, KNOWN_HOSTS_MAX of them

    def add_known(self, host: str) -> None:
        group = host_group(host)
        self.known.pop(group, None)
        self.known[group] = None
        if len(self.known) > KNOWN_HOSTS_MAX:
            del self.known[next(iter(self.known))]

    @property
    def unauthenticated(self) -> int:
        return self._open.total()

    def enter(self, host: str) -> tuple[str, bool]:
        """Count a connection in; returns what `leave` wants. Raises Rejected, and then does not count it."""
        group = host_group(host)
        is_stranger = group not in self.known
        self._begin_second()
        if is_stranger and self._strangers >= self._total_max:
            raise Rejected(f"{self._total_max} connections wait for authentication already")
        if self._open[group] >= self._per_host_max:
            raise Rejected(f"{self._per_host_max} connections of {group} wait for authentication already")
        if self._accepted[group] >= self._per_host_per_s:
            raise Rejected(f"{group} opened {self._per_host_per_s} connections within a second")
        if is_stranger and self._accepted_strangers >= self._per_s:
            raise Rejected(f"strangers opened {self._per_s} connections within a second")
        self._accepted[group] += 1
        self._open[group] += 1
        self._strangers += is_stranger
        self._accepted_strangers += is_stranger
        return group, is_stranger

    def leave(self, group: str, is_stranger: bool) -> None:
        self._strangers -= is_stranger
        self._open[group] -= 1
        if self._open[group] <= 0:
            del self._open[group]

    def _begin_second(self) -> None:
        second = int(self._time_s())
        if second != self._second or len(self._accepted) >= GATE_HOSTS_MAX:
            if second != self._second:
                self._accepted_strangers = 0
            self._second = second
            self._accepted.clear()
