"""What one peer may cost us: time on the loop, memory, useless messages. One object per peer, one place for all limits.

A peer that passes its share of time is not read from for a while; one whose useless messages or unfinished bytes pass
their bound is dropped, and kept away longer each time. Nothing here costs another peer. Rates are leaky buckets.
What a peer pays is CPU time of this thread, not the time that a busy machine took: see `consensus.system.meter`.
Simulators give clocks that stand.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from consensus.formats.units import MIB, NS_PER_MS, NS_PER_S
from consensus.system.meter import Meter

SLICE_NS: Final = NS_PER_MS  # what one peer's messages hold the loop before another's are looked at
TURN_NS: Final = 2 * NS_PER_MS  # what all peers' messages hold it before anything else may run
TICK_S: Final = 0.02  # who must wait goes on at one of these: many who wait cost one timer
CPU_DEBT_NS: Final = NS_PER_S  # work done elsewhere for a peer holds it back for so much at most
HELD_S_MAX: Final = 10.0  # and for so long: many wait for one share, and who waits must still hear of a ping
LONG_HELD_S_MAX: Final = 3600.0  # where only its own work counts, and pings are read all the same
CALM_PART: Final = 20  # who takes less than such a part of the common share by itself is read from at least so often
ASKED_DISCOUNT: Final = 4  # what we asked a peer for costs it a quarter: else syncing from one would be slow
USEFUL_NS: Final = 2 * NS_PER_MS  # of time on the loop that a useful message earns: its duplicates come with it
EARNED_NS_MAX: Final = 200 * NS_PER_MS
EXPECTED_MAX: Final = 256  # announced messages that a peer may owe on a channel


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """Shares of one core in percent, 0: no limit."""

    cpu_percent: int = 25  # each peer, on the average; an honest validator takes a few
    strangers_cpu_percent: int = 40  # all peers together that the operator did not name
    unearned_cpu_percent: int = 2  # of that, what strangers take who did not earn it by useful messages
    cpu_burst_ms: int = 250  # above the share, before it is felt
    unearned_burst_ms: int = 20
    useless_max: int = 1_000  # an honest peer's lost races, all at once
    useless_per_s: int = 20  # forgiven
    unfinished_bytes_max: int = 3 * MIB  # of messages that have begun, beside those that we asked for
    unfinished_total_bytes_max: int = 64 * MIB  # of all peers
    asked_total_bytes_max: int = 256 * MIB  # of all peers, of what we asked for: ten of the largest blocks
    unfinished_s: float = 60.0  # from a message's first packet to its last

    def __post_init__(self) -> None:
        for name in ("cpu_percent", "strangers_cpu_percent", "unearned_cpu_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 100")
        for name in ("cpu_burst_ms", "unearned_burst_ms", "useless_max", "useless_per_s", "unfinished_bytes_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")


class CpuShare:
    """A leaky bucket of nanoseconds: `level_ns` falls by the share of what passes; above the burst one must wait."""

    __slots__ = ("_at", "_burst_ns", "_leaks_ns", "_level_max_ns", "_share", "_time_s", "is_over", "level_ns")

    def __init__(
        self, percent: float, burst_ms: int, time_s: Callable[[], float], *, held_s_max: float = HELD_S_MAX
    ) -> None:
        self._share = percent / 100
        self._leaks_ns = NS_PER_S * self._share  # in a second
        self._burst_ns = burst_ms * NS_PER_MS
        self._level_max_ns = self._burst_ns + min(CPU_DEBT_NS, held_s_max * NS_PER_S * self._share)
        self._time_s = time_s
        self._at = time_s()
        self.level_ns = 0.0
        self.is_over = False  # then `wait_s` says for how long; the hot path looks no further

    def spend(self, ns: int) -> None:
        if not self._share:
            return
        self._leak()
        self.level_ns = min(self.level_ns + ns, self._level_max_ns)
        self.is_over = self.level_ns > self._burst_ns

    def wait_s(self) -> float:
        """Seconds until it may go on; 0 when it may now."""
        if not self.is_over:
            return 0.0
        self._leak()
        over_ns = self.level_ns - self._burst_ns
        self.is_over = over_ns > 0
        return max(0.001, over_ns / NS_PER_S / self._share) if self.is_over else 0.0

    def _leak(self) -> None:
        now = self._time_s()
        self.level_ns = max(0.0, self.level_ns - (now - self._at) * self._leaks_ns)
        self._at = now


class Served(Protocol):
    """A connection with input left."""

    @property
    def budget(self) -> PeerBudget: ...

    def go_on(self) -> None: ...


class SharedBudget:
    """What all peers of a switch share: the strangers' time, memory of unfinished messages, the turns of the loop."""

    def __init__(
        self,
        config: BudgetConfig,
        loop: asyncio.AbstractEventLoop,
        *,
        work_ns: Callable[[], int] = time.thread_time_ns,
        slice_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.config = config
        self.slice_ns = slice_ns
        self.meter = Meter(work_ns, slice_ns)
        self.strangers = CpuShare(config.strangers_cpu_percent, config.cpu_burst_ms, loop.time)
        self.unearned = CpuShare(config.unearned_cpu_percent, config.unearned_burst_ms, loop.time)
        self.unfinished_bytes = 0
        self.asked_bytes = 0  # unfinished too, and asked for
        self.held_s = 0.0  # all peers that left
        self.useless_by_kind: Counter[str] = Counter()
        self._loop = loop
        self._waiting: dict[Served, None] = {}
        self._later: dict[int, list[Served]] = {}  # by tick
        self._turn_ns = 0
        self._is_scheduled = False

    @property
    def has_too_much_unasked(self) -> bool:
        return self.unfinished_bytes > self.config.unfinished_total_bytes_max

    @property
    def has_too_much_asked(self) -> bool:
        return self.asked_bytes > self.config.asked_total_bytes_max

    @property
    def held_bytes(self) -> int:
        """Of all unfinished messages."""
        return self.unfinished_bytes + self.asked_bytes

    @property
    def turn_is_over(self) -> bool:
        return self._turn_ns >= TURN_NS

    def spend_turn(self, ns: int) -> None:
        self._turn_ns += ns

    def wait(self, connection: Served) -> None:
        """Call `connection.go_on` in a later turn of the loop; the one that took least of late goes first."""
        self._waiting[connection] = None
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._next_turn)

    def wait_for(self, connection: Served, wait_s: float) -> None:
        """`wait`, in `wait_s` or up to `TICK_S` later. Who waits for the common share is looked at in every tick, with
        all the others: who took least goes first then."""
        if not connection.budget.cpu.is_over:
            wait_s = min(wait_s, TICK_S / 2)
        tick = int((self._loop.time() + wait_s) / TICK_S) + 1
        later = self._later.get(tick)
        if later is None:
            later = self._later[tick] = []
            self._loop.call_later(tick * TICK_S - self._loop.time(), self._tick, tick)
        later.append(connection)

    def _tick(self, tick: int) -> None:
        for connection in self._later.pop(tick):
            self.wait(connection)

    def forget(self, connection: Served) -> None:
        self._waiting.pop(connection, None)

    def _next_turn(self) -> None:
        self._is_scheduled = False
        self._turn_ns = 0
        again = list(self._waiting)
        again.sort(key=lambda waiting: waiting.budget.took_ns)
        for connection in again:
            if self.turn_is_over:
                break
            if connection in self._waiting:
                del self._waiting[connection]
                connection.go_on()
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._next_turn)


