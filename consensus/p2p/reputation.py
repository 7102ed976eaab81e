"""What strangers did: ids that gave offence, ids that did not, places whose ids gave offence.

Ids are free to make, so a place (an IPv4 address, an IPv6 /64) answers for those who come from it; many honest nodes
may share one, so it is never shut. An id's ban stays with the id. A place's next *new* id comes after a wait that grows
with each offence from there, up to where all its ids together bring no more of no use than one peer is forgiven. Who
was here without offence, and whom the operator named, does not wait. Everything here is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from consensus.p2p.admission import FAULTS_FORGIVEN, Offences, ban_seconds
from consensus.p2p.conn.address import host_group, site_group
from consensus.p2p.conn.errors import Rejected

STEADY_S = 60.0  # connected so long without offence: known good; no shorter than `NEWCOMER_WAIT_MAX_S`
STANDING_MAX = 1_024  # ids known good
STANDING_PER_PLACE = 8
PLACES_MAX = 4_096  # that gave offence; past this the one whose last was longest ago is forgotten
SPENT_LEVELS = FAULTS_FORGIVEN + 1  # what passed a budget is felt at once; breaches of the protocol after some
SITE_SHARE = 0.25  # of an offence that an IPv6 /48 answers for, beside the /64: it may be one site or many
LEVEL_MAX = 12.0
LEVEL_FORGOTTEN_S = 600.0  # one level
NEWCOMER_WAIT_MAX_S = 60.0


class Standing:
    """Ids of strangers who were here without offence, a few of each place."""

    def __init__(self) -> None:
        self._place_of: dict[str, str] = {}
        self._places: dict[str, dict[str, int]] = {}  # place -> id -> useful messages, oldest first

    def __len__(self) -> int:
        return len(self._place_of)

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._place_of

    def knows(self, place: str) -> bool:
        """Whether somebody of this place is known good."""
        return place in self._places

    def remember(self, peer_id: str, place: str, *, useful: int) -> None:
        """Full: of the place, or else of the place that has most, the id that brought least goes."""
        self.forget(peer_id)
        here = self._places.setdefault(place, {})
        here[peer_id] = useful
        self._place_of[peer_id] = place
        if len(here) > STANDING_PER_PLACE:
            self._forget_least(place)
        if len(self._place_of) > STANDING_MAX:
            self._forget_least(max(self._places, key=lambda name: len(self._places[name])))

    def forget(self, peer_id: str) -> None:
        place = self._place_of.pop(peer_id, None)
        if place is not None:
            del self._places[place][peer_id]
            if not self._places[place]:
                del self._places[place]

    def _forget_least(self, place: str) -> None:
        here = self._places[place]
        self.forget(min(here, key=lambda peer_id: here[peer_id]))


@dataclass(slots=True)
class _Place:
    level: float
    at_s: float  # when the level was so
    entered_s: float  # the last newcomer, at first the first offence


class Newcomers:
    """How long a new id of a place that gave offence has to wait after the one before it. `time_s` only rises."""

    def __init__(self, time_s: Callable[[], float], *, wait_max_s: float) -> None:
        self._time_s = time_s
        self._wait_max_s = min(wait_max_s, NEWCOMER_WAIT_MAX_S)
        self._of: dict[str, _Place] = {}

    def __len__(self) -> int:
        return len(self._of)

    def offended(self, place: str, levels: float) -> None:
        now = self._time_s()
        known = self._of.pop(place, None)
        level = self._level(known, now) if known is not None else 0.0
        entered_s = known.entered_s if known is not None and level > 0 else now
        self._of[place] = _Place(min(level + levels, LEVEL_MAX), now, entered_s)
        if len(self._of) > PLACES_MAX:
            del self._of[next(iter(self._of))]

    def wait_s(self, place: str) -> float:
        """Seconds until a new id of this place may come; 0: now."""
        known = self._of.get(place)
        if known is None:
            return 0.0
        now = self._time_s()
        level = self._level(known, now)
        if level <= 0:
            del self._of[place]
        if level <= FAULTS_FORGIVEN:
            return 0.0
        gap_s = min(math.exp2(level - FAULTS_FORGIVEN - 1), self._wait_max_s)
        return max(0.0, gap_s - (now - known.entered_s))

    def entered(self, place: str) -> None:
        known = self._of.get(place)
        if known is not None:
            known.entered_s = self._time_s()

    def _level(self, known: _Place, now: float) -> float:
        return known.level - (now - known.at_s) / LEVEL_FORGOTTEN_S


class Reputation:
    """`is_known_good(id)`: what else knows of good peers, as the address book does."""

    def __init__(
        self,
        time_s: Callable[[], float],
        *,
        wait_max_s: float,
        is_known_good: Callable[[str], bool] = lambda peer_id: False,
    ) -> None:
        self.standing = Standing()
        self.newcomers = Newcomers(time_s, wait_max_s=wait_max_s)
        self._is_known_good = is_known_good
        self._offences = Offences(time_s)

    def enter(self, peer_id: str, host: str) -> None:
        """A stranger proved its id. Raises Rejected when it is a new one and has to wait for what others did."""
        if peer_id in self.standing or self._is_known_good(peer_id):
            return
        wait_s = self._wait_s(host)
        if wait_s > 0:
            raise Rejected(f"strangers of {host} gave offence, the next new one may come in {wait_s:.0f} s")
        for group in (host_group(host), site_group(host)):
            self.newcomers.entered(group)

    def is_held(self, host: str) -> bool:
        """Whether no stranger of this host has to be let in now, but for those that the address book knows."""
        return self._wait_s(host) > 0 and not self.standing.knows(host_group(host))

    def _wait_s(self, host: str) -> float:
        return max(self.newcomers.wait_s(group) for group in (host_group(host), site_group(host)))

    def offended(self, peer_id: str, host: str, *, forgiven: int, ban_s: int) -> int:
        """Count an offence; returns for how many seconds to keep the id away, 0: not at all. `host`: empty for a peer
        that the operator named."""
        self.standing.forget(peer_id)
        levels = 1 if forgiven and not ban_s else SPENT_LEVELS
        for group, share in ((host_group(host), 1.0), (site_group(host), SITE_SHARE)):
            if group:
                self.newcomers.offended(group, levels * share)
        return max(ban_s, ban_seconds(self._offences.add(peer_id), forgiven=forgiven))

    def left(self, peer_id: str, host: str, *, connected_s: float, useful: int) -> None:
        """A stranger left that had given no offence."""
        if connected_s >= STEADY_S:
            self.standing.remember(peer_id, host_group(host), useful=useful)
