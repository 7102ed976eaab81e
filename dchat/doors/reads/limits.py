"""What one client, and all together, may ask of a door.

A client is an IPv4 address, an IPv6 /64 (a host has 2^64 addresses in it), or this machine: programs on it have more
room than anybody outside, and not without end. What is remembered of clients is bounded.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dchat.config.models import RateLimitSection
from dchat.doors.reads.errors import Busy, Flooding

CLIENTS_MAX = 10_000  # remembered; the one longest silent goes first
BURST_FACTOR = 2
LOCAL: Final = "local"  # every program on this machine
LOCAL_FACTOR: Final = 25  # its rate, in those of a client outside
IPV6_PREFIX: Final = 64
PROXIES_MAX: Final = 16  # one behind the other, of which the header is read
REMOTE_SHARE: Final = 4  # one client outside has at most one part in so many


@functools.lru_cache(maxsize=4_096)
def client_of(host: str) -> str:
    """Whom a request from this address counts to. Of a client it is itself."""
    if host in (LOCAL, "localhost", "unix", ""):
        return LOCAL
    if "/" in host:
        return host
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif not address.is_loopback:
            return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
    return LOCAL if address.is_loopback else str(address)


def is_loopback(host: str) -> bool:
    return client_of(host) == LOCAL


def share_of(total: int, client: str) -> int:
    """What one client may have of `total`: this machine three quarters, another a quarter; never nothing."""
    return max(1, total * 3 // 4 if client == LOCAL else total // REMOTE_SHARE)


class Proxies:
    """The operator's own, before doors that speak HTTP. networks: of them."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self.change(networks)

    def change(self, networks: Sequence[str]) -> None:
        """Others are the operator's own from now on."""
        self._networks = [ipaddress.ip_network(one, strict=False) for one in networks]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def has(self, host: str) -> bool:
        """Whether it is the address of one."""
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def asker(self, host: str, forwarded: Sequence[str]) -> str:
        """The address of who asks through `host`. forwarded: the headers X-Forwarded-For, in their order, to which each
        proxy adds whom it heard: the last that is no proxy of ours is told by one of ours; what is before it, by
        anybody. Where that is no address, it is `host`."""
        if not self.has(host):
            return host
        for said in reversed(",".join(forwarded).split(",")[-PROXIES_MAX:]):
            address = _address_in(said.strip())
            if not address:
                break
            if not self.has(address):
                return address
        return host


def _address_in(said: str) -> str:
    """Of `10.0.0.1`, `10.0.0.1:4711`, `fd00::1`, `[fd00::1]:4711`; empty: it is none, or loopback."""
    text = said.partition("]")[0][1:] if said.startswith("[") else said
    if text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return "" if address.is_loopback else str(address)  # of another machine's own programs: not of this one's


class RateLimit:
    """A token bucket per client. per_second: of a client outside; 0: no limit. proxies: behind which clients are."""

    @staticmethod
    def of(options: RateLimitSection) -> RateLimit:
        return RateLimit(
            options.requests_per_second if options.enabled else 0, proxies=Proxies(options.trusted_proxies)
        )

    def __init__(
        self, per_second: int, *, now_ns: Callable[[], int] = time.monotonic_ns, proxies: Proxies | None = None
    ) -> None:
        self._per_second, self._now_ns, self.proxies = per_second, now_ns, proxies or Proxies()
        # client -> (tokens, at ns, how many more were refused than let through since it last had all tokens)
        self._buckets: OrderedDict[str, tuple[float, int, int]] = OrderedDict()
        self.refused = 0

    def change(self, options: RateLimitSection) -> None:
        """Obey other options from the next request on; what was counted stays."""
        self._per_second = options.requests_per_second if options.enabled else 0
        self.proxies.change(options.trusted_proxies)

    def take(self, host: str, *, cost: int = 1) -> None:
        """Count one request, which is worth `cost` plain ones. Raises Busy, Flooding."""
        if not self._per_second:
            return
        client = client_of(host)
        per_second = self._per_second * (LOCAL_FACTOR if client == LOCAL else 1)
        cost = min(cost, per_second)
        now, burst = self._now_ns(), float(per_second * BURST_FACTOR)
        tokens, at, refused = self._buckets.pop(client, (burst, now, 0))
        tokens = min(burst, tokens + (now - at) * per_second / 1e9)
        is_let_through = tokens >= cost
        refused = 0 if tokens == burst else max(0, refused - 1) if is_let_through else refused + 1
        self._buckets[client] = (tokens - cost if is_let_through else tokens, now, refused)
        if len(self._buckets) > CLIENTS_MAX:
            self._buckets.popitem(last=False)
        if not is_let_through:
            self.refused += 1
            kind = Flooding if refused > burst else Busy
            raise kind(f"more than {per_second} requests a second from {client}; try later")


class Slots:
    """So many at once; of one client only its share, so that no client alone has all."""

    def __init__(self, name: str, slots_max: int) -> None:
        self.name, self.slots_max = name, slots_max
        self.used = 0
        self.refused = 0
        self._by_client: Counter[str] = Counter()

    def take(self, client: str = LOCAL) -> None:
        """Raises Busy. Give it back."""
        share = share_of(self.slots_max, client)
        if self.used >= self.slots_max:
            self.refused += 1
            raise Busy(f"{self.slots_max} {self.name} at once are the limit; try later")
        if self._by_client[client] >= share:
            self.refused += 1
            raise Busy(f"{share} {self.name} at once are the limit of one client; try later")
        self.used += 1
        self._by_client[client] += 1

    def give(self, client: str = LOCAL) -> None:
        self.used -= 1
        self._by_client[client] -= 1
        if self._by_client[client] <= 0:
            del self._by_client[client]

    @contextlib.contextmanager
    def hold(self, client: str = LOCAL) -> Iterator[None]:
        """Raises Busy."""
        self.take(client)
        try:
            yield
        finally:
            self.give(client)


class Room:
    """So many bytes at once; of one client its share, or one thing of any size."""

    def __init__(self, name: str, bytes_max: int) -> None:
        self.name, self.bytes_max = name, bytes_max
        self.used = 0
        self.refused = 0
        self._by_client: Counter[str] = Counter()

    def take(self, client: str, size: int) -> None:
        """Raises Busy. Give it back."""
        held = self._by_client[client]
        share = share_of(self.bytes_max, client)
        if (held and held + size > share) or (self.used and self.used + size > self.bytes_max):
            self.refused += 1
            if not held:
                del self._by_client[client]
            raise Busy(f"{self.bytes_max} bytes of {self.name} at once are the limit, {share} of one client; try later")
        self.used += size
        self._by_client[client] = held + size

    def give(self, client: str, size: int) -> None:
        self.used -= size
        self._by_client[client] -= size
        if self._by_client[client] <= 0:
            del self._by_client[client]
