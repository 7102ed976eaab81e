"""The gRPC door's BridgeService: see proto/dchat/v1/bridge_service.proto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chain.tx.messages import CHANNEL_ID_BYTES
from crypto.hash import ADDRESS_BYTES, HASH_BYTES
from dchat.app.bridge_queries import ROWS_MAX, BridgeQueries
from dchat.doors.grpc.state_reads import Context, StateReads, limit_of, of_size
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.audit import bridge_status
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import bridge_service_pb2 as pb
from proto.dchat.v1 import bridge_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from dchat.doors.grpc.guard import Guard

SERVICE: Final = "dchat.v1.BridgeService"
CURSOR_BYTES: Final = 8 + HASH_BYTES  # height ‖ replay id


class BridgeService(StateReads, rpc.BridgeServiceServicer):
    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        super().__init__(guard, answers, threads)
        self._queries = BridgeQueries(answers.queries)

    async def ListEscrows(self, request: pb.ListEscrowsRequest, context: Context) -> pb.ListEscrowsResponse:
        return await self._read(
            context,
            lambda: self._queries.escrows(
                party=of_size("party", request.party, ADDRESS_BYTES, may_lack=True),
                after=of_size("after", request.after, HASH_BYTES, may_lack=True),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListReceipts(self, request: pb.ListReceiptsRequest, context: Context) -> pb.ListReceiptsResponse:
        return await self._read(
            context,
            lambda: self._queries.receipts(
                party=of_size("party", request.party, ADDRESS_BYTES, may_lack=True),
                from_height=request.from_height,
                to_height=request.to_height,
                after=of_size("after", request.after, CURSOR_BYTES, may_lack=True),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def GetBridgeStatus(self, request: pb.GetBridgeStatusRequest, context: Context) -> pb.GetBridgeStatusResponse:
        return await self._read(context, lambda: bridge_status(self._answers, self._height(request.height)))

    async def GetAllowance(self, request: pb.GetAllowanceRequest, context: Context) -> pb.GetAllowanceResponse:
        return await self._read(
            context,
            lambda: self._queries.allowance(
                of_size("address", request.address, ADDRESS_BYTES),
                channel_id=of_size("channel_id", request.channel_id, CHANNEL_ID_BYTES, may_lack=True),
                height=self._height(request.height),
            ),
        )
