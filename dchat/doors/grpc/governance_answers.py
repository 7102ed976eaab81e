"""What the doors answer about governance, as dchat.v1 messages. Raises NotThere, BadQuestion; as
`dchat.doors.reads.answers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crypto.hash import ADDRESS_BYTES
from dchat.app.governance_queries import GovernanceQueries
from dchat.doors.reads.answers import Answers, reading
from dchat.doors.reads.errors import BadQuestion, NotThere
from proto.dchat.v1 import governance_pb2 as gov
from proto.dchat.v1 import governance_service_pb2 as pb

PROPOSALS_MAX, PROPOSALS_DEFAULT = 100, 20
VOTES_MAX, VOTES_DEFAULT = 1_000, 100
NUMBER_MAX = (1 << 63) - 1


class GovernanceAnswers:
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
        limit = _limit(request.limit, PROPOSALS_DEFAULT, PROPOSALS_MAX)
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
        number, voter = _number(request.proposal_id), _address("voter", request.voter)
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
        after = _address("after", request.after) if request.after else b""
        limit = _limit(request.limit, VOTES_DEFAULT, VOTES_MAX)
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


def _limit(limit: int, default: int, most: int) -> int:
    if not 0 <= limit <= most:
        raise BadQuestion(f"limit is {limit}; allowed: 1 to {most}, 0 for {default}")
    return limit or default


def _address(name: str, value: bytes) -> bytes:
    if len(value) != ADDRESS_BYTES:
        raise BadQuestion(f"{name} has {len(value)} bytes; expected {ADDRESS_BYTES}")
    return value
