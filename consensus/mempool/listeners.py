"""Who is told of what happens to a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from consensus.abci.interface import CheckTxResponse
from consensus.mempool.admission.entry import Entry, Origin, Waiting
from consensus.mempool.admission.interfaces import Gossip


class Listeners:
    """The part of a pool that others register with."""

    def __init__(self) -> None:
        self._available: list[Callable[[], None]] = []
        self._admitted: list[Callable[[Sequence[Entry]], None]] = []
        self._room: list[Callable[[], None]] = []
        self._dropped: list[Callable[[bytes, CheckTxResponse], None]] = []
        self._arrived: Callable[[bytes, str], None] | None = None
        self._gossip: Gossip | None = None
        self._failed: Callable[[Exception], None] | None = None

    def on_available(self, callback: Callable[[], None]) -> None:
        self._available.append(callback)

    def on_arrived(self, callback: Callable[[bytes, str], None]) -> None:
        """Call back with key and source of each transaction that begins its way through admission."""
        self._arrived = callback

    def on_admitted(self, callback: Callable[[Sequence[Entry]], None]) -> None:
        """Call back with each batch that was admitted, in order: for gossip, and for a journal."""
        self._admitted.append(callback)

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call back after each block: there may be room again."""
        self._room.append(callback)

    def on_dropped(self, callback: Callable[[bytes, CheckTxResponse], None]) -> None:
        """Call back when what was admitted leaves without a block, with its key and the reason."""
        self._dropped.append(callback)

    def on_failure(self, callback: Callable[[Exception], None]) -> None:
        """Call back with each error of ours that kept a transaction from being judged. Admission goes on."""
        self._failed = callback

    def set_gossip(self, gossip: Gossip) -> None:
        self._gossip = gossip

    def _tell_available(self) -> None:
        for callback in self._available:
            callback()

    def _tell_admitted(self, entries: Sequence[Entry]) -> None:
        for callback in self._admitted:
            callback(entries)

    def _tell_room(self) -> None:
        for callback in self._room:
            callback()

    def _came_to_nothing(self, waiting: Waiting) -> None:
        if self._gossip is not None:
            for origin, payer in waiting.senders:
                if origin is Origin.PEER:
                    self._gossip.came_to_nothing(payer, waiting.key)

    def _tell_charges(self, charges: Iterable[tuple[str, int, dict[str, int]]]) -> None:
        if self._gossip is not None:
            for source, cpu_ns, useless in charges:
                self._gossip.charge(source, cpu_ns=cpu_ns, useless=useless)

    def _tell_dropped(self, key: bytes, why: CheckTxResponse) -> None:
        for callback in self._dropped:
            callback(key, why)
