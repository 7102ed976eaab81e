"""A bench whose inbox is flooded."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.support.engine.driver import Bench, make_bench


class Told:
    """consensus.engine.incoming.inbox.Charges"""

    def __init__(self) -> None:
        self.useless_by_kind: Counter[tuple[str, str]] = Counter()
        self.useful_by_peer: Counter[str] = Counter()
        self.worked_ns: list[int] = []

    def useless(self, peer_id: str, what: str, weight: int = 1) -> None:
        self.useless_by_kind[peer_id, what] += weight

    def useful(self, peer_id: str) -> None:
        self.useful_by_peer[peer_id] += 1

    def worked(self, peer_id: str, ns: int) -> None:
        assert ns >= 0
        self.worked_ns.append(ns)


async def flooded_bench(**options: Any) -> tuple[Bench, Told]:
    bench, told = await make_bench(**options), Told()
    bench.driver.charge_peers(told)
    return bench, told
