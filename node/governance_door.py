"""The gRPC service of governance. See `node.grpc_door` for limits and error codes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from node.answers import Answers
from node.governance_answers import GovernanceAnswers
from proto.dchat.v1 import governance_service_pb2 as pb
from proto.dchat.v1 import governance_service_pb2_grpc as rpc

SERVICE = "dchat.v1.GovService"

T = TypeVar("T")


class Calls(Protocol):
    """The door's guard."""

    async def call(self, context: Any, work: Callable[[], Awaitable[T]]) -> T: ...


class GovService(rpc.GovServiceServicer):
    def __init__(self, guard: Calls, answers: Answers) -> None:
        self._guard, self._answers = guard, GovernanceAnswers(answers)
        self._one_count = asyncio.Lock()  # of votes, at a time

    async def _ask(self, context: Any, work: Callable[[Any], T], request: Any) -> T:
        async def now() -> T:
            return work(request)

        return await self._guard.call(context, now)

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
        async def work() -> pb.GetTallyResponse:
            async with self._one_count:
                return await asyncio.to_thread(self._answers.tally, request)

        return await self._guard.call(context, work)
