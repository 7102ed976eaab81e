"""Who hears of what happens, over WebSocket: subscriptions by their subscriber's `address:port`, and their bounds.

Live subscriptions share one reading of each block and one text of each event. What a reader does not take is kept up to
a bound, then its subscription ends and it is told so: nobody waits for it. One that goes on from a cursor (ours, not
CometBFT's) has nothing kept for it: blocks are read from disk as it takes them, so it is never ended for being slow.
Source: CometBFT v0.38, rpc/core/events.go, libs/pubsub.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias

import structlog

from consensus.abci.interface import Slices
from consensus.engine.interfaces import SavedBlock
from consensus.formats.json_text import Json, dumps
from consensus.formats.units import MIB, NS_PER_MS
from consensus.node.commit_watch import CommitWatch
from consensus.queries.errors import InvalidQuery, QueryTooLong
from consensus.queries.matching import Query
from consensus.queries.syntax import Kind as ArgumentKind
from consensus.queries.syntax import Operator
from consensus.state.cursors import Cursor
from consensus.system.errors import traced
from consensus.system.log_limit import LogLimit
from dchat.doors.jsonrpc.events import KEPT, KIND_KEY, OF_ROUNDS, Happening, OfBlock
from dchat.doors.jsonrpc.params import Arg, Kind
from dchat.doors.jsonrpc.protocol import SERVER_ERROR, Id, RpcError, encoded, error_reply, failed
from dchat.doors.jsonrpc.table import Call, Method, table_of
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import Busy, NotThere, Unanswered
from dchat.doors.reads.event_feed import EventFeed
from dchat.doors.reads.limits import LOCAL, Room, share_of
from dchat.doors.reads.reading import Reading

BYTES_MAX: Final = 16 * MIB  # of messages that one subscription may have waiting, beside their number
RESUMED_BYTES_MAX: Final = MIB  # of one that goes on from a cursor: what it has waiting nobody shares
TEXTS_BYTES_MAX: Final = 128 * MIB  # of all messages that wait; of a client its share
CONDITIONS_MAX: Final = 1_024  # of all live queries: each event is asked about each; of a client its share
QUEUE_MAX: Final = 10_000  # events that are not handed out yet: then all subscriptions end
BLOCKS_HELD: Final = 8  # of those, as they were saved; others are read again
WAIT_S: Final = 0.2  # for readers that are full, of each block: a block may bring more events than a buffer takes
RESUMED_MAX: Final = 32  # messages that one that goes on from a cursor has waiting
SLICE_NS: Final = NS_PER_MS // 2  # of matching, in a row
TOGETHER_MAX: Final = 16  # events that readers are told of at once: each has one step, and one call of the system
WOKEN_IN_A_ROW: Final = 16  # connections: each writes what it has, which takes 0.02 to 0.1 ms
NOW: Final = "now"
OUT_OF_CAPACITY: Final = "internal subscription event buffer is out of capacity"
SUBSCRIBE: Final = (Arg("query", Kind.TEXT, ""), Arg("after", Kind.TEXT, "", is_ours=True))

log = structlog.get_logger(__name__)
loud = LogLimit(log, source_name="client")
Message: TypeAlias = tuple[bytes, bytes]  # what is of one subscription, and the event's text, which all share


class Sink(Protocol):
    """A connection that messages go to."""

    @property
    def remote(self) -> str: ...
    @property
    def client(self) -> str: ...
    def has_more(self) -> None:
        """One of its subscriptions has something to be sent."""
        ...


class Texts:
    """What waits for readers. An event's text counts once for a client, whose subscriptions may share it."""

    def __init__(self, bytes_max: int) -> None:
        self.room = Room("messages", bytes_max)
        self.given = asyncio.Event()  # set when some were taken
        self._held: Counter[tuple[str, int]] = Counter()

    def take(self, client: str, text: bytes) -> bool:
        """Whether there is room. Give it back."""
        key = client, id(text)
        if key not in self._held:
            try:
                self.room.take(client, len(text))
            except Busy:
                return False
        self._held[key] += 1
        return True

    def give(self, client: str, text: bytes) -> None:
        key = client, id(text)
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
            self.room.give(client, len(text))
            self.given.set()


