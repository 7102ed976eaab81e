"""The order of a block's events, and the cursor that each has. Decided here, once and for all.

Within a block: the events of its transactions, in the order of the transactions and, within one, as it emitted them;
then the block's own, those of its begin and then those of its end (ABCI 2.0 has one list for both). `index` counts
from 0 through that order, so (height, index) names an event of the chain, the same on every node, and sorts as the
chain went. A reader that keeps the last cursor it has seen, and asks for what follows it, gets every event once.

The greatest index is the end of a block, `Cursor.of_end`: all of that block comes before it. So a reader can note how
far it has come without having met an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

E = TypeVar("E")

OF_BLOCK: Final = -1  # the transaction's index of an event that no transaction emitted
INDEX_MAX: Final = 2**32 - 1  # a uint32 on the wire; far more than a block's gas and bytes allow
HEIGHT_MAX: Final = 2**63 - 1


class Cursor(NamedTuple):
    """The place of an event in the chain. Compares as the chain went."""

    height: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls

    @staticmethod
    def of_end(height: int) -> Cursor:
        """What follows it is in a later block."""
        return Cursor(height, INDEX_MAX)

    @property
    def following(self) -> Cursor:
        """The least cursor after this one."""
        return Cursor(self.height + 1, 0) if self.index == INDEX_MAX else Cursor(self.height, self.index + 1)

    @staticmethod
    def parse(text: str) -> Cursor:
        """From HEIGHT:INDEX. Raises ValueError: what is allowed."""
        height, colon, index = text.partition(":")
        is_cursor = colon and all(part.isascii() and part.isdigit() and len(part) < 20 for part in (height, index))
        if not is_cursor or int(height) > HEIGHT_MAX or int(index) > INDEX_MAX:
            raise ValueError(f"cursor is {text[:48]!r}; allowed: HEIGHT:INDEX, both from 0, like 41:0")
        return Cursor(int(height), int(index))

    def __str__(self) -> str:
        return f"{self.height}:{self.index}"


def in_order(of_txs: Iterable[Iterable[E]], of_block: Iterable[E]) -> Iterator[tuple[int, int, E]]:
    """A block's events as (index, index of the transaction or OF_BLOCK, event), in their order.

    of_txs: the events of each transaction. Taken as they are asked for, so that a reader may pause in between.
    """
    index = 0
    for tx_index, events in enumerate(of_txs):
        for event in events:
            yield index, tx_index, event
            index += 1
    for event in of_block:
        yield index, OF_BLOCK, event
        index += 1
