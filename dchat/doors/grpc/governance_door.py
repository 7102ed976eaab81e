"""The gRPC service of governance. See `dchat.doors.grpc.door` for limits and error codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from crypto.hash import ADDRESS_BYTES
from dchat.app.governance_queries import GovernanceQueries
from dchat.doors.grpc.guard import client_at
from dchat.doors.grpc.state_reads import limit_of, of_size
from dchat.doors.reads.answers import Answers, reading
from dchat.doors.reads.errors import BadQuestion, NotThere
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import governance_pb2 as gov
from proto.dchat.v1 import governance_service_pb2 as pb
from proto.dchat.v1 import governance_service_pb2_grpc as rpc

SERVICE = "dchat.v1.GovService"
PROPOSALS_MAX, PROPOSALS_DEFAULT = 100, 20
VOTES_MAX, VOTES_DEFAULT = 1_000, 100
NUMBER_MAX = (1 << 63) - 1

T = TypeVar("T")


class Calls(Protocol):
    """The door's guard."""

    async def call(self, context: Any, work: Callable[[], Awaitable[T]]) -> T: ...


class GovernanceAnswers:
    """As dchat.v1 messages. Raises NotThere, BadQuestion; as `dchat.doors.reads.answers`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._queries = GovernanceQueries(answers.queries)

    def proposal(self, request: pb.GetProposalRequest) -> pb.GetProposalResponse:
        number = _number(request.proposal_id)
        height = self._answers.state_height(request.height, prove=request.prove)
        with reading():
            found = self._queries.proposal(number, height=height, with_proof=request.prove)
            held = self._queries.held(number, height=found.height)
        answer = pb.GetProposalResponse(height=found.height, deposit=held)
        if found.value is not None:
            answer.proposal.MergeFromString(found.value)
        if request.prove:
            answer.proof.CopyFrom(self._answers.proof(found))
        return answer

    def proposals(self, request: pb.ListProposalsRequest) -> pb.ListProposalsResponse:
        limit = limit_of(request.limit, PROPOSALS_MAX, PROPOSALS_DEFAULT)
        if request.after > NUMBER_MAX:
            raise BadQuestion(f"after is {request.after}; allowed: 0 to {NUMBER_MAX}")
        height = self._answers.state_height(request.height, prove=False)
        with reading():
            found, following = self._queries.proposals(
                after=request.after, limit=limit, status=request.status, height=height
            )
        answer = pb.ListProposalsResponse(height=height, next_after=following)
        answer.proposals.extend(gov.Proposal.FromString(stored) for stored in found)
        return answer

    def vote(self, request: pb.GetVoteRequest) -> pb.GetVoteResponse:
        number, voter = _number(request.proposal_id), of_size("voter", request.voter, ADDRESS_BYTES)
        height = self._answers.state_height(request.height, prove=request.prove)
        with reading():
            found = self._queries.vote(number, voter, height=height, with_proof=request.prove)
        answer = pb.GetVoteResponse(height=found.height)
        if found.value is not None:
            answer.vote.MergeFromString(found.value)
        if request.prove:
            answer.proof.CopyFrom(self._answers.proof(found))
        return answer

    def votes(self, request: pb.ListVotesRequest) -> pb.ListVotesResponse:
        number, after, limit, height = self._page(request)
        with reading():
            found = self._queries.votes(number, after=after, limit=limit, height=height)
        answer = pb.ListVotesResponse(height=height)
        for voter, stored in found:
            answer.votes.add(voter=voter, vote=gov.VoteRecord.FromString(stored))
        return answer

    def deposits(self, request: pb.ListDepositsRequest) -> pb.ListDepositsResponse:
        number, after, limit, height = self._page(request)
        with reading():
            found = self._queries.deposits(number, after=after, limit=limit, height=height)
        answer = pb.ListDepositsResponse(height=height)
        for depositor, stored in found:
            answer.deposits.add(depositor=depositor, amount=gov.Deposit.FromString(stored).amount)
        return answer

    def _page(self, request: Any) -> tuple[int, bytes, int, int]:
        """(number, after, limit, height) of a list's request."""
        after = of_size("after", request.after, ADDRESS_BYTES) if request.after else b""
        limit = limit_of(request.limit, VOTES_MAX, VOTES_DEFAULT)
        return _number(request.proposal_id), after, limit, self._answers.state_height(request.height, prove=False)

    def tally(self, request: pb.GetTallyRequest, is_wanted: Callable[[], bool] = lambda: True) -> pb.GetTallyResponse:
        """Counts while voting is open: call it in a thread. Raises Abandoned too."""
        number = _number(request.proposal_id)
        height = self._answers.state_height(request.height, prove=False)
        with reading():
            standing = self._queries.standing(number, height=height, is_wanted=is_wanted)
        if standing is None:
            raise NotThere(f"there is no proposal {number}")
        verdict = standing.verdict
        return pb.GetTallyResponse(
            height=standing.height,
            status=standing.status,  # type: ignore[arg-type]  # the enum's number
            tally=gov.TallyResult(**standing.result._asdict()),
            complete=standing.is_complete,
            has_quorum=verdict.has_quorum,
            would_pass=verdict.passes,
            is_vetoed=verdict.is_vetoed,
        )


def _number(number: int) -> int:
    if not 1 <= number <= NUMBER_MAX:
        raise BadQuestion(f"proposal_id is {number}; allowed: 1 to {NUMBER_MAX}")
    return number


class GovService(rpc.GovServiceServicer):
    """Reads run in a thread: a proposal is large, and a list of them longer."""

    def __init__(self, guard: Calls, answers: Answers, threads: Reading) -> None:
        self._guard, self._answers, self._threads = guard, GovernanceAnswers(answers), threads

    async def _ask(self, context: Any, work: Callable[[Any], T], request: Any) -> T:
        return await self._guard.call(
            context, lambda: self._threads.run(lambda: work(request), client_at(context.peer()))
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
            lambda: self._threads.shared(
                key, lambda is_wanted: self._answers.tally(request, is_wanted), client_at(context.peer())
            ),
        )
