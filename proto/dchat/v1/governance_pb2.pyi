from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VoteOption(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOTE_OPTION_UNSPECIFIED: _ClassVar[VoteOption]
    VOTE_OPTION_YES: _ClassVar[VoteOption]
    VOTE_OPTION_ABSTAIN: _ClassVar[VoteOption]
    VOTE_OPTION_NO: _ClassVar[VoteOption]
    VOTE_OPTION_NO_WITH_VETO: _ClassVar[VoteOption]

class ProposalStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROPOSAL_STATUS_UNSPECIFIED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_DEPOSIT: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_VOTING: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_PASSED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_REJECTED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_FAILED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_TALLYING: _ClassVar[ProposalStatus]
VOTE_OPTION_UNSPECIFIED: VoteOption
VOTE_OPTION_YES: VoteOption
VOTE_OPTION_ABSTAIN: VoteOption
VOTE_OPTION_NO: VoteOption
VOTE_OPTION_NO_WITH_VETO: VoteOption
PROPOSAL_STATUS_UNSPECIFIED: ProposalStatus
PROPOSAL_STATUS_DEPOSIT: ProposalStatus
PROPOSAL_STATUS_VOTING: ProposalStatus
PROPOSAL_STATUS_PASSED: ProposalStatus
PROPOSAL_STATUS_REJECTED: ProposalStatus
PROPOSAL_STATUS_FAILED: ProposalStatus
PROPOSAL_STATUS_TALLYING: ProposalStatus

class SubmitProposal(_message.Message):
    __slots__ = ("proposer", "title", "summary", "expedited", "deposit", "actions")
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    EXPEDITED_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    proposer: bytes
    title: str
    summary: str
    expedited: bool
    deposit: int
    actions: _containers.RepeatedCompositeFieldContainer[ProposalAction]
    def __init__(self, proposer: _Optional[bytes] = ..., title: _Optional[str] = ..., summary: _Optional[str] = ..., expedited: _Optional[bool] = ..., deposit: _Optional[int] = ..., actions: _Optional[_Iterable[_Union[ProposalAction, _Mapping]]] = ...) -> None: ...

class ProposalAction(_message.Message):
    __slots__ = ("change_params", "spend_treasury", "plan_upgrade", "drop_upgrade")
    CHANGE_PARAMS_FIELD_NUMBER: _ClassVar[int]
    SPEND_TREASURY_FIELD_NUMBER: _ClassVar[int]
    PLAN_UPGRADE_FIELD_NUMBER: _ClassVar[int]
    DROP_UPGRADE_FIELD_NUMBER: _ClassVar[int]
    change_params: ChangeParams
    spend_treasury: SpendTreasury
    plan_upgrade: PlanUpgrade
    drop_upgrade: DropUpgrade
    def __init__(self, change_params: _Optional[_Union[ChangeParams, _Mapping]] = ..., spend_treasury: _Optional[_Union[SpendTreasury, _Mapping]] = ..., plan_upgrade: _Optional[_Union[PlanUpgrade, _Mapping]] = ..., drop_upgrade: _Optional[_Union[DropUpgrade, _Mapping]] = ...) -> None: ...

class ChangeParams(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[ParamChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[ParamChange, _Mapping]]] = ...) -> None: ...

