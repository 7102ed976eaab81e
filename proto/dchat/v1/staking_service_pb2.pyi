from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import state_pb2 as _state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStakingValidatorRequest(_message.Message):
    __slots__ = ("operator", "consensus_address", "height")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    consensus_address: bytes
    height: int
    def __init__(self, operator: _Optional[bytes] = ..., consensus_address: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...

class GetStakingValidatorResponse(_message.Message):
    __slots__ = ("height", "validator")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_FIELD_NUMBER: _ClassVar[int]
    height: int
    validator: ValidatorInfo
    def __init__(self, height: _Optional[int] = ..., validator: _Optional[_Union[ValidatorInfo, _Mapping]] = ...) -> None: ...

class ListStakingValidatorsRequest(_message.Message):
    __slots__ = ("status", "after", "limit", "height")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    status: _state_pb2.BondStatus
    after: bytes
    limit: int
    height: int
    def __init__(self, status: _Optional[_Union[_state_pb2.BondStatus, str]] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListStakingValidatorsResponse(_message.Message):
    __slots__ = ("height", "validators")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALIDATORS_FIELD_NUMBER: _ClassVar[int]
    height: int
    validators: _containers.RepeatedCompositeFieldContainer[ValidatorInfo]
    def __init__(self, height: _Optional[int] = ..., validators: _Optional[_Iterable[_Union[ValidatorInfo, _Mapping]]] = ...) -> None: ...

class ValidatorInfo(_message.Message):
    __slots__ = ("operator", "consensus_address", "consensus_key", "moniker", "status", "jailed", "tokens", "shares", "power", "commission_rate", "commission_max_rate", "commission_max_change_rate", "commission_time_ns", "min_self_delegation", "unbonding_height", "unbonding_time_ns", "commission", "outstanding", "signing", "slashes_waiting", "rotations")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    MONIKER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    JAILED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_MAX_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_MAX_CHANGE_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_SELF_DELEGATION_FIELD_NUMBER: _ClassVar[int]
    UNBONDING_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNBONDING_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    SIGNING_FIELD_NUMBER: _ClassVar[int]
    SLASHES_WAITING_FIELD_NUMBER: _ClassVar[int]
    ROTATIONS_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    consensus_address: bytes
    consensus_key: bytes
    moniker: str
    status: _state_pb2.BondStatus
    jailed: bool
    tokens: int
    shares: str
    power: int
    commission_rate: str
    commission_max_rate: str
    commission_max_change_rate: str
    commission_time_ns: int
    min_self_delegation: int
    unbonding_height: int
    unbonding_time_ns: int
    commission: str
    outstanding: str
    signing: SigningState
    slashes_waiting: int
    rotations: _containers.RepeatedCompositeFieldContainer[_state_pb2.KeyRotation]
    def __init__(self, operator: _Optional[bytes] = ..., consensus_address: _Optional[bytes] = ..., consensus_key: _Optional[bytes] = ..., moniker: _Optional[str] = ..., status: _Optional[_Union[_state_pb2.BondStatus, str]] = ..., jailed: _Optional[bool] = ..., tokens: _Optional[int] = ..., shares: _Optional[str] = ..., power: _Optional[int] = ..., commission_rate: _Optional[str] = ..., commission_max_rate: _Optional[str] = ..., commission_max_change_rate: _Optional[str] = ..., commission_time_ns: _Optional[int] = ..., min_self_delegation: _Optional[int] = ..., unbonding_height: _Optional[int] = ..., unbonding_time_ns: _Optional[int] = ..., commission: _Optional[str] = ..., outstanding: _Optional[str] = ..., signing: _Optional[_Union[SigningState, _Mapping]] = ..., slashes_waiting: _Optional[int] = ..., rotations: _Optional[_Iterable[_Union[_state_pb2.KeyRotation, _Mapping]]] = ...) -> None: ...

class SigningState(_message.Message):
    __slots__ = ("start_height", "missed_in_window", "window", "missed_max", "missed_total", "tombstoned", "jailed_until_time_ns")
    START_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MISSED_IN_WINDOW_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MISSED_MAX_FIELD_NUMBER: _ClassVar[int]
    MISSED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONED_FIELD_NUMBER: _ClassVar[int]
    JAILED_UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    start_height: int
    missed_in_window: int
    window: int
    missed_max: int
    missed_total: int
    tombstoned: bool
    jailed_until_time_ns: int
    def __init__(self, start_height: _Optional[int] = ..., missed_in_window: _Optional[int] = ..., window: _Optional[int] = ..., missed_max: _Optional[int] = ..., missed_total: _Optional[int] = ..., tombstoned: _Optional[bool] = ..., jailed_until_time_ns: _Optional[int] = ...) -> None: ...

class ListDelegationsRequest(_message.Message):
    __slots__ = ("delegator", "operator", "after", "limit", "height")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListDelegationsResponse(_message.Message):
    __slots__ = ("height", "delegations")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DELEGATIONS_FIELD_NUMBER: _ClassVar[int]
    height: int
    delegations: _containers.RepeatedCompositeFieldContainer[DelegationInfo]
    def __init__(self, height: _Optional[int] = ..., delegations: _Optional[_Iterable[_Union[DelegationInfo, _Mapping]]] = ...) -> None: ...

class DelegationInfo(_message.Message):
    __slots__ = ("delegator", "operator", "shares", "amount")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    shares: str
    amount: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., shares: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class ListUnbondingsRequest(_message.Message):
    __slots__ = ("delegator", "operator", "after", "limit", "height")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListUnbondingsResponse(_message.Message):
    __slots__ = ("height", "unbondings")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNBONDINGS_FIELD_NUMBER: _ClassVar[int]
    height: int
    unbondings: _containers.RepeatedCompositeFieldContainer[UnbondingInfo]
    def __init__(self, height: _Optional[int] = ..., unbondings: _Optional[_Iterable[_Union[UnbondingInfo, _Mapping]]] = ...) -> None: ...

class UnbondingInfo(_message.Message):
    __slots__ = ("delegator", "operator", "entries")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    entries: _containers.RepeatedCompositeFieldContainer[_state_pb2.UnbondingEntry]
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[_state_pb2.UnbondingEntry, _Mapping]]] = ...) -> None: ...

