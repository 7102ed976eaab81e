from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AllowanceUse(_message.Message):
    __slots__ = ("period", "messages", "bytes")
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    period: int
    messages: int
    bytes: int
    def __init__(self, period: _Optional[int] = ..., messages: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class LockForAllowance(_message.Message):
    __slots__ = ("address", "amount")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    amount: int
    def __init__(self, address: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class UnlockAllowance(_message.Message):
    __slots__ = ("address", "amount")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    amount: int
    def __init__(self, address: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class GrantChannelAllowance(_message.Message):
    __slots__ = ("owner", "channel_id", "more_messages", "more_bytes", "member_messages", "member_bytes", "period_messages", "period_bytes")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MORE_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMBER_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MEMBER_BYTES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_BYTES_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    channel_id: bytes
    more_messages: int
    more_bytes: int
    member_messages: int
    member_bytes: int
    period_messages: int
    period_bytes: int
    def __init__(self, owner: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., more_messages: _Optional[int] = ..., more_bytes: _Optional[int] = ..., member_messages: _Optional[int] = ..., member_bytes: _Optional[int] = ..., period_messages: _Optional[int] = ..., period_bytes: _Optional[int] = ...) -> None: ...

class EndChannelAllowance(_message.Message):
    __slots__ = ("owner", "channel_id")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    channel_id: bytes
    def __init__(self, owner: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ...) -> None: ...

class AllowanceLock(_message.Message):
    __slots__ = ("locked", "unlocking")
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    UNLOCKING_FIELD_NUMBER: _ClassVar[int]
    locked: int
    unlocking: _containers.RepeatedCompositeFieldContainer[UnlockedUdchat]
    def __init__(self, locked: _Optional[int] = ..., unlocking: _Optional[_Iterable[_Union[UnlockedUdchat, _Mapping]]] = ...) -> None: ...

class UnlockedUdchat(_message.Message):
    __slots__ = ("amount", "end_ns")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    amount: int
    end_ns: int
    def __init__(self, amount: _Optional[int] = ..., end_ns: _Optional[int] = ...) -> None: ...

class ChannelAllowance(_message.Message):
    __slots__ = ("messages", "bytes", "member_messages", "member_bytes", "period_messages", "period_bytes", "use")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMBER_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MEMBER_BYTES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_BYTES_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    messages: int
    bytes: int
    member_messages: int
    member_bytes: int
    period_messages: int
    period_bytes: int
    use: AllowanceUse
    def __init__(self, messages: _Optional[int] = ..., bytes: _Optional[int] = ..., member_messages: _Optional[int] = ..., member_bytes: _Optional[int] = ..., period_messages: _Optional[int] = ..., period_bytes: _Optional[int] = ..., use: _Optional[_Union[AllowanceUse, _Mapping]] = ...) -> None: ...

class AllowanceAside(_message.Message):
    __slots__ = ("messages", "bytes")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    messages: bytes
    bytes: bytes
    def __init__(self, messages: _Optional[bytes] = ..., bytes: _Optional[bytes] = ...) -> None: ...
