"""Reading events: from a cursor on, those that a filter wants, each once, at the reader's pace.

Nothing is queued for a reader. Events are read from disk as it takes them, so that a slow one holds up only itself and
one that was away loses nothing; what a reader has to remember is the last cursor. Order and cursors are decided in
consensus.state.cursors. Raises NotThere below what is kept, BadQuestion for a filter that could never match.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from consensus.abci.interface import Slices
from consensus.node.commit_watch import CommitWatch
from consensus.state.cursors import HEIGHT_MAX, OF_BLOCK, Cursor, in_order
from crypto.hash import sha256
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion, NotThere, out_of_reach
from dchat.doors.reads.limits import LOCAL
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.results import TEXTS_PER_SLICE, event_json, event_proto
from proto.dchat.v1 import service_pb2 as pb

if TYPE_CHECKING:
    from proto.tendermint.abci import types_pb2 as abci_pb

TYPES_MAX: Final = 16  # more than one reader tells apart; each is looked for in every block
WHERE_MAX: Final = 8  # more than any event has attributes that tell it from others
TEXT_LENGTH_MAX: Final = 256  # of a type, key or value: longer than an address, a hash or a name
EVENTS_PER_SLICE: Final = 200  # looked at in a row: about 0.5 ms
PROGRESS_BLOCKS: Final = 100  # without a match, then the reader hears how far it has come: skipped again in 10 ms
SEARCHED_AT_ONCE: Final = 65_536  # bytes of a block's results, for all texts of a filter: below 1 ms
TELL_NS: Final = 30_000  # of the loop, to send one event
PAGE_BLOCKS_MAX: Final = 200  # read for one page: of 5,000 events each they take 3 s of the 10 that a request has


@dataclass(frozen=True)
class EventFilter:
    """types: any of them, none is all. where: attributes that the event has, all of them."""

    types: frozenset[str] = frozenset()
    where: frozenset[tuple[str, str]] = frozenset()

    @staticmethod
    def of(types: Sequence[str], where: Sequence[tuple[str, str]]) -> EventFilter:
        """Raises BadQuestion: what is allowed."""
        for name, given, most in (("types", types, TYPES_MAX), ("where", where, WHERE_MAX)):
            if len(given) > most:
                raise BadQuestion(f"{name} has {len(given)} entries; allowed: up to {most}")
        for name, texts in (("type", types), ("attribute key", [key for key, _ in where])):
            for text in texts:
                _check_length(name, text, least=1)
        for key, value in where:
            _check_length(f"value of attribute {key}", value, least=0)
        return EventFilter(frozenset(types), frozenset(where))

    @cached_property
    def _encoded_types(self) -> tuple[bytes, ...]:
        return tuple(text.encode() for text in sorted(self.types))

    @cached_property
    def _encoded_where(self) -> tuple[bytes, ...]:
        return tuple(text.encode() for pair in sorted(self.where) for text in pair)

    def may_be_in(self, stored: bytes) -> bool:
        """False: no event in these bytes matches, since a text of it would stand there."""
        if self.types and not any(text in stored for text in self._encoded_types):
            return False
        return all(text in stored for text in self._encoded_where)

    def searched(self, stored: bytes) -> Generator[None, None, bool]:
        """As `may_be_in`, a step for each text where that takes time: a block's results can have megabytes."""
        if len(stored) <= SEARCHED_AT_ONCE:
            return self.may_be_in(stored)
        yield
        for text in self._encoded_where:
            if text not in stored:
                return False
            yield
        for text in self._encoded_types:
            if text in stored:
                return True
            yield
        return not self.types

    def matches(self, event: abci_pb.Event) -> bool:
        if self.types and event.type not in self.types:
            return False
        if not self.where or not self.may_be_in(event.SerializeToString()):  # a fifth of what looking closer costs
            return not self.where
        return self.where <= {(attribute.key, attribute.value) for attribute in event.attributes}


def _check_length(name: str, text: str, *, least: int) -> None:
    if not least <= len(text) <= TEXT_LENGTH_MAX:
        raise BadQuestion(f"{name} has {len(text)} characters; allowed: {least} to {TEXT_LENGTH_MAX}")


