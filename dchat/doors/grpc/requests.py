"""Reading gRPC requests: nothing is read before the guard lets it in, and bytes that are no request are the client's
fault, and are answered so.

The library reads a request before any code of ours runs, as large as it is allowed to be and as slow as its sender
likes, and treats a failure as the server's: status UNKNOWN, a traceback in the log. Here every method is one that takes
a stream, of which nothing is read until it is asked for; what stands in it is asked for under
`dchat.doors.grpc.guard`'s limits, and what cannot be read ends the call. Holds for each service of the server, health
and reflection too.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from dchat.doors.grpc.guard import Context, Ended, Guard
from dchat.doors.reads.errors import BadQuestion, Busy

Read: TypeAlias = Callable[[bytes], Any]
Look: TypeAlias = Callable[[bytes], None]

REQUEST_BYTES_MAX: Final = 16_384  # of a question; what brings transactions or evidence may have more
STREAM_REQUESTS_MAX: Final = 1_000  # of one call that takes many (reflection); each counts as a call


def _is_small(data: bytes) -> None:
    """Parsing takes time on the loop, and a byte can become a hundred of objects."""
    if len(data) > REQUEST_BYTES_MAX:
        raise BadQuestion(f"a request of {len(data)} bytes; allowed of this method: {REQUEST_BYTES_MAX}")


class ReadsRequests(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Give it to the server. costs: what a call of a method is worth in plain ones, by its path; others: 1.

    guarded: services whose methods pass `Guard.call` or `Guard.stream` themselves. large: methods whose requests may be
    as large as the door takes, each with a look at the bytes before they are read, which raises BadQuestion.
    """

    def __init__(
        self, guard: Guard, *, costs: Mapping[str, int], guarded: frozenset[str], large: Mapping[str, Look]
    ) -> None:
        self._guard, self._costs, self._guarded, self._large = guard, costs, guarded, large
        self._known: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}  # by method, of those that the server has
        # Without a message before its status, which who expects a stream (of reflection's next version) would read.
        self._unknown: Any = grpc.stream_stream_rpc_method_handler(self._not_there)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        method = str(handler_call_details.method)
        if method not in self._known:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._unknown
            if handler.request_deserializer is None:
                return handler
            is_guarded = method.split("/")[1] in self._guarded
            cost, look = self._costs.get(method, 1), self._large.get(method, _is_small)
            made = _Method(self._guard, method, handler, cost, look, is_guarded=is_guarded)
            self._known[method] = made.made
        return self._known[method]

    async def _not_there(self, _: object, context: Context) -> None:
        """A method that nobody has: it counts as a call, and nothing of its request is read."""
        guard = self._guard
        with contextlib.suppress(Ended):
            try:
                guard.enter(guard.seen(context), cost=1)
            except Exception as error:
                guard.fail(context, error)
            guard.refuse(context, grpc.StatusCode.UNIMPLEMENTED, "there is no such method")


class _Method:
    """One method, taking bytes and giving bytes."""

    def __init__(self, guard: Guard, path: str, handler: Any, cost: int, look: Look, *, is_guarded: bool) -> None:
        self._guard, self._path, self._cost, self._look, self._is_guarded = guard, path, cost, look, is_guarded
        self._parse: Read = handler.request_deserializer
        self._serialize: Callable[[Any], bytes] = handler.response_serializer
        self._kind = getattr(getattr(self._parse, "__self__", None), "__name__", "message of its type")
        self._takes_many, tells_many = bool(handler.request_streaming), bool(handler.response_streaming)
        self._behaviour = getattr(handler, _BEHAVIOURS[self._takes_many, tells_many])
        make: Any = grpc.stream_unary_rpc_method_handler
        act: Callable[..., Any] = self._answer
        if tells_many:
            make = grpc.stream_stream_rpc_method_handler
            act = self._tell if inspect.isasyncgenfunction(self._behaviour) else self._write
        self.made: grpc.RpcMethodHandler[Any, Any] = make(act, response_serializer=self._encode)

    def _encode(self, answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else self._serialize(answer)

    async def _take(self, context: Context, *, is_stream: bool) -> tuple[str, Any]:
        """(client, request or requests); ends the call when it is not let in."""
        guard = self._guard
        try:
            client = guard.enter(context, cost=self._cost)
            if not self._is_guarded:
                guard.occupy(client, guard.streams if is_stream else guard.calls)
            if self._takes_many:
                return client, self._many(context, client)
            return client, self._read(await guard.read(context, client))
        except Exception as error:
            guard.fail(context, error)

    def _read(self, data: bytes) -> Any:
        self._look(data)
        return self._parsed(data)

    def _parsed(self, data: bytes) -> Any:
        try:
            return self._parse(data)
        except DecodeError:
            raise BadQuestion(f"{self._path}: the request of {len(data)} bytes is not a {self._kind}") from None

    async def _many(self, context: Context, client: str) -> AsyncIterator[Any]:
        for _ in range(STREAM_REQUESTS_MAX):
            try:
                data = await self._guard.read_more(context, client)
                if data is None:
                    return
                request = self._read(data)
            except Exception as error:
                self._guard.fail(context, error)
            yield request
        self._guard.fail(context, BadQuestion(f"{STREAM_REQUESTS_MAX} requests of one call are the limit"))

    async def _answer(self, _: object, context: Context) -> bytes:
        context = self._guard.seen(context)
        try:
            client, request = await self._take(context, is_stream=False)
            data = self._encode(await self._behaviour(request, context))
            try:
                self._guard.answering(context, client, len(data))
            except Busy as error:
                self._guard.fail(context, error)
        except Ended:
            return b""
        except asyncio.CancelledError:
            self._guard.left(context)
            return b""
        return data

    async def _tell(self, _: object, context: Context) -> AsyncIterator[bytes]:
        context = self._guard.seen(context)
        try:
            async with contextlib.aclosing(self._told(context)) as told:
                async for data in told:
                    yield data
        except Ended:
            pass
        except asyncio.CancelledError:
            self._guard.left(context)

    async def _told(self, context: Context) -> AsyncGenerator[bytes]:
        client, request = await self._take(context, is_stream=True)
        async with contextlib.aclosing(self._behaviour(request, context)) as found:
            async for answer in found:
                data = self._encode(answer)
                try:
                    taken = self._guard.telling(context, client, len(data), self._place(answer))
                except Busy as error:
                    self._guard.fail(context, error)
                with taken:
                    yield data

    async def _write(self, _: object, context: Context) -> None:
        """A behaviour that writes its few and small answers itself (health)."""
        context = self._guard.seen(context)
        try:
            _, request = await self._take(context, is_stream=True)
            await self._behaviour(request, context)
        except Ended:
            pass
        except asyncio.CancelledError:
            self._guard.left(context)

    def _place(self, answer: Any) -> str:
        """Where a stream stands, for who goes on later."""
        cursor = getattr(answer, "cursor", None)
        return f"{self._path}" if cursor is None else f"{self._path} at {cursor.height}:{cursor.index}"


# By (requests stream, responses stream): where a handler has its function.
_BEHAVIOURS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
