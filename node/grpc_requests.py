"""Reading gRPC requests: bytes that are no request are the client's fault, and are answered so.

The library reads a request before any code of ours runs, and treats a failure as the server's: status UNKNOWN, a
traceback in the log. Here every method takes its requests as bytes, and they are read under the door's limits; what
cannot be read is refused by `Refuse`, which ends the call. Holds for each service of the server, health and
reflection too.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Refuse: TypeAlias = Callable[[Context, str], Awaitable[NoReturn]]
Read: TypeAlias = Callable[[bytes], Any]
Take: TypeAlias = Callable[[Any, Context], Awaitable[Any]]  # a request, or many, as bytes: read


class ReadsRequests(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Give it to the server. refuse: ends the call because of the text."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._known: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}  # by method, of those that the server has

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        method = str(handler_call_details.method)
        if method not in self._known:
            handler = await continuation(handler_call_details)
            if handler is None or handler.request_deserializer is None:
                return handler
            self._known[method] = self._reading(method, handler)
        return self._known[method]

    def _reading(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        """`handler`, given bytes."""
        read: Read = handler.request_deserializer
        kind = getattr(getattr(read, "__self__", None), "__name__", "message of its type")

        async def one(data: bytes, context: Context) -> Any:
            try:
                return read(data)
            except DecodeError:
                await self._refuse(context, f"{method}: the request of {len(data)} bytes is not a {kind}")

        async def many(stream: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            async for data in stream:
                yield await one(data, context)

        async def stream_of(stream: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            return many(stream, context)

        streams_in, streams_out = bool(handler.request_streaming), bool(handler.response_streaming)
        behaviour = getattr(handler, _BEHAVIOURS[streams_in, streams_out])
        make = _MAKERS[streams_in, streams_out]
        take = stream_of if streams_in else one
        made: grpc.RpcMethodHandler[Any, Any] = make(
            _answering(behaviour, take), response_serializer=handler.response_serializer
        )
        return made


def _answering(behaviour: Callable[..., Any], take: Take) -> Callable[..., Any]:
    """`behaviour` after `take`. The library tells by its kind of function how it answers: it stays of that kind."""
    if inspect.isasyncgenfunction(behaviour):

        async def answers(request: Any, context: Context) -> AsyncIterator[Any]:
            async with contextlib.aclosing(behaviour(await take(request, context), context)) as found:
                async for answer in found:
                    yield answer

        return answers

    async def answer(request: Any, context: Context) -> Any:
        return await behaviour(await take(request, context), context)

    return answer


# By (requests stream, responses stream): where a handler has its function, and what makes one.
_BEHAVIOURS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
