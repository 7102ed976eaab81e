from proto.dchat.v1 import governance_pb2 as _governance_pb2
from proto.dchat.v1 import service_pb2 as _service_pb2
from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetProposalRequest(_message.Message):
    __slots__ = ("proposal_id", "height", "prove")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    proposal_id: int
    height: int
    prove: bool
    def __init__(self, proposal_id: _Optional[int] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetProposalResponse(_message.Message):
    __slots__ = ("height", "proposal", "deposit", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    proposal: _governance_pb2.Proposal
    deposit: int
    proof: _service_pb2.StateProof
    def __init__(self, height: _Optional[int] = ..., proposal: _Optional[_Union[_governance_pb2.Proposal, _Mapping]] = ..., deposit: _Optional[int] = ..., proof: _Optional[_Union[_service_pb2.StateProof, _Mapping]] = ...) -> None: ...

class ListProposalsRequest(_message.Message):
    __slots__ = ("after", "limit", "status", "height")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    status: _governance_pb2.ProposalStatus
    height: int
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ..., status: _Optional[_Union[_governance_pb2.ProposalStatus, str]] = ..., height: _Optional[int] = ...) -> None: ...

class ListProposalsResponse(_message.Message):
    __slots__ = ("height", "proposals", "next_after")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_AFTER_FIELD_NUMBER: _ClassVar[int]
    height: int
    proposals: _containers.RepeatedCompositeFieldContainer[_governance_pb2.Proposal]
    next_after: int
    def __init__(self, height: _Optional[int] = ..., proposals: _Optional[_Iterable[_Union[_governance_pb2.Proposal, _Mapping]]] = ..., next_after: _Optional[int] = ...) -> None: ...

class GetVoteRequest(_message.Message):
    __slots__ = ("proposal_id", "voter", "height", "prove")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    proposal_id: int
    voter: bytes
    height: int
    prove: bool
    def __init__(self, proposal_id: _Optional[int] = ..., voter: _Optional[bytes] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetVoteResponse(_message.Message):
    __slots__ = ("height", "vote", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    vote: _governance_pb2.VoteRecord
    proof: _service_pb2.StateProof
    def __init__(self, height: _Optional[int] = ..., vote: _Optional[_Union[_governance_pb2.VoteRecord, _Mapping]] = ..., proof: _Optional[_Union[_service_pb2.StateProof, _Mapping]] = ...) -> None: ...

class ListVotesRequest(_message.Message):
    __slots__ = ("proposal_id", "after", "limit", "height")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    proposal_id: int
    after: bytes
    limit: int
    height: int
    def __init__(self, proposal_id: _Optional[int] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListVotesResponse(_message.Message):
    __slots__ = ("height", "votes")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    height: int
    votes: _containers.RepeatedCompositeFieldContainer[CastVote]
    def __init__(self, height: _Optional[int] = ..., votes: _Optional[_Iterable[_Union[CastVote, _Mapping]]] = ...) -> None: ...

class CastVote(_message.Message):
    __slots__ = ("voter", "vote")
    VOTER_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    voter: bytes
    vote: _governance_pb2.VoteRecord
    def __init__(self, voter: _Optional[bytes] = ..., vote: _Optional[_Union[_governance_pb2.VoteRecord, _Mapping]] = ...) -> None: ...

class ListDepositsRequest(_message.Message):
    __slots__ = ("proposal_id", "after", "limit", "height")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    proposal_id: int
    after: bytes
    limit: int
    height: int
    def __init__(self, proposal_id: _Optional[int] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListDepositsResponse(_message.Message):
    __slots__ = ("height", "deposits")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    height: int
    deposits: _containers.RepeatedCompositeFieldContainer[PlacedDeposit]
    def __init__(self, height: _Optional[int] = ..., deposits: _Optional[_Iterable[_Union[PlacedDeposit, _Mapping]]] = ...) -> None: ...

class PlacedDeposit(_message.Message):
    __slots__ = ("depositor", "amount")
    DEPOSITOR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    depositor: bytes
    amount: int
    def __init__(self, depositor: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class GetTallyRequest(_message.Message):
    __slots__ = ("proposal_id", "height")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    proposal_id: int
    height: int
    def __init__(self, proposal_id: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class GetTallyResponse(_message.Message):
    __slots__ = ("height", "status", "tally", "complete", "has_quorum", "would_pass", "is_vetoed")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TALLY_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    HAS_QUORUM_FIELD_NUMBER: _ClassVar[int]
    WOULD_PASS_FIELD_NUMBER: _ClassVar[int]
    IS_VETOED_FIELD_NUMBER: _ClassVar[int]
    height: int
    status: _governance_pb2.ProposalStatus
    tally: _governance_pb2.TallyResult
    complete: bool
    has_quorum: bool
    would_pass: bool
    is_vetoed: bool
    def __init__(self, height: _Optional[int] = ..., status: _Optional[_Union[_governance_pb2.ProposalStatus, str]] = ..., tally: _Optional[_Union[_governance_pb2.TallyResult, _Mapping]] = ..., complete: _Optional[bool] = ..., has_quorum: _Optional[bool] = ..., would_pass: _Optional[bool] = ..., is_vetoed: _Optional[bool] = ...) -> None: ...
