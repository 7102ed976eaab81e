"""The gRPC door's ReputationService: see proto/dchat/v1/reputation_service.proto."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from chain.tx.messages import CHANNEL_ID_BYTES
from crypto.hash import ADDRESS_BYTES
from dchat.app.reputation_queries import ROWS_MAX, ReputationQueries
from dchat.doors.grpc.guard import client_at
from dchat.doors.reads.answers import Answers, reading
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import reputation_service_pb2 as pb
from proto.dchat.v1 import reputation_service_pb2_grpc as rpc

if TYPE_CHECKING:
    import grpc.aio

    from dchat.doors.grpc.guard import Guard

SERVICE: Final = "dchat.v1.ReputationService"
CURSOR_BYTES_MAX: Final = 8 + 1 + ADDRESS_BYTES  # weight ‖ what it is about

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
T = TypeVar("T")


class ReputationService(rpc.ReputationServiceServicer):
    """Reads run in a thread: an older version is found by a walk."""

    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        self._guard, self._answers, self._threads = guard, answers, threads
        self._queries = ReputationQueries(answers.queries)

    async def _read(self, context: Context, look: Callable[[], T]) -> T:
        def work() -> T:
            with reading():
                return look()

        return await self._guard.call(context, lambda: self._threads.run(work, client_at(context.peer())))

    def _height(self, height: int) -> int:
        return self._answers.state_height(height, prove=False)

    async def GetScore(self, request: pb.GetScoreRequest, context: Context) -> pb.GetScoreResponse:
        return await self._read(
            context,
            lambda: self._queries.score(
                _sized("address", request.address, ADDRESS_BYTES), height=self._height(request.height)
            ),
        )

    async def ListReports(self, request: pb.ListReportsRequest, context: Context) -> pb.ListReportsResponse:
        return await self._read(
            context,
            lambda: self._queries.reports(
                _sized("channel_id", request.channel_id, CHANNEL_ID_BYTES),
                after=_cursor(request.after),
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )


def _sized(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise BadQuestion(f"{name} has {len(value)} bytes; expected {size}")
    return value


def _limit(limit: int) -> int:
    if not 0 <= limit <= ROWS_MAX:
        raise BadQuestion(f"limit is {limit}; allowed: 1 to {ROWS_MAX}, 0 for {ROWS_MAX}")
    return limit or ROWS_MAX


def _cursor(after: bytes) -> bytes:
    if len(after) > CURSOR_BYTES_MAX:
        raise BadQuestion("after: not a `next` of such a list")
    return after
