"""The gRPC door's ChannelService and ReputationService: see proto/dchat/v1/channel_service.proto and
reputation_service.proto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chain.tx.messages import CHANNEL_ID_BYTES
from crypto.hash import ADDRESS_BYTES
from dchat.app.chat_queries import ROWS_MAX, ChannelQueries, ReputationQueries
from dchat.doors.grpc.state_reads import Context, StateReads, limit_of, of_size
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import channel_service_pb2 as channels_pb
from proto.dchat.v1 import channel_service_pb2_grpc as channels_rpc
from proto.dchat.v1 import reputation_service_pb2 as pb
from proto.dchat.v1 import reputation_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from dchat.doors.grpc.guard import Guard

CHANNELS: Final = "dchat.v1.ChannelService"
REPUTATION: Final = "dchat.v1.ReputationService"
CURSOR_BYTES_MAX: Final = 8 + 1 + ADDRESS_BYTES  # weight ‖ what it is about


class ChannelService(StateReads, channels_rpc.ChannelServiceServicer):
    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        super().__init__(guard, answers, threads)
        self._queries = ChannelQueries(answers.queries)

    async def ListMembers(
        self, request: channels_pb.ListMembersRequest, context: Context
    ) -> channels_pb.ListMembersResponse:
        return await self._read(context, lambda: self._queries.members(*_channel(request), **self._rows(request)))

    async def ListMemberships(
        self, request: channels_pb.ListMembershipsRequest, context: Context
    ) -> channels_pb.ListMembershipsResponse:
        return await self._read(
            context,
            lambda: self._queries.memberships(
                of_size("member", request.member, ADDRESS_BYTES), **self._rows(request, CHANNEL_ID_BYTES)
            ),
        )

    async def ListBans(self, request: channels_pb.ListBansRequest, context: Context) -> channels_pb.ListBansResponse:
        return await self._read(context, lambda: self._queries.bans(*_channel(request), **self._rows(request)))

    async def ListInvitations(
        self, request: channels_pb.ListInvitationsRequest, context: Context
    ) -> channels_pb.ListInvitationsResponse:
        return await self._read(context, lambda: self._queries.invitations(*_channel(request), **self._rows(request)))

    def _rows(self, request: Any, cursor_bytes: int = ADDRESS_BYTES) -> dict[str, Any]:
        return {
            "after": of_size("after", request.after, cursor_bytes, may_lack=True),
            "limit": limit_of(request.limit, ROWS_MAX),
            "height": self._height(request.height),
        }


def _channel(request: Any) -> tuple[bytes]:
    return (of_size("channel_id", request.channel_id, CHANNEL_ID_BYTES),)


class ReputationService(StateReads, rpc.ReputationServiceServicer):
    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        super().__init__(guard, answers, threads)
        self._queries = ReputationQueries(answers.queries)

    async def GetScore(self, request: pb.GetScoreRequest, context: Context) -> pb.GetScoreResponse:
        return await self._read(
            context,
            lambda: self._queries.score(
                of_size("address", request.address, ADDRESS_BYTES), height=self._height(request.height)
            ),
        )

    async def ListReports(self, request: pb.ListReportsRequest, context: Context) -> pb.ListReportsResponse:
        return await self._read(
            context,
            lambda: self._queries.reports(
                of_size("channel_id", request.channel_id, CHANNEL_ID_BYTES),
                after=_cursor(request.after),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )


def _cursor(after: bytes) -> bytes:
    if len(after) > CURSOR_BYTES_MAX:
        raise BadQuestion("after: not a `next` of such a list")
    return after
