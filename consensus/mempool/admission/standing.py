"""What is remembered of those who send transactions, and of what was found bad.

A transaction that no state makes good (malformed, a bad signature) is refused unseen until it is forgotten; one that
the application refuses, for as long as the last block stays the last: it is checked once a block, whoever sends it.
Of each peer it is known how many of its latest transactions came to nothing. What an honest peer never sends is told at
once; what becomes of no use now and then (it was admitted elsewhere, and a block came in between) only once it is
most of what that peer sends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable
from typing import Final

from consensus.abci.interface import CheckTxResponse
from consensus.mempool.admission.entry import Waiting

SAMPLE_TXS: Final = 256  # then both numbers are halved: the latest count
SAMPLE_MIN: Final = 64  # fewer say nothing
REASON_CHARS_MAX: Final = 256  # kept of a refusal's text
BAD_SIGNATURE: Final = "transaction with a bad signature"
MALFORMED: Final = "malformed transaction"
KNOWN_BAD: Final = "transaction that was found bad before"
REFUSED: Final = "transactions that the application refuses"
SOURCES_MAX: Final = 1_024  # more than there may be peers


class _Standing:
    __slots__ = ("bad", "cpu_ns", "is_doubtful", "seen", "useless")

    def __init__(self) -> None:
        self.seen = self.bad = self.cpu_ns = 0
        self.is_doubtful = False  # sent what no honest peer sends
        self.useless: dict[str, int] = {}


class Standings:
    """bad_max: how many transactions found bad are remembered."""

    def __init__(self, bad_max: int) -> None:
        self._bad_max = bad_max
        self.known_bad: OrderedDict[bytes, CheckTxResponse] = OrderedDict()
        self.refused: OrderedDict[bytes, CheckTxResponse] = OrderedDict()  # since the last block
        self._sources: OrderedDict[str, _Standing] = OrderedDict()
        self._charged: set[str] = set()

    def is_bad(self, key: bytes) -> bool:
        return key in self.known_bad or key in self.refused

    def refusal(self, key: bytes, *, lasting_only: bool) -> CheckTxResponse | None:
        """What was answered. lasting_only: without what another block may cure."""
        return self.known_bad.get(key) or (None if lasting_only else self.refused.get(key))

    def remember(self, key: bytes, response: CheckTxResponse, *, lasting: bool) -> None:
        kept, most = (self.known_bad, self._bad_max) if lasting else (self.refused, self._bad_max // 4)
        text = response.log[:REASON_CHARS_MAX]
        kept[key] = CheckTxResponse(code=response.code, codespace=response.codespace, log=text)
        if len(kept) > most:
            kept.popitem(last=False)

    def block(self, *, begins_anew: bool) -> None:
        """A block changed what may pass. begins_anew: the rules may be others now."""
        self.refused.clear()
        if begins_anew:
            self.known_bad.clear()

    # --------------------------------------------------------------------------------------------------- peers

    def _of(self, source: str) -> _Standing:
        standing = self._sources.get(source)
        if standing is None:
            standing = self._sources[source] = _Standing()
            if len(self._sources) > SOURCES_MAX:
                gone, _ = self._sources.popitem(last=False)
                self._charged.discard(gone)
        return standing

    def account(self, batch: Iterable[Waiting], admitted: Container[bytes], spent_ns: int) -> None:
        """A batch is done. Each peer is charged for the work, by bytes, that came to nothing: the rest pays for itself.

        The bad ones among them were told by `bad`.
        """
        work: dict[str, list[int]] = {}
        size = 0
        for waiting in batch:
            entry = work.get(waiting.source)
            if entry is None:
                entry = work[waiting.source] = [0, 0]
            entry[0] += 1
            if waiting.key not in admitted:
                entry[1] += len(waiting.tx)
            size += len(waiting.tx)
        for source, (txs, part) in work.items():
            if source:
                self._worked_for(source, txs, spent_ns * part // size)

    def _worked_for(self, source: str, txs: int, cpu_ns: int) -> None:
        standing = self._of(source)
        standing.seen += txs
        if cpu_ns:
            standing.cpu_ns += cpu_ns
            self._charged.add(source)
        while standing.seen > SAMPLE_TXS:
            standing.seen //= 2
            standing.bad //= 2
            standing.is_doubtful = standing.is_doubtful and standing.bad > 0

    def bad(self, source: str, kind: str, *, surely: bool) -> None:
        """A peer's transaction was of no use. surely: no honest peer would have sent it."""
        standing = self._of(source)
        standing.bad += 1
        if surely:
            standing.is_doubtful = True
        if surely or (standing.seen >= SAMPLE_MIN and 2 * standing.bad > standing.seen):
            standing.useless[kind] = standing.useless.get(kind, 0) + 1
            self._charged.add(source)

    def is_doubtful(self, source: str) -> bool:
        """Whether some of its latest transactions were such as no honest peer sends."""
        standing = self._sources.get(source)
        return standing is not None and standing.is_doubtful

    def is_mostly_bad(self, source: str) -> bool:
        standing = self._sources.get(source)
        return standing is not None and standing.is_doubtful and 2 * standing.bad > standing.seen

    def take_charges(self) -> list[tuple[str, int, dict[str, int]]]:
        """(peer, nanoseconds, useless kinds) since the last time."""
        charges = []
        for source in sorted(self._charged):
            standing = self._sources[source]
            charges.append((source, standing.cpu_ns, standing.useless))
            standing.cpu_ns, standing.useless = 0, {}
        self._charged.clear()
        return charges
