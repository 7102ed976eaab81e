"""Which transactions peers say they have, which of them are asked for, and of whom.

Of each peer so much is asked at once as its window allows: it grows with what the peer delivers and is halved when it
stays silent, so announcements that nothing stands behind cost a few questions and keep no room from others. What one
does not deliver is asked of another that announced it, chosen by chance; what nobody delivers is forgotten, as is the
oldest beyond OFFERS_MAX per peer. What found no room in the pool is asked for again once there may be some.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from consensus.formats.units import NS_PER_MS
from consensus.mempool.pool import Pool
from consensus.system.clock import Clock, Timer

WANT_TIMEOUT_NS: Final = 500 * NS_PER_MS  # without a delivery; after it the next announcer is asked
WINDOW_MAX: Final = 1_024  # hashes asked of one peer at once: half a second of what four validators commit
WINDOW_MIN: Final = 16  # of one that delivers nothing
OFFERS_MAX: Final = 5_000  # remembered per peer: a pool's worth
SILENT: Final = "announced transactions that did not come"


class Random(Protocol):
    """The node's own generator: `randrange` of random.Random."""

    def randrange(self, stop: int, /) -> int: ...


class Asking(Protocol):
    """How the gossip carries out what is decided here."""

    def ask(self, peer_id: str, keys: Sequence[bytes]) -> None: ...

    def useless(self, peer_id: str, what: str) -> None: ...


class _Peer:
    __slots__ = ("asked", "elsewhere", "offers", "progress_ns", "window")

    def __init__(self) -> None:
        self.window = WINDOW_MAX
        self.progress_ns = 0  # when it was asked first or delivered last
        self.offers: OrderedDict[bytes, None] = OrderedDict()  # it has them, we lack them
        self.elsewhere: OrderedDict[bytes, None] = OrderedDict()  # likewise, and another was asked
        self.asked: dict[bytes, None] = {}


def _keep(keys: OrderedDict[bytes, None], key: bytes) -> None:
    keys[key] = None
    if len(keys) > OFFERS_MAX:
        keys.popitem(last=False)


