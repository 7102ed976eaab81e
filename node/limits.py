"""What one client, and all together, may ask of a door."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

CLIENTS_MAX = 10_000  # addresses remembered; the one longest silent goes first
BURST_FACTOR = 2


class Busy(Exception):
    """Too many at once, or too fast: try later."""


class RateLimit:
    """A token bucket per client address. Loopback is not limited: it is the operator's own."""

    def __init__(self, per_second: int, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._per_second, self._now_ns = per_second, now_ns
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()  # host -> (tokens, at ns)
        self.refused = 0

    def take(self, host: str) -> None:
        """Count one request. Raises Busy."""
        if not self._per_second or is_loopback(host):
            return
        now, burst = self._now_ns(), float(self._per_second * BURST_FACTOR)
        tokens, at = self._buckets.pop(host, (burst, now))
        tokens = min(burst, tokens + (now - at) * self._per_second / 1e9)
        self._buckets[host] = (max(tokens - 1, 0.0), now)
        if len(self._buckets) > CLIENTS_MAX:
            self._buckets.popitem(last=False)
        if tokens < 1:
            self.refused += 1
            raise Busy(f"more than {self._per_second} requests a second from {host}; try later")


class Slots:
    """So many at once."""

    def __init__(self, name: str, slots_max: int) -> None:
        self.name, self.slots_max = name, slots_max
        self.used = 0
        self.refused = 0

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Raises Busy."""
        if self.used >= self.slots_max:
            self.refused += 1
            raise Busy(f"{self.slots_max} {self.name} at once are the limit; try later")
        self.used += 1
        try:
            yield
        finally:
            self.used -= 1


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "unix", "")
