"""A door that lies: it passes calls on to an honest node's gRPC door, but for what a test makes it say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from proto.dchat.v1 import governance_service_pb2 as gov
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import trail_service_pb2 as trails

Honest = Callable[[], Awaitable[Any]]
Lie = Callable[[Any, Honest], Awaitable[Any]]  # the request, and what asks the honest node; returns the answer

KINDS: dict[str, tuple[Any, Any]] = {
    "Broadcast": (pb.BroadcastRequest, pb.BroadcastResponse),
    "GetTx": (pb.GetTxRequest, pb.GetTxResponse),
    "GetStatus": (pb.GetStatusRequest, pb.GetStatusResponse),
    "GetBlock": (pb.GetBlockRequest, pb.GetBlockResponse),
    "GetCommit": (pb.GetCommitRequest, pb.GetCommitResponse),
    "GetAccount": (pb.GetAccountRequest, pb.GetAccountResponse),
    "GetIdentity": (pb.GetIdentityRequest, pb.GetIdentityResponse),
    "GetMessage": (pb.GetMessageRequest, pb.GetMessageResponse),
    "ListMessages": (pb.ListMessagesRequest, pb.ListMessagesResponse),
    "GetRecord": (pb.GetRecordRequest, pb.GetRecordResponse),
    "GetParams": (pb.GetParamsRequest, pb.GetParamsResponse),
    "GetUpgrade": (pb.GetUpgradeRequest, pb.GetUpgradeResponse),
    "ListTrails": (trails.ListTrailsRequest, trails.ListTrailsResponse),
    "ListTrailSteps": (trails.ListTrailStepsRequest, trails.ListTrailStepsResponse),
    "ListTrailWrites": (trails.ListTrailWritesRequest, trails.ListTrailWritesResponse),
    "GetProposal": (gov.GetProposalRequest, gov.GetProposalResponse),
}


class Fault(Exception):
    """A lie may raise it: a call's error of the liar's own words."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class LyingDoor(grpc.GenericRpcHandler):  # type: ignore[misc]  # the library's, untyped
    """handed: each different transaction that it was given, in order. lies: by the method's name. calls: how many came.
    stream_messages: so many of each stream, then it ends by an error; silent: then it says nothing more."""

    def __init__(self, honest: str) -> None:
        self._channel = grpc.aio.insecure_channel(honest, options=[("grpc.max_receive_message_length", -1)])
        self._server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        self._server.add_generic_rpc_handlers((self,))
        self.lies: dict[str, Lie] = {}
        self.handed: list[bytes] = []
        self.calls = 0
        self.stream_messages: int | None = None
        self.silent = False
        self._cut = asyncio.Event()
        self.address = ""

    def service(self, details: Any) -> Any:
        method = details.method

        async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            self.calls += 1
            passed, cut = 0, self._cut
            async for answer in self._channel.unary_stream(method)(request):
                if passed == self.stream_messages or cut.is_set():
                    if self.silent:
                        await asyncio.Event().wait()
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "it goes away")
                yield answer
                passed += 1

        async def call(request: bytes, context: Any) -> bytes:
            self.calls += 1
            try:
                return await self._call(method, request)
            except grpc.aio.AioRpcError as error:  # the honest node's
                await context.abort(error.code(), error.details())
            except Fault as fault:
                await context.abort(fault.code, fault.details)
            raise AssertionError("aborted")

        if "/Stream" in method:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(call)

    async def _call(self, method: str, request: bytes) -> bytes:
        name = method.rpartition("/")[2]
        if name == "Broadcast":
            tx = pb.BroadcastRequest.FromString(request).tx
            if tx not in self.handed:
                self.handed.append(tx)
        if (lie := self.lies.get(name)) is None:
            passed: bytes = await self._channel.unary_unary(method)(request)
            return passed
        asked, answered = KINDS[name]
        parsed = asked.FromString(request)

        async def honest() -> Any:
            return answered.FromString(await self._channel.unary_unary(method)(parsed.SerializeToString()))

        told: bytes = (await lie(parsed, honest)).SerializeToString()
        return told

    async def start(self, tls: grpc.ServerCredentials | None = None) -> None:
        """tls: None: without."""
        here = "127.0.0.1:0"
        port = self._server.add_insecure_port(here) if tls is None else self._server.add_secure_port(here, tls)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    def cut(self) -> None:
        """The streams that there are end with their next message."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def stop(self) -> None:
        await self._server.stop(None)
        await self._channel.close()


@contextlib.asynccontextmanager
async def lying_door(honest: str, tls: grpc.ServerCredentials | None = None, **lies: Lie) -> AsyncIterator[LyingDoor]:
    door = LyingDoor(honest)
    door.lies.update(lies)
    await door.start(tls)
    try:
        yield door
    finally:
        await door.stop()


def says(answer: Any) -> Lie:
    """Always this, and the honest node hears nothing."""

    async def lie(request: Any, honest: Honest) -> Any:
        return answer

    return lie


def twists(change: Callable[[Any], None]) -> Lie:
    """The honest answer, changed: what was asked for is done."""

    async def lie(request: Any, honest: Honest) -> Any:
        answer = await honest()
        change(answer)
        return answer

    return lie
