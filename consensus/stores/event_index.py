"""The index of events: in which blocks, and there in which events, an attribute has a value. Part of database `state`.

An entry is of one term in one block. A term is `type.key=value`, of an attribute that its event marks for the index,
and then the entry says where: for each event the transaction and the event in it. Or it is a `type.key`, or a `type`,
alone: then the entry says only that the block has some, and the results are to be read. So an equality is answered by
the index alone, and anything else by the results of the blocks that can have it; no value is stored twice.

Keys: `e` (events of transactions) or `f` (the block's own), the epoch (256 heights), the term's hash, the height
within the epoch. By epochs what is pruned goes in one range, whose disk is freed by itself; and new entries lie among
the few of their epoch, so that LevelDB does not rewrite the old. A term is hashed (BLAKE2b, 12 bytes: two of one hash
cost 2^48 tries) because addresses are long. `x` says from which height to which the index is whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from consensus.abci.interface import FinalizeBlockResponse, Slices
from consensus.state.results import Event
from storage.kv import KeyValueStore, Reader, Write

if TYPE_CHECKING:
    from collections.abc import Iterable

OF_TXS, OF_BLOCKS, RANGE = b"e", b"f", b"x"
EPOCH_BITS: Final = 8
EPOCH_HEIGHTS: Final = 1 << EPOCH_BITS
EPOCH_BYTES: Final = 7
TERM_BYTES: Final = 12
PLACE_BYTES: Final = 8  # transaction (4), event (4)
EVENTS_PER_SLICE: Final = 400  # about 1 ms
FORGOTTEN_PER_STEP: Final = 1_000


class Whole(NamedTuple):
    """Of these heights, both included, the index has everything."""

    first: int
    last: int

    def encode(self) -> bytes:
        return self.first.to_bytes(8, "big") + self.last.to_bytes(8, "big")

    @staticmethod
    def decode(data: bytes) -> Whole:
        """Raises ValueError."""
        if len(data) != 16:
            raise ValueError(f"{len(data)} bytes; expected 16")
        return Whole(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))


def epoch_of(height: int) -> int:
    return height >> EPOCH_BITS


def epoch_head(prefix: bytes, epoch: int) -> bytes:
    """What all keys of an epoch begin with."""
    return prefix + epoch.to_bytes(EPOCH_BYTES, "big")


def value_term(tag: str, value: str) -> bytes:
    """Of the events in which the attribute `tag` (`type.key`) has this value."""
    return blake2b(_value_head(tag) + value.encode("utf-8", "surrogatepass"), digest_size=TERM_BYTES).digest()


def tag_term(tag: str) -> bytes:
    """Of the blocks that have an event of this type, or with this attribute."""
    return blake2b(b"t" + tag.encode("utf-8", "surrogatepass"), digest_size=TERM_BYTES).digest()


def _value_head(tag: str) -> bytes:
    encoded = tag.encode("utf-8", "surrogatepass")
    return b"v%d:%b" % (len(encoded), encoded)


def entry_key(prefix: bytes, term: bytes, height: int) -> bytes:
    low = height & (EPOCH_HEIGHTS - 1)
    return epoch_head(prefix, epoch_of(height)) + term + low.to_bytes(2, "big")


# ---------------------------------------------------------------------------------------------------------- writing


def index_entries(height: int, response: FinalizeBlockResponse) -> Slices[list[Write]]:
    """All entries of a block, in slices for the loop. The same for the same results, on every node."""
    of_txs = ((number, result.events) for number, result in enumerate(response.tx_results) if result.events)
    entries = yield from _entries(OF_TXS, height, of_txs)
    if response.events:
        entries += yield from _entries(OF_BLOCKS, height, ((0, response.events),))
    return entries


def entries_of(height: int, response: FinalizeBlockResponse) -> list[Write]:
    """The same at once, away from the loop."""
    making = index_entries(height, response)
    try:
        while True:
            next(making)
    except StopIteration as done:
        entries: list[Write] = done.value
        return entries


def _entries(prefix: bytes, height: int, groups: Iterable[tuple[int, tuple[Event, ...]]]) -> Slices[list[Write]]:
    """groups: (transaction, its events)."""
    found: defaultdict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)  # type and key -> value -> its place
    more: dict[tuple[str, str, str], list[bytes]] = {}  # all places, where a value has several
    looked_at = 0
    for number, events in groups:
        for index, (kind, attributes) in enumerate(events):
            place = (number << 32 | index).to_bytes(PLACE_BYTES, "big")
            for key, value, is_indexed in attributes:
                if not is_indexed:
                    continue
                values = found[kind, key]
                if value in values:
                    more.setdefault((kind, key, value), [values[value]]).append(place)
                else:
                    values[value] = place
        looked_at += len(events)
        if looked_at >= EVENTS_PER_SLICE:
            looked_at = 0
            yield
    for (kind, key, value), places in more.items():
        found[kind, key][value] = b"".join(places)
    return (yield from _encoded(prefix, height, found))


def _encoded(prefix: bytes, height: int, found: dict[tuple[str, str], dict[str, bytes]]) -> Slices[list[Write]]:
    head, low = epoch_head(prefix, epoch_of(height)), (height & (EPOCH_HEIGHTS - 1)).to_bytes(2, "big")
    marks = {kind for kind, _ in found} | {f"{kind}.{key}" for kind, key in found}
    entries: list[Write] = [(head + tag_term(tag) + low, b"") for tag in sorted(marks)]
    for (kind, key), values in found.items():
        of_tag = _value_head(f"{kind}.{key}")
        items = list(values.items())
        for start in range(0, len(items), EVENTS_PER_SLICE):
            entries += [
                (b"%b%b%b" % (head, blake2b(of_tag + value.encode(), digest_size=TERM_BYTES).digest(), low), places)
                for value, places in items[start : start + EVENTS_PER_SLICE]
            ]
            yield
    return entries


def after_saving(known: Whole | None, height: int, *, is_indexed: bool) -> Whole | None:
    """Of what the index is whole once block `height` was saved, with its entries or without."""
    if not is_indexed:
        if known is None or not known.first <= height <= known.last:
            return known
        return Whole(known.first, height - 1) if height > known.first else None
    if known is None or not known.first <= height <= known.last + 1:
        return Whole(height, height)  # a gap before it
    return Whole(known.first, max(known.last, height))


# ---------------------------------------------------------------------------------------------------------- reading


def postings(db: Reader, prefix: bytes, term: bytes, epoch: int, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """(height, places) of a term's entries in an epoch, of the heights `first` to `last`, ascending."""
    head = epoch_head(prefix, epoch) + term
    begin = epoch << EPOCH_BITS
    low, high = max(0, first - begin), min(EPOCH_HEIGHTS - 1, last - begin)
    for key, places in db.scan(head + low.to_bytes(2, "big"), head + (high + 1).to_bytes(2, "big")):
        yield begin + int.from_bytes(key[-2:], "big"), places


def places_of(data: bytes) -> list[int]:
    """An entry's places, each a number: transaction << 32 | event."""
    return [int.from_bytes(data[at : at + PLACE_BYTES], "big") for at in range(0, len(data), PLACE_BYTES)]


# ---------------------------------------------------------------------------------------------------------- pruning


def forget_epochs(db: KeyValueStore, below: int) -> tuple[bool, int]:
    """Forget some of the entries of epochs that lie wholly below height `below`: (whether there are more, bytes)."""
    batch: list[Write] = []
    size = 0
    for prefix in (OF_TXS, OF_BLOCKS):
        for key, places in db.scan(prefix, epoch_head(prefix, epoch_of(below))):
            batch.append((key, None))
            size += len(key) + len(places)
            if len(batch) >= FORGOTTEN_PER_STEP:
                db.write(batch)
                return True, size
    if batch:
        db.write(batch)
    return False, size
