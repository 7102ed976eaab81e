from proto.dchat.v1 import state_pb2 as _state_pb2
from proto.dchat.v1 import tx_pb2 as _tx_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListDenominationsRequest(_message.Message):
    __slots__ = ("creator", "after", "limit", "height")
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    creator: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, creator: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListDenominationsResponse(_message.Message):
    __slots__ = ("height", "denominations", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DENOMINATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    denominations: _containers.RepeatedCompositeFieldContainer[NamedDenomination]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., denominations: _Optional[_Iterable[_Union[NamedDenomination, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedDenomination(_message.Message):
    __slots__ = ("denom", "name", "denomination")
    DENOM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    denom: _tx_pb2.Denom
    name: str
    denomination: _state_pb2.Denomination
    def __init__(self, denom: _Optional[_Union[_tx_pb2.Denom, _Mapping]] = ..., name: _Optional[str] = ..., denomination: _Optional[_Union[_state_pb2.Denomination, _Mapping]] = ...) -> None: ...

class ListHoldingsRequest(_message.Message):
    __slots__ = ("address", "after", "limit", "height")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, address: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListHoldingsResponse(_message.Message):
    __slots__ = ("height", "holdings", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HOLDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    holdings: _containers.RepeatedCompositeFieldContainer[NamedHolding]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., holdings: _Optional[_Iterable[_Union[NamedHolding, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedHolding(_message.Message):
    __slots__ = ("denom", "name", "holding")
    DENOM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    denom: _tx_pb2.Denom
    name: str
    holding: _state_pb2.Holding
    def __init__(self, denom: _Optional[_Union[_tx_pb2.Denom, _Mapping]] = ..., name: _Optional[str] = ..., holding: _Optional[_Union[_state_pb2.Holding, _Mapping]] = ...) -> None: ...

class ListPaymentRequestsRequest(_message.Message):
    __slots__ = ("payee", "payer", "after", "limit", "height")
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    PAYER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    payee: bytes
    payer: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, payee: _Optional[bytes] = ..., payer: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListPaymentRequestsResponse(_message.Message):
    __slots__ = ("height", "requests", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    requests: _containers.RepeatedCompositeFieldContainer[OpenRequest]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., requests: _Optional[_Iterable[_Union[OpenRequest, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("payee", "reference", "request")
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    payee: bytes
    reference: str
    request: _state_pb2.PaymentRequest
    def __init__(self, payee: _Optional[bytes] = ..., reference: _Optional[str] = ..., request: _Optional[_Union[_state_pb2.PaymentRequest, _Mapping]] = ...) -> None: ...
