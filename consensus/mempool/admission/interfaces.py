"""What the pool needs of the application and of the gossip."""

from __future__ import annotations

from typing import Protocol

from consensus.abci.interface import CheckTxRequest, CheckTxResponse


class Checks(Protocol):
    """What the pool needs of the application."""

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse: ...


class Gossip(Protocol):
    """What the pool tells of transactions that peers sent. Both may be called at any time, and change no pool."""

    def came_to_nothing(self, source: str, key: bytes) -> None:
        """A peer's transaction found no room or was before its time: it may be asked for again."""
        ...

    def charge(self, source: str, *, cpu_ns: int, useless: dict[str, int]) -> None:
        """What admission did for a peer since the last time. useless: kind -> how many."""
        ...
