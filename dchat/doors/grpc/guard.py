"""What every call of the gRPC door passes, of each service, health and reflection too.

A call is counted, and its client's rate taken, before a byte of its request is read. Then it waits for its turn to be
sent the request (few at once may be, since each may be as large as a request is allowed to be), within a deadline. The
request, and the answer until its reader has taken it, are counted against the client. So the memory that requests
and answers hold is bounded whatever clients do: see `bounds_of`.

An answer that its reader does not take, and a client that floods, cost the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import urllib.parse
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
import structlog

from consensus.formats.units import MIB
from consensus.system.errors import traced
from consensus.system.log_limit import LogLimit
from dchat.config.models import GrpcSection
from dchat.doors.reads.errors import BadQuestion, Busy, Flooding, NotServing, NotThere, NotYet
from dchat.doors.reads.limits import RateLimit, Room, Slots, client_of, share_of

READ_S: Final = 10.0  # for a request, its turn included
CONTENDED_READ_S: Final = 1.0  # when others wait for a turn
ANSWER_STALL_S: Final = 30.0  # an answer that nobody takes for so long ends the connection
STREAM_STALL_S: Final = 120.0  # so does a message of a stream; the reader goes on from its cursor
REQUESTS_BYTES_MAX: Final = 32 * MIB  # of requests that were read and are being answered
ANSWERS_BYTES_MAX: Final = 64 * MIB  # of answers that are being sent
READS_LEAST: Final = 4
REFUSALS_AT_ONCE: Final = 256
DETAILS_LENGTH_MAX: Final = 1_000  # of an error's text: it travels in a header
MORE_BYTES_MAX: Final = 4_096  # of each request of a call that sends many: a name
PROXIED: Final = "proxied:"  # in the peer of a call, in place of `ipv4:`
FORWARDED: Final = "x-forwarded-for"
BYTES_PER_COST: Final = 65_536  # of a request: each costs one plain call of the client's rate more

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="client")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
T = TypeVar("T")
_EOF: Final[object] = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs lack it
_STATUS = {
    BadQuestion: grpc.StatusCode.INVALID_ARGUMENT,
    NotThere: grpc.StatusCode.NOT_FOUND,
    NotYet: grpc.StatusCode.FAILED_PRECONDITION,
    Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotServing: grpc.StatusCode.UNAVAILABLE,
    Flooding: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Ended(Exception):
    """The call has its code: nothing more is to be said. The library's own way to end a call (abort) remembers an
    exception with all frames, and so the request, until the garbage collector comes by."""


class Bounds(NamedTuple):
    """What requests and answers hold at most, in bytes. unread: beside them, of calls that wait for their turn."""

    reading: int
    requests: int
    answers: int


def reads_max(options: GrpcSection) -> int:
    return max(READS_LEAST, REQUESTS_BYTES_MAX // options.message_bytes_max)


def bounds_of(options: GrpcSection) -> Bounds:
    return Bounds(
        reading=reads_max(options) * options.message_bytes_max,
        requests=max(REQUESTS_BYTES_MAX, options.message_bytes_max),
        answers=ANSWERS_BYTES_MAX,
    )


class Turns:
    """Who is sent its request: so many at once, of one client its share, connections in turn. While others wait, a
    slow one has little time."""

    def __init__(self, at_once_max: int) -> None:
        self.at_once_max = at_once_max
        self._reading: Counter[str] = Counter()  # by client
        self._deadlines: dict[asyncio.Timeout, float] = {}  # of who reads: when it began
        self._waiting: OrderedDict[tuple[str, str], deque[asyncio.Future[None]]] = OrderedDict()

    def hold(self, client: str, peer: str) -> Turn:
        """For the time of one turn. peer: the client's connection."""
        return Turn(self, client, peer)

    def take(self, client: str) -> bool:
        """At once, if nobody waits and one is free."""
        if self._waiting or not self._has_turn(client):
            return False
        self._reading[client] += 1
        return True

    def began(self, deadline: asyncio.Timeout, began: float) -> None:
        self._deadlines[deadline] = began
        if self._waiting:
            self._hurry(deadline, began)

    def give(self, client: str, deadline: asyncio.Timeout) -> None:
        del self._deadlines[deadline]
        self._left(client)

    def _has_turn(self, client: str) -> bool:
        return self._reading.total() < self.at_once_max and self._reading[client] < share_of(self.at_once_max, client)

    async def wait(self, client: str, peer: str) -> None:
        """Returns with the turn taken."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((client, peer), deque()).append(turn)
        self._next()  # others may wait for a share of their own to be free
        for deadline, began in self._deadlines.items():
            self._hurry(deadline, began)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came, and nobody is here to use it
                self._left(client)
            else:
                self._forget((client, peer), turn)
            raise

    def _forget(self, who: tuple[str, str], turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(who)
        if queue is not None:
            with contextlib.suppress(ValueError):
                queue.remove(turn)
            if not queue:
                del self._waiting[who]

    @staticmethod
    def _hurry(deadline: asyncio.Timeout, began: float) -> None:
        when = deadline.when()
        if when is not None and not deadline.expired():
            deadline.reschedule(min(when, began + CONTENDED_READ_S))

    def _left(self, client: str) -> None:
        self._reading[client] -= 1
        if not self._reading[client]:
            del self._reading[client]
        self._next()

    def _next(self) -> None:
        """Give what turns are free to who waits."""
        for who in list(self._waiting):
            if self._reading.total() >= self.at_once_max:
                return
            if not self._has_turn(who[0]):
                continue
            queue = self._waiting.pop(who)
            turn = queue.popleft()
            if queue:
                self._waiting[who] = queue  # behind the others
            if not turn.done():
                self._reading[who[0]] += 1
                turn.set_result(None)


class Turn:
    """`async with`: the turn, in time. Raises TimeoutError: it, or the end of what is done in it, did not come so."""

    __slots__ = ("_client", "_deadline", "_peer", "_turns")

    def __init__(self, turns: Turns, client: str, peer: str) -> None:
        self._turns, self._client, self._peer = turns, client, peer
        self._deadline = asyncio.timeout(READ_S)

    async def __aenter__(self) -> None:
        await self._deadline.__aenter__()
        try:
            if not self._turns.take(self._client):
                await self._turns.wait(self._client, self._peer)
        except BaseException as error:
            await self._deadline.__aexit__(type(error), error, error.__traceback__)
            raise
        self._turns.began(self._deadline, asyncio.get_running_loop().time())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.give(self._client, self._deadline)
        await self._deadline.__aexit__(kind, error, trace)


class Proxied:
    """The context of a call that a proxy of ours passed on: its peer is the client that the proxy heard."""

    def __init__(self, context: Context, client: str) -> None:
        self._context, self._peer = context, f"{PROXIED}[{client}]:0"

    def peer(self) -> str:
        return self._peer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class Guard:
    """Limits and error codes around each call. shut: ends the connection of a peer, as gRPC names it."""

    def __init__(
        self, options: GrpcSection, rate: RateLimit, *, shut: Callable[[str], None] = lambda peer: None
    ) -> None:
        self._options = options
        self._timeout_s = options.request_timeout / 1_000
        self._rate, self._shut = rate, shut
        self.open_calls = Slots("open calls", open_calls_max(options))
        self.calls = Slots("calls", options.concurrent_requests_max)
        self.waits = Slots("waits and streams", options.concurrent_waits_max)
        self.streams = Slots("streams", options.concurrent_streams_max)
        self.turns = Turns(reads_max(options))
        self.requests = Room("requests", REQUESTS_BYTES_MAX)
        self.answers = Room("answers", ANSWERS_BYTES_MAX)
        self.counts: Counter[str] = Counter()  # by status
        self.cut: Counter[str] = Counter()  # connections that were ended, by why
        self.leaves = ""  # why nothing is answered any more
        self._running: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------------------------------------ around each call

    def seen(self, context: Context) -> Context:
        """The context of a call, as of the client who made it."""
        proxies = self._rate.proxies
        if not proxies or not proxies.has(host := host_at(context.peer())):
            return context
        metadata = context.invocation_metadata() or ()
        said = [value for key, value in metadata if key == FORWARDED and isinstance(value, str)]
        return cast(Context, Proxied(context, proxies.asker(host, said)))

    def enter(self, context: Context, *, cost: int) -> str:
        """Count a call that came in; returns its client. Raises Busy, NotServing."""
        if self.leaves:
            raise NotServing(self.leaves)
        client = client_at(context.peer())
        try:
            self._rate.take(client, cost=cost)
        except Flooding:
            self._cut(context.peer(), client, "flooding")
            raise
        self.occupy(client, self.open_calls)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return client

    def leave(self, why: str) -> None:
        """From now on each call, and each that runs, is UNAVAILABLE, with this reason: what it would read is closed."""
        self.leaves = why
        for task in self._running:
            task.cancel()

    def left(self, context: Context) -> None:
        """Of a call that was cancelled: tell its client why, where we did it. Raises CancelledError: it left."""
        if not self.leaves:
            raise asyncio.CancelledError
        with contextlib.suppress(Ended):
            self.fail(context, NotServing(self.leaves))

    @staticmethod
    def occupy(client: str, slots: Slots) -> None:
        """Take a slot for as long as the call lasts, the sending of its answer included. Raises Busy."""
        slots.take(client)
        when_over(lambda: slots.give(client))

    async def read_more(self, context: Context, client: str) -> bytes | None:
        """The next request of a call that sends many; None: it was the last. Raises Busy, BadQuestion, TimeoutError."""
        self._rate.take(client)
        try:
            async with self.turns.hold(client, context.peer()):
                data: Any = await context.read()
        except TimeoutError:
            raise TimeoutError("the next request did not come in time") from None
        if data is _EOF:
            return None
        if len(data) > MORE_BYTES_MAX:
            raise BadQuestion(f"a request of {len(data)} bytes; allowed: {MORE_BYTES_MAX}")
        return bytes(data)

    async def read(self, context: Context, client: str) -> bytes:
        """The request. It counts until the call is over. Raises Busy, BadQuestion, TimeoutError."""
        try:
            async with self.turns.hold(client, context.peer()):
                data: Any = await context.read()
        except TimeoutError:
            raise TimeoutError("the request did not come in time") from None
        if data is _EOF:
            raise BadQuestion("the call has no request")
        size = len(data)
        self.requests.take(client, size)
        when_over(lambda: self.requests.give(client, size))
        if size > BYTES_PER_COST:
            self._rate.take(client, cost=size // BYTES_PER_COST)
        return bytes(data)

    def answering(self, context: Context, client: str, size: int) -> None:
        """An answer is about to be sent: it counts until it was taken. Raises Busy."""
        self.answers.take(client, size)
        timer = asyncio.get_running_loop().call_later(
            ANSWER_STALL_S, self._cut, context.peer(), client, "an answer was not read in time"
        )

        def over() -> None:
            timer.cancel()
            self.answers.give(client, size)

        when_over(over)

    def telling(
        self, context: Context, client: str, size: int, where: str
    ) -> contextlib.AbstractContextManager[object]:
        """For while one message of a stream is sent. where: it stands, for who goes on later. Raises Busy."""
        self.answers.take(client, size)
        held = contextlib.ExitStack()
        held.callback(self.answers.give, client, size)
        timer = asyncio.get_running_loop().call_later(
            STREAM_STALL_S, self._cut, context.peer(), client, f"a stream was not read in time, {where}"
        )
        held.callback(timer.cancel)
        return held

    def _cut(self, peer: str, client: str, why: str) -> None:
        self.cut[why.partition(",")[0]] += 1
        if peer.startswith(PROXIED):  # the connection is other clients', too
            _limited.warning("refused a gRPC client of a proxy", client, why=why)
            return
        _limited.warning("ended a gRPC connection", client, why=why)
        self._shut(peer)

    # ---------------------------------------------------------------------------------------------- of our services

    async def call(self, context: Context, work: Callable[[], Awaitable[T]], *, is_wait: bool = False) -> T:
        """Run one unary call."""
        try:
            with (self.waits if is_wait else self.calls).hold(client_at(context.peer())):
                async with asyncio.timeout(self._timeout_s):
                    answer = await work()
        except Exception as error:
            self.fail(context, error)
        self.counts["OK"] += 1
        return answer

    @contextlib.asynccontextmanager
    async def stream(self, context: Context) -> AsyncIterator[None]:
        """Around one call that streams its answers: it lasts as long as the client wants."""
        client = client_at(context.peer())
        try:
            with self.waits.hold(client), self.streams.hold(client):
                yield
        except Exception as error:
            self.fail(context, error)
        self.counts["OK"] += 1

    def fail(self, context: Context, error: Exception) -> NoReturn:
        """End the call with the error's code."""
        if isinstance(error, Ended):
            raise error
        status = _STATUS.get(type(error), grpc.StatusCode.INTERNAL)
        if status is grpc.StatusCode.INTERNAL:
            _limited.error("a call failed", client_at(context.peer()), error=repr(error), exc_info=traced(error))
            self.refuse(context, status, "the node failed to answer; its log says why")
        self.refuse(context, status, (str(error) or f"no answer within {self._timeout_s:g} s")[:DETAILS_LENGTH_MAX])

    def refuse(self, context: Context, status: grpc.StatusCode, details: str) -> NoReturn:
        """End the call so."""
        self.counts[status.name] += 1
        context.set_code(status)
        context.set_details(details)
        raise Ended from None


def when_over(work: Callable[[], None]) -> None:
    """Do it once the running call is over, its answer taken or given up. Each call is a task of its own."""
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda _: work())  # a callback of the context would be a cycle with it, for the collector


def open_calls_max(options: GrpcSection) -> int:
    """Those that are over but for their answer's way, and those that are being refused, count too."""
    return 2 * (options.concurrent_requests_max + options.concurrent_waits_max) + REFUSALS_AT_ONCE


@functools.lru_cache(maxsize=4_096)
def client_at(peer: str) -> str:
    """Whom a call counts to: gRPC says `ipv4:127.0.0.1:40312`, `ipv6:%5B::1%5D:40312`, `unix:...`."""
    return client_of(host_at(peer))


@functools.lru_cache(maxsize=4_096)
def host_at(peer: str) -> str:
    """The address itself."""
    kind, _, rest = urllib.parse.unquote(peer).partition(":")
    return kind if kind == "unix" else rest.rpartition(":")[0].strip("[]")
