"""The gRPC service of governance. See `dchat.doors.grpc.door` for limits and error codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from dchat.doors.grpc.governance_answers import GovernanceAnswers
from dchat.doors.grpc.guard import client_at
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import governance_service_pb2 as pb
from proto.dchat.v1 import governance_service_pb2_grpc as rpc

SERVICE = "dchat.v1.GovService"

T = TypeVar("T")


class Calls(Protocol):
    """The door's guard."""

    async def call(self, context: Any, work: Callable[[], Awaitable[T]]) -> T: ...


class GovService(rpc.GovServiceServicer):
    """Reads run in a thread: a proposal is large, and a list of them longer."""

    def __init__(self, guard: Calls, answers: Answers, reading: Reading) -> None:
        self._guard, self._answers, self._reading = guard, GovernanceAnswers(answers), reading

    async def _ask(self, context: Any, work: Callable[[Any], T], request: Any) -> T:
        return await self._guard.call(
            context, lambda: self._reading.run(lambda: work(request), client_at(context.peer()))
        )

    async def GetProposal(self, request: pb.GetProposalRequest, context: Any) -> pb.GetProposalResponse:
        return await self._ask(context, self._answers.proposal, request)

    async def ListProposals(self, request: pb.ListProposalsRequest, context: Any) -> pb.ListProposalsResponse:
        return await self._ask(context, self._answers.proposals, request)

    async def GetVote(self, request: pb.GetVoteRequest, context: Any) -> pb.GetVoteResponse:
        return await self._ask(context, self._answers.vote, request)

    async def ListVotes(self, request: pb.ListVotesRequest, context: Any) -> pb.ListVotesResponse:
        return await self._ask(context, self._answers.votes, request)

    async def ListDeposits(self, request: pb.ListDepositsRequest, context: Any) -> pb.ListDepositsResponse:
        return await self._ask(context, self._answers.deposits, request)

    async def GetTally(self, request: pb.GetTallyRequest, context: Any) -> pb.GetTallyResponse:
        """One count for all who ask for the same, and no two at once."""
        key = ("tally", request.proposal_id, request.height)
        return await self._guard.call(
            context,
            lambda: self._reading.shared(
                key, lambda is_wanted: self._answers.tally(request, is_wanted), client_at(context.peer())
            ),
        )
