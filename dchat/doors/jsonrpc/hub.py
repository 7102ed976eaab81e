"""Who hears of what happens: subscribers by their `address:port`, and how many there may be.

Source: CometBFT v0.38, rpc/core/events.go.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from dchat.doors.jsonrpc.protocol import failed


class Hub:
    """clients_max: subscribers at most; each_max: subscriptions of one."""

    def __init__(self, *, clients_max: int, each_max: int) -> None:
        self.clients_max, self.each_max = clients_max, each_max
        self.held: Counter[str] = Counter()  # subscriptions by subscriber

    def check_place(self, remote: str) -> None:
        """Raises RpcError."""
        if len(self.held) >= self.clients_max:
            raise failed(f"max_subscription_clients {self.clients_max} reached")
        if self.held[remote] >= self.each_max:
            raise failed(f"max_subscriptions_per_client {self.each_max} reached")

    def take(self, remote: str) -> None:
        """Raises RpcError. Give it back."""
        try:
            self.check_place(remote)
        except BaseException:
            if not self.held[remote]:
                del self.held[remote]
            raise
        self.held[remote] += 1

    def give(self, remote: str) -> None:
        self.held[remote] -= 1
        if self.held[remote] <= 0:
            del self.held[remote]

    @contextlib.contextmanager
    def place(self, remote: str) -> Iterator[None]:
        """Of one who waits for a transaction. Raises RpcError."""
        self.take(remote)
        try:
            yield
        finally:
            self.give(remote)
