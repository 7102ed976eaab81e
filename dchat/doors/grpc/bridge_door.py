"""The gRPC door's BridgeService: see proto/dchat/v1/bridge_service.proto."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from chain.tx.messages import CHANNEL_ID_BYTES
from crypto.hash import ADDRESS_BYTES, HASH_BYTES
from dchat.app.bridge_queries import ROWS_MAX, BridgeQueries
from dchat.doors.grpc.guard import client_at
from dchat.doors.reads.answers import Answers, reading
from dchat.doors.reads.audit import bridge_status
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import bridge_service_pb2 as pb
from proto.dchat.v1 import bridge_service_pb2_grpc as rpc

if TYPE_CHECKING:
    import grpc.aio

    from dchat.doors.grpc.guard import Guard

SERVICE: Final = "dchat.v1.BridgeService"
CURSOR_BYTES: Final = 8 + HASH_BYTES  # height ‖ replay id

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
T = TypeVar("T")


class BridgeService(rpc.BridgeServiceServicer):
    """Reads run in a thread: an older version is found by a walk."""

    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        self._guard, self._answers, self._threads = guard, answers, threads
        self._queries = BridgeQueries(answers.queries)

    async def _read(self, context: Context, look: Callable[[], T]) -> T:
        def work() -> T:
            with reading():
                return look()

        return await self._guard.call(context, lambda: self._threads.run(work, client_at(context.peer())))

    def _height(self, height: int) -> int:
        return self._answers.state_height(height, prove=False)

    async def ListEscrows(self, request: pb.ListEscrowsRequest, context: Context) -> pb.ListEscrowsResponse:
        return await self._read(
            context,
            lambda: self._queries.escrows(
                party=_bytes("party", request.party, ADDRESS_BYTES),
                after=_bytes("after", request.after, HASH_BYTES),
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )

    async def ListReceipts(self, request: pb.ListReceiptsRequest, context: Context) -> pb.ListReceiptsResponse:
        return await self._read(
            context,
            lambda: self._queries.receipts(
                party=_bytes("party", request.party, ADDRESS_BYTES),
                from_height=request.from_height,
                to_height=request.to_height,
                after=_bytes("after", request.after, CURSOR_BYTES),
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )

    async def GetBridgeStatus(self, request: pb.GetBridgeStatusRequest, context: Context) -> pb.GetBridgeStatusResponse:
        return await self._read(context, lambda: bridge_status(self._answers, self._height(request.height)))

    async def GetAllowance(self, request: pb.GetAllowanceRequest, context: Context) -> pb.GetAllowanceResponse:
        return await self._read(
            context,
            lambda: self._queries.allowance(
                _bytes("address", request.address, ADDRESS_BYTES, may_lack=False),
                channel_id=_bytes("channel_id", request.channel_id, CHANNEL_ID_BYTES),
                height=self._height(request.height),
            ),
        )


def _limit(limit: int) -> int:
    if not 0 <= limit <= ROWS_MAX:
        raise BadQuestion(f"limit is {limit}; allowed: 1 to {ROWS_MAX}, 0 for {ROWS_MAX}")
    return limit or ROWS_MAX


def _bytes(name: str, value: bytes, size: int, *, may_lack: bool = True) -> bytes:
    """Of its size, or empty where it may lack."""
    if (value or not may_lack) and len(value) != size:
        raise BadQuestion(f"{name} has {len(value)} bytes; expected {size}")
    return value