class ListRedelegationsRequest(_message.Message):
    __slots__ = ("delegator", "limit", "height")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    limit: int
    height: int
    def __init__(self, delegator: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListRedelegationsResponse(_message.Message):
    __slots__ = ("height", "redelegations")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REDELEGATIONS_FIELD_NUMBER: _ClassVar[int]
    height: int
    redelegations: _containers.RepeatedCompositeFieldContainer[RedelegationInfo]
    def __init__(self, height: _Optional[int] = ..., redelegations: _Optional[_Iterable[_Union[RedelegationInfo, _Mapping]]] = ...) -> None: ...

class RedelegationInfo(_message.Message):
    __slots__ = ("delegator", "source", "destination", "creation_height", "completion_time_ns", "initial_balance", "shares_dst")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    CREATION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCE_FIELD_NUMBER: _ClassVar[int]
    SHARES_DST_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    source: bytes
    destination: bytes
    creation_height: int
    completion_time_ns: int
    initial_balance: int
    shares_dst: str
    def __init__(self, delegator: _Optional[bytes] = ..., source: _Optional[bytes] = ..., destination: _Optional[bytes] = ..., creation_height: _Optional[int] = ..., completion_time_ns: _Optional[int] = ..., initial_balance: _Optional[int] = ..., shares_dst: _Optional[str] = ...) -> None: ...

class GetRewardsRequest(_message.Message):
    __slots__ = ("delegator", "operator", "height")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    height: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...

class GetRewardsResponse(_message.Message):
    __slots__ = ("height", "rewards", "withdraw_address")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    height: int
    rewards: _containers.RepeatedCompositeFieldContainer[RewardInfo]
    withdraw_address: bytes
    def __init__(self, height: _Optional[int] = ..., rewards: _Optional[_Iterable[_Union[RewardInfo, _Mapping]]] = ..., withdraw_address: _Optional[bytes] = ...) -> None: ...

class RewardInfo(_message.Message):
    __slots__ = ("operator", "amount")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    amount: str
    def __init__(self, operator: _Optional[bytes] = ..., amount: _Optional[str] = ...) -> None: ...

class ListSlashesRequest(_message.Message):
    __slots__ = ("operator", "limit", "height")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    limit: int
    height: int
    def __init__(self, operator: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListSlashesResponse(_message.Message):
    __slots__ = ("height", "slashes")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SLASHES_FIELD_NUMBER: _ClassVar[int]
    height: int
    slashes: _containers.RepeatedCompositeFieldContainer[SlashInfo]
    def __init__(self, height: _Optional[int] = ..., slashes: _Optional[_Iterable[_Union[SlashInfo, _Mapping]]] = ...) -> None: ...

class SlashInfo(_message.Message):
    __slots__ = ("height", "reason", "fraction", "burned")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    height: int
    reason: str
    fraction: str
    burned: int
    def __init__(self, height: _Optional[int] = ..., reason: _Optional[str] = ..., fraction: _Optional[str] = ..., burned: _Optional[int] = ...) -> None: ...

class GetStakingPoolsRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetStakingPoolsResponse(_message.Message):
    __slots__ = ("height", "bonded", "not_bonded", "supply", "community_pool", "distribution_balance", "inflation", "minted", "burned", "active_validators")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BONDED_FIELD_NUMBER: _ClassVar[int]
    NOT_BONDED_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    COMMUNITY_POOL_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_BALANCE_FIELD_NUMBER: _ClassVar[int]
    INFLATION_FIELD_NUMBER: _ClassVar[int]
    MINTED_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_VALIDATORS_FIELD_NUMBER: _ClassVar[int]
    height: int
    bonded: int
    not_bonded: int
    supply: int
    community_pool: str
    distribution_balance: int
    inflation: str
    minted: str
    burned: str
    active_validators: int
    def __init__(self, height: _Optional[int] = ..., bonded: _Optional[int] = ..., not_bonded: _Optional[int] = ..., supply: _Optional[int] = ..., community_pool: _Optional[str] = ..., distribution_balance: _Optional[int] = ..., inflation: _Optional[str] = ..., minted: _Optional[str] = ..., burned: _Optional[str] = ..., active_validators: _Optional[int] = ...) -> None: ...
