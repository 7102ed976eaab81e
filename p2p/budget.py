"""What one peer may cost us: one object per peer, asked by the connection, charged by the reactors."""

from __future__ import annotations

from collections import Counter


class PeerBudget:
    """Counts only, so far."""

    __slots__ = ("cpu_ns", "useless_by_kind")

    def __init__(self) -> None:
        self.cpu_ns = 0
        self.useless_by_kind: Counter[str] = Counter()

    def useless(self, what: str, weight: int = 1) -> None:
        self.useless_by_kind[what] += weight

    def spend_cpu(self, ns: int) -> None:
        self.cpu_ns += ns