class PeerBudget:
    """One peer's. `on_spent(why)` is called once, when it sent too much that was of no use."""

    __slots__ = (
        "_earned_ns",
        "_expected",
        "_is_spent",
        "_on_spent",
        "_strangers",
        "_time_s",
        "_unearned",
        "_useless",
        "_useless_at",
        "_waits_since",
        "cpu",
        "held_s",
        "is_named",
        "shared",
        "unasked_bytes",
        "unfinished_bytes",
        "useful_messages",
        "useless_by_kind",
    )

    def __init__(
        self,
        shared: SharedBudget,
        *,
        time_s: Callable[[], float],
        is_named: bool = False,
        on_spent: Callable[[str], None] = lambda why: None,
    ) -> None:
        config = shared.config
        self.shared, self.is_named = shared, is_named
        self._strangers = shared.strangers
        self._earned_ns = 0
        percent, burst_ms = config.unearned_cpu_percent / CALM_PART, config.unearned_burst_ms
        self._unearned = CpuShare(percent, burst_ms, time_s, held_s_max=LONG_HELD_S_MAX)
        self._waits_since: float | None = None  # for the common share
        self.cpu = CpuShare(config.cpu_percent, config.cpu_burst_ms, time_s)
        self.held_s = 0.0  # how long it was not read from, for what it cost or what all cost
        self.unfinished_bytes = 0
        self.unasked_bytes = 0  # of these, what we did not ask for: what counts in the total of all peers
        self.useless_by_kind: Counter[str] = Counter()  # kinds are constants of ours
        self._on_spent, self._time_s = on_spent, time_s
        self._is_spent = False
        self._useless, self._useless_at = 0.0, time_s()
        self.useful_messages = 0
        self._expected: dict[int, list[tuple[float, int]]] = {}  # by channel: (until, bytes at most), oldest first

    # --- useless messages -------------------------------------------------------------------------------------

    def useless(self, what: str, weight: int = 1) -> None:
        self.useless_by_kind[what] += weight
        self.shared.useless_by_kind[what] += weight
        self._useless, self._useless_at = self.useless_now + weight, self._time_s()
        if self._useless > self.shared.config.useless_max and not self._is_spent:
            self._is_spent = True
            self._on_spent(f"sent too much that is of no use, last: {what}")

    @property
    def useless_now(self) -> float:
        """What is not forgiven yet: above `useless_max` it is dropped. The counts by kind are of all time, and those of
        an honest peer grow, too."""
        forgiven = (self._time_s() - self._useless_at) * self.shared.config.useless_per_s
        return max(0.0, self._useless - forgiven)

    def useful(self) -> None:
        self.useful_messages += 1
        self._earned_ns = min(self._earned_ns + USEFUL_NS, EARNED_NS_MAX)

    # --- time -------------------------------------------------------------------------------------------------

    def spend_since(self, began_ns: int) -> None:
        """Pay for what was done with what it sent, since the meter's `begin`."""
        ns = self.shared.meter.spent(began_ns)
        self.shared.spend_turn(ns)
        self.spend_cpu(ns // ASKED_DISCOUNT if self._expected and self._owes() else ns)

    def spend_cpu(self, ns: int) -> None:
        self.cpu.spend(ns)
        if self.is_named:
            return
        self._strangers.spend(ns)
        earned_ns = min(ns, self._earned_ns)
        self._earned_ns -= earned_ns
        if ns > earned_ns:
            self.shared.unearned.spend(ns - earned_ns)
            if self.shared.unearned.is_over:  # what nobody else wanted is not held against it
                self._unearned.spend(ns - earned_ns)

    @property
    def took_ns(self) -> float:
        """What it took of late: who took least is looked at first. Of the share that strangers have in common one could
        take most for a long time, and its own would not show that."""
        return self.cpu.level_ns + self._unearned.level_ns

    def wait_s(self) -> float:
        """Seconds until it may be read from."""
        wait_s = self.cpu.wait_s() if self.cpu.is_over else 0.0
        if self.is_named:
            return wait_s
        if self._strangers.is_over:
            wait_s = max(wait_s, self._strangers.wait_s())
        if self.shared.unearned.is_over and not self._earned_ns:
            wait_s = max(wait_s, self.shared.unearned.wait_s())
        return wait_s

    def read_wait_s(self) -> float:
        """As `wait_s`; but who takes little waits no longer for what others took than `HELD_S_MAX`."""
        if not (self.cpu.is_over or self._strangers.is_over or self.shared.unearned.is_over):  # nearly always
            self._waits_since = None
            return 0.0
        wait_s = self.wait_s()
        if not wait_s:
            self._waits_since = None
            return 0.0
        now = self._time_s()
        if self._waits_since is None:
            self._waits_since = now
        if now - self._waits_since < HELD_S_MAX or self.cpu.wait_s() or self._unearned.wait_s():
            return wait_s
        self._waits_since = None
        return 0.0

    # --- memory -----------------------------------------------------------------------------------------------

    @property
    def asked_bytes(self) -> int:
        """Of unfinished messages that we asked for."""
        return self.unfinished_bytes - self.unasked_bytes

    def hold(self, size: int, *, is_asked: bool) -> None:
        """Count bytes of unfinished messages; below 0: they are gone. What was asked for has a total of its own."""
        self.unfinished_bytes += size
        if is_asked:
            self.shared.asked_bytes += size
        else:
            self.unasked_bytes += size
            self.shared.unfinished_bytes += size

    def expect(self, channel_id: int, bytes_max: int, within_s: float) -> None:
        """We asked for a message of up to so many bytes: so long it may be larger than the channel's small bound."""
        owed = self._expected.setdefault(channel_id, [])
        self._prune(owed)
        if len(owed) < EXPECTED_MAX:
            owed.append((self._time_s() + within_s, bytes_max))

    def came(self, channel_id: int) -> None:
        """A large message on this channel is whole: one that was expected."""
        owed = self._expected.get(channel_id)
        if owed:
            del owed[0]

    def expects(self, channel_id: int) -> int:
        """The largest message that it owes us on this channel; 0 when none."""
        owed = self._expected.get(channel_id)
        if not owed:
            return 0
        self._prune(owed)
        return max((bytes_max for _, bytes_max in owed), default=0)

    def _owes(self) -> bool:
        return any(self.expects(channel) for channel in self._expected)

    @property
    def unfinished_max(self) -> int:
        """How many bytes of unfinished messages it may have with us now."""
        return self.shared.config.unfinished_bytes_max + sum(self.expects(channel) for channel in self._expected)

    def _prune(self, owed: list[tuple[float, int]]) -> None:
        now = self._time_s()
        while owed and owed[0][0] < now:
            del owed[0]