def parse_where(text: str) -> tuple[str, str]:
    """From key=value; a value may hold more of the sign. Raises ValueError."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"{text[:48]!r} is no condition; allowed: key=value")
    return key, value


@dataclass(frozen=True)
class Page:
    """Some events, and where to go on. has_more: there is more already; otherwise the tip was reached."""

    events: list[pb.StreamEventsResponse]
    cursor: Cursor
    has_more: bool

    def text(self) -> Slices[bytes]:
        """JSON, made piece by piece."""
        events: list[str] = []
        for placed in self.events:
            events.append(json.dumps(placed_json(placed)))
            if len(events) % TEXTS_PER_SLICE == 0:
                yield
        tail = json.dumps({"cursor": str(self.cursor), "has_more": self.has_more})
        return f'{{"events": [{", ".join(events)}], {tail[1:]}'.encode()


def placed_json(placed: pb.StreamEventsResponse) -> dict[str, Any]:
    """An event with its place."""
    is_of_tx = bool(placed.tx_hash)
    return {
        "cursor": str(Cursor(placed.cursor.height, placed.cursor.index)),
        "height": placed.cursor.height,
        "index": placed.cursor.index,
        "tx_hash": placed.tx_hash.hex() if is_of_tx else None,
        "tx_index": placed.tx_index if is_of_tx else None,
        **event_json(placed.event),
    }


class EventFeed:
    """Streams and pages of events."""

    def __init__(self, answers: Answers, watch: CommitWatch, share: LoopShare | None = None) -> None:
        """share: of the loop, that all readers have together."""
        self._answers, self._watch, self.share = answers, watch, share or LoopShare()

    def first(self, after: Cursor | None, from_height: int, *, otherwise: int) -> Cursor:
        """The least cursor that is wanted. otherwise: the height to begin with when neither is given.

        Above the tip is allowed: another node may be ahead of this one, and its readers are welcome.
        Raises BadQuestion, NotThere.
        """
        if after is not None and from_height:
            raise BadQuestion("after and from_height are both given; allowed: one of them")
        if after is not None:
            if not 0 <= after.height < HEIGHT_MAX:
                raise BadQuestion(f"after.height is {after.height}; allowed: 0 to {HEIGHT_MAX - 1}")
            first = max(after.following, Cursor(1, 0))  # there is no block 0
        else:
            if from_height < 0:
                raise BadQuestion(f"from_height is {from_height}; allowed: 0 and more")
            first = Cursor(from_height or otherwise, 0)
        self._check_kept(first.height)
        return first

    def _check_kept(self, height: int) -> None:
        base = self._answers.base
        if height < base:
            raise out_of_reach(
                f"what block {height} did", height, earliest=base, latest=max(height, self._answers.height)
            )

    async def stream(
        self, request: pb.StreamEventsRequest, *, client: str = LOCAL
    ) -> AsyncGenerator[pb.StreamEventsResponse]:
        """What the request asks for, until its last block or for ever; now and then a message without an event."""
        if len(request.where) > WHERE_MAX:  # before any is read
            raise BadQuestion(f"where has {len(request.where)} entries; allowed: up to {WHERE_MAX}")
        wanted = EventFilter.of(request.types, [(item.key, item.value) for item in request.where])
        if request.to_height < 0:
            raise BadQuestion(f"to_height is {request.to_height}; allowed: 0 and more")
        after = Cursor(request.after.height, request.after.index) if request.HasField("after") else None
        first = self.first(after, request.from_height, otherwise=self._answers.height + 1)
        quiet_blocks = 0
        walking = self._walk(first, wanted, to_height=request.to_height, client=client)
        async with contextlib.aclosing(walking) as walk:
            async for told in walk:
                quiet_blocks = 0 if told.HasField("event") else quiet_blocks + 1
                is_last = not told.HasField("event") and told.cursor.height == request.to_height
                if quiet_blocks in (0, PROGRESS_BLOCKS) or is_last:
                    quiet_blocks = 0
                    yield told

    async def page(self, first: Cursor, wanted: EventFilter, *, limit: int, client: str = LOCAL) -> Page:
        """At most `limit` events of what is saved, from `first` on, from a bounded number of blocks."""
        latest = self._answers.height
        last = min(latest, first.height + PAGE_BLOCKS_MAX - 1)
        found: list[pb.StreamEventsResponse] = []
        cursor = _before(first)
        if first.height > last:
            return Page(found, cursor, has_more=False)
        async with contextlib.aclosing(self._walk(first, wanted, to_height=last, client=client)) as walk:
            async for told in walk:
                cursor = Cursor(told.cursor.height, told.cursor.index)
                if told.HasField("event"):
                    found.append(told)
                    if len(found) == limit:
                        return Page(found, cursor, has_more=True)
        return Page(found, cursor, has_more=last < latest)

    async def _walk(
        self, first: Cursor, wanted: EventFilter, *, to_height: int, client: str
    ) -> AsyncGenerator[pb.StreamEventsResponse]:
        """Every match, and the end of each block; waits for blocks that are not saved. to_height 0: without end."""
        height, index = first
        while not to_height or height <= to_height:
            saved = self._watch.next_block()
            if height > self._answers.height:
                await saved.wait()
                continue
            looking = self._of_block(height, index, wanted)
            while (found := await self._slice(looking, client)) is not None:
                for told in found:
                    yield told
            yield _placed(Cursor.of_end(height))
            height, index = height + 1, 0

    async def _slice(
        self, looking: Iterator[pb.StreamEventsResponse | None], client: str
    ) -> list[pb.StreamEventsResponse] | None:
        """The matches of the next slice, in this reader's turn; None: the block has no more."""
        await self.share.turn(client)
        began = time.perf_counter_ns()
        found: list[pb.StreamEventsResponse] = []
        try:
            for told in looking:
                if told is None:
                    return found
                found.append(told)
            return found or None
        finally:
            self.share.did(time.perf_counter_ns() - began + len(found) * TELL_NS)

    def _of_block(self, height: int, first_index: int, wanted: EventFilter) -> Iterator[pb.StreamEventsResponse | None]:
        """The matches of a block from `first_index` on; None between pieces of the search: a text that is looked for in
        all that the block did, or EVENTS_PER_SLICE that were looked at."""
        encoded = self._answers.states.load_encoded(height)
        if encoded is not None and not (yield from wanted.searched(encoded)):
            return
        stored = yield from self._answers.states.stored_in_slices(height)
        if stored is None:
            self._check_kept(height)  # pruned while the reader took its time
            raise NotThere(f"events of block {height} are not complete here")
        txs: Sequence[bytes] | None = None
        for index, tx_index, event in in_order(_of_txs(stored), stored.events):
            if index % EVENTS_PER_SLICE == EVENTS_PER_SLICE - 1:
                yield None
            if index < first_index or not wanted.matches(event):
                continue
            told = _placed(Cursor(height, index), event_proto(event))
            if tx_index != OF_BLOCK:
                txs = txs if txs is not None else (yield from self._txs(height))
                told.tx_hash, told.tx_index = sha256(txs[tx_index]), tx_index
            yield told

    def _txs(self, height: int) -> Generator[None, None, Sequence[bytes]]:
        try:
            return (yield from self._answers.txs_in_slices(height))
        except NotThere:
            self._check_kept(height)  # pruned between the results and the block
            raise


def _of_txs(stored: abci_pb.ResponseFinalizeBlock) -> Iterable[Iterable[abci_pb.Event]]:
    return (result.events for result in stored.tx_results)


def _before(first: Cursor) -> Cursor:
    """A cursor that `first` follows."""
    return Cursor(first.height, first.index - 1) if first.index else Cursor.of_end(first.height - 1)


def _placed(cursor: Cursor, event: pb.Event | None = None) -> pb.StreamEventsResponse:
    told = pb.StreamEventsResponse(event=event)
    told.cursor.height, told.cursor.index = cursor
    return told