class Subscription:
    """of_cursor: its messages say where they stand."""

    def __init__(
        self, sink: Sink, text: str, query: Query, id: Id, *, texts: Texts, buffer_max: int, of_cursor: bool
    ) -> None:
        self.sink, self.text, self.query, self.id, self.of_cursor = sink, text, query, id, of_cursor
        self.buffer_max, self.bytes_max, self._texts = buffer_max, RESUMED_BYTES_MAX if of_cursor else BYTES_MAX, texts
        self.is_dropped = False
        self.waiting: deque[Message] = deque()
        self.waiting_bytes = 0
        self.is_open = False  # its own answer has gone before
        self.ended = ""  # why, once it did
        self.task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._head = encoded(f'{{"jsonrpc":"2.0","id":{dumps(id)},"result":{{"query":{dumps(text)},')
        self.kinds = kinds_of(query)

    @property
    def is_full(self) -> bool:
        return len(self.waiting) >= self.buffer_max or self.waiting_bytes >= self.bytes_max

    def put(self, text: bytes, cursor: Cursor | None = None) -> bool:
        """text: the event's. Whether there was room for it. Its connection is told by whoever puts."""
        if self.is_dropped or not self._texts.take(self.sink.client, text):
            return self.is_dropped
        head = self._head
        if self.of_cursor and cursor is not None:
            head += encoded(f'"cursor":"{cursor}",')
        self.waiting.append((head, text))
        self.waiting_bytes += len(text)
        return True

    def take(self) -> bytes | None:
        """The next message; None: there is none."""
        if not self.waiting or not self.is_open:
            return None
        head, text = self._popped()
        self._room.set()
        return b"%b%b}}" % (head, text)

    def _popped(self) -> Message:
        message = self.waiting.popleft()
        self.waiting_bytes -= len(message[1])
        self._texts.give(self.sink.client, message[1])
        return message

    def drop(self) -> None:
        """Nothing is put or taken any more."""
        self.is_dropped = True
        while self.waiting:
            self._popped()

    async def room(self) -> None:
        """Until it is not full."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    def end(self, why: str) -> None:
        """It gets nothing more; when what waits was taken, it is told why."""
        self.ended = self.ended or why
        if self.task is not None:
            self.task.cancel()
        self.sink.has_more()

    def farewell(self) -> bytes:
        return error_reply(self.id, RpcError(SERVER_ERROR, f"subscription was canceled (reason: {self.ended})"))


def kinds_of(query: Query) -> frozenset[str] | None:
    """The kinds of events that can match; None: any. A query names one, if its writer knows what it costs."""
    named = [
        one.argument.text
        for one in query.conditions
        if one.tag == KIND_KEY and one.operator is Operator.EQUAL and one.argument is not None
        and one.argument.kind is ArgumentKind.TEXT
    ]  # fmt: skip
    return frozenset(named) if named else None


class Hub:
    """`run` while the node does. clients_max: subscribers at most; each_max: subscriptions of one; buffer_max: messages
    that one subscription may have waiting. table: what it adds to the door's methods."""

    def __init__(
        self,
        answers: Answers,
        feed: EventFeed,
        watch: CommitWatch,
        reading: Reading,
        *,
        clients_max: int,
        each_max: int,
        buffer_max: int,
    ) -> None:
        self._answers, self._feed, self._watch, self._reading = answers, feed, watch, reading
        self.clients_max, self.each_max, self.buffer_max = clients_max, each_max, buffer_max
        self.held: Counter[str] = Counter()  # subscriptions by subscriber
        self.texts = Texts(TEXTS_BYTES_MAX)
        self._subscribers: Counter[str] = Counter()  # by client
        self._conditions = Room("conditions of subscriptions", CONDITIONS_MAX)
        self.by_remote: dict[str, dict[Query, Subscription]] = {}
        self.counts: Counter[str] = Counter()  # sent, ended for being slow, resumed
        self._live: dict[str, dict[Query, list[Subscription]]] = {}  # by the kinds that they ask for; "": all
        self._queue: deque[Happening | int] = deque()  # an int: a block that was saved
        self._blocks: dict[int, SavedBlock] = {}
        self._wake = asyncio.Event()
        self._untold: dict[Sink, None] = {}  # connections that have something more, and do not know it yet
        self.table = table_of(
            Method("subscribe", self.subscribe, SUBSCRIBE, of_socket=True, cost=4),
            Method("unsubscribe", self.unsubscribe, (Arg("query", Kind.TEXT, ""),), of_socket=True),
            Method("unsubscribe_all", self.unsubscribe_all, of_socket=True),
        )

    # ------------------------------------------------------------------------------------------------------- places

    def take(self, remote: str, client: str) -> None:
        """A place among all, and of one subscriber. No client outside has more than its share of them, by however many
        connections. Give it back. Raises RpcError."""
        if len(self.held) >= self.clients_max:
            raise failed(f"max_subscription_clients {self.clients_max} reached")
        share = share_of(self.clients_max, client)
        if client != LOCAL and remote not in self.held and self._subscribers[client] >= share:
            raise failed(f"max_subscription_clients {self.clients_max}: {share} of one address reached")
        if self.held.get(remote, 0) >= self.each_max:
            raise failed(f"max_subscriptions_per_client {self.each_max} reached")
        self._subscribers[client] += remote not in self.held
        self.held[remote] += 1

    def give(self, remote: str, client: str) -> None:
        self.held[remote] -= 1
        if self.held[remote] <= 0:
            del self.held[remote]
            self._subscribers[client] -= 1
            if self._subscribers[client] <= 0:
                del self._subscribers[client]

    @contextlib.contextmanager
    def place(self, remote: str, client: str) -> Iterator[None]:
        """Of one who waits for a transaction. Raises RpcError."""
        self.take(remote, client)
        try:
            yield
        finally:
            self.give(remote, client)

    # -------------------------------------------------------------------------------------------------------- calls

    async def subscribe(self, call: Call, given: Mapping[str, Any]) -> Json:
        remote, text, after = call.remote, given["query"], given["after"]
        self.take(remote, call.client)
        try:
            query = parsed(text)
            mine = self.by_remote.setdefault(remote, {})
            if query in mine:
                raise failed("already subscribed")
            first = self._first(after, query) if after else None
            if first is None:
                self._conditions.take(call.client, len(query.conditions))
        except BaseException:
            self.give(remote, call.client)
            if not self.by_remote.get(remote, True):
                del self.by_remote[remote]
            raise
        one = Subscription(
            call.socket, text, query, call.id,
            texts=self.texts, buffer_max=self.buffer_max if first is None else RESUMED_MAX, of_cursor=first is not None,
        )  # fmt: skip
        mine[query] = one
        if first is not None:
            self.counts["resumed"] += 1
            work = self._go_on(one, first, None if after == NOW else Cursor.parse(after))
            one.task = asyncio.get_running_loop().create_task(work, name=f"events for {call.client}")
        else:
            for kind in one.kinds or [""]:
                self._live.setdefault(kind, {}).setdefault(query, []).append(one)
        return {}

    def _first(self, after: str, query: Query) -> Cursor:
        """The least cursor that is wanted. Raises RpcError, NotThere, BadQuestion."""
        strange = (kinds_of(query) or frozenset()) & frozenset(OF_ROUNDS)
        if strange:
            raise failed(f"{', '.join(strange)} is kept nowhere; with after allowed: {', '.join(KEPT)}")
        if after == NOW:
            return Cursor(self._answers.height + 1, 0)
        try:
            cursor = Cursor.parse(after)
        except ValueError as error:
            raise failed(f"after: {error}; or {NOW}") from None
        return self._feed.first(cursor, 0, otherwise=1)

    async def unsubscribe(self, call: Call, given: Mapping[str, Any]) -> Json:
        query = parsed(given["query"])
        one = self.by_remote.get(call.remote, {}).get(query)
        if one is None:
            raise failed("subscription not found")
        self._drop(one)
        return {}

    async def unsubscribe_all(self, call: Call, given: Mapping[str, Any]) -> Json:
        if not self.by_remote.get(call.remote):
            raise failed("subscription not found")
        self.left(call.remote)
        return {}

    def left(self, remote: str) -> None:
        """Its connection is no more, or wants nothing more."""
        for one in list(self.by_remote.get(remote, {}).values()):
            self._drop(one)

    def _drop(self, one: Subscription) -> None:
        """Forget it; what waits for it is dropped."""
        remote = one.sink.remote
        mine = self.by_remote.get(remote, {})
        if mine.get(one.query) is not one:
            return
        del mine[one.query]
        if not mine:
            del self.by_remote[remote]
        self.give(remote, one.sink.client)
        if one.task is not None:
            one.task.cancel()
        if not one.of_cursor:
            self._conditions.give(one.sink.client, len(one.query.conditions))
        one.drop()
        self._hears_no_more(one)

    def _hears_no_more(self, one: Subscription) -> None:
        for kind in one.kinds or [""]:
            queries = self._live.get(kind, {})
            if one not in (sharing := queries.get(one.query, [])):
                continue
            sharing.remove(one)
            if not sharing:
                del queries[one.query]
            if not queries:
                del self._live[kind]

    def of(self, remote: str) -> list[Subscription]:
        return list(self.by_remote.get(remote, {}).values())

    def forget(self, one: Subscription) -> None:
        """It ended, and has been told so."""
        self._drop(one)

    def close(self) -> None:
        """The node stops: everybody is told."""
        for mine in list(self.by_remote.values()):
            for one in mine.values():
                one.end("CometBFT exited")

    # --------------------------------------------------------------------------------------------------- what happens

    def is_wanted(self, kind: str) -> bool:
        """Whether a live subscription can match an event of this kind."""
        return kind in self._live or "" in self._live

    @property
    def _wants_blocks(self) -> bool:
        return any(map(self.is_wanted, KEPT))

    def block_saved(self, saved: SavedBlock) -> None:
        if not self.by_remote:
            self._blocks.clear()
            return
        self._blocks[saved.height] = saved
        if len(self._blocks) > BLOCKS_HELD:
            del self._blocks[next(iter(self._blocks))]
        if self._wants_blocks:
            self._push(saved.height)

    def tell(self, happening: Happening) -> None:
        """Of the running height."""
        self._push(happening)

    def _push(self, item: Happening | int) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self._queue.clear()
            for one in {one for queries in self._live.values() for sharing in queries.values() for one in sharing}:
                self._end_slow(one)
            return
        self._queue.append(item)
        self._wake.set()

    async def run(self) -> None:
        """Hand out what happens, in its order, to live subscriptions."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, Happening):
                    await self._hand_out(item, Patience())
                    await self._tell_sinks()
                    continue
                try:
                    async with contextlib.aclosing(self._of_block(item, self.is_wanted)) as told:
                        await self._hand_out_block(told)
                except NotThere as error:  # pruned already: the queue was long
                    log.warning("events of a block were not told", height=item, reason=str(error))
                    await self._tell_sinks()  # those before it

    async def _hand_out_block(self, told: AsyncGenerator[Happening]) -> None:
        """Some events, then their readers are told, and so on: 50 payments wake a reader four times, not 50 times."""
        patience, since = Patience(), 0
        async for happening in told:
            await self._hand_out(happening, patience)
            if (since := since + 1) == TOGETHER_MAX:
                await self._tell_sinks()
                since = 0
        await self._tell_sinks()

    async def _tell_sinks(self) -> None:
        """A few in each turn of the loop."""
        while self._untold:
            for sink in list(self._untold)[:WOKEN_IN_A_ROW]:
                del self._untold[sink]
                sink.has_more()
            await asyncio.sleep(0)

    async def _hand_out(self, happening: Happening, patience: Patience) -> None:
        share = self._feed.share
        found = await share.drive(self._who_hears(happening), LOCAL)
        if not found:
            return
        text = await share.drive(happening.made(), LOCAL)
        for one in found:
            if one.ended:
                continue
            if one.is_full:
                await self._tell_sinks()
                await patience.wait(one)
            if one.is_full or not one.put(text):
                self._end_slow(one)
            else:
                self._untold[one.sink] = None
                self.counts["sent"] += 1

    def _who_hears(self, happening: Happening) -> Slices[list[Subscription]]:
        """Each query is asked once, whoever shares it."""
        found: list[Subscription] = []
        began = time.perf_counter_ns()
        yield
        for kind in (happening.kind, ""):
            for query, sharing in tuple(self._live.get(kind, {}).items()):
                if query.matches(happening.keys):
                    found += sharing
                if time.perf_counter_ns() - began > SLICE_NS:
                    yield
                    began = time.perf_counter_ns()
        return found

    def _end_slow(self, one: Subscription) -> None:
        self.counts["slow"] += 1
        loud.info("ended a subscription that was not read", one.sink.client, query=one.text)
        one.end(OUT_OF_CAPACITY)
        self._hears_no_more(one)

    async def _of_block(
        self, height: int, wanted: Callable[[str], bool], *, by_cursor: bool = False, client: str = LOCAL
    ) -> AsyncGenerator[Happening]:
        """Raises NotThere."""
        saved = self._blocks.get(height)
        if saved is None:
            block, meta = await self._reading.run(
                lambda: (self._answers.load_block(height), self._answers.meta(height)), client
            )
            block_id = meta.block_id
        else:
            block, block_id = saved.block, saved.state.last_block_id
        share = self._feed.share
        stored = await share.drive(self._answers.states.stored_in_slices(height), client)
        if stored is None:
            raise NotThere(f"what block {height} did is not kept any more")
        telling = OfBlock(block, block_id, stored).told(wanted, by_cursor=by_cursor)
        while (found := await share.drive(_some(telling), client)) is not None:
            for happening in found:
                yield happening

    # ---------------------------------------------------------------------------------------------- from a cursor on

    async def _go_on(self, one: Subscription, first: Cursor, after: Cursor | None) -> None:
        """Tell one subscription all that is kept from a cursor on, and what comes, at its own pace."""
        height, told = first.height, 0
        try:
            while True:
                await one.room()
                saved = self._watch.next_block()
                if height > self._answers.height:
                    await saved.wait()
                    continue
                self.texts.given.clear()
                told, is_all = await self._tell_of(one, height, after, told)
                if is_all:
                    height, told = height + 1, 0
                elif not one.is_full:  # others of its client have all the room
                    await self.texts.given.wait()
        except Unanswered as error:  # pruned while its reader took its time
            one.end(str(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.error("a subscription failed", query=one.text, exc_info=traced(error))
            one.end("the node failed; its log says why")

    async def _tell_of(self, one: Subscription, height: int, after: Cursor | None, skip: int) -> tuple[int, bool]:
        """What a block tells behind the first `skip`: (how many are behind now, whether these are all). It stops where
        its reader takes nothing: while that is waited for, no block is held."""
        kinds, client, seen = one.kinds, one.sink.client, 0
        patience = Patience()
        told = self._of_block(height, lambda kind: not kinds or kind in kinds, by_cursor=True, client=client)
        async with contextlib.aclosing(told) as happenings:
            async for happening in happenings:
                if seen >= skip and _is_behind(happening, after) and one.query.matches(happening.keys):
                    text = await self._feed.share.drive(happening.made(), client)
                    if one.is_full:
                        await patience.wait(one)
                    if one.is_full or not one.put(text, happening.cursor):
                        return seen, False
                    one.sink.has_more()
                    self.counts["sent"] += 1
                seen += 1
        return seen, True


class Patience:
    """How long all readers that are full are waited for, together."""

    def __init__(self) -> None:
        self._left_s = WAIT_S

    async def wait(self, one: Subscription) -> None:
        if self._left_s <= 0:
            return
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._left_s):
                await one.room()
        self._left_s -= time.monotonic() - began


def parsed(text: str) -> Query:
    """Raises RpcError."""
    try:
        return Query.parse(text)
    except QueryTooLong as error:
        raise failed(str(error)) from None
    except InvalidQuery as error:
        raise failed(f"failed to parse query: {error}") from None


def _is_behind(happening: Happening, after: Cursor | None) -> bool:
    """Whether it comes after what was told. One without events of its own comes twice rather than never."""
    if after is None or happening.cursor is None:
        return True
    return happening.cursor > after or (happening.is_silent and happening.cursor == after)


def _some(telling: Iterator[Happening]) -> Slices[list[Happening] | None]:
    """The next ones, as many as a slice of time makes; None: there are no more."""
    yield
    began, found = time.perf_counter_ns(), []
    for happening in telling:
        found.append(happening)
        if time.perf_counter_ns() - began > SLICE_NS:
            return found
    return found or None