class ParamChange(_message.Message):
    __slots__ = ("module", "name", "value")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    module: str
    name: str
    value: str
    def __init__(self, module: _Optional[str] = ..., name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class SpendTreasury(_message.Message):
    __slots__ = ("recipient", "amount")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    recipient: bytes
    amount: int
    def __init__(self, recipient: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class PlanUpgrade(_message.Message):
    __slots__ = ("name", "height", "info", "binary_sha256", "ready_share_permyriad", "postpone_blocks")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    BINARY_SHA256_FIELD_NUMBER: _ClassVar[int]
    READY_SHARE_PERMYRIAD_FIELD_NUMBER: _ClassVar[int]
    POSTPONE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    height: int
    info: str
    binary_sha256: _containers.RepeatedScalarFieldContainer[bytes]
    ready_share_permyriad: int
    postpone_blocks: int
    def __init__(self, name: _Optional[str] = ..., height: _Optional[int] = ..., info: _Optional[str] = ..., binary_sha256: _Optional[_Iterable[bytes]] = ..., ready_share_permyriad: _Optional[int] = ..., postpone_blocks: _Optional[int] = ...) -> None: ...

class DropUpgrade(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AddDeposit(_message.Message):
    __slots__ = ("depositor", "proposal_id", "amount")
    DEPOSITOR_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    depositor: bytes
    proposal_id: int
    amount: int
    def __init__(self, depositor: _Optional[bytes] = ..., proposal_id: _Optional[int] = ..., amount: _Optional[int] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("voter", "proposal_id", "option")
    VOTER_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    OPTION_FIELD_NUMBER: _ClassVar[int]
    voter: bytes
    proposal_id: int
    option: VoteOption
    def __init__(self, voter: _Optional[bytes] = ..., proposal_id: _Optional[int] = ..., option: _Optional[_Union[VoteOption, str]] = ...) -> None: ...

class VoteWeighted(_message.Message):
    __slots__ = ("voter", "proposal_id", "options")
    VOTER_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    voter: bytes
    proposal_id: int
    options: _containers.RepeatedCompositeFieldContainer[WeightedOption]
    def __init__(self, voter: _Optional[bytes] = ..., proposal_id: _Optional[int] = ..., options: _Optional[_Iterable[_Union[WeightedOption, _Mapping]]] = ...) -> None: ...

class WeightedOption(_message.Message):
    __slots__ = ("option", "weight")
    OPTION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    option: VoteOption
    weight: int
    def __init__(self, option: _Optional[_Union[VoteOption, str]] = ..., weight: _Optional[int] = ...) -> None: ...

class CancelProposal(_message.Message):
    __slots__ = ("proposer", "proposal_id")
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    proposer: bytes
    proposal_id: int
    def __init__(self, proposer: _Optional[bytes] = ..., proposal_id: _Optional[int] = ...) -> None: ...

class Proposal(_message.Message):
    __slots__ = ("id", "proposer", "title", "summary", "actions", "status", "expedited", "ballot", "submit_time_ns", "deposit_end_time_ns", "voting_start_time_ns", "voting_end_time_ns", "result", "failed_code", "failed_action", "decided_time_ns", "votes_until_time_ns", "submit_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXPEDITED_FIELD_NUMBER: _ClassVar[int]
    BALLOT_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_END_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    VOTING_START_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    VOTING_END_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILED_CODE_FIELD_NUMBER: _ClassVar[int]
    FAILED_ACTION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    VOTES_UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: int
    proposer: bytes
    title: str
    summary: str
    actions: _containers.RepeatedCompositeFieldContainer[ProposalAction]
    status: ProposalStatus
    expedited: bool
    ballot: int
    submit_time_ns: int
    deposit_end_time_ns: int
    voting_start_time_ns: int
    voting_end_time_ns: int
    result: TallyResult
    failed_code: int
    failed_action: int
    decided_time_ns: int
    votes_until_time_ns: int
    submit_height: int
    def __init__(self, id: _Optional[int] = ..., proposer: _Optional[bytes] = ..., title: _Optional[str] = ..., summary: _Optional[str] = ..., actions: _Optional[_Iterable[_Union[ProposalAction, _Mapping]]] = ..., status: _Optional[_Union[ProposalStatus, str]] = ..., expedited: _Optional[bool] = ..., ballot: _Optional[int] = ..., submit_time_ns: _Optional[int] = ..., deposit_end_time_ns: _Optional[int] = ..., voting_start_time_ns: _Optional[int] = ..., voting_end_time_ns: _Optional[int] = ..., result: _Optional[_Union[TallyResult, _Mapping]] = ..., failed_code: _Optional[int] = ..., failed_action: _Optional[int] = ..., decided_time_ns: _Optional[int] = ..., votes_until_time_ns: _Optional[int] = ..., submit_height: _Optional[int] = ...) -> None: ...

class TallyResult(_message.Message):
    __slots__ = ("yes", "abstain", "no", "no_with_veto", "bonded", "votes", "pin_height")
    YES_FIELD_NUMBER: _ClassVar[int]
    ABSTAIN_FIELD_NUMBER: _ClassVar[int]
    NO_FIELD_NUMBER: _ClassVar[int]
    NO_WITH_VETO_FIELD_NUMBER: _ClassVar[int]
    BONDED_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    PIN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    yes: int
    abstain: int
    no: int
    no_with_veto: int
    bonded: int
    votes: int
    pin_height: int
    def __init__(self, yes: _Optional[int] = ..., abstain: _Optional[int] = ..., no: _Optional[int] = ..., no_with_veto: _Optional[int] = ..., bonded: _Optional[int] = ..., votes: _Optional[int] = ..., pin_height: _Optional[int] = ...) -> None: ...

class VoteRecord(_message.Message):
    __slots__ = ("options", "height")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    options: _containers.RepeatedCompositeFieldContainer[WeightedOption]
    height: int
    def __init__(self, options: _Optional[_Iterable[_Union[WeightedOption, _Mapping]]] = ..., height: _Optional[int] = ...) -> None: ...

class Deposit(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class GovernanceParams(_message.Message):
    __slots__ = ("min_deposit", "expedited_min_deposit", "deposit_period_s", "voting_period_s", "expedited_voting_period_s", "quorum", "threshold", "expedited_threshold", "veto_threshold", "min_deposit_ratio", "cancel_ratio", "cancel_to_treasury", "burn_vetoed", "burn_without_quorum", "burn_without_deposit", "votes_kept_s")
    MIN_DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    EXPEDITED_MIN_DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    VOTING_PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    EXPEDITED_VOTING_PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EXPEDITED_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    VETO_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MIN_DEPOSIT_RATIO_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RATIO_FIELD_NUMBER: _ClassVar[int]
    CANCEL_TO_TREASURY_FIELD_NUMBER: _ClassVar[int]
    BURN_VETOED_FIELD_NUMBER: _ClassVar[int]
    BURN_WITHOUT_QUORUM_FIELD_NUMBER: _ClassVar[int]
    BURN_WITHOUT_DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    VOTES_KEPT_S_FIELD_NUMBER: _ClassVar[int]
    min_deposit: int
    expedited_min_deposit: int
    deposit_period_s: int
    voting_period_s: int
    expedited_voting_period_s: int
    quorum: int
    threshold: int
    expedited_threshold: int
    veto_threshold: int
    min_deposit_ratio: int
    cancel_ratio: int
    cancel_to_treasury: int
    burn_vetoed: int
    burn_without_quorum: int
    burn_without_deposit: int
    votes_kept_s: int
    def __init__(self, min_deposit: _Optional[int] = ..., expedited_min_deposit: _Optional[int] = ..., deposit_period_s: _Optional[int] = ..., voting_period_s: _Optional[int] = ..., expedited_voting_period_s: _Optional[int] = ..., quorum: _Optional[int] = ..., threshold: _Optional[int] = ..., expedited_threshold: _Optional[int] = ..., veto_threshold: _Optional[int] = ..., min_deposit_ratio: _Optional[int] = ..., cancel_ratio: _Optional[int] = ..., cancel_to_treasury: _Optional[int] = ..., burn_vetoed: _Optional[int] = ..., burn_without_quorum: _Optional[int] = ..., burn_without_deposit: _Optional[int] = ..., votes_kept_s: _Optional[int] = ...) -> None: ...

class TallyProgress(_message.Message):
    __slots__ = ("proposal_id", "pin_height", "ballot", "validators", "voter", "operator", "member", "yes", "abstain", "no", "no_with_veto", "voted", "bonded", "votes")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    PIN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BALLOT_FIELD_NUMBER: _ClassVar[int]
    VALIDATORS_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    YES_FIELD_NUMBER: _ClassVar[int]
    ABSTAIN_FIELD_NUMBER: _ClassVar[int]
    NO_FIELD_NUMBER: _ClassVar[int]
    NO_WITH_VETO_FIELD_NUMBER: _ClassVar[int]
    VOTED_FIELD_NUMBER: _ClassVar[int]
    BONDED_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    proposal_id: int
    pin_height: int
    ballot: int
    validators: bool
    voter: bytes
    operator: bytes
    member: int
    yes: bytes
    abstain: bytes
    no: bytes
    no_with_veto: bytes
    voted: bytes
    bonded: int
    votes: int
    def __init__(self, proposal_id: _Optional[int] = ..., pin_height: _Optional[int] = ..., ballot: _Optional[int] = ..., validators: _Optional[bool] = ..., voter: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., member: _Optional[int] = ..., yes: _Optional[bytes] = ..., abstain: _Optional[bytes] = ..., no: _Optional[bytes] = ..., no_with_veto: _Optional[bytes] = ..., voted: _Optional[bytes] = ..., bonded: _Optional[int] = ..., votes: _Optional[int] = ...) -> None: ...

class Tallies(_message.Message):
    __slots__ = ("waiting", "oldest_pin", "newest_pin")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PIN_FIELD_NUMBER: _ClassVar[int]
    NEWEST_PIN_FIELD_NUMBER: _ClassVar[int]
    waiting: int
    oldest_pin: int
    newest_pin: int
    def __init__(self, waiting: _Optional[int] = ..., oldest_pin: _Optional[int] = ..., newest_pin: _Optional[int] = ...) -> None: ...

class KeptStake(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[KeptVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[KeptVersion, _Mapping]]] = ...) -> None: ...

class KeptVersion(_message.Message):
    __slots__ = ("pin_height", "value")
    PIN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    pin_height: int
    value: bytes
    def __init__(self, pin_height: _Optional[int] = ..., value: _Optional[bytes] = ...) -> None: ...
