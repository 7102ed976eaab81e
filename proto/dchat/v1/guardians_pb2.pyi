from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import tx_pb2 as _tx_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GuardianTerms(_message.Message):
    __slots__ = ("guardians", "threshold", "delay_s", "overrule")
    GUARDIANS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DELAY_S_FIELD_NUMBER: _ClassVar[int]
    OVERRULE_FIELD_NUMBER: _ClassVar[int]
    guardians: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    delay_s: int
    overrule: int
    def __init__(self, guardians: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., delay_s: _Optional[int] = ..., overrule: _Optional[int] = ...) -> None: ...

class Guardians(_message.Message):
    __slots__ = ("terms", "height", "pending", "pending_time_ns", "pending_height", "quiet")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    PENDING_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    PENDING_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUIET_FIELD_NUMBER: _ClassVar[int]
    terms: GuardianTerms
    height: int
    pending: GuardianTerms
    pending_time_ns: int
    pending_height: int
    quiet: _containers.RepeatedCompositeFieldContainer[QuietGuardian]
    def __init__(self, terms: _Optional[_Union[GuardianTerms, _Mapping]] = ..., height: _Optional[int] = ..., pending: _Optional[_Union[GuardianTerms, _Mapping]] = ..., pending_time_ns: _Optional[int] = ..., pending_height: _Optional[int] = ..., quiet: _Optional[_Iterable[_Union[QuietGuardian, _Mapping]]] = ...) -> None: ...

class QuietGuardian(_message.Message):
    __slots__ = ("guardian", "until_time_ns")
    GUARDIAN_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    guardian: bytes
    until_time_ns: int
    def __init__(self, guardian: _Optional[bytes] = ..., until_time_ns: _Optional[int] = ...) -> None: ...

class Recoveries(_message.Message):
    __slots__ = ("recoveries",)
    RECOVERIES_FIELD_NUMBER: _ClassVar[int]
    recoveries: _containers.RepeatedCompositeFieldContainer[Recovery]
    def __init__(self, recoveries: _Optional[_Iterable[_Union[Recovery, _Mapping]]] = ...) -> None: ...

class Recovery(_message.Message):
    __slots__ = ("id", "starter", "policy", "approvals", "end_time_ns", "agreed_height", "approval_epochs")
    ID_FIELD_NUMBER: _ClassVar[int]
    STARTER_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    END_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    AGREED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    starter: bytes
    policy: _tx_pb2.KeyPolicy
    approvals: _containers.RepeatedScalarFieldContainer[bytes]
    end_time_ns: int
    agreed_height: int
    approval_epochs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[bytes] = ..., starter: _Optional[bytes] = ..., policy: _Optional[_Union[_tx_pb2.KeyPolicy, _Mapping]] = ..., approvals: _Optional[_Iterable[bytes]] = ..., end_time_ns: _Optional[int] = ..., agreed_height: _Optional[int] = ..., approval_epochs: _Optional[_Iterable[int]] = ...) -> None: ...
