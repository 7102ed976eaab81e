from proto.dchat.v1 import state_pb2 as _state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListEscrowsRequest(_message.Message):
    __slots__ = ("party", "after", "limit", "height")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    party: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, party: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListEscrowsResponse(_message.Message):
    __slots__ = ("height", "escrows")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ESCROWS_FIELD_NUMBER: _ClassVar[int]
    height: int
    escrows: _containers.RepeatedCompositeFieldContainer[OpenedEscrow]
    def __init__(self, height: _Optional[int] = ..., escrows: _Optional[_Iterable[_Union[OpenedEscrow, _Mapping]]] = ...) -> None: ...

class OpenedEscrow(_message.Message):
    __slots__ = ("id", "escrow")
    ID_FIELD_NUMBER: _ClassVar[int]
    ESCROW_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    escrow: _state_pb2.Escrow
    def __init__(self, id: _Optional[bytes] = ..., escrow: _Optional[_Union[_state_pb2.Escrow, _Mapping]] = ...) -> None: ...