class Wants:
    """on_timeouts is told how many hashes a silent peer was asked for in vain."""

    def __init__(
        self, pool: Pool, clock: Clock, random: Random, asking: Asking, on_timeouts: Callable[[int], None]
    ) -> None:
        self._pool, self._clock, self._random, self._asking = pool, clock, random, asking
        self._on_timeouts = on_timeouts
        self._peers: dict[str, _Peer] = {}
        self.wanted: dict[bytes, str] = {}  # hash -> who was asked
        self._holders: dict[bytes, dict[str, None]] = {}  # hash -> in whose `elsewhere` it is
        self._timer: Timer | None = None
        self.is_asking = True

    def __len__(self) -> int:
        """Hashes that somebody was asked for."""
        return len(self.wanted)

    def offered(self, peer_id: str) -> int:
        """Hashes remembered of one peer."""
        peer = self._peers.get(peer_id)
        return len(peer.offers) + len(peer.elsewhere) + len(peer.asked) if peer is not None else 0

    def add_peer(self, peer_id: str) -> None:
        self._peers[peer_id] = _Peer()

    def remove_peer(self, peer_id: str) -> None:
        peer = self._peers.pop(peer_id, None)
        if peer is not None:
            for key in list(peer.elsewhere):
                self._leave_elsewhere(peer_id, peer, key)
            self._give_up(peer)

    def _keep_elsewhere(self, peer_id: str, peer: _Peer, key: bytes) -> None:
        peer.elsewhere[key] = None
        self._holders.setdefault(key, {})[peer_id] = None
        if len(peer.elsewhere) > OFFERS_MAX:
            self._leave_elsewhere(peer_id, peer, next(iter(peer.elsewhere)))

    def _leave_elsewhere(self, peer_id: str, peer: _Peer, key: bytes) -> None:
        del peer.elsewhere[key]
        holders = self._holders[key]
        del holders[peer_id]
        if not holders:
            del self._holders[key]

    def heard(self, peer_id: str, keys: Iterable[bytes]) -> None:
        """A peer has these."""
        peer, pool = self._peers.get(peer_id), self._pool
        if peer is None:
            return
        bit = pool.peer_bits.of(peer_id)
        for key in keys:
            entry = pool.get(key)
            if entry is not None:
                entry.peers |= bit
            elif not pool.knows(key) and key not in peer.asked and key not in peer.elsewhere:
                _keep(peer.offers, key)
        self.pump(peer_id)

    def came_to_nothing(self, peer_id: str, key: bytes) -> None:
        """It sent it, and there was no room."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            _keep(peer.offers, key)

    def arrived(self, key: bytes, sender: str) -> None:
        """A body came. Costs the same however many peers there are."""
        by = self.wanted.pop(key, None)
        if by is None:
            return
        for id in self._holders.pop(key, ()):
            self._peers[id].elsewhere.pop(key)
        peer = self._peers[by]
        peer.asked.pop(key)
        if by == sender:
            peer.window = min(WINDOW_MAX, peer.window + 1)
            peer.progress_ns = self._clock.monotonic_ns()
        if peer.offers and 2 * len(peer.asked) <= peer.window:
            self.pump(by)

    def pump_all(self) -> None:
        """There may be room: ask for what is offered."""
        for peer_id, peer in self._peers.items():
            if peer.offers:
                self.pump(peer_id)

    def pump(self, peer_id: str) -> None:
        peer, pool = self._peers[peer_id], self._pool
        if not self.is_asking or not peer.offers:
            return
        room = min(peer.window, pool.room_for(peer_id)) - len(peer.asked)
        fresh: list[bytes] = []
        while len(fresh) < room and peer.offers:
            key, _ = peer.offers.popitem(last=False)
            if pool.knows(key):
                continue
            by = self.wanted.get(key)
            if by is not None and not self._is_rather(peer_id, by):
                self._keep_elsewhere(peer_id, peer, key)
                continue
            if by is not None:
                self._peers[by].asked.pop(key, None)
            self.wanted[key] = peer_id
            fresh.append(key)
        if fresh:
            if not peer.asked:
                peer.progress_ns = self._clock.monotonic_ns()
            peer.asked.update(dict.fromkeys(fresh))
            self._arm()
            self._asking.ask(peer_id, fresh)

    def _is_rather(self, peer_id: str, than: str) -> bool:
        """Whether one is asked although another was: that one has delivered little."""
        return self._peers[than].window <= 2 * WINDOW_MIN < self._peers[peer_id].window

    def _arm(self) -> None:
        waiting = [peer.progress_ns for peer in self._peers.values() if peer.asked]
        if self._timer is None and waiting:
            delay_ns = max(0, min(waiting) + WANT_TIMEOUT_NS - self._clock.monotonic_ns())
            self._timer = self._clock.call_later(delay_ns / 1e9, self._timed_out)

    def _timed_out(self) -> None:
        """One peer a turn of the loop: dozens may have been asked for a thousand each, all at once."""
        self._timer = None
        try:
            silent = [id for id, peer in self._peers.items() if self._is_silent(peer)]
            if silent:
                self._turn_from(silent[0])
        finally:
            self._arm()

    def _is_silent(self, peer: _Peer) -> bool:
        return bool(peer.asked) and self._clock.monotonic_ns() - peer.progress_ns >= WANT_TIMEOUT_NS

    def _turn_from(self, peer_id: str) -> None:
        """It was asked, and let the time pass."""
        peer = self._peers[peer_id]
        lost = self._give_up(peer)
        if lost:
            peer.window = max(WINDOW_MIN, peer.window // 2)
            self._on_timeouts(lost)
            self._asking.useless(peer_id, SILENT)
        self.pump(peer_id)

    def _give_up(self, peer: _Peer) -> int:
        """Ask others for what was asked of it; forget what nobody else offers. Returns how many it did not send."""
        keys = list(peer.asked)
        peer.asked.clear()
        lost, turned_to = 0, set()
        for key in keys:
            del self.wanted[key]
            if self._pool.knows(key):
                continue
            lost += 1
            others = list(self._holders.get(key, ()))
            if others:
                chosen = others[self._random.randrange(len(others))]
                self._leave_elsewhere(chosen, self._peers[chosen], key)
                _keep(self._peers[chosen].offers, key)
                turned_to.add(chosen)
        for id in sorted(turned_to):
            self.pump(id)
        return lost
